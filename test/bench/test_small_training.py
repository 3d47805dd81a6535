"""``bench small-training``: more pictures make a better head, and what cannot be judged is left out and said."""
import json
import sys
from pathlib import Path

import torch

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing

sys.path.append(str(Path(__file__).parent))
from test_small_calibration import COLOURS, pictures  # noqa: E402


def test_accuracy_by_pictures_a_class(tmp_path, capsys, monkeypatch):
    torch.manual_seed(0)
    save_bundle(tmp_path / 'model', build_network('resnet20_cifar', 4), tuple(COLOURS), Preprocessing(0, (32, 32)))
    data = pictures(tmp_path / 'data', 30, 0)
    arguments = ['bench', 'small-training', str(tmp_path / 'model'), str(data), '--pictures', '1', '20', '40',
                 '--subsets', '4', '--json', str(tmp_path / 'figures.json')]
    monkeypatch.setattr('sys.argv', ['robot-vision', *arguments])  # the parser looks there for the measurement
    assert main(arguments) == 0
    figures = json.loads((tmp_path / 'figures.json').read_text())
    few, many = figures['sizes']
    assert (few['pictures'], few['judged'], many['judged']) == (1, 4 * 29, 4 * 10)
    assert few['worst'] <= few['mean'] <= few['best'] and few['mean'] < many['mean']
    said = capsys.readouterr()
    assert '40 pictures a class: left out, some class has 30' in said.err and 'pictures a class' in said.out

"""``bench label-errors``: swapped labels come first, and copies and neighbours stay on one side of a fold."""
import json
import sys
from pathlib import Path

import numpy as np
import torch

from robot_vision_dl.bench.label_errors import _joined
from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing

sys.path.append(str(Path(__file__).parent))
from test_small_calibration import COLOURS, pictures  # noqa: E402


def test_numbers_that_are_joined_by_a_chain():
    assert _joined(np.array([0, 0, 1, 2, 3]), np.array([5, 4, 4, 3, 1])).tolist() == [0, 0, 0, 1, 2]
    assert _joined(np.arange(4)).tolist() == [0, 1, 2, 3]
    assert _joined(np.array([3, 2, 1, 0]), np.array([0, 1, 0, 1]), np.array([0, 1, 2, 1])).tolist() == [0, 1, 0, 1]


def test_swapped_labels_come_first(tmp_path, capsys, monkeypatch):
    torch.manual_seed(0)
    save_bundle(tmp_path / 'model', build_network('resnet20_cifar', 4), tuple(COLOURS), Preprocessing(0, (32, 32)))
    data = pictures(tmp_path / 'data', 30, 0)
    arguments = ['bench', 'label-errors', str(data), '--features', str(tmp_path / 'model'), '--models',
                 str(tmp_path / 'model'), '--seeds', '3', '--share', '0.1', '--json', str(tmp_path / 'figures.json')]
    monkeypatch.setattr('sys.argv', ['robot-vision', *arguments])  # the parser looks there for the measurement
    assert main(arguments) == 0
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert figures['classes'] == sorted(COLOURS) and figures['planted'] == round(0.1 * figures['units'])
    ours, model, random = figures['ranked'].values()
    assert ours['found'][2][0] > 0.7 and ours['auroc'][0] > 0.9  # in the first fifth, by an untrained network
    assert figures['proposed_right'][0] > 0.9
    assert 0.2 < random['auroc'][0] < 0.8 and 'environment' in figures
    assert model['found'][2][0] < 0.6  # how unsure the model is says nothing about the label
    said = capsys.readouterr().out
    assert 'labels swapped, 3 seeds' in said and '1 - max softmax of model' in said and 'likely wrong' in said

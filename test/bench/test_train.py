"""``robot-vision bench train`` on a small network."""
import json
import sys
from pathlib import Path

import pytest

from robot_vision_dl.cli.main import main

pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')
sys.path.append(str(Path(__file__).parents[1] / 'training'))
from training_samples import config_text, picture_folders  # noqa: E402


def test_figures_are_beside_the_floor_of_the_same_run(tmp_path, monkeypatch, capsys):
    config = tmp_path / 'train.yaml'
    config.write_text(config_text(picture_folders(tmp_path / 'pictures'), tmp_path))
    monkeypatch.setattr(sys, 'argv', ['robot-vision', 'bench', 'train'])
    assert main(['bench', 'train', str(config), '--turns', '1', '--json', str(tmp_path / 'figures.json')]) == 0
    said = capsys.readouterr().out
    assert 'bare loop of torch' in said and 'waiting for pictures' in said
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert figures['architecture'] == 'lenet5' and figures['pictures'] >= 20 * figures['batch_size']
    assert figures['pictures_per_s'] > 0 and figures['bare_pictures_per_s'] > 0
    assert 0 <= figures['waiting_share'] < 1
    assert not (tmp_path / 'runs').exists() and not (tmp_path / 'models').exists()

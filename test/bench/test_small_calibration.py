"""``bench small-calibration``: on small pictures here, on real ones where they are."""
import json

import cv2
import numpy as np
import pytest
import torch

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing

COLOURS = {'blue': (180, 90, 60), 'green': (80, 160, 70), 'grey': (110, 110, 110), 'red': (60, 60, 180)}


def pictures(folder, each, seed):
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = rng.normal(np.array(colour) + rng.normal(0, 25, 3), 40, (32, 32, 3))
            cv2.imwrite(str(folder / name / f'{number}.png'), np.clip(pixels, 0, 255).astype(np.uint8))
    return folder


def measured(tmp_path, *arguments):
    file = tmp_path / 'figures.json'
    code = main(['bench', 'small-calibration', *map(str, arguments), '--json', str(file)])
    return code, json.loads(file.read_text())


def test_twenty_small_sets_are_not_worse_by_cross_validation(tmp_path, capsys, monkeypatch):
    torch.manual_seed(0)
    save_bundle(tmp_path / 'model', build_network('resnet20_cifar', 4), tuple(COLOURS), Preprocessing(0, (32, 32)))
    data = pictures(tmp_path / 'data', 40, 0)
    ood_pictures = pictures(tmp_path / 'others', 6, 1)
    arguments = ('bench', 'small-calibration', str(tmp_path / 'model'), str(data), '--probe', '8', '--classes', '3',
                 '--subsets', '4', '--pictures', '10', '30', '--foreign', str(ood_pictures))
    monkeypatch.setattr('sys.argv', ['robot-vision', *arguments])  # the parser looks there for the measurement
    code, figures = measured(tmp_path, *arguments[2:])
    assert code == 0 and figures['summary']['worse_by_cross_validation'] == 0
    assert len(figures['sets']) == 4
    for row in figures['sets']:
        assert 10 <= row['pictures'] <= 30 and row['nll'] <= row['nll_plain'] + 5e-5
        assert row['held_out'] == 3 * 32 - row['pictures']
        assert set(row['foreign']) == {'(known)', 'classes left out', 'others'}
        for one in row['foreign'].values():
            assert one['accepted_smallest'] <= one['accepted'] <= 1 and one['accepted_smallest'] <= 1 - one['unknown']
    said = capsys.readouterr().out
    assert 'worse by cross-validation in 0 of 4 sets' in said and 'likelihood alone' in said


@pytest.mark.slow
@pytest.mark.parametrize('model, arguments', [
    ('squeezenet1_1_imagenet', ('--probe', '30', '--classes', '5')), ('waste_sorter', ())])
def test_twenty_small_sets_of_real_pictures_are_not_worse_by_cross_validation(model, arguments, shared_data, tmp_path,
                                                                              monkeypatch):
    whole = ('bench', 'small-calibration', model, str(shared_data / 'trashnet'), '--most', '80', *arguments)
    if model == 'waste_sorter':
        whole += ('--foreign', str(shared_data / 'ood' / 'everyday_pictures'))
    monkeypatch.setattr('sys.argv', ['robot-vision', *whole])
    code, figures = measured(tmp_path, *whole[2:])
    assert code == 0 and len(figures['sets']) == 20
    assert all(row['nll'] <= row['nll_as_it_was'] + 5e-5 for row in figures['sets'])
    assert figures['summary']['mean_loss'] <= 0.01
    assert figures['summary']['largest_loss'] < 0.15
    if model == 'waste_sorter':  # its score was fitted to the training, and stays
        kept, anew = (figures['summary'][key]['everyday_pictures']['accepted_smallest'][0]
                      for key in ('foreign', 'foreign_fitted_anew'))
        assert kept < 0.1 and kept < anew / 2
    else:
        assert 'foreign_fitted_anew' not in figures['summary']

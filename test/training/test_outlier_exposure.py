"""Outliers in training: the loss, a run with them, and that they are in no choice and no figure."""
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.errors import DataError
from robot_vision_dl.core.networks.preprocess import Preprocessor
from robot_vision_dl.data.division import Part
from robot_vision_dl.data.pictures import read_picture
from robot_vision_dl.training.calibration_check import describe_strange, exposed_frames
from robot_vision_dl.training.config_file import parse_config
from robot_vision_dl.training.loss import uniform_divergence
from robot_vision_dl.training.training_data import prepare_data

sys.path.append(str(Path(__file__).parent))
from training_samples import config_text, picture_folders  # noqa: E402

pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')


def test_it_is_zero_for_a_uniform_prediction_and_by_hand_for_another():
    assert uniform_divergence(torch.full((3, 7), 2.0)).item() == pytest.approx(0.0, abs=1e-6)
    p = torch.tensor([0.5, 0.25, 0.25])
    assert uniform_divergence(p.log()[None]).item() == pytest.approx(
        -math.log(3) - (math.log(0.5) + 2 * math.log(0.25)) / 3, abs=1e-6)


def test_its_gradient_is_that_of_the_cross_entropy_to_the_uniform_distribution():
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ours, = torch.autograd.grad(uniform_divergence(logits), logits)
    reference, = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, torch.full((4, 5), 0.2)), logits)
    torch.testing.assert_close(ours, reference)


def strange(train, early_stop, calibration, test):
    counts = dict(zip(Part, (train, early_stop, calibration, test)))
    return {part: np.arange(count) for part, count in counts.items()}


@pytest.mark.parametrize('counts, weight, exposed', [
    ((30, 5, 6, 2), 0.5, 30), ((30, 5, 6, 2), 0.0, 0), ((30, 1, 0, 9), 0.5, 0), ((0, 5, 6, 2), 0.5, 0)])
def test_what_is_needed_to_choose_the_score_is_not_learned_from(counts, weight, exposed):
    found = strange(*counts)
    assert len(exposed_frames(found, weight)) == exposed
    text = describe_strange(found, exposed)
    chosen = sum(counts) - counts[3] - exposed
    assert f'{chosen} of them choose and judge the OOD score' in text
    assert (f'{exposed} of the training part are learned from' in text) == bool(exposed)


def checkers(folder: Path, count: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        small = rng.integers(0, 255, (5, 5, 3), np.uint8)
        picture = cv2.resize(small, (40, 40), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f'{number}.png'), picture)
    return folder


def confidence(bundle, folder: Path) -> float:
    network, preprocess = bundle.load_network(), Preprocessor(bundle.preprocessing, 'cpu')
    with torch.inference_mode():
        logits = network(preprocess([read_picture(path) for path in sorted(folder.glob('*.png'))])).logits
    return torch.softmax(logits, -1).amax(-1).mean().item()


def test_a_run_learns_from_outliers_that_they_are_of_no_class(tmp_path, monkeypatch, capsys):
    from robot_vision_dl.cli.main import main
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    pictures = picture_folders(tmp_path / 'pictures', unknown=4)
    foreign, others = checkers(tmp_path / 'foreign', 30, 0), checkers(tmp_path / 'others', 20, 1)
    found = {}
    for name, weight in (('with', 0.5), ('without', 0)):
        path = tmp_path / f'{name}.yaml'
        path.write_text(config_text(pictures, tmp_path, 6).replace('name: shapes', f'name: {name}').replace(
            'data: {', f'data: {{outliers: ["{foreign}"], ') + f'loss: {{outlier_exposure: {weight}}}\n')
        assert main(['train', str(path)]) == 0
        found[name] = load_bundle(tmp_path / 'models' / name), capsys.readouterr().out
    bundle, said = found['with']
    assert '30 pictures of data.outliers are learned from as outliers' in said
    assert '12 of the training part are learned from as outliers. 8 of them choose and judge' in said
    assert bundle.provenance['outliers'] == (
        '12 frames labelled unknown of the training part and 30 pictures of data.outliers (foreign), learned from '
        '(loss.outlier_exposure 0.5); they chose no score and are in no figure')
    assert 'learned from (loss.outlier_exposure 0.5)' in (bundle.folder / 'MODEL_CARD.md').read_text()
    assert bundle.metrics['calibration']['foreign_pictures']['unknown'] == 4  # of 8 outside training and test, half
    without, said = found['without']
    assert 'outliers' not in without.provenance and 'the network does not learn from them' in said
    assert without.metrics['calibration']['foreign_pictures']['unknown'] in (9, 10)
    assert confidence(bundle, others) < confidence(without, others) - 0.1
    assert bundle.metrics['test']['accuracy'] > 0.5


def test_frames_and_outliers_that_do_not_both_fit_in_the_cache_are_told_before_the_training(tmp_path):
    """The outliers would push out the frames, which are opened at the first picture."""
    pictures, foreign = picture_folders(tmp_path / 'pictures'), checkers(tmp_path / 'foreign', 300, 0)
    text = config_text(pictures, tmp_path, 6).replace('cache: {', 'cache: {max_gb: 0.001, format: raw, ').replace(
        'data: {', f'data: {{outliers: ["{foreign}"], ') + 'loss: {outlier_exposure: 0.5}\n'
    with pytest.raises(DataError, match='frames and outliers are needed together and take more than 0.001 GB'):
        prepare_data(parse_config(text, 't'), tmp_path / 'run', None, lambda _: None)

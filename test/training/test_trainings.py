"""Several trainings from one start, whose weights are averaged."""
import sys
from pathlib import Path

import pytest
import torch

from robot_vision_dl.core.bundles.bundle import load_bundle

sys.path.append(str(Path(__file__).parent))
from training_samples import command, config_text, finished, picture_folders  # noqa: E402

pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')
from robot_vision_dl.training.checkpoint import BEST, load_weights, training_folder  # noqa: E402

_TRAININGS = 3


@pytest.fixture(scope='module')
def pictures(tmp_path_factory) -> Path:
    return picture_folders(tmp_path_factory.mktemp('pictures'))


@pytest.fixture(scope='module')
def start(pictures, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp('start')
    finished(command(work, config_text(pictures, work, epochs=4)))
    return work / 'models' / 'shapes'


def text_of(pictures: Path, work: Path, start: Path, trainings: int) -> str:
    return config_text(
        pictures, work, network=f'{{architecture: lenet5, pretrained: "{start}", dropout: 0.3}}',
        output=f'{{runs: "{work}/runs", models: "{work}/models", ood: energy, half: false}}',
        run=f'{{epochs: 2, batch_size: 16, average_decay: 0.9, device: cpu, threads: 1, trainings: {trainings}}}')


@pytest.fixture(scope='module')
def together(pictures, start, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp('together')
    (work / 'said.txt').write_text(finished(command(work, text_of(pictures, work, start, _TRAININGS))))
    return work


def weights_of(work: Path) -> list:
    return [load_weights(training_folder(work / 'runs' / 'shapes', number) / BEST)[0]
            for number in range(1, _TRAININGS + 1)]


def test_bundle_has_the_mean_of_the_weights_of_different_trainings(together):
    said, each = (together / 'said.txt').read_text(), weights_of(together)
    for number in range(1, _TRAININGS + 1):
        assert f'training {number} of {_TRAININGS}, epoch   2/2' in said
    state = load_bundle(together / 'models' / 'shapes').load_network().state_dict()
    assert set(state) == set(each[0])
    for key, value in state.items():
        torch.testing.assert_close(value, sum(one[key] for one in each) / _TRAININGS, rtol=1e-5, atol=1e-6)
    moved = [float((one['head.weight'] - each[0]['head.weight']).abs().max()) for one in each[1:]]
    assert min(moved) > 1e-4  # seeds are others


def test_more_trainings_of_a_run_that_is_done_give_what_all_at_once_give(together, pictures, start, tmp_path):
    finished(command(tmp_path, text_of(pictures, tmp_path, start, 1)))
    alone = load_weights(tmp_path / 'runs' / 'shapes' / BEST)[0]
    said = finished(command(tmp_path, text_of(pictures, tmp_path, start, _TRAININGS), '--overwrite'))
    assert 'going on with the run' in said and 'training 1 of' not in said
    for now, then in zip(weights_of(tmp_path), weights_of(together)):
        for key, value in now.items():
            assert torch.equal(value, then[key])
    assert torch.equal(alone['head.weight'], weights_of(tmp_path)[0]['head.weight'])
    said = finished(command(tmp_path, text_of(pictures, tmp_path, start, _TRAININGS)))
    assert 'is done already' in said


def test_weights_that_started_at_random_have_no_mean(pictures, tmp_path):
    text = config_text(pictures, tmp_path, run='{epochs: 1, device: cpu, trainings: 2}')
    assert 'run.trainings: 2: weights that were trained from different random ones' in finished(
        command(tmp_path, text), 2)

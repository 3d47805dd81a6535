"""``bench regions``: which objects are trained on, what is told of them, and a whole run over drawn venues."""
import json
from dataclasses import replace

import numpy as np
import pytest
from box_samples import draw, venues

from robot_vision_dl.bench import regions
from robot_vision_dl.bench.regions import AT_RANDOM, BY_VENUE, Seen, _some, _venues, figures_of
from robot_vision_dl.cli.main import main
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.data.labels.objects.yolo import write_yolo
from robot_vision_dl.data.picture_index import FolderPicture
from robot_vision_dl.training.config import InputConfig, LossConfig, NetworkConfig

RECIPE = regions.recipe


def test_figures_worked_out_by_hand():
    p = np.array([[.9, .1], [.8, .2], [.3, .7], [.55, .45], [.95, .05], [.6, .4]])
    seen = Seen(p, np.array([.5, .005, .5, .5, .5, .01]), np.array([0, 0, 0, 1, -1, -1]))
    found = figures_of(seen, ['a', 'b'], 0.4, 0.01)
    assert (found['n'], found['background']) == (4, 2) and found['accuracy'] == .5
    assert found['recall'] == {'a': 2 / 3, 'b': 0.0}
    assert found['nll'] == pytest.approx(-np.log([.9, .8, .3, .45]).mean())
    # Sure by .6 and more and not unknown: the first and the third, which is wrong; of the background the first.
    assert (found['accepted'], found['accepted_wrong'], found['called_unknown']) == (.5, .5, .25)
    assert found['background_accepted'] == .5
    without = figures_of(Seen(p[:2], seen.p_values[:2], seen.labels[:2]), ['a', 'b'], 0.4, 0.01)
    assert without['background_accepted'] is None and without['recall']['b'] is None


def test_what_is_trained_on_is_bounded_and_never_tested_on():
    items = [FolderPicture(None, label) for label in ('a', 'b') for _ in range(30)]
    own = np.array(['x', 'y', 'z'] * 20, dtype=object)
    test = own == 'z'
    used = _some(items, own, test, 4, 0)
    assert not (used & test).any() and used.sum() == 2 * 2 * 4
    assert (_some(items, own, test, 0, 0) == ~test).all()


def test_folders_that_are_one_venue(tmp_path):
    pictures = venues(tmp_path, ['a', 'b', 'c'], 1)
    assert set(_venues(pictures, ['a+c']).values()) == {'a+c', 'b'}
    assert set(_venues([draw(tmp_path / 'one.png', tmp_path, [])], []).values()) == {'.'}
    with pytest.raises(ConfigError, match="--together: no folder 'd' with labelled pictures; there are a, b, c"):
        _venues(pictures, ['a+d'])


def small(epochs, seed, work):
    """As the recipe, for a network that learns from few pictures in seconds."""
    config = RECIPE(epochs, seed, work)
    return replace(config, network=NetworkConfig('lenet5', '', train_from='all'), input=InputConfig(32, 32),
                   loss=LossConfig(), optimizer=replace(config.optimizer, learning_rate=5e-3),
                   run=replace(config.run, average_decay=0.9), output=replace(config.output, ood='energy'))


@pytest.mark.slow
def test_a_run_over_drawn_venues(tmp_path, monkeypatch, capsys):
    pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')
    write_yolo(venues(tmp_path / 'source', ['north', 'south', 'west'], 16), tmp_path / 'source')
    arguments = ['bench', 'regions', str(tmp_path / 'source'), '--held', 'west', '--epochs', '8', '--background', '1',
                 '--json', str(tmp_path / 'figures.json')]
    monkeypatch.setattr('sys.argv', ['robot-vision', *arguments])  # the parser looks there for the measurement
    monkeypatch.setattr(regions, 'recipe', small)
    assert main(arguments) == 0
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert figures['classes'] == ['ball', 'goal post', 'robot'] and figures['venues']['west'] == [16] * 5
    seen, mixed = figures['rounds'][BY_VENUE]['west'], figures['rounds'][AT_RANDOM]['as many as of west']
    assert seen['n'] == 48 and seen['background'] == 16 and mixed['n'] + mixed['background'] == 64
    assert seen['accuracy'] > .6  # three colours
    said = capsys.readouterr()
    assert 'venue never seen' in said.out and 'recall by class' in said.out and 'processor' in said.out

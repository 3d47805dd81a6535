"""A model that is judged on what it was trained on: noticed by the names of recordings, in the parts they were in."""
import json
from dataclasses import replace
from types import MappingProxyType

import pytest
from evaluation_samples import labelled_bag, small_model

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.resources import share_directory
from robot_vision_dl.evaluation.learned import learned_from


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return load_bundle(str(small_model(tmp_path_factory.mktemp('model') / 'small')))


def trained_on(bundle, text):
    return replace(bundle, folder=None, provenance=MappingProxyType({'recordings': text}))


@pytest.mark.parametrize('said, name, found', [
    ('monday, tuesday', 'tuesday', True), ('monday', 'mon', False), ('day1/run, day2/run', 'run', True),
    ('run', 'day1/run', True), ('drun', 'run', False), ('', '', False), (7, 'run', False)])
def test_by_name(bundle, said, name, found):
    assert learned_from(trained_on(bundle, said), [name, 'other']) == ([name] if found else [])


def test_a_bundle_that_says_nothing_and_an_ensemble(bundle):
    assert learned_from(bundle, ['run']) == []
    members = (trained_on(bundle, 'a'), trained_on(bundle, 'b'))
    assert learned_from(replace(bundle, members=members), ['a', 'b', 'c']) == ['a', 'b']


def test_recordings_of_the_test_part_taught_nothing():
    found = load_bundle(str(share_directory() / 'models' / 'waste_sorter'))
    parts = json.loads((found.folder / 'card' / 'split.json').read_text())['recordings']
    for part, names in parts.items():
        assert learned_from(found, names) == ([] if part == 'test' else names)


@pytest.mark.parametrize('split', ['', '[]', '{"recordings": 3}', '{"recordings": {"train": 3, "test": ["run"]}}'])
def test_a_card_that_is_damaged(bundle, tmp_path, split):
    (tmp_path / 'card').mkdir()
    (tmp_path / 'card' / 'split.json').write_text(split)
    found = replace(trained_on(bundle, 'run'), folder=tmp_path)
    assert learned_from(found, ['run']) == ([] if 'test' in split else ['run'])


def test_it_is_told_everywhere(bundle, tmp_path, capsys):
    folder = tmp_path / 'model'
    bundle.folder.rename(folder)
    values = json.loads((folder / 'bundle.json').read_text())
    values['provenance']['recordings'] = 'run, other'
    (folder / 'bundle.json').write_text(json.dumps(values))
    assert main(['evaluate', str(labelled_bag(tmp_path / 'run', 40)), '--model', str(folder), '--device', 'cpu',
                 '--out', str(tmp_path / 'out')]) == 0
    text = 'By their names it was trained on run, of 1 recording judged'
    assert text in capsys.readouterr().out
    assert text in (tmp_path / 'out' / 'summary.md').read_text()
    assert text in (tmp_path / 'out' / 'report.html').read_text()
    assert json.loads((tmp_path / 'out' / 'metrics.json').read_text())['models']['model']['model']['learned_from'] == [
        'run']

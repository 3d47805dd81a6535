"""A bundle in the place of another one: whole at any moment, with its history, and back."""
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from evaluation_samples import small_model

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle
from robot_vision_dl.core.errors import BundleError, OutputError
from robot_vision_dl.labelling.installation import install, previous_of, roll_back
from robot_vision_dl.labelling.model_history import (
    HISTORY,
    INSTALLED,
    REFUSED,
    Entry,
    add,
    describe,
    read_history,
    text_of,
)


@pytest.fixture(scope='module')
def bundles(tmp_path_factory):
    root = tmp_path_factory.mktemp('bundles')
    return small_model(root / 'one', seed=1), small_model(root / 'two', seed=2, class_names=('left', 'right'))


def entry(candidate: Path, installed: Path, **values) -> Entry:
    return Entry(INSTALLED, load_bundle(candidate).identity, load_bundle(installed).identity, **values)


def test_the_history_moves_on_with_the_bundle(bundles, tmp_path):
    one, two = bundles
    place = Path(shutil.copytree(one, tmp_path / 'place'))
    install(two, place, entry(two, place, recordings=('a', 'b'), frames=7, labelled_by={'Ann': 5, 'Bob': 2}))
    assert [each.what for each in read_history(place)] == ['trained', 'installed']
    install(one, place, entry(one, place))
    history = read_history(place)
    assert [each.model for each in history] == [load_bundle(path).identity for path in (one, two, one)]
    assert history[1].labelled_by == {'Ann': 5, 'Bob': 2} and history[1].recordings == ('a', 'b')
    assert load_bundle(previous_of(place)).identity == load_bundle(two).identity
    assert verify_bundle(place) == [] and load_bundle(place).identity == load_bundle(one).identity  # no part of it
    assert not (one / HISTORY).exists()
    lines = '\n'.join(describe(history))
    assert 'learned from   7 frames of 2 recordings: a, b' in lines and 'labelled by    Ann (5), Bob (2)' in lines


def test_rolling_back_twice_leaves_what_was(bundles, tmp_path):
    one, two = bundles
    place = Path(shutil.copytree(one, tmp_path / 'place'))
    with pytest.raises(BundleError, match='there is no bundle before it'):
        roll_back(place)
    install(two, place, entry(two, place))
    assert roll_back(place).identity == load_bundle(one).identity
    assert load_bundle(previous_of(place)).identity == load_bundle(two).identity
    assert roll_back(place).identity == load_bundle(two).identity
    assert [each.what for each in read_history(place)] == ['trained', 'installed', 'rolled back', 'rolled back']


def test_a_bundle_that_was_replaced_meanwhile_stays(bundles, tmp_path):
    one, two = bundles
    place = Path(shutil.copytree(one, tmp_path / 'place'))
    wish = entry(two, place)
    shutil.rmtree(place)
    shutil.copytree(two, place)
    with pytest.raises(BundleError, match='somebody has replaced it meanwhile'):
        install(two, place, wish)
    assert load_bundle(place).identity == load_bundle(two).identity and not (place / HISTORY).exists()


def test_a_candidate_that_is_another_one_than_was_compared_is_not_installed(bundles, tmp_path):
    one, two = bundles
    place = Path(shutil.copytree(one, tmp_path / 'place'))
    before = load_bundle(place).identity
    with pytest.raises(BundleError, match='is what was compared'):
        install(two, place, Entry(INSTALLED, 'something els', before))
    assert load_bundle(place).identity == before


def test_a_folder_of_somebody_else_beside_the_bundle_is_not_replaced(bundles, tmp_path):
    one, two = bundles
    place = Path(shutil.copytree(one, tmp_path / 'place'))
    previous_of(place).mkdir()
    (previous_of(place) / 'thesis.tex').write_text('years')
    with pytest.raises(OutputError, match='place.previous: is there already and is no bundle'):
        install(two, place, entry(two, place))
    assert load_bundle(place).identity == load_bundle(one).identity
    assert (previous_of(place) / 'thesis.tex').read_text() == 'years'


def test_a_refusal_is_added_once(bundles, tmp_path):
    place = Path(shutil.copytree(bundles[0], tmp_path / 'place'))
    identity = load_bundle(place).identity
    gates = ({'figure': 'accuracy', 'old': .9, 'new': .5, 'difference': -.4, 'low': -.5, 'high': None,
              'decided': 'failed'},)
    for _ in range(2):
        add(place, Entry(REFUSED, 'new', identity, round='r', gates=gates, frozen=('f',)))
    assert [each.what for each in read_history(place)] == ['trained', 'refused']
    assert 'failed    accuracy         0.9000 -> 0.5000   -0.4000 (-0.5000 .. -)' in '\n'.join(
        describe(read_history(place)))
    assert load_bundle(place).identity == identity


@pytest.mark.parametrize('line', [b'{', b'[]', b'{"what": "installed"}', b'{"what": 1, "model": "a"}',
                                  b'{"what": "a", "model": "b", "gates": 3}',
                                  b'{"what": "a", "model": "b", "gates": [3]}',
                                  b'{"what": "a", "model": "b", "test": "x"}', b'\xff'])
def test_a_damaged_history_is_told_and_left_as_it_is(line, bundles, tmp_path, capsys):
    place = Path(shutil.copytree(bundles[0], tmp_path / 'place'))
    (place / HISTORY).write_bytes(text_of(read_history(place)).encode() + line + b'\n')
    assert main(['models', 'history', str(place)]) == 2
    assert 'cannot be read as the history of a model' in capsys.readouterr().err
    with pytest.raises(BundleError):
        add(place, Entry(REFUSED, 'new'))
    assert (place / HISTORY).read_bytes().endswith(line + b'\n')


def test_history_on_the_command_line_shows_no_control_characters(bundles, tmp_path, capsys):
    place = Path(shutil.copytree(bundles[0], tmp_path / 'place'))
    add(place, Entry(REFUSED, 'n\x1b[31m', labelled_by={'<b>\x1b[2J': 3}, recordings=('a\nb',), frames=1))
    assert main(['models', 'history', str(place)]) == 0
    said = capsys.readouterr().out
    assert '\x1b' not in said and 'refused' in said
    assert main(['models', 'history', '--json', str(place)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)['what'] for line in lines] == ['trained', 'refused']


class Reader(threading.Thread):
    """Reads the description of a bundle again and again, as a node does that looks whether it has changed."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.place, self.found, self.faults, self.done = place, [], [], threading.Event()

    def run(self):
        while not self.done.wait(.001):
            try:
                self.found.append(json.loads((self.place / 'bundle.json').read_text())['class_names'][0])
            except (OSError, ValueError) as error:
                self.faults.append(error)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


def test_whoever_reads_finds_the_old_bundle_or_the_new_one(bundles, tmp_path):
    place = Path(shutil.copytree(bundles[0], tmp_path / 'place'))
    with Reader(place) as reader:
        for number in range(8):
            candidate = bundles[(number + 1) % 2]
            install(candidate, place, entry(candidate, place))
    assert not reader.faults and set(reader.found) == {'cup', 'left'}
    assert len(read_history(place)) == 9


_KILLING = """
import os, signal, sys, time
from pathlib import Path
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.labelling.installation import install
from robot_vision_dl.labelling.model_history import INSTALLED, Entry
place, *candidates = map(Path, sys.argv[1:])
for line in sys.stdin:
    child = os.fork()
    if not child:
        while True:
            for one in candidates:
                install(one, place, Entry(INSTALLED, load_bundle(one).identity, load_bundle(place).identity))
    time.sleep(float(line))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print('killed', flush=True)
"""


@pytest.mark.slow
def test_whenever_the_writer_is_killed_a_whole_bundle_is_there(bundles, tmp_path):
    place = Path(shutil.copytree(bundles[0], tmp_path / 'place'))
    whole = {load_bundle(path).identity for path in bundles}
    process = subprocess.Popen([sys.executable, '-c', _KILLING, str(place), *map(str, bundles)], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env={**os.environ, 'OMP_NUM_THREADS': '1'})
    lengths = []
    with Reader(place) as reader:
        for delay_s in np.random.default_rng(0).uniform(.02, .4, 40):
            process.stdin.write(f'{delay_s}\n')
            process.stdin.flush()
            assert process.stdout.readline() == 'killed\n'
            assert load_bundle(place).identity in whole and verify_bundle(place) == []
            history = read_history(place)
            assert history[-1].model == load_bundle(place).identity
            lengths.append(len(history))
    process.communicate()
    assert process.returncode == 0 and not reader.faults and set(reader.found) <= {'cup', 'left'}
    assert lengths == sorted(lengths) and lengths[-1] > 10
    assert all(later.before == earlier.model for earlier, later in zip(history, history[1:]))

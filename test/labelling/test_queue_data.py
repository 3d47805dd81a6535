"""A queue that people labelled is learned from: labels beside its bags, who gave them, and a model that is better."""
import sys
from pathlib import Path

import numpy as np
import pytest

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.labelling.events import Action, EventStore, Stretch
from robot_vision_dl.labelling.model_history import read_history
from robot_vision_dl.labelling.queue_data import is_queue, queue_data
from robot_vision_dl.labelling.queue_file import QueueInterval, QueueRecording, write_queue

sys.path.append(str(Path(__file__).parent))
from improve_samples import CLASSES, recordings, settings, shown  # noqa: E402

STEP_NS, TOPIC = 250_000_000, '/camera'


def labelled_queue(root: Path, bags: int, each: int, seed: int = 0) -> Path:
    """Bags of shapes in turn, and a queue in which each stretch is labelled rightly, by two people."""
    rng = np.random.default_rng(seed)
    found, intervals, actions = [], [], {'Ann': [], 'Bob': []}
    for number in range(1, bags + 1):
        start = 1_700_000_000_000_000_000 + number * 3_600_000_000_000
        path = root / f'day{number}'
        with ImageBagWriter(path) as writer:
            for index in range(3 * each):
                writer.write_raw(TOPIC, start + index * STEP_NS, shown(CLASSES[index // each], rng))
        found.append(QueueRecording(number, path.name, str(path), start))
        for place, label in enumerate(CLASSES):
            begin, end = (start + edge * each * STEP_NS for edge in (place, place + 1))
            intervals.append((QueueInterval(len(intervals) + 1, number, TOPIC, begin, end, each, 'uncertain', .5, False,
                                            True, ((label, .5),)), []))
            actions['Bob' if number == bags else 'Ann'].append(Action(
                f'action_{number}_{place}', 'label', (Stretch(path.name, str(path), TOPIC, begin, end),), label))
    queue = root / 'queue'
    queue.mkdir()
    write_queue(queue, {'class_names': list(CLASSES), 'model': 'shapes'}, found, intervals)
    with EventStore(queue) as store:
        for who, own in actions.items():
            store.append('tab', who, own)
    return queue


def test_labels_go_beside_the_bags_and_people_are_counted(tmp_path):
    queue = labelled_queue(tmp_path, 3, 2)
    assert is_queue(queue) and not is_queue(tmp_path)
    seen = queue_data(queue, write=False)
    assert seen.labelled_by == {'Ann': 6, 'Bob': 3} and not (tmp_path / 'day1' / 'labels.yaml').exists()
    found = queue_data(queue, write=True)
    assert found.bags == tuple(str(tmp_path / f'day{n}') for n in (1, 2, 3)) and found.labelled_by == seen.labelled_by
    assert (tmp_path / 'day3' / 'labels.yaml').read_text().count('label: ') == 3
    assert 'labels of 3 bags, 3 files' in found.notes[0] and '0 files' in queue_data(queue, write=True).notes[0]


def test_bags_of_which_nothing_is_labelled_or_all_is_ignored_are_left_out(tmp_path):
    queue = labelled_queue(tmp_path, 2, 2)
    with EventStore(queue) as store:
        stretches = tuple(stretch for event in store.events() for stretch in event.action.stretches
                          if stretch.recording == 'day2')
        store.append('tab', 'Ann', [Action('ignore_all', 'label', stretches, 'ignore')])
    assert queue_data(queue, write=False).bags == (str(tmp_path / 'day1'),)
    with EventStore(queue) as store:
        stretches = tuple(stretch for event in store.events() for stretch in event.action.stretches)
        store.append('tab', 'Ann', [Action('clear_all', 'clear', stretches)])
    with pytest.raises(ConfigError, match='nothing is labelled that could be learned from'):
        queue_data(queue, write=False)


@pytest.mark.slow
def test_improve_learns_from_a_queue_and_tells_who_labelled(tmp_path, monkeypatch, capsys):
    pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')
    monkeypatch.chdir(tmp_path)
    recordings(tmp_path / 'few', 4, each=8, seed=1)
    recordings(tmp_path / 'frozen', 8, each=8, seed=3)
    (tmp_path / 'train.yaml').write_text(settings(tmp_path / 'few', tmp_path, 6))
    assert main(['train', 'train.yaml']) == 0
    queue = labelled_queue(tmp_path, 8, 16, seed=2)
    assert main(['improve', str(queue), '--model', 'models/shapes', '--frozen', str(tmp_path / 'frozen' / '*'),
                 '--without', 'foreign_accepted', 'worst_recall', 'acted_wrong', 'decided_right', 'false_unknown',
                 '--margin', 'nll=.1', 'accuracy=.05']) == 0
    last = read_history(Path('models/shapes'))[-1]
    assert last.labelled_by == {'Ann': 21, 'Bob': 3} and 'day8' in last.recordings
    assert last.model == load_bundle('models/shapes').identity
    capsys.readouterr()
    assert main(['models', 'history', 'models/shapes']) == 0
    assert 'labelled by    Ann (21), Bob (3)' in capsys.readouterr().out

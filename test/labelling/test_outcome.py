"""``labels.yaml`` of a queue: frames get exactly the label that people gave, and nobody's earlier label is lost."""
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelled_queue import PERIOD, T0, TOPIC, queue_of, say, write_frames

from robot_vision_dl.core.errors import ConfigError, OutputError
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.frame_sources import open_sources
from robot_vision_dl.data.labels.files import labels_text
from robot_vision_dl.data.labels.labels import Finding, LabelConfig, LabelInterval
from robot_vision_dl.data.labels.report import LabelCounter
from robot_vision_dl.labelling.earlier import earlier_labels, with_frames
from robot_vision_dl.labelling.events import Action, EventStore, read_events
from robot_vision_dl.labelling.outcome import bag_labellings, queue_labels, with_earlier, write_labels
from robot_vision_dl.labelling.queue_file import QueueFile
from robot_vision_dl.labelling.state import LabelledPiece, fold
from robot_vision_dl.labelling.stretches import outside
from robot_vision_dl.labelling.written import read_records, write_records

COUNT = 20
STAMPS = [T0 + 7 + place * PERIOD for place in range(COUNT)]
END = STAMPS[-1] + 1


def shown(bag: Path, labels: str = 'auto', topic: str = TOPIC) -> list:
    """The label of each frame of a topic, as every command reads it."""
    source, = open_sources([bag], LabelConfig((labels,)), [topic])
    return [verdict.label if verdict.finding is Finding.LABELLED else verdict.finding.value
            for _, verdict, _ in source.candidates(LabelCounter())]


@pytest.fixture
def bag(tmp_path):
    return write_frames(tmp_path / 'hall', {TOPIC: STAMPS})


@pytest.fixture
def queue(tmp_path, bag):
    return queue_of(tmp_path / 'queue', {'hall': bag}, [('hall', TOPIC, STAMPS[0], END)])


def test_frames_get_their_label_the_first_and_the_last_too(queue, bag):
    say(queue, bag, 'cup', STAMPS[2], STAMPS[5])
    say(queue, bag, 'unknown', STAMPS[5], STAMPS[6])
    say(queue, bag, 'ignore', STAMPS[6], STAMPS[7])
    say(queue, bag, 'unsure', STAMPS[7], STAMPS[9])
    say(queue, bag, 'mug', STAMPS[18], END)
    done, = write_labels(queue)
    assert shown(bag) == ['gap'] * 2 + ['cup'] * 3 + ['unknown', 'ignored'] + ['gap'] * 11 + ['mug'] * 2
    assert done.counts == {'cup': 1, 'ignore': 1, 'mug': 1, 'unknown': 1}
    assert (done.kept, done.changed, done.backup) == (0, True, None)
    assert (bag / 'labels.yaml').read_text() == (
        'times: stamp\nintervals:\n'
        '- {topic: /camera/image_raw, start: 1700000000.200000007, end: 1700000000.500000007, label: cup}\n'
        '- {topic: /camera/image_raw, start: 1700000000.500000007, end: 1700000000.600000007, label: unknown}\n'
        '- {topic: /camera/image_raw, start: 1700000000.600000007, end: 1700000000.700000007, label: ignore}\n'
        '- {topic: /camera/image_raw, start: 1700000001.800000007, end: 1700000001.900000008, label: mug}\n')


def test_the_same_labels_are_the_same_bytes(tmp_path, queue, bag):
    say(queue, bag, 'cup', STAMPS[0], STAMPS[8])
    write_labels(queue)
    first = (bag / 'labels.yaml').read_bytes()
    other = queue_of(tmp_path / 'other', {'hall': bag}, [
        ('hall', TOPIC, STAMPS[4], END), ('hall', TOPIC, STAMPS[0], STAMPS[4])])
    for start, end in ((6, 8), (0, 4), (4, 6), (2, 3)):  # in pieces, in another order, one of them twice
        say(other, bag, 'cup', STAMPS[start], STAMPS[end])
    (bag / 'labels.yaml').unlink()
    write_labels(other)
    assert (bag / 'labels.yaml').read_bytes() == first
    inode = (bag / 'labels.yaml').stat().st_ino
    done, = write_labels(other)
    assert not done.changed and (bag / 'labels.yaml').stat().st_ino == inode


def test_labels_that_were_there_hold_where_the_queue_says_nothing(queue, bag):
    own = 'times: stamp\n# of Monday\nintervals:\n- {start: 1700000000, end: 1700000001.5, label: cup, track: a}\n'
    (bag / 'labels.yaml').write_text(own)
    say(queue, bag, 'mug', STAMPS[3], STAMPS[5])
    say(queue, bag, 'unsure', STAMPS[8], STAMPS[10])
    done, = write_labels(queue)
    assert shown(bag) == ['cup'] * 3 + ['mug'] * 2 + ['cup'] * 3 + ['gap'] * 2 + ['cup'] * 5 + ['gap'] * 5
    assert done.kept == 3 and done.backup == bag / 'labels.yaml.bak' and done.backup.read_text() == own
    say(queue, bag, '', STAMPS[3], STAMPS[5], kind='clear')
    say(queue, bag, '', STAMPS[8], STAMPS[10], kind='clear')
    done, = write_labels(queue)
    assert shown(bag) == ['cup'] * 15 + ['gap'] * 5 and done.backup is None
    assert 'track: a' in (bag / 'labels.yaml').read_text()


def test_what_is_left_of_an_earlier_label_without_a_frame_is_dropped(tmp_path, queue, bag):
    """Else `bag info` complains of what nobody wrote; an interval that was so before stays."""
    (bag / 'labels.yaml').write_text('times: stamp\nintervals:\n- {start: 1700000000, end: 1700000001, label: cup}\n'
                                     '- {start: 1700000009, end: 1700000010, label: own}\n')
    say(queue, bag, 'mug', STAMPS[5], STAMPS[9] + 1)  # [STAMPS[9] + 1, 1.0) has no frame
    for out in (None, tmp_path / 'out'):
        done, = write_labels(queue, out)
        assert done.kept == 2
        text = done.path.read_text()
        assert text.count('label: cup') == text.count('label: own') == text.count('label: mug') == 1
    source, = open_sources([bag], LabelConfig(('auto',)), [TOPIC])
    list(source.candidates(LabelCounter()))
    assert "1 of 3 intervals cover no frame, the first: 'own'" in ' '.join(source.notes)
    assert not write_labels(queue)[0].changed
    say(queue, bag, '', STAMPS[5], STAMPS[9] + 1, kind='clear')
    write_labels(queue)
    assert shown(bag) == ['cup'] * 10 + ['gap'] * 10


def test_a_label_that_is_taken_back_leaves_the_file(queue, bag):
    say(queue, bag, 'mug', STAMPS[3], STAMPS[5])
    write_labels(queue)
    say(queue, bag, 'cup', STAMPS[4], STAMPS[6])
    write_labels(queue)
    assert shown(bag)[3:7] == ['mug', 'cup', 'cup', 'gap']
    say(queue, bag, '', STAMPS[3], STAMPS[6], kind='clear')
    done, = write_labels(queue)
    assert not (bag / 'labels.yaml').exists() and done.changed and done.counts == {}
    assert write_labels(queue) == []


def test_what_others_change_in_the_file_stays(tmp_path, queue, bag):
    say(queue, bag, 'mug', STAMPS[3], STAMPS[5])
    write_labels(queue)
    second = queue_of(tmp_path / 'second', {'hall': bag}, [('hall', TOPIC, STAMPS[0], END)])
    say(second, bag, 'cup', STAMPS[10], STAMPS[12])
    write_labels(second)
    say(queue, bag, '', STAMPS[3], STAMPS[5], kind='clear')
    say(queue, bag, 'mug', STAMPS[0], STAMPS[1])
    write_labels(queue)
    assert shown(bag) == ['mug'] + ['gap'] * 9 + ['cup'] * 2 + ['gap'] * 8


def test_a_killed_writer_is_known_by_the_next(queue, bag, monkeypatch):
    say(queue, bag, 'mug', STAMPS[3], STAMPS[5])
    write_labels(queue)
    say(queue, bag, 'cup', STAMPS[3], STAMPS[5])

    def killed(*_):
        raise KeyboardInterrupt

    for name in ('write_whole', 'Counter'):  # before the file is written; after it
        with monkeypatch.context() as patch:
            patch.setattr(f'robot_vision_dl.labelling.outcome.{name}', killed)
            with pytest.raises(KeyboardInterrupt):
                write_labels(queue)
    say(queue, bag, '', STAMPS[3], STAMPS[5], kind='clear')
    write_labels(queue)
    assert not (bag / 'labels.yaml').exists() and not list(bag.glob('*.bak*'))


def test_a_track_stays_where_the_label_is_the_same(queue, bag):
    (bag / 'labels.yaml').write_text(
        'times: stamp\nintervals:\n- {start: 1700000000, end: 1700000000.7, label: cup, track: a}\n')
    say(queue, bag, 'cup', STAMPS[3], STAMPS[10])
    write_labels(queue)
    assert (bag / 'labels.yaml').read_text().splitlines()[2:] == [
        '- {start: 1700000000, end: 1700000000.300000007, label: cup, track: a}',
        '- {topic: /camera/image_raw, start: 1700000000.300000007, end: 1700000000.7, label: cup, track: a}',
        '- {topic: /camera/image_raw, start: 1700000000.7, end: 1700000001.000000007, label: cup}']


def test_one_camera_of_two_is_labelled_anew(tmp_path):
    left, right = '/left/image_raw', '/right/image_raw'
    bag = write_frames(tmp_path / 'hall', {left: STAMPS, right: STAMPS})
    (bag / 'labels.yaml').write_text('times: stamp\nintervals:\n- {start: 1700000000, label: cup}\n')
    queue = queue_of(tmp_path / 'queue', {'hall': bag}, [('hall', left, STAMPS[0], END)])
    say(queue, bag, 'mug', STAMPS[3], STAMPS[5], left)
    write_labels(queue)
    assert shown(bag, topic=left) == ['cup'] * 3 + ['mug'] * 2 + ['cup'] * 15
    assert shown(bag, topic=right) == ['cup'] * 20


def test_times_from_the_start_keep_their_frames(tmp_path):
    # The clock of the camera is late, and one frame has no stamp.
    stamps = [stamp - 55_000_000 for stamp in STAMPS]
    stamps[6] = 0
    bag = write_frames(tmp_path / 'hall', {TOPIC: stamps})
    queue = queue_of(tmp_path / 'queue', {'hall': bag}, [('hall', TOPIC, stamps[0], stamps[-1] + 1)])
    (bag / 'labels.csv').write_text('# times: from_start\nstart,end,label\n0.25,0.95,cup\n1.5,,mug\n')
    before = shown(bag)
    assert before == ['gap'] * 3 + ['cup'] * 7 + ['gap'] * 5 + ['mug'] * 5
    say(queue, bag, 'mug', stamps[4], stamps[5])
    done, = write_labels(queue)
    assert shown(bag) == [*before[:4], 'mug', *before[5:]] and (bag / 'labels.csv').exists()
    assert 'every frame that they cover keeps its label' in done.notes[0] and 'labels.csv' in done.notes[-1]


def test_frames_of_one_stamp_that_differ_are_refused(tmp_path):
    bag = write_frames(tmp_path / 'hall', {TOPIC: [STAMPS[0]] * 4})
    queue = queue_of(tmp_path / 'queue', {'hall': bag}, [('hall', TOPIC, STAMPS[0], STAMPS[0] + 1)])
    (bag / 'labels.yaml').write_text('times: from_start\nintervals:\n- {start: 0, end: 0.15, label: cup}\n')
    say(queue, bag, 'mug', STAMPS[0], STAMPS[0] + 1)
    with pytest.raises(ConfigError, match='two frames have the stamp 1700000000000000007 ns'):
        write_labels(queue)
    assert not (bag / 'labels.yaml.bak').exists()


def test_a_bag_that_is_a_file_and_one_for_all_bags(tmp_path):
    for name in ('monday', 'tuesday'):
        folder = write_frames(tmp_path / name, {TOPIC: STAMPS})
        next(folder.glob('*.mcap')).rename(tmp_path / f'{name}.mcap')
        (folder / 'metadata.yaml').unlink()
        folder.rmdir()
    (tmp_path / 'labels.yaml').write_text(
        'times: stamp\nintervals:\n- {start: 1700000000, label: cup}\n'
        '- {bag: tuesday, start: 1700000001, label: mug}\n')
    monday, tuesday = tmp_path / 'monday.mcap', tmp_path / 'tuesday.mcap'
    queue = queue_of(tmp_path / 'queue', {'monday': monday}, [('monday', TOPIC, STAMPS[0], END)])
    say(queue, monday, 'mug', STAMPS[3], STAMPS[5], recording='monday')
    done, = write_labels(queue)
    assert done.path == tmp_path / 'monday.labels.yaml'
    assert shown(monday) == ['cup'] * 3 + ['mug'] * 2 + ['cup'] * 15
    assert shown(tuesday) == ['cup'] * 10 + ['conflict'] * 10


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_folders_that_cannot_be_written(queue, bag):
    say(queue, bag, 'mug', STAMPS[3], STAMPS[5])
    bag.chmod(0o555)
    try:
        with pytest.raises(OutputError, match='give --out FOLDER'):
            write_labels(queue)
    finally:
        bag.chmod(0o755)


def test_a_file_that_cannot_be_written_is_told_and_the_others_are(tmp_path, bag, monkeypatch):
    other = write_frames(tmp_path / 'yard', {TOPIC: STAMPS})
    queue = queue_of(tmp_path / 'queue', {'hall': bag, 'yard': other}, [('hall', TOPIC, STAMPS[0], END)])
    for each in (bag, other):
        say(queue, each, 'mug', STAMPS[3], STAMPS[5])
    monkeypatch.setattr('robot_vision_dl.core.files.whole_files._Part', _refusing(bag))
    with pytest.raises(OutputError, match='1 of 2 files of labels are not written.*hall.*give --out FOLDER'):
        write_labels(queue)
    assert shown(other)[3:5] == ['mug', 'mug'] and not (bag / 'labels.yaml').exists()


def _refusing(folder):
    """As a folder that belongs to somebody else, for whoever runs the tests."""
    from robot_vision_dl.core.files import whole_files

    class Part(whole_files._Part):
        def __init__(self, where, is_folder):
            if where == folder:
                raise PermissionError(13, 'Permission denied', str(where))
            super().__init__(where, is_folder)
    return Part


def test_all_bags_in_one_file_elsewhere(tmp_path, queue, bag):
    (bag / 'labels.yaml').write_text('times: stamp\nintervals:\n- {start: 1700000001, label: cup}\n')
    say(queue, bag, 'mug', STAMPS[3], STAMPS[5])
    done, = write_labels(queue, tmp_path / 'out')
    file = tmp_path / 'out' / 'labels.yaml'
    assert done.path == file and done.changed and 'bag: hall' in file.read_text()
    assert shown(bag, str(file)) == ['gap'] * 3 + ['mug'] * 2 + ['gap'] * 5 + ['cup'] * 10
    assert shown(bag) == ['gap'] * 10 + ['cup'] * 10
    assert not write_labels(queue, tmp_path / 'out')[0].changed


def test_a_bag_that_is_gone(tmp_path, queue, bag):
    say(queue, bag, 'mug', STAMPS[3], STAMPS[5])
    bag.rename(tmp_path / 'elsewhere')
    with pytest.raises(ConfigError, match='no such file or folder.*the path that was given to `robot-vision mine`'):
        write_labels(queue)


NAMES = st.sampled_from(['cup', 'mug', 'unknown', 'ignore', 'unsure', 'no', '07', 'a: {b}, # c', "d'é\"", ''])
# A frame without a stamp has the time at which it was received.
TIMES = [STAMPS[place] if place % 3 else 0 for place in range(COUNT)]


@pytest.fixture(scope='module')
def bag_without_stamps(tmp_path_factory):
    return write_frames(tmp_path_factory.mktemp('bags') / 'hall', {TOPIC: TIMES})


@given(st.lists(st.tuples(st.integers(0, 2 * COUNT + 1), st.integers(1, 2 * COUNT), NAMES), max_size=12),
       st.lists(st.tuples(st.integers(0, COUNT), st.integers(1, COUNT), st.sampled_from(['cup', 'old'])), max_size=3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cuts_round_trip(bag_without_stamps, given_labels, earlier):
    """Frames have the label that was given last, whatever the cuts; elsewhere the earlier one."""
    bag = bag_without_stamps
    times = [stamp or T0 + place * PERIOD for place, stamp in enumerate(TIMES)]
    edges = sorted({edge for time in times for edge in (time, time + 1)})
    edges = [*edges, *range(edges[-1] + 1, edges[-1] + 10**6)[:2 * COUNT + 2]]
    expected = ['gap'] * COUNT
    lines = []
    for start, length, label in earlier:
        low, high = times[min(start, COUNT - 1)], times[min(start, COUNT - 1)] + length * PERIOD
        lines.append(f'- {{start: {low // 10**9}.{low % 10**9:09}, end: {high // 10**9}.{high % 10**9:09}, '
                     f'label: {label}}}')
        for place, time in enumerate(times):
            if low <= time < high:
                expected[place] = label if expected[place] in ('gap', label) else 'conflict'
    (bag / 'labels.yaml').write_text('times: stamp\nintervals:\n' + '\n'.join(lines) if lines else
                                     'times: stamp\nintervals: []\n')
    pieces, painted = [], {}
    for start, length, label in given_labels:
        low, high = edges[start], edges[min(start + length, len(edges) - 1)]
        for time in edges:
            if low <= time < high:
                painted[time] = label
    for time, after in zip(edges, edges[1:]):
        if painted.get(time):
            pieces.append(LabelledPiece('hall', str(bag), TOPIC, time, after, painted[time], 'Ann', 0))
    for place, time in enumerate(times):
        label = painted.get(time)
        if label:
            expected[place] = {'ignore': 'ignored', 'unsure': 'gap'}.get(label, label)
    labelling = bag_labellings(pieces)
    with BagReader(bag) as reader:
        now = earlier_labels(reader, 'hall').intervals
        kept = with_frames(reader, outside(now, labelling[0].stretches if labelling else (), [TOPIC]), now)
    text = labels_text(with_earlier(labelling[0], now, kept) if labelling else now)
    (bag / 'labels.yaml').write_text(text)
    assert shown(bag) == expected


@pytest.fixture
def sampled(tmp_path, bag):
    """Intervals as mining makes them: from a frame that was looked at to the last one; the next is four later."""
    return queue_of(tmp_path / 'sampled', {'hall': bag}, [
        ('hall', TOPIC, STAMPS[start], STAMPS[stop] + 1) for start, stop in ((0, 3), (6, 9), (12, 15), (18, 19))],
        every_s=0.3)


def test_frames_between_two_intervals_of_one_label_have_it(sampled, bag):
    for start, stop, label in ((0, 3, 'cup'), (6, 9, 'cup'), (12, 15, 'mug'), (18, 19, 'unsure')):
        say(sampled, bag, label, STAMPS[start], STAMPS[stop] + 1, kind='label')
    write_labels(sampled)
    assert shown(bag) == ['cup'] * 10 + ['gap'] * 2 + ['mug'] * 4 + ['gap'] * 4
    assert [one.label for one in queue_labels(sampled)[0].intervals] == ['cup', 'mug']


@pytest.mark.parametrize('kind', ('clear', 'undo'))
def test_a_label_that_was_taken_away_between_two_intervals_stays_away(sampled, bag, kind):
    say(sampled, bag, 'cup', STAMPS[0], STAMPS[3] + 1, kind='label')
    say(sampled, bag, 'cup', STAMPS[3] + 1, STAMPS[6], kind='label')  # of a mining before, which looked there
    say(sampled, bag, 'cup', STAMPS[6], STAMPS[9] + 1, kind='label')
    with EventStore(sampled) as store:
        middle = list(store.events())[1].action
        store.append('tab', 'Ann', [Action('event-taken-away', kind, middle.stretches if kind == 'clear' else (),
                                           undoes=middle.id if kind == 'undo' else '')])
    assert [(one.start_ns, one.end_ns) for one in queue_labels(sampled)[0].intervals] == [
        (STAMPS[0], STAMPS[3] + 1), (STAMPS[6], STAMPS[9] + 1)]


def test_a_gap_of_the_recording_is_left_alone(tmp_path, bag):
    queue = queue_of(tmp_path / 'sampled', {'hall': bag}, [
        ('hall', TOPIC, STAMPS[0], STAMPS[3] + 1), ('hall', TOPIC, STAMPS[14], END)], every_s=0.3)
    for start, stop in ((0, 3), (14, 19)):
        say(queue, bag, 'cup', STAMPS[start], STAMPS[stop] + 1, kind='label')
    write_labels(queue)
    assert shown(bag)[3:15] == ['cup'] + ['gap'] * 10 + ['cup']


def test_an_earlier_label_that_both_neighbours_lost_goes_with_them(sampled, bag):
    own = ('times: stamp\nintervals:\n- {start: 1700000000, end: 1700000001.1, label: old}\n'
           '- {start: 1700000001.1, label: mug}\n')
    (bag / 'labels.yaml').write_text(own)
    before = shown(bag)
    assert before == ['old'] * 11 + ['mug'] * 9
    say(sampled, bag, 'cup', STAMPS[0], STAMPS[3] + 1, kind='label')  # then two of old
    say(sampled, bag, 'bowl', STAMPS[6], STAMPS[9] + 1, kind='label')  # then one of old and one of mug
    write_labels(sampled)
    assert shown(bag) == ['cup'] * 4 + ['gap'] * 2 + ['bowl'] * 4 + ['gap'] + ['mug'] * 9
    done, = write_labels(sampled)
    assert not done.changed
    say(sampled, bag, '', STAMPS[6], STAMPS[9] + 1, kind='clear')
    write_labels(sampled)
    assert shown(bag) == ['cup'] * 4 + ['old'] * 7 + ['mug'] * 9
    say(sampled, bag, '', STAMPS[0], STAMPS[3] + 1, kind='clear')
    write_labels(sampled)
    assert shown(bag) == before


def test_labels_for_a_training(queue, bag):
    say(queue, bag, 'cup', STAMPS[3], STAMPS[5])
    say(queue, bag, 'cup', STAMPS[5], STAMPS[6])
    found, = queue_labels(queue)
    assert (found.recording, found.path) == ('hall', bag)
    assert found.intervals == (LabelInterval(STAMPS[3], STAMPS[6], 'cup', TOPIC),)


def _two_shifts(tmp_path) -> list:
    """Two working folders with a bag of the same name in each, an hour apart."""
    bags = []
    for place, name in enumerate(('monday', 'tuesday')):
        later = place * 3600 * 10**9
        bags.append(write_frames(tmp_path / name / 'hall', {TOPIC: [stamp + later for stamp in STAMPS]},
                                 [T0 + later + number * PERIOD for number in range(COUNT)]))
    return bags


def test_another_bag_at_a_relative_path_is_neither_written_nor_are_labels_taken_back(tmp_path, monkeypatch):
    """Queues of before have paths as they were given: from another working folder these lead to other bags."""
    monday, tuesday = _two_shifts(tmp_path)
    queue = queue_of(tmp_path / 'queue', {'hall': Path('hall')}, [('hall', TOPIC, STAMPS[0], END)])
    say(queue, Path('hall'), 'cup', STAMPS[0], STAMPS[5])
    monkeypatch.chdir(monday.parent)
    write_labels(queue)
    written = (monday / 'labels.yaml').read_bytes()
    monkeypatch.chdir(tuesday.parent)
    for out in (None, tmp_path / 'out'):
        with pytest.raises(ConfigError, match='is not the bag that was mined as hall: its first message was received '
                                              f'at {T0 + 3600 * 10**9} ns, and of that one at {T0} ns; run'):
            write_labels(queue, out)
    assert (monday / 'labels.yaml').read_bytes() == written and not (tuesday / 'labels.yaml').exists()
    say(queue, Path('hall'), '', STAMPS[0], STAMPS[5], kind='clear')
    write_labels(queue)  # the record has the name of the recording
    assert not (monday / 'labels.yaml').exists()


def test_a_recording_that_the_queue_lacks_and_whose_path_is_relative_is_refused(tmp_path, monkeypatch):
    _, tuesday = _two_shifts(tmp_path)
    queue = queue_of(tmp_path / 'queue', {'hall': Path('hall')}, [('hall', TOPIC, STAMPS[0], END)])
    say(queue, Path('hall'), 'cup', STAMPS[0], STAMPS[5], recording='yard')
    monkeypatch.chdir(tuesday.parent)
    with pytest.raises(ConfigError, match='hall: the queue has labels of it but does not tell which bag it is.*mine'):
        write_labels(queue)


def test_a_recording_that_is_refused_costs_no_other(tmp_path, bag, monkeypatch):
    """A queue of before whose last mining was without one of its bags, which has a relative path."""
    other = write_frames(tmp_path / 'yard', {TOPIC: STAMPS})
    queue = queue_of(tmp_path / 'queue', {'yard': other}, [('yard', TOPIC, STAMPS[0], END)])
    say(queue, Path('hall'), 'cup', STAMPS[0], STAMPS[5])
    say(queue, other, 'cup', STAMPS[0], STAMPS[5])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match='1 of 2 recordings are refused, hall; files of the others are written; the '
                                          'first: hall: the queue has labels of it but does not tell which bag it is'):
        write_labels(queue)
    assert shown(other)[:6] == ['cup'] * 5 + ['gap'] and not (bag / 'labels.yaml').exists()
    with pytest.raises(ConfigError, match='^hall: the queue has labels of it'):
        write_labels(queue, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    monkeypatch.setattr('robot_vision_dl.core.files.whole_files._Part', _refusing(other))
    say(queue, other, 'mug', STAMPS[0], STAMPS[5])
    with pytest.raises(OutputError, match='1 of 1 files of labels are not written, the others are; refused are hall;'):
        write_labels(queue)


def test_what_was_taken_back_of_records_of_before(tmp_path, bag, monkeypatch):
    """They do not name the recording, and paths are as they were given to the mining."""
    queue = queue_of(tmp_path / 'queue', {'hall': Path('hall')}, [('hall', TOPIC, STAMPS[0], END)])
    say(queue, Path('hall'), 'cup', STAMPS[0], STAMPS[5])
    monkeypatch.chdir(tmp_path)
    write_labels(queue)
    write_records(queue, {name: replace(one, recording='') for name, one in read_records(queue).items()})
    say(queue, Path('hall'), '', STAMPS[0], STAMPS[5], kind='clear')
    monkeypatch.chdir(queue)
    done, = write_labels(queue)
    assert (bag / 'labels.yaml').is_file() and not done.changed and not done.counts
    note, = done.notes
    assert 'hall/labels.yaml: stays as the queue wrote it' in note and 'all labels of hall were taken back' in note
    monkeypatch.chdir(tmp_path)
    done, = write_labels(queue)
    assert done.changed and not (bag / 'labels.yaml').exists() and write_labels(queue) == []


def test_bags_that_were_moved_and_mined_again(tmp_path, queue, bag):
    say(queue, bag, 'cup', STAMPS[3], STAMPS[5])
    write_labels(queue)
    moved = tmp_path / 'archive' / 'hall'
    moved.parent.mkdir()
    bag.rename(moved)
    queue_of(queue, {'hall': moved}, [('hall', TOPIC, STAMPS[0], END)])
    done, = write_labels(queue)
    assert done.path == moved / 'labels.yaml' and not done.changed and done.kept == 0
    found, = queue_labels(queue)
    assert found.path == moved
    say(queue, moved, '', STAMPS[3], STAMPS[5], kind='clear')  # what came with the bag is the queue's own
    write_labels(queue)
    assert not (moved / 'labels.yaml').exists()


def test_one_file_for_all_names_a_bag_so_that_no_other_of_the_queue_is_meant(tmp_path):
    bags = {f'{robot}/day1': write_frames(tmp_path / robot / 'day1', {TOPIC: STAMPS}) for robot in ('ra', 'rb')}
    queue = queue_of(tmp_path / 'queue', bags, [(name, TOPIC, STAMPS[0], END) for name in bags])
    say(queue, bags['ra/day1'], 'cup', STAMPS[0], END, recording='ra/day1')
    done, = write_labels(queue, tmp_path / 'out')
    assert 'bag: ra/day1' in done.path.read_text()
    assert shown(bags['ra/day1'], str(done.path)) == ['cup'] * COUNT
    assert shown(bags['rb/day1'], str(done.path)) == ['gap'] * COUNT


@pytest.mark.parametrize('both', (False, True))
def test_one_file_for_all_names_a_file_beside_a_folder_of_its_name(tmp_path, both):
    folder, spare = (write_frames(tmp_path / name, {TOPIC: STAMPS}) for name in ('day1', 'spare'))
    file = tmp_path / 'day1.mcap'
    next(spare.glob('*.mcap')).rename(file)
    queue = queue_of(tmp_path / 'queue', {**({'day1': folder} if both else {}), 'day1.mcap': file},
                     [('day1.mcap', TOPIC, STAMPS[0], END)])
    say(queue, file, 'cup', STAMPS[0], END, recording='day1.mcap')
    if both:
        say(queue, folder, 'mug', STAMPS[0], END, recording='day1')
    done = write_labels(queue, tmp_path / 'out')
    sources = open_sources([folder, file], LabelConfig((str(done[0].path),)), [TOPIC])
    assert [{verdict.label for _, verdict, _ in source.candidates(LabelCounter())} for source in sources] == [
        {'mug' if both else ''}, {'cup'}]
    assert shown(file, str(done[0].path)) == ['cup'] * COUNT


def _as_the_page_shows(queue: Path) -> list:
    """The label of each frame by the piece that it is in; None where the piece has none."""
    with QueueFile(queue) as opened:
        pieces = list(fold(opened, read_events(queue)).all_pieces())
    return [next((label and label.name for piece, label in pieces if piece.start_ns <= stamp < piece.end_ns), None)
            for stamp in STAMPS]


def test_after_a_new_mining_the_page_shows_what_is_written(sampled, bag):
    """Intervals are others then: labels end within them, and frames that were not looked at lie there, open."""
    for start, stop, label in ((0, 3, 'cup'), (6, 9, 'cup'), (12, 15, 'mug')):
        say(sampled, bag, label, STAMPS[start], STAMPS[stop] + 1, kind='label')
    queue_of(sampled, {'hall': bag}, [('hall', TOPIC, STAMPS[0], STAMPS[13]), ('hall', TOPIC, STAMPS[13], END)],
             every_s=0.3)
    expected = ['cup'] * 4 + [None] * 2 + ['cup'] * 4 + [None] * 2 + ['mug'] * 4 + [None] * 4
    assert _as_the_page_shows(sampled) == expected
    write_labels(sampled)
    assert shown(bag) == [one or 'gap' for one in expected]
    say(sampled, bag, 'cup', STAMPS[3] + 1, STAMPS[6], kind='label')
    assert _as_the_page_shows(sampled)[:10] == ['cup'] * 10
    write_labels(sampled)
    assert shown(bag)[:10] == ['cup'] * 10


@pytest.mark.parametrize('again', (False, True))
def test_a_label_that_was_taken_away_between_two_of_its_name_stays_away(tmp_path, bag, again):
    queue = queue_of(tmp_path / 'sampled', {'hall': bag}, [('hall', TOPIC, STAMPS[0], END)], every_s=0.3)
    say(queue, bag, 'cup', STAMPS[0], END, kind='label')
    say(queue, bag, '', STAMPS[4], STAMPS[6], kind='clear')  # as an import clears a part of a piece
    if again:
        queue_of(queue, {'hall': bag}, [('hall', TOPIC, STAMPS[0], STAMPS[12]), ('hall', TOPIC, STAMPS[12], END)],
                 every_s=0.3)
    expected = ['cup'] * 4 + [None] * 2 + ['cup'] * 14
    assert _as_the_page_shows(queue) == expected
    assert [one.end_ns for one in queue_labels(queue)[0].intervals] == [STAMPS[4], END]
    write_labels(queue)
    assert shown(bag) == [one or 'gap' for one in expected]

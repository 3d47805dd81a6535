"""Time bases of labels: stated or refused, units noticed, what covers nothing told; rows with ends, of frames."""
import csv
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_samples import T0_S, TOPIC, S, pattern, write_bag, write_folders

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.images.cdr import encode_image
from robot_vision_dl.core.types import Header, RawImage
from robot_vision_dl.data.bags.message_types import IMAGE
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.frame_sources import open_sources
from robot_vision_dl.data.frame_stream import FrameStream
from robot_vision_dl.data.labels.labels import FOREVER_NS, LabelConfig, LabelInterval
from robot_vision_dl.data.labels.sources import labels_of_bag, write_labels_yaml
from robot_vision_dl.data.labels.times import seconds_text
from robot_vision_dl.data.selection import SelectionConfig
from robot_vision_dl.evaluation.options import EvaluationOptions
from robot_vision_dl.evaluation.recordings import open_recordings


def frames_of(bag, source='auto', **more):
    """([(seconds of the stamp, label, track)], report)."""
    stream = FrameStream(open_sources([bag], LabelConfig((str(source),), **more)), SelectionConfig(0.0, -1))
    found = [(round(sample.frame.stamp_ns / S, 3), sample.frame.label, sample.frame.track) for sample in stream]
    return found, str(stream.label_report)


def simulated(path, count=20, first_stamp_s=30.0, receive_s=T0_S):
    """A bag of a simulation at 10 Hz: stamps from ``first_stamp_s`` on, recorded by a clock of the real world."""
    with ImageBagWriter(path) as writer:
        for index in range(count):
            stamp_ns = round(first_stamp_s * S) + index * S // 10
            data = pattern(index, 8, 8).reshape(-1)
            image = RawImage(Header(stamp_ns, 'camera'), 8, 8, 'bgr8', False, 24, data)
            writer.write_cdr(TOPIC, IMAGE, round(receive_s * S) + index * S // 10, encode_image(image))
    return path


AMBIGUOUS = r'could be from the bag.s start or a stamp, since .* a simulation \(they begin at 30.000 s\). Say which: '


@pytest.mark.parametrize('name, text', [
    ('labels.yaml', '- {start: 0, end: 1, label: cup}\n- {start: 31, end: 32, label: mug}'),
    ('labels.yaml', '- {start: 30.5, label: mug}'),
    ('labels.csv', '30.5,cup\n'), ('labels.csv', 'stamp,end,label\n30.5,31,cup\n'),
    ('labels.csv', 'start,label\n1,cup')])
def test_small_times_of_a_simulation_are_refused(name, text, tmp_path):
    bag = simulated(tmp_path / 'bag')
    (bag / name).write_text(text)
    how = 'times: from_start, or times: stamp' if name.endswith('yaml') else '# times: from_start, or # times: stamp'
    with pytest.raises(ConfigError, match=AMBIGUOUS + how):
        open_sources([bag], LabelConfig())
    with pytest.raises(ConfigError, match=AMBIGUOUS):
        open_recordings([bag], EvaluationOptions())


@pytest.mark.parametrize('name, text', [
    ('labels.yaml', 'times: stamp\nintervals:\n- {start: 30.5, end: 31, label: cup}'),
    ('labels.yaml', 'times: from_start\nintervals:\n- {start: .5, end: 1.0, label: cup}'),
    ('labels.csv', '# times: stamp\n30.5,cup\n31,\n'), ('labels.csv', '# times: from_start\n.5,cup\n1,\n'),
    ('labels.csv', '#times:stamp\nstart,end,label\n30.5,31,cup\n'),
    ('labels.csv', 'from_start,end,label\n.5,1,cup\n'),
    ('labels.csv', 'stamp_ns,end,label\n30500000000,31000000000,cup')])
def test_times_that_are_stated_are_taken_at_their_word(name, text, tmp_path):
    bag = simulated(tmp_path / 'bag')
    (bag / name).write_text(text)
    found, said = frames_of(bag)
    assert found == [(30.5 + i / 10, 'cup', None) for i in range(5)]
    assert 'cover no frame' not in said


def test_simulation_whose_stamps_are_from_the_start_needs_no_word(tmp_path):
    bag = simulated(tmp_path / 'bag', first_stamp_s=0.0)
    (bag / 'labels.yaml').write_text('- {start: 0.5, end: 1, label: cup}')
    assert [at for at, _, _ in frames_of(bag)[0]] == [.5, .6, .7, .8, .9]


@pytest.mark.parametrize('epoch', (1, 30, 1_700_000_000))
def test_what_is_written_here_says_what_its_times_are(epoch, tmp_path):
    folder = write_folders(tmp_path / 'pictures', {'cup': 3, 'mug': 2})
    assert main(['bag', 'from-images', str(folder), '--out', str(tmp_path / 'bag'), '--epoch', str(epoch)]) == 0
    text = (tmp_path / 'bag' / 'labels.yaml').read_text()
    assert text.startswith('times: stamp\nintervals:\n- {start: ' + str(epoch))
    assert [label for _, label, _ in frames_of(tmp_path / 'bag')[0]] == ['cup'] * 3 + ['mug'] * 2
    assert main(['bag', 'synth', str(folder), '--out', str(tmp_path / 'bags'), '--recordings', '1']) == 0
    assert (tmp_path / 'bags' / 'recording_00' / 'labels.yaml').read_text().startswith('times: stamp\n')


@pytest.fixture(scope='module')
def one_frame(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp('labels') / 'bag', 1)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 2**62), st.integers(1, 10**12),
       st.sampled_from(['cup', 'no', '7', 'start: 5', '"a"', 'Müll', '~']),
       st.sampled_from([None, 'track_1', '{end: 3}']), st.booleans())
def test_written_is_read_to_the_nanosecond(one_frame, start, length, label, track, open_end):
    written = LabelInterval(start, FOREVER_NS if open_end else start + length, label, track=track)
    write_labels_yaml(one_frame / 'labels.yaml', [written])
    with BagReader(one_frame) as reader:
        assert labels_of_bag(reader, 'bag').labels.intervals == (written,)


@pytest.mark.parametrize('ns', (0, 1, 10**9, 1_700_000_000_123_456_789, 30_500_000_000, 10**18))
def test_seconds_with_all_digits(ns):
    assert Decimal(seconds_text(ns)) * 10**9 == ns and re.fullmatch(r'[0-9]+(\.[0-9]*[1-9])?', seconds_text(ns))


@pytest.mark.parametrize('text, message', [
    ('- {start: 1700000000123, label: cup}', 'looks like milliseconds; times are in seconds, so write 1700000000.123'),
    ('- {start: 1700000000123456, label: cup}', 'looks like microseconds; .* write 1700000000.123456'),
    ('- {start: 0, end: 500, label: cup}\n- {start: 500, end: 1900, label: mug}',
     'look like milliseconds: .* 1900, and'),
    ('- {start: 0, end: 500000, label: a}\n- {start: 500000, end: 1900000, label: b}', 'look like microseconds'),
    ('- {start: 0, end: 500000000, label: a}\n- {start: 1000000000, end: 1900000000, label: b}',
     'both be seconds|look like nanoseconds'),
    ('times: from_start\nintervals:\n- {start: 1700000000, label: a}', 'more than three years .* write times: stamp'),
    ('times: stamps\nintervals: []', "times: must be stamp or from_start, got 'stamps'; did you mean 'stamp'"),
    ('time: stamp\nintervals: []', "no key 'time'; did you mean 'times'"),
    ('times: stamp', 'must be a list of intervals.*got dict'),
    ('times: [stamp]\nintervals: []', 'times: must be stamp or from_start'),
    ('times: stamp\nintervals: {}', 'must be a list of intervals'),
])
def test_units_and_statements_that_cannot_be(text, message, tmp_path):
    bag = write_bag(tmp_path / 'bag', 20)
    (bag / 'labels.yaml').write_text(text)
    with pytest.raises(ConfigError, match=message):
        open_sources([bag], LabelConfig())


@pytest.mark.parametrize('factor, name', ((10**3, 'milliseconds'), (10**6, 'microseconds'), (10**9, 'nanoseconds')))
def test_units_of_stated_stamps_of_a_simulation(factor, name, tmp_path):
    bag = simulated(tmp_path / 'bag')
    (bag / 'labels.csv').write_text(f'# times: stamp\n{30 * factor},cup\n{31 * factor},mug\n{32 * factor},\n')
    with pytest.raises(ConfigError, match=f'look like {name}|looks like {name}'):
        open_sources([bag], LabelConfig())


@pytest.mark.parametrize('text', (
    '- {start: 0, end: 9999, label: cup}', '- {start: 0, end: 9999, label: cup}\n- {start: 1, end: 9999, label: cup}',
    '- {start: 0, label: cup}\n- {start: 100, end: 200, label: mug}', '- {start: 0, end: 3, label: cup}',
    '- {start: 1700000000000000000, end: 1700000009000000000, label: cup}',
    '- {start: 1700000000, end: 1800000000, label: cup}'))
def test_times_that_are_only_generous_are_no_other_unit(text, tmp_path):
    bag = write_bag(tmp_path / 'bag', 20)
    (bag / 'labels.yaml').write_text(text)
    assert len(frames_of(bag)[0]) == 20


def test_what_covers_no_frame_is_counted(tmp_path, capsys):
    bag = write_bag(tmp_path / 'bag', 20)
    (bag / 'labels.yaml').write_text(
        '- {start: 0, end: 1, label: cup}\n- {start: 5, end: 6, label: mug}\n- {start: 1.91, end: 1.95, label: jar}\n'
        '- {topic: /other, start: 0, label: can}')
    found, said = frames_of(bag)
    assert len(found) == 10
    assert (f"note: labels: 3 of 4 intervals cover no frame, the first: 'mug' from {T0_S + 5}.000 s by the receive "
            f'clock ({bag / "labels.yaml"}, interval 2)') in said
    assert main(['bag', 'info', str(bag)]) == 0
    assert '3 of 4 intervals cover no frame' in capsys.readouterr().out
    recording, = open_recordings([bag], EvaluationOptions())
    times = [T0_S * S + index * S // 10 for index in range(20)]
    table = type('Table', (), {'topics': (TOPIC,), 'rows': np.array(
        [(0, at, at) for at in times], [('topic', 'i4'), ('stamp_ns', 'i8'), ('receive_ns', 'i8')])})
    assert '3 of 4 intervals cover no frame' in recording.without_frames(table)[0]


def test_labels_of_topics_that_are_not_read_are_left_aside(tmp_path):
    bag = write_bag(tmp_path / 'bag', 5, topics=('/front', '/back'))
    (bag / 'labels.yaml').write_text('- {topic: /front, start: 0, label: cup}\n- {topic: /back, start: 0, label: mug}')
    stream = FrameStream(open_sources([bag], LabelConfig(), ['/front']), SelectionConfig(0.0, -1))
    assert {sample.frame.label for sample in stream} == {'cup'} and 'cover no' not in str(stream.label_report)


def test_end_in_a_csv(tmp_path):
    bag = write_bag(tmp_path / 'bag', 20)
    (tmp_path / 'l.csv').write_text('start,end,label,track\n0,0.3,cup,a\n0.5,,mug,\n1.0,1.2,cup,b\n1.5,1.6,cup,b\n')
    found, _ = frames_of(bag, tmp_path / 'l.csv')
    assert [(round(at - T0_S, 1), label, track) for at, label, track in found] == [
        (0, 'cup', 'a'), (.1, 'cup', 'a'), (.2, 'cup', 'a'), *((at / 10, 'mug', None) for at in range(5, 10)),
        (1.0, 'cup', 'b'), (1.1, 'cup', 'b'), (1.5, 'cup', 'b')]


def test_rows_that_overlap_are_conflicts(tmp_path):
    bag = write_bag(tmp_path / 'bag', 10)
    (tmp_path / 'l.csv').write_text('start,end,label\n0,.5,cup\n.3,.8,mug\n')
    assert 'conflict: bag' in frames_of(bag, tmp_path / 'l.csv')[1]


@pytest.mark.parametrize('text, message', [
    ('stamp,label\n0\n', r"line 2: stamp and label are needed, got \['0'\]"),
    ('stamp,track,label\n0,a\n', 'line 2: the label is missing'),
    ('stamp,label\n0,cup,mug\n', 'line 2: 3 cells for 2 columns .stamp, label.*in quotes'),
    ('0,cup,track,/topic\n', "could mean several things.*e.g. 'start,label,track,topic' .*start 0, label cup, track t"),
    ('0,2,cup\n2,4,mug\n', "line 1: .*Put one first, e.g. 'start,end,label' .*start 0, end 2, label cup.*decimal"),
    ('0,1.5,cup,cup_1\n', "e.g. 'start,end,label,track' .*start 0, end 1.5, label cup, track cup_1"),
    ('0;2;cup\n', "e.g. 'start;end;label'"),
    ('0,cup\n1,mug,b\n', "line 2: .*e.g. 'start,label,track'"),
    ('1,5\n', "line 1: .*could mean.*e.g. 'start,label' .*start 1, label 5.*decimal point"),
    ('0,cup\n1,0:05\n', 'line 2: .*could mean'),
    ('time,class\n0,cup\n', r"line 1: the first row must name the columns, stamp and label among them, got \['time',"),
    ('stamp,label\n1,5,cup\n', 'line 2: 3 cells for 2 columns.*decimal point'),
    ('stamp,label\n"1,5",cup\n', "got '1,5'; numbers have a decimal point: 1.5"),
    ('1,5;cup\n', 'numbers have a decimal point: 1.5'),
    ('0:02,cup\n', 'write it in seconds, not as minutes and seconds: 2$'),
    ('stamp,label\n1:00:02.5,cup\n', 'not as minutes and seconds: 3602.5$'),
    ('stamp,label\n-1,cup\n', 'a time cannot be negative'),
    ('sep=,\n0,2,cup\n', "line 2: .*e.g. 'start,end,label'"),
    ('stamp,stop,label\n0,1,cup\n', "'stop' is not read; call the column end"),
    ('start,duration,label\n0,1,cup\n', "'duration' is not read"),
    ('when,label\n0,cup\n', 'the columns stamp and label are needed, got when, label'),
    ('stamp,start,label\n0,0,cup\n', 'only one of stamp and start can be the time'),
    ('stamp,label,label\n0,cup,mug\n', "column 'label' is there twice"),
    ('stamp,end,label\n2,1,cup\n', 'line 2: end must be after start, got 2 and 1'),
    ('stamp,label\nsoon,cup\n', "line 2, stamp: must be seconds .* got 'soon'"),
    ('# times: stamp\nfrom_start,label\n0,cup\n', 'has the column from_start, but says'),
    ('# times: from_start\nstamp_ns,label\n0,cup\n', 'has the column stamp_ns, but says'),
    ('# times: sometimes\n0,cup\n', 'times: must be stamp or from_start'),
    ('stamp,label\n0,\n1,\n', 'not one row has a label'),
    ('12,5;cup\n', 'line 1'),
    ('stamp,label\n0,"cup\n', 'line 2: is no row of a CSV file: unexpected end of data'),
])
def test_mistakes_in_csv(text, message, tmp_path):
    bag = write_bag(tmp_path / 'bag', 3)
    (bag / 'labels.csv').write_text(text)
    with pytest.raises(ConfigError, match=message):
        open_sources([bag], LabelConfig())


@pytest.mark.parametrize('data', (
    '\ufeffstamp,label\n0,bolt\n'.encode(), b'sep=,\r\nstamp,label\r\n0,bolt\r\n', b'"sep=;"\n0;bolt\n',
    b'sep=|\nstamp|label\n0|bolt\n', b'SEP=\t\n0\tbolt\n', '\ufeff# times: from_start\nsep=;\n0;bolt\n'.encode(),
    'stamp;label\r\n0;bolt\r\n'.encode('utf-16'), b'Stamp\tLabel\n0\tbolt\n'))
def test_csv_of_other_programs(data, tmp_path):
    bag = write_bag(tmp_path / 'bag', 3)
    (bag / 'labels.csv').write_bytes(data)
    assert {label for _, label, _ in frames_of(bag)[0]} == {'bolt'}


@pytest.mark.parametrize('text, message', [
    ('{start: 0,5, label: cup}', "no key '5'; numbers have a decimal point"),
    ('{start: 0:02, label: cup}', "got '0:02'; write it in seconds, not as minutes and seconds: 2"),
    ('{start: "0,5", label: cup}', 'decimal point: 0.5'), ('{start: -1, label: cup}', 'cannot be negative')])
def test_mistaken_times_in_yaml(text, message, tmp_path):
    bag = write_bag(tmp_path / 'bag', 3)
    (bag / 'labels.yaml').write_text(f'- {text}')
    with pytest.raises(ConfigError, match=message):
        open_sources([bag], LabelConfig())


@pytest.mark.parametrize('name, text', [
    ('labels.yaml', '- {start: 1700000000, label: cup, topic: /camera/imag_raw}'),
    ('labels.yaml', '- {start: 0, label: cup, topic: /camera/imag_raw}'),
    ('labels.csv', 'start,label,topic\n0,cup,/camera/imag_raw\n')])
def test_a_topic_that_is_not_in_the_bag_is_told(name, text, tmp_path):
    bag = write_bag(tmp_path / 'bag', 3)
    (bag / name).write_text(text)
    found, said = frames_of(bag)
    assert found == [] and 'the labels begin at' not in said
    assert '1 of 1 intervals are of /camera/imag_raw, which is not among the image topics of the bag; did' in said
    assert 'no label is about this topic; they are of /camera/imag_raw' in said
    assert any('which is not among' in text for text in open_recordings([bag], EvaluationOptions())[0].problems)


@pytest.mark.parametrize('text', ['- {start: 0, label: cup, topic: TOPIC}', '- {start: 0, label: cup}'])
def test_topics_that_are_there_are_not_told(text, tmp_path):
    bag = write_bag(tmp_path / 'bag', 3)
    (bag / 'labels.yaml').write_text(text.replace('TOPIC', f'{TOPIC}/compressed'))
    found, said = frames_of(bag)
    assert len(found) == 3 and 'which is not among' not in said


@pytest.mark.parametrize('name, text', [
    ('labels.yaml', '- {start: 0, label: cup, bag: BAG}'), ('labels.csv', 'start,label,bag\n0,cup,BAG\n'),
    ('labels.yaml', '- {start: 0, end: 0.1, label: cup, bag: bag}\n- {start: 0.2, label: cup, bag: Bag}')])
def test_a_bag_that_is_not_read_is_told(name, text, tmp_path):
    bag = write_bag(tmp_path / 'bag', 3)
    (bag / name).write_text(text)
    _, said = frames_of(bag)
    assert re.search(r'about this bag \(bag\), but about B(AG|ag); did you mean bag: bag\?', said), said


def test_one_file_for_several_bags_says_nothing(tmp_path):
    (tmp_path / 'labels.yaml').write_text('- {start: 0, label: cup, bag: a}\n- {start: 0, label: mug, bag: b}')
    for name in 'ab':
        found, said = frames_of(write_bag(tmp_path / name, 3))
        assert len(found) == 3 and 'about' not in said


@pytest.mark.parametrize('name, text', [
    ('labels.yaml', 'times: stamp\nintervals:\n- {start: 0, end: 0.2, label: cup}'),
    ('labels.csv', '# times: stamp\nstart,label\n0,cup\n')])
def test_stamps_that_are_from_the_start(name, text, tmp_path):
    bag = write_bag(tmp_path / 'bag', 3)
    (bag / name).write_text(text)
    with pytest.raises(ConfigError, match='at 0 s and the stamps of .* at 1700000000.000 s; did you mean .*start'):
        open_sources([bag], LabelConfig())


def test_columns_that_are_not_read_are_told(tmp_path):
    bag = write_bag(tmp_path / 'bag', 3)
    (bag / 'labels.csv').write_text('stamp,label,annotator,bag\n0,cup,me,bag\n0,mug,me,another\n')
    found, said = frames_of(bag)
    assert {label for _, label, _ in found} == {'cup'} and 'columns that are not read: annotator' in said


def test_own_tables_are_labels_frame_by_frame(tmp_path):
    """``index.csv`` of an extract, thinned: the frames that were written have their label again, others none."""
    bag = write_bag(tmp_path / 'bag', 20, labels=[(0.0, 'cup'), (1.0, '=mug')])
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'out'), '--every', '0.5']) == 0
    found, _ = frames_of(bag, tmp_path / 'out' / 'index.csv')
    assert [(round(at - T0_S, 1), label) for at, label, _ in found] == [
        (0, 'cup'), (.5, 'cup'), (1.0, '=mug'), (1.5, '=mug')]
    other = write_bag(tmp_path / 'other', 20)
    found, said = frames_of(other, tmp_path / 'out' / 'index.csv')
    assert found == [] and 'no row is about this bag (other), but about bag' in said


def test_frames_of_a_report_are_labels(tmp_path):
    from robot_vision_dl.evaluation.output import COLUMNS
    bag = write_bag(tmp_path / 'bag', 4)
    rows = [dict.fromkeys(COLUMNS, ''), dict.fromkeys(COLUMNS, '')]
    for number, (row, label) in enumerate(zip(rows, ('cup', ''))):
        row.update(model='m', recording='bag', topic=TOPIC, index=number, stamp_ns=T0_S * S + number * S // 10,
                   receive_ns=T0_S * S + number * S // 10, label=label, outcome='accepted', decision='mug')
    for known in (True, False):
        with open(tmp_path / 'frames.csv', 'w', newline='') as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows if known else rows[1:])
        if known:
            assert [(label, round(at - T0_S, 1)) for at, label, _ in frames_of(bag, tmp_path / 'frames.csv')[0]] == [
                ('cup', 0.0)]
        else:
            with pytest.raises(ConfigError, match='not one row has a label; it is the table of an evaluation without '
                                                  'labels, and what a model has predicted is no label'):
                frames_of(bag, tmp_path / 'frames.csv')


def test_real_bag_of_a_simulation(shared_data, tmp_path):
    """Its stamps begin in 1970 and are those from the start: both readings are one."""
    (tmp_path / 'l.yaml').write_text('- {start: 1, end: 2, label: dark}')
    assert len(frames_of(shared_data / 'bags' / 'ros2_mono8_db3', tmp_path / 'l.yaml')[0]) == 1


@pytest.mark.parametrize('text, said', [
    ('# Times: stamp\n# times: from_start\n0,cup\n', 'says both # times: stamp and # times: from_start'),
    ('# times: from_start\n0,cup\n# TIMES = stamp\n', 'says both # times: from_start and # times: stamp'),
    ('# Times: from_strat\n0,cup\n', 'times: must be stamp or from_start'),
])
def test_two_statements_of_the_times_are_refused(text, said, tmp_path):
    bag = write_bag(tmp_path / 'run', 3)
    (tmp_path / 'l.csv').write_text(text)
    with pytest.raises(ConfigError, match=said):
        frames_of(bag, str(tmp_path / 'l.csv'))


@pytest.mark.parametrize('line', ['# Times: stamp', '#TIMES:Stamp', '# times = stamp\n# times: stamp'])
def test_the_statement_is_read_however_it_is_spelt(line, tmp_path):
    """Times that would be from the start, if nothing were said."""
    bag = simulated(tmp_path / 'run', first_stamp_s=30.0)
    (tmp_path / 'l.csv').write_text(f'{line}\n31.05,cup\n')
    frames, report = frames_of(bag, tmp_path / 'l.csv')
    assert [stamp for stamp, *_ in frames] == pytest.approx([31.1 + index / 10 for index in range(9)]), report


@pytest.mark.parametrize('rows, labels, conflicts', [
    ('0,cup\n0,mug\n0.5,mug\n', {'mug': 5}, 5),
    ('0,cup\n0.5,mug\n0.5,cup\n', {'cup': 5}, 5),
    ('0,cup\n0,cup\n', {'cup': 10}, 0),
    ('0,cup\n0,\n0.5,mug\n', {'mug': 5}, 0),
    ('0,\n0,cup\n', {'cup': 10}, 0),
    ('0,cup\n0.5,mug\n0.5,ignore\n', {'cup': 5}, 0),
    ('0,cup\n0.2,cup\n0.2,mug\n0.5,cup\n', {'cup': 7}, 3),
])
def test_rows_of_one_moment_that_differ_are_a_conflict(rows, labels, conflicts, tmp_path):
    bag = write_bag(tmp_path / 'run', 10)
    (tmp_path / 'l.csv').write_text(f'# times: from_start\nstamp,label\n{rows}')
    stream = FrameStream(open_sources([bag], LabelConfig((str(tmp_path / 'l.csv'),))), SelectionConfig(0.0, -1))
    assert len(list(stream)) == sum(labels.values())
    report = stream.label_report
    assert report.counts == labels and sum(topic.conflicts for topic in report.topics) == conflicts


@pytest.mark.parametrize('number', ['1_0', '١', '0x1', 'infinity', 'nan', '1e', '--1'])
@pytest.mark.parametrize('form', ['csv', 'yaml'])
def test_only_plain_numbers_are_times(number, form, tmp_path):
    bag = write_bag(tmp_path / 'run', 3)
    path = tmp_path / f'l.{form}'
    path.write_text(f'# times: from_start\nstamp,label\n{number},cup\n' if form == 'csv' else
                    f'- {{start: "{number}", label: cup}}\n')
    with pytest.raises(ConfigError, match='must be seconds from'):
        frames_of(bag, str(path))

"""Labels of frames from every source: what holds when, conflicts, gaps, mistakes, and real bags."""
import cv2
import numpy as np
import pytest
from bag_samples import write_ros1, write_ros2
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_samples import T0_S, TOPIC, S, pattern, write_bag, write_folders

from robot_vision_dl.core.errors import BagError, ConfigError
from robot_vision_dl.core.images.cdr import encode_image
from robot_vision_dl.core.types import Header, RawImage
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.frame_sources import open_sources
from robot_vision_dl.data.frame_stream import FrameStream
from robot_vision_dl.data.labels.bag_names import BagNames
from robot_vision_dl.data.labels.labels import Clock, Finding, LabelConfig, LabelInterval, Labels
from robot_vision_dl.data.labels.messages import (
    CLASSIFICATION,
    TYPES_BY_NAME,
    decode_label,
    encode_label,
    message_store,
)
from robot_vision_dl.data.labels.sources import labels_of_bag, write_labels_yaml
from robot_vision_dl.data.recording_paths import recording_names
from robot_vision_dl.data.selection import SelectionConfig

LABELS = LabelConfig()
ALL = SelectionConfig(0.0, -1)


def labelled(paths, config=LABELS, selection=ALL, **more):
    """(frames, stream) of bags."""
    stream = FrameStream(open_sources(paths, config), selection, **more)
    return [sample.frame for sample in stream], stream


def seconds(frames):
    return [round(frame.stamp_ns / S - T0_S, 3) for frame in frames]


@pytest.mark.parametrize('label_type', TYPES_BY_NAME)
def test_topic_holds_until_the_next(label_type, tmp_path):
    bag = write_bag(tmp_path / 'bag', 20, labels=[(0.3, 'cup'), (0.8, 'mug'), (1.2, ''), (1.5, 'unknown')],
                    label_type=label_type)
    frames, stream = labelled([bag])
    assert [frame.label for frame in frames] == ['cup'] * 5 + ['mug'] * 4 + ['unknown'] * 5
    assert seconds(frames) == [*np.arange(3, 12) / 10, *np.arange(15, 20) / 10]
    report, = stream.label_report.topics
    assert (report.frames, report.labelled, report.gaps, report.conflicts, report.ignored) == (20, 14, 6, 0, 0)
    assert stream.label_report.counts == {'cup': 5, 'mug': 4, 'unknown': 5}


def test_topic_holds_no_longer_than_said(tmp_path):
    bag = write_bag(tmp_path / 'bag', 20, labels=[(0.0, 'cup'), (0.2, 'cup'), (1.0, 'mug')])
    frames, _ = labelled([bag], LabelConfig(hold_s=0.3))
    assert seconds(frames) == [0, .1, .2, .3, .4, 1, 1.1, 1.2]


def test_best_result_of_a_classification():
    label = encode_label(CLASSIFICATION, 5, 'camera', 'cup')
    assert decode_label(CLASSIFICATION, label) == (5, 'cup')
    assert decode_label(CLASSIFICATION, encode_label(CLASSIFICATION, 0, '', '')) == (None, '')
    store = message_store()
    message = store.deserialize_cdr(label, CLASSIFICATION)
    kind = store.types['vision_msgs/msg/ObjectHypothesis']
    message.results = [kind(class_id='a', score=0.2), kind(class_id='b', score=0.7), kind(class_id='c', score=0.1)]
    assert decode_label(CLASSIFICATION, store.serialize_cdr(message, CLASSIFICATION)) == (5, 'b')
    with pytest.raises(BagError, match='cannot be read'):
        decode_label(CLASSIFICATION, label[:20])


def test_header_and_receive_clock_disagree(tmp_path):
    """A Classification is matched by the header's stamp, a String by the time of its arrival."""
    for name in TYPES_BY_NAME:
        msgtype = TYPES_BY_NAME[name]
        with ImageBagWriter(tmp_path / name) as writer:
            for index in range(10):
                header_ns, receive_ns = (100 + index) * S, (T0_S + index) * S
                if index == 4:
                    writer.write_cdr('/label', msgtype, receive_ns, encode_label(msgtype, header_ns, '', 'cup'))
                picture = np.full((8, 8), index, np.uint8)
                image = RawImage(Header(header_ns, 'camera'), 8, 8, 'mono8', False, 8, picture.reshape(-1))
                writer.write_cdr(TOPIC, 'sensor_msgs/msg/Image', receive_ns, encode_image(image))
        frames, _ = labelled([tmp_path / name])
        assert [(frame.stamp_ns // S, frame.label) for frame in frames] == [(100 + i, 'cup') for i in range(4, 10)]


def test_zero_stamp_is_the_time_of_arrival(tmp_path):
    with ImageBagWriter(tmp_path / 'bag') as writer:
        image = RawImage(Header(0, ''), 8, 8, 'mono8', False, 8, np.zeros(64, np.uint8))
        writer.write_cdr(TOPIC, 'sensor_msgs/msg/Image', 7 * S + T0_S * S, encode_image(image))
    (tmp_path / 'bag' / 'labels.yaml').write_text(f'- {{start: {T0_S}, end: {T0_S + 8}, label: cup}}')
    frame, = labelled([tmp_path / 'bag'])[0]
    assert (frame.stamp_ns, frame.label) == ((T0_S + 7) * S, 'cup')


YAML = """
- {topic: /front, start: 0.0, end: 1.0, label: cup, track: cup_1}
- {start: 0.5, end: 1.5, label: mug}       # conflicts with cup on /front, not on /back
- {start: 1.2, end: 1.3, label: ignore}
- start: 1700000001.7
  label: no                                # YAML would make a boolean of it
- {bag: another, start: 0, label: glass}
"""


def test_intervals_in_yaml(tmp_path):
    bag = write_bag(tmp_path / 'bag', 20, topics=('/front', '/back'))
    (bag / 'labels.yaml').write_text(YAML)
    frames, stream = labelled([bag])
    front = [(at, frame.label, frame.track) for at, frame in zip(seconds(frames), frames) if frame.topic == '/front']
    assert front == [(at / 10, 'cup', 'cup_1') for at in range(5)] + [
        (at / 10, 'mug', None) for at in (10, 11, 13, 14)] + [(at / 10, 'no', None) for at in (17, 18, 19)]
    back = [(at, frame.label) for at, frame in zip(seconds(frames), frames) if frame.topic == '/back']
    assert back == [(at / 10, 'mug') for at in (*range(5, 12), 13, 14)] + [(at / 10, 'no') for at in (17, 18, 19)]
    report = {topic.topic: topic for topic in stream.label_report.topics}['/front']
    assert (report.labelled, report.ignored, report.conflicts, report.gaps) == (12, 1, 5, 2)
    assert report.first_conflict == (T0_S * S + S // 2, 'cup / mug')
    assert 'conflict: bag /front, first at 1700000000.500 s: cup / mug' in str(stream.label_report)


@pytest.mark.parametrize('place', ('bag/labels.yaml', 'bag.labels.yaml', 'labels.yaml', 'bag/labels.csv'))
def test_label_file_beside_the_bag(place, tmp_path):
    bag = write_bag(tmp_path / 'bag', 3)
    (tmp_path / place).write_text('0, cup' if place.endswith('csv') else '- {start: 0, label: cup}')
    assert [frame.label for frame in labelled([bag])[0]] == ['cup'] * 3


@pytest.mark.parametrize('head', ('stamp,label,track\n', '# a comment\nstamp,label,track\n'))
def test_csv(head, tmp_path):
    bag = write_bag(tmp_path / 'bag', 10)
    (tmp_path / 'my.csv').write_text(f'{head}1700000000.2,cup,first\n1700000000400000000, mug\n1700000000.7,\n')
    frames, _ = labelled([bag], LabelConfig((str(tmp_path / 'my.csv'),)))
    assert [(at, f.label, f.track) for at, f in zip(seconds(frames), frames)] == [
        (.2, 'cup', 'first'), (.3, 'cup', 'first'), (.4, 'mug', None), (.5, 'mug', None), (.6, 'mug', None)]


def test_sources_that_disagree_are_a_conflict(tmp_path):
    bag = write_bag(tmp_path / 'bag', 10, labels=[(0.0, 'cup')])
    (bag / 'labels.yaml').write_text('- {start: 0, end: 0.5, label: cup}\n- {start: 0.5, label: mug}')
    _, stream = labelled([bag], LabelConfig(('auto', 'topic:/label')))
    report, = stream.label_report.topics
    assert (report.labelled, report.conflicts) == (5, 5)


def test_ignored_labels(tmp_path):
    bag = write_bag(tmp_path / 'bag', 4, labels=[(0.0, 'cup'), (0.2, 'hand')])
    frames, stream = labelled([bag], LabelConfig(ignore=('hand',)))
    assert [frame.label for frame in frames] == ['cup'] * 2
    assert stream.label_report.topics[0].ignored == 2


@pytest.mark.parametrize('text, message', [
    ('- {start: 0, label: uncertain}', r"interval 1: a frame cannot be labelled 'uncertain'.*'unknown'.*'ignore'"),
    ('- {start: 0, lable: cup}', r"no key 'lable'; did you mean 'label'\?"),
    ('- {start: 2, end: 1, label: cup}', r'end must be after start, got 2 and 1'),
    ('- {start: 0, end: 1700000000, label: cup}', r"both be seconds from the bag's start or both absolute"),
    ('- {start: soon, label: cup}', r"interval 1, start: .*got 'soon'"),
    ('- {start: -1, label: cup}', r"interval 1, start: .*got '-1'"),
    ('- {start: 1}', r'interval 1: label is missing'),
    ('- {start: 1, label: ""}', r'the label is empty'),
    ('- {start: 1, label: [a, b]}', r'label must be a single value'),
    ('start: 1', r'must be a list of intervals.*got dict'),
    ('- cup', r"must have start, end and label, got 'cup'"),
    ('- {start: 1', r'is not YAML that can be read .line 2, column 1: did not find expected|line 1, column 12'),
])
def test_mistakes_in_yaml(text, message, tmp_path):
    bag = write_bag(tmp_path / 'bag', 2)
    (bag / 'labels.yaml').write_text(text)
    with pytest.raises(ConfigError, match=message):
        open_sources([bag], LabelConfig())


@pytest.mark.parametrize('sources, message', [
    (('auto',), r'no labels: there is no labels.yaml.*and no topic that ends with /label'),
    (('topic:/lable',), r"no label topic '/lable'; did you mean '/camera/image_raw'|there are"),
    (('topic:/camera/image_raw',), r'is of type sensor_msgs/msg/Image; labels are std_msgs/msg/String or'),
    (('labels.txt',), r"'labels.txt' is no label source"),
    (('missing.yaml',), r'missing.yaml: cannot be read'),
])
def test_sources_that_are_not_there(sources, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        open_sources([write_bag(tmp_path / 'bag', 2)], LabelConfig(sources))


def test_label_that_is_no_class(tmp_path):
    bag = write_bag(tmp_path / 'bag', 4, labels=[(0.0, 'cup'), (0.1, 'unknown'), (0.2, 'mugg')])
    with pytest.raises(ConfigError, match=r"label 'mugg' is not among the classes; did you mean 'mug'\?"):
        labelled([bag], class_names=('cup', 'mug'))


def test_a_folder_that_is_no_class_has_no_topic_and_a_remedy_that_every_command_has(tmp_path):
    (tmp_path / 'pics' / 'trash').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'pics' / 'trash' / '1.png'), np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(ConfigError) as refused:
        labelled([tmp_path / 'pics'], class_names=('cup', 'mug'))
    assert str(refused.value) == ("pics: the label 'trash' is not among the classes; there are cup, mug. If it is none "
                                  "of them, label it 'unknown'; 'ignore' leaves it out")
    for name, count in (('unknown', 1), ('ignore', 0)):
        (tmp_path / 'pics' / 'trash').rename(tmp_path / 'pics' / name)
        assert len(labelled([tmp_path / 'pics'], class_names=('cup', 'mug'))[0]) == count
        (tmp_path / 'pics' / name).rename(tmp_path / 'pics' / 'trash')


def test_hint_where_clocks_do_not_meet(tmp_path):
    bag = write_bag(tmp_path / 'bag', 4)
    (bag / 'labels.yaml').write_text('- {start: 1600000000, end: 1600000100, label: cup}')
    _, stream = labelled([bag])
    assert 'by the header clock the labels begin at 1600000000.000 s, the pictures at 1700000000.000 s' in str(
        stream.label_report)


def test_labels_written_are_labels_read(tmp_path):
    bag = write_bag(tmp_path / 'bag', 10)
    begin = T0_S * S + 1
    written = [LabelInterval(begin, begin + 300_000_001, 'cup: "a"', track='x'),
               LabelInterval(begin + 300_000_001, begin + 500_000_000, 'no', TOPIC)]
    write_labels_yaml(bag / 'labels.yaml', written)
    with BagReader(bag) as reader:
        found = labels_of_bag(reader, 'bag').labels
    for later in (-1, 0, 300_000_000, 300_000_001, 499_999_999, 500_000_000):
        stamp_ns = begin + later
        expected = Labels(written).at(TOPIC, stamp_ns, 0)
        assert found.at(TOPIC, stamp_ns, 0) == expected
    assert found.at(TOPIC, begin, 0) == (Finding.LABELLED, 'cup: "a"', 'x')


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 15), st.sampled_from('ab'), st.sampled_from([None, '/x']),
                          st.sampled_from(list(Clock))), max_size=8))
def test_lookup_agrees_with_looking_through_all_intervals(items):
    intervals = [LabelInterval(start, start + length, label, topic, None, clock)
                 for start, length, label, topic, clock in items]
    labels = Labels(intervals)
    for stamp in range(0, 50, 3):
        for topic in ('/x', '/y'):
            receive = 49 - stamp
            there = {i.label for i in intervals if i.topic in (None, topic)
                     and i.start_ns <= (stamp if i.clock is Clock.HEADER else receive) < i.end_ns}
            finding = labels.at(topic, stamp, receive).finding
            assert finding is (Finding.GAP, Finding.LABELLED, Finding.CONFLICT)[len(there)]


def test_names_of_recordings_are_unique(tmp_path):
    for name in ('mon/run', 'tue/run', 'tue/other'):
        (tmp_path / name).mkdir(parents=True)
    paths = [tmp_path / name for name in ('mon/run', 'tue/run', 'tue/other')]
    assert recording_names(paths) == ['mon/run', 'tue/run', 'other']
    assert recording_names([tmp_path / 'a.bag', tmp_path / 'a.mcap']) == ['a.bag', 'a.mcap']


def test_bags_by_glob_and_folder(tmp_path):
    for name in ('a1', 'a2', 'b1'):
        write_bag(tmp_path / name, 2, labels=[(0, 'cup')])
    assert len(labelled([str(tmp_path / 'a*')])[0]) == 4
    assert len(labelled([tmp_path])[0]) == 6
    with pytest.raises(BagError, match='nothing matches'):
        open_sources([str(tmp_path / 'c*')], LabelConfig())


@pytest.mark.parametrize('write', (lambda folder: write_ros2(folder / 'bag', 20).parent,
                                   lambda folder: write_ros1(folder / 'bag.bag', 20)))
def test_cut_off_bag_gives_what_is_readable_and_says_so(write, tmp_path):
    bag = write(tmp_path)
    file = next(bag.glob('*.mcap')) if bag.is_dir() else bag
    data = file.read_bytes()
    file.write_bytes(data[:int(.6 * len(data))])
    (tmp_path / 'labels.yaml').write_text('- {start: 0, label: cup}')
    frames, stream = labelled([bag])
    assert 5 <= len(frames) <= 14
    assert any('could be read' in problem for problem in stream.label_report.problems)


def test_folder_of_pictures(tmp_path):
    folder = write_folders(tmp_path / 'pictures', {'cup': 4, 'Unknown': 2}, copies=[('cup', 1)])
    (folder / 'cup' / '9.jpg').write_bytes(b'no picture')
    frames, stream = labelled([folder])
    assert [frame.label for frame in frames] == ['unknown'] * 2 + ['cup'] * 5
    tracks = {frame.path.rsplit('/', 1)[-1]: frame.track for frame in frames if frame.label == 'cup'}
    assert tracks['1.jpg'] == tracks['1_copy.jpg'] and len(set(tracks.values())) == 4
    assert stream.selection_report.unreadable == 1 and '9.jpg' in stream.selection_report.problems[0]


def test_thinning(tmp_path):
    bag = write_bag(tmp_path / 'bag', 20, labels=[(0.0, 'cup'), (1.05, 'mug')])
    frames, stream = labelled([bag], selection=SelectionConfig(0.5, -1, least=0))
    assert seconds(frames) == [0, .5, 1, 1.1, 1.6]
    assert (stream.selection_report.kept, stream.selection_report.too_soon) == (5, 15)


def test_near_duplicates_are_left_out_but_not_across_labels(tmp_path):
    with ImageBagWriter(tmp_path / 'bag') as writer:
        for index, seed in enumerate((1, 1, 2, 1, 1, 3)):
            writer.write_jpeg(TOPIC, (T0_S + index) * S, pattern(seed), 95 - 5 * index)
    (tmp_path / 'bag' / 'labels.yaml').write_text('- {start: 0, end: 4, label: cup}\n- {start: 4, label: mug}')
    frames, stream = labelled([tmp_path / 'bag'], selection=SelectionConfig(0.0, 4, least=0))
    assert seconds(frames) == [0, 2, 4, 5]
    assert stream.selection_report.duplicates == 2


@pytest.mark.parametrize('bag, label, frames, encoding', [
    ('ros1_compressed_aruco.bag', 'tag', 1, None), ('ros2_mono8_db3', 'dark', 3, None),
    ('ros1_raw_and_png.bag', 'room', 2, None), ('ros2_mixed_mcap', 'test', 2, None)])
def test_real_bags(bag, label, frames, encoding, shared_data, tmp_path):
    (tmp_path / 'l.yaml').write_text(f'- {{start: 0, label: {label}}}')
    found, stream = labelled([shared_data / 'bags' / bag], LabelConfig((str(tmp_path / 'l.yaml'),)))
    report = stream.label_report
    assert report.counts == {label: sum(topic.frames for topic in report.topics)}
    assert len(found) + stream.selection_report.unreadable == report.counts[label] >= frames


def _labels_of(path, labels, topics=('/front/image_raw', '/rear/image_raw')):
    """A bag of ten frames a camera at 10 Hz, and (topic, seconds, label) in the order in which they were received."""
    with ImageBagWriter(path) as writer:
        msgtype = TYPES_BY_NAME['classification']
        for number, (topic, at_s, label) in enumerate(labels):
            writer.write_cdr(topic, msgtype, T0_S * S + number,
                             encode_label(msgtype, T0_S * S + round(at_s * S), 'camera', label))
        for number in range(10):
            for place, topic in enumerate(topics):
                writer.write_raw(topic, T0_S * S + number * S // 10, pattern(10 * number + place))
    return path


def test_each_camera_has_the_labels_of_the_topic_in_its_namespace(tmp_path):
    bag = _labels_of(tmp_path / 'bag', [('/front/label', 0, 'cup'), ('/rear/label', 0, 'mug'),
                                        ('/front/label', .5, 'mug')])
    frames, stream = labelled([bag])
    assert [frame.label for frame in frames if frame.topic == '/front/image_raw'] == ['cup'] * 5 + ['mug'] * 5
    assert [frame.label for frame in frames if frame.topic == '/rear/image_raw'] == ['mug'] * 10
    assert any('/front/label labels /front/image_raw' in note for note in stream.label_report.notes)
    one = _labels_of(tmp_path / 'one', [('/front/label', 0, 'cup')])
    assert [frame.label for frame in labelled([one])[0]] == ['cup'] * 20  # one for all cameras


def test_the_nearest_namespace_counts_and_cameras_in_none_are_told(tmp_path):
    bag = _labels_of(tmp_path / 'bag', [('/label', 0, 'cup'), ('/front/label', 0, 'mug')])
    frames, _ = labelled([bag])
    assert {(frame.topic, frame.label) for frame in frames} == {('/front/image_raw', 'mug'), ('/rear/image_raw', 'cup')}
    bag = _labels_of(tmp_path / 'three', [('/front/label', 0, 'mug'), ('/rear/label', 0, 'cup')],
                     ('/front/image_raw', '/rear/image_raw', '/top/image_raw'))
    frames, stream = labelled([bag])
    assert {frame.topic for frame in frames} == {'/front/image_raw', '/rear/image_raw'}
    assert any('/top/image_raw has no label topic in its namespace' in note for note in stream.label_report.notes)


def test_of_one_camera_all_label_topics_are(tmp_path):
    """Wherever they are: of an operator and of a station, say."""
    bag = _labels_of(tmp_path / 'bag', [('/operator/label', 0, 'cup'), ('/station/label', .5, 'ignore')],
                     ('/camera/image_raw',))
    assert [frame.label for frame in labelled([bag])[0]] == ['cup'] * 5


@pytest.mark.parametrize('labels, lost', [
    (('/front/label', '/station/label'), '/station/label'),
    (('/front/label', '/rear/label', '/label'), '/label')])
def test_label_topics_that_could_be_of_any_camera_are_refused(labels, lost, tmp_path):
    bag = _labels_of(tmp_path / 'bag', [(topic, 0, 'cup') for topic in labels])
    with pytest.raises(ConfigError, match=f'which camera do the label topics .*{lost} has no camera in its namespace '
                                          'that no other is nearer to; name the one to read as topic:/front/label, or '
                                          'write a labels.yaml'):
        labelled([bag])
    assert labelled([bag], LabelConfig(('topic:/front/label',)))[0]


def test_labels_that_are_received_out_of_order_hold_from_their_stamps(tmp_path):
    bag = _labels_of(tmp_path / 'bag', [('/label', at_s, label) for at_s, label in (
        (0, 'cup'), (.6, 'cup'), (.3, 'mug'), (.8, 'mug'), (.8, 'cup'), (.9, 'cup'))], ('/camera/image_raw',))
    frames, stream = labelled([bag])
    assert [frame.label for frame in frames] == ['cup'] * 3 + ['mug'] * 3 + ['cup'] * 3  # 0.8 s is in conflict
    assert stream.label_report.topics[0].conflicts == 1


@pytest.mark.parametrize('kind', ('yaml', 'csv'))
def test_a_bag_is_named_by_the_end_of_its_path(kind, tmp_path):
    bags = [write_bag(tmp_path / robot / 'day1', 3) for robot in ('ra', 'rb')]

    def file(name):
        path = tmp_path / f'some.{kind}'
        path.write_text(f'- {{bag: {name}, start: 0, label: cup}}' if kind == 'yaml'
                        else f'bag,from_start,label\n{name},0,cup\n')
        return LabelConfig((str(path),))

    def cups(paths, name):
        return [frame.recording for frame in labelled(paths, file(name))[0] if frame.label == 'cup']
    assert cups(bags, 'ra/day1') == ['ra/day1'] * 3
    assert cups(bags[:1], 'ra/day1') == cups(bags[:1], f'{tmp_path.name}/ra/day1') == ['day1'] * 3
    assert not cups(bags[1:], 'ra/day1') and not cups(bags, 'a/day1') and not cups(bags, 'ra')
    assert cups(bags[:1], 'day1') == ['day1'] * 3
    with pytest.raises(ConfigError, match='bag: day1 is the name of several bags that are read together, ra/day1 '
                                          'among them; write bag: ra/day1 if that is meant'):
        cups(bags, 'day1')
    for bag, label in zip(bags, ('cup', 'mug')):  # each file beside its bag is about no other
        (bag.parent / 'labels.yaml').write_text(f'- {{bag: day1, start: 0, label: {label}}}')
    assert [frame.label for frame in labelled(bags)[0]] == ['cup'] * 3 + ['mug'] * 3


def _says(folder, name):
    file = folder / 'labels.yaml'
    file.write_text(f'- {{bag: {name}, start: 0, label: cup}}')
    return LabelConfig((str(file),))


def _cups(paths, config):
    return {frame.recording for frame in labelled(paths, config)[0] if frame.label == 'cup'}


def test_a_file_beside_one_of_the_bags_that_are_called_so_means_that(tmp_path):
    bags = [write_bag(tmp_path / 'day1', 3), write_bag(tmp_path / 'sub' / 'day1', 3)]
    assert _cups(bags, _says(tmp_path, 'day1')) == {f'{tmp_path.name}/day1'}
    assert _cups(bags, _says(tmp_path, 'sub/day1')) == {'sub/day1'}
    other = write_bag(tmp_path / 'x' / 'sub' / 'day1', 3)
    assert _cups([bags[1], other], _says(tmp_path, 'sub/day1')) == {f'{tmp_path.name}/sub/day1'}
    with pytest.raises(ConfigError, match='is the name of several bags'):
        _cups([bags[1], other], _says(tmp_path / 'x', 'day1'))


def _as_file(path):
    """A bag of one file, without its folder."""
    folder = write_bag(path.with_name('folder'), 3)
    next(folder.glob(f'*{path.suffix}')).rename(path)
    (folder / 'metadata.yaml').unlink()
    folder.rmdir()
    return path


def test_a_folder_and_a_file_beside_it_that_differ_in_the_suffix_only(tmp_path):
    bags = [write_bag(tmp_path / 'day1', 3), _as_file(tmp_path / 'day1.mcap')]
    assert recording_names(bags) == ['day1', 'day1.mcap']
    (tmp_path / 'else').mkdir()
    for folder in (tmp_path, tmp_path / 'else'):
        for name in ('day1', f'{tmp_path.name}/day1'):
            assert _cups(bags, _says(folder, name)) == {'day1'}
            frames, stream = labelled(bags[1:], _says(folder, name))  # alone it is called day1, too
            assert not [frame for frame in frames if frame.label]
            assert any('about this bag (day1.mcap), but about' in note for note in stream.label_report.notes)
        for name in ('day1.mcap', f'{tmp_path.name}/day1.mcap'):
            assert _cups(bags, _says(folder, name)) == {'day1.mcap'}


def test_of_two_files_that_differ_in_the_suffix_only_neither_is_called_without(tmp_path):
    (tmp_path / 'else').mkdir()
    mcap = _as_file(tmp_path / 'day1.mcap')
    for folder in (tmp_path, tmp_path / 'else'):
        names = BagNames(mcap, 'day1.mcap', folder)  # beside a day1.bag
        with pytest.raises(ConfigError, match='bag: day1 is the name of several bags that are read together, day1.mcap '
                                              'among them; write bag: day1.mcap'):
            names.has('day1', 'labels.yaml')
        assert names.has('day1.mcap', 'labels.yaml') and not names.has('day1.bag', 'labels.yaml')
        assert names.shown == ('day1.mcap',)
        assert BagNames(mcap, 'day1', folder).has('day1', 'labels.yaml')  # read alone

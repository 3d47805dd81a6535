"""Decisions as a bag, read back by rosbags and by the tools of mcap."""
import numpy as np
import pytest
from evaluation_samples import STEP_NS, T0_NS, labelled_bag, small_model
from rosbags.highlevel import AnyReader

from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.images.image import decode
from robot_vision_dl.core.runtime.overlay import COLOUR_OF_OUTCOME
from robot_vision_dl.core.types import Outcome
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.labels.messages import STRING, decode_label, encode_label, message_store
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions

OPTIONS = EvaluationOptions(with_values(ClassifierConfig(), {'device': 'cpu', 'decision.abstain_cost': 0.3}),
                            run=RunOptions(draws=100))
DECISION, CLASSES = '/classifier/camera/decision', '/classifier/camera/classification'
UNCERTAINTY = '/classifier/camera/uncertainty'


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp('models')
    return [str(small_model(folder / 'small')), str(small_model(folder / '2nd', seed=3))]


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    return labelled_bag(tmp_path_factory.mktemp('bags') / 'bag', 60)


def test_rosbags_reads_types_stamps_and_values(models, bag, tmp_path):
    found = evaluate([bag], models[:1], OPTIONS, write_bag=str(tmp_path / 'out.mcap'))
    rows = found.tables['small'].rows
    with AnyReader([tmp_path / 'out.mcap'], default_typestore=message_store()) as reader:
        types = {connection.topic: connection.msgtype for connection in reader.connections}
        assert types == {DECISION: 'vision_msgs/msg/Classification', CLASSES: 'vision_msgs/msg/Classification',
                         UNCERTAINTY: 'diagnostic_msgs/msg/DiagnosticArray'}
        messages = {topic: [] for topic in types}
        for connection, receive_ns, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            stamp = message.header.stamp
            messages[connection.topic].append((receive_ns, stamp.sec * 10**9 + stamp.nanosec, message))
    for heard in messages.values():
        assert [(receive, stamp) for receive, stamp, _ in heard] == [
            (T0_NS + i * STEP_NS, T0_NS + i * STEP_NS) for i in range(60)]
        assert {message.header.frame_id for _, _, message in heard} == {'camera'}
    names = found.tables['small'].class_names
    for row, (_, _, decision), (_, _, classes), (_, _, why) in zip(rows, *(messages[t] for t in (
            DECISION, CLASSES, UNCERTAINTY))):
        outcome = int(row['outcome'])
        assert decision.results[0].class_id == (names[row['fused_predicted']], 'uncertain', 'unknown')[outcome]
        assert decision.results[0].score == pytest.approx(row['trust'])
        assert [r.class_id for r in classes.results][0] == names[row['predicted']]
        assert sum(r.score for r in classes.results) == pytest.approx(1, abs=1e-5)
        assert why.status[0].level == outcome
        values = {item.key: item.value for item in why.status[0].values}
        assert float(values['ood_score']) == pytest.approx(row['ood_score'], rel=1e-5)
    assert set(rows['outcome'].tolist()) == {0, 1, 2}


def test_the_overlay_shows_each_frame_with_its_decision(models, bag, tmp_path):
    """The banner's left edge has the colour of the outcome, as in the live node's topic."""
    found = evaluate([bag], models[:1], OPTIONS, write_bag=str(tmp_path / 'out.mcap'), overlay=True, copy_topics=True)
    rows = found.tables['small'].rows
    with BagReader(tmp_path / 'out.mcap') as reader:
        pictures = [message.decode() for message in reader.image_messages(['/classifier/camera/overlay/compressed'])]
    assert [picture.header.stamp_ns for picture in pictures] == rows['stamp_ns'].tolist()
    colours = [COLOUR_OF_OUTCOME[outcome] for outcome in (Outcome.ACCEPTED, Outcome.UNCERTAIN, Outcome.UNKNOWN)]
    for picture, outcome in zip(pictures, rows['outcome'].tolist()):
        seen = decode(picture).pixels
        assert seen.shape[1] == 640
        np.testing.assert_allclose(seen[10:40, 2:6].mean((0, 1)), colours[outcome], atol=6)
    evaluate([bag], models, OPTIONS, write_bag=str(tmp_path / 'two.mcap'), overlay=True)
    with BagReader(tmp_path / 'two.mcap') as reader:
        assert {name for name in reader.topics if 'overlay' in name} == {
            '/small/classifier/camera/overlay/compressed', '/m2nd/classifier/camera/overlay/compressed'}


def test_the_tools_of_mcap_read_it(models, bag, tmp_path):
    decoder = pytest.importorskip('mcap_ros2.decoder', reason='mcap-ros2-support is not installed')
    from mcap.reader import make_reader
    evaluate([bag], models[:1], OPTIONS, write_bag=str(tmp_path / 'out.mcap'))
    with open(tmp_path / 'out.mcap', 'rb') as file:
        reader = make_reader(file, decoder_factories=[decoder.DecoderFactory()])
        assert reader.get_header().profile == 'ros2'
        found = list(reader.iter_decoded_messages(topics=[DECISION, UNCERTAINTY]))
    assert len(found) == 120
    for schema, channel, message, decoded in found:
        assert channel.message_encoding == 'cdr' and schema.encoding == 'ros2msg'
        stamp = decoded.header.stamp
        assert message.log_time == stamp.sec * 10**9 + stamp.nanosec
        if channel.topic == DECISION:
            assert schema.name == 'vision_msgs/msg/Classification'
            assert 0 <= decoded.results[0].score <= 1


def test_our_own_reader_takes_the_decisions_as_labels(models, bag, tmp_path):
    evaluate([bag], models[:1], OPTIONS, write_bag=str(tmp_path / 'out.mcap'))
    with BagReader(tmp_path / 'out.mcap') as reader:
        assert reader.problems == ()
        stamp_ns, label = decode_label('vision_msgs/msg/Classification', next(reader.messages([DECISION])).cdr)
    assert stamp_ns == T0_NS and label


def test_with_the_topics_of_the_input(models, bag, tmp_path):
    evaluate([bag], models[:1], OPTIONS, write_bag=str(tmp_path / 'with_input'), copy_topics=True)
    with BagReader(tmp_path / 'with_input') as copy, BagReader(bag) as original:
        assert copy.problems == ()
        assert {name: topic.count for name, topic in copy.topics.items()} == {
            '/camera/image_raw': 60, DECISION: 60, CLASSES: 60, UNCERTAINTY: 60}
        assert [m.cdr for m in copy.messages(['/camera/image_raw'])] == [m.cdr for m in original.messages()]
        stamps = [message.receive_ns for message in copy.messages()]
        assert stamps == sorted(stamps)


def test_topics_that_ros_has_not_and_those_of_the_results_are_not_copied(models, tmp_path):
    source = labelled_bag(tmp_path / 'bag', 5)
    with BagReader(source) as reader, ImageBagWriter(tmp_path / 'odd') as writer:
        for message in reader.messages():
            writer.write_cdr(message.topic, message.msgtype, message.receive_ns, message.cdr)
            for topic in ('/a b', '/a__b', DECISION):
                writer.write_cdr(topic, STRING, message.receive_ns, encode_label(STRING, 0, '', 'x'))
    (tmp_path / 'odd' / 'labels.yaml').write_bytes((source / 'labels.yaml').read_bytes())
    found = evaluate([tmp_path / 'odd'], models[:1], OPTIONS, write_bag=str(tmp_path / 'out'), copy_topics=True)
    said = '\n'.join(found.problems)
    assert '/a b is not copied: ROS 2 has no such' in said and f'{DECISION} is not copied: the results go there' in said
    with BagReader(tmp_path / 'out') as reader:
        assert set(reader.topics) == {'/camera/image_raw', DECISION, CLASSES, UNCERTAINTY}
        assert reader.topics[DECISION].msgtype == 'vision_msgs/msg/Classification'


def test_names_of_cameras_and_models_are_parts_of_topics():
    from robot_vision_dl.core.text.topic_name import is_topic_name
    from robot_vision_dl.evaluation.decision_bag import _name, camera_names
    names = camera_names(['/a b/image', '/front/image_raw', '/1st'])
    assert names['/front/image_raw'] == 'front_image_raw' and len(set(names.values())) == 3
    for name in (*names.values(), *map(_name, ('a--b', '2nd', 'ä ö', 'x'))):
        assert is_topic_name(f'/{name}/decision'), name


def test_two_models_and_several_recordings(models, bag, tmp_path):
    evaluate([bag], models, OPTIONS, write_bag=str(tmp_path / 'both.mcap'))
    with BagReader(tmp_path / 'both.mcap') as reader:
        assert '/small/classifier/camera/decision' in reader.topics
        assert '/m2nd/classifier/camera/decision' in reader.topics
    other = labelled_bag(tmp_path / 'other', 5, 1)
    evaluate([bag, other], models[:1], OPTIONS, write_bag=str(tmp_path / 'many'))
    assert sorted(path.name for path in (tmp_path / 'many').iterdir()) == ['bag', 'other']
    with pytest.raises(ConfigError, match='2 recordings do not go into one file; name a folder'):
        evaluate([bag, other], models[:1], OPTIONS, write_bag=str(tmp_path / 'one.mcap'))


def test_an_existing_bag_stays_and_a_failure_leaves_none(models, bag, tmp_path):
    (tmp_path / 'out.mcap').write_bytes(b'precious')
    with pytest.raises(ConfigError, match='exists already and is not overwritten'):
        evaluate([bag], models[:1], OPTIONS, write_bag=str(tmp_path / 'out.mcap'))
    assert (tmp_path / 'out.mcap').read_bytes() == b'precious'
    bad = labelled_bag(tmp_path / 'bad', 30)
    (bad / 'labels.csv').write_text(f'{T0_NS},cup\n{T0_NS + 20 * STEP_NS},kettle\n')
    (bad / 'labels.yaml').unlink()
    with pytest.raises(ConfigError, match='kettle'):
        evaluate([bad], models[:1], OPTIONS, write_bag=str(tmp_path / 'new.mcap'))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['bad', 'out.mcap']


def test_the_same_input_gives_the_same_bytes(models, bag, tmp_path):
    for name in 'ab':
        evaluate([bag], models[:1], OPTIONS, write_bag=str(tmp_path / name / 'out.mcap'))
    assert (tmp_path / 'a' / 'out.mcap').read_bytes() == (tmp_path / 'b' / 'out.mcap').read_bytes()
    assert [path.name for path in (tmp_path / 'a').iterdir()] == ['out.mcap']

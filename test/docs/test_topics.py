"""The page of topics against real nodes: the names, types and QoS that DDS tells of them."""
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from node_harness import NodeProcess, PreloadedChildren, environment, raw_image, small_bundle  # noqa: E402
from rclpy.node import NodeNameNonExistentError  # noqa: E402
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

sys.path.append(str(Path(__file__).resolve().parents[2] / 'docs' / '_ext'))

from reference_pages import diagnostic_values, topics  # noqa: E402

RELIABILITY = {ReliabilityPolicy.RELIABLE: 'reliable', ReliabilityPolicy.BEST_EFFORT: 'best effort'}
DURABILITY = {DurabilityPolicy.VOLATILE: 'volatile', DurabilityPolicy.TRANSIENT_LOCAL: 'transient local'}
STAGES = ('preprocess', 'camera', 'forward', 'uncertainty', 'decide')
OF_ALL_NODES = {'/rosout', '/parameter_events'}


def documented(node, how, **names):
    """Full topic name -> (types, QoS) of a node, with what stands for the placeholders."""
    found = {}
    for end in topics.endpoints():
        if (end.node, end.how) == (node, how):
            name = names.get(end.name, end.name).replace('<camera>', 'camera')
            name = name.replace('~', f'/{node}', 1) if name.startswith('~') else f'/{name.lstrip("/")}'
            found[name] = ({kind.replace('/', '/msg/') for kind in end.type.split(', ')}, end.qos)
    return found


def compare(peer, node, how, expected):
    graph = peer.node
    peer.wait(lambda: (node, '/') in graph.get_node_names_and_namespaces(), f'the name of {node}')
    names_of = (graph.get_publisher_names_and_types_by_node if how == 'publishes' else
                graph.get_subscriber_names_and_types_by_node)
    info_of = graph.get_publishers_info_by_topic if how == 'publishes' else graph.get_subscriptions_info_by_topic

    def seen():
        try:
            return {name: types for name, types in names_of(node, '/')
                    if name not in OF_ALL_NODES and not name.endswith('/transition_event')}
        except NodeNameNonExistentError:  # what it publishes is known before the node itself
            return {}
    peer.wait(lambda: set(seen()) >= set(expected), f'{node} {how} {sorted(expected)}')
    real = seen()
    assert set(real) == set(expected)
    for name, types in real.items():
        assert set(types) <= expected[name][0], name
        info, = [info for info in info_of(name) if info.node_name == node]
        qos = info.qos_profile
        words = f'{RELIABILITY[qos.reliability]}, {DURABILITY[qos.durability]}'
        assert expected[name][1].startswith(words), name


@pytest.mark.slow
def test_the_classifier_has_what_the_page_says(peer, ros_domain, tmp_path):
    bundle = small_bundle(tmp_path / 'bundle')
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'log', 'run', '--image', '/picture', '--model', str(bundle))
        heard = peer.listen(DiagnosticArray, '/classifier/camera/uncertainty')
        reports = peer.listen(DiagnosticArray, '/diagnostics')
        camera = peer.publisher(Image, '/picture')
        peer.wait(lambda: camera.publish(raw_image(1_000_000_000)) or heard, 'values of a frame')
        assert node.alive
        images = 'each of `image_topics`, with the suffix of `image_transport`'
        compare(peer, 'classifier', 'publishes', documented('classifier', 'publishes'))
        compare(peer, 'classifier', 'subscribes to',
                documented('classifier', 'subscribes to', **{images: '/picture'}))
        keys = [value.key for value in heard[0].status[0].values]
        assert set(keys) <= set(diagnostic_values.UNCERTAINTY)
        peer.wait(lambda: reports and len(reports[-1].status) == 2, 'a report of the node and its camera')
        for status, told in zip(reports[-1].status, (diagnostic_values.MODEL, diagnostic_values.CAMERA)):
            found = {re.sub('^dropped_.*', 'dropped_<reason>', value.key) for value in status.values
                     if value.key.removesuffix('_ms_mean') not in STAGES}
            assert found <= set(told)
        assert {'label', 'confidence', 'ood_p_value', 'frame_age_ms', 'forward_ms'} <= set(keys)


@pytest.mark.parametrize('listens, other, arguments', [
    ('decision_topic', 'detections_topic', ()),
    ('detections_topic', 'decision_topic', ('-p', 'detections_topic:=/classifier/camera/decision'))])
def test_the_action_gate_has_what_the_page_says(listens, other, arguments, peer, ros_domain, tmp_path):
    with PreloadedChildren(environment(ros_domain)) as children:
        NodeProcess(children, tmp_path / 'log', '--ros-args', *arguments, '-p', 'silence_s:=1.0',
                    module='robot_vision_dl.ros.action_gate_node')
        peer.wait(lambda: peer.node.get_subscriptions_info_by_topic('/classifier/label_info'), 'the action gate')
        compare(peer, 'action_gate', 'publishes', documented('action_gate', 'publishes'))
        expected = documented('action_gate', 'subscribes to', **{
            f'`{listens}`': '/classifier/camera/decision',
            '`label_info_topic`, or `label_info` of the node that decides': '/classifier/label_info'})
        del expected[f'/`{other}`']
        compare(peer, 'action_gate', 'subscribes to', expected)


def test_the_detector_has_what_the_page_says(peer, ros_domain, tmp_path):
    from detector_samples import NAMES, weights_file
    weights = weights_file(tmp_path / 'ours.pth')
    with PreloadedChildren(environment(ros_domain)) as children:
        NodeProcess(children, tmp_path / 'log', '--ros-args', '-p', f'weights:={weights}', '-p',
                    f'class_names:=[{", ".join(NAMES)}]', module='robot_vision_dl.ros.detector_node')
        peer.wait(lambda: peer.node.get_subscriptions_info_by_topic('/camera/image_raw'), 'the detector')
        compare(peer, 'detector', 'publishes', documented('detector', 'publishes'))
        end, = (end for end in topics.endpoints() if (end.node, end.how) == ('detector', 'subscribes to'))
        compare(peer, 'detector', 'subscribes to', {'/camera/image_raw': ({'sensor_msgs/msg/Image'}, end.qos)})


@pytest.mark.slow
def test_the_trainer_has_what_the_page_says(peer, ros_domain, tmp_path):
    """A run without a file ends at once; its last words are latched while it waits for somebody to hear them."""
    config = tmp_path / 'train.yaml'
    config.write_text(f'data: {{bags: [{tmp_path / "pictures"}]}}\n')
    heard = []
    with PreloadedChildren(environment(ros_domain)) as children:
        from diagnostic_msgs.msg import DiagnosticStatus
        from rclpy.qos import QoSProfile
        heard = peer.listen(DiagnosticStatus, '/trainer/progress',
                            QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        NodeProcess(children, tmp_path / 'log', '--ros-args', '-p', f'config:={config}',
                    module='robot_vision_dl.ros.trainer_node')
        seen = {}

        def look():
            try:
                names = peer.node.get_publisher_names_and_types_by_node('trainer', '/')
            except Exception:  # not there yet, or gone
                names = []
            seen.update({name: set(types) for name, types in names if name not in OF_ALL_NODES})
            return heard and len(seen) == 2
        peer.wait(look, 'the trainer')
    expected = {name: types for name, (types, _) in documented('trainer', 'publishes').items()}
    assert seen == expected


def test_quality_of_service_is_read_from_the_profiles():
    profiles = topics._qos_names()
    from robot_vision_dl.ros import qos
    for name, words in profiles.items():
        profile = getattr(qos, name)
        assert re.search(rf'depth {profile.depth}$', words), name

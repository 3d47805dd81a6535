"""What may differ from camera to camera, and what happens when there are too many, over real DDS."""
import itertools

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from dds_domain import locked_domain  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from node_harness import NodeProcess, Peer, PreloadedChildren, environment, raw_image, small_bundle  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Classification  # noqa: E402

from robot_vision_dl.core.bundles.bundle_writer import save_bundle  # noqa: E402
from robot_vision_dl.core.networks.network import build_network  # noqa: E402
from robot_vision_dl.core.networks.preprocess import Preprocessing  # noqa: E402

SECOND = 1_000_000_000


@pytest.fixture()
def start(ros_domain, tmp_path):
    with PreloadedChildren(environment(ros_domain)) as children:
        def starter(*arguments):
            if '--model' not in arguments:
                arguments = ('--model', str(small_bundle(tmp_path / 'model')), *arguments)
            return NodeProcess(children, tmp_path / 'node.log', 'run', *arguments)
        yield starter


def slow_bundle(folder):
    """An untrained ResNet-18, which takes longer for a picture than eight cameras leave it."""
    save_bundle(folder, build_network('resnet18', 3), ('cup', 'mug', 'bowl'),
                Preprocessing(0, (224, 224), (0.5,) * 3, (0.5,) * 3), temperature=1.0)
    return folder


def account(diagnostics, camera):
    for message in reversed(diagnostics):
        for status in message.status:
            if status.name.endswith(f'camera {camera}'):
                return {item.key: item.value for item in status.values}
    return {}


def test_rate_is_limited_by_the_stamps_and_a_region_outside_is_a_counted_reason(start, peer):
    names = ('front', 'rear')
    start(*itertools.chain.from_iterable(('--camera', f'{name}:=/{name}/image') for name in names), '--ros-args',
          '-p', 'max_rates_hz:=front=10', '-p', 'regions_of_interest:=rear=640x480+0+0')
    decisions = peer.listen(Classification, '/classifier/front/decision')
    diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
    cameras = {name: peer.publisher(Image, f'/{name}/image') for name in names}
    stamps = itertools.count(SECOND, SECOND // 30)

    def send():
        stamp = next(stamps)
        for camera in cameras.values():
            camera.publish(raw_image(stamp))
    peer.wait(lambda: send() or account(diagnostics, 'rear').get('dropped_region'), 'a picture smaller than the region')
    peer.wait(lambda: send() or int(account(diagnostics, 'front').get('dropped_rate_limited', 0)) > 30
              and len(decisions) > 5, 'limited frames')
    taken = sorted({(message.header.stamp.sec * SECOND + message.header.stamp.nanosec) for message in decisions})
    assert len(taken) <= 10 * (taken[-1] - taken[0]) / SECOND + 2
    front = account(diagnostics, 'front')
    dropped = sum(int(value) for key, value in front.items() if key.startswith('dropped_'))
    assert int(front['received']) - int(front['decided']) - dropped in (0, 1, 2)
    assert int(account(diagnostics, 'rear')['decided']) == 0


def test_eight_cameras_that_are_too_many_are_served_evenly(start, peer, tmp_path):
    names = [f'camera{index}' for index in range(8)]
    start('--model', str(slow_bundle(tmp_path / 'slow')), '--backend', 'torch', *itertools.chain.from_iterable(
        ('--camera', f'{name}:=/{name}/image') for name in names), '--ros-args', '-p', 'max_batch:=2')
    diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
    cameras = [peer.publisher(Image, f'/{name}/image') for name in names]
    stamps = itertools.count(SECOND, SECOND // 1000)

    def flooded():
        stamp = next(stamps)
        for camera in cameras:
            camera.publish(raw_image(stamp))
        found = [account(diagnostics, name) for name in names]
        return all(int(values.get('decided', 0)) > 20 and int(values.get('dropped_replaced_by_newer', 0)) > 20
                   for values in found) and found
    found = peer.wait(flooded, 'more than can be decided from every camera')
    counts = [int(values['decided']) for values in found]
    assert max(counts) - min(counts) <= 0.05 * max(counts) + 3
    for values in found:
        dropped = sum(int(value) for key, value in values.items() if key.startswith('dropped_'))
        assert 0 <= int(values['received']) - int(values['decided']) - dropped <= 2


def test_a_frame_that_is_in_work_when_the_context_ends_is_no_warning(ros_domain, tmp_path, capfd):
    """In this process, since a signal would have to come within a millisecond.

    In a domain of its own: services of a lifecycle node stay as long as the process, and later tests would ask them.
    """
    with locked_domain() as domain:  # another than that of all tests, which is locked already
        assert domain != ros_domain
        peer = Peer(domain)
        try:
            end_while_a_frame_is_in_work(domain, peer, tmp_path)
        finally:
            peer.close()
    assert 'frame dropped' not in ''.join(capfd.readouterr())


def end_while_a_frame_is_in_work(domain, peer, tmp_path):
    import rclpy
    from rclpy.parameter import Parameter

    from robot_vision_dl.ros.classifier_node import ClassifierNode
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = ClassifierNode(context=context, parameter_overrides=[
        Parameter('model', value=str(slow_bundle(tmp_path / 'slow'))), Parameter('image_topics', value=['/cam']),
        Parameter('device', value='cpu'), Parameter('backend', value='torch')])
    try:
        node.trigger_configure()
        node.trigger_activate()
        camera, engine = peer.publisher(Image, '/cam'), node._engine
        stamps = itertools.count(SECOND, SECOND // 30)
        peer.wait(lambda: camera.publish(raw_image(next(stamps))) or engine.account('camera').received > 2, 'frames')
        engine._on_result = lambda *results: (rclpy.try_shutdown(context=context), node._publish_result(*results))
        peer.wait(lambda: camera.publish(raw_image(next(stamps)))
                  or 'publish_failed' in engine.account('camera').dropped,
                  'a result that cannot be published')
    finally:
        node.stop()
        rclpy.try_shutdown(context=context)

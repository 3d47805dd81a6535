"""The node's log says why nothing comes: another type, nobody, another transport."""
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from node_harness import BEST_EFFORT, NodeProcess, PreloadedChildren, environment, raw_image, small_bundle  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402


@pytest.fixture
def start(ros_domain, tmp_path):
    with PreloadedChildren(environment(ros_domain)) as children:
        model = str(small_bundle(tmp_path / 'model'))
        yield lambda *arguments: NodeProcess(children, tmp_path / 'node.log', 'run', '--model', model, '--device',
                                             'cpu', *arguments)


def warnings(node):
    return [line for line in node.log.splitlines() if '[WARN]' in line and ('publishes' in line or 'published' in line)]


@pytest.mark.parametrize('kind, topic, arguments, said', [
    (CompressedImage, '/cam', ('--image', '/cam'),
     ('/cam is published as sensor_msgs/msg/CompressedImage, and this node takes sensor_msgs/msg/Image',
      'Fix: take --transport compressed (robot-vision run) or image_transport:=compressed (launch file, parameter)')),
    pytest.param(
        Image, '/cam/compressed', ('--image', '/cam', '--transport', 'compressed'),
        ('/cam/compressed is published as sensor_msgs/msg/Image',
         'name the topic /cam/compressed and take --transport raw'), marks=pytest.mark.slow),
    pytest.param(String, '/cam', ('--image', '/cam'), (
        '/cam is published as std_msgs/msg/String', 'choose a topic of images'), marks=pytest.mark.slow),
    (CompressedImage, '/cam/compressed', ('--image', '/cam'),
     ('nobody publishes on /cam yet, but somebody does on /cam/compressed', 'image_transport:=compressed')),
    (Image, '/front/image_raw', ('--image', '/front/image_row'),
     ('nobody publishes on /front/image_row yet', "did you mean '/front/image_raw'?")),
    pytest.param(None, None, ('--image', '/cam'), ('nobody publishes on /cam yet', 'is the camera running'),
                 marks=pytest.mark.slow)])
def test_a_silent_topic_is_explained_once(kind, topic, arguments, said, start, peer):
    publisher = None if kind is None else peer.node.create_publisher(kind, topic, BEST_EFFORT)
    node = start(*arguments)
    peer.wait(lambda: warnings(node), 'a warning')
    peer.wait(lambda: 'listening' in node.log, 'activation')
    line, = warnings(node)
    assert all(part in line for part in said), line
    assert publisher is None or publisher.topic_name == topic


@pytest.mark.parametrize('transport, topics, said', [
    ('compressed', {'/front/compressed': CompressedImage, '/rear': Image},
     ('nobody publishes on /rear/compressed yet, but somebody does on /rear: run a second node for this camera, or '
      'republish it: all cameras of a node share image_transport, and /front is there as compressed, not as raw',)),
    pytest.param('raw', {'/front': Image, '/rear/compressed': CompressedImage},
                 ('nobody publishes on /rear yet', '/front is there as raw, not as compressed'),
                 marks=pytest.mark.slow),
    pytest.param('compressed', {'/front/compressed': CompressedImage, '/rear/compressed': Image},
                 ('/rear/compressed is published as', 'Fix: run a second node'), marks=pytest.mark.slow),
    pytest.param('compressed', {'/front/compressed': CompressedImage, '/front': Image, '/rear': Image},
                 ('nobody publishes on /rear/compressed yet', 'take --transport raw'), marks=pytest.mark.slow)])
def test_no_advice_for_one_camera_costs_another(transport, topics, said, start, peer):
    publishers = [peer.node.create_publisher(kind, topic, BEST_EFFORT) for topic, kind in topics.items()]
    node = start('--camera', 'front:=/front', '--camera', 'rear:=/rear', '--transport', transport)
    peer.wait(lambda: warnings(node), 'a warning')
    line, = warnings(node)
    assert publishers and all(part in line for part in said), line


def test_a_publisher_that_starts_later_on_another_topic_is_told_of(start, peer):
    node = start('--image', '/cam')
    peer.wait(lambda: warnings(node), 'the line that nobody publishes')
    assert 'no other topic of images' in warnings(node)[0]
    peer.node.create_publisher(CompressedImage, '/cam/compressed', BEST_EFFORT)
    peer.wait(lambda: len(warnings(node)) > 1, 'a second look')
    assert len(warnings(node)) == 2
    assert 'somebody does on /cam/compressed: take --transport compressed (robot-vision run)' in warnings(node)[1]


@pytest.mark.slow
def test_a_camera_that_speaks_is_not_warned_of_until_it_is_gone(start, peer):
    import time
    node = start('--image', '/cam')
    publisher = peer.publisher(Image, '/cam', BEST_EFFORT)
    told = len(warnings(node))  # none, unless the node was up for long before the publisher
    end, stamp = time.monotonic() + 5.0, time.time_ns()
    while time.monotonic() < end:
        stamp += 100_000_000
        publisher.publish(raw_image(stamp))
        peer.wait(lambda: True, 'a turn')
        time.sleep(0.05)
    assert len(warnings(node)) == told
    peer.node.destroy_publisher(publisher)
    peer.wait(lambda: len(warnings(node)) > told, 'the line that it is gone')
    assert 'nobody publishes on /cam any more' in warnings(node)[-1]

"""Bags that others recorded, played by one process into the classifier in another."""
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from node_harness import NodeProcess, Peer, PreloadedChildren, environment  # noqa: E402
from vision_msgs.msg import Classification  # noqa: E402

from robot_vision_dl.data.bags.reader import BagReader  # noqa: E402


@pytest.mark.parametrize('bag, topic, transport, played_as', [
    ('ros1_compressed_aruco.bag', '/raspicam_node/image/compressed', 'compressed', '/raspicam_node/image/compressed'),
    ('ros1_raw_and_png.bag', None, 'raw', '/real/raw'),
    ('ros1_raw_and_png.bag', None, 'compressed', '/real/png/compressed'),
    ('ros2_mono8_db3', None, 'raw', '/real/mono'),
])
def test_decisions_carry_the_headers_of_a_real_bag(shared_data, ros_domain, tmp_path, bag, topic, transport, played_as):
    path = shared_data / 'bags' / bag
    wanted = 'sensor_msgs/msg/Image' if transport == 'raw' else 'sensor_msgs/msg/CompressedImage'
    with BagReader(path) as reader:
        topic = topic or next(name for name, info in reader.topics.items() if info.msgtype == wanted)
        headers = [message.decode().header for message in reader.image_messages([topic])]
    assert headers
    camera = played_as if transport == 'raw' else played_as.rpartition('/')[0]
    peer = Peer(ros_domain)
    try:
        decisions = peer.listen(Classification, '/classifier/camera/decision')
        with PreloadedChildren(environment(ros_domain)) as children:
            node = NodeProcess(children, tmp_path / 'node.log', 'run', '--image', camera, '--transport', transport,
                               '--ros-args', '-p', f'qos_overrides.{played_as}.subscription.reliability:=reliable',
                               '-p', f'qos_overrides.{played_as}.subscription.depth:=10')
            peer.wait(lambda: peer.node.count_subscribers(played_as), 'the classifier')
            peer.wait(lambda: peer.node.count_publishers('/classifier/camera/decision'), 'its topics')
            play = NodeProcess(children, tmp_path / 'play.log', 'play', str(path), '--topics', topic, '--remap',
                               f'{topic}:={played_as}', '--wait-for-subscribers')
            peer.wait(lambda: decisions or not play.alive, 'a decision')
            peer.wait(lambda: decisions, f'a decision; the node said {node.log}, the player {play.log}', 20)
    finally:
        peer.close()
    decided = {(message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec, message.header.frame_id)
               for message in decisions}
    assert decided <= {(header.stamp_ns, header.frame_id) for header in headers}

"""A model that was calibrated for other arithmetic than what runs: the node says so when it is configured."""
import json

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from node_harness import NodeProcess, Peer, environment, small_bundle  # noqa: E402
from robot_vision_dl.cli.processes import Children  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402


@pytest.mark.parametrize('changes, said', [
    ({'precision': 'bfloat16'}, 'was calibrated at bfloat16 but runs at float32'),
    ({'device': 'cuda'}, 'was calibrated on cuda but runs on cpu'),
    ({'precision': 'float32', 'device': 'cpu'}, None)])
def test_configure_warns_of_another_precision_or_device(changes, said, tmp_path, ros_domain):
    folder = small_bundle(tmp_path / 'model')
    description = json.loads((folder / 'bundle.json').read_text())
    description['calibration'].update(changes)
    (folder / 'bundle.json').write_text(json.dumps(description))
    peer = Peer(ros_domain)
    try:
        with Children(environment(ros_domain)) as children:
            node = NodeProcess(children, tmp_path / 'node.log', 'run', '--model', str(folder), '--image', '/cam',
                               '--device', 'cpu')
            peer.publisher(Image, '/cam')  # it subscribes when it is activated, so it has been configured
            assert 'is ready on cpu' in node.log
            lines = [line for line in node.log.splitlines() if '[WARN]' in line and 'calibrated' in line]
    finally:
        peer.close()
    assert (said is None) == (not lines)
    assert said is None or (said in lines[0] and '`robot-vision calibrate`' in lines[0])

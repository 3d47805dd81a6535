"""A model that was calibrated for other arithmetic than what runs: the node says so when it is configured."""
import json

import numpy as np
import pytest
import torch

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from node_harness import NodeProcess, Peer, PreloadedChildren, environment, small_bundle  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from robot_vision_dl.core.bundles.bundle_writer import save_bundle  # noqa: E402
from robot_vision_dl.core.networks.network import build_network  # noqa: E402
from robot_vision_dl.core.networks.preprocess import Preprocessing  # noqa: E402
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration  # noqa: E402


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
        with PreloadedChildren(environment(ros_domain)) as children:
            node = NodeProcess(children, tmp_path / 'node.log', 'run', '--model', str(folder), '--image', '/cam',
                               '--device', 'cpu')
            peer.publisher(Image, '/cam')  # it subscribes when it is activated, so it has been configured
            assert 'is ready on cpu' in node.log
            lines = [line for line in node.log.splitlines() if '[WARN]' in line and 'calibrated' in line]
    finally:
        peer.close()
    assert (said is None) == (not lines)
    assert said is None or (said in lines[0] and '`robot-vision calibrate`' in lines[0])


def test_unknown_that_cannot_be_said_at_its_rate_is_in_the_log_and_in_the_diagnostics(tmp_path, ros_domain):
    """200 calibration scores do for .01; 11 do not, and the node must not be silent about it."""
    torch.manual_seed(0)
    network = build_network('lenet5', 3, in_channels=1)
    for name, count in (('few', 11), ('enough', 200)):
        save_bundle(tmp_path / name, network, ('cup', 'mug', 'bowl'), Preprocessing(0, (32, 32), (0.5,), (0.5,)),
                    temperature=1.0, ood=OodCalibration('energy', np.linspace(-100, 100, count).astype(np.float32)))
    peer = Peer(ros_domain)
    try:
        with PreloadedChildren(environment(ros_domain)) as children:
            node = NodeProcess(children, tmp_path / 'node.log', 'run', '--model', str(tmp_path / 'few'), '--image',
                               '/cam', '--device', 'cpu')
            heard = peer.listen(DiagnosticArray, '/diagnostics')
            peer.publisher(Image, '/cam')
            warning = 'few: unknown is said at the smallest rate that can be reached, 0.0833 of the frames of known'
            never = ('few: nothing can be called unknown at decision.false_unknown_rate 0.01: 11 calibration pictures '
                     'give no p-value below 0.0833; 99 are needed')
            assert any('[WARN]' in line and warning in line for line in node.log.splitlines())

            def status(level, can_say, said=''):
                for message in heard[-1:]:
                    for one in message.status:
                        values = {item.key: item.value for item in one.values}
                        if one.name.endswith(': model') and one.level == level and said in one.message and \
                                values.get('can_say_unknown') == can_say:
                            return one.message, values
            text, values = peer.wait(lambda: status(DiagnosticStatus.WARN, 'True'), 'a warning in /diagnostics')
            assert text.count(warning[len('few: '):]) == 1
            assert 'unknown_rate' in values['cannot_promise'].split(', ')
            assert not any(warning in value for value in values.values())
            assert float(values['false_unknown_rate_in_force']) == pytest.approx(1 / 12, abs=1e-4)
            assert float(values['smallest_false_unknown_rate']) == pytest.approx(1 / 12, abs=1e-4)

            def set_to(name, value):
                kind = {'bool_value': value} if isinstance(value, bool) else {'string_value': value}
                request = SetParameters.Request(parameters=[Parameter(name=name, value=ParameterValue(
                    type=ParameterType.PARAMETER_BOOL if isinstance(value, bool) else ParameterType.PARAMETER_STRING,
                    **kind))])
                assert peer.call(SetParameters, '/classifier/set_parameters', request).results[0].successful
            set_to('decision.smallest_reachable_rate', False)
            text, values = peer.wait(lambda: status(DiagnosticStatus.WARN, 'False', never[len('few: '):]),
                                     'a warning that it is never said')
            assert float(values['false_unknown_rate']) == 0.01 and float(values['false_unknown_rate_in_force']) == 0
            set_to('decision.smallest_reachable_rate', True)
            peer.wait(lambda: status(DiagnosticStatus.WARN, 'True'), 'the first warning again')
            set_to('model', str(tmp_path / 'enough'))
            text, values = peer.wait(lambda: status(DiagnosticStatus.OK, 'True'), 'a model with pictures enough')
            assert 'unknown' not in values.get('cannot_promise', '')
            assert float(values['false_unknown_rate_in_force']) == 0.01
            set_to('model', str(tmp_path / 'few'))  # what a model that takes over cannot promise is logged as well
            peer.wait(lambda: status(DiagnosticStatus.WARN, 'True'), 'the warning of the model that took over')
            assert sum('[WARN]' in line and warning in line for line in node.log.splitlines()) == 2
    finally:
        peer.close()

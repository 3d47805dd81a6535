"""Over DDS: a model that cannot take the old one's place, stamps at the ends of time, files that rcl cannot read."""
import json
import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from node_harness import BEST_EFFORT, RELIABLE, NodeProcess, PreloadedChildren, environment, raw_image, small_bundle  # noqa: E402
from preloaded import run_preloaded  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterValue  # noqa: E402
from rcl_interfaces.srv import GetParameters, SetParameters  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from vision_msgs.msg import Classification, LabelInfo  # noqa: E402

SECOND = 1_000_000_000


def set_text(peer, name, text):
    value = ParameterValue(type=4, string_value=str(text))
    return peer.call(SetParameters, '/classifier/set_parameters',
                     SetParameters.Request(parameters=[Parameter(name=name, value=value)])).results[0]


def test_a_model_that_cannot_be_run_changes_nothing(peer, ros_domain, tmp_path):
    first = small_bundle(tmp_path / 'first')
    second = small_bundle(tmp_path / 'second', ('left', 'right'), seed=1)
    unfit = small_bundle(tmp_path / 'unfit', ('left', 'right'), seed=1)
    values = json.loads((unfit / 'bundle.json').read_text())
    values['preprocessing']['crop'] = [40, 40]
    (unfit / 'bundle.json').write_text(json.dumps(values))
    (tmp_path / 'costs.yaml').write_text('costs: {cup: {mug: 7}}\n')
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'node.log', 'run', '--model', str(first), '--image', '/cam',
                           '--device', 'cpu')
        labels = peer.listen(LabelInfo, '/classifier/label_info',
                             QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        reports = peer.listen(DiagnosticArray, '/diagnostics')
        decisions = peer.listen(Classification, '/classifier/camera/decision')
        images = peer.publisher(Image, '/cam', BEST_EFFORT)
        peer.wait(lambda: labels, 'the classes')

        def model_of_report():
            return next((item.value for status in reports[-1].status for item in status.values
                         if item.key == 'model'), None) if reports else None

        def is_as_before():
            running = peer.call(GetParameters, '/classifier/get_parameters', GetParameters.Request(names=['model']))
            return running.values[0].string_value == str(first)
        for count, (model, costs) in enumerate(((unfit, ''), (second, tmp_path / 'costs.yaml')), 1):
            assert set_text(peer, 'decision.costs_file', costs).successful
            assert set_text(peer, 'model', model).successful  # its description is sound; it is loaded beside
            peer.wait(lambda count=count: node.log.count('the old one stays') == count, 'the refusal')
            peer.wait(is_as_before, 'the parameter to be what runs')
            assert len(labels) == 1 and [one.class_name for one in labels[0].class_map] == ['cup', 'mug', 'bowl']
            reports.clear()
            peer.wait(lambda: model_of_report() == 'first', 'the report of what runs')
            heard = len(decisions)
            stamp = iter(range(count * 100 * SECOND, 10 ** 18, SECOND // 10))
            peer.wait(lambda heard=heard, stamp=stamp: images.publish(raw_image(next(stamp))) or len(decisions) > heard,
                      'a decision')
        assert set_text(peer, 'decision.costs_file', '').successful
        assert set_text(peer, 'model', second).successful
        peer.wait(lambda: len(labels) == 2, 'the classes of another model')
        assert [one.class_name for one in labels[1].class_map] == ['left', 'right']


def test_every_stamp_that_is_accepted_goes_out_again(peer, ros_domain, tmp_path):
    last = 2 ** 31 * SECOND - 1
    stamps = [0, 1, SECOND - 1, SECOND, 10 ** 18, last - SECOND, last]
    with PreloadedChildren(environment(ros_domain)) as children:
        NodeProcess(children, tmp_path / 'node.log', 'run', '--model', str(small_bundle(tmp_path / 'model')),
                    '--image', '/cam', '--device', 'cpu')
        heard = {what: peer.listen(kind, f'/classifier/camera/{what}') for kind, what in (
            (Classification, 'decision'), (Classification, 'classification'), (DiagnosticArray, 'uncertainty'),
            (Image, 'overlay'), (CompressedImage, 'overlay/compressed'))}
        images = peer.publisher(Image, '/cam', RELIABLE)
        peer.wait(lambda: all(peer.node.count_publishers(f'/classifier/camera/{what}') for what in heard), 'its topics')
        for stamp in stamps:
            def all_have_it(stamp=stamp):
                return all(any(m.header.stamp.sec * SECOND + m.header.stamp.nanosec == stamp for m in messages)
                           for messages in heard.values())

            def sent(stamp=stamp):
                images.publish(raw_image(stamp))
                return all_have_it(stamp)
            peer.wait(sent, f'everything about the stamp {stamp}', 30.0)


@pytest.mark.parametrize('module, text', [
    ('classifier_node', '/**:\n  ros__parameters:\n    threads: null\n'),
    ('action_gate_node', '/**:\n  ros__parameters:\n    rate_hz:\n'),
    pytest.param('trainer_node', '/**:\n  ros__parameters:\n    config:\n', marks=pytest.mark.slow),
    pytest.param('classifier_node', '/**:\n  ros__parameters: [1, 2\n', marks=pytest.mark.slow),
    pytest.param('action_gate_node', '/**:\n  ros__parameters:\n    rate_hz: [1, a]\n', marks=pytest.mark.slow),
    pytest.param('action_gate_node', None, marks=pytest.mark.slow),
    pytest.param('classifier_node', '/**:\n  ros__parameters:\n    regions_of_interest: "' + '9' * 5000 + 'x1"\n',
                 marks=pytest.mark.slow)])
def test_a_parameter_file_that_cannot_be_used_is_one_line(module, text, ros_domain, tmp_path):
    path = tmp_path / 'params.yaml'
    if text is not None:
        path.write_text(text)
    done = run_preloaded([sys.executable, '-m', f'robot_vision_dl.ros.{module}', '--ros-args', '--params-file',
                          str(path)], environment(ros_domain))
    assert done.returncode == 2, done.stderr
    assert 'Traceback' not in done.stderr and 'Traceback' not in done.stdout
    said = [line for line in (done.stdout + done.stderr).splitlines() if 'FATAL' in line]
    assert len(said) == 1 and len(said[0]) < 700, done.stderr

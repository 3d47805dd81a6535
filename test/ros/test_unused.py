"""What a node was given in vain is told once at its start, and its lines bear one name."""
import signal

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from node_harness import RELIABLE, NodeProcess, Peer, PreloadedChildren, environment, small_bundle  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

FILE = """
/**:
  ros__parameters:
    use_sim_time: false
    qos_overrides./cam.subscription.reliability: reliable
    {misspelt}: 0.3
    frobnicate: 1
"""
MISSPELT = {  # node: (what was given, what is meant, what the last line of a start has in it)
    'classifier': ('decision.abstain_costs', 'decision.abstain_cost', 'cannot configure'),
    'action_gate': ('begin_confidense', 'begin_confidence', 'no decision heard'),
    'trainer': ('overwrit', 'overwrite', 'config: which file?')}


@pytest.mark.parametrize('kind', MISSPELT)
def test_parameters_that_a_node_does_not_have_are_told_once(kind, ros_domain, tmp_path):
    misspelt, meant, last = MISSPELT[kind]
    (tmp_path / 'p.yaml').write_text(FILE.format(misspelt=misspelt))
    (tmp_path / 'others.yaml').write_text(f'/robot9/{kind}:\n  ros__parameters: {{a: 1}}\n')
    arguments = ['--ros-args', '--params-file', str(tmp_path / 'p.yaml'), '--params-file',
                 str(tmp_path / 'others.yaml'), '-p', 'max_rate:=5.0', '-r', '__ns:=/robot1/vision']
    if kind == 'classifier':
        arguments += ['-p', 'model:=/none']
    peer = Peer(ros_domain)
    try:
        with PreloadedChildren(environment(ros_domain)) as children:
            node = NodeProcess(children, tmp_path / 'log', *arguments, module=f'robot_vision_dl.ros.{kind}_node')
            peer.wait(lambda: last in node.log, last)
            log = node.log  # as it is before the node is interrupted, perhaps while it ends
    finally:
        peer.close()
    warnings = [line for line in log.splitlines() if '[WARN]' in line]
    assert len(warnings) == 2, log
    assert f'has nothing for the node /robot1/vision/{kind}; there is /robot9/{kind}' in warnings[0]
    near = {'classifier': 'max_rate_hz', 'action_gate': 'max_age_s'}.get(kind)
    meant_rate = f'max_rate (did you mean {near}?)' if near else 'max_rate'
    told = warnings[1].partition('has no parameter ')[2].partition(';')[0].split(', ')
    assert sorted(told) == sorted([f'{misspelt} (did you mean {meant}?)', 'frobnicate', meant_rate])
    assert all(f'[robot1.vision.{kind}]' in line for line in log.splitlines()), log


def test_what_is_used_is_not_warned_of_and_the_last_lines_bear_the_name_of_the_first(ros_domain, tmp_path):
    (tmp_path / 'p.yaml').write_text('/front/classifier:\n  ros__parameters: {decision.abstain_cost: 0.3}\n'
                                     'driver:\n  ros__parameters: {exposure: 3}\n')
    peer = Peer(ros_domain)
    try:
        with PreloadedChildren(environment(ros_domain)) as children:
            node = NodeProcess(
                children, tmp_path / 'log', 'run', '--model', str(small_bundle(tmp_path / 'model')), '--device', 'cpu',
                '--image', '/cam', '--namespace', 'front', '--params-file', str(tmp_path / 'p.yaml'), '--ros-args',
                '-p', 'qos_overrides./cam.subscription.reliability:=reliable')
            peer.publisher(Image, '/cam', RELIABLE)
            peer.wait(lambda: 'listening' in node.log, 'activation')
            node.process.send_signal(signal.SIGINT)
            assert node.process.wait(30) == 0
    finally:
        peer.close()
    assert 'has no parameter' not in node.log and 'has nothing for' not in node.log
    assert '[front.classifier] camera: received' in node.log or '[front.classifier]: camera: received' in node.log
    assert '[classifier]' not in node.log

"""vision_msgs as `robot-vision build-msgs` makes it, or as the ROS 2 installation brings it."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not here')

from robot_vision_dl.ros.interfaces import build  # noqa: E402

# Read from vision_msgs 4.1.1 itself, compiled whole: with any other hash DDS would not match the topics.
TYPE_HASHES = {
    'Classification': 'RIHS01_f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143',
    'LabelInfo': 'RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
    'ObjectHypothesis': 'RIHS01_51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90',
    'VisionClass': 'RIHS01_1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a',
}

TALKER = """
import sys, time
import rclpy
from vision_msgs.msg import Classification, ObjectHypothesis
rclpy.init()
node = rclpy.create_node('talker')
publisher = node.create_publisher(Classification, 'classification', 1)
message = Classification(results=[ObjectHypothesis(class_id='mug', score=.75), ObjectHypothesis(class_id='cup')])
message.header.frame_id = 'camera'
message.header.stamp.sec = 12
while True:
    publisher.publish(message)
    time.sleep(.05)
"""


def test_vision_msgs_is_usable_here():
    assert build.probe() == build.Probe(present=True, fault=None)


@pytest.mark.parametrize('name', TYPE_HASHES)
def test_type_hash_is_that_of_the_original(name):
    import vision_msgs
    for folder in Path(vision_msgs.__file__).parents:
        description = folder / 'share' / 'vision_msgs' / 'msg' / f'{name}.json'
        if description.is_file():
            break
    else:
        pytest.skip('this ROS 2 distribution has no type hashes (Humble)')
    hashes = {entry['type_name']: entry['hash_string'] for entry in json.loads(description.read_text())['type_hashes']}
    assert hashes[f'vision_msgs/msg/{name}'] == TYPE_HASHES[name]


def test_a_message_goes_from_one_process_to_another():
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from vision_msgs.msg import Classification
    domain = 100 + os.getpid() % 100
    talker = subprocess.Popen([sys.executable, '-c', TALKER], env={**os.environ, 'ROS_DOMAIN_ID': str(domain)})
    context = Context()
    context.init(domain_id=domain)
    try:
        node = rclpy.create_node('listener', context=context)
        arrived = rclpy.task.Future()
        node.create_subscription(
            Classification, 'classification', lambda message: arrived.done() or arrived.set_result(message), 1)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        executor.spin_until_future_complete(arrived, timeout_sec=20)
        message = arrived.result()
        assert message is not None, 'nothing arrived within 20 s'
        assert message.header.frame_id == 'camera' and message.header.stamp.sec == 12
        assert [(result.class_id, result.score) for result in message.results] == [('mug', .75), ('cup', 0.)]
    finally:
        talker.terminate()
        talker.wait()
        context.shutdown()


def test_other_fields_are_noticed(tmp_path, monkeypatch):
    # A vision_msgs of another era, of which one message lost a field.
    module = tmp_path / 'vision_msgs' / 'msg'
    module.mkdir(parents=True)
    (tmp_path / 'vision_msgs' / '__init__.py').write_text('')
    (module / '__init__.py').write_text(''.join(
        f'from diagnostic_msgs.msg import KeyValue as {name}\n' for name in build.FIELDS))
    monkeypatch.setenv('PYTHONPATH', f'{tmp_path}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
    found = build.probe()
    assert found.present and not found.usable
    assert 'has other fields than in vision_msgs 4' in found.fault


def test_a_broken_one_is_told_from_a_missing_one(tmp_path, monkeypatch):
    (tmp_path / 'vision_msgs').mkdir()
    (tmp_path / 'vision_msgs' / '__init__.py').write_text('raise ImportError("libvision_msgs.so is gone")')
    monkeypatch.setenv('PYTHONPATH', f'{tmp_path}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
    assert build.probe() == build.Probe(present=True, fault='ImportError: libvision_msgs.so is gone')


def test_without_compiler_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(build.BuildError, match=r'there is no g\+\+: `sudo apt install g\+\+`'):
        build._require_compiler()


def test_a_failed_step_shows_the_end_of_its_log(tmp_path):
    command = [sys.executable, '-c', 'print("undefined reference"); raise SystemExit(3)']
    with pytest.raises(build.BuildError) as caught:
        build._run(command, os.environ, tmp_path / 'log', 'vision_msgs could not be compiled')
    text = str(caught.value)
    assert text.startswith('vision_msgs could not be compiled (exit code 3); the end of ')
    assert 'undefined reference' in text
    Path(text.split('the end of ')[1].split(':\n')[0]).unlink()


def test_the_messages_agree_with_the_fields_that_are_checked():
    folder = build.SOURCES / 'vision_msgs' / 'msg'
    for name, fields in build.FIELDS.items():
        lines = [line.split() for line in (folder / f'{name}.msg').read_text().splitlines()
                 if line and not line.startswith('#')]
        assert [name for _, name in lines] == list(fields)

"""The nodes that consume.md and regions.md give to copy: those in Python hear a real node, the one in C++ compiles."""
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from evaluation_samples import small_model  # noqa: E402
from labelled_samples import pattern  # noqa: E402
from node_harness import NodeProcess, PreloadedChildren, environment, raw_image  # noqa: E402
from object_samples import array, detection, scene, square_bundle  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Classification, Detection2DArray  # noqa: E402

from robot_vision_dl.core.regions.detection_cdr import encode_detections  # noqa: E402

PAGE_OF_OBJECTS = Path(__file__).resolve().parents[2] / 'docs' / 'how-to' / 'regions.md'
PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'how-to' / 'consume.md').read_text(encoding='utf-8')


def block(language):
    return re.search(rf'^```{language}\n(.*?)^```$', PAGE, re.M | re.S).group(1)


def test_the_python_consumer_hears_a_real_node(peer, ros_domain, tmp_path):
    script = tmp_path / 'consumer.py'
    script.write_text(block('python'))
    assert len(script.read_text().splitlines()) <= 30
    # Repeated frames are decided alike: each stands alone, without hysteresis.
    model = small_model(tmp_path / 'model')
    with PreloadedChildren(environment(ros_domain)) as children:
        NodeProcess(children, tmp_path / 'node.log', 'run', '--image', '/cam', '--model', str(model), '--device', 'cpu',
                    '--ros-args', '-p', 'decision.abstain_cost:=0.3', '-p', 'fusion.enabled:=false', '-p',
                    'decision.hysteresis:=0.0')
        log = tmp_path / 'consumer.log'
        children.start([sys.executable, '-u', str(script)], log=log)
        decisions = peer.listen(Classification, '/classifier/camera/decision')
        camera = peer.publisher(Image, '/cam')
        peer.wait(lambda: 'stop: no decision for half a second' in log.read_text(), 'the consumer, in the silence')
        for number in range(24):
            pixels = np.ascontiguousarray(pattern(number)).reshape(-1)

            def told(number=number, pixels=pixels):
                """Whether the consumer has heard of it; it may join later than we, so the node is asked again."""
                camera.publish(raw_image((number + 1) * 10**9, data=pixels, height=48, width=64))
                peer.listen_for(0.2)
                if not decisions or decisions[-1].header.stamp.sec != number + 1:
                    return False
                result = decisions[-1].results[0]
                action = 'stop' if result.class_id in ('uncertain', 'unknown') else 'pick'
                return f'{action}: {result.class_id}, {result.score:.2f}' in log.read_text()
            peer.wait(told, f'what the consumer makes of picture {number}')
        heard = set(re.findall(r'(pick|stop): (?!no)(\w+)', log.read_text()))
        assert {('stop', 'unknown'), ('stop', 'uncertain')} < heard
        assert {action for action, label in heard if label not in ('unknown', 'uncertain')} == {'pick'}


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_the_python_consumer_ends_without_a_traceback(number, ros_domain, tmp_path):
    script, log = tmp_path / 'consumer.py', tmp_path / 'consumer.log'
    script.write_text(block('python'))
    with PreloadedChildren(environment(ros_domain)) as children:
        process = children.start([sys.executable, '-u', str(script)], log=log)
        deadline = time.monotonic() + 60
        while 'stop: no decision' not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
    assert 'Traceback' not in log.read_text()


def test_the_cpp_consumer_compiles(tmp_path):
    prefixes = [Path(prefix) for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if prefix]
    if not any((prefix / 'include' / 'rclcpp').is_dir() for prefix in prefixes):
        pytest.skip('rclcpp is not installed; it comes with a ROS 2 installation')
    if not shutil.which('cmake'):
        pytest.skip('cmake is not installed')
    (tmp_path / 'src').mkdir()
    (tmp_path / 'src' / 'consumer.cpp').write_text(block('cpp'))
    (tmp_path / 'CMakeLists.txt').write_text(block('cmake'))
    (tmp_path / 'package.xml').write_text(
        '<package format="3"><name>my_robot</name><version>0.0.1</version><description>d</description>'
        '<maintainer email="a@b.c">m</maintainer><license>l</license><depend>rclcpp</depend>'
        '<depend>vision_msgs</depend><export><build_type>ament_cmake</build_type></export></package>')
    for command in (['cmake', '-S', tmp_path, '-B', tmp_path / 'build'], ['cmake', '--build', tmp_path / 'build']):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_fields_are_those_of_vision_msgs():
    assert Classification.get_fields_and_field_types() == {
        'header': 'std_msgs/Header', 'results': 'sequence<vision_msgs/ObjectHypothesis>'}
    for name in ('class_id', 'score'):
        assert f'`results[0].{name}`' in PAGE


def test_the_consumer_of_objects_hears_a_real_node(peer, ros_domain, tmp_path):
    page = PAGE_OF_OBJECTS.read_text(encoding='utf-8')
    script = tmp_path / 'consumer.py'
    script.write_text(re.search(r'^```python\n(.*?)^```$', page, re.M | re.S).group(1))
    with PreloadedChildren(environment(ros_domain)) as children:
        NodeProcess(children, tmp_path / 'node.log', 'run', '--image', '/cam', '--regions', '/boxes', '--backend',
                    'torch', '--model', str(square_bundle(tmp_path / 'model')))
        log = tmp_path / 'consumer.log'
        children.start([sys.executable, '-u', str(script)], log=log)
        camera, detector = peer.publisher(Image, '/cam'), peer.publisher(Detection2DArray, '/boxes')
        stamps = itertools.count(10**18, 10**8)

        def told():
            stamp_ns, pixels = next(stamps), scene([('red', 60, 60), ('yellow', 200, 100)])
            camera.publish(raw_image(stamp_ns, data=pixels.reshape(-1), height=pixels.shape[0], width=pixels.shape[1],
                                     step=3 * pixels.shape[1]))
            detector.publish(encode_detections(array(stamp_ns, detection(60, 60, 'a'), detection(200, 100, 'b'))))
            peer.listen_for(0.2)
            return 'a: red 1.00 at 60, 60' in log.read_text()
        peer.wait(told, 'the consumer')
        assert 'b: ' not in log.read_text()  # of no class

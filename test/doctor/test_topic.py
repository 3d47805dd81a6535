"""``robot-vision doctor TOPIC`` against publishers in processes of their own."""
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import robot_vision_dl
from robot_vision_dl.cli.main import main
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.doctor import shared_memory
from robot_vision_dl.doctor.check import Level, worst
from robot_vision_dl.doctor.listen import COMPRESSED, DETECTIONS, IMAGE, Findings, Publisher, listen
from robot_vision_dl.doctor.topic import report, run_command, similar_topics
from robot_vision_dl.ros.dds import OLD_PROFILE_VARIABLE, PROFILE_VARIABLE, variables_read

IMPORTS = {'PYTHONPATH': str(Path(robot_vision_dl.__file__).parents[1])}
SECONDS = 0.8


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


class Driver:
    """A process that publishes until it is closed."""

    def __init__(self, domain, profile, *topics):
        environment = {name: value for name, value in os.environ.items()
                       if name not in (PROFILE_VARIABLE, OLD_PROFILE_VARIABLE)}
        environment.update(IMPORTS, ROS_DOMAIN_ID=str(domain), OMP_NUM_THREADS='1')
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name('image_publisher.py')), profile, *topics],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout.readline() == 'ready\n'

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture(scope='module')
def driver(ros_domain):
    started = Driver(ros_domain, 'auto', '/cam/image=image,best_effort', '/cam/jpeg=jpeg,reliable',
                     '/cam/bad=bad_step,best_effort', '/cam/old=old,best_effort', '/cam/unstamped=unstamped,reliable',
                     '/cam/ahead=ahead,reliable', '/cam/late=late,best_effort', '/cam/text=text,reliable',
                     '/cam/silent=silent,best_effort', '/front/color=image,reliable',
                     '/front/color/compressed=jpeg,reliable')
    yield started
    started.close()


def examine(topic, seconds=SECONDS):
    found = listen(topic, seconds)
    return found, {check.name: check for check in report(found)}


def test_images_that_arrive(driver):
    found, checks = examine('/cam/image', 1.5)
    assert worst(checks.values()) is not Level.FAIL, checks
    assert re.search(r'^/robot/camera_driver: sensor_msgs/msg/Image, best_effort, volatile', checks['publisher'].text)
    # 20 Hz and no loss, unless this machine is very busy.
    assert 5 < found.reception.rate_hz < 21 and found.reception.lost_share < 0.2
    assert "640x480 'bgr8', 0.92 MB, frame_id 'lens'" in checks['picture'].text
    assert 0 < found.reception.transport_ms < 100
    assert run_command(found) == 'robot-vision run --image /cam/image'


@pytest.mark.slow
def test_process_and_its_shared_memory_are_told(driver):
    [publisher] = listen('cam/image', SECONDS).publishers
    assert publisher.is_local and publisher.process.pid == driver.process.pid
    assert 'python' in publisher.process.command and publisher.process.segment_size > 64e6


@pytest.mark.parametrize('topic, name, level, text', [
    ('/cam/bad', 'picture', Level.FAIL, 'cannot use it (step)'),
    slow('/cam/old', 'age', Level.WARN, 'stamps are of another time: 20'),
    slow('/cam/unstamped', 'stamp', Level.WARN, 'have a zero stamp'),
    slow('/cam/ahead', 'age', Level.WARN, 'before they were taken'),
    slow('/cam/late', 'age', Level.WARN, '300'),
    slow('/cam/text', 'publisher', Level.FAIL, 'std_msgs/msg/String'),
    slow('/cam/silent', 'frames', Level.FAIL, 'none in'),
    slow('/cam/imag', 'publishers', Level.FAIL, 'nobody publishes on /cam/imag (ROS_DOMAIN_ID='),
])
def test_what_is_wrong_is_said(driver, topic, name, level, text):
    _, checks = examine(topic)
    assert checks[name].level is level and text in checks[name].text, checks
    assert checks[name].remedy
    assert not [check for check in checks.values() if check.level is Level.FAIL and check.name != name]


def test_a_name_that_is_nearly_right(driver):
    assert 'did you mean /cam/image' in examine('/cam/imag')[1]['publishers'].remedy


def test_compressed_images_without_the_suffix_are_classified_by_a_remapping(driver, ros_domain):
    found, checks = examine('/cam/jpeg')
    assert worst(checks.values()) is not Level.FAIL and "64x48 'jpeg'" in checks['picture'].text
    words = shlex.split(run_command(found))
    assert words[:6] == ['robot-vision', 'run', '--image', '/cam/jpeg', '--transport', 'compressed']
    import rclpy

    from robot_vision_dl.ros.camera import CameraInput
    from robot_vision_dl.ros.image_wait_set import ImageWaitSet
    context = rclpy.Context()
    rclpy.init(context=context, args=words[words.index('--ros-args'):])
    try:
        node = rclpy.create_node('classifier', context=context)
        source = CameraInput(node, '/cam/jpeg', 'compressed')
        assert source.topic == '/cam/jpeg'
        arrivals, taken, until = ImageWaitSet(node, {'camera': source}), [], time.monotonic() + 20
        while not taken and time.monotonic() < until:
            taken = arrivals.take(1, wait=False)
            time.sleep(0.01)
        (camera, received), = taken
        assert camera == 'camera' and received.parse(received.buffer).format == 'jpeg'
        arrivals.close()
        assert arrivals.take(1) is None
    finally:
        context.try_shutdown()


@pytest.mark.parametrize('reliability', [slow('best_effort'), 'reliable'])
def test_a_driver_without_the_profile_is_found_out(ros_domain, reliability):
    started = Driver(ros_domain, 'none', f'/plain/image=image,{reliability}')
    try:
        found, checks = examine('/plain/image', 1.5)
    finally:
        started.close()
    bad = next(check for check in checks.values() if check.level is not Level.OK)
    assert bad.name in ('frames', 'delivery'), checks
    assert f'(process {started.process.pid}) has 0.55 MB of shared memory' in bad.remedy
    assert f'export {variables_read()[0]}=' in bad.remedy
    if found.reliable is not None:
        assert reliability == 'reliable' and found.reliable.messages and 'asked reliably' in bad.text
        assert 'qos_overrides./plain/image.subscription.reliability:=reliable' in bad.remedy
        assert '0.92 MB' in checks['picture'].text


@pytest.mark.slow
def test_nobody_at_all(ros_domain, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain % 100 + 1))
    found, checks = examine('/camera/image_raw')
    assert not found.publishers and 'no other node is to be seen' in checks['publishers'].remedy


def test_command_prints_json_and_the_line_that_works(driver):
    done = subprocess.run([sys.executable, '-m', 'robot_vision_dl.cli.main', 'doctor', '/front/color/compressed',
                           '--json', '--seconds', '1'], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **IMPORTS})
    result = json.loads(done.stdout)
    assert done.returncode == 0 and result['ok'] and result['reception']['frames'] > 5
    assert result['command'] == 'robot-vision run --image /front/color --transport compressed'
    assert result['publishers'][0]['node'] == '/robot/camera_driver'


@pytest.mark.slow
def test_command_fails_for_a_topic_of_nobody(driver, capsys):
    assert main(['doctor', '/front/colour', '--seconds', '0.3']) == 1
    out = capsys.readouterr().out
    assert 'FAIL  publishers' in out and '/front/color' in out and 'robot-vision run' not in out


def test_segments_of_a_killed_process_are_leftovers(ros_domain):
    started = Driver(ros_domain, 'auto', '/doomed/image=image,best_effort')
    [segment] = [segment for segment in shared_memory.segments() if segment.pid == started.process.pid]
    assert segment.alive and segment.size > 64e6 and segment not in shared_memory.leftovers()
    started.process.send_signal(signal.SIGKILL)
    started.process.wait(20)
    try:
        assert segment.path in [left.path for left in shared_memory.leftovers()]
    finally:
        for path in segment.path.parent.glob(segment.path.name + '*'):
            path.unlink()
        started.process.stdin.close()
        started.process.stdout.close()


@pytest.mark.parametrize('topic', ['/cam//image', '/cam/image-raw', '/2cam'])
def test_a_name_that_cannot_be(topic):
    with pytest.raises(ConfigError, match='cannot be the name of a topic'):
        listen(topic, SECONDS)


def test_similar_topics():
    topics = {'/camera/image_raw': (IMAGE,), '/camera/image_raw/compressed': (COMPRESSED,), '/rear/image_raw': (IMAGE,),
              '/camera/info': ('sensor_msgs/msg/CameraInfo',)}
    assert similar_topics('/camera/image_raw/compressedDepth', topics)[:2] == ['/camera/image_raw',
                                                                             '/camera/image_raw/compressed']
    assert similar_topics('/front/image_raw', topics) == ['/camera/image_raw', '/rear/image_raw']
    assert similar_topics('/cmera/image_raw', topics)[0] == '/camera/image_raw'
    assert similar_topics('/nothing/alike', topics) == []


def test_lines_to_run():
    def line(topic, kind, **options):
        publisher = Publisher('/n', kind, 'reliable', 'volatile', 0, None, None)
        return run_command(Findings(topic, (publisher,), {}, None, None, False), **options)
    assert line('/a', IMAGE, use_sim_time=True) == 'robot-vision run --image /a --use-sim-time'
    assert line('/a/compressed', COMPRESSED) == 'robot-vision run --image /a --transport compressed'
    assert line('/a/compressedDepth', COMPRESSED) == 'robot-vision run --image /a --transport compressedDepth'
    assert line('/a', COMPRESSED).endswith('--transport compressed --ros-args -r /a/compressed:=/a')
    assert line('/a', 'std_msgs/msg/String') is None


def test_the_topic_of_a_detector_is_told_what_it_is_for():
    publisher = Publisher('/detector', DETECTIONS, 'reliable', 'volatile', 0, None, None)
    check, = report(Findings('/boxes', (publisher,), {}, None, None, False))
    assert check.level is Level.FAIL and '--regions /boxes' in check.remedy

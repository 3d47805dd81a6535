"""Launch files under the real ``ros2 launch``; skipped where ros2cli and launch_ros are not installed."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from detector_samples import NAMES, weights_file
from evaluation_samples import labelled_bag, small_model

pytest.importorskip('launch_ros', reason='launch_ros is not installed; it comes with a ROS 2 installation')
if not shutil.which('ros2'):
    pytest.skip('the command ros2 is not installed', allow_module_level=True)

START_TIMEOUT_S = 60


class Launched:
    """A running ``ros2 launch``; a context that ends it as Ctrl-C would."""

    def __init__(self, log, *arguments):
        self._log = log
        package = [] if os.path.isabs(arguments[0]) else ['robot_vision_dl']
        with open(log, 'wb') as output:
            self.process = subprocess.Popen(['ros2', 'launch', *package, *arguments], stdout=output,
                                            stderr=subprocess.STDOUT, start_new_session=True, env=os.environ)

    @property
    def log(self):
        return self._log.read_text()

    def wait_for(self, text):
        deadline = time.monotonic() + START_TIMEOUT_S
        while text not in self.log:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


def ros2(*arguments, until):
    """Ask until the answer has every text of ``until``: a command that has just joined may not see the node in time."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        answer = subprocess.run(['ros2', *arguments], capture_output=True, text=True, timeout=60).stdout
        missing = [text for text in until if text not in answer]
        if not missing:
            return
        assert time.monotonic() < deadline, f'{missing} not in what `ros2 {" ".join(arguments)}` says:\n{answer}'


def test_classifier_with_two_cameras(tmp_path, ros_domain):
    with Launched(tmp_path / 'log', 'classifier.launch.py', 'namespace:=robot', 'image_transport:=compressed',
                  'cameras:=front:=/front/image_raw rear:=/rear/image_raw') as launched:
        launched.wait_for('listening to /front/image_raw/compressed (front), /rear/image_raw/compressed (rear)')
        ros2('lifecycle', 'get', '/robot/classifier', '--no-daemon', until=['active'])
        names = (('front/decision', 'vision_msgs/msg/Classification'),
                 ('rear/classification', 'vision_msgs/msg/Classification'),
                 ('rear/uncertainty', 'diagnostic_msgs/msg/DiagnosticArray'),
                 ('front/overlay', 'sensor_msgs/msg/Image'),
                 ('front/overlay/compressed', 'sensor_msgs/msg/CompressedImage'),
                 ('label_info', 'vision_msgs/msg/LabelInfo'))
        ros2('topic', 'list', '-t', '--no-daemon', '--spin-time', '3', until=[
            *(f'/robot/classifier/{name} [{kind}]' for name, kind in names),
            '/diagnostics [diagnostic_msgs/msg/DiagnosticArray]'])
    assert launched.process.returncode == 0
    assert 'Traceback' not in launched.log


def test_name_of_the_camera_and_of_the_node(tmp_path, ros_domain):
    with Launched(tmp_path / 'log', 'classifier.launch.py', 'node_name:=waste', 'name:=arm', 'namespace:=left',
                  'image:=/arm/image_raw', 'model:=waste_sorter', 'device:=cpu') as launched:
        launched.wait_for('listening to /arm/image_raw (arm)')
        ros2('lifecycle', 'get', '/left/waste', '--no-daemon', until=['active'])
        ros2('topic', 'list', '--no-daemon', '--spin-time', '3', until=[
            '/left/waste/arm/decision', '/left/waste/label_info'])
    assert launched.process.returncode == 0


@pytest.fixture
def composed(tmp_path):
    """The launch file of docs/how-to/compose.md, as it stands there."""
    page = (Path(__file__).parents[1] / 'docs' / 'how-to' / 'compose.md').read_text(encoding='utf-8')
    path = tmp_path / 'robot.launch.py'
    path.write_text(re.search(r'^```python\n(.*?)^```$', page, re.M | re.S).group(1))
    return path


def test_a_launch_file_that_includes_ours_twice(tmp_path, ros_domain, composed):
    """Arguments of its own do not become ours."""
    with Launched(tmp_path / 'log', str(composed), 'name:=robot_1', 'model:=none_of_ours', 'device:=toaster',
                  'autostart:=false') as launched:
        launched.wait_for('listening to /arm/image_raw (arm)')
        launched.wait_for('listening to /front/image_raw (front), /rear/image_raw (rear)')
        assert 'waste_sorter (6 classes) is ready' in launched.log
        ros2('topic', 'list', '--no-daemon', '--spin-time', '3', until=[
            '/waste/arm/decision', '/eyes/scene/front/decision', '/eyes/scene/rear/decision'])
    assert launched.process.returncode == 0
    assert 'Traceback' not in launched.log
    assert 'parameter file' not in launched.log, 'the file that ros2 launch itself writes is warned of'


def test_what_a_group_around_it_sets_holds(tmp_path, ros_domain, composed):
    """Namespace, parameter and remapping; what one robot of several is brought up with."""
    path = tmp_path / 'robots.launch.py'
    path.write_text(f"""
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import PushRosNamespace, SetParameter, SetRemap


def generate_launch_description():
    return LaunchDescription([GroupAction([
        PushRosNamespace('robot_1'), SetParameter('use_sim_time', True), SetParameter('top_k', 3),
        SetRemap('/arm/image_raw', '/robot_1/arm/image_raw'),
        IncludeLaunchDescription(PythonLaunchDescriptionSource({str(composed)!r}))])])
""")
    with Launched(tmp_path / 'log', str(path)) as launched:
        launched.wait_for('(front), /rear/image_raw (rear)')
        launched.wait_for('[robot_1.waste]: listening to')
        ros2('topic', 'list', '--no-daemon', '--spin-time', '3', until=[
            '/robot_1/waste/arm/decision', '/robot_1/eyes/scene/front/decision', '/robot_1/arm/image_raw\n'])
        for name in ('/robot_1/waste', '/robot_1/eyes/scene'):
            ros2('param', 'get', name, 'use_sim_time', '--no-daemon', until=['True'])
            ros2('param', 'get', name, 'top_k', '--no-daemon', until=['3'])
    assert launched.process.returncode == 0


def test_what_is_not_given_is_as_the_parameter_file_has_it(tmp_path, ros_domain):
    file = tmp_path / 'robot.yaml'
    file.write_text('/**:\n  ros__parameters: {use_sim_time: true, autostart: false, image_topics: [/cam]}\n')
    with Launched(tmp_path / 'log', 'classifier.launch.py', f'params_file:={file}') as launched:
        launched.wait_for('process started')
        ros2('lifecycle', 'get', '/classifier', '--no-daemon', until=['unconfigured'])
        ros2('param', 'get', '/classifier', 'use_sim_time', '--no-daemon', until=['True'])
    with Launched(tmp_path / 'log', 'classifier.launch.py', f'params_file:={file}', 'autostart:=yes', 'use_sim_time:=0',
                  ) as launched:
        launched.wait_for('listening to /cam')
        ros2('param', 'get', '/classifier', 'use_sim_time', '--no-daemon', until=['False'])


@pytest.mark.parametrize('name, arguments, said', [
    ('classifier', ('params_file:=/nowhere.yaml',), 'params_file:=/nowhere.yaml: no such file; name a ROS parameter'),
    ('regions', ('params_file:=/nowhere.yaml',), 'params_file:=/nowhere.yaml: no such file'),
    ('demo', ('params_file:=/nowhere.yaml',), 'params_file:=/nowhere.yaml: no such file'),
    ('evaluate', ('bag:=/x', 'params_file:=/nowhere.yaml'), 'params_file:=/nowhere.yaml: no such file'),
    ('classifier', ('autostart:=maybe',), 'autostart:=maybe: must be true or false (or 1, yes, on; 0, no, off)'),
    ('classifier', ('use_sim_time:=2',), 'use_sim_time:=2: must be true or false'),
    ('regions', ('gate:=open',), 'gate:=open: must be true or false'),
    ('evaluate', ('bag:=/x', 'lockstep:=fast'), 'lockstep:=fast: must be true or false'),
    ('train', ('config:=x.yaml', 'restart:=y'), 'restart:=y: must be true or false'),
    ('train', ('config:=x.yaml', 'overwrite:=y'), 'overwrite:=y: must be true or false'),
    ('demo', ('rviz:=maybe',), 'rviz:=maybe: must be true or false'),
    ('regions', ('min_score:=high',), 'min_score:=high: must be a number')])
def test_arguments_that_cannot_be_are_refused_before_anything_starts(tmp_path, ros_domain, name, arguments, said):
    with Launched(tmp_path / 'log', f'{name}.launch.py', *arguments) as launched:
        assert launched.process.wait(START_TIMEOUT_S) != 0
    assert said in launched.log
    assert 'process started' not in launched.log


def test_without_rviz2_the_demo_starts_nothing(tmp_path, ros_domain):
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix
    try:
        pytest.skip(f'rviz2 is installed in {get_package_prefix("rviz2")}')
    except PackageNotFoundError:
        pass
    with Launched(tmp_path / 'log', 'demo.launch.py', 'rviz:=true') as launched:
        assert launched.process.wait(START_TIMEOUT_S) != 0
    assert 'rviz:=true: the package rviz2 is not installed; install ros-$ROS_DISTRO-rviz2' in launched.log
    assert 'process started' not in launched.log


def test_the_demo_shows_just_the_arguments_that_it_heeds():
    shown = subprocess.run(['ros2', 'launch', 'robot_vision_dl', 'demo.launch.py', '--show-args'], capture_output=True,
                           text=True, check=True, timeout=60).stdout
    assert re.findall("^    '(.*)':$", shown, re.M) == [
        'bag', 'model', 'device', 'params_file', 'node_name', 'namespace', 'rviz']


@pytest.mark.parametrize('given, said', [('yes', True), ('ON', True), ('1', True), ('True', True), ('false', False),
                                         ('0', False), ('No', False), ('off', False)])
def test_flags(given, said):
    from robot_vision_dl.ros.launching import flag
    assert flag('gate', given) is said


def test_an_argument_that_the_classifier_has_not():
    from robot_vision_dl.ros.launching import classifier
    with pytest.raises(RuntimeError, match="classifier.launch.py has no argument 'camera'; did you mean 'cameras'"):
        classifier(camera='/c')


@pytest.mark.parametrize('arguments, said', [
    (('image:=/a', 'cameras:=b:=/c'), 'not both'), (('name:=arm',), 'name:=arm is the name of the camera of image:='),
    (('name:=arm', 'cameras:=b:=/c'), 'cameras:= has the names of several')])
def test_contradicting_arguments_are_refused(tmp_path, ros_domain, arguments, said):
    with Launched(tmp_path / 'log', 'classifier.launch.py', *arguments) as launched:
        assert launched.process.wait(START_TIMEOUT_S) != 0
    assert said in launched.log


def test_without_autostart_it_waits_unconfigured(tmp_path, ros_domain):
    with Launched(tmp_path / 'log', 'classifier.launch.py', 'autostart:=false', 'image:=/cam') as launched:
        launched.wait_for('process started')
        ros2('lifecycle', 'get', '/classifier', '--no-daemon', until=['unconfigured'])
        ros2('lifecycle', 'set', '/classifier', 'configure', '--no-daemon', until=['Transitioning successful'])
        ros2('lifecycle', 'get', '/classifier', '--no-daemon', until=['inactive'])


@pytest.mark.slow
def test_training_ends_with_a_bundle(tmp_path, ros_domain):
    pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')
    sys.path.append(str(Path(__file__).parent / 'training'))
    from training_samples import config_text, picture_folders
    config = tmp_path / 'train.yaml'
    config.write_text(config_text(picture_folders(tmp_path / 'pictures'), tmp_path))
    with Launched(tmp_path / 'log', 'train.launch.py', f'config:={config}', 'settings:=run.epochs=2') as launched:
        assert launched.process.wait(120) == 0, launched.log
    assert 'process has finished cleanly' in launched.log
    assert (tmp_path / 'models' / 'shapes' / 'bundle.json').exists()


@pytest.mark.slow
def test_demo(tmp_path, ros_domain):
    with Launched(tmp_path / 'log', 'demo.launch.py') as launched:
        assert launched.process.wait(120) == 0
    assert 'camera: received 300, decided 300, dropped none' in launched.log
    assert 'pick: water bottle' in launched.log


@pytest.mark.slow
def test_the_gate_of_the_demo_follows_namespace_and_name(tmp_path, ros_domain):
    with Launched(tmp_path / 'log', 'demo.launch.py', 'namespace:=robot_1', 'node_name:=eyes') as launched:
        assert launched.process.wait(120) == 0
    assert '[robot_1.action_gate]: pick: water bottle' in launched.log


def test_the_demo_ends_by_ctrl_c_without_an_error(tmp_path, ros_domain):
    with Launched(tmp_path / 'log', 'demo.launch.py') as launched:
        launched.wait_for('[action_gate]: pick: water bottle')
    assert launched.process.returncode == 0, launched.log
    assert 'Caught exception' not in launched.log


def test_without_a_gate_the_chain_ends(tmp_path, ros_domain):
    (tmp_path / 'bad.yaml').write_text('safe: stop\n')
    with Launched(tmp_path / 'log', 'regions.launch.py', 'detector:=none', 'gate:=true', 'namespace:=robot_1',
                  f'actions_file:={tmp_path}/bad.yaml') as launched:
        launched.process.wait(START_TIMEOUT_S)
    assert 'must have the two keys safe and labels' in launched.log
    assert "sending signal 'SIGINT' to process[classifier_node-1]" in launched.log


def test_the_chain_in_a_namespace(tmp_path, ros_domain):
    with Launched(tmp_path / 'log', 'regions.launch.py', 'detector:=none', 'gate:=true', 'namespace:=robot_1',
                  'node_name:=eyes', 'use_sim_time:=true') as launched:
        launched.wait_for('[robot_1.eyes]: listening to /camera/image_raw (camera), objects of /detector/detections')
        ros2('node', 'info', '/robot_1/action_gate', '--no-daemon', until=[
            '/robot_1/eyes/camera/detections: vision_msgs/msg/Detection2DArray',
            '/robot_1/eyes/label_info: vision_msgs/msg/LabelInfo', '/robot_1/cmd_vel: geometry_msgs/msg/Twist'])
        for name in ('eyes', 'action_gate'):
            ros2('param', 'get', f'/robot_1/{name}', 'use_sim_time', '--no-daemon', until=['True'])


@pytest.mark.slow
@pytest.mark.parametrize('demands, said', [('accuracy=0', '60 sent, 60 decided, 0 not'), ('accuracy=1.5', 'FAILED')])
def test_evaluation_of_a_bag_over_dds(tmp_path, ros_domain, demands, said):
    bag, model, out = labelled_bag(tmp_path / 'bag', 60), small_model(tmp_path / 'small'), tmp_path / 'report'
    # Of a robot that has a lifecycle manager and runs in a simulation; here is neither.
    (tmp_path / 'robot.yaml').write_text('/**:\n  ros__parameters: {use_sim_time: true, autostart: false}\n')
    with Launched(tmp_path / 'log', 'evaluate.launch.py', f'bag:={bag}', f'model:={model}', f'out:={out}',
                  f'params_file:={tmp_path}/robot.yaml', 'device:=cpu', 'lockstep:=true',
                  f'extra:=--fail-under {demands}') as launched:
        launched.process.wait(120)
    log = launched.log
    assert said in log and 'Traceback' not in log, log
    # The node, which was told to end when the evaluation was done.
    assert re.search(r'\[classifier_node-\d+\]: process has finished cleanly', log), log
    metrics = json.loads((out / 'metrics.json').read_text())
    found, = metrics['live']['recordings']
    assert (found['decided'], found['decisions_unlike_offline']) == (60, 0)
    assert metrics['models']['small']['frames']['labelled'] == 60
    assert '<h2' in (out / 'report.html').read_text()


def test_evaluation_of_a_bag_that_is_not_there_says_so(tmp_path, ros_domain):
    with Launched(tmp_path / 'log', 'evaluate.launch.py', 'bag:=/nowhere', f'out:={tmp_path / "report"}') as launched:
        assert launched.process.wait(START_TIMEOUT_S) != 0
    assert '/nowhere' in launched.log
    assert not (tmp_path / 'report').exists()


@pytest.fixture(scope='module')
def squares(tmp_path_factory):
    """(bundle, bag): a red square that stands lower, and a larger blue one; 40 pictures at 10 Hz, with their boxes."""
    import cv2
    from object_samples import HEIGHT, WIDTH, scene, square_bundle
    folder = tmp_path_factory.mktemp('squares')
    pictures = folder / 'pictures'
    pictures.mkdir()
    (pictures / 'classes.txt').write_text('red\nblue\n')
    objects = (('red', 90, 180, 40), ('blue', 220, 90, 70))
    for number in range(40):
        cv2.imwrite(str(pictures / f'{number:02}.png'), scene(objects, seed=number))
        (pictures / f'{number:02}.txt').write_text(''.join(
            f'{index} {x / WIDTH} {y / HEIGHT} {side / WIDTH} {side / HEIGHT}\n'
            for index, (_, x, y, side) in enumerate(objects)))
    subprocess.run(['robot-vision', 'bag', 'from-images', str(pictures), '--out', str(folder / 'bag'), '--objects',
                    '--rate', '10', '--raw'], check=True)
    return square_bundle(folder / 'model'), folder / 'bag'


def decided(log):
    """(images that came, images whose objects were decided), as the classifier tells at its end."""
    return tuple(map(int, re.search(r'camera: received (\d+), decided (\d+)', log).groups()))


@pytest.mark.slow
@pytest.mark.parametrize('chosen, said', [('nearest', 'pick: red (object '), ('largest', 'push: blue (object ')])
def test_boxes_of_a_bag_are_classified_and_one_object_is_acted_on(tmp_path, ros_domain, squares, chosen, said):
    (tmp_path / 'actions.yaml').write_text('safe: stop\nlabels: {red: pick, blue: push}\n')
    model, bag = squares
    with Launched(tmp_path / 'log', 'regions.launch.py', 'detector:=none', 'detections:=/detections', f'bag:={bag}',
                  f'model:={model}', 'device:=cpu', 'gate:=true', f'object:={chosen}',
                  f'actions_file:={tmp_path}/actions.yaml') as launched:
        assert launched.process.wait(120) == 0, launched.log
    log = launched.log
    assert 'listening to /camera/image_raw (camera), objects of /detections' in log
    came, looked_at = decided(log)
    assert came == 40 and looked_at > 35, log
    actions = re.findall(r'\[action_gate\]: (pick|push|stop): (.*)', log)
    assert actions[0] == ('stop', 'no decision heard') and said in log
    assert {name for name, _ in actions} == {'stop', said.partition(':')[0]}, actions
    assert 'Traceback' not in log


@pytest.mark.slow
def test_a_detector_gives_the_classifier_its_boxes(tmp_path, ros_domain, squares):
    """Its weights are random, and so are its boxes; whatever they hold is decided."""
    model, bag = squares
    weights = weights_file(tmp_path / 'detector.pth')
    with Launched(tmp_path / 'log', 'regions.launch.py', f'bag:={bag}', f'model:={model}', 'device:=cpu',
                  f'detector_weights:={weights}', f'detector_classes:={", ".join(NAMES)}',
                  'min_score:=0.9') as launched:
        launched.wait_for('listening to /camera/image_raw, objects on /detector/detections')
        launched.wait_for('listening to /camera/image_raw (camera), objects of /detector/detections')
        ros2('topic', 'list', '-t', '--no-daemon', '--spin-time', '3', until=[
            f'{topic} [vision_msgs/msg/Detection2DArray]'
            for topic in ('/detector/detections', '/classifier/camera/detections')])
        assert launched.process.wait(120) == 0, launched.log
    came, looked_at = decided(launched.log)
    assert came == 40 and looked_at > 5, launched.log
    assert 'ssdlite320_mobilenet_v3_large (4 classes) is ready on cpu' in launched.log
    assert 'Traceback' not in launched.log


@pytest.mark.parametrize('arguments, said', [
    (('detector:=yolo',), 'detector:=yolo: must be torchvision or none'),
    (('image_transport:=theora',), 'image_transport:=theora: must be raw or compressed')])
def test_what_the_chain_cannot_be_is_refused(tmp_path, ros_domain, arguments, said):
    with Launched(tmp_path / 'log', 'regions.launch.py', *arguments) as launched:
        assert launched.process.wait(START_TIMEOUT_S) != 0
    assert said in launched.log


def test_a_detector_without_weights_ends_the_chain(tmp_path, ros_domain):
    with Launched(tmp_path / 'log', 'regions.launch.py', 'detector_weights:=/nowhere.pth') as launched:
        launched.process.wait(START_TIMEOUT_S)
    assert '/nowhere.pth: no such file' in launched.log
    assert "sending signal 'SIGINT' to process[classifier_node-1]" in launched.log

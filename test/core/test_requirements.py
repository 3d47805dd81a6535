"""Real nodes and commands from which packages are hidden, as where no package manager has brought them."""
import importlib.metadata
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from robot_vision_dl.core import requirements
from robot_vision_dl.core.errors import RequirementError

VISION_MSGS = 'robot-vision build-msgs' if not os.environ.get('ROS_DISTRO') else 'sudo apt install ros-'
NO_ROS = 'there is no ROS 2 in this Python environment (rclpy is missing): `source '
DEMO_BAG = Path(__file__).resolve().parents[2] / 'config' / 'demo' / 'waste'
# Python imports this module at its start, wherever it lies on the path.
HIDE = """
import os, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in os.environ['HIDDEN'].split(','):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture
def start(tmp_path, ros_domain):
    """A function that runs a program of the environment, ``bin/robot-vision`` say, with packages hidden from it."""
    (tmp_path / 'sitecustomize.py').write_text(HIDE)

    def run(program: str, *arguments: str, hidden: str) -> subprocess.CompletedProcess:
        path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get('PYTHONPATH')]))
        environment = {key: value for key, value in os.environ.items() if key != '_ROS_WHEELS_BOOTSTRAP_COMPLETE'}
        executable = Path(sys.prefix, program)
        if not executable.is_file():
            pytest.skip(f'the package is not installed in {sys.prefix}: make setup')
        return subprocess.run([str(executable), *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                              env={**environment, 'PYTHONPATH': path, 'HIDDEN': hidden})
    return run


def by_apt(package: str, otherwise: str) -> str:
    """The command that is named where an installed ROS 2 is sourced, or ``otherwise``."""
    return f'sudo apt install {package}' if os.environ.get('ROS_DISTRO') else otherwise


def lines(done: subprocess.CompletedProcess) -> list:
    return (done.stdout + done.stderr).splitlines()


@pytest.mark.parametrize('node, hidden, said', [
    ('classifier_node', 'torch', "torch is not installed: `python3 -m pip install 'torch>="),
    ('classifier_node', 'torch,safetensors', 'safetensors, torch are not installed: `python3 -m pip install '),
    # Imported late, in the middle of the work.
    ('classifier_node', 'PIL', f"PIL is not installed: `{by_apt('python3-pil', 'python3 -m pip install ')}"),
    ('classifier_node', 'vision_msgs', f'vision_msgs is not installed: `{VISION_MSGS}'),
    ('detector_node', 'torchvision', "torchvision is not installed: `python3 -m pip install 'torchvision>="),
    ('trainer_node', 'rosbags', "rosbags is not installed: `python3 -m pip install 'rosbags>="),
    ('action_gate_node', 'yaml', f"yaml is not installed: `{by_apt('python3-yaml', 'python3 -m pip install ')}"),
    ('action_gate_node', 'rclpy', NO_ROS),
])
def test_a_node_says_at_its_start_what_to_install(start, node, hidden, said):
    pytest.importorskip('rclpy', reason='ROS 2 is not here')
    done = start(f'lib/robot_vision_dl/{node}', hidden=hidden)
    [line] = lines(done)
    assert done.returncode == 2 and f'[{node[:-len("_node")]}]: {said}' in line


@pytest.mark.parametrize('arguments, hidden, said', [
    (['bag', 'info', '.'], 'rosbags', "robot-vision bag: rosbags is not installed: `python3 -m pip install 'rosbags>="),
    (['models', 'verify'], 'safetensors', 'robot-vision models: safetensors is not installed: `python3 -m pip '),
    (['run'], 'torch,PIL', 'robot-vision run: PIL, torch are not installed: `'),
    (['run'], 'vision_msgs', f'robot-vision run: vision_msgs is not installed: `{VISION_MSGS}'),
    (['run'], 'sensor_msgs', 'robot-vision run: '),
    (['gate'], 'rclpy', f'robot-vision gate: {NO_ROS}'),
    (['watch', '--once', '--timeout', '1'], 'rclpy', f'robot-vision watch: {NO_ROS}'),
    (['play', str(DEMO_BAG)], 'rclpy', f'robot-vision play: {NO_ROS}'),
    (['evaluate', str(DEMO_BAG), '--model', 'waste_sorter', '--out', 'o', '--live'], 'rclpy',
     f'robot-vision evaluate: {NO_ROS}'),
])
def test_a_command_says_what_to_install(start, arguments, hidden, said):
    done = start('bin/robot-vision', *arguments, hidden=hidden)
    [line] = lines(done)
    assert done.returncode == 2 and line.startswith(said)


def test_what_needs_no_bags_runs_without_rosbags(start):
    done = start('bin/robot-vision', 'models', 'list', hidden='rosbags,torchvision,matplotlib,lightning')
    assert done.returncode == 0 and 'squeezenet1_1_imagenet' in done.stdout


def test_torch_comes_with_the_torchvision_that_fits(start):
    [line] = lines(start('bin/robot-vision', 'models', 'list', hidden='torch'))
    assert "'torch>=" in line and "'torchvision>=" in line


@pytest.mark.parametrize('program, arguments, who', [
    ('lib/robot_vision_dl/classifier_node', [], '[classifier]'), ('bin/robot-vision', ['models', 'list'], 'models')])
def test_the_old_torch_of_a_distribution_is_told(start, tmp_path, program, arguments, who):
    metadata = tmp_path / 'torch-1.8.1.dist-info' / 'METADATA'  # where it is found before the real one
    metadata.parent.mkdir()
    metadata.write_text('Metadata-Version: 2.1\nName: torch\nVersion: 1.8.1\n')
    done = start(program, *arguments, hidden='')
    [line] = lines(done)
    assert done.returncode == 2
    assert f'{who}: torch 1.8.1 is too old: `python3 -m pip install ' in line and "'torch>=" in line


def test_beside_an_installed_ros_apt_brings_what_it_has(monkeypatch):
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    monkeypatch.setattr(requirements, 'missing', lambda modules: ['cv2', 'PIL', 'torch'])
    with pytest.raises(RequirementError, match="^cv2, PIL, torch are not installed: `sudo apt install python3-opencv "
                       "python3-pil && python3 -m pip install .*'torch>=[0-9.]+' 'torchvision>=[0-9.]+'`$"):
        requirements.check(('cv2', 'PIL', 'torch'))
    monkeypatch.setattr(requirements, 'missing', lambda modules: ['yaml'])
    with pytest.raises(RequirementError, match='^yaml is not installed: `sudo apt install python3-yaml`$'):
        requirements.check(('yaml',))


def older(name: str, old: str, monkeypatch) -> None:
    """Let the metadata say that ``name`` is installed in the version ``old``."""
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, 'version', lambda asked: old if asked == name else real(asked))


def test_what_is_too_old_is_told(monkeypatch):
    requirements.check_versions()
    older('torch', '1.8.1', monkeypatch)
    with pytest.raises(RequirementError, match=r"^torch 1\.8\.1 is too old: `python3 -m pip .*'torch>=") as info:
        requirements.check_versions()
    assert "'torchvision>=" in str(info.value)


@pytest.mark.parametrize('version, is_old', [('2.0.1', True), ('2.1.0a0+41361538.nv23.06', False), ('10.0', False),
                                             ('2.1', False), ('1.13.1+cpu', True)])
def test_versions_are_compared_as_numbers(monkeypatch, version, is_old):
    monkeypatch.setattr(requirements, 'requirements', lambda: {'torch': 'torch>=2.1'})
    older('torch', version, monkeypatch)
    assert bool(requirements.too_old(['torch'])) is is_old


def test_requirements_are_those_of_the_installation():
    pytest.importorskip('rosbags')
    found = requirements.requirements()
    assert set(found) == set(requirements.DISTRIBUTIONS.values()) and found['rosbags'].startswith('rosbags>=')


def test_pip_is_told_where_the_distribution_guards_its_python(monkeypatch, tmp_path):
    monkeypatch.setattr(sysconfig, 'get_path', lambda name: str(tmp_path))
    monkeypatch.setattr(sys, 'base_prefix', sys.prefix)
    assert requirements.pip_install(['a', 'b>=1']) == "python3 -m pip install a 'b>=1'"
    (tmp_path / 'EXTERNALLY-MANAGED').touch()
    assert requirements.pip_install(['a']) == 'python3 -m pip install --break-system-packages a'
    monkeypatch.setattr(sys, 'base_prefix', '/usr')  # a virtual environment is not guarded
    assert requirements.pip_install(['a']) == 'python3 -m pip install a'


@pytest.mark.parametrize('name', [None, 'robot_vision_dl.core.no_such', 'some_other_package', 'json.no_such'])
def test_other_import_errors_keep_their_traceback(name):
    assert requirements.explained(ImportError('no', name=name)) is None


def test_a_package_that_is_there_and_broken_keeps_its_traceback():
    assert requirements.explained(ImportError('libc10.so: cannot open shared object file', name='torch')) is None

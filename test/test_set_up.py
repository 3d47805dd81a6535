"""`make setup` where it cannot go on; the whole of it is what `make test` itself does first."""
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of what the set-up reads, without an environment."""
    folder = tmp_path / 'checkout'
    (folder / '.ci').mkdir(parents=True)
    for file in (REPOSITORY / '.ci').glob('*.py'):
        shutil.copy(file, folder / '.ci')
    shutil.copy(REPOSITORY / 'Makefile', folder)
    shutil.copy(REPOSITORY / 'setup.py', folder)
    return folder


def make(checkout: Path, target: str, **environment: str) -> subprocess.CompletedProcess:
    inherited = {key: value for key, value in os.environ.items()
                 if key not in ('MAKEFLAGS', 'MAKELEVEL', 'AMENT_PREFIX_PATH', 'ROS_DISTRO', 'PYTHON', 'ROS',
                                'BACKENDS')}
    return subprocess.run(['make', '--no-print-directory', target], cwd=checkout, env={**inherited, **environment},
                          capture_output=True, text=True, timeout=60)


def interpreter(folder: Path, body: str) -> str:
    """A program that stands for a Python of another kind."""
    path = folder / 'python'
    path.write_text(f'#!{sys.executable}\n{body}')
    path.chmod(0o755)
    return str(path)


# Runs scripts as Python does, but gives another version when asked on the command line.
OTHER_VERSION = """
import json, os, sys
if sys.argv[1] == '-c':
    print(json.dumps({version}))
else:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""


@pytest.mark.parametrize('version', [[3, 8], [3, 15]])
def test_python_of_the_wrong_version(checkout, tmp_path, version):
    python = interpreter(tmp_path, OTHER_VERSION.format(version=version, python=sys.executable))
    done = make(checkout, 'setup', PYTHON=python)
    assert done.returncode != 0
    assert f'set-up: needs Python 3.10 to 3.13; {python} is 3.{version[1]}. Install one, or name it' in done.stderr
    assert not (checkout / '.venv').exists()


def test_no_python(checkout):
    done = make(checkout, 'setup', PYTHON='/no/such/python')
    assert done.returncode != 0
    assert 'there is no /no/such/python; sudo apt install python3' in done.stderr


def test_python_without_venv(checkout, tmp_path):
    # As Debian's python3 does where python3-venv is not installed.
    body = OTHER_VERSION.format(version=list(sys.version_info[:2]), python=sys.executable)
    python = interpreter(tmp_path, body.replace(
        'else:', 'elif sys.argv[1:3] == ["-m", "venv"]:\n    sys.exit("ensurepip is not available")\nelse:'))
    done = make(checkout, 'setup', PYTHON=python)
    assert done.returncode != 0
    version = '.'.join(map(str, sys.version_info[:2]))
    assert f'set-up: this Python cannot make virtual environments: sudo apt install python{version}-venv' in done.stderr


def test_sourced_ros_that_no_python_can_import(checkout, tmp_path):
    python = interpreter(tmp_path, OTHER_VERSION.format(version=[3, 12], python=sys.executable).replace(
        "if sys.argv[1] == '-c':", "if sys.argv[1] == '-c' and 'rclpy' in sys.argv[2]:\n    sys.exit(1)\n"
        "elif sys.argv[1] == '-c':"))
    done = make(checkout, 'setup', PYTHON=python, AMENT_PREFIX_PATH='/opt/ros/jazzy', ROS_DISTRO='jazzy')
    assert done.returncode != 0
    assert 'that can import the rclpy of the sourced ROS 2 (jazzy)' in done.stderr
    assert 'is 3.12 and cannot import rclpy' in done.stderr


def test_failed_step_is_told_and_tried_again(checkout):
    # An environment that is ready but for a requirement that cannot be had.
    setup = checkout / 'setup.py'
    setup.write_text("REQUIREMENTS = ['./no-such-requirement']\n"
                     "EXTRAS = {'train': [], 'test': [], 'ros': [], 'onnx': [], 'openvino': []}\n")
    for _ in range(2):
        done = make(checkout, 'setup')
        assert done.returncode != 0
        assert 'set-up: the requirements could not be installed (exit code 1). The end of' in done.stderr
        assert 'no-such-requirement' in done.stderr


def test_bare_make_explains(checkout):
    done = subprocess.run(['make', '--no-print-directory'], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0
    assert all(f'make {target}' in done.stdout for target in ('demo', 'test', 'test-all', 'lint', 'setup', 'clean'))


def test_a_distribution_without_wheels(checkout):
    done = make(checkout, 'setup', ROS='humble')
    assert done.returncode != 0
    assert 'set-up: ROS=humble is none of the distributions that have wheels: jazzy, kilted' in done.stderr
    assert not list(checkout.glob('.venv*'))


def test_wheels_are_not_mixed_with_a_sourced_ros(checkout):
    done = make(checkout, 'setup', ROS='jazzy', AMENT_PREFIX_PATH='/opt/ros/jazzy', ROS_DISTRO='jazzy')
    assert done.returncode != 0
    assert 'ROS=jazzy takes ROS 2 from wheels, and in this shell ROS 2 jazzy is sourced' in done.stderr
    assert not list(checkout.glob('.venv*'))


def test_oldest_versions_on_a_python_that_they_have_no_wheels_for(checkout, tmp_path):
    python = interpreter(tmp_path, OTHER_VERSION.format(version=[3, 12], python=sys.executable))
    (tmp_path / 'bin').mkdir()
    for name in ('python3.10', 'python3'):
        (tmp_path / 'bin' / name).symlink_to(python)
    done = make(checkout, 'test-oldest', PYTHON=python, PATH=f'{tmp_path / "bin"}:{os.environ["PATH"]}')
    assert done.returncode != 0
    assert 'the oldest versions need Python 3.10' in done.stderr and 'PYTHON=/path/to/python3.10' in done.stderr


def part_of_set_up(name: str):
    """A module of .ci, which is no package."""
    sys.path.insert(0, str(REPOSITORY / '.ci'))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


def test_what_the_oldest_environment_is_made_of():
    oldest = part_of_set_up('oldest')
    required, extras = part_of_set_up('set_up').requirements()
    core = oldest.oldest_requirements(required, extras, False)
    assert not [item for item in core if '>=' in item and not oldest.LINTERS.match(item)]
    assert {'dask[distributed]==2023.5', 'torch==2.1', 'numpy==1.21.2'} < set(core)
    bounds = [item for item in required if not item.startswith('numpy')]
    assert set(map(oldest.lowest, bounds)) < set(oldest.oldest_requirements(required, extras, True))


def package(folder: Path, name: str, distribution: str) -> None:
    """What pip leaves of a package."""
    (folder / name).mkdir()
    (folder / name / '__init__.py').touch()
    info = folder / f'{distribution.replace("-", "_")}-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n')
    (info / 'RECORD').write_text(f'{name}/__init__.py,,\n{info.name}/METADATA,,\n')


def test_all_but_ros_is_shared(tmp_path):
    environment, distribution = part_of_set_up('environment'), part_of_set_up('distribution')
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(tmp_path / '.venv')], check=True)
    packages = next((tmp_path / '.venv' / 'lib').glob('python*/site-packages'))
    for name, wheel in (('torch', 'torch'), ('rosbags', 'rosbags'), ('rclpy', 'ros-rclpy'), ('pip', 'pip'),
                        ('robot_vision_dl', 'robot_vision_dl')):
        package(packages, name, wheel)
    (packages / 'vision_msgs').mkdir()  # by `robot-vision build-msgs`
    (packages / 'ros_wheels_bootstrapper.pth').touch()
    env = environment.Environment(tmp_path / '.venv')
    shared = distribution.share(env)
    assert {link.name for link in shared.iterdir()} == {'torch', 'torch-1.0.dist-info', 'rosbags',
                                                        'rosbags-1.0.dist-info'}
    assert (shared / 'torch').resolve() == packages / 'torch'
    package(packages, 'timm', 'timm')
    assert (distribution.share(env) / 'timm' / '__init__.py').is_file()

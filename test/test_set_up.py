"""`make setup` where it cannot go on; the whole of it is what `make test` itself does first."""
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
                 if key not in ('MAKEFLAGS', 'MAKELEVEL', 'AMENT_PREFIX_PATH', 'ROS_DISTRO', 'PYTHON')}
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
    setup.write_text("REQUIREMENTS = ['./no-such-requirement']\nEXTRAS = {'train': [], 'test': [], 'ros': []}\n")
    for _ in range(2):
        done = make(checkout, 'setup')
        assert done.returncode != 0
        assert 'set-up: the requirements could not be installed (exit code 1). The end of' in done.stderr
        assert 'no-such-requirement' in done.stderr


def test_bare_make_explains(checkout):
    done = subprocess.run(['make', '--no-print-directory'], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0
    assert all(f'make {target}' in done.stdout for target in ('demo', 'test', 'test-all', 'lint', 'setup', 'clean'))

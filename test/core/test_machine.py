"""What a figure was measured on."""
import os
import platform
from importlib import metadata

import cv2
import numpy as np
import pytest

from robot_vision_dl.core import machine
from robot_vision_dl.core.machine import processor, version_of


def test_the_environment_names_what_is_installed_and_nothing_else():
    found = machine.environment()
    assert found['python'] == platform.python_version() and found['numpy'] == np.__version__
    assert found['cores'] == len(os.sched_getaffinity(0)) and found['processor']
    assert machine.version_of('no-such-package') is None
    assert None not in [found[name] for name in machine.PACKAGES if name in found]


def test_it_fits_on_a_line_without_what_is_not_known():
    assert machine.describe({'cores': 2, 'gpu': None, 'python': '3.11'}) == 'cores 2, python 3.11'


def test_an_installed_copy_has_no_commit_and_a_checkout_has_that_of_git(monkeypatch, tmp_path):
    file = tmp_path / 'robot_vision_dl' / 'core' / 'machine.py'
    file.parent.mkdir(parents=True)
    file.write_text('x = 1\n')
    monkeypatch.setattr(machine, '__file__', str(file))
    assert machine.git_revision() is None
    identity = ('-c', 'user.name=x', '-c', 'user.email=x@example.org')
    try:
        machine._git(tmp_path, 'init', '-q')
    except OSError:
        pytest.skip('git is not installed')
    machine._git(tmp_path, 'add', '-A')
    machine._git(tmp_path, *identity, 'commit', '-q', '-m', 'x')
    commit = machine._git(tmp_path, 'rev-parse', 'HEAD')
    assert machine.git_revision() == commit
    file.write_text('x = 2\n')
    assert machine.git_revision() == f'{commit}+changes'


def test_the_processor_is_told_by_name(tmp_path):
    (tmp_path / 'intel').write_text('processor\t: 0\nmodel name\t: Intel(R) N100\n\nprocessor\t: 1\n')
    assert processor(tmp_path / 'intel', tmp_path / 'none') == 'Intel(R) N100'
    assert processor(tmp_path / 'none', tmp_path / 'none') == platform.machine()


def test_boards_with_arm_processors_are_told_apart(tmp_path):
    """Linux has no name of the model there."""
    found = set()
    for name, board, parts in (('orin', 'NVIDIA Jetson Orin Nano Developer Kit', ['0xd42'] * 6),
                               ('pi4', 'Raspberry Pi 4 Model B Rev 1.5', ['0xd08'] * 4),
                               ('pi5', 'Raspberry Pi 5 Model B Rev 1.0', ['0xd0b'] * 4),
                               ('rk3588', None, ['0xd05'] * 4 + ['0xd0b'] * 4), ('other', None, ['0xd05'] * 4)):
        (tmp_path / name).write_text(''.join(
            f'processor\t: {number}\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n'
            for number, part in enumerate(parts)))
        if board:
            (tmp_path / f'{name}_board').write_bytes(board.encode() + b'\0')
        said = processor(tmp_path / name, tmp_path / f'{name}_board')
        assert said.startswith(platform.machine()) and (board or '') in said and '\0' not in said
        found.add(said)
    assert len(found) == 5
    assert processor(tmp_path / 'rk3588', tmp_path / 'none').endswith(', 0x41/0xd05/0xd0b')


@pytest.mark.parametrize('package, other', [('onnxruntime', 'onnxruntime-gpu'),
                                            ('opencv-python', 'opencv-contrib-python-headless')])
def test_a_package_is_found_under_its_other_names(package, other, monkeypatch):
    there = {other: '1.2.3'}

    def version(name):
        if name not in there:
            raise metadata.PackageNotFoundError(name)
        return there[name]
    monkeypatch.setattr(metadata, 'version', version)
    assert version_of(package) == f'1.2.3 ({other})'
    there[package] = '4.5.6'
    assert version_of(package) == '4.5.6' and version_of('none such') is None
    there.clear()
    assert version_of('opencv-python') == cv2.__version__  # of the system's packages, which are no distribution
    monkeypatch.setattr(machine, 'import_module', lambda name: (_ for _ in ()).throw(OSError('no such library')))
    assert version_of('opencv-python') is None

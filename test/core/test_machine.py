"""What a figure was measured on."""
import os
import platform

import numpy as np
import pytest

from robot_vision_dl.core import machine


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

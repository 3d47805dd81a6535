"""Children are found where they are installed, whatever the folder has that somebody works in, and end in time."""
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import robot_vision_dl
from robot_vision_dl.core import processes
from robot_vision_dl.core.processes import end_helpers_when, module_command, run_helper

PACKAGE = Path(robot_vision_dl.__file__).parent


def test_a_file_of_the_working_directory_that_is_named_as_a_module_is_not_run(tmp_path):
    for name in ('random', 'json', 'numpy', 'runpy', 'argparse', 'robot_vision_dl'):
        (tmp_path / f'{name}.py').write_text(f'open("{name} was run", "w").close()\n')
    done = subprocess.run(module_command('robot_vision_dl.cli.main', 'models', 'list', '--help'), cwd=tmp_path,
                          env={**os.environ, 'PYTHONPATH': str(PACKAGE.parent)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'robot-vision models list' in done.stdout
    assert not list(tmp_path.glob('* was run'))


def test_nothing_is_started_that_looks_into_the_working_directory():
    started = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob('*.py')
               if re.search(r"sys\.executable, '-m'", path.read_text())}
    assert started == {'ros/interfaces/build.py'}, 'which runs pip, and pip takes the working directory off the path'


def test_arguments_and_exit_codes_are_those_of_the_module(tmp_path):
    (tmp_path / 'told.py').write_text('import sys\nprint(__name__, sys.argv[1:])\nsys.exit(3)\n')
    done = subprocess.run([sys.executable, '-c', f'import sys; sys.path.append({str(tmp_path)!r}); '
                           + module_command('told')[2], *module_command('told', '-c', '', 'a b')[3:]],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (3, "__main__ ['-c', '', 'a b']"), done.stderr


HELPER = """
import os, sys, time
from pathlib import Path
def main(folder, seconds):
    Path(folder, 'id').write_text(str(os.getpid()))
    os.replace(Path(folder, 'id'), Path(folder, 'begun'))
    try:
        time.sleep(float(seconds))
    except KeyboardInterrupt:
        Path(folder, 'tidied up').touch()
        raise
    print('its last words', file=sys.stderr)
    return 3
"""


@pytest.fixture
def helper(tmp_path, monkeypatch):
    (tmp_path / 'slow_helper.py').write_text(HELPER)
    monkeypatch.syspath_prepend(str(tmp_path))
    return 'slow_helper'


def wait_for(path):
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)
    return int(path.read_text())


def test_a_helper_says_how_it_ended(helper, tmp_path):
    done = run_helper(helper, str(tmp_path), '0')
    assert (done.returncode, done.stderr) == (3, 'its last words\n')


def test_a_helper_ends_when_this_process_is_told_to_stop(helper, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, '_TOLD_TO_STOP', [])
    end_helpers_when((tmp_path / 'begun').exists)
    with pytest.raises(KeyboardInterrupt):
        run_helper(helper, str(tmp_path), '60')
    assert not psutil.pid_exists(wait_for(tmp_path / 'begun'))
    assert (tmp_path / 'tidied up').exists()


def test_a_helper_of_what_runs_behind_an_ampersand_tidies_up(helper, tmp_path):
    """There a shell has SIGINT ignored, which processes inherit."""
    code = f"""
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from pathlib import Path
from robot_vision_dl.core.processes import end_helpers_when, run_helper
end_helpers_when(Path({str(tmp_path)!r}, 'begun').exists)
run_helper({helper!r}, {str(tmp_path)!r}, "60")
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, timeout=60, env={
        **os.environ, 'PYTHONPATH': os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])})
    assert b'KeyboardInterrupt' in done.stderr and (tmp_path / 'tidied up').exists()


@pytest.mark.parametrize('number', (signal.SIGINT, signal.SIGKILL))
def test_a_helper_does_not_outlive_the_process_that_waits_for_it(number, helper, tmp_path):
    code = ('import signal; signal.signal(signal.SIGINT, signal.default_int_handler); '  # else it may be ignored
            f'from robot_vision_dl.core.processes import run_helper; run_helper({helper!r}, {str(tmp_path)!r}, "60")')
    parent = subprocess.Popen([sys.executable, '-c', code], stderr=subprocess.DEVNULL, env={
        **os.environ, 'PYTHONPATH': os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])})
    begun = psutil.Process(wait_for(tmp_path / 'begun'))
    parent.send_signal(number)
    assert parent.wait(20) == -number
    begun.wait(20)

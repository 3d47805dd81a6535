"""Make the virtual environment `.venv` of this checkout and install the package in it; `make setup` runs this.

Each step leaves a stamp with a digest of what it was made from, written only after the step has succeeded: a set-up
that was interrupted goes on where it stopped, and one that is up to date takes a fraction of a second.

Needs nothing but Python's standard library, and runs under any Python 3.6+ to be able to say that it is too old.
"""
import ast
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python'
LOG = VENV / 'setup.log'
STAMPS = VENV / 'setup.json'
SUPPORTED = ((3, 10), (3, 13))
# What a change of means that the package must be installed again.
SOURCES = ('robot_vision_dl', 'launch', 'config', 'models', 'resource', 'setup.py', 'setup.cfg', 'pyproject.toml',
           'package.xml')
# Builds wheels by itself from this version on.
BUILD_BACKEND = 'setuptools>=70.1'
# Requirements that are imported by another name than they are installed by.
IMPORT_NAMES = {'opencv-python': 'cv2', 'pyyaml': 'yaml'}


class SetUpError(Exception):
    """The set-up cannot go on; the message says what the user can do."""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def probe(python: str, code: str) -> str:
    """What ``code`` prints under ``python``; empty if it fails."""
    try:
        done = subprocess.run([python, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              universal_newlines=True)
    except OSError:
        return ''
    return done.stdout.strip() if done.returncode == 0 else ''


def python_version(python: str) -> tuple:
    """(major, minor) of an interpreter, () if it does not run."""
    return tuple(json.loads(probe(python, 'import sys; print(list(sys.version_info[:2]))') or '[]'))


def sourced_ros() -> str:
    """Name of the ROS 2 distribution that this shell has sourced, or ''."""
    if not os.environ.get('AMENT_PREFIX_PATH'):
        return ''
    return os.environ.get('ROS_DISTRO', '')


def choose_python(ros: str) -> str:
    """The Python to make the environment with: PYTHON=... if given, else the first supported one on PATH."""
    wished = os.environ.get('PYTHON')
    names = ['python3', '/usr/bin/python3'] if ros else ['python3'] + ['python3.%d' % n for n in (12, 13, 11, 10)]
    seen = []
    for name in [wished] if wished else names:
        path = shutil.which(name)
        version = python_version(path) if path else ()
        if not version:
            continue
        seen.append('%s is %d.%d' % ((path,) + version))
        if not SUPPORTED[0] <= version <= SUPPORTED[1]:
            continue
        if ros and not probe(path, 'import rclpy; print("yes")'):
            seen[-1] += ' and cannot import rclpy'
            continue
        return path
    what = 'Python 3.%d to 3.%d' % (SUPPORTED[0][1], SUPPORTED[1][1])
    if ros:
        what += ' that can import the rclpy of the sourced ROS 2 (%s)' % ros
    raise SetUpError('needs %s; %s. Install one, or name it: make setup PYTHON=/path/to/python3'
                     % (what, '; '.join(seen) or ('%s is not there' % (wished or 'python3'))))


class Stamps:
    """Which steps are done, and of what; kept in the environment itself, so that it goes with it."""

    def __init__(self):
        try:
            self._done = json.loads(STAMPS.read_text())
        except (OSError, ValueError):
            self._done = {}

    def get(self, step: str):
        """What the step was last done with; None if never."""
        return self._done.get(step)

    def clear(self) -> None:
        """Forget all steps."""
        self._done = {}

    def set(self, step: str, value) -> None:
        """Note that the step is done."""
        self._done[step] = value
        partial = STAMPS.with_suffix('.new')
        partial.write_text(json.dumps(self._done, indent=1))
        partial.replace(STAMPS)


def digest(*paths: str) -> str:
    """SHA-256 over the names and contents of files and folders of the checkout."""
    result = hashlib.sha256()
    for name in paths:
        top = ROOT / name
        for path in sorted(top.rglob('*')) if top.is_dir() else [top]:
            if path.is_file() and '__pycache__' not in path.parts:
                result.update(('%s\0%o\0' % (path.relative_to(ROOT), path.stat().st_mode)).encode())
                result.update(hashlib.sha256(path.read_bytes()).digest())
    return result.hexdigest()


def run(command: list, failure: str) -> None:
    """Run a command with its output in the log; every 15 s a line says that it lives. Ends with it on Ctrl-C."""
    start = time.time()
    with LOG.open('a') as log:
        log.write('\n$ %s\n' % ' '.join(command))
        log.flush()
        begin = LOG.stat().st_size
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=str(ROOT))
        finished = threading.Event()

        def report() -> None:
            while not finished.wait(15):
                say('      ... %3.0f s  %s' % (time.time() - start, _what_pip_does()))

        reporter = threading.Thread(target=report, daemon=True)
        reporter.start()
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            finished.set()
            reporter.join()
    if code:
        with LOG.open('rb') as log:
            log.seek(begin)
            lines = log.read().decode(errors='replace').splitlines()
        raise SetUpError('%s (exit code %d). The end of %s:\n  %s' % (failure, code, LOG, '\n  '.join(lines[-20:])))


def _what_pip_does() -> str:
    lines = [line for line in LOG.read_text(errors='replace').splitlines()
             if line.startswith(('Collecting', 'Processing', 'Installing', 'Building'))]
    if not lines:
        return ''
    return 'unpacking' if lines[-1].startswith('Installing') else lines[-1].split(' (from')[0][:60]


def pip(*arguments: str) -> list:
    """The command line of this environment's pip."""
    return [str(PYTHON), '-m', 'pip', '--disable-pip-version-check', '--no-input', *arguments]


def requirements() -> tuple:
    """REQUIREMENTS and EXTRAS of setup.py, read without running it."""
    values = {}
    for node in ast.parse((ROOT / 'setup.py').read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id in ('REQUIREMENTS', 'EXTRAS'):
            values[node.targets[0].id] = ast.literal_eval(node.value)
    return values['REQUIREMENTS'], values['EXTRAS']


def _ros_name(ros: str) -> str:
    return 'a sourced ROS 2 %s' % ros if ros else 'no sourced ROS 2'


def make_environment(stamps: Stamps, ros: str) -> None:
    """Make `.venv`, unless it is there and runs."""
    if stamps.get('environment') is not None and python_version(str(PYTHON)):
        made_with = stamps.get('environment')['ros']
        if made_with != ros:
            raise SetUpError('.venv was made with %s, and in this shell there is %s. Use a shell of the same kind, or '
                             'begin anew with `make distclean`' % (_ros_name(made_with), _ros_name(ros)))
        return
    python = choose_python(ros)
    say('[1/4] virtual environment .venv with Python %d.%d%s'
        % (python_version(python) + (', on top of ROS 2 %s' % ros if ros else '',)))
    options = ['--system-site-packages'] if ros else []
    if VENV.exists() and python_version(str(PYTHON)) != python_version(python):
        options.append('--clear')  # its Python is gone, or another one was asked for before it was finished
    stamps.clear()
    done = subprocess.run([python, '-m', 'venv', *options, str(VENV)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)
    if done.returncode:
        if 'ensurepip' in done.stdout:
            raise SetUpError('this Python cannot make virtual environments: sudo apt install python%d.%d-venv'
                             % python_version(python))
        raise SetUpError('%s -m venv .venv failed: %s' % (python, done.stdout.strip()))
    stamps.set('environment', {'ros': ros})


def install_requirements(stamps: Stamps, ros: str) -> None:
    """Install what the package needs; beside a sourced ROS 2 only what that lacks."""
    required, extras = requirements()
    wanted = required + extras['train'] + extras['test'] + ([] if ros else extras['ros'])
    state = [*wanted, BUILD_BACKEND]
    if stamps.get('requirements') == state:
        return
    options = []
    if ros:
        # cv_bridge and the distribution's OpenCV are compiled for the distribution's numpy: it must stay.
        wanted_now = [item for item in wanted
                      if not probe(str(PYTHON), 'import %s; print("yes")' % _import_name(item))]
        numpy = probe(str(PYTHON), 'import numpy; print(numpy.__version__)')
        if numpy:
            constraints = VENV / 'constraints.txt'
            constraints.write_text('numpy==%s\n' % numpy)
            options = ['-c', str(constraints)]
        say('[2/4] what ROS 2 %s lacks: %s' % (ros, ', '.join(wanted_now) or 'nothing'))
    else:
        wanted_now = wanted
        say('[2/4] ROS 2 Kilted, torch, torchvision, Lightning, OpenCV, test tools: 6 GB, 2 minutes on a fast line')
    run(pip('install', *options, *wanted_now, BUILD_BACKEND), 'the requirements could not be installed')
    stamps.set('requirements', state)


def install_extras(stamps: Stamps, names: list) -> None:
    """Install extras of setup.py that only some commands need; once each."""
    extras = requirements()[1]
    for name in names:
        if name not in extras:
            raise SetUpError('setup.py has no extra %r; there are %s' % (name, ', '.join(sorted(extras))))
        if stamps.get('extra ' + name) != extras[name]:
            say('      for %s: %s' % (name, ', '.join(extras[name])))
            run(pip('install', *extras[name]), 'what %r needs could not be installed' % name)
            stamps.set('extra ' + name, extras[name])


def _import_name(requirement: str) -> str:
    name = requirement.split('[')[0].split('>')[0]
    return IMPORT_NAMES.get(name, name.replace('-', '_'))


def install_package(stamps: Stamps) -> None:
    """Install this checkout, not as a link to it: only so do launch, config and models get where ROS 2 looks."""
    state = digest(*SOURCES)
    if stamps.get('package') == state:
        return
    say('[3/4] robot_vision_dl itself')
    leftovers = [ROOT / 'build', *ROOT.glob('*.egg-info')]
    for folder in leftovers:  # a module deleted since the last build would be installed from there
        shutil.rmtree(str(folder), ignore_errors=True)
    try:
        run(pip('install', '--no-deps', '--no-build-isolation', '--force-reinstall', str(ROOT)),
            'the package could not be installed')
    finally:
        for folder in leftovers + list(ROOT.glob('*.egg-info')):
            shutil.rmtree(str(folder), ignore_errors=True)
    stamps.set('package', state)


def build_messages(stamps: Stamps, ros: str) -> None:
    """Make sure of vision_msgs, which the wheels lack."""
    state = digest('robot_vision_dl/ros/interfaces')
    if stamps.get('messages') == state:
        return
    say('[4/4] vision_msgs')
    command = [str(VENV / 'bin' / 'robot-vision'), 'build-msgs']
    if stamps.get('messages') and not ros:
        command.append('--force')
    done = subprocess.run(command, cwd=str(ROOT))
    if done.returncode:
        raise SetUpError('vision_msgs is missing; see above')
    stamps.set('messages', state)


def main(extras: list) -> int:
    """Do the steps that are not done yet; ``extras`` of setup.py are installed as well."""
    start = time.time()
    ros = sourced_ros()
    # Two of `make test` and `make demo` at a time: the second waits for the first. The kernel unlocks when we end.
    fcntl.flock(os.open(str(ROOT), os.O_RDONLY), fcntl.LOCK_EX)
    try:
        stamps = Stamps()
        make_environment(stamps, ros)
        install_requirements(stamps, ros)
        install_extras(stamps, extras)
        install_package(stamps)
        build_messages(stamps, ros)
    except SetUpError as error:
        print('set-up: %s' % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nset-up: interrupted; `make setup` goes on where it stopped', file=sys.stderr)
        return 130
    if time.time() - start > 2:
        say('set-up done in %.0f s' % (time.time() - start))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

"""A virtual environment of this checkout, and which steps of its set-up are done.

Each step leaves a stamp with what it was made from, written only after the step has succeeded.
Needs nothing but Python's standard library, as all of this folder.
"""
import hashlib
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What a change of means that the package must be installed again.
SOURCES = ('robot_vision_dl', 'launch', 'config', 'models', 'resource', 'setup.py', 'setup.cfg', 'pyproject.toml',
           'package.xml')
# Builds wheels by itself from this version on.
BUILD_BACKEND = 'setuptools>=70.1'


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


class Environment:
    """A virtual environment.

    Attributes:
        folder: where it is.
        python: its interpreter.
        name: what it is called in what is said.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.name = folder.name
        self.python = folder / 'bin' / 'python'
        self._log = folder / 'setup.log'
        self._stamps = folder / 'setup.json'
        try:
            self._done = json.loads(self._stamps.read_text())
        except (OSError, ValueError):
            self._done = {}

    def get(self, step: str):
        """What a step was last done with; None if never."""
        return self._done.get(step)

    def set(self, step: str, value) -> None:
        """Note that a step is done."""
        self._done[step] = value
        partial = self._stamps.with_suffix('.new')
        partial.write_text(json.dumps(self._done, indent=1))
        partial.replace(self._stamps)

    def create(self, python: str, *options: str) -> None:
        """Make it, or again what is broken in it, by an interpreter; all steps are to be done again."""
        if self.folder.exists() and python_version(str(self.python)) != python_version(python):
            options += ('--clear',)  # its Python is gone, or another one was asked for before it was finished
        self._done = {}
        done = subprocess.run([python, '-m', 'venv', *options, str(self.folder)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True)
        if done.returncode:
            if 'ensurepip' in done.stdout:
                raise SetUpError('this Python cannot make virtual environments: sudo apt install python%d.%d-venv'
                                 % python_version(python))
            raise SetUpError('%s -m venv %s failed: %s' % (python, self.name, done.stdout.strip()))

    def pip(self, *arguments: str) -> list:
        """The command line of its pip."""
        return [str(self.python), '-m', 'pip', '--disable-pip-version-check', '--no-input', *arguments]

    def run(self, command: list, failure: str, environment: dict = None) -> None:
        """Run a command with its output in the log; every 15 s a line says that it lives. Ends with it on Ctrl-C."""
        start = time.time()
        with self._log.open('a') as log:
            log.write('\n$ %s\n' % ' '.join(command))
            log.flush()
            begin = self._log.stat().st_size
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=str(ROOT), env=environment)
            finished = threading.Event()

            def report() -> None:
                while not finished.wait(15):
                    say('      ... %3.0f s  %s' % (time.time() - start, self._what_pip_does()))

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
            with self._log.open('rb') as log:
                log.seek(begin)
                lines = log.read().decode(errors='replace').splitlines()
            raise SetUpError('%s (exit code %d). The end of %s:\n  %s'
                             % (failure, code, self._log, '\n  '.join(lines[-20:])))

    def _what_pip_does(self) -> str:
        lines = [line for line in self._log.read_text(errors='replace').splitlines()
                 if line.startswith(('Collecting', 'Processing', 'Installing', 'Building'))]
        if not lines:
            return ''
        return 'unpacking' if lines[-1].startswith('Installing') else lines[-1].split(' (from')[0][:60]

    def install_package(self, step: str) -> None:
        """Install this checkout, not as a link to it: only so do launch, config and models get where ROS 2 looks."""
        state = digest(*SOURCES)
        if self.get('package') == state:
            return
        say('[%s] robot_vision_dl itself' % step)
        leftovers = [ROOT / 'build', *ROOT.glob('*.egg-info')]
        for folder in leftovers:  # a module deleted since the last build would be installed from there
            shutil.rmtree(str(folder), ignore_errors=True)
        try:
            self.run(self.pip('install', '--no-deps', '--no-build-isolation', '--force-reinstall', str(ROOT)),
                     'the package could not be installed')
        finally:
            for folder in leftovers + list(ROOT.glob('*.egg-info')):
                shutil.rmtree(str(folder), ignore_errors=True)
        self.set('package', state)

    def build_messages(self, step: str, ros: str = '') -> None:
        """Make sure of vision_msgs, which the wheels lack."""
        state = digest('robot_vision_dl/ros/interfaces')
        if self.get('messages') == state:
            return
        say('[%s] vision_msgs' % step)
        command = [str(self.folder / 'bin' / 'robot-vision'), 'build-msgs']
        if self.get('messages') and not ros:
            command.append('--force')
        done = subprocess.run(command, cwd=str(ROOT))
        if done.returncode:
            raise SetUpError('vision_msgs is missing; see above')
        self.set('messages', state)

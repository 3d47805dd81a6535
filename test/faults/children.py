"""Commands in forked children of a process that has imported everything, and the faults that befall them.

Importing takes seconds, and forking takes milliseconds: so a hundred kills of a command take some minutes. The parent
itself must not use torch or OpenCV, whose threads a fork would not take along.
"""
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Sequence

_NEW_MOUNTS = 0x20000  # CLONE_NEWNS, <linux/sched.h>


class Ended(NamedTuple):
    """How a command ended: exit code (negative: by that signal), what it said, and how long it took."""

    code: int
    text: str
    seconds: float

    @property
    def is_clear(self) -> bool:
        """Whether a failure was told in a line, without a traceback."""
        lines = self.text.strip().splitlines()
        return 'Traceback' not in self.text and bool(lines) and lines[-1].startswith('robot-vision ')


def warm_up() -> None:
    """Import whatever the commands import."""
    os.environ['OMP_NUM_THREADS'] = '1'
    import importlib

    import cv2  # noqa: F401
    import torch._dynamo  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401
    for name in ('training.run', 'training.fit', 'training.folds', 'cli.main', 'cli.bag', 'cli.train', 'cli.calibrate',
                 'cli.evaluate', 'cli.models', 'cli.models_import', 'cli.decide', 'cli.bag_synth', 'cli.bag_extract',
                 'cli.bag_from_images', 'cli.bag_from_video', 'data.synth', 'data.from_images', 'data.extract',
                 'data.video', 'data.camera_model', 'evaluation.evaluator', 'evaluation.report.report',
                 'evaluation.report.markdown', 'evaluation.deployment', 'evaluation.gates'):
        importlib.import_module(f'robot_vision_dl.{name}')


def start(argv: Sequence[str], log: Path, before: Optional[Callable[[], None]] = None) -> int:
    """Fork a child that runs the command line and writes what it says to ``log``; its process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        with open(log, 'w') as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.environ['TMPDIR'] = str(log.parent)
        if before is not None:
            before()
        from robot_vision_dl.cli.main import main
        code = main(list(argv))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 70
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def finish(process: int, log: Path, began: float, limit_s: float = 120.0) -> Ended:
    """Wait for a child; one that hangs is killed and counts as ended by SIGALRM."""
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return Ended(os.waitstatus_to_exitcode(status), log.read_text(errors='replace'), time.monotonic() - began)
        if time.monotonic() - began > limit_s:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return Ended(-signal.SIGALRM, log.read_text(errors='replace') + '\nhung', limit_s)
        time.sleep(0.002)


def run(argv: Sequence[str], log: Path, before: Optional[Callable[[], None]] = None) -> Ended:
    """Run a command to its end."""
    began = time.monotonic()
    return finish(start(argv, log, before), log, began)


def run_and_kill(argv: Sequence[str], log: Path, after_s: float) -> Ended:
    """Run a command and send it SIGKILL after a time."""
    began = time.monotonic()
    process = start(argv, log)
    time.sleep(after_s)
    os.kill(process, signal.SIGKILL)
    return finish(process, log, began)


def asked(question: Callable[[], Any], log: Path) -> Any:
    """What a function returns (as JSON) when it is called in a child; a text with the traceback if it raises."""
    process = os.fork()
    if not process:
        try:
            answer = question()
        except BaseException:
            answer = traceback.format_exc()
        log.write_text(json.dumps(answer))
        os._exit(0)
    os.waitpid(process, 0)
    return json.loads(log.read_text())


def can_mount() -> bool:
    """Whether this process may make file systems, in a name space of its own."""
    tried = subprocess.run(['unshare', '-m', 'mount', '-t', 'tmpfs', 'none', '/mnt'], capture_output=True)
    return tried.returncode == 0


class SmallDisk:
    """A tmpfs of ``size`` bytes over a folder, for use as a context manager."""

    def __init__(self, folder: Path, size: int):
        self._folder, self._size = folder, size

    def __enter__(self) -> 'SmallDisk':
        subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={self._size // 1024 + 1}k', 'none', self._folder],
                       check=True)
        return self

    def limit(self, size: int) -> None:
        """Give it another size."""
        subprocess.run(['mount', '-o', f'remount,size={size // 1024 + 1}k', self._folder], check=True)

    def make_room(self) -> None:
        """Take the limit away."""
        self.limit(1 << 31)

    def __exit__(self, *_) -> None:
        subprocess.run(['umount', '-l', self._folder], check=True)


class ReadOnly:
    """A folder that cannot be written to, whoever one is; for use as a context manager."""

    def __init__(self, folder: Path):
        self._folder = folder

    def __enter__(self) -> None:
        subprocess.run(['mount', '--bind', self._folder, self._folder], check=True)
        subprocess.run(['mount', '-o', 'remount,ro,bind', self._folder], check=True)

    def __exit__(self, *_) -> None:
        subprocess.run(['umount', '-l', self._folder], check=True)


def own_mounts() -> None:
    """Put this process into a mount name space of its own, so that what it mounts ends with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS) != 0:
        raise OSError(ctypes.get_errno(), 'unshare')
    subprocess.run(['mount', '--make-rprivate', '/'], check=True)


def without_shared_memory() -> None:
    """Leave nothing of /dev/shm that can be written to; in a child."""
    own_mounts()
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'ro,mode=0', 'none', '/dev/shm'], check=True)


def limit_files(size: int) -> Callable[[], None]:
    """No file of more than ``size`` bytes: where there is no disk to fill."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def fresh(folder: Path) -> Path:
    """An empty folder of this name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder

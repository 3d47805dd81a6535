"""Child processes that never outlive the command that started them."""
import ctypes
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence

INTERRUPT_GRACE_S = 10.0
# `python -m` looks in the working directory first: a file there named as a module would run. -P is of Python 3.11.
RUN_MODULE = ('import sys; sys.path[:] = filter(None, sys.path); sys.argv.pop(0); import runpy; '
              "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)")
_C = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_HELPER_GRACE_S = 1.0
_LOOK_S = 0.1
# The helper asks the kernel by itself, since a fork in the midst of other threads should run no Python before exec. A
# shell has what it starts in the background ignore SIGINT, and so have all that come of it.
_HELPER = ('import sys; sys.path[:] = filter(None, sys.path); import ctypes, os, signal; '
           'signal.signal(signal.SIGINT, signal.default_int_handler); '
           f'ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, {signal.SIGKILL:d}); '
           'os.getppid() == int(sys.argv.pop(1)) or os._exit(1); '
           'from importlib import import_module; '
           'sys.exit(import_module(sys.argv[1]).main(*sys.argv[2:]))')
_TOLD_TO_STOP: List[Callable[[], bool]] = []


def module_command(module: str, *arguments: str) -> List[str]:
    """The command line of this Python that runs a module as ``python -m`` does, whatever the working directory has."""
    return [sys.executable, '-c', RUN_MODULE, module, *arguments]


def _end_with_parent() -> None:
    """In the child: ask the kernel for SIGINT when the parent is gone, even if it was killed."""
    _C.prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def end_helpers_when(told_to_stop: Callable[[], bool]) -> None:
    """Have :func:`run_helper` ask this while it waits, where signals raise nothing: rclpy's handlers only note them."""
    _TOLD_TO_STOP[:] = [told_to_stop]


def run_helper(module: str, *arguments: str) -> 'subprocess.CompletedProcess[str]':
    """Call ``main(*arguments)`` of a module in a process of its own, with this one's imports, and wait for its end.

    It is in a session of its own, so that a Ctrl-C reaches this process alone, and ends with this one, even if that is
    killed.

    Returns:
        Exit code and what it wrote to stderr.

    Raises:
        KeyboardInterrupt: this process is told to stop; the helper has ended.
    """
    helper = subprocess.Popen(
        [sys.executable, '-c', _HELPER, str(os.getpid()), module, *arguments],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors='replace', start_new_session=True)
    try:
        while True:
            try:
                _, said = helper.communicate(timeout=_LOOK_S)
                return subprocess.CompletedProcess(helper.args, helper.returncode, stderr=said)
            except subprocess.TimeoutExpired:
                if any(told() for told in _TOLD_TO_STOP):
                    raise KeyboardInterrupt from None
    finally:
        _end_session(helper)


def _end_session(helper: 'subprocess.Popen[str]') -> None:
    """End a helper that still runs: SIGINT first, so that it removes its temporary files."""
    if helper.poll() is None:
        os.killpg(helper.pid, signal.SIGINT)
        try:
            helper.wait(_HELPER_GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(helper.pid, signal.SIGKILL)
            helper.wait()
    if helper.stderr is not None:
        helper.stderr.close()


def isolated_environment(environment: Optional[Mapping[str, str]] = None) -> Dict[str, str]:
    """A copy of the environment in which ROS talks within this machine, on a domain of its own.

    A domain that the user has chosen is kept, so that ``ros2 topic echo`` in another shell can listen.
    """
    result = dict(os.environ if environment is None else environment)
    # Fast DDS derives ports from the domain; up to 101 they stay clear of Linux' ephemeral ones.
    result.setdefault('ROS_DOMAIN_ID', str(random.SystemRandom().randint(1, 101)))
    result.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    if result.get('ROS_DISTRO') == 'humble':  # which knows only this; the others warn that it is deprecated
        result.setdefault('ROS_LOCALHOST_ONLY', '1')
    return result


class Children:
    """A context that stops its processes at the end, whatever happens: SIGINT first, SIGKILL if that is ignored."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._processes: List[subprocess.Popen[bytes]] = []

    def start(self, command: Sequence[str], log: Optional[Path] = None, stdout: Optional[int] = None,
              stderr: Optional[int] = None) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own; what it prints goes to ``log``, or as for ``Popen``."""
        output = open(log, 'wb') if log else None
        try:
            process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=_end_with_parent, stdout=output or stdout, stderr=subprocess.STDOUT if output else stderr)
        finally:
            if output:
                output.close()
        self._processes.append(process)
        return process

    def robot_vision(self, *arguments: str, log: Optional[Path] = None) -> subprocess.Popen[bytes]:
        """Start a ``robot-vision`` command of this installation."""
        return self.start(module_command('robot_vision_dl.cli.main', *arguments), log)

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        """End one process and return its exit code."""
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(INTERRUPT_GRACE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return process.returncode

    def __enter__(self) -> 'Children':
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in reversed(self._processes):
            self.stop(process)

"""Real processes that start at once: forked from one that has imported PyTorch, ROS 2 and this package already.

Importing them and taking them to pieces at the end costs three seconds of a core, nearly all that most tests of a node
cost. What runs is the same: a process of its own with its own environment, arguments, files and session, which begins
with the module as ``python -m`` does. How a process starts, from the command to the imports, and how an interpreter
ends, is for the tests that start one: test/test_launch.py, test/ros/test_start_errors.py, test/cli/test_demo.py and
those of ``robot-vision doctor``.
"""
import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

# No import of the package here: tests take it from where it is installed.
MODULES = ('torch', 'torchvision', 'rclpy', 'robot_vision_dl.ros.classifier_node', 'robot_vision_dl.ros.detector_node',
           'robot_vision_dl.ros.action_gate_node', 'robot_vision_dl.cli.run')
# Read once, when a library is loaded: processes that differ in these are forked from different ones.
READ_AT_START = re.compile(r'(PYTHON|LD_|OMP_|MKL_|OPENBLAS_|KMP_|CUDA_|MALLOC_|LANG|LC_|_ROS_)')
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
LONGEST_REQUEST = 1 << 20
_C = ctypes.CDLL(None)
_servers: Dict[Tuple[Tuple[str, str], ...], 'Server'] = {}


class Server:
    """The process that others are forked from, for one set of variables that are read at the start."""

    def __init__(self, environment: Mapping[str, str]):
        self.owner = os.getpid()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], env=dict(environment),
                                             pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                                             stdout=subprocess.DEVNULL, start_new_session=True)
        atexit.register(self.stop)

    def fork(self, request: Dict[str, Any], files: Sequence[int]) -> int:
        """A child of this process that runs what is asked for, with these as stdin, stdout and stderr; its pid."""
        # The forked one is a grandchild: it becomes ours when the one between has ended.
        _C.prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode('utf-8', 'surrogateescape')], list(files))
            answer = self._socket.recv(64)
        finally:
            _C.prctl(PR_SET_CHILD_SUBREAPER, 0)
        assert answer, f'the process that others are forked from has ended with {self._process.poll()}'
        return int(answer)

    def stop(self) -> None:
        """It ends when nobody can ask any more."""
        if os.getpid() == self.owner:
            self._socket.close()
            self._process.wait()


def server(environment: Mapping[str, str]) -> Server:
    """The one for such an environment, started where there is none."""
    key = tuple(sorted(item for item in environment.items() if READ_AT_START.match(item[0])))
    if key not in _servers or _servers[key].owner != os.getpid():
        _servers[key] = Server(environment)
    return _servers[key]


class PreloadedProcess(subprocess.Popen):
    """As ``subprocess.Popen([sys.executable, '-m', MODULE, ...])``, in a session of its own that ends with this one."""

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags,
                       shell, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *_):
        python, option, *argv = (os.fspath(item) for item in args)
        assert (python, option) == (sys.executable, '-m') and argv and not shell and not pass_fds
        environment = dict(os.environ if env is None else env)
        files = [given if given >= 0 else own for given, own in ((p2cread, 0), (c2pwrite, 1), (errwrite, 2))]
        request = {'argv': argv, 'cwd': os.fspath(cwd or os.getcwd()), 'environment': environment}
        self.pid = server(environment).fork(request, files)
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)


def run_preloaded(command: Sequence[str], environment: Mapping[str, str], timeout: float = 120
                  ) -> 'subprocess.CompletedProcess[str]':
    """As ``subprocess.run`` of such a command, with what it prints."""
    with PreloadedProcess(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


# In the process that others are forked from.

def serve(connection: socket.socket) -> Optional[List[str]]:
    """Fork on each request. Returns the arguments in a forked process, and None at the end."""
    while True:
        content, files, *_ = socket.recv_fds(connection, LONGEST_REQUEST, 3)
        if not content:
            return None
        request = json.loads(content.decode('utf-8', 'surrogateescape'))
        between = os.fork()
        if between == 0:
            between = os.getpid()
            if os.fork():  # ends, and leaves its child to the test's process
                os._exit(0)
            begin(connection, request, files, between)
            return request['argv']
        os.waitpid(between, 0)
        for file in files:
            os.close(file)


def begin(connection: socket.socket, request: Dict[str, Any], files: List[int], between: int) -> None:
    """Become the process that was asked for, and say so."""
    os.setsid()
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    # As at the start of an interpreter; those of before have a place in the files of before.
    sys.stdin = sys.__stdin__ = open(0, closefd=False)
    sys.stdout = sys.__stdout__ = open(1, 'w', closefd=False)
    sys.stderr = sys.__stderr__ = open(2, 'w', buffering=1, errors='backslashreplace', closefd=False)
    os.chdir(request['cwd'])
    os.environ.clear()
    os.environ.update(request['environment'])
    if 'numpy' in sys.modules:
        sys.modules['numpy'].random.seed()  # not the same draws in each
    while os.getppid() == between:
        time.sleep(0.0005)
    _C.prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    connection.send(str(os.getpid()).encode())
    connection.close()


def main() -> None:
    """Import what takes long, then fork."""
    sys.path.pop(0)  # the folder of this file
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    for module in MODULES:
        try:
            importlib.import_module(module)
        except ImportError:  # not installed: who needs it says so
            pass
    gc.freeze()  # a collection would write to, and so copy, every page of what is shared
    argv = serve(connection)
    if argv is not None:
        sys.argv = [argv[0], *argv[1:]]
        sys.modules.pop(argv[0], None)  # it runs from its beginning
        end(execute(argv[0]))


def execute(module: str) -> int:
    """As ``python -m`` would; the exit code."""
    try:
        runpy.run_module(module, run_name='__main__', alter_sys=True)
    except SystemExit as error:
        if isinstance(error.code, (int, type(None))):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        traceback.print_exc()
        return -signal.SIGINT
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def remove_shared_memory() -> None:
    """Remove this process's segments of Fast DDS, which otherwise does so where an interpreter is taken to pieces.

    Each is up to 70 MB of memory, which stays taken when the process is gone.
    """
    from robot_vision_dl.doctor.shared_memory import segments
    for segment in segments():
        if segment.pid == os.getpid():
            for path in (segment.path, segment.path.with_name(segment.path.name + '_el')):
                path.unlink(missing_ok=True)


def end(code: int) -> None:
    """End as an interpreter does, but for taking to pieces what was imported."""
    threading._shutdown()  # waits for threads
    atexit._run_exitfuncs()
    remove_shared_memory()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads
            stream.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xff)


if __name__ == '__main__':
    main()

"""Ctrl-C at a terminal while a node starts, and twice while it ends: it ends at once, and by exit code 0.

launch logs any other code as the death of a process.
"""
import os
import pty
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from node_harness import environment  # noqa: E402

from robot_vision_dl.core.networks.torch_use import may_have_gpu  # noqa: E402

pytestmark = pytest.mark.ros
# As the files in lib/robot_vision_dl, which lie where it is installed.
EXECUTABLE = """
import sys
from robot_vision_dl.ros.executable import run
print('begun', flush=True)
sys.exit(run({!r}))
"""
CTRL_C = b'\x03'


class AtTerminal:
    """A node with a terminal of its own, whose Ctrl-C reaches all that runs in its session."""

    def __init__(self, module, domain, cache, *arguments):
        self.process_id, self._terminal = pty.fork()
        if not self.process_id:
            os.execve(sys.executable, [sys.executable, '-c', EXECUTABLE.format(module), *arguments],
                      {**environment(domain), 'XDG_CACHE_HOME': str(cache),
                       'PYTHONPATH': os.pathsep.join(filter(None, sys.path))})
        self.said, self.code = '', None
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        while True:
            try:
                part = os.read(self._terminal, 4096)
            except OSError:  # how Linux tells that nobody has the other end any more
                part = b''
            if not part:
                return
            self.said += part.decode(errors='replace')

    def wait_for(self, text, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while text not in self.said:
            assert time.monotonic() < deadline and self._reader.is_alive(), self.said
            time.sleep(0.01)

    def ctrl_c(self):
        os.write(self._terminal, CTRL_C)

    def end(self, timeout_s):
        """Its exit code, negative for a signal."""
        deadline = time.monotonic() + timeout_s
        while self.code is None and time.monotonic() < deadline:
            done, status = os.waitpid(self.process_id, os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        assert self.code is not None, f'it still runs: {self.said}'
        return self.code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.code is None:
            os.killpg(self.process_id, signal.SIGKILL)
            os.waitpid(self.process_id, 0)
        self._reader.join()
        os.close(self._terminal)


@pytest.mark.parametrize('module', ('classifier_node', 'action_gate_node'))
@pytest.mark.parametrize('after_s', (0.0, 0.1, 0.3, 0.6, 1.0))
def test_while_it_starts(module, after_s, ros_domain, tmp_path):
    with AtTerminal(module, ros_domain, tmp_path, '--ros-args', '-p', 'model:=/nowhere') as node:
        node.wait_for('begun')
        time.sleep(after_s or 0.02)
        node.ctrl_c()
        time.sleep(0.1)
        try:
            node.ctrl_c()
        except OSError:  # it has ended
            pass
        assert node.end(10) == 0, node.said
    assert 'Traceback' not in node.said and 'FATAL' not in node.said


def test_while_its_model_is_prepared(ros_domain, tmp_path):
    for module in ('onnxruntime', 'onnxscript', 'cykooz_resizer'):
        pytest.importorskip(module)
    if may_have_gpu():
        pytest.skip("on a GPU the network is torch's")
    with AtTerminal('classifier_node', ros_domain, tmp_path, '--ros-args', '-p', 'model:=waste_sorter', '-p',
                    'device:=cpu') as node:
        node.wait_for('is prepared to be run without torch')
        deadline = time.monotonic() + 20
        while not (helpers := psutil.Process(node.process_id).children(recursive=True)):
            assert time.monotonic() < deadline, node.said
            time.sleep(0.01)
        time.sleep(1.0)  # it imports torch
        node.ctrl_c()
        assert node.end(5) == 0, node.said
        assert not psutil.wait_procs(helpers, 5)[1], 'a helper is left behind'
    assert 'Traceback' not in node.said and 'FATAL' not in node.said
    assert 'turned into ONNX' not in node.said, 'it does the work of the helper that was ended'


def test_a_configuration_that_a_manager_asked_for(ros_domain, tmp_path):
    """Then rclpy handles signals, which raises nothing in the midst of a callback."""
    for module in ('onnxruntime', 'onnxscript', 'cykooz_resizer'):
        pytest.importorskip(module)
    if may_have_gpu():
        pytest.skip("on a GPU the network is torch's")
    configure = """
import rclpy, sys
from lifecycle_msgs.srv import ChangeState
from lifecycle_msgs.msg import Transition
rclpy.init()
node = rclpy.create_node('manager')
client = node.create_client(ChangeState, '/classifier/change_state')
client.wait_for_service()
rclpy.spin_until_future_complete(node, client.call_async(ChangeState.Request(transition=Transition(id=1))))
"""
    with AtTerminal('classifier_node', ros_domain, tmp_path, '--ros-args', '-p', 'model:=waste_sorter', '-p',
                    'device:=cpu', '-p', 'autostart:=false') as node:
        manager = subprocess.Popen([sys.executable, '-c', configure], env=environment(ros_domain))
        try:
            node.wait_for('is prepared to be run without torch')
            time.sleep(1.0)
            node.ctrl_c()
            assert node.end(5) == 0, node.said
        finally:
            manager.kill()
            manager.wait()
    assert 'Traceback' not in node.said


def test_twice_while_it_ends(ros_domain, tmp_path):
    with AtTerminal('classifier_node', ros_domain, tmp_path, '--ros-args', '-p', 'model:=/nowhere') as node:
        node.wait_for('cannot configure')
        for _ in range(5):
            try:
                node.ctrl_c()
            except OSError:
                break
            time.sleep(0.03)
        assert node.end(10) == 0, node.said
    assert 'Traceback' not in node.said


@pytest.mark.parametrize('times', (1, 2))
def test_what_a_callback_is_at_is_done_before_a_service_manager_ends_the_node(times, ros_domain):
    """By SIGTERM, as systemd and `docker stop` do: no decision is cut short, and no model that takes over."""
    code = """
import sys, time
from rclpy.node import Node
from robot_vision_dl.ros.node_main import run_node

class Busy(Node):
    def __init__(self):
        super().__init__('busy')
        self.create_timer(0.01, self.work)

    def work(self):
        print('begun', flush=True)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            pass
        print('done', flush=True)

sys.exit(run_node('busy', Busy, [], end=lambda node: print('ended', flush=True)))
"""
    node = subprocess.Popen([sys.executable, '-c', code], env={
        **environment(ros_domain), 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    try:
        assert node.stdout.readline() == 'begun\n'
        for _ in range(times):
            node.send_signal(signal.SIGTERM)
            time.sleep(0.05)
        said, _ = node.communicate(timeout=20)
    finally:
        node.kill()
    assert node.returncode == 0 and said.splitlines() == ['done', 'ended'], said

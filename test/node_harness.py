"""Real nodes in processes of their own, and a peer in this process that talks to them over DDS."""
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import rclpy
from camera_samples import any_picture
from preloaded import PreloadedProcess
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from robot_vision_dl.core import types
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.images.cdr import encode_image
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.processes import RUN_MODULE, Children, isolated_environment
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration
from robot_vision_dl.ros.dds import profile_variables

TIMEOUT_S = 120.0
LAST_LINES = 40
BEST_EFFORT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)


def small_bundle(folder: Path, class_names=('cup', 'mug', 'bowl'), seed: int = 0) -> Path:
    """A whole bundle around an untrained LeNet-5, which starts quickly."""
    import torch
    torch.manual_seed(seed)
    network = build_network('lenet5', len(class_names), in_channels=1)
    save_bundle(folder, network, class_names, Preprocessing(0, (32, 32), (0.5,), (0.5,)), temperature=1.0,
                ood=OodCalibration('energy', np.linspace(-100, 100, 200).astype(np.float32)), camera=any_picture())
    return folder


def raw_image(stamp_ns: int, value: int = 100, height: int = 48, width: int = 64, encoding: str = 'bgr8',
              **changes: Any) -> bytes:
    """A serialized sensor_msgs/Image; ``changes`` overwrite its fields."""
    channels = 3 if encoding == 'bgr8' else 1
    fields = {'header': types.Header(stamp_ns, 'test_camera'), 'height': height, 'width': width, 'encoding': encoding,
              'is_bigendian': False, 'step': width * channels,
              'data': np.full(height * width * channels, value, np.uint8), **changes}
    return encode_image(types.RawImage(**fields))


class Peer:
    """A node of the test's own; call :meth:`wait` to let it listen."""

    def __init__(self, domain: int):
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node('test_peer', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._clients: Dict[Tuple[type, str], Any] = {}

    def listen(self, message_type: type, topic: str, qos: Any = RELIABLE) -> List[Any]:
        """A list that fills with the messages of a topic."""
        heard: List[Any] = []
        self.node.create_subscription(message_type, topic, heard.append, qos)
        return heard

    def publisher(self, message_type: type, topic: str, qos: Any = BEST_EFFORT, subscribers: int = 1):
        """A publisher that is connected."""
        publisher = self.node.create_publisher(message_type, topic, qos)
        self.wait(lambda: publisher.get_subscription_count() >= subscribers, f'a subscriber on {topic}')
        return publisher

    def report(self, health: List[Any], name: str, until: Callable[[Dict[str, str]], Any] = lambda values: True
               ) -> Tuple[Dict[str, str], Any]:
        """Values and status of what the newest of the diagnostics ``health`` says, once the values are as wished.

        Args:
            name: what the status's name ends with.
        """
        def newest():
            for status in health[-1].status if health else ():
                values = {one.key: one.value for one in status.values}
                if status.name.endswith(name) and until(values):
                    return values, status
            return None
        return self.wait(newest, f'the report of {name}')

    def wait(self, until: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Listen until a condition holds, and return its value."""
        deadline = time.monotonic() + timeout_s
        while True:
            value = until()
            if value:
                return value
            assert time.monotonic() < deadline, f'waited {timeout_s:.0f} s in vain for {what}'
            self._executor.spin_once(timeout_sec=0.02)

    def listen_for(self, seconds: float) -> None:
        """Take in one thing that arrived, or wait for it at most so long."""
        self._executor.spin_once(timeout_sec=seconds)

    def call(self, service_type: type, name: str, request: Any, timeout_s: float = TIMEOUT_S) -> Any:
        """Call a service and return its response.

        A server gives up an answer to a client that it has not discovered 0.1 s after the request, which on a busy
        machine happens: so a client is kept, and one whose node started anew is asked once it is ready.
        """
        client = self._clients.get((service_type, name))
        if client is None:
            client = self._clients[service_type, name] = self.node.create_client(service_type, name)
        self.wait(client.service_is_ready, f'the service {name}', timeout_s)
        future = client.call_async(request)
        self.wait(future.done, f'the answer of {name}', timeout_s)
        return future.result()

    def close(self) -> None:
        """Leave DDS."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)


class PreloadedChildren(Children):
    """Children that are there at once, see :mod:`preloaded`; where the test fails it shows how they end their logs."""

    def __init__(self, environment: Mapping[str, str]):
        super().__init__(environment)
        self._logs: List[Tuple[subprocess.Popen, Path]] = []

    def start(self, command: Sequence[str], log: Optional[Path] = None, stdout: Optional[int] = None,
              stderr: Optional[int] = None) -> subprocess.Popen:
        """As :class:`Children` does."""
        process = self._start(command, log, stdout, stderr)
        if log is not None:
            self._logs.append((process, log))
        return process

    def _start(self, command: Sequence[str], log: Optional[Path], stdout: Optional[int], stderr: Optional[int]
               ) -> subprocess.Popen:
        if list(command[1:3]) == ['-c', RUN_MODULE]:
            command = [sys.executable, '-m', *command[3:]]
        if list(command[:2]) != [sys.executable, '-m']:
            return super().start(command, log, stdout, stderr)
        output = open(log, 'wb') if log else None
        try:
            process = PreloadedProcess(command, env=self._environment, stdin=subprocess.DEVNULL,
                                       stdout=output or stdout, stderr=subprocess.STDOUT if output else stderr)
        finally:
            if output:
                output.close()
        self._processes.append(process)
        return process

    def __exit__(self, error: Any, *rest: Any) -> None:
        for process, log in self._logs if error else ():
            lines = log.read_text(errors='replace').splitlines()[-LAST_LINES:]
            print(f'--- {log.name}, process {process.pid}, ended with {process.poll()}:', *lines, sep='\n')
        super().__exit__(error, *rest)


class NodeProcess:
    """A node of the package, started by its command; what it logs is in :attr:`log`."""

    def __init__(self, children: Children, log: Path, *command: str, module: Optional[str] = None):
        self._log = log
        if module is None:
            self.process: subprocess.Popen = children.robot_vision(*command, log=log)
        else:
            self.process = children.start([sys.executable, '-m', module, *command], log=log)

    @property
    def log(self) -> str:
        """Everything that it printed so far."""
        return self._log.read_text()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None


def environment(domain: int) -> Dict[str, str]:
    """For processes of the domain, with the shipped DDS profile."""
    result = isolated_environment()
    result.update(profile_variables('auto', result))
    result['ROS_DOMAIN_ID'] = str(domain)
    result['OMP_NUM_THREADS'] = '1'
    return result

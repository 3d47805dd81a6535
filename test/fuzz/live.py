"""Mutated messages to real nodes over DDS: a node must outlive each, and account for each.

One node takes ``Image``, another one ``CompressedImage``, both with a small network. After every hundred mutated
messages a good picture is sent until it is decided, which only a node that runs and serves can do. When one does not,
the hundred are sent again one by one to a fresh node, and the message that it ends on is kept.
"""
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

import cv2
import numpy as np
from dds_domain import locked_domain

from .campaign import Result
from .target import unpack
from .targets.messages import MessageTarget
from .worker import Failure, input_of

NAME = 'live'
CASES = 20_000
_BATCH = 100
_PATIENCE_S = 20.0
_SECOND = 1_000_000_000
_TYPES = ('Image', 'CompressedImage')


class _Session:
    """The two nodes, our publishers, and what we hear."""

    def __init__(self, folder: Path, domain: int):
        from diagnostic_msgs.msg import DiagnosticArray
        from node_harness import RELIABLE, NodeProcess, Peer, environment, small_bundle
        from sensor_msgs.msg import CompressedImage, Image
        from vision_msgs.msg import Classification

        from robot_vision_dl.core.processes import Children
        variables = environment(domain)
        os.environ.update({key: value for key, value in variables.items() if 'PROFILES_FILE' in key})
        bundle = folder / 'bundle'
        if not bundle.exists():
            small_bundle(bundle)
        self._children = Children(variables)
        self.nodes: Dict[str, NodeProcess] = {}
        for kind in _TYPES:
            transport = ['--transport', 'compressed'] if kind == 'CompressedImage' else []
            self.nodes[kind] = NodeProcess(
                self._children, folder / f'{kind}.log', 'run', '--model', str(bundle), '--camera', f'cam:=/fuzz/{kind}',
                *transport, '--ros-args', '-r', f'__node:={kind}', '-p',
                f'qos_overrides./fuzz/{kind}{"/compressed" if transport else ""}.subscription.reliability:=reliable')
        self.peer = Peer(domain)
        self.decided = {kind: self.peer.listen(Classification, f'/{kind}/cam/decision') for kind in _TYPES}
        self.diagnostics = self.peer.listen(DiagnosticArray, '/diagnostics')
        self.publishers = {'Image': self.peer.publisher(Image, '/fuzz/Image', RELIABLE),
                           'CompressedImage': self.peer.publisher(CompressedImage, '/fuzz/CompressedImage/compressed',
                                                                  RELIABLE)}
        self._stamp = 1_800_000_000

    def serves(self, kind: str) -> bool:
        """Whether the node decides a good picture, sent until it does."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline and self.nodes[kind].alive:
            self._stamp += 3600  # ahead of whatever stamp a mutated message may have had
            self.publishers[kind].publish(_good(kind, self._stamp * _SECOND))
            again = time.monotonic() + .5
            while time.monotonic() < again:
                if any(message.header.stamp.sec == self._stamp for message in self.decided[kind]):
                    self.decided[kind].clear()
                    return True
                self.listen(.01)
        return False

    def listen(self, seconds: float = 0.0) -> None:
        """Take in what arrived."""
        self.peer.listen_for(seconds)
        del self.diagnostics[:-20]

    def accounts(self) -> Dict[str, Dict[str, str]]:
        """The newest account of frames by message type."""
        found = {}
        for array in self.diagnostics:
            for status in array.status:
                for kind in _TYPES:
                    if kind in re.split('[^A-Za-z]+', status.name) and status.name.endswith('cam'):
                        found[kind] = {item.key: item.value for item in status.values}
        return found

    def close(self) -> None:
        """End everything."""
        self.peer.close()
        self._children.__exit__(None, None, None)


def _good(kind: str, stamp_ns: int) -> bytes:
    from node_harness import raw_image

    from robot_vision_dl.core import types
    from robot_vision_dl.core.images.cdr import encode_compressed_image
    if kind == 'Image':
        return raw_image(stamp_ns)
    return encode_compressed_image(types.CompressedImage(
        types.Header(stamp_ns, 'camera'), 'jpeg',
        cv2.imencode('.jpg', np.full((48, 64, 3), 90, np.uint8))[1].reshape(-1)))


def run_live(seed: int, count: int, minutes: Optional[float], say: Callable[[str], None]) -> Result:
    """Send ``count`` mutated messages, or as many as fit into ``minutes``."""
    target = MessageTarget()
    result = Result(NAME)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='fuzz-') as folder, locked_domain() as domain:
        target.prepare(Path(folder))
        session = _Session(Path(folder), domain)
        try:
            for first in range(0, count, _BATCH):
                if minutes is not None and time.monotonic() - begin > minutes * 60:
                    break
                indices = list(range(first, min(first + _BATCH, count)))
                _send(session, target, seed, indices)
                result.tried += len(indices)
                ended = [kind for kind in _TYPES if not session.serves(kind)]
                if ended:
                    session.close()
                    result.failures.update(_culprits(Path(folder), domain, target, seed, indices, ended))
                    session = _Session(Path(folder), domain)
                if first and first % 5000 == 0:
                    say(f'  {NAME}: {result.tried} sent, {len(result.failures)} failures')
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                session.listen(.1)
            for kind, account in session.accounts().items():
                counts = {key: int(value) for key, value in account.items() if value.isdigit()}
                unexplained = counts['received'] - counts['decided'] - counts.get('dropped', 0)
                if unexplained:
                    result.failures[count] = Failure('accepted', f'{kind}: {unexplained} frames without an account')
                result.outcomes['accepted'] += counts['decided']
                for key, number in counts.items():
                    if number and key.startswith('dropped_'):
                        result.outcomes[f'refused: {key[8:]}'] += number
        finally:
            session.close()
    result.seconds = time.monotonic() - begin
    return result


def _send(session: _Session, target: MessageTarget, seed: int, indices: List[int]) -> None:
    for index in indices:
        about, content = unpack(input_of(target, seed, index))
        session.publishers[about['type']].publish(content)
        session.listen()
        time.sleep(.002)  # the node keeps one message: give it the time to take it


def _culprits(folder: Path, domain: int, target: MessageTarget, seed: int, indices: List[int], ended: List[str]
              ) -> Dict[int, Failure]:
    """Which of these ends a node, one by one."""
    found: Dict[int, Failure] = {}
    session = _Session(folder, domain)
    try:
        for index in indices:
            kind = unpack(input_of(target, seed, index))[0]['type']
            if kind not in ended:
                continue
            _send(session, target, seed, [index])
            if not session.serves(kind):
                log = session.nodes[kind].log[-1500:]
                found[index] = Failure('crash', f'the node of {kind} ended or serves no more:\n{log}')
                session.close()
                session = _Session(folder, domain)
    finally:
        session.close()
    return found or {indices[0]: Failure('crash', f'a node ({", ".join(ended)}) ended within these {len(indices)} '
                                                  'messages, and by none of them alone')}

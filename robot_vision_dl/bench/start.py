"""``robot-vision bench start``: how long a node takes to be ready, and how much memory it has then.

Each start is a process of its own, in turn: the node as it is, and the node in a process that has imported torch, as
all of it did before. The first start of each, which may have to prepare the model, is told apart.
"""
import argparse
import re
import select
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import numpy as np

from ..core.config import BACKENDS, ClassifierConfig
from ..core.errors import RobotVisionError
from ..core.processes import Children, isolated_environment
from ..core.text.number_options import whole
from ..core.text.table import ruled
from .memory import memory_of
from .report import conclude

HELP = 'starts of the node: seconds until it is ready, and resident memory, without and with torch'
_READY = re.compile(rb'is ready on .*?, (\w+), after')
_LONGEST_S = 300.0
_SETTLED_S = 2.0
_START = ('import sys; sys.path[:] = filter(None, sys.path); {before}from robot_vision_dl.cli.main import main; '
          'sys.exit(main(sys.argv[1:]))')
_WAYS = (('as it is', ''), ('with torch', 'import torch; '))


class Start(NamedTuple):
    """One start of a node.

    Attributes:
        seconds: from the start of the process until the model is loaded and warm, and the topics are offered.
        resident_mb, proportional_mb: see :class:`~.memory.Memory`.
        backend: what runs the network.
        torch: whether torch is in the process.
    """

    seconds: float
    resident_mb: float
    proportional_mb: float
    backend: str
    torch: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, and how often."""
    parser.add_argument('--model', default=ClassifierConfig().model, help='bundle (default: %(default)s)')
    parser.add_argument('--backend', default=ClassifierConfig().backend, choices=BACKENDS,
                        help='what runs the network (default: %(default)s)')
    parser.add_argument('--starts', type=whole(1, 1000), default=5, help='of each, after a first one (default: 5)')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    found: Dict[str, List[Start]] = {way: [] for way, _ in _WAYS}
    for _ in range(1 + args.starts):
        for way, before in _WAYS:
            found[way].append(start_node(args.model, args.backend, before))
    print(ruled(('node', 'first start', 'ready after, median', 'least', 'most', 'resident', 'its share', 'runs on',
                 'torch loaded'), [_row(way, starts) for way, starts in found.items()]))
    conclude({'start': {way: [one._asdict() for one in starts] for way, starts in found.items()}}, args.json,
             f'{args.model}, {args.starts} starts of each; ')
    return 0


def _row(way: str, starts: List[Start]) -> Tuple[str, ...]:
    first, *rest = starts
    seconds = [one.seconds for one in rest]
    resident, share = (np.median([getattr(one, name) for one in rest]) for name in ('resident_mb', 'proportional_mb'))
    return (way, f'{first.seconds:.1f} s', f'{np.median(seconds):.1f} s', f'{min(seconds):.1f} s',
            f'{max(seconds):.1f} s', f'{resident:.0f} MB', f'{share:.0f} MB', rest[-1].backend,
            'yes' if rest[-1].torch else 'no')


def start_node(model: str, backend: str, before: str = '', environment: 'Dict[str, str] | None' = None) -> Start:
    """Start the node, wait until it is ready, and end it.

    Args:
        before: Python that the process runs first.
        environment: of the process; None: of this one, with ROS of its own.

    Raises:
        RobotVisionError: it does not get ready; what it said last is in the message.
    """
    command = [sys.executable, '-c', _START.format(before=before), 'run', '--image', '/bench_start/image', '--model',
               model, '--backend', backend]
    with Children(environment or isolated_environment()) as children:
        began = time.perf_counter()
        process = children.start(command, stdout=-1, stderr=-2)
        assert process.stdout is not None
        said = b''
        while (ready := _READY.search(said)) is None:
            left = began + _LONGEST_S - time.perf_counter()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                raise RobotVisionError(f'the node was not ready after {_LONGEST_S:.0f} s')
            more = process.stdout.read1(65536)  # type: ignore[attr-defined]
            if not more:
                last = said.decode('utf-8', 'replace').strip().splitlines()[-1:]
                raise RobotVisionError(f'the node ended before it was ready: {last[0] if last else "it said nothing"}')
            said += more
        seconds = time.perf_counter() - began
        time.sleep(_SETTLED_S)
        memory = memory_of(process.pid)
        return Start(seconds, memory.rss / 1e6, memory.pss / 1e6, ready[1].decode(), has_torch(process.pid))


def has_torch(pid: int) -> bool:
    """Whether libraries of torch are mapped in a process."""
    return 'libtorch' in Path(f'/proc/{pid}/maps').read_text(encoding='utf-8', errors='replace')

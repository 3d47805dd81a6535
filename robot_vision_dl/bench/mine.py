"""``robot-vision bench mine``: hours of bags through ``robot-vision mine``: one process, several, a Dask cluster.

Each way is started as users start it, and makes a queue of its own. Memory is that of all processes of a way together,
looked at four times a second: of the command, its workers, and of a cluster also the scheduler and what watches over
its workers. All ways must give the same queue, byte for byte.
"""
import argparse
import hashlib
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence

from ..core.errors import MachineError, RequirementError
from ..core.files.user_path import user_path
from ..core.processes import Children, module_command
from ..core.requirements import pip_install
from ..core.text.number_options import SECONDS, whole
from ..core.text.table import ruled
from ..labelling.queue_file import MINED, QueueFile
from .label_process import command, environment
from .memory import Peak
from .report import conclude

HELP = 'hours of bags mined by one process, several and a Dask cluster: memory, seconds, the same queue'
ONE, PROCESSES, CLUSTER = 'one', 'processes', 'cluster'
_LOOK_S = 0.25
_START_S = 60.0
_MB = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, by whom."""
    parser.add_argument('bags', metavar='BAG', nargs='+', help='bags, or folders of them')
    parser.add_argument('--model', metavar='BUNDLE', default='waste_sorter', help='default: %(default)s')
    parser.add_argument('--ways', nargs='+', choices=(ONE, PROCESSES, CLUSTER), default=[ONE, PROCESSES, CLUSTER],
                        help='default: all')
    parser.add_argument('--workers', type=whole(2, 64), default=2, metavar='N',
                        help='processes, and workers of the cluster (default: 2)')
    parser.add_argument('--every', type=SECONDS, default=0.5, metavar='S', help='as of `mine` (default: .5)')
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', dest='changes', help='as of `mine`')


class Way(NamedTuple):
    """What one way took.

    Attributes:
        seconds: of the command, from its start to its end.
        digest: SHA-256 of the queue.
    """

    seconds: float
    peak: Peak
    digest: str


def run(args: argparse.Namespace) -> int:
    """Measure and print; exit code 1 if the queues differ."""
    if CLUSTER in args.ways:
        _check_dask()
    ways: Dict[str, Way] = {}
    with tempfile.TemporaryDirectory(prefix='bench_mine_') as folder:
        for way in dict.fromkeys(args.ways):
            ways[way] = _measure(way, Path(folder), args)
            frames, hours = _looked_at(Path(folder) / way)
    same = len({one.digest for one in ways.values()}) == 1
    print(f'{frames} frames of {hours:.2f} hours; memory in MB, of all processes together at its peak')
    print(ruled(('by', 's', 'PSS', 'sum of RSS', 'PSS of each process', 'queue'), [
        (name, f'{way.seconds:.0f}', f'{way.peak.together.pss / _MB:.0f}', f'{way.peak.together.rss / _MB:.0f}',
         ' + '.join(f'{one.pss / _MB:.0f}' for one in _largest_first(way.peak)), way.digest[:12])
        for name, way in ways.items()]))
    print('PSS: pages that processes share are counted once; RSS: in each of them')
    print('the same queue, byte for byte' if same else 'the queues DIFFER')
    conclude({'frames': frames, 'hours': hours, 'same': same, 'workers': args.workers, 'ways': {
        name: {'seconds': way.seconds, 'pss': way.peak.together.pss, 'rss': way.peak.together.rss,
               'each': [one._asdict() for one in _largest_first(way.peak)], 'queue': way.digest}
        for name, way in ways.items()}}, args.json)
    return 0 if same else 1


def _largest_first(peak: Peak) -> List[Any]:
    return sorted(peak.each.values(), reverse=True)


def _check_dask() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise RequirementError(f'a cluster needs Dask ({error}): `{pip_install(["robot_vision_dl[cluster]"])}`; or '
                               'leave it out: --ways one processes') from error


def _measure(way: str, folder: Path, args: argparse.Namespace) -> Way:
    out, peak = folder / way, Peak()
    words = ['mine', *(str(user_path(bag)) for bag in args.bags), '--model', args.model, '--out', str(out), '--labels',
             'none', '--every', str(args.every), '--device', 'cpu', *(['--set', *args.changes] if args.changes else [])]
    with Children(environment()) as children:
        beside: List[subprocess.Popen[bytes]] = []
        if way == CLUSTER:
            beside = _cluster(children, folder, args.workers)
            words += ['--cluster', _address(folder)]
        elif way == PROCESSES:
            words += ['--workers', str(args.workers)]
        log = folder / f'{way}.log'
        began = time.perf_counter()
        process = children.start(command(*words), log)
        while process.poll() is None:
            peak.look([process.pid, *(one.pid for one in beside)])
            time.sleep(_LOOK_S)
        seconds = time.perf_counter() - began
        if process.returncode:
            raise MachineError(f'`robot-vision {" ".join(words)}` ended with {process.returncode}: '
                               f'{log.read_text(errors="replace")[-2000:]}')
    return Way(seconds, peak, hashlib.sha256((out / MINED).read_bytes()).hexdigest())


def _cluster(children: Children, folder: Path, workers: int) -> List['subprocess.Popen[bytes]']:
    """A scheduler and its workers, as `dask` starts them."""
    dask = module_command('dask')
    told = ['--no-dashboard', '--scheduler-file', str(folder / 'scheduler.json')]
    scheduler = children.start([*dask, 'scheduler', '--port', '0', *told], folder / 'scheduler.log')
    _address(folder)
    return [scheduler, children.start([*dask, 'worker', '--nworkers', str(workers), '--nthreads', '1',
                                       '--local-directory', str(folder), *told], folder / 'workers.log')]


def _address(folder: Path) -> str:
    """Of the scheduler, once it has written it down."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        try:
            return str(json.loads((folder / 'scheduler.json').read_text())['address'])
        except (OSError, ValueError, KeyError):
            time.sleep(_LOOK_S)
    log = (folder / 'scheduler.log').read_text(errors='replace')
    raise MachineError(f'`dask scheduler` did not start within {_START_S:g} s: {log[-2000:]}')


def _looked_at(queue: Path) -> 'tuple[int, float]':
    """Frames, and hours that lie between the first and the last interval of each camera."""
    with QueueFile(queue) as opened:
        spans: Dict[Sequence[object], List[int]] = {}
        for one in opened.intervals(features=False):
            span = spans.setdefault((one.recording, one.topic), [one.start_ns, one.end_ns])
            span[:] = min(span[0], one.start_ns), max(span[1], one.end_ns)
        return opened.meta['frames']['looked_at'], sum(end - start for start, end in spans.values()) / 3600e9

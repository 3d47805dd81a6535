"""A failing input made smaller: pieces are taken out as long as it fails in the same way (Zeller's ddmin, greedy)."""
import multiprocessing
import time
from multiprocessing.connection import Connection

from .target import Target, pack, unpack
from .worker import WALL_LIMIT_S, Meter, attempt, begin_quietly

_FORK = multiprocessing.get_context('fork')
_SECONDS = 8.0


def fails_with(target: Target, data: bytes) -> str:
    """How the input fails in a child of its own; empty if it does not."""
    ours, theirs = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_child, args=(target, data, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        kind = ours.recv() if ours.poll(WALL_LIMIT_S) else 'hang'
    except EOFError:
        kind = 'crash'
    process.kill()
    process.join()
    return kind


def _child(target: Target, data: bytes, pipe: Connection) -> None:
    begin_quietly()
    failure = attempt(target, data, Meter())[1]
    pipe.send(failure.kind if failure else '')


def minimised(target: Target, data: bytes, kind: str) -> bytes:
    """The smallest input found in some seconds that fails as this one does; itself if it does not fail again."""
    deadline = time.monotonic() + _SECONDS
    if fails_with(target, data) != kind:
        return data
    about, content = unpack(data)
    size = max(1, len(content) // 2)
    while size and time.monotonic() < deadline:
        position, smaller = 0, False
        while position < len(content) and time.monotonic() < deadline:
            candidate = content[:position] + content[position + size:]
            if fails_with(target, pack(about, candidate)) == kind:
                content, smaller = candidate, True
            else:
                position += size
        size = size if smaller and size > 1 else size // 2
    return pack(about, content)

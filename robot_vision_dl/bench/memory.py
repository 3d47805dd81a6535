"""Memory of processes and of all that they have started, from Linux' own account (``/proc/PID/smaps_rollup``)."""
from pathlib import Path
from typing import Dict, Iterable, Iterator, NamedTuple

_KB = 1024


class Memory(NamedTuple):
    """Of one process or several, in bytes.

    Attributes:
        pss: proportional set size: a page that n processes share counts for an nth in each, so that the sum over
            processes is what they take of the machine.
        rss: resident set size: a page counts in each process that has it, however many share it.
    """

    pss: int = 0
    rss: int = 0


def memory_of(pid: int) -> Memory:
    """Of a process now; nothing where it has ended, or is another user's."""
    found = {'Pss:': 0, 'Rss:': 0}
    try:
        with open(f'/proc/{pid}/smaps_rollup') as account:
            for line in account:
                name, _, rest = line.partition(' ')
                if name in found:
                    found[name] = int(rest.split()[0]) * _KB
    except (OSError, ValueError):
        return Memory()
    return Memory(found['Pss:'], found['Rss:'])


def with_children(pids: Iterable[int]) -> Iterator[int]:
    """Processes, all that they have started, and all that these have."""
    children: Dict[int, 'list[int]'] = {}
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            # The name stands in brackets, and may hold any character.
            parent = int(path.read_text().rpartition(')')[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    waiting, seen = list(pids), set()
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen.add(pid)
            yield pid
            waiting += children.get(pid, [])


class Peak:
    """The most that processes took together, as far as it was looked at.

    Attributes:
        together: peaks of the sums, each of its own moment.
        each: peaks of each process.
    """

    def __init__(self) -> None:
        self.together = Memory()
        self.each: Dict[int, Memory] = {}

    def look(self, pids: Iterable[int]) -> None:
        """Look at processes, and at what they have started, now."""
        total = Memory()
        for pid in with_children(pids):
            now = memory_of(pid)
            if now.rss:
                total = Memory(total.pss + now.pss, total.rss + now.rss)
                self.each[pid] = _larger(now, self.each.get(pid, Memory()))
        self.together = _larger(total, self.together)


def _larger(one: Memory, other: Memory) -> Memory:
    return Memory(max(one.pss, other.pss), max(one.rss, other.rss))

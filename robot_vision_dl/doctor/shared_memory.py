"""Whose shared memory is it: the segments that Fast DDS keeps in /dev/shm, and the processes that own them.

A process (more exactly, a participant) makes one segment to send from, ``fastdds_<16 hex digits>`` (Fast DDS 3) or
``fastrtps_...`` (Fast DDS 2), and holds a lock on the file ``<segment>_el`` as long as it lives. The kernel lists locks
with their owners in /proc/locks, but for those in other containers.

A frame larger than the sender's segment cannot go through it and is cut into fragments, of which a best-effort
subscriber loses some. It is the sender's segment alone that matters, so its size tells whether a driver has a profile
for large images.
"""
import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

SHM = Path('/dev/shm')
LOCKS = Path('/proc/locks')
_SEGMENT = re.compile(r'(?:fastdds|fastrtps)_[0-9a-f]{16}')
_EPROSIMA = b'\x01\x0f'


@dataclass(frozen=True)
class Segment:
    """One shared-memory segment.

    Attributes:
        path: the file.
        size: in bytes.
        alive: a process still owns it.
        pid: that process; None if it is dead, or in another container.
    """

    path: Path
    size: int
    alive: bool
    pid: Optional[int]


def _lock_owners() -> Dict[int, int]:
    """Inode -> process that has locked it, as far as the kernel tells."""
    try:
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return {}
    owners = {}
    for line in lines:
        fields = line.split()  # 1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> <start> <end>
        if len(fields) >= 6 and fields[1] == 'FLOCK' and fields[4].isdigit():
            owners[int(fields[5].rpartition(':')[2])] = int(fields[4])
    return owners


def _is_locked(path: Path) -> bool:
    """Whether somebody holds the lock, wherever; yes where it cannot be tried."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given back on closing
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


def segments(shm: Path = SHM) -> List[Segment]:
    """Every segment of Fast DDS in ``shm``."""
    if not shm.is_dir():
        return []
    owners = _lock_owners()
    found = []
    for path in sorted(shm.iterdir()):
        lock = path.with_name(path.name + '_el')
        if _SEGMENT.fullmatch(path.name):
            try:
                size, pid = path.stat().st_size, owners.get(lock.stat().st_ino)
            except OSError:  # gone meanwhile, or just being made
                continue
            found.append(Segment(path, size, pid is not None or _is_locked(lock), pid))
    return found


def leftovers(shm: Path = SHM) -> List[Segment]:
    """Segments whose process ended without removing them, for instance by ``kill -9``."""
    return [segment for segment in segments(shm) if not segment.alive]


@dataclass(frozen=True)
class Process:
    """A process of this machine that publishes.

    Attributes:
        pid: its number.
        command: its command line, shortened.
        segment_size: bytes of its largest shared-memory segment; None if it has none.
    """

    pid: int
    command: str
    segment_size: Optional[int]


def process_of(publisher_gid: Sequence[int], own_gid: Sequence[int]) -> Optional[Process]:
    """The process behind an endpoint of Fast DDS, if it is one of this machine and alive.

    Fast DDS makes the GUID prefix of: vendor (2 bytes), host (2), process number (the lower 2), then what tells
    participants apart (eProsima Fast DDS, GuidUtils.hpp).

    Args:
        publisher_gid: of the endpoint in question, as ``TopicEndpointInfo.endpoint_gid`` has it.
        own_gid: of any endpoint of the calling process, to know what this host looks like.
    """
    theirs, ours = bytes(publisher_gid)[:6], bytes(own_gid)[:6]
    if theirs[:2] != _EPROSIMA or theirs[:4] != ours[:4]:
        return None
    low = int.from_bytes(theirs[4:6], 'little')
    known = segments()
    owners = [segment.pid for segment in known if segment.pid and segment.pid & 0xffff == low]
    candidates = owners or [int(name) for name in os.listdir('/proc') if name.isdigit() and int(name) & 0xffff == low]
    if len(set(candidates)) != 1:
        return None
    pid = candidates[0]
    try:
        raw = Path(f'/proc/{pid}/cmdline').read_bytes()
    except OSError:
        return None
    sizes = [segment.size for segment in known if segment.pid == pid]
    command = raw.replace(b'\0', b' ').decode(errors='replace').strip()
    return Process(pid, command if len(command) <= 80 else command[:77] + '...', max(sizes, default=None))

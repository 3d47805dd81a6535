"""Storage files without a metadata.yaml that says so: copies of each other, parts of a recording, or one each.

rosbag2 numbers the parts of a recording from 0, ``run_0.mcap``, ``run_1.mcap``, and goes on in the next where it ends
one. Names alone do not tell: episodes are numbered as well, and dates end in digits. So the times must follow on.
"""
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ...core.errors import BagError, raise_about_machine
from ..folders import natural, shown
from .mcap_records import MAGIC

_PACKED = ('.zstd', '.zst')
# rosbag2 writes no leading zeros, and nobody a million parts; dates have eight digits and more.
_PART_NUMBER = re.compile(r'_(0|[1-9][0-9]{0,5})$')
# What keeps an older state beside the file: `rosbag reindex` and `rosbag fix`, file managers.
_BACKUP = re.compile(r'(\.orig| \([0-9]+\)| - Copy| copy| Copy)$')
_LABEL_SUFFIXES = ('.labels.yaml', '.labels.csv')
_OVERLAP_NS = 1_000_000_000
_LEAST_GAP_NS = 10_000_000_000
_INTERVALS = 3
_COMPARED = 1 << 16


class Group(NamedTuple):
    """Files of one recording, in order."""

    files: Tuple[Path, ...]
    problems: Tuple[str, ...] = ()
    notes: Tuple[str, ...] = ()


class _Span(NamedTuple):
    start_ns: int
    end_ns: int
    messages: int


def unpacked_name(path: Path) -> str:
    """The name of a file without what says that it is compressed."""
    return next((path.name[:-len(ending)] for ending in _PACKED if path.name.endswith(ending)), path.name)


def stem(path: Path) -> str:
    """The name of a storage file without its suffixes."""
    return Path(unpacked_name(path).removesuffix('.active')).stem


def part_stem(path: Path) -> str:
    """As :func:`stem`, without the number of the part: ``run`` of ``run_3.mcap``."""
    return _PART_NUMBER.sub('', stem(path))


def part_of(file: Path, other: Path) -> bool:
    """Whether two files are numbered parts of one name."""
    mine, its = _numbered(file), _numbered(other)
    return mine is not None and its is not None and mine[0] == its[0]


def without_copies(found: Sequence[Path], keep: Sequence[Path] = ()) -> Tuple[List[Path], List[str]]:
    """The files without those that hold what another one holds, and a sentence for each that is left out.

    Args:
        keep: files that are kept whatever there is beside them.
    """
    by_name: Dict[str, List[Path]] = {}
    for file in found:
        name = Path(unpacked_name(file).removesuffix('.active'))
        by_name.setdefault(_BACKUP.sub('', name.stem) + name.suffix, []).append(file)
    chosen, notes = [], []
    for group in by_name.values():
        kept = [file for file in group if file in keep] or [_best(group)]
        for file in group:
            if file in kept or not (_same_name(file, kept[0]) or _same_content(file, kept[0])):
                chosen.append(file)
            else:
                notes.append(f'{shown(file)}: not read, a copy of {shown(kept[0].name)}'
                             f'{", which metadata.yaml lists" if kept[0] in keep else ""}')
    return sorted(chosen, key=natural), notes


def recordings_of(files: Sequence[Path]) -> List[Group]:
    """Which files are parts of one recording, by name, number and time; nothing is left out."""
    named: Dict[str, List[Tuple[int, Path]]] = {}
    for file in files:
        found = _numbered(file)
        named.setdefault(found[0] if found else f'/{file.name}', []).append((found[1] if found else 0, file))
    groups: List[Group] = []
    for numbered in named.values():
        numbered.sort()
        parts = tuple(file for _, file in numbered)
        numbers = [number for number, _ in numbered]
        if len(parts) == 1:
            groups.append(Group(parts))
            continue
        folder = shown(parts[0].parent)
        why = _why_apart(numbers, parts)
        if why:
            told = (f'{folder}: {len(parts)} files, {shown(parts[0].name)} to {shown(parts[-1].name)}, are read as '
                    f'recordings of their own: {why}',)
            groups += [Group((part,), notes=told if part is parts[0] else ()) for part in parts]
        else:
            missing = sorted(set(range(numbers[-1] + 1)) - set(numbers))
            problems = (f'{folder}: parts of the recording are missing: number {", ".join(map(str, missing))}',
                        ) if missing else ()
            groups.append(Group(parts, problems, (
                f'{folder}: {len(parts)} files, {shown(parts[0].name)} to {shown(parts[-1].name)}, are read as parts '
                'of one recording: their numbers and times follow on',)))
    return groups


def _numbered(file: Path) -> Optional[Tuple[str, int]]:
    """``run`` and 12 of ``run_12.mcap``; None where the name does not end as rosbag2's parts do."""
    match = _PART_NUMBER.search(stem(file))
    return (stem(file)[:match.start()] + Path(unpacked_name(file)).suffix, int(match[1])) if match else None


def _why_apart(numbers: Sequence[int], parts: Sequence[Path]) -> str:
    """Why files whose names end in numbers are no parts of one recording; empty if they are."""
    own = next((part for part in parts for suffix in _LABEL_SUFFIXES if part.with_name(stem(part) + suffix).is_file()),
               None)
    if own is not None:
        return f'{shown(own.name)} has labels of its own beside it'
    absent = numbers[-1] + 1 - len(numbers)
    if absent > numbers[-1] / 2 + 1:
        return f'{absent} of the numbers up to {numbers[-1]} are not there, so they do not count parts'
    spans = [_span(part) for part in parts]
    longest = max((span.end_ns - span.start_ns for span in spans if span), default=0)
    before: Optional[int] = None
    last: Optional[_Span] = None
    for place, span in enumerate(spans):
        if span is None:
            continue
        if before is not None and last is not None:
            gap = span.start_ns - last.end_ns
            lost = numbers[place] - numbers[before] - 1 + sum(one is None for one in spans[before + 1:place])
            interval = max((one.end_ns - one.start_ns) // max(1, one.messages - 1) for one in (last, span))
            shorter = min(last.end_ns - last.start_ns, span.end_ns - span.start_ns)
            if gap < 0 and -gap > min(_OVERLAP_NS, shorter // 2):
                return f'{shown(parts[place].name)} begins before {shown(parts[before].name)} ends'
            if gap > max(_LEAST_GAP_NS, _INTERVALS * interval) + 2 * lost * longest:
                return (f'between the end of {shown(parts[before].name)} and the beginning of '
                        f'{shown(parts[place].name)} lie {_duration(gap)}')
        before, last = place, span
    return ''


def _span(file: Path) -> Optional[_Span]:
    """Time of the first and the last message; None where it cannot be told."""
    from .storage import Storage
    try:
        storage = Storage(file)
    except BagError:
        return None  # told when it is read
    try:
        if storage.start_ns is None or storage.end_ns is None:
            return None
        return _Span(storage.start_ns, storage.end_ns, sum(channel.messages for channel in storage.channels))
    finally:
        storage.close()


def _duration(ns: int) -> str:
    seconds = ns / 1e9
    for size, name in ((86400, 'days'), (3600, 'h'), (60, 'min')):
        if seconds >= 2 * size:
            return f'{seconds / size:.1f} {name}'
    return f'{seconds:.1f} s'


def _best(group: Sequence[Path]) -> Path:
    """The one of several states of a file that is read: no backup, closed, whole, and rather unpacked."""
    def rank(file: Path) -> Tuple[bool, bool, bool, bool, List[Tuple[int, str]]]:
        name = Path(unpacked_name(file))
        return (_BACKUP.search(Path(name.name.removesuffix('.active')).stem) is not None, name.name.endswith('.active'),
                not _ends_whole(file), file.name != name.name, natural(file))
    return min(group, key=rank)


def _ends_whole(file: Path) -> bool:
    """Whether an mcap file ends as its writer ends one, and a database is as long as it says; true for others."""
    try:
        with file.open('rb') as opened:
            head = opened.read(100)
            opened.seek(0, 2)
            size = opened.tell()
            if file.suffix == '.mcap':
                opened.seek(max(0, size - 8))
                return opened.read() == MAGIC and size > 8
            if file.suffix == '.db3' and len(head) == 100:
                page = int.from_bytes(head[16:18], 'big')
                pages = int.from_bytes(head[28:32], 'big')
                return size >= (65536 if page == 1 else page) * pages
    except OSError as error:
        raise_about_machine(error, shown(file))
        return False
    return size > 0


def _same_name(file: Path, other: Path) -> bool:
    """Whether one is the other compressed, or from before it was closed."""
    return unpacked_name(file).removesuffix('.active') == unpacked_name(other).removesuffix('.active')


def _same_content(file: Path, other: Path) -> bool:
    """Whether one is a backup of the other: an older state of a bag, or as long and with the same ends."""
    if '.orig' in file.name or '.orig' in other.name:
        return True
    try:
        if file.stat().st_size != other.stat().st_size:
            return False
        ends = []
        for path in (file, other):
            with path.open('rb') as opened:
                head = opened.read(_COMPARED)
                opened.seek(max(0, path.stat().st_size - _COMPARED))
                ends.append((head, opened.read()))
    except OSError as error:
        raise_about_machine(error, shown(file))
        return False
    return ends[0] == ends[1]

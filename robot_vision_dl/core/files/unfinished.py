"""The mark of a folder that is being filled: which names in it are of its writer, and how to know that they are.

Whoever fills a folder and is killed leaves such a mark, and the next writer removes what it names. So a mark is
believed only about what its writer has seen: it holds a digest of each name's files, with their inode numbers, which
a file that came from elsewhere (unpacked, copied, made later under the same name) does not have. What a mark cannot
prove counts as anyone's, and is never removed.
"""
import json
import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Set, Tuple, Union

from ..text.json_text import parse_json

UNFINISHED = '.robot-vision-unfinished'
_MOST_BYTES = 64 << 20
_OWN, _NAMES = 'mark', 'names'


def write_mark(draft: Path, folder: Path, entries: Iterable[Path]) -> None:
    """Mark ``folder``, at once and as a whole: the entries are in it and on their way out, or on their way into it.

    Args:
        draft: where the mark is written first, on the same file system.
    """
    with open(draft, 'x', encoding='ascii') as file:
        key = _key(os.fstat(file.fileno()), folder)
        names: Dict[str, List[str]] = {}
        for entry in entries:
            names.setdefault(entry.name, []).append(_digest(key, entry))
        json.dump({_OWN: sha256(key).hexdigest(), _NAMES: names}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, folder / UNFINISHED)


def left_by_writer(folder: Path) -> Set[str]:
    """Names in ``folder`` that a killed writer has surely left, the mark among them."""
    mark = folder / UNFINISHED
    try:
        status = mark.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            return set()
        content = parse_json(mark.read_bytes(), 'the mark')
        key = _key(status, folder)
        if content[_OWN] != sha256(key).hexdigest():
            return set()
        names = content[_NAMES]
        return {UNFINISHED} | {name for name in os.listdir(folder)
                               if name in names and _digest(key, folder / name) in names[name]}
    except FileNotFoundError:
        return set()
    except (ValueError, KeyError, TypeError):  # no mark that this package has written
        return set()


def _key(mark: os.stat_result, folder: Path) -> bytes:
    return f'{mark.st_ino} {folder.stat().st_ino}'.encode()


def _digest(key: bytes, entry: Path) -> str:
    """Of a file, or of all that is in a folder; what is renamed keeps it."""
    total = sha256(key)
    for line in _lines(entry):
        total.update(repr(line).encode('utf-8', 'surrogateescape'))
    return total.hexdigest()


def _lines(entry: Path, within: str = '') -> Iterator[Tuple[Union[str, int], ...]]:
    status = entry.lstat()
    if stat.S_ISDIR(status.st_mode):
        yield within, 'folder', status.st_ino  # its times change with what is in it, which is listed itself
        for name in sorted(os.listdir(entry)):
            yield from _lines(entry / name, f'{within}/{name}')
    else:
        yield within, stat.S_IFMT(status.st_mode), status.st_ino, status.st_size, status.st_mtime_ns

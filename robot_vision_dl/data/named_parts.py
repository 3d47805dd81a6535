"""Recordings that somebody has named for a part of the split, instead of leaving it to be drawn."""
import os
from fnmatch import fnmatchcase
from glob import glob, has_magic
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from ..core.suggestions import did_you_mean
from ..core.text.printable import printable
from .division import Part
from .frame_sources import Source, find_sources
from .recording_paths import expand, recording_names

Named = Mapping[Part, Sequence[str]]
"""What the settings name for each part: paths, globs, or names of recordings (with * and ?)."""


def paths_beside(bags: Sequence[str], named: Named) -> List[str]:
    """The named paths that are not among ``bags`` nor in them, to be read as well.

    What names recordings of ``bags`` is no path, whatever lies in the working folder.
    """
    if not named:
        return []
    own = recording_names([item if isinstance(item, Path) else item.path for item in find_sources(bags, lists=True)[0]])
    given = [_resolved(path) for path in expand(bags)]
    found = []
    for entry in (entry for entries in named.values() for entry in entries if not _named(entry, own)):
        for path in _paths(entry):
            inside = any(path == one or one in path.parents for one in given)
            if not inside and str(path) not in found:
                found.append(str(path))
    return [os.path.relpath(path) if not os.path.relpath(path).startswith(os.pardir) else path for path in found]


def named_recordings(named: Named, sources: Sequence[Source]) -> Dict[str, Part]:
    """The part of each recording that is named.

    Raises:
        ConfigError: an entry names no recording, two parts have the same one, or none is left to train on.
    """
    recordings: Dict[str, Path] = {
        name: _resolved(source.path) for source in sources for name in source.recordings}
    found: Dict[str, Tuple[Part, str]] = {}
    for part, entries in named.items():
        for entry in entries:
            names = _recordings_of(entry, recordings)
            if not names:
                raise ConfigError(
                    f'data.{part.value}: {printable(entry)!r} is no recording of data.bags, and nothing is there as a '
                    f'path; {did_you_mean(entry, list(recordings))}')
            for name in names:
                before, by = found.setdefault(name, (part, entry))
                if before is not part:
                    raise ConfigError(
                        f'data.{part.value}: {printable(entry)!r} is the recording {printable(name)!r}, which '
                        f'data.{before.value} has already (by {printable(by)!r}); a recording is in one part only')
    if named and not set(recordings) - set(found):
        raise ConfigError(f'{", ".join(f"data.{part.value}" for part in named)}: name every recording that there is '
                          f'({len(recordings)}), so that none is left to train on; name fewer, or more data.bags')
    return {name: part for name, (part, _) in found.items()}


def _recordings_of(entry: str, recordings: Mapping[str, Path]) -> List[str]:
    by_name = _named(entry, list(recordings))
    if by_name:
        return by_name
    paths = _paths(entry)
    return [name for name, own in recordings.items() if any(path == own or path in own.parents for path in paths)]


def _named(entry: str, recordings: Sequence[str]) -> List[str]:
    """The recordings with the name ``entry``, or where it is a pattern all that it fits."""
    if entry in recordings:
        return [entry]
    return [name for name in recordings if has_magic(entry) and fnmatchcase(name, entry)]


def _paths(entry: str) -> List[Path]:
    text = str(user_path(entry))
    if os.path.exists(text):
        return [_resolved(Path(text))]
    return [_resolved(Path(path)) for path in sorted(glob(text, recursive=True))] if has_magic(text) else []


def _resolved(path: Path) -> Path:
    return Path(path).resolve()

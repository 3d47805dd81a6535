"""What is worth knowing of a round before it is trained: scarce classes, and what was learned already."""
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from ..core.bundles.bundle import Bundle
from ..core.bundles.bundle_files import hash_file
from ..core.text.printable import printable
from ..core.uncertainty.attainable_rates import MIN_PER_CLASS
from ..data.frame_sources import Source
from ..evaluation.learned import learned_from, same_name
from ..evaluation.recordings import Recording

_LEAST_RECORDINGS = 3
"""To learn, to calibrate and to judge, each from recordings of its own."""


def scarce_classes(sources: Sequence[Source], class_names: Sequence[str], calibration: float) -> List[str]:
    """Classes with too few frames or recordings to be learned and calibrated, a line each.

    Args:
        sources: what is learned from.
        calibration: share of the frames that calibrate.
    """
    lines = []
    for name in class_names:
        counts = [source.expected.get(name, 0.0) for source in sources if source.expected.get(name, 0.0) > 0]
        frames, recordings = sum(counts), len(counts)
        why = []
        if frames * calibration < MIN_PER_CLASS:
            why.append(f'about {frames * calibration:.0f} of them would calibrate, and {MIN_PER_CLASS} are needed for '
                       'its confidence to be known')
        if recordings < _LEAST_RECORDINGS:
            why.append('frames of one recording are alike, so how it looks in others is hardly learned')
        if why:
            lines.append(f'{printable(name, 60)}: about {frames:.0f} labelled frames of {recordings} '
                         f'recording{"s" * (recordings != 1)}: {"; ".join(why)}; label more of it')
    return lines


def learned_before(old: Bundle, recordings: Sequence[Recording], old_data: Sequence[Source]
                   ) -> Tuple[List[str], List[str]]:
    """Frozen recordings that the installed model has learned from, and those that it may have.

    A bundle knows what it learned from by names alone, and names repeat. Where that data is there, files are compared
    byte by byte (SHA-256): a recording that differs from all of its name is another one.

    Args:
        old_data: what the installed model learned from, as far as it is at hand.

    Returns:
        Names of recordings whose files are those of data that it learned from; names that it learned from, whose data
        is not at hand.
    """
    taught = [source for source in old_data if learned_from(old, [source.recording])]
    hashes: Dict[Path, str] = {}
    same, perhaps = [], []
    for recording in recordings:
        files = [file for file in (*recording.files.files, *(each.path for each in recording.pictures))
                 if file.is_file()]
        if any(_holds(source.files, files, hashes) for source in taught):
            same.append(recording.name)
        elif learned_from(old, [recording.name]) and not any(
                same_name(source.recording, recording.name) for source in taught):
            perhaps.append(recording.name)
    return same, perhaps


def describe_learned(same: Sequence[str], perhaps: Sequence[str]) -> List[str]:
    """Lines about what :func:`learned_before` found."""
    lines = []
    if same:
        lines.append(f'the installed model has learned from {_some(same)} (the same files): it is judged too well on '
                     'them')
    if perhaps:
        lines.append(f'the installed model may have learned from {_some(perhaps)}: it did from recordings of these '
                     'names, which are not among the old data; give them with --old-data to have the files compared')
    return lines


def _holds(there: Sequence[Path], files: Sequence[Path], hashes: Dict[Path, str]) -> bool:
    """Whether each of ``files`` is one of those that are there; only files of the same size are read."""
    sizes: Dict[int, List[Path]] = {}
    for path in there:
        if path.is_file():
            sizes.setdefault(path.stat().st_size, []).append(path)
    return bool(files) and all(file.stat().st_size in sizes for file in files) and all(
        any(path.resolve() == file.resolve() or _hash(path, hashes) == _hash(file, hashes)
            for path in sizes[file.stat().st_size]) for file in files)


def _hash(path: Path, hashes: Dict[Path, str]) -> str:
    if path not in hashes:
        hashes[path] = hash_file(path)
    return hashes[path]


def _some(names: Sequence[str]) -> str:
    return printable(', '.join(names[:8]), 300) + (f' and {len(names) - 8} more' if len(names) > 8 else '')

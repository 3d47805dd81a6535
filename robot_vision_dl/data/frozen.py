"""Recordings that models are compared on, so that no model may learn from them: known by place and by content.

A path alone would not do: a recording that was copied, cut, put into another format or extracted to pictures shows the
same frames under another name. So whatever looks like a frame of a frozen recording (:data:`.selection.SAME_PICTURE`)
is not learned from either.
"""
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

import numpy as np

from ..core.errors import ConfigError, ImageError
from ..core.text.printable import printable
from .cache import FrameStore
from .frame_sources import Source, open_sources
from .labels.labels import LabelConfig, LabelledFrame
from .labels.report import LabelCounter
from .outliers import unlike
from .selection import perceptual_hash

COPY_SHARE = 0.9
"""Share of a recording's frames that look like frozen ones from which on it is told to be a copy."""


def without_frozen(sources: Sequence[Source], frozen: Sequence[str]) -> Tuple[List[Source], List[str]]:
    """The sources that do not lie where frozen recordings do, and the names of those that do.

    Raises:
        ConfigError: none is left.
    """
    if not frozen:
        return list(sources), []
    places = _places(_opened(frozen))
    kept = [source for source in sources if not _lies_in(source, places)]
    left_out = [source.recording for source in sources if _lies_in(source, places)]
    if not kept:
        raise ConfigError(f'data.frozen: holds every recording that there is to learn from '
                          f'({printable(", ".join(left_out), 200)}); name other ones to learn from, or freeze fewer')
    return kept, left_out


def frozen_hashes(frozen: Sequence[str], topics: Sequence[str] = (),
                  progress: Optional[Callable[[int], None]] = None) -> np.ndarray:
    """The different perceptual hashes of all frames of frozen recordings, sorted, uint64 (n,); reads all of them.

    Args:
        topics: image topics, as ``data.image_topics``.
        progress: is called with the number of frames so far.
    """
    found: Set[int] = set()
    count = 0
    for source in _opened(frozen, topics):
        for candidate in source.candidates(LabelCounter()):
            try:
                picture, _ = candidate.load()
            except ImageError:
                continue
            found.add(perceptual_hash(picture))
            count += 1
            if progress is not None:
                progress(count)
    return np.array(sorted(found), np.uint64)


def unlike_frozen(store: FrameStore, hashes: np.ndarray) -> np.ndarray:
    """Indices of the frames of a store that look like no frozen one, ascending."""
    return unlike(store.hashes, hashes)


def describe_frozen(frames: Sequence[LabelledFrame], learned: np.ndarray, left_out: Sequence[str]) -> str:
    """What is not learned from since it is frozen, in words.

    Args:
        frames: all frames that there are.
        learned: indices of those that look like no frozen one.
        left_out: recordings that lie where frozen ones do.
    """
    lines = [f'frozen, not learned from: {len(left_out)} of the recordings ({printable(", ".join(left_out), 300)})'
             ] if left_out else []
    is_alike = np.ones(len(frames), bool)
    is_alike[learned] = False
    alike = np.flatnonzero(is_alike).tolist()
    if alike:
        lines.append(f'frozen, not learned from: {len(alike)} of {len(frames)} frames look like one of a frozen '
                     'recording (64 bit perceptual hash)')
        counts: Dict[str, List[int]] = {}
        for index, frame in enumerate(frames):
            seen = counts.setdefault(frame.recording, [0, 0])
            seen[0] += int(is_alike[index])
            seen[1] += 1
        lines += [f'  {printable(name)}: {same} of {count}: it looks like a copy of a frozen recording'
                  for name, (same, count) in counts.items() if same >= COPY_SHARE * count]
    return '\n'.join(lines) or 'frozen: no frame to learn from looks like one of a frozen recording'


def _opened(frozen: Sequence[str], topics: Sequence[str] = ()) -> List[Source]:
    try:
        return open_sources(frozen, LabelConfig(('none',)), topics)
    except ConfigError as error:
        raise ConfigError(f'data.frozen: {error}') from error


def _places(sources: Sequence[Source]) -> Set[Path]:
    return {Path(path).resolve() for source in sources for path in (source.path, *source.files)}


def _lies_in(source: Source, places: Set[Path]) -> bool:
    own = {Path(path).resolve() for path in (source.path, *source.files)}
    return not own.isdisjoint(places) or not places.isdisjoint(source.path.resolve().parents)

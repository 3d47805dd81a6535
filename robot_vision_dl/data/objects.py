"""Of how many objects frames are: neighbouring frames show the same thing, and tell little more than one of them."""
from typing import Any, Dict, Iterable, Tuple

import numpy as np

from ..core.bundles.calibration_figures import OBJECTS, RECORDINGS
from .labels.labels import LabelledFrame

ALIKE = 'picture_'
"""Begins the track of pictures of a folder: near-duplicates have the same, and other views of an object another."""


def is_of_a_folder(frame: LabelledFrame) -> bool:
    """Whether a frame is a picture of a folder, of whose track nobody says that it is an object."""
    return not frame.topic and (frame.track or '').startswith(ALIKE)


def count_objects(frames: Iterable[LabelledFrame]) -> Dict[str, Any]:
    """Figures for a calibration, see :func:`~..core.bundles.calibration_figures.count_of`; empty where it is not known.

    Returns:
        ``objects``: their number; ``counted``: whether they are ``objects``, where every frame has a track, or
        ``recordings``, where some frame of a bag has none. Of pictures of a folder nobody says which show the same.
    """
    frames = list(frames)
    if any(is_of_a_folder(frame) for frame in frames):
        return {}
    if frames and all(frame.track is not None for frame in frames):
        return {'objects': len({(frame.recording, frame.topic, frame.track) for frame in frames}), 'counted': OBJECTS}
    if frames and all(frame.topic for frame in frames):
        return {'objects': len({frame.recording for frame in frames}), 'counted': RECORDINGS}
    return {}


def groups_of(frames: Iterable[LabelledFrame]) -> np.ndarray:
    """A number for each frame, int64 (n,), the same for those of one object: of a track, else of a recording.

    A picture of a folder without a track is by itself, or with all others that are cut out of the same picture.
    """
    numbers: Dict[Tuple[str, ...], int] = {}
    found = []
    for place, frame in enumerate(frames):
        key: Tuple[str, ...] = (frame.recording, frame.topic)
        if frame.track is not None:
            key = (*key, frame.track)
        elif frame.picture is not None:
            key = (*key, 'picture', frame.picture)
        elif not frame.topic:
            key = ('', str(place))
        found.append(numbers.setdefault(key, len(numbers)))
    return np.array(found, np.int64)

"""A picture with its objects: what every format of labels is read to, and the checks that all of them share."""
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

from ....core.class_name import name_problem
from ....core.errors import ConfigError
from ....core.regions.crop import BoxError, check_box
from ....core.regions.detection_cdr import MOST_DETECTIONS
from ....core.regions.detections import Box
from ....core.text.printable import printable
from ...folders import LeftOut, shown

NOT_FINITE, NO_AREA, OUTSIDE = (
    'boxes that are not finite numbers', 'boxes without area', 'boxes of which nothing is in the picture')
TWICE = 'boxes that are in the labels twice'
OTHER_SIZE = 'pictures of another size than their labels are for (scaled, or turned by their EXIF data?)'
NOT_THERE = 'pictures that labels name and that are not there'
NO_LABELS = 'pictures that no labels name'
UNREADABLE = 'pictures that cannot be decoded'
MOST_QUOTED = 20
"""Characters of what stands in a file of labels, in an error: by a link it may be a file that others must not see."""
MOST_OBJECTS = MOST_DETECTIONS
"""Of one picture: as many as a message of a bag may hold."""
_REASONS = {'box_not_finite': NOT_FINITE, 'box_without_area': NO_AREA}


@dataclass(frozen=True)
class LabelledObject:
    """One object in a picture.

    Attributes:
        box: in pixels of the picture, upright as its EXIF data says.
        label: name of its class.
        track: the same for one object in several pictures of a recording; None where nobody says.
        score: of a detector that drew the box, as it stands in the file; None where a person did.
    """

    box: Box
    label: str
    track: Optional[str] = None
    score: Optional[float] = None


@dataclass(frozen=True)
class LabelledPicture:
    """A picture that somebody has labelled.

    Attributes:
        path: of the file.
        name: the path relative to the source, with ``/`` between folders.
        width, height: in pixels, upright as the EXIF data says.
        objects: all that were labelled; empty where there are none in it.
        crowds: boxes around several objects at once, which are no objects of their own; nothing in them is background.
    """

    path: Path
    name: str
    width: int
    height: int
    objects: Tuple[LabelledObject, ...] = ()
    crowds: Tuple[Box, ...] = ()


def bounds(box: Box) -> Tuple[float, float, float, float]:
    """(left, top, right, bottom) of the upright rectangle around a box, which may be turned."""
    from math import cos, sin
    c, s = abs(cos(box.theta)), abs(sin(box.theta))
    width, height = box.width * c + box.height * s, box.width * s + box.height * c
    return box.x - width / 2, box.y - height / 2, box.x + width / 2, box.y + height / 2


class Objects:
    """Collects the objects of one picture; what is no box in it is left out and counted.

    Args:
        width, height: of the picture.
        left_out: takes what is left out.
        root: what names in it are relative to.
    """

    def __init__(self, width: int, height: int, left_out: LeftOut, root: Path) -> None:
        self._width, self._height, self._left_out, self._root = width, height, left_out, root
        self._found: Dict[LabelledObject, None] = {}  # in order

    def add(self, item: LabelledObject, where: Path) -> None:
        """Take an object; ``where`` is the file with the place in it.

        Raises:
            ConfigError: its track is no text that can be stored, or there are more objects than a picture may have.
        """
        problem = None if item.track is None else name_problem(item.track)
        if problem:
            raise ConfigError(f'{shown(where)}: the track {printable(repr(item.track), 60)} {problem}')
        reason = self._reason(item.box)
        if not reason and item in self._found:
            reason = TWICE
        if reason:
            self._left_out.add(reason, where, self._root)
        else:
            self._found[item] = None
            if len(self._found) > MOST_OBJECTS:
                raise ConfigError(f'{shown(where)}: one picture has more than {MOST_OBJECTS} objects; remove the boxes '
                                  'that are no objects')

    def _reason(self, box: Box) -> str:
        try:
            check_box(box)
        except BoxError as error:
            return _REASONS[error.reason]
        left, top, right, bottom = bounds(box)
        inside = left < self._width and right > 0 and top < self._height and bottom > 0
        return '' if inside else OUTSIDE

    def all(self) -> Tuple[LabelledObject, ...]:
        """What was taken, in order."""
        return tuple(self._found)


def place(file: Path, where: str) -> Path:
    """A place in a file, for :class:`LeftOut`."""
    return file.with_name(f'{file.name}{where}')

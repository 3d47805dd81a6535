"""Which object of a picture is acted on, where a robot can do one thing at a time."""
from math import cos, hypot, inf, isfinite, sin
from struct import unpack_from
from typing import List, Optional, Sequence

from .detections import Box, Detection

NEAREST, LARGEST, BY_ID = 'nearest', 'largest', 'id:'


def choose(objects: Sequence[Detection], wanted: str, before: str = '') -> Optional[int]:
    """Place of the object that is acted on; None: there is none.

    Objects whose box has no area, or a number that is none, are never chosen. Of several that are equally near or
    large, the one that was chosen before is kept, else the first is taken.

    Args:
        objects: of one picture.
        wanted: ``nearest``: by the distance from the origin of the camera's frame, if the detector gives a position for
            every object; else the one whose lower edge is lowest in the picture, which is the nearest one only on flat
            ground under a level camera. ``largest``: by the area of the box in the picture. ``id:NAME``: that one.
        before: id of the object that was chosen before; empty: none.
    """
    places = [place for place, one in enumerate(objects) if is_sound(one.box)]
    if wanted.startswith(BY_ID):
        name = wanted[len(BY_ID):]
        return next((place for place in places if objects[place].track_id == name), None)
    chosen = [objects[place] for place in places]
    badness = [-area for area in map(_area, chosen)] if wanted == LARGEST else _distances(chosen)
    ranked = [(bad, not before or one.track_id != before, place) for bad, one, place in zip(badness, chosen, places)]
    return min(ranked)[-1] if ranked else None


def identity(objects: Sequence[Detection], place: int) -> str:
    """The id by which an object is known from picture to picture; empty where it has none, or shares it with others."""
    name = objects[place].track_id
    return name if sum(one.track_id == name for one in objects) == 1 else ''


def is_sound(box: Box) -> bool:
    """Whether all numbers of a box are numbers, and it has an area."""
    numbers = (box.x, box.y, box.width, box.height, box.theta)
    return all(map(isfinite, numbers)) and box.width > 0 and box.height > 0


def distance(one: Detection) -> Optional[float]:
    """Metres from the origin of the camera's frame, by the pose of the first hypothesis that has one; None: none has.

    A position that is all zero, as messages begin, is none.
    """
    for hypothesis in one.hypotheses:
        away = hypot(*unpack_from('=3d', hypothesis.pose))
        if isfinite(away) and away > 0:
            return away
    return None


def _distances(objects: Sequence[Detection]) -> List[float]:
    """Of each object; by the lower edge, as less than 0 is nearer, where not all have a distance."""
    away = [distance(one) for one in objects]
    if None not in away:
        return [inf if metres is None else metres for metres in away]
    return [-_lower_edge(one.box) for one in objects]


def _lower_edge(box: Box) -> float:
    """Row of the lowest corner, in pixels."""
    if not box.theta:
        return box.y + box.height / 2
    return box.y + (abs(box.width * sin(box.theta)) + abs(box.height * cos(box.theta))) / 2


def _area(one: Detection) -> float:
    return one.box.width * one.box.height

"""Training frames as points in a plane, and where pictures lie among them, as SVG."""
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..evaluation.report.svg import fmt

_WIDTH, _HEIGHT, _EDGE = 640, 400, 16
_MOST = 1500  # points that are drawn; of more, evenly chosen ones
# Okabe and Ito 2008, without black: as many classes as can be told apart have a colour.
_COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#8a7a00')
_OTHERS = '#9a9a9a'


class Scatter(NamedTuple):
    """The plot.

    Attributes:
        svg: it.
        legend: (name of a class, colour); the rest of the classes are grey.
        others: classes that are grey.
    """

    svg: str
    legend: Tuple[Tuple[str, str], ...]
    others: int


def scatter(places: np.ndarray, labels: Sequence[str], pictures: Sequence[Tuple[float, float]]) -> Scatter:
    """The plot. Of many classes those with a frame nearest to a picture have colours.

    Args:
        places: float32 (n, 2).
        labels: n names.
        pictures: places of the pictures, which get their number from 1.
    """
    everything = np.concatenate([places, np.array(pictures, np.float32).reshape(-1, 2)])
    low, high = everything.min(0), everything.max(0)
    scale = (np.array([_WIDTH, _HEIGHT]) - 2 * _EDGE) / np.maximum(high - low, 1e-9)

    def at(point: Sequence[float]) -> Tuple[float, float]:
        return (float(_EDGE + (point[0] - low[0]) * scale[0]),
                float(_HEIGHT - _EDGE - (point[1] - low[1]) * scale[1]))
    colours = dict(zip(_near(places, labels, pictures), _COLOURS))
    step = max(1, -(-len(labels) // _MOST))
    drawn = list(zip(places.tolist(), labels))[::step]
    drawn.sort(key=lambda one: one[1] in colours)  # what is grey lies below
    out: List[str] = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="training frames in the plane of '
                      'the first two principal axes of the features">'
                      f'<rect class="plot" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>']
    for place, label in drawn:
        x, y = at(place)
        out.append(f'<circle cx="{fmt(x)}" cy="{fmt(y)}" r="2.6" fill="{colours.get(label, _OTHERS)}" '
                   f'fill-opacity="{.75 if label in colours else .3}"/>')
    for number, picture in enumerate(pictures, 1):
        x, y = at(picture)
        out.append(f'<circle class="mark" cx="{fmt(x)}" cy="{fmt(y)}" r="12"/><text class="note" x="{fmt(x)}" '
                   f'y="{fmt(y + 5)}" style="font-size:15px" text-anchor="middle">{number}</text>')
    return Scatter(''.join(out) + '</svg>', tuple(colours.items()), len(set(labels)) - len(colours))


def _near(places: np.ndarray, labels: Sequence[str], pictures: Sequence[Tuple[float, float]]) -> List[str]:
    """The classes that get a colour, sorted by name; the same in every plot where there are few."""
    names = sorted(set(labels))
    if len(names) <= len(_COLOURS) or not pictures:
        return names[:len(_COLOURS)]
    nearest: Dict[str, float] = {}
    apart = np.linalg.norm(places[:, None] - np.array(pictures, np.float32)[None], axis=2).min(1)
    for label, distance in zip(labels, apart.tolist()):
        nearest[label] = min(distance, nearest.get(label, distance))
    return sorted(sorted(names, key=lambda name: nearest[name])[:len(_COLOURS)])

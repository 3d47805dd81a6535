"""Training frames as points in a plane, and where pictures lie among them, as SVG."""
from html import escape
from typing import List, Sequence, Tuple

import numpy as np

from ..evaluation.report.svg import fmt

_WIDTH, _HEIGHT, _EDGE = 640, 400, 16
_MOST = 1500  # points that are drawn; of more, evenly chosen ones
# Okabe and Ito 2008, without black; further classes begin again with another shape.
_COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#8a7a00')
_SHAPES = ('circle', 'square', 'triangle')


def scatter(places: np.ndarray, labels: Sequence[str], pictures: Sequence[Tuple[float, float]]) -> str:
    """The plot.

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
    names = sorted(set(labels))
    step = max(1, -(-len(labels) // _MOST))
    height = _HEIGHT + 22 * -(-len(names) // 5)
    out: List[str] = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="training frames in the plane of '
                      'the first two principal axes of the features">'
                      f'<rect class="plot" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>']
    out += [_mark(*at(place), names.index(label), 2.6) for place, label in
            list(zip(places.tolist(), labels))[::step]]
    for number, picture in enumerate(pictures, 1):
        x, y = at(picture)
        out.append(f'<circle class="mark" cx="{fmt(x)}" cy="{fmt(y)}" r="9"/><text class="note" x="{fmt(x)}" '
                   f'y="{fmt(y + 4)}" text-anchor="middle">{number}</text>')
    for place, name in enumerate(names):
        x, y = 12 + place % 5 * 126, _HEIGHT + 16 + 22 * (place // 5)
        out.append(_mark(x, y - 4, place, 4.5) + f'<text class="tick" x="{x + 10}" y="{y}">{escape(name[:18])}</text>')
    return ''.join(out) + '</svg>'


def _mark(x: float, y: float, kind: int, size: float) -> str:
    colour = _COLOURS[kind % len(_COLOURS)]
    shape = _SHAPES[kind // len(_COLOURS) % len(_SHAPES)]
    if shape == 'circle':
        return f'<circle cx="{fmt(x)}" cy="{fmt(y)}" r="{fmt(size)}" fill="{colour}" fill-opacity=".75"/>'
    if shape == 'square':
        return (f'<rect x="{fmt(x - size)}" y="{fmt(y - size)}" width="{fmt(2 * size)}" height="{fmt(2 * size)}" '
                f'fill="{colour}" fill-opacity=".75"/>')
    return (f'<path d="M{fmt(x)} {fmt(y - size)}L{fmt(x + size)} {fmt(y + size)}L{fmt(x - size)} {fmt(y + size)}z" '
            f'fill="{colour}" fill-opacity=".75"/>')

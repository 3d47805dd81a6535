"""Plots as SVG text. Colours come from the page's style sheet, so that they follow its light and dark mode."""
from html import escape
from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np


class Line(NamedTuple):
    """A line of a chart: its name, style class (``s1``, ``s2``, ...) and points; NaN breaks it."""

    name: str
    style: str
    x: Sequence[float]
    y: Sequence[float]
    dots: bool = False


def fmt(value: float) -> str:
    """A coordinate, as short as it can be without moving anything by a visible amount."""
    return f'{value:.1f}'.rstrip('0').rstrip('.')


def path(points: Sequence[Tuple[float, float]]) -> str:
    """The ``d`` of a line through points."""
    return 'M' + 'L'.join(f'{fmt(x)} {fmt(y)}' for x, y in points)


def chart(lines: Sequence[Line], x_label: str, y_label: str, y_max: float = 1.0, diagonal: bool = False,
          bars: Optional[Sequence[float]] = None, marker: Optional[Tuple[float, float, str]] = None,
          title: str = '') -> str:
    """A chart over 0..1, 360 x 300.

    Args:
        lines: what is drawn; named in a legend where there are several.
        y_max: upper end of the other axis.
        diagonal: draw where y = x.
        bars: shares that are drawn as bars of equal width along the lower edge, the highest a fifth of the chart.
        marker: (x, y, text) of a point to be pointed out.
        title: for screen readers.
    """
    left, top, width, height = 46, 12, 300, 240

    def at(x: float, y: float) -> Tuple[float, float]:
        return left + width * x, top + height * (1 - y / y_max)

    out = [f'<svg viewBox="0 0 360 300" role="img" aria-label="{escape(title or y_label)}" class="chart">']
    for step in range(6):
        share = step / 5
        x, y = at(share, share * y_max)
        out.append(f'<line class="grid" x1="{left}" x2="{left + width}" y1="{fmt(y)}" y2="{fmt(y)}"/>'
                   f'<text class="tick" x="{left - 6}" y="{fmt(y + 3.5)}" text-anchor="end">{_tick(share * y_max)}'
                   '</text>'
                   f'<text class="tick" x="{fmt(x)}" y="{top + height + 15}" text-anchor="middle">{_tick(share)}'
                   '</text>')
    if bars is not None and len(bars) and max(bars) > 0:
        wide = width / len(bars)
        for place, share in enumerate(bars):
            high = height / 5 * share / max(bars)
            out.append(f'<rect class="bar" x="{fmt(left + place * wide + .5)}" width="{fmt(wide - 1)}" '
                       f'y="{fmt(top + height - high)}" height="{fmt(high)}"/>')
    if diagonal:
        (x1, y1), (x2, y2) = at(0, 0), at(1, 1)
        out.append(f'<line class="ideal" x1="{fmt(x1)}" y1="{fmt(y1)}" x2="{fmt(x2)}" y2="{fmt(y2)}"/>')
    for line in lines:
        points = [at(x, min(y, y_max)) for x, y in zip(line.x, line.y) if np.isfinite(x) and np.isfinite(y)]
        if points:
            out.append(f'<path class="line {line.style}" d="{path(points)}"/>')
        if line.dots:
            out += [f'<circle class="dot {line.style}" cx="{fmt(x)}" cy="{fmt(y)}" r="3"/>' for x, y in points]
    if marker is not None and np.isfinite(marker[0]) and np.isfinite(marker[1]):
        x, y = at(marker[0], min(marker[1], y_max))
        anchor, shift = ('end', -9) if marker[0] > 0.6 else ('start', 9)
        out.append(f'<circle class="mark" cx="{fmt(x)}" cy="{fmt(y)}" r="5"/>'
                   f'<text class="note" x="{fmt(x + shift)}" y="{fmt(max(y - 8, 20))}" text-anchor="{anchor}">'
                   f'{escape(marker[2])}</text>')
    out.append(f'<text class="axis" x="{left + width / 2}" y="292" text-anchor="middle">{escape(x_label)}</text>'
               f'<text class="axis" transform="translate(12 {top + height / 2}) rotate(-90)" text-anchor="middle">'
               f'{escape(y_label)}</text>')
    if len(lines) > 1:
        for place, line in enumerate(lines):
            y = top + 14 + 16 * place
            out.append(f'<line class="line {line.style}" x1="{left + 10}" x2="{left + 30}" y1="{y - 4}" y2="{y - 4}"/>'
                       f'<text class="tick" x="{left + 35}" y="{y}">{escape(line.name)}</text>')
    return ''.join(out) + '</svg>'


def _tick(value: float) -> str:
    return f'{value:.2f}'.rstrip('0').rstrip('.') or '0'


def forest(rows: Sequence[Tuple[str, float, float, float, str]]) -> str:
    """Intervals one below the other, each scaled by its own reach, about the line of no difference.

    Args:
        rows: (name, value, low, high, style class).
    """
    height = 26 * len(rows) + 34
    out = [f'<svg viewBox="-45 0 745 {height}" role="img" aria-label="differences with intervals" class="forest">'
           f'<line class="ideal" x1="400" x2="400" y1="8" y2="{height - 24}"/>']
    for place, (name, value, low, high, style) in enumerate(rows):
        y = 20 + 26 * place
        reach = max(abs(value), abs(low), abs(high), 1e-12) * 1.05
        x = [400 + 150 * v / reach for v in (low, value, high)]
        out.append(f'<text class="label" x="118" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
                   f'<text class="tick" x="130" y="{y + 4}">{value:+.3f}</text>'
                   f'<line class="span {style}" x1="{fmt(x[0])}" x2="{fmt(max(x[2], x[0] + 1))}" y1="{y}" y2="{y}"/>'
                   f'<circle class="dot {style}" cx="{fmt(x[1])}" cy="{y}" r="4.5"/>'
                   f'<text class="tick" x="562" y="{y + 4}">{low:+.3f} .. {high:+.3f}</text>')
    out.append(f'<text class="axis" x="400" y="{height - 6}" text-anchor="middle">no difference</text>')
    return ''.join(out) + '</svg>'


def bar(share: float, style: str = 's1') -> str:
    """A share as a small bar."""
    return ('<svg viewBox="0 0 60 8" class="bar60" aria-hidden="true">'
            '<rect class="track" width="60" height="8" rx="2"/>'
            f'<rect class="fill {style}" width="{fmt(60 * min(max(share, 0), 1))}" height="8" rx="2"/></svg>')


def segments(values: Sequence[object], times: Union[Sequence[float], np.ndarray], end: float,
             gap: float) -> List[Tuple[float, float, object]]:
    """(from, to, value) of stretches over which a value stays the same; a gap ends one.

    Args:
        values: one a moment.
        times: ascending seconds, as many.
        end: where the last stretch ends at most.
        gap: moments further apart than this are not joined.
    """
    found: List[Tuple[float, float, object]] = []
    for place, (value, time) in enumerate(zip(values, times)):
        following = times[place + 1] if place + 1 < len(times) else end
        upto = min(following, time + gap)
        if found and found[-1][2] == value and time - found[-1][1] < 1e-9:
            found[-1] = (found[-1][0], upto, value)
        else:
            found.append((time, upto, value))
    return found

"""A recording as one picture: strip, labels, decisions, fused posterior and what became of it over time."""
import base64
from html import escape
from typing import Callable, Dict, List, Sequence, Tuple, TypeVar

import numpy as np

from ..table import ACCEPTED, NO_LABEL, FrameTable
from .svg import fmt, path, segments

Item = TypeVar('Item')
Scale = Callable[[float], float]
"""Seconds -> where that is across the picture."""
WIDTH = 1000
STRIP_PICTURES = 14
_MOST_POINTS = 500
_MOST_SEGMENTS = 400
BANDS = ('right', 'wrong', 'acted', 'uncertain', 'unknown')
"""Styles of what became of a frame; ``acted``: acted on, and nobody says what it is."""


def timeline(table: FrameTable, places: np.ndarray, strip: Sequence[Tuple[int, bytes]], colours: Dict[str, int],
             needed: float, gap_s: float) -> str:
    """SVG of one camera of one recording.

    Args:
        table: rows of one model.
        places: those of this camera, in order.
        strip: (stamp in ns, JPEG).
        colours: number of the colour of each class name that has one.
        needed: fused probability from which a label is accepted; NaN where that differs from class to class.
        gap_s: frames further apart are not joined.
    """
    rows = table.at(places)
    if (np.diff(rows['stamp_ns']) < 0).any():
        rows = rows[np.argsort(rows['stamp_ns'], kind='stable')]
    start, stop = int(rows['stamp_ns'][0]), int(rows['stamp_ns'][-1])
    times = (rows['stamp_ns'] - start) / 1e9
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.1
    length = max((stop - start) / 1e9 + step, 1e-3)
    gap = max(gap_s, 1.5 * step)

    def x(seconds: float) -> float:
        return WIDTH * seconds / length

    shown = _evenly(strip, STRIP_PICTURES)
    wide = min(WIDTH / max(1, len(shown)), 147.0)
    tall = 0.75 * wide if shown else 0.0
    out = []
    for place, (stamp, jpeg) in enumerate(shown):
        data = base64.b64encode(jpeg).decode()
        out.append(f'<image x="{fmt(place * wide + 1)}" y="0" width="{fmt(wide - 2)}" height="{fmt(tall)}" '
                   f'preserveAspectRatio="xMidYMid slice" href="data:image/jpeg;base64,{data}"/>'
                   f'<line class="tickline" x1="{fmt(place * wide + wide / 2)}" y1="{fmt(tall)}" '
                   f'x2="{fmt(min(max(x((stamp - start) / 1e9), 0), WIDTH))}" y2="{fmt(tall + 10)}"/>')
    y = tall + 12
    has_labels = (rows['target'] != NO_LABEL).any()
    if has_labels:
        names = [table.label(int(target)) for target in rows['target']]
        out.append(_lane('labelled', y, segments(names, times, length, gap), x, colours))
        y += 26
    said = [table.class_names[called] if outcome == ACCEPTED else ('uncertain', 'unknown')[outcome - 1]
            for called, outcome in zip(rows['fused_predicted'].tolist(), rows['outcome'].tolist())]
    out.append(_lane('decided', y, segments(said, times, length, gap), x, colours))
    y += 32
    out.append(_posterior(rows, times, length, gap, needed, y, x))
    y += 92
    out.append(_axis(length, y, x))
    height = y + 18
    return (f'<div class="scroll"><svg viewBox="-70 0 {WIDTH + 90} {fmt(height)}" class="timeline" role="img" '
            f'aria-label="time line">{"".join(out)}</svg></div>')


def _lane(name: str, y: float, parts: Sequence[Tuple[float, float, object]], x: Scale, colours: Dict[str, int]) -> str:
    """Stretches of one value each; those too short to be seen are left out."""
    out = [f'<text class="lane" x="-8" y="{fmt(y + 14)}" text-anchor="end">{name}</text>']
    if len(parts) > _MOST_SEGMENTS:
        least = sorted((to - begin for begin, to, _ in parts), reverse=True)[_MOST_SEGMENTS]
        parts = [part for part in parts if part[1] - part[0] > least]
    for begin, to, value in parts:
        text = str(value)
        if not text:
            continue
        left, wide = x(begin), max(x(to) - x(begin), 0.6)
        style = text if text in ('uncertain', 'unknown') else f'c{colours.get(text, 0)}'
        out.append(f'<rect class="seg {style}" x="{fmt(left)}" width="{fmt(wide)}" y="{fmt(y)}" height="20">'
                   f'<title>{escape(text)}, {begin:.1f} to {to:.1f} s</title></rect>')
        if wide > 6.2 * len(text) + 6:
            out.append(f'<text class="segtext {style}" x="{fmt(left + wide / 2)}" y="{fmt(y + 14)}" '
                       f'text-anchor="middle">{escape(text)}</text>')
    return ''.join(out)


def _posterior(rows: np.ndarray, times: np.ndarray, length: float, gap: float, needed: float, y: float, x: Scale
               ) -> str:
    """Probability of the best class over time above a band in the colour of what became of it."""
    high = 70.0
    out = [f'<rect class="plot" x="0" width="{WIDTH}" y="{fmt(y)}" height="{high}"/>']
    for begin, to, style in segments(became(rows), times, length, gap)[:_MOST_SEGMENTS * 4]:
        out.append(f'<rect class="band {style}" x="{fmt(x(begin))}" '
                   f'width="{fmt(max(x(to) - x(begin), 0.4))}" y="{fmt(y + high + 3)}" height="8"/>')
    if needed == needed:
        threshold = y + high * (1 - needed)
        out.append(f'<line class="needed" x1="0" x2="{WIDTH}" y1="{fmt(threshold)}" y2="{fmt(threshold)}"/>')
    for stretch in _stretches(times, gap):
        points = _thinned(times[stretch], rows['fused_confidence'][stretch])
        places = [(x(t), y + high * (1 - p)) for t, p in points]
        if len(places) == 1:  # a line of one point would not be seen
            out.append(f'<circle class="dot s1" cx="{fmt(places[0][0])}" cy="{fmt(places[0][1])}" r="3.5"/>')
        else:
            out.append(f'<path class="line s1" d="{path(places)}"/>')
    out.append(f'<text class="lane" x="-8" y="{fmt(y + 10)}" text-anchor="end">1</text>'
               f'<text class="lane" x="-8" y="{fmt(y + high / 2 + 4)}" text-anchor="end">belief</text>'
               f'<text class="lane" x="-8" y="{fmt(y + high)}" text-anchor="end">0</text>'
               f'<text class="lane" x="-8" y="{fmt(y + high + 11)}" text-anchor="end">outcome</text>')
    return ''.join(out)


def became(rows: np.ndarray) -> List[str]:
    """What became of each frame, one of :data:`BANDS`."""
    acted = np.where(rows['target'] == NO_LABEL, 2, np.where(rows['fused_predicted'] == rows['target'], 0, 1))
    return [BANDS[place] for place in np.where(rows['outcome'] == ACCEPTED, acted, rows['outcome'] + 2).tolist()]


def _stretches(times: np.ndarray, gap: float) -> List[np.ndarray]:
    """Places without a gap between them."""
    cuts = np.flatnonzero(np.diff(times) > gap) + 1
    return [part for part in np.split(np.arange(len(times)), cuts) if len(part)]


def _thinned(times: np.ndarray, values: np.ndarray) -> List[Tuple[float, float]]:
    """At most some hundred points; of each bucket its smallest and its largest value, so that no dip is lost."""
    if len(times) <= _MOST_POINTS:
        return list(zip(times.tolist(), values.tolist()))
    points = []
    for part in np.array_split(np.arange(len(times)), _MOST_POINTS // 2):
        for place in sorted({part[int(values[part].argmin())], part[int(values[part].argmax())]}):
            points.append((float(times[place]), float(values[place])))
    return points


def _axis(length: float, y: float, x: Scale) -> str:
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
    step = next((s for s in steps if length / s <= 12), length / 8)
    marks = np.arange(0, length + 1e-9, step)
    return ''.join(f'<text class="tick" x="{fmt(x(t))}" y="{fmt(y + 12)}" text-anchor="middle">{t:g} s</text>'
                   for t in marks.tolist())


def _evenly(items: Sequence[Item], most: int) -> List[Item]:
    if len(items) <= most:
        return list(items)
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, most)]

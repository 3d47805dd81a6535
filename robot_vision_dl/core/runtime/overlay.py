"""A picture with the decision and its trust drawn in."""
from typing import Optional, Sequence, Tuple

import cv2
import numpy as np

from ..networks.evidence_picture import AGAINST, FOR
from ..regions.detections import Box
from ..types import ColorOrder, Outcome, Picture, Result, ShownEvidence
from .evidence_overlay import lay_over

# BGR; colours that stay apart for people with red-green blindness (Okabe and Ito 2008).
Colour = Tuple[int, int, int]
COLOUR_OF_OUTCOME = {
    Outcome.ACCEPTED: (115, 158, 0),
    Outcome.UNCERTAIN: (0, 159, 230),
    Outcome.UNKNOWN: (0, 94, 213),
}
TO_BGR = {
    ColorOrder.RGB: cv2.COLOR_RGB2BGR,
    ColorOrder.RGBA: cv2.COLOR_RGBA2BGR,
    ColorOrder.BGRA: cv2.COLOR_BGRA2BGR,
    ColorOrder.MONO: cv2.COLOR_GRAY2BGR,
}
WHITE = (255, 255, 255)
GREY = (110, 110, 110)
SMALLEST_WIDTH = 640
JPEG_QUALITY = 90
"""Of overlays that are sent or kept compressed."""


def to_bgr(picture: Picture) -> np.ndarray:
    """A writable copy, uint8, shape (H, W, 3), BGR."""
    if picture.order is ColorOrder.BGR:
        return np.array(picture.pixels)
    return cv2.cvtColor(np.ascontiguousarray(picture.pixels), TO_BGR[picture.order])


def canvas_of(picture: Picture) -> Tuple[np.ndarray, float]:
    """A copy to draw on, uint8 (H, W, 3), BGR, at least 640 pixels wide so that text fits; and its scale, 1 or more."""
    canvas = to_bgr(picture)
    scale = max(1.0, SMALLEST_WIDTH / canvas.shape[1])
    if scale > 1:
        canvas = cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    return canvas, scale


def draw(result: Result) -> np.ndarray:
    """Draw label, confidence and reason, the best classes of this frame alone, and corners around what was looked at.

    Returns:
        uint8, shape (H, W, 3), BGR; pictures narrower than 640 pixels are enlarged so that the text fits.
    """
    canvas, scale = canvas_of(result.frame.picture)
    width = canvas.shape[1]
    unit = width / 640
    decision = result.decision
    colour = COLOUR_OF_OUTCOME[decision.outcome]

    top, left, bottom, right = (round(side * scale) for side in result.region)
    evidence = result.evidence
    if evidence is not None:
        lay_over(canvas, evidence, Box.of_corners(*(side * scale for side in _left_first(result.region))))

    # A picture too flat for the panels gets a margin below.
    needed = int(150 * unit)
    if canvas.shape[0] < needed:
        canvas = cv2.copyMakeBorder(canvas, 0, needed - canvas.shape[0], 0, 0, cv2.BORDER_CONSTANT)

    banner = int(52 * unit)
    canvas[:banner] = (canvas[:banner] * 0.25).astype(np.uint8)
    probabilities = result.assessment.probabilities
    count = min(3, len(probabilities))
    row, panel = int(17 * unit), int(290 * unit)
    panel_top = canvas.shape[0] - row * count - int(8 * unit)
    canvas[panel_top:, :panel] = (canvas[panel_top:, :panel] * 0.35).astype(np.uint8)
    _corners(canvas, (top, left, bottom, right), colour, max(1, round(2 * unit)))  # on the panels, which hide none

    canvas[:banner, :int(8 * unit)] = colour
    left = int(18 * unit)
    write_text(canvas, f'{decision.label}  {decision.confidence:.2f}', (left, int(24 * unit)), 0.75 * unit, WHITE,
          width - left)
    write_text(canvas, decision.reason, (left, int(43 * unit)), 0.42 * unit, (210, 210, 210), width - left)
    # Trust band: the confidence as a bar along the lower edge of the banner.
    canvas[banner:banner + max(2, int(4 * unit))] = GREY
    canvas[banner:banner + max(2, int(4 * unit)), :int(width * decision.confidence)] = colour

    for line, index in enumerate(np.argsort(-probabilities)[:count]):
        base = panel_top + int(4 * unit) + row * line
        bar = int(80 * unit * probabilities[index])
        canvas[base + int(3 * unit):base + row - int(3 * unit), left:left + int(80 * unit)] = GREY
        canvas[base + int(3 * unit):base + row - int(3 * unit), left:left + bar] = WHITE
        write_text(canvas, f'{probabilities[index]:.2f} {result.class_names[index]}',
              (left + int(88 * unit), base + int(13 * unit)), 0.42 * unit, WHITE, panel - left - int(88 * unit))
    if evidence is not None:
        write_legend(canvas, _legend(evidence), panel, canvas.shape[0], unit)
    return canvas


def _left_first(region: Tuple[int, int, int, int]) -> Tuple[int, int, int, int]:
    top, left, bottom, right = region
    return left, top, right, bottom


Legend = Sequence[Tuple[Optional[Colour], str]]
"""Colours and what they mean, in order; without a colour: words alone."""


def _legend(evidence: ShownEvidence) -> Legend:
    if evidence.note:
        return [(None, evidence.note)]
    if evidence.over:
        # Of the belief over time, and so perhaps not among the bars beside it, which are of this frame alone.
        return [(None, 'best two over time'), (FOR, evidence.name), (AGAINST, evidence.over)]
    return [(None, 'evidence'), (FOR, f'for {evidence.name}'), (AGAINST, 'against it')]


def write_legend(canvas: np.ndarray, entries: Legend, left: int, bottom: int, unit: float) -> None:
    """Write what colours mean in one line, to the right, on a dark ground.

    Args:
        canvas: uint8 (H, W, 3), BGR.
        left: how far to the left it may reach, in pixels.
        bottom: where its ground ends.
        unit: pixels of the canvas in one of a picture 640 wide.
    """
    size, pad, square, row = 0.42 * unit, round(8 * unit), round(10 * unit), round(20 * unit)
    beside = pad * (len(entries) + 1) + round(1.4 * square) * sum(colour is not None for colour, _ in entries)
    lengths = [_width(text.encode('ascii', 'replace').decode(), size) + 1 for _, text in entries]
    too_much = max(0, sum(lengths) + beside - (canvas.shape[1] - left))
    lengths[lengths.index(max(lengths))] -= too_much  # the longest text is cut
    x = canvas.shape[1] - sum(lengths) - beside
    ground = canvas[bottom - row:bottom, max(x, 0):]
    ground[:] = (ground * 0.35).astype(np.uint8)
    x, base = max(x, 0) + pad, bottom - round(6 * unit)
    for (colour, text), length in zip(entries, lengths):
        if colour is not None:
            canvas[base - square + round(unit):base + round(unit), x:x + square] = colour
            x += round(1.4 * square)
        write_text(canvas, text, (x, base), size, WHITE, max(length, 1))
        x += length + pad


def _corners(canvas: np.ndarray, region: Tuple[int, int, int, int], colour: Colour, thickness: int) -> None:
    """Mark the four corners of (top, left, bottom, right)."""
    top, left, bottom, right = region
    arm = max(4, (bottom - top) // 12)
    for y, down in ((top, 1), (bottom - 1, -1)):
        for x, along in ((left, 1), (right - 1, -1)):
            cv2.line(canvas, (x, y), (x + along * arm, y), colour, thickness)
            cv2.line(canvas, (x, y), (x, y + down * arm), colour, thickness)


def write_text(canvas: np.ndarray, text: str, origin: Tuple[int, int], scale: float, colour: Colour, room: int) -> None:
    """Write one line, cut to ``room`` pixels; OpenCV's fonts know ASCII only."""
    text = text.encode('ascii', 'replace').decode()
    width = _width(text, scale)
    if width > room:
        text = text[:max(1, int(len(text) * room / width) - 3)] + '...'
    cv2.putText(canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness_of(scale), cv2.LINE_AA)


def thickness_of(scale: float) -> int:
    """Of the lines of a text of a scale, in pixels."""
    return 2 if scale >= 0.7 else 1


def _width(text: str, scale: float) -> int:
    """Of a line in pixels."""
    width: int = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness_of(scale))[0][0]
    return width

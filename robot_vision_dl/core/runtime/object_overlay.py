"""A picture with the boxes of its objects, and of each the track, the decision and how far it can be trusted."""
from math import ceil
from typing import Sequence, Tuple

import cv2
import numpy as np

from ..networks.evidence_picture import AGAINST, FOR
from ..regions.crop import BOX_REASONS
from ..regions.detections import Box
from ..regions.results import ObjectResult, ObjectResults
from ..types import Outcome, ShownEvidence
from .evidence_overlay import lay_over
from .overlay import COLOUR_OF_OUTCOME, GREY, WHITE, Legend, canvas_of, thickness_of, write_legend, write_text

_DARK = (40, 40, 40)


def draw_objects(result: ObjectResults) -> np.ndarray:
    """Draw each box in the colour of its outcome, with a tag: track, label, confidence as a number and as a bar.

    Boxes that nothing can be cut out for are not drawn; how many there are is said below.

    Returns:
        uint8, shape (H, W, 3), BGR; pictures narrower than 640 pixels are enlarged so that the text fits.
    """
    canvas, scale = canvas_of(result.frame.picture)
    unit = canvas.shape[1] / 640
    drawn = [one for one in result.objects if one.refusal not in BOX_REASONS]
    for one in drawn:
        if one.evidence is not None and one.seen is not None:
            seen = one.seen
            lay_over(canvas, one.evidence, Box(seen.x * scale, seen.y * scale, seen.width * scale, seen.height * scale,
                                               seen.theta), _outline(one, scale, canvas.shape))
    for one in drawn:
        _box(canvas, one, scale, max(1, round(2 * unit)))
    for one in drawn:  # tags over all boxes
        _tag(canvas, one, result.class_names, scale, unit)
    _footer(canvas, result, unit)
    shown = [one.evidence for one in drawn if one.evidence is not None]
    if shown:
        write_legend(canvas, _legend(shown), 0, canvas.shape[0] - round(22 * unit), unit)
    return canvas


def _legend(shown: Sequence[ShownEvidence]) -> Legend:
    notes = [evidence.note for evidence in shown if evidence.note]
    if notes:
        return [(None, notes[0])]
    against = 'for the other class' if all(one.over for one in shown) else 'against it'
    return [(None, 'evidence'), (FOR, 'for the label'), (AGAINST, against)]


def _box(canvas: np.ndarray, one: ObjectResult, scale: float, thickness: int) -> None:
    cv2.polylines(canvas, [_outline(one, scale, canvas.shape)], True, COLOUR_OF_OUTCOME[one.decision.outcome],
                  thickness, cv2.LINE_AA)


def _outline(one: ObjectResult, scale: float, shape: Tuple[int, ...]) -> np.ndarray:
    """Corners in pixels of the canvas, int32 (4, 2), none far outside of it."""
    box = one.detection.box
    c, s = np.cos(box.theta), np.sin(box.theta)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (box.width / 2, box.height / 2)
    corners = (corners @ np.array([[c, s], [-s, c]]) + (box.x, box.y)) * scale
    limit = 2 * max(shape[:2])
    found: np.ndarray = np.clip(np.rint(corners), -limit, limit).astype(np.int32)
    return found


def _tag(canvas: np.ndarray, one: ObjectResult, class_names: Tuple[str, ...], scale: float, unit: float) -> None:
    decision = one.decision
    name = f'{one.track} ' if one.track else ''
    over = f' over {one.evidence.over}' if one.evidence is not None and one.evidence.over else ''
    best = f' ({class_names[decision.class_index]}{over})' if decision.outcome is Outcome.UNCERTAIN and one.assessment \
        else over
    text = f'{name}{decision.label}{best} {decision.confidence:.2f}'
    height, width = canvas.shape[:2]
    size = 0.42 * unit
    (along, tall), below = cv2.getTextSize(text.encode('ascii', 'replace').decode(), cv2.FONT_HERSHEY_SIMPLEX, size,
                                           thickness_of(size))
    pad, bar = ceil(3 * unit), max(2, round(3 * unit))
    tag_width, tag_height = min(along + 2 * pad, width), tall + below + 2 * pad + bar
    outline = _outline(one, scale, canvas.shape)
    left = int(min(max(outline[:, 0].min(), 0), width - tag_width))
    top = int(outline[:, 1].min()) - tag_height
    if top < 0:  # within the box, where there is no room above it
        top = min(max(int(outline[:, 1].min()), 0), height - tag_height)
    top = max(top, 0)
    colour = COLOUR_OF_OUTCOME[decision.outcome]
    canvas[top:top + tag_height, left:left + tag_width] = _DARK
    write_text(canvas, text, (left + pad, top + pad + tall), size, WHITE, tag_width - pad)
    band = canvas[top + tag_height - bar:top + tag_height, left:left + tag_width]
    band[:] = GREY
    band[:, :round(tag_width * decision.confidence)] = colour


def _footer(canvas: np.ndarray, result: ObjectResults, unit: float) -> None:
    """How many objects there are by outcome, and what is wrong with the camera."""
    outcomes = [one.decision.outcome for one in result.objects]
    parts = [f'{outcomes.count(outcome)} {outcome.value}' for outcome in Outcome]
    refused = sum(one.refusal in BOX_REASONS for one in result.objects)
    text = f'{len(outcomes)} objects: ' + ', '.join(parts) + (f'; {refused} boxes cannot be used' if refused else '')
    if result.camera is not None and result.camera.fault is not None:
        text = f'camera {result.camera.reason}; {text}'
    row, left = round(22 * unit), round(10 * unit)
    canvas[-row:] = (canvas[-row:] * 0.25).astype(np.uint8)
    write_text(canvas, text, (left, canvas.shape[0] - round(7 * unit)), 0.45 * unit, WHITE, canvas.shape[1] - 2 * left)

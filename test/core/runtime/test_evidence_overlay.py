"""What is drawn of evidence: over exactly what the network saw, and nothing beside it but the legend."""
from dataclasses import replace

import cv2
import numpy as np
import pytest

from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor, visible_region
from robot_vision_dl.core.regions.crop import crop, seen_of
from robot_vision_dl.core.regions.detections import Box
from robot_vision_dl.core.runtime.evidence_overlay import lay_over
from robot_vision_dl.core.runtime.overlay import draw
from robot_vision_dl.core.types import (
    Assessment,
    ColorOrder,
    Decision,
    Frame,
    Header,
    Outcome,
    Picture,
    Result,
    ShownEvidence,
)

PRE = Preprocessing(256, (224, 224))
NAMES = ('glass', 'a class with a name that is longer than any overlay has room for, whatever its width may be')


def hot(row, column, side=7, value=1.0):
    values = np.zeros((side, side), np.float32)
    values[row, column] = value
    return ShownEvidence(values, NAMES[0])


@pytest.mark.parametrize('theta', [0.0, 0.4, -2.5])
def test_a_place_of_a_map_lies_where_the_network_saw_it(theta):
    """A dot in a crop is found by the network at some place; the map's hot cell there is drawn over the dot."""
    box, dot = Box(330, 250, 150, 120, theta), (350, 225)
    pixels = np.zeros((480, 640, 3), np.uint8)
    cv2.circle(pixels, dot, 4, (255, 255, 255), -1)
    picture = Picture(pixels, ColorOrder.BGR)
    cut = crop(picture, box, PRE)
    seen_by_network = Preprocessor(PRE, 'cpu').levels(cut.picture)[..., 0].astype(float)
    rows, columns = np.indices((224, 224))
    middle = [float((axis * seen_by_network).sum() / seen_by_network.sum()) + 0.5 for axis in (columns, rows)]
    side = 56
    cell = [int(place * side / 224) for place in middle]
    canvas = np.full_like(pixels, 128)
    lay_over(canvas, hot(cell[1], cell[0], side), seen_of(cut, PRE))
    rows, columns = np.nonzero((canvas != 128).any(2))
    size = max(cut.window.width, cut.window.height) / side
    assert np.hypot(columns.mean() - dot[0], rows.mean() - dot[1]) < size


def test_what_is_drawn_for_an_object_stays_within_its_box():
    canvas = np.full((480, 640, 3), 90, np.uint8)
    outline = np.array([[100, 100], [200, 100], [200, 180], [100, 180]], np.int32)
    lay_over(canvas, ShownEvidence(np.ones((7, 7), np.float32), 'glass'), Box(150, 140, 300, 300), outline)
    changed = (canvas != 90).any(2)
    assert changed[110:170, 110:190].all() and not changed[:95].any() and not changed[:, 206:].any()
    lay_over(canvas, ShownEvidence(np.ones((7, 7), np.float32), 'glass'), Box(-500, -500, 50, 50))  # beyond: nothing


def result(height, width, evidence, shade=200):
    pixels = np.full((height, width, 3), shade, np.uint8)
    region = visible_region(PRE, height, width)
    probabilities = np.array([0.8, 0.2], np.float32)
    return Result(Frame('camera', Header(1, ''), Picture(pixels, ColorOrder.BGR), 'bgr8'),
                  Assessment(np.log(probabilities), probabilities, 0.5), probabilities,
                  Decision(Outcome.ACCEPTED, 'glass', 0.8, 'glass .80, needs .70', 0), NAMES, region, evidence=evidence)


@pytest.mark.parametrize('height, width', [(480, 640), (90, 160), (1080, 1920), (40, 640)])
@pytest.mark.parametrize('shade', [0, 255])
def test_the_overlay_differs_in_what_the_network_saw_and_in_the_legend_alone(height, width, shade):
    values = np.zeros((7, 7), np.float32)
    values[2:5, 2:5] = 1
    plain = result(height, width, None, shade)
    shown = replace(plain, evidence=ShownEvidence(values, NAMES[0]))
    before, after = draw(plain), draw(shown)
    assert before.shape == after.shape
    changed = (before != after).any(2)
    scale = max(1, 640 / width)
    top, left, bottom, right = (round(side * scale) for side in plain.region)
    unit = before.shape[1] / 640
    inside = np.zeros_like(changed)
    inside[top:bottom, left:right] = True
    in_legend = np.zeros_like(changed)
    in_legend[-round(20 * unit):, round(290 * unit):] = True
    assert not (changed & ~inside & ~in_legend).any()
    assert (changed & in_legend).any()
    banner, panel = round(60 * unit), round(70 * unit)
    if bottom - panel > top + banner:  # else the panels cover what there is
        assert changed[banner:-panel][inside[banner:-panel]].mean() > 0.1


@pytest.mark.parametrize('evidence', [ShownEvidence(None, note='no evidence can be shown for it, ' + 40 * 'since '),
                                      ShownEvidence(np.ones((2, 2), np.float32), NAMES[1], NAMES[1]),
                                      ShownEvidence(np.zeros((2, 2), np.float32), NAMES[0]),
                                      ShownEvidence(np.full((2, 2), np.nan, np.float32), NAMES[0])])
def test_whatever_there_is_to_say_fits(evidence):
    for height, width in ((480, 640), (60, 80), (300, 2000)):
        plain = result(height, width, None)
        canvas, before = draw(replace(plain, evidence=evidence)), draw(plain)
        unit = canvas.shape[1] / 640
        changed = (canvas != before).any(2)
        assert changed[-round(20 * unit):, round(290 * unit):].any()
        assert not changed[-round(20 * unit):, :round(289 * unit)].any() or evidence.values is not None

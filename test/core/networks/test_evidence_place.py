"""How much of the evidence lies in boxes, worked out by hand."""
import numpy as np
import pytest

from robot_vision_dl.core.networks.evidence_place import place_of_evidence


def test_share_of_evidence_beside_the_share_of_the_area():
    values = np.zeros((4, 4), np.float32)
    values[0, 0], values[2, 2], values[3, 3] = 3, 1, -5  # what speaks against counts nowhere
    corner, middle = (0, 0, .25, .25), (.5, .5, .75, .75)
    found = place_of_evidence(values, [middle])
    assert found == (pytest.approx(.25), pytest.approx(1 / 16), False) and not found.is_outside
    assert place_of_evidence(values, [corner]) == (pytest.approx(.75), pytest.approx(1 / 16), True)
    # Boxes that overlap, and reach beyond the picture, count once and as far as they are in it.
    assert place_of_evidence(values, [corner, (-1, -1, .25, .25)])[:2] == pytest.approx((.75, 1 / 16))
    # Half a place: half of what is there.
    assert place_of_evidence(values, [(0, 0, .125, .25)])[:2] == pytest.approx((.375, 1 / 32))


def test_evidence_everywhere_is_no_worse_than_chance_and_that_elsewhere_is_outside():
    box = (.25, .25, .75, .75)
    even = place_of_evidence(np.ones((8, 8), np.float32), [box])
    assert even[:2] == pytest.approx((.25, .25)) and not even.is_outside
    elsewhere = np.full((8, 8), .1, np.float32)
    elsewhere[7, 0] = 2
    assert place_of_evidence(elsewhere, [box]).is_outside


def test_without_evidence_or_box_there_is_no_share():
    assert place_of_evidence(np.full((4, 4), -1, np.float32), [(0, 0, 1, 1)]) is None
    assert place_of_evidence(np.ones((4, 4), np.float32), [(1.2, 0, 1.5, 1)]) is None

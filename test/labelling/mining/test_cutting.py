"""Where streams are cut, frame by frame, and what is kept of an interval."""
import cv2
import numpy as np
import pytest
from labelled_samples import pattern

from robot_vision_dl.core.types import ColorOrder, Frame, Header, Picture
from robot_vision_dl.data.selection import hamming, perceptual_hash
from robot_vision_dl.labelling.mining.cutting import Cutter
from robot_vision_dl.labelling.mining.intervals import STRIP, Seen

S = 1_000_000_000
T0 = 1_700_000_000 * S
A, B, C = np.eye(16, dtype=np.float32)[:3]
ONE, OTHER = np.array([0.9, 0.1], np.float32), np.array([0.2, 0.8], np.float32)


def seen(at_s, feature=A, decision='cup', probabilities=ONE, ood_p=0.5, fault='', given='', picture=0):
    frame = Frame('/c', Header(T0 + round(at_s * S), ''), Picture(pattern(picture), ColorOrder.BGR), 'bgr8')
    return Seen(frame, feature, probabilities, decision, ood_p, fault, given)


def cut(frames, every_s=0.5, longest_s=20.0):
    cutter = Cutter('/c', every_s, longest_s, 0.1)
    found = [closed for frame in frames for closed in cutter.add(frame)]
    return [*found, *cutter.end()]


def spans(found):
    return [((one.start_ns - T0) / S, round((one.end_ns - T0) / S, 3), one.frames) for one, _ in found]


def stream(features, decisions=None, **options):
    decisions = decisions or ['cup'] * len(features)
    return cut([seen(0.5 * place, feature, decision) for place, (feature, decision) in
                enumerate(zip(features, decisions))], **options)


def test_a_change_of_what_is_seen_cuts_and_what_was_not_looked_at_is_of_neither():
    found = stream([A] * 4 + [B] * 4)
    assert spans(found) == [(0.0, 1.5, 4), (2.0, 4.0, 4)]
    assert found[0][0].end_ns == T0 + round(1.5 * S) + 1
    assert (found[0][0].feature == A).all() and (found[1][0].feature == B).all()


def test_a_single_frame_that_differs_stays_unless_it_is_the_last():
    assert spans(stream([A, A, A, B, A, A])) == [(0.0, 3.0, 6)]
    assert spans(stream([A, A, A, B])) == [(0.0, 1.0, 3), (1.5, 2.0, 1)]


def test_where_every_frame_is_of_something_else_each_is_an_interval():
    features = list(np.eye(16, dtype=np.float32)[:6])
    assert [frames for *_, frames in spans(stream(features))] == [1] * 6


def test_small_changes_of_a_moving_camera_do_not_cut_and_those_of_a_still_one_do():
    rng = np.random.default_rng(0)
    moving = A + rng.normal(0, 0.04, (20, 16)).astype(np.float32)
    moving /= np.linalg.norm(moving, axis=1, keepdims=True)
    assert len(stream(list(moving))) == 1
    turned = np.cos(0.42) * A + np.sin(0.42) * B  # 1 - cos: .087
    assert len(stream([A] * 12 + [turned] * 6)) == 2
    assert len(stream([*moving[:12], *[turned] * 6])) == 1


def test_a_decision_that_flickers_stays_in_one_interval_and_one_that_stays_cuts():
    found = stream([A] * 8, ['cup', 'mug', 'cup', 'mug', 'cup', 'mug', 'cup', 'cup'])
    assert spans(found) == [(0.0, 4.0, 8)]
    assert found[0][0].changes == 6 and found[0][0].runs == ('cup', 'mug', 'cup', 'mug', 'cup', 'mug')
    assert spans(stream([A] * 8, ['cup'] * 4 + ['mug'] * 4)) == [(0.0, 1.5, 4), (2.0, 4.0, 4)]
    assert spans(stream([A] * 8, ['cup'] * 3 + ['mug'] * 2 + ['cup'] * 3)) == [(0.0, 4.0, 8)]


def test_gaps_cut_and_a_slow_camera_has_none():
    found = cut([seen(at) for at in (0, 0.5, 1.0, 9.0, 9.5)])
    assert spans(found) == [(0.0, 1.5, 3), (9.0, 10.0, 2)]
    slow = cut([seen(5.0 * place) for place in range(8)], longest_s=1000)
    assert [frames for *_, frames in spans(slow)] == [1, 7]
    back = cut([seen(at) for at in (100, 100.5, 3, 3.5)])
    assert spans(back) == [(100.0, 101.0, 2), (3.0, 4.0, 2)]


def test_the_longest_length_cuts_without_a_hole():
    found = stream([A] * 30, longest_s=4.0)
    assert spans(found) == [(4.0 * n, 4.0 * n + 4, 8) for n in range(3)] + [(12.0, 15.0, 6)]


def test_labels_of_the_recording_and_faults_of_the_camera_cut_at_once():
    found = cut([seen(0, given='cup'), seen(0.5, given='cup'), seen(1, given='mug'), seen(1.5),
                 seen(2, fault='covered: x'), seen(2.5, fault='covered: y'), seen(3)])
    assert [(one.given, one.faults, one.fault, one.frames) for one, _ in found] == [
        ('cup', 0, '', 2), ('mug', 0, '', 1), ('', 0, '', 1), ('', 2, 'covered: x', 2), ('', 0, '', 1)]


def test_sums_of_an_interval_by_hand():
    found, strip = cut([seen(0, ood_p=0.05), seen(0.5, probabilities=OTHER, ood_p=0.3, decision='unknown'),
                        seen(1.0, decision='uncertain')])[0]
    assert found.top == ((0, round((0.9 + 0.2 + 0.9) / 3, 6)), (1, round((0.1 + 0.8 + 0.1) / 3, 6)))
    assert (found.unknown, found.uncertain, found.changes) == (1, 1, 2)
    assert found.surprise == pytest.approx(0.5 / 3, abs=1e-6)  # .05 is half of .1, the others are above it
    assert found.ood_p == pytest.approx((0.05 + 0.3 + 0.5) / 3, abs=1e-6)
    assert [(one.decision, round(one.confidence, 3)) for one in strip] == [('cup', 0.9), ('unknown', 0.8),
                                                                           ('uncertain', 0.9)]
    without, _ = cut([seen(0, ood_p=None), seen(0.5, ood_p=None)])[0]
    assert without.surprise == 0 and without.ood_p != without.ood_p


@pytest.mark.parametrize('frames', [1, 5, 8, 9, 16, 17, 40, 333])
def test_the_film_strip_is_spread_over_the_interval_and_bounded(frames):
    (found, strip), = stream([A] * frames, longest_s=1e4)
    assert len(strip) == min(frames, STRIP) or (frames > STRIP and STRIP - 3 <= len(strip) <= STRIP)
    places = [(one.stamp_ns - T0) / S / 0.5 for one in strip]
    assert places[0] == 0 and (frames == 1 or places[-1] >= 0.8 * (frames - 1))
    steps = np.diff(places)
    assert not len(steps) or steps.max() <= 2 * max(1, steps.min())
    picture = cv2.imdecode(np.frombuffer(strip[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (48, 64, 3)  # smaller ones are not enlarged
    assert hamming(np.uint64(found.hash), np.uint64(perceptual_hash(Picture(picture, ColorOrder.BGR)))) <= 4

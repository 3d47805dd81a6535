"""Which image detections belong to, whatever order they come in; everything that arrives is accounted for."""
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from robot_vision_dl.core.regions.detections import DetectionArray
from robot_vision_dl.core.regions.stamp_pairing import (
    ARRAY_REASONS,
    BACKWARDS,
    DUPLICATE,
    IMAGE_REASONS,
    IMAGE_REPLACED,
    LATE,
    NO_DETECTIONS,
    NO_IMAGE,
    NO_STAMP,
    REPLACED,
    STOPPED,
    Pairing,
    PairingConfig,
)
from robot_vision_dl.core.types import Header

MS = 1_000_000
START = 1_700_000_000_000 * MS


class Bench:
    """One camera, by milliseconds of its stamps; an image is called by its stamp, so that a wrong pair shows."""

    def __init__(self, **changes):
        self.pairing = Pairing(['cam'], PairingConfig(**changes))
        self.pairs = []

    def image(self, ms, now_s=0.0, size=1):
        self.pairing.add_image('cam', Header(START + round(ms * MS), ''), ms, size, now_s)
        return self.take()

    def array(self, ms, now_s=0.0):
        self.pairing.add_detections('cam', DetectionArray(Header(START + round(ms * MS), str(ms))), now_s)
        return self.take()

    def later(self, now_s):
        self.pairing.expire(now_s)
        return self.take()

    def take(self):
        found = [(pair.image, float(pair.detections.header.frame_id)) for pair in self.pairing.take(9, wait=False)]
        self.pairs += found
        self.check()
        return found

    def check(self):
        waiting = self.pairing.waiting('cam')
        for side, waits in zip((self.pairing.images('cam'), self.pairing.arrays('cam')), waiting):
            received, paired, dropped = side
            assert received == paired + sum(dropped.values()) + waits
        assert set(self.images) <= set(IMAGE_REASONS) and set(self.arrays) <= set(ARRAY_REASONS)

    @property
    def images(self):
        return self.pairing.images('cam')[2]

    @property
    def arrays(self):
        return self.pairing.arrays('cam')[2]


def test_detections_find_the_image_of_their_stamp_among_many():
    bench = Bench()
    for ms in (0, 33, 66, 100):
        assert bench.image(ms) == []
    assert bench.array(33) == [(33, 33)]
    assert bench.images == {NO_DETECTIONS: 1}  # the one before: nothing goes back in time
    assert bench.array(100) == [(100, 100)]
    assert bench.images == {NO_DETECTIONS: 2} and bench.arrays == {}


def test_detections_that_come_first_wait_for_their_image():
    bench = Bench()
    assert bench.array(33) == []
    assert bench.image(33) == [(33, 33)]


def test_without_their_stamp_the_nearest_within_the_tolerance_is_taken_once_it_is_clear():
    bench = Bench(tolerance_s=0.02)
    bench.image(0)
    bench.image(33)
    assert bench.array(40) == []  # an image of exactly 40 ms may still come
    assert bench.image(66) == [(33, 40)]
    bench.array(95)
    assert bench.image(100) == [] and bench.later(0.5) == []
    assert bench.later(1.0) == [(100, 95)]  # nothing more comes: the deadline settles it


def test_reordered_images_do_not_lead_to_a_wrong_pair():
    bench = Bench(tolerance_s=0.02)
    bench.image(33)
    assert bench.array(20) == []  # 13 ms from the one at 33, but its own is on the way
    assert bench.image(20) == [(20, 20)]


def test_beyond_the_tolerance_there_is_no_image():
    bench = Bench(tolerance_s=0.005)
    bench.image(0)
    bench.array(10)
    bench.image(33)
    assert bench.later(0.9) == [] and bench.arrays == {}
    assert bench.later(1.0) == []
    assert bench.arrays == {NO_IMAGE: 1} and bench.images == {NO_DETECTIONS: 2}


def test_no_tolerance_pairs_exact_stamps_only():
    bench = Bench(tolerance_s=0.0)
    bench.image(0)
    bench.image(33)
    assert bench.array(0.001) == [] and bench.array(33) == [(33, 33)]
    assert bench.arrays == {NO_IMAGE: 1}


def test_detections_do_not_wait_for_earlier_ones_whose_image_is_missing():
    bench = Bench()
    assert bench.array(0) == []
    bench.image(33)
    assert bench.array(33) == [(33, 33)]
    assert bench.arrays == {NO_IMAGE: 1}
    bench.image(0)
    assert bench.images == {BACKWARDS: 1}


def test_stamps_of_zero_duplicates_and_what_lies_before_the_last_pair():
    bench = Bench()
    bench.pairing.add_image('cam', Header(0, ''), 'x', 1, 0.0)
    bench.pairing.add_detections('cam', DetectionArray(Header(0, '')), 0.0)
    assert bench.images == {NO_STAMP: 1} and bench.arrays == {NO_STAMP: 1}
    bench.image(100)
    bench.image(100)
    assert bench.images[DUPLICATE] == 1
    assert bench.array(100) == [(100, 100)]
    assert bench.array(100) == [] and bench.image(100) == []
    assert bench.arrays[DUPLICATE] == 1 and bench.images[DUPLICATE] == 2
    bench.array(66)
    bench.image(66)
    assert bench.arrays[BACKWARDS] == 1 and bench.images[BACKWARDS] == 1


def test_images_are_bounded_in_bytes_and_the_oldest_make_room():
    bench = Bench(most_bytes=1000)
    for ms in (0, 33, 66):
        bench.image(ms, size=400)
    assert bench.images == {IMAGE_REPLACED: 1}
    assert bench.array(0) == [] and bench.arrays == {IMAGE_REPLACED: 1}
    assert bench.array(33) == [(33, 33)]
    bench.image(100, size=5000)  # alone too large: the newest is kept all the same
    assert bench.array(100) == [(100, 100)]


def test_detections_later_than_the_deadline_are_told_from_those_without_an_image():
    bench = Bench(deadline_s=0.5)
    bench.image(0, now_s=0.0)
    assert bench.later(0.5) == []
    assert bench.images == {NO_DETECTIONS: 1}
    bench.array(0, now_s=0.6)
    bench.array(5000, now_s=0.6)
    bench.later(1.2)
    assert bench.arrays == {LATE: 1, NO_IMAGE: 1}


def test_one_of_the_two_stopping_leaves_nothing_behind():
    bench = Bench()
    for number in range(100):
        bench.image(33 * number, now_s=0.033 * number)
        bench.later(0.033 * number)
    assert bench.pairing.waiting('cam')[0] <= 31
    bench.later(100.0)
    assert bench.pairing.waiting('cam') == (0, 0) and bench.images == {NO_DETECTIONS: 100}
    for number in range(1000):
        bench.array(10_000 + 33 * number, now_s=100)
    assert bench.pairing.waiting('cam')[1] <= 256
    bench.later(200.0)
    assert bench.pairing.waiting('cam') == (0, 0) and bench.arrays == {NO_IMAGE: 1000}


def test_a_pair_that_nobody_took_is_replaced_by_a_newer_one():
    pairing = Pairing(['cam'], PairingConfig())
    for ms in (0, 33):
        pairing.add_image('cam', Header(START + ms * MS, ''), ms, 1, 0.0)
        pairing.add_detections('cam', DetectionArray(Header(START + ms * MS, '')), 0.0)
    assert [pair.image for pair in pairing.take(1)] == [33]
    assert pairing.images('cam')[2] == {REPLACED: 1} and pairing.arrays('cam')[2] == {REPLACED: 1}


def test_a_recording_that_begins_anew_is_decided_again():
    bench = Bench()
    bench.image(60_000)
    bench.array(60_000)
    bench.image(60_033)
    assert bench.image(0) == [] and bench.array(0) == [(0, 0)]
    assert bench.images == {NO_DETECTIONS: 1}
    assert bench.image(33) == [] and bench.array(33) == [(33, 33)]


def test_a_detector_that_is_seconds_late_does_not_empty_the_buffer():
    bench = Bench()
    bench.image(60_000)
    assert bench.array(1000) == [] and bench.array(60_000) == [(60_000, 60_000)]


def test_cameras_do_not_mix_and_take_turns():
    pairing = Pairing(['a', 'b'], PairingConfig())
    pairing.add_image('a', Header(START, ''), 'image of a', 1, 0.0)
    pairing.add_detections('b', DetectionArray(Header(START, '')), 0.0)
    assert pairing.take(2, wait=False) == []
    pairing.add_image('b', Header(START, ''), 'image of b', 1, 0.0)
    assert [(pair.camera, pair.image) for pair in pairing.take(2)] == [('b', 'image of b')]
    served = []
    for ms in range(1, 5):
        for camera in ('a', 'b'):
            pairing.add_image(camera, Header(START + ms * MS, ''), camera, 1, 0.0)
            pairing.add_detections(camera, DetectionArray(Header(START + ms * MS, '')), 0.0)
        served += [pair.camera for pair in pairing.take(1)]
    assert served == ['a', 'b', 'a', 'b']


def test_closing_ends_a_wait_and_counts_what_is_left():
    pairing = Pairing(['cam'], PairingConfig())
    pairing.add_image('cam', Header(START, ''), 'x', 1, 0.0)
    found = []
    thread = threading.Thread(target=lambda: found.append(pairing.take(1)))
    thread.start()
    pairing.close()
    thread.join(10)
    assert found == [None] and pairing.take(1) is None
    assert pairing.images('cam') == (1, 0, {STOPPED: 1})


EVENTS = st.lists(st.tuples(st.sampled_from(['image', 'array', 'later']), st.integers(0, 40),
                            st.sampled_from([0.0, 0.01, 0.4])), max_size=60)


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.sampled_from([0.0, 0.004, 0.02, 0.5]), st.sampled_from([3, 1000]))
def test_any_order_is_accounted_for_never_goes_back_and_pairs_within_the_tolerance(events, tolerance_s, most_bytes):
    bench, now_s = Bench(tolerance_s=tolerance_s, most_bytes=most_bytes), 0.0
    for kind, number, wait_s in events:
        now_s += wait_s
        if kind == 'later':
            bench.later(now_s)
        else:
            getattr(bench, kind)(number * 10, now_s)
    bench.later(now_s + 5)
    assert bench.pairing.waiting('cam') == (0, 0)
    stamps = [image for image, _ in bench.pairs]
    assert stamps == sorted(set(stamps))
    assert all(abs(image - array) <= tolerance_s * 1000 for image, array in bench.pairs)
    arrays = [array for _, array in bench.pairs]
    assert len(arrays) == len(set(arrays))


@settings(max_examples=100, deadline=None)
@given(st.permutations(list(range(12))), st.permutations(list(range(12))))
def test_what_has_an_image_of_its_stamp_gets_no_other(images, arrays):
    """Images 10 ms apart and a tolerance of 4: whatever comes first, no array goes to a neighbour."""
    bench = Bench(tolerance_s=0.004)
    for image, array in zip(images, arrays):
        bench.image(image * 10)
        bench.array(array * 10)
    bench.later(5.0)
    assert bench.pairs and all(image == array for image, array in bench.pairs)

"""Objects of pictures: each decided, each followed, and nothing of one object told of another."""
import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from object_samples import HEIGHT, NAMES, WIDTH, array, detection, scene, square_bundle

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.config import CameraFaultConfig, ClassifierConfig, DetectionsConfig, FusionConfig
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.regions.crop import CROP_MARGIN, crop
from robot_vision_dl.core.runtime.object_pipeline import FrameWithObjects, ObjectPipeline, chunks
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import ColorOrder, Frame, Header, Outcome, Picture

MS = 1_000_000
START_NS = 1_700_000_000_000 * MS


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return square_bundle(tmp_path_factory.mktemp('models') / 'squares')


class Robot:
    """One camera, its pipeline, and a clock in milliseconds."""

    def __init__(self, folder, camera='camera', **changes):
        self.config = ClassifierConfig(model=str(folder), backend='torch', cameras=(camera,),
                                       detection_topics=('boxes',), **changes)
        self.pipeline = Pipeline.load(self.config)
        self.objects = ObjectPipeline(self.config)
        self.camera = camera

    def see(self, ms, objects, *detections, pixels=None):
        time_ns = START_NS + ms * MS
        pixels = scene(objects, seed=ms) if pixels is None else pixels
        frame = Frame(self.camera, Header(time_ns, 'c'), Picture(pixels, ColorOrder.BGR), 'bgr8')
        found, = self.objects.process(self.pipeline, [FrameWithObjects(frame, array(time_ns, *detections))])
        assert len(found.objects) == len(detections)
        assert [one.detection for one in found.objects] == list(detections)
        return found

    def labels(self, ms, objects, *detections):
        return [one.decision.label for one in self.see(ms, objects, *detections).objects]


def test_each_object_has_its_own_decision_in_the_detectors_order(folder):
    robot = Robot(folder)
    objects = [('red', 60, 60), ('green', 160, 100), ('blue', 250, 180), ('yellow', 90, 190)]
    boxes = [detection(x, y) for _, x, y in objects]
    for ms in (0, 100, 200):
        assert robot.labels(ms, objects, *boxes) == ['red', 'green', 'blue', 'unknown']
    assert robot.labels(300, objects, *boxes[::-1]) == ['unknown', 'blue', 'green', 'red']
    assert robot.see(400, objects).objects == ()


def test_a_crop_is_decided_as_the_same_pixels_in_a_picture_of_their_own(folder):
    robot = Robot(folder, fusion=FusionConfig(enabled=False))
    pixels = scene([('red', 60, 60)])
    one, = robot.see(0, [], detection(60, 60), pixels=pixels).objects
    cut = crop(Picture(pixels, ColorOrder.BGR), detection(60, 60).box, robot.pipeline.bundle.preprocessing)
    alone, = robot.pipeline.assess([Frame('x', Header(1, ''), cut.picture, '')])
    np.testing.assert_array_equal(one.assessment.logits, alone.logits)


def test_what_cannot_be_looked_at_says_why_and_leaves_the_others_alone(folder):
    robot = Robot(folder)
    nan = float('nan')
    given = [detection(60, 60), detection(nan, 5), detection(5, 5, side=-3), detection(900, 5),
             detection(200, 200, side=4), detection(-12, 100)]
    found = robot.see(0, [('red', 60, 60)], *given).objects
    assert [one.refusal for one in found] == ['', 'box_not_finite', 'box_without_area', 'box_outside', 'too_small',
                                              'mostly_outside']
    assert found[0].decision.label == 'red'
    for one in found[1:]:
        assert one.decision.outcome is Outcome.UNCERTAIN and one.assessment is None
        assert one.decision.confidence == pytest.approx(1 / 3)
    assert 'detections.least_side_px' in found[4].decision.reason and '80%' in found[5].decision.reason
    assert len({one.track for one in found}) == len(found)


def test_a_blurred_object_is_uncertain(folder):
    def look(pixels, **wish):
        robot = Robot(folder, camera_faults=CameraFaultConfig(enabled=False), detections=DetectionsConfig(**wish))
        return robot.see(0, [], detection(160, 120, side=150), pixels=pixels).objects[0]
    pixels = scene([('red', 160, 120, 150)])
    pixels[60:180, 150:170] = 255
    blurred = cv2.GaussianBlur(pixels, (0, 0), 25)
    assert look(pixels).refusal == ''
    one = look(blurred)
    assert one.refusal == 'blurred' and one.decision.label == 'uncertain' and 'sharpness' in one.decision.reason
    assert look(blurred, least_sharpness=0.0).refusal == ''


@pytest.mark.parametrize('ids', [('1', '2'), ('', '')])
def test_crossing_objects_keep_their_beliefs(folder, ids):
    """Two squares pass each other; each keeps its track and its label throughout."""
    robot = Robot(folder)
    tracks = set()
    for step in range(21):
        left, right = 40 + 12 * step, 280 - 12 * step
        objects = [('red', left, 90), ('blue', right, 150)]
        found = robot.see(100 * step, objects, detection(left, 90, ids[0]), detection(right, 150, ids[1])).objects
        assert [one.decision.label for one in found] == ['red', 'blue'], step
        tracks.add(tuple(one.track for one in found))
    assert len(tracks) == 1


def test_ids_that_two_objects_exchange_do_not_exchange_beliefs(folder):
    robot = Robot(folder)
    objects = [('red', 60, 60), ('blue', 250, 180)]
    for ms in range(0, 1000, 100):
        robot.see(ms, objects, detection(60, 60, '1'), detection(250, 180, '2'))
    red, blue = robot.see(1000, objects, detection(60, 60, '2'), detection(250, 180, '1')).objects
    assert (red.decision.label, blue.decision.label) == ('red', 'blue')
    # The belief is that of the whole track: it has not begun anew.
    assert red.age_s == pytest.approx(1.0) and blue.age_s == pytest.approx(1.0)


def test_an_object_that_is_replaced_elsewhere_leaves_no_belief_behind(folder):
    robot = Robot(folder)
    for ms in range(0, 1000, 100):
        robot.see(ms, [('red', 60, 60)], detection(60, 60, '7'))
    after, = robot.see(1100, [('blue', 250, 180)], detection(250, 180, '7')).objects
    fresh, = Robot(folder).see(1100, [('blue', 250, 180)], detection(250, 180, '7')).objects
    np.testing.assert_allclose(after.posterior, fresh.posterior)
    assert after.decision.label == 'blue' and '7' in after.note and after.age_s == 0


def test_an_object_that_is_replaced_in_place_is_noticed_within_two_frames(folder):
    robot = Robot(folder)
    for ms in range(0, 1000, 100):
        robot.see(ms, [('red', 100, 100)], detection(100, 100, '7'))
    labels = [robot.labels(ms, [('blue', 100, 100)], detection(100, 100, '7'))[0] for ms in (1100, 1200, 1300)]
    assert labels[1:] == ['blue', 'blue'] and labels[0] in ('blue', 'uncertain')


def test_an_id_that_comes_back_after_a_gap_is_another_object(folder):
    robot = Robot(folder)
    for ms in range(0, 1000, 100):
        robot.see(ms, [('red', 100, 100)], detection(100, 100, '7'))
    one, = robot.see(4000, [('red', 100, 100)], detection(100, 100, '7')).objects
    assert one.age_s == 0 and 'came back' in one.note


def test_beliefs_of_objects_that_are_gone_are_forgotten(folder):
    robot = Robot(folder)
    for step in range(60):
        robot.see(2000 * step, [('red', 100, 100)], detection(100, 100))
        robot.see(2000 * step + 1, [], detection(100, 100, side=5), detection(float('nan'), 1))
    assert len(robot.pipeline._beliefs._filters) <= 2 and len(robot.objects._since_ns) <= 2
    robot.objects.end(robot.pipeline)
    assert not robot.pipeline._beliefs._filters and not robot.objects._since_ns


def test_whatever_a_detector_sends_nothing_is_kept_of_what_nobody_follows(folder):
    """More objects than are followed, a turned and a huge one, in picture after picture."""
    robot = Robot(folder)
    many = [detection(20 + place % 28 * 10, 20 + place // 28 * 8, side=14) for place in range(600)]
    odd = [detection(160, 120, side=2e6), detection(160, 120, theta=2e6)]
    for ms in range(0, 500, 100):
        robot.see(ms, [], *many, *odd)
        kept = len(robot.objects._since_ns)
        assert kept <= 1010 and len(robot.pipeline._beliefs._filters) <= kept
    for ms in (3000, 6000):
        robot.see(ms, [])
    assert not robot.pipeline._beliefs._filters and not robot.objects._since_ns


def test_after_an_end_nothing_is_known_and_no_name_is_used_again(folder):
    robot = Robot(folder)
    for ms in range(0, 1000, 100):
        before, = robot.see(ms, [('red', 100, 100)], detection(100, 100)).objects
    robot.objects.end(robot.pipeline)
    after, = robot.see(1000, [('blue', 100, 100)], detection(100, 100)).objects
    fresh, = Robot(folder).see(1000, [('blue', 100, 100)], detection(100, 100)).objects
    np.testing.assert_allclose(after.posterior, fresh.posterior)
    assert after.track != before.track and after.age_s == 0


def test_a_prior_for_classes_that_another_model_does_not_have_is_dropped(folder, tmp_path):
    robot = Robot(folder)
    robot.objects.expect(robot.pipeline, 'camera', {'red': 0.9})
    other = replace(load_bundle(str(folder)), class_names=('cup', 'mug', 'bowl'))
    robot.pipeline = Pipeline.load(robot.config, other)
    for ms, x in ((0, 60), (100, 250), (200, 100)):
        robot.see(ms, [('red', x, 100)], detection(x, 100))


def test_more_objects_than_may_be_looked_at_take_turns_and_keep_what_is_known(folder):
    robot = Robot(folder, detections=DetectionsConfig(max_objects=4), max_batch=3)
    places = [(x, y) for y in (40, 110, 190) for x in (40, 120, 200, 280)]
    objects = [(NAMES[place % 3], x, y) for place, (x, y) in enumerate(places)]
    boxes = [detection(x, y, str(place)) for place, (x, y) in enumerate(places)]
    looked_at = []
    for ms in (0, 100, 200, 300):
        found = robot.see(ms, objects, *boxes)
        looked_at.append({place for place, one in enumerate(found.objects) if not one.refusal})
        assert found.batch_size == len(looked_at[-1]) == 4
    assert set.union(*looked_at[:3]) == set(range(12))
    for place, one in enumerate(found.objects):
        assert one.decision.label == objects[place][0]
        assert one.refusal in ('', 'not_its_turn')
        assert ('take turns' in one.decision.reason) == bool(one.refusal)


def test_what_was_never_looked_at_is_uncertain(folder):
    robot = Robot(folder, detections=DetectionsConfig(max_objects=1))
    first, second = robot.see(0, [('red', 60, 60), ('red', 200, 100)], detection(60, 60), detection(200, 100)).objects
    assert first.decision.label == 'red' and second.refusal == 'not_its_turn'
    assert second.decision.outcome is Outcome.UNCERTAIN and second.decision.confidence == pytest.approx(1 / 3)


def test_a_camera_at_fault_makes_all_objects_unknown_with_the_reason(folder):
    robot = Robot(folder)
    found = robot.see(0, [], detection(60, 60), detection(5, 5, side=2),
                      pixels=np.full((HEIGHT, WIDTH, 3), 2, np.uint8))
    assert found.camera.fault is not None
    for one in found.objects:
        assert one.decision.label == 'unknown' and one.decision.reason.startswith('camera covered')
    off = Robot(folder, camera_faults=CameraFaultConfig(enabled=False))
    assert off.see(0, [], detection(60, 60), pixels=np.full((HEIGHT, WIDTH, 3), 2, np.uint8)).camera is None


def test_a_picture_may_stay_as_long_as_in_the_recordings_of_the_calibration(folder, tmp_path):
    """As where whole pictures are decided, and as the node's diagnostics have it."""
    still, seen = scene([('red', 60, 60)]), {}
    general = shutil.copytree(folder, tmp_path / 'general')
    content = json.loads((general / 'bundle.json').read_text())
    content['camera']['repeats_s'] = 0.0
    (general / 'bundle.json').write_text(json.dumps(content))
    for bundle in (folder, general):
        robot = Robot(bundle)
        seen[bundle] = [robot.see(ms, [], detection(60, 60), pixels=still).objects[0].decision
                        for ms in range(0, 1500, 100)]
    assert {one.label for one in seen[folder]} == {'red'}
    assert [one.label for one in seen[general]] == ['red'] * 10 + ['unknown'] * 5
    assert seen[general][-1].reason.startswith('camera frozen')


def test_a_prior_of_a_camera_counts_for_the_objects_that_are_there_and_that_come(folder):
    robot = Robot(folder, fusion=FusionConfig(enabled=False))
    boxes = detection(60, 60, '1'), detection(200, 100, '2')
    objects = [('red', 60, 60), ('red', 200, 100)]
    plain = robot.see(0, objects, *boxes).objects[0].posterior[0]
    robot.see(100, objects, boxes[0])
    robot.objects.expect(robot.pipeline, 'camera', {'red': 1e-6})
    for one in robot.see(200, objects, *boxes).objects:
        assert one.posterior[0] < plain - 0.01
    with pytest.raises(ConfigError, match='purple'):
        robot.objects.expect(robot.pipeline, 'camera', {'purple': 0.5})


def test_several_cameras_share_the_passes_and_nothing_else(folder):
    config = ClassifierConfig(model=str(folder), backend='torch', cameras=('a', 'b'), image_topics=('ia', 'ib'),
                              detection_topics=('da', 'db'), max_batch=8)
    pipeline, objects = Pipeline.load(config), ObjectPipeline(config)
    for ms in (0, 100, 200):
        given = []
        for camera, colour in (('a', 'red'), ('b', 'blue')):
            time_ns = START_NS + ms * MS
            picture = Picture(scene([(colour, 100, 100)], seed=ms), ColorOrder.BGR)
            given.append(FrameWithObjects(Frame(camera, Header(time_ns, camera), picture, 'bgr8'),
                                          array(time_ns, detection(100, 100, '1'))))
        a, b = objects.process(pipeline, given)
        assert (a.objects[0].decision.label, b.objects[0].decision.label) == ('red', 'blue')
        assert a.batch_size == 2


@pytest.mark.parametrize('count, most, sizes', [(0, 8, []), (1, 8, [1]), (11, 8, [8, 2, 1]), (60, 32, [32, 16, 8, 4]),
                                                (7, 3, [3, 3, 1]), (5, 1, [1] * 5)])
def test_batches_are_whole_or_powers_of_two(count, most, sizes):
    found = list(chunks(count, most))
    assert [end - begin for begin, end in found] == sizes
    assert [begin for begin, _ in found] + [count] == [0] + [end for _, end in found] if found else count == 0


@pytest.mark.parametrize('provenance, margin, told', [
    ({CROP_MARGIN: '0.1'}, 0.1, None), ({CROP_MARGIN: '0.1'}, 0.25, 'detections.margin is 0.25; set it to 0.1'),
    ({}, 0.1, 'not trained on objects'), ({CROP_MARGIN: 'x'}, 0.1, 'not trained on objects')])
def test_a_model_for_other_pictures_is_told(folder, provenance, margin, told):
    config = ClassifierConfig(model=str(folder), backend='torch', detection_topics=('boxes',),
                              detections=DetectionsConfig(margin=margin))
    bundle = replace(load_bundle(str(folder)), provenance=provenance)
    warnings = Pipeline.load(config, bundle).warnings
    assert [warning for warning in warnings if told is not None and told in warning] == warnings[:told is not None]
    assert not [warning for warning in Pipeline.load(ClassifierConfig(model=str(folder)), bundle).warnings
                if 'margin' in warning or 'cut out' in warning]

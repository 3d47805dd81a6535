"""A dozen short bags are enough to begin with: what the defaults change then, and what they leave alone."""
from dataclasses import replace

import numpy as np
import pytest
from labelled_samples import T0_S, S, frames_of

from robot_vision_dl.core.uncertainty.attainable_rates import MIN_PICTURES
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.division import Part, SplitConfig
from robot_vision_dl.data.frame_sources import open_sources
from robot_vision_dl.data.frame_stream import FrameStream
from robot_vision_dl.data.labels.labels import LabelConfig
from robot_vision_dl.data.selection import SelectionConfig
from robot_vision_dl.data.split import folds, make_split

CLASSES = ('fist', 'one', 'palm', 'stop', 'thumb')
FOURTEEN = {f'{label}_{number}': [(label, 2.0)] for label in CLASSES for number in range(3)}
del FOURTEEN['thumb_2']


def still_bag(path, seconds, rate_hz=10.0, label='fist', moving_from=None):
    """A picture that never changes but for noise; from ``moving_from`` seconds on, other pictures."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (6, 8), np.uint8).repeat(8, 0).repeat(8, 1)[..., None].repeat(3, 2)
    with ImageBagWriter(path) as writer:
        for index in range(round(seconds * rate_hz)):
            picture = base
            if moving_from is not None and index >= moving_from * rate_hz:
                picture = rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            writer.write_raw('/camera', T0_S * S + round(index * S / rate_hz), np.ascontiguousarray(picture))
        (writer.folder / 'labels.yaml').write_text(f'times: from_start\nintervals:\n- {{start: 0, label: {label}}}\n')
    return path


def selected(bags, **settings):
    stream = FrameStream(open_sources(bags, LabelConfig()), SelectionConfig(**settings))
    frames = [sample.frame for sample in stream]
    return frames, stream.selection_report


def test_frames_of_a_still_scene_are_spread_over_it(tmp_path):
    bag = still_bag(tmp_path / 'still', 60)
    frames, report = selected([bag], least=50)
    assert len(frames) == report.kept == 50
    steps = np.diff([frame.index for frame in frames])
    assert steps.min() >= 11 and steps.max() <= 13  # 600 frames: every twelfth
    assert report.scarce == ('fist',) and report.alike == 49 and report.closer == 0
    assert '0 sooner after another than selection.every_s and 49 near-duplicates, since there would be fewer than 50' \
        in str(report)
    assert selected([bag], least=0)[1].kept == 1


def test_a_short_recording_is_taken_whole(tmp_path):
    frames, report = selected([still_bag(tmp_path / 'short', 2, moving_from=0)], least=50)
    assert len(frames) == 20 and report.too_soon == 0 and report.closer == 19 and report.alike == 0
    frames, report = selected([tmp_path / 'short'], least=0)
    assert len(frames) == 10 and report.scarce == () and 'selection.least' not in str(report)


def test_a_class_with_enough_is_thinned_as_before(tmp_path):
    bags = [still_bag(tmp_path / 'rich', 40, moving_from=0), still_bag(tmp_path / 'rare', 1, label='one')]
    frames, report = selected(bags, least=50)
    strict, _ = selected(bags, least=0)
    rich = [frame for frame in frames if frame.label == 'fist']
    assert rich == [frame for frame in strict if frame.label == 'fist'] and len(rich) == 200
    assert report.scarce == ('one',) and sum(frame.label == 'one' for frame in frames) == 10


def test_labels_by_topic_and_interval_expect_the_same(tmp_path):
    bag = still_bag(tmp_path / 'bag', 10)
    source, = open_sources([bag], LabelConfig())
    assert source.expected['fist'] == pytest.approx(100, rel=0.02)
    (bag / 'labels.yaml').write_text('times: stamp\nintervals:\n'
                                     f'- {{start: {T0_S}, end: {T0_S + 2.5}, label: a}}\n'
                                     f'- {{start: {T0_S + 5}, end: {T0_S + 99}, label: b, topic: /camera}}\n'
                                     f'- {{start: {T0_S - 9}, end: {T0_S - 5}, label: c}}\n'
                                     f'- {{start: {T0_S}, label: d, topic: /other}}\n')
    source, = open_sources([bag], LabelConfig())
    assert source.expected == pytest.approx({'a': 25, 'b': 50, 'd': 0}, rel=0.05)


def known(split, part):
    return sum(split.counts(part).values())


def test_fourteen_bags_of_two_seconds_can_be_trained_on():
    frames = frames_of(FOURTEEN, rate_hz=8.0)
    assert len(frames) == 224
    strict = make_split(frames, SplitConfig(adapt=False))
    assert known(strict, Part.CALIBRATION) < MIN_PICTURES
    split = make_split(frames, SplitConfig())
    assert split.method == 'recording+time'
    for part in (Part.TRAIN, Part.CALIBRATION, Part.TEST):
        assert set(split.counts(part)) == set(CLASSES), part
    assert known(split, Part.CALIBRATION) >= MIN_PICTURES and known(split, Part.TRAIN) >= 60
    tested = {frame.recording for frame, part in zip(frames, split.parts) if part is Part.TEST}
    assert not tested & {frame.recording for frame, part in zip(frames, split.parts) if part is not Part.TEST}
    said = next(text for text in split.warnings if 'instead of' in text)
    assert said.startswith('split.') and 'else calibration would have' in said and 'needs 20' in said


def test_what_is_enough_is_not_adapted():
    frames = frames_of({f'run{n}': [(label, 4.0) for label in CLASSES] for n in range(10)})
    split = make_split(frames, SplitConfig())
    assert split.parts == make_split(frames, SplitConfig(adapt=False)).parts and split.warnings == ()


def test_a_shorter_gap_is_taken_before_a_class_is_lost():
    frames = frames_of({label: [(label, 3.0)] for label in CLASSES})
    split = make_split(frames, SplitConfig(gap_s=0.8))
    assert any('split.gap_s is' in text and 'instead of 0.8' in text for text in split.warnings)
    assert set(split.counts(Part.CALIBRATION)) == set(split.counts(Part.TRAIN)) == set(CLASSES)


def test_calibration_has_recordings_of_its_own_where_there_are_enough():
    frames = frames_of({f'{label}_{number}': [(label, 4.0)] for label in CLASSES for number in range(5)})
    config = SplitConfig(0.5, 0.1, 0.2, 0.2)
    split = make_split(frames, replace(config, early_stop=0.1))
    assert split.method in ('recording', 'recording+time')
    by_part = {part: {frame.recording for frame, own in zip(frames, split.parts) if own is part} for part in Part}
    assert not by_part[Part.CALIBRATION] & (by_part[Part.TRAIN] | by_part[Part.EARLY_STOP] | by_part[Part.TEST])


def test_folds_of_scarce_data_are_adapted_too():
    for fold in folds(frames_of(FOURTEEN, rate_hz=8.0), 2, SplitConfig()):
        assert known(fold, Part.CALIBRATION) >= MIN_PICTURES

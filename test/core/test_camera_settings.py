"""Regions of interest and highest rates, as text and in effect."""
import numpy as np
import pytest
from node_harness import raw_image, small_bundle

from robot_vision_dl.core.camera_settings import RateLimit, rates_of, regions_of
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.errors import ConfigError, ImageError
from robot_vision_dl.core.images.cdr import decode_image
from robot_vision_dl.core.runtime.frame_reader import read_frame
from robot_vision_dl.core.runtime.overlay import draw
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import Region

SECOND = 1_000_000_000
CAMERAS = ('front', 'rear')


def test_one_value_is_for_every_camera_and_named_ones_for_theirs():
    assert regions_of('', CAMERAS) == {}
    assert regions_of('320x240+100+50', CAMERAS) == dict.fromkeys(CAMERAS, Region(100, 50, 240, 320))
    assert regions_of(' rear = 32x24 ', CAMERAS) == {'rear': Region(0, 0, 24, 32)}
    assert rates_of('front=10,rear=0.5', CAMERAS) == {'front': 10.0, 'rear': 0.5}


@pytest.mark.parametrize('setting, text, said', [
    ('regions_of_interest', '320', "expected WIDTHxHEIGHT.*'320'"),
    ('regions_of_interest', '0x10+0+0', 'expected WIDTHxHEIGHT'),
    ('regions_of_interest', '10x10-1+0', 'expected WIDTHxHEIGHT'),
    ('regions_of_interest', 'left=10x10+0+0', "'left' is not a camera; there are front, rear"),
    ('regions_of_interest', 'front=1x1, front=2x2', "'front' is given more than one"),
    ('max_rates_hz', 'front=0', 'a rate above 0 in Hz.*front=0'),
    ('max_rates_hz', 'front=fast', 'a rate above 0'),
    ('max_rates_hz', 'front=inf', 'a rate above 0'),
])
def test_what_cannot_be_is_refused(setting, text, said):
    with pytest.raises(ConfigError, match=f'{setting}: .*{said}'):
        ClassifierConfig(cameras=CAMERAS, image_topics=('a', 'b'), **{setting: text})


def test_rates_of_cameras():
    config = ClassifierConfig(cameras=CAMERAS, image_topics=('a', 'b'), max_rate_hz=20.0, max_rates_hz='rear=5')
    assert config.rates_hz == {'front': 20.0, 'rear': 5.0}


@pytest.mark.parametrize('rate_hz', [30.0, 10.0, 7.0, 0.9])
@pytest.mark.parametrize('jitter_ms', [0.0, 8.0])
def test_limited_rate_is_kept_where_frames_come_early_or_late(rate_hz, jitter_ms):
    random, limit = np.random.default_rng(0), RateLimit()
    stamps = [int(SECOND * (10 + index / 30) + random.uniform(-jitter_ms, jitter_ms) * 1e6)
              for index in range(3000)]
    passed = sum(limit.allows('camera', stamp, stamp, rate_hz) for stamp in stamps)
    # At its own rate a camera that jitters may lose a frame where two of its frames fall on one place of the grid.
    assert (0.93 if rate_hz == 30 else 0.99) * 100 * rate_hz <= passed <= 100 * rate_hz + 1


def test_cameras_are_limited_apart_and_a_recording_that_begins_anew_is_not_held_up():
    limit = RateLimit()
    assert limit.allows('a', 100 * SECOND, 100 * SECOND, 1) and limit.allows('b', 100 * SECOND, 100 * SECOND, 1)
    assert not limit.allows('a', 100 * SECOND + 1, 100 * SECOND + 1, 1)
    assert limit.allows('a', 5 * SECOND, 5 * SECOND, 1) and not limit.allows('a', 5 * SECOND + 1, 5 * SECOND + 1, 1)
    assert limit.allows('a', 5 * SECOND + 2, 5 * SECOND + 2, 0)


def test_a_stamp_that_stands_still_is_limited_by_arrivals():
    limit = RateLimit()
    passed = [limit.allows('camera', 7 * SECOND, 100 * SECOND + index * SECOND // 30, 10) for index in range(300)]
    assert 99 <= sum(passed) <= 101 and passed[0]


@pytest.mark.parametrize('text', ['1920x4', 'rear=4x1920+10+0'])
def test_a_strip_is_no_region(text):
    with pytest.raises(ConfigError, match=r"'(front|rear)' has a strip of .* differ by a factor of up to 64"):
        ClassifierConfig(cameras=CAMERAS, image_topics=('a', 'b'), regions_of_interest=text)


def test_only_the_region_is_looked_at_and_the_overlay_shows_the_whole(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    part = np.ascontiguousarray(pixels[30:110, 40:140])
    config = ClassifierConfig(model=str(small_bundle(tmp_path / 'model')), device='cpu')
    region = regions_of('100x80+40+30', ('camera',))['camera']

    def message(array):
        return decode_image(raw_image(SECOND, height=array.shape[0], width=array.shape[1], data=array.reshape(-1)))
    whole = read_frame('camera', message(pixels), SECOND, config.image, region)
    alone = read_frame('camera', message(part), SECOND, config.image)
    result, = Pipeline.load(config).process([whole])
    expected, = Pipeline.load(config).process([alone])
    np.testing.assert_array_equal(result.assessment.logits, expected.assessment.logits)
    assert result.region == tuple(np.add(expected.region, (30, 40, 30, 40)))
    assert draw(result).shape == (480, 640, 3)


def test_picture_that_is_smaller_than_the_region_is_refused():
    with pytest.raises(ImageError, match='100x80.40.30 reaches beyond the picture of 64x48') as found:
        read_frame('camera', decode_image(raw_image(SECOND)), SECOND, ClassifierConfig().image, Region(40, 30, 80, 100))
    assert found.value.reason == 'region'

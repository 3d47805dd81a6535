"""Augmentation: what each setting does, that all of it can be turned off, mixing of batches."""
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch
from labelled_samples import pattern
from torchvision.transforms import v2

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.data.augmentation.augment import TrainTransform
from robot_vision_dl.data.augmentation.batch_mixer import BatchMixer
from robot_vision_dl.data.augmentation.config import AugmentConfig
from robot_vision_dl.data.augmentation.random_view import RandomView

SPEC = Preprocessing(64, (48, 48))
OFF = AugmentConfig(crop_scale_min=1.0, crop_ratio_max=1.0, rotation_deg=0.0, shift=0.0, zoom=0.0, brightness=0.0,
                    contrast=0.0, saturation=0.0, blur=0.0, noise=0.0, erasing=0.0)
PICTURE = Picture(pattern(3, 64, 80)[..., ::-1].copy(), ColorOrder.RGB)


def test_all_off_is_the_whole_picture_resized():
    """Resize of the central square, by OpenCV's bilinear filter, to two grey levels of torchvision's."""
    made = TrainTransform(OFF, SPEC)(PICTURE)
    square = torch.from_numpy(PICTURE.pixels[:, 8:72].copy()).permute(2, 0, 1)
    resized = v2.functional.resize(square, [48, 48], antialias=False)
    expected = v2.functional.normalize(resized / 255, SPEC.mean, SPEC.std)
    assert (made - expected).abs().max() < 2.5 / 255 / min(SPEC.std)


def test_nothing_to_do_gives_what_evaluation_gives():
    """Where the picture is of the network's size already, not one bit differs but by rounding of float32."""
    spec = Preprocessing(0, (64, 80))
    made = TrainTransform(replace(OFF, crop_ratio_max=1.0), spec)(PICTURE)
    torch.testing.assert_close(made, Preprocessor(spec, 'cpu')([PICTURE])[0], atol=2e-6, rtol=0)


@pytest.mark.parametrize('name, value', [
    ('crop_scale_min', 0.3), ('horizontal_flip', 0.5), ('vertical_flip', 0.5),
    ('rotation_deg', 20.0), ('shift', 0.2), ('shear_deg', 15.0), ('zoom', 0.4), ('brightness', 0.4),
    ('contrast', 0.4), ('saturation', 0.4), ('hue', 0.2), ('grayscale', 0.5), ('blur', 0.5), ('noise', 0.5),
    ('augmix', True), ('erasing', 0.5)])
def test_each_setting_does_something(name, value):
    still, moving = TrainTransform(OFF, SPEC), TrainTransform(replace(OFF, **{name: value}), SPEC)
    torch.manual_seed(0)
    plain = still(PICTURE)
    made = [moving(PICTURE) for _ in range(12)]
    assert all(picture.shape == (3, 48, 48) and picture.dtype == torch.float32 for picture in made)
    assert any((picture - plain).abs().max() > 0.1 for picture in made)
    assert len({picture.numpy().tobytes() for picture in made}) > 1


def test_every_setting_is_tried_above():
    tried = {mark.args[1][i][0] for mark in test_each_setting_does_something.pytestmark if mark.name == 'parametrize'
             for i in range(len(mark.args[1]))}
    others = {'enabled', 'crop_ratio_max',
              'blur_sigma', 'noise_sigma', 'augmix_severity', 'erasing_max', 'mixup', 'cutmix'}
    assert {field.name for field in fields(AugmentConfig)} == tried | others


def test_flips_are_flips():
    spec = Preprocessing(0, (64, 80))
    plain = TrainTransform(OFF, spec)(PICTURE)
    for name, axis in (('horizontal_flip', 2), ('vertical_flip', 1)):
        flipped = TrainTransform(replace(OFF, **{name: 1.0}), spec)(PICTURE)
        assert torch.equal(flipped, plain.flip(axis))


def test_no_flips_unless_asked_for():
    assert (AugmentConfig().horizontal_flip, AugmentConfig().vertical_flip) == (0, 0)


def test_geometry_stays_within_its_limits():
    config = AugmentConfig(crop_scale_min=0.4, crop_ratio_max=1.5, rotation_deg=15.0, shift=0.0, zoom=0.0)
    view = RandomView(config, (48, 48), (0, 0, 0))
    torch.manual_seed(1)
    ratios = []
    for _ in range(300):
        linear = view.matrix(64, 80)[:, :2]
        across, down = np.linalg.norm(linear, axis=0) * 48
        assert 0.4 * 64 * 80 * 0.999 <= across * down <= 64 * 80 * 1.001
        ratios.append(across / down)
        assert abs(np.degrees(np.arctan2(linear[1, 0], linear[0, 0]))) <= 15.001
    assert 1 / 1.501 <= min(ratios) < 0.75 and 1.3 < max(ratios) <= 1.501
    corners = np.array(((-.5, -.5, 1), (47.5, -.5, 1), (-.5, 47.5, 1), (47.5, 47.5, 1)))
    still = RandomView(replace(config, rotation_deg=0.0), (48, 48), (0, 0, 0))
    for _ in range(300):
        x, y = still.matrix(64, 80) @ corners.T
        assert x.min() >= -0.501 and y.min() >= -0.501 and x.max() <= 79.501 and y.max() <= 63.501


def test_a_turn_by_ninety_degrees(monkeypatch):
    spec, square = Preprocessing(0, (48, 48)), pattern(5, 48, 48)
    view = RandomView(OFF, spec.crop, (0, 0, 0))
    view._config = replace(OFF, rotation_deg=90.0)
    torch.manual_seed(0)
    # The draw is replaced by the limit itself: exactly 90 degrees.
    monkeypatch.setattr('robot_vision_dl.data.augmentation.random_view.uniform', lambda limit: limit)
    turned = view(square)
    assert min(np.abs(turned.astype(int) - np.rot90(square, turns)).max() for turns in (1, 3)) <= 1


def test_grey_pictures_and_grey_networks():
    grey = Picture(cv2.cvtColor(PICTURE.pixels, cv2.COLOR_RGB2GRAY), ColorOrder.MONO)
    one = Preprocessing(64, (48, 48), (0.5,), (0.2,))
    for picture in (grey, PICTURE):
        assert TrainTransform(AugmentConfig(grayscale=0.5), one)(picture).shape == (1, 48, 48)
    made = TrainTransform(replace(OFF, noise=0.0), SPEC)(grey)
    back = made * torch.tensor(SPEC.std)[:, None, None] + torch.tensor(SPEC.mean)[:, None, None]
    assert (back - back[:1]).abs().max() < 1e-6


def test_small_pictures():
    spec = Preprocessing(32, (32, 32))
    assert TrainTransform(AugmentConfig(blur=1.0, blur_sigma=20.0), spec)(
        Picture(pattern(1, 32, 32), ColorOrder.RGB)).shape == (3, 32, 32)


@pytest.mark.parametrize('setting', ('mixup', 'cutmix'))
def test_mixing(setting):
    mixer = BatchMixer(replace(OFF, **{setting: 1.0}), 3)
    pictures = torch.arange(6.0)[:, None, None, None].expand(6, 3, 16, 16).contiguous()
    targets = torch.tensor([0, 1, 2, 0, 1, 2])
    for seed in range(20):
        mixed, soft = mixer(pictures, targets, torch.Generator().manual_seed(seed))
        again, _ = mixer(pictures, targets, torch.Generator().manual_seed(seed))
        assert torch.equal(mixed, again)
        torch.testing.assert_close(soft.sum(1), torch.ones(6))
        for own, picture, target, probabilities in zip(range(6), mixed, targets, soft):
            # The share of a picture is the share of its label; the other picture's is the rest.
            others = [value for value in picture.unique().tolist() if value != own]
            if setting == 'cutmix':
                assert len(others) <= 1
                kept = (picture == own).float().mean()
                if others and int(others[0]) % 3 != int(target):
                    assert probabilities[target] == pytest.approx(float(kept), abs=1e-6)
            else:
                assert len(picture.unique()) == 1 and 0 <= picture.max() <= 5


def test_both_mixings_take_turns_and_none_leaves_pictures_alone():
    pictures, targets = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 1, 0])
    same, soft = BatchMixer(OFF, 2)(pictures, targets, torch.Generator())
    assert torch.equal(same, pictures) and soft.tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]
    mixer = BatchMixer(replace(OFF, mixup=1.0, cutmix=1.0), 2)
    kinds = set()
    for seed in range(20):
        mixed, _ = mixer(pictures, targets, torch.Generator().manual_seed(seed))
        kinds.add(bool(torch.isin(mixed, pictures).all()))
    assert kinds == {True, False}
    with pytest.raises(ConfigError, match='at least two classes, got 1'):
        BatchMixer(OFF, 1)


def test_limits_of_settings():
    with pytest.raises(ConfigError, match=r'augment.horizontal_flip: must be at most 1, got 2.0'):
        AugmentConfig(horizontal_flip=2.0)


def test_outside_of_a_coloured_picture_is_the_mean_of_a_grey_network():
    """OpenCV takes channels that the fill lacks for 0: the corners would be dark."""
    view = RandomView(replace(OFF, rotation_deg=0.0, shift=0.5), (48, 48), [128])
    torch.manual_seed(0)
    for pixels in (np.full((48, 48, 3), 128, np.uint8), np.full((48, 48), 128, np.uint8)):
        for _ in range(20):
            assert np.unique(view(pixels)).tolist() == [128]

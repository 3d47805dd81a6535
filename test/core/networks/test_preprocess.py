"""Preprocessing against torchvision and PIL."""
import warnings

import cv2
import numpy as np
import pytest
import torch

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.preprocess import (
    HostPixels,
    Preprocessing,
    Preprocessor,
    as_tensor,
    resize,
    resized_size,
)
from robot_vision_dl.core.types import ColorOrder, Picture

SPEC = Preprocessing()
GREY = Preprocessing(resize=0, crop=(32, 32), mean=(0.1307,), std=(0.3081,))
SIZES = ((480, 640), (641, 479), (256, 256), (300, 224), (37, 51), (1, 5), (256, 700))
LEVEL = 1 / 255 / min(SPEC.std)
"""One of 255 levels, normalised."""


def levels(number: int) -> float:
    """How far off the reference may be; before 0.18 torchvision resizes in float32: a level more."""
    torchvision = pytest.importorskip('torchvision')
    old = tuple(int(part) for part in torchvision.__version__.split('.')[:2]) < (0, 18)
    return 1.01 * LEVEL * (number + old) + 2e-6


def smooth_rgb(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture with the spectrum of a photograph rather than of noise."""
    small = np.random.default_rng(seed).integers(0, 256, (max(2, height // 8), max(2, width // 8), 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def picture(rgb: np.ndarray, order: ColorOrder) -> Picture:
    """The picture of which ``rgb`` is the content."""
    alpha = np.full((*rgb.shape[:2], 1), 77, np.uint8)
    pixels = {
        ColorOrder.RGB: rgb, ColorOrder.BGR: rgb[..., ::-1].copy(), ColorOrder.MONO: rgb[..., 1].copy(),
        ColorOrder.RGBA: np.concatenate((rgb, alpha), 2), ColorOrder.BGRA: np.concatenate((rgb[..., ::-1], alpha), 2),
    }[order]
    return Picture(pixels, order)


def reference(rgb: np.ndarray, spec: Preprocessing) -> torch.Tensor:
    """Torchvision's v2 transforms on a uint8 tensor."""
    v2 = pytest.importorskip('torchvision.transforms.v2')
    steps = [v2.Resize(spec.resize or spec.crop, antialias=True), v2.CenterCrop(spec.crop)]
    if spec.channels == 1 and rgb.shape[2] == 3:
        steps.append(v2.Grayscale(1))
    steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(spec.mean, spec.std)]
    return v2.Compose(steps)(torch.from_numpy(rgb).permute(2, 0, 1))


@pytest.mark.parametrize('order', [order for order in ColorOrder if order is not ColorOrder.MONO])
@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('spec', [SPEC, GREY], ids=['rgb', 'grey'])
def test_is_torchvision(size, order, spec):
    rgb = smooth_rgb(*size)
    result = Preprocessor(spec, 'cpu')([picture(rgb, order)])
    torch.testing.assert_close(result[0], reference(rgb, spec), rtol=0, atol=levels(0))


@pytest.mark.parametrize('size', SIZES)
def test_mono_is_repeated_for_a_colour_network(size):
    rgb = smooth_rgb(*size)
    mono = rgb[..., 1:2].repeat(3, 2)
    result = Preprocessor(SPEC, 'cpu')([picture(rgb, ColorOrder.MONO)])
    # PyTorch resizes one channel by another kernel than three, which rounds otherwise.
    torch.testing.assert_close(result[0], reference(mono, SPEC), rtol=0, atol=levels(1))
    torch.testing.assert_close(Preprocessor(GREY, 'cpu')([picture(rgb, ColorOrder.MONO)])[0],
                               reference(rgb[..., 1:2].copy(), GREY), rtol=0, atol=levels(0))


@pytest.mark.parametrize('size', SIZES)
def test_is_the_classification_preset_within_one_level(size):
    presets = pytest.importorskip('torchvision.transforms._presets')
    rgb = smooth_rgb(*size)
    expected = presets.ImageClassification(crop_size=224)(torch.from_numpy(rgb).permute(2, 0, 1))
    result = Preprocessor(SPEC, 'cpu')([picture(rgb, ColorOrder.RGB)])
    torch.testing.assert_close(result[0], expected, rtol=0, atol=levels(1) if levels(0) < 1e-5 else levels(2))


@pytest.mark.parametrize('size', SIZES)
def test_is_pil_within_one_level(size):
    """PIL, with which networks are trained, rounds its weights otherwise."""
    image = pytest.importorskip('PIL.Image')
    rgb = smooth_rgb(*size)
    height, width = resized_size(SPEC, *size)
    resized = np.asarray(image.fromarray(rgb).resize((width, height), image.BILINEAR))
    top, left = round((height - 224) / 2), round((width - 224) / 2)
    crop = resized[top:top + 224, left:left + 224].astype(np.float64) / 255
    expected = torch.from_numpy((crop - SPEC.mean) / SPEC.std).permute(2, 0, 1).float()
    result = Preprocessor(SPEC, 'cpu')([picture(rgb, ColorOrder.RGB)])
    torch.testing.assert_close(result[0], expected, rtol=0, atol=1.01 * LEVEL)


def test_by_hand():
    """One colour, so that nothing but the arithmetic matters."""
    pixels = np.full((20, 30, 3), (10, 20, 30), np.uint8)
    spec = Preprocessing(resize=8, crop=(4, 6), mean=(0.5, 0.25, 0.125), std=(0.5, 1.0, 2.0))
    result = Preprocessor(spec, 'cpu')([Picture(pixels, ColorOrder.BGR)])
    assert result.shape == (1, 3, 4, 6)
    expected = [(30 / 255 - 0.5) / 0.5, (20 / 255 - 0.25) / 1.0, (10 / 255 - 0.125) / 2.0]
    for channel, value in enumerate(expected):
        assert result[0, channel].numpy() == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize('spec', [SPEC, GREY], ids=['rgb', 'grey'])
@pytest.mark.parametrize('count', [1, 2, 3])
def test_a_batch_is_its_pictures_one_by_one(count, spec):
    pictures = [picture(smooth_rgb(*size), order) for size, order in
                zip(((48, 64), (61, 43), (480, 640)), (ColorOrder.BGR, ColorOrder.MONO, ColorOrder.RGBA))][:count]
    preprocess = Preprocessor(spec, 'cpu')
    batch = preprocess(pictures)
    assert batch.shape == (count, spec.channels, *spec.crop)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    for single, one in zip(batch, pictures):
        assert torch.equal(single, preprocess([one])[0])


def test_any_strides_and_read_only_memory_without_a_warning():
    rgb = smooth_rgb(60, 80)
    expected = Preprocessor(SPEC, 'cpu')([Picture(rgb, ColorOrder.RGB)])
    padded = np.zeros((60, 83, 3), np.uint8)
    padded[:, :80] = rgb
    read_only = np.frombuffer(padded.tobytes(), np.uint8).reshape(padded.shape)[:, :80]
    backwards = rgb[:, ::-1, ::-1].copy()[:, ::-1, ::-1]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for pixels in (padded[:, :80], read_only, backwards, backwards.view()):
            assert not pixels.flags.c_contiguous
            assert torch.equal(Preprocessor(SPEC, 'cpu')([Picture(pixels, ColorOrder.RGB)]), expected)


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_a_part_of_a_picture_becomes_what_its_copy_becomes(channels, interpolation):
    rng = np.random.default_rng(channels)
    whole = rng.integers(0, 256, (90, 120, channels), dtype=np.uint8)
    for height, width in rng.integers(2, 80, (20, 2)):
        part = whole[5:5 + height, 7:7 + width]
        found = torch.from_numpy(resize(part, 48, 40, interpolation))
        # As torch has it where pixels lie channel by channel.
        image = torch.from_numpy(part).permute(2, 0, 1)[None].contiguous()
        wanted = torch.nn.functional.interpolate(image, (48, 40), mode=interpolation, align_corners=False,
                                                 antialias=True)
        torch.testing.assert_close(found.permute(2, 0, 1)[None], wanted, rtol=0, atol=0)
        assert found.is_contiguous()  # what comes after it would repack it otherwise


def test_pixels_are_shared_not_copied_and_never_written():
    pixels = np.frombuffer(bytes(smooth_rgb(300, 400)), np.uint8).reshape(300, 400, 3)
    one = Picture(pixels, ColorOrder.BGR)
    assert as_tensor(one).data_ptr() == pixels.ctypes.data
    before = pixels.copy()
    Preprocessor(SPEC, 'cpu')([one, Picture(pixels[:256, :256], ColorOrder.RGB)])
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_at_the_end(dtype):
    one = [picture(smooth_rgb(50, 60), ColorOrder.BGR)]
    result = Preprocessor(SPEC, 'cpu', dtype)(one)
    assert torch.equal(result, Preprocessor(SPEC, 'cpu')(one).to(dtype))
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_a_gpu_gets_what_the_cpu_gets():
    pictures = [picture(smooth_rgb(*size), order) for size in SIZES[:3] for order in ColorOrder]
    for spec in (SPEC, GREY):
        on_gpu = Preprocessor(spec, 'cuda')(pictures)
        assert on_gpu.is_cuda
        assert torch.equal(on_gpu.cpu(), Preprocessor(spec, 'cpu')(pictures))


def test_levels_of_the_host_are_what_is_normalised():
    """For a GPU, which normalises them itself; into memory that is there already, too."""
    pictures = [picture(smooth_rgb(*size), order) for size in SIZES[:3] for order in ColorOrder]
    for spec in (SPEC, GREY):
        levels = HostPixels(spec)(pictures)
        assert levels.dtype is torch.uint8 and levels.shape == (len(pictures), *spec.crop, spec.channels)
        mean, std = np.array(spec.mean), np.array(spec.std)
        expected = ((levels.numpy() / 255 - mean) / std).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(Preprocessor(spec, 'cpu')(pictures).numpy(), expected, atol=1e-6)
        into = torch.zeros_like(levels)
        assert HostPixels(spec)(pictures, into) is into and torch.equal(into, levels)


@pytest.mark.parametrize('values, message', [
    ({'mean': (0.5, 0.5)}, 'one or three values each'), ({'std': (0.1, 0.0, 0.1)}, 'std must be positive'),
    ({'resize': 100}, 'at least the crop'), ({'crop': (0, 224)}, 'both at least 1')])
def test_facts_about_weights_are_checked(values, message):
    with pytest.raises(ConfigError, match=message):
        Preprocessing(**values)


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('order', list(ColorOrder))
def test_levels_that_are_looked_up_are_those_that_are_computed(order, channels):
    """The CPU looks up, a GPU computes."""
    spec = Preprocessing(mean=(0.45, 0.4, 0.5)[:channels], std=(0.2, 0.3, 0.25)[:channels])
    depth = {ColorOrder.MONO: (), ColorOrder.BGRA: (4,), ColorOrder.RGBA: (4,)}.get(order, (3,))
    pixels = np.random.default_rng(0).integers(0, 256, (300, 401, *depth), np.uint8)
    pictures = [Picture(pixels, order), Picture(pixels[:280], order)]
    preprocessor = Preprocessor(spec, 'cpu')
    computed = preprocessor._computed(pictures, torch.device('cpu'))
    assert torch.equal(torch.from_numpy(preprocessor.arrays(pictures)), computed)

"""Pictures that a camera gives when something is wrong with it: an OOD score has to know them, too.

Scores that look at logits alone often take a black frame for a sure case of some class; which score a bundle uses is
chosen with such pictures among the OOD ones, and they cost no data.
"""
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from ...types import ColorOrder, Picture
from ..camera.bounds import CameraBounds
from ..camera.probe import SOUND
from ..camera.statistics import look

FAULTS = ('covered lens', 'overexposed', 'blank wall', 'noise')  # the groups


def sensor_fault_pictures(size: Tuple[int, int], channels: int = 3, count: int = 40, seed: int = 0
                        ) -> Dict[str, List[Picture]]:
    """Groups of pictures by what is wrong.

    Args:
        size: (height, width) in pixels.
        channels: 3: RGB, 1: grey.
        count: pictures a group.
    """
    rng = np.random.default_rng(seed)
    shape = (*size, channels)

    def sensor(light: np.ndarray) -> Picture:
        """Light 0..255 and above, with a sensor's noise."""
        noisy = light + rng.normal(0, rng.uniform(1, 5), shape)
        pixels = np.clip(np.broadcast_to(noisy, shape), 0, 255).round().astype(np.uint8)
        return Picture(pixels, ColorOrder.RGB) if channels == 3 else Picture(pixels[..., 0], ColorOrder.MONO)

    def slope() -> np.ndarray:
        """A soft gradient, -1..1."""
        y, x = np.mgrid[-1:1:size[0] * 1j, -1:1:size[1] * 1j]
        angle = rng.uniform(0, 2 * np.pi)
        light: np.ndarray = (np.cos(angle) * x + np.sin(angle) * y)[..., None] / 2 ** 0.5
        return light

    def colour() -> np.ndarray:
        return rng.uniform(30, 220) + rng.normal(0, 12, channels)
    return {
        'covered lens': [sensor(rng.uniform(0, 12) + rng.uniform(0, 8) * slope()) for _ in range(count)],
        'overexposed': [sensor(rng.uniform(245, 290) + rng.uniform(0, 20) * slope()) for _ in range(count)],
        'blank wall': [sensor(colour() + rng.uniform(0, 30) * slope()) for _ in range(count)],
        'noise': [sensor(rng.integers(0, 256, shape).astype(float)) for _ in range(count)],
    }


SPOILT = ('covered', 'overexposed', 'underexposed', 'no contrast', 'out of focus', 'noise', 'stuck rows', 'torn rows',
          'lost rows', 'one colour', 'exchanged channels', 'missing channel')
"""The groups of :func:`spoilt_pictures`."""


class Recording(NamedTuple):
    """How a picture comes from the sensor to us, which says nothing about a fault.

    Attributes:
        noise: standard deviation of the sensor's, in levels of 255; None: that which each fault usually has here.
        quality: of the JPEG file, 1..100; None: it is not compressed.
    """

    noise: Optional[float] = None
    quality: Optional[int] = None


AS_USUAL = Recording()


def drawn_recording(rng: np.random.Generator) -> Recording:
    """One of all kinds: without noise or with some, not compressed, or well or badly."""
    return Recording(float(rng.choice([0.0, rng.uniform(0, 1.5), rng.uniform(0, 5)])),
                     [None, int(rng.integers(70, 98)), int(rng.integers(15, 70))][rng.integers(0, 3)])


def spoilt_pictures(pictures: Sequence[Picture], seed: int = 0, varied: bool = False) -> Dict[str, List[Picture]]:
    """Each of some ordinary pictures as a camera at fault would have given it, at a strength that is drawn.

    Args:
        pictures: RGB, BGR or grey; of grey ones there is no group for colours.
        varied: :func:`drawn_recording` for each; else all as :class:`Recording` has it.

    Returns:
        Groups of :data:`SPOILT`, each with as many pictures in the same order.
    """
    rng = np.random.default_rng(seed)
    has_grey = any(picture.pixels.ndim == 2 for picture in pictures)
    return {name: [spoilt_picture(picture, name, rng, drawn_recording(rng) if varied else AS_USUAL)
                   for picture in pictures]
            for name in SPOILT if not (has_grey and 'channel' in name)}


def spoilt_picture(picture: Picture, fault: str, rng: np.random.Generator, recording: Recording = AS_USUAL
                   ) -> Picture:
    """One picture as a camera would have given it that has a fault of :data:`SPOILT`, or none (:data:`SOUND`).

    A grey one has no colours to lose.
    """
    pixels = picture.pixels
    if fault == SOUND:
        pixels = _levels(pixels.astype(np.float32), rng, recording.noise or 0.0)
    elif pixels.ndim == 3 or 'channel' not in fault:
        pixels = _MAKERS[fault](pixels, rng, recording.noise)
    if recording.quality is not None:
        bgr = pixels[..., ::-1] if picture.order is ColorOrder.RGB else pixels
        file = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, recording.quality])[1]
        read = np.asarray(cv2.imdecode(file, cv2.IMREAD_UNCHANGED))
        pixels = read[..., ::-1] if picture.order is ColorOrder.RGB else read
    return Picture(np.ascontiguousarray(pixels), picture.order)


def share_told(groups: Dict[str, List[Picture]], bounds: CameraBounds) -> Dict[str, float]:
    """Share of the pictures of each group that are told as faults of a camera."""
    return {name: float(np.mean([bounds.judge(look(picture)).fault is not None for picture in pictures]))
            for name, pictures in groups.items()}


_Maker = Callable[[np.ndarray, np.random.Generator, Optional[float]], np.ndarray]
_USUAL_NOISE = 1.5


def _levels(light: np.ndarray, rng: np.random.Generator, noise: Optional[float] = None) -> np.ndarray:
    """What a sensor with a little noise makes of light."""
    noise = _USUAL_NOISE if noise is None else noise
    return np.clip(light + rng.normal(0, noise, light.shape), 0, 255).round().astype(np.uint8)


def _noisy(pixels: np.ndarray, rng: np.random.Generator, noise: Optional[float]) -> np.ndarray:
    """A copy; a picture as it came has the noise of its sensor already, and gets more only where it is asked for."""
    return _levels(pixels.astype(np.float32), rng, noise) if noise else pixels.copy()


def _covered(pixels: np.ndarray, rng: np.random.Generator, noise: Optional[float]) -> np.ndarray:
    """What is left of the light behind a cap or a finger."""
    blurred = cv2.GaussianBlur(pixels, (0, 0), 0.2 * min(pixels.shape[:2]))
    return _levels(blurred * rng.uniform(0, 0.06) + rng.uniform(0, 8), rng,
                   rng.uniform(0.5, 4) if noise is None else noise)


def _low_contrast(pixels: np.ndarray, rng: np.random.Generator, noise: Optional[float]) -> np.ndarray:
    """Fog, or a steamed lens."""
    left = rng.uniform(0, 0.08)
    return _levels(pixels * left + (1 - left) * rng.uniform(60, 220), rng, noise)


def _out_of_focus(pixels: np.ndarray, rng: np.random.Generator, noise: Optional[float]) -> np.ndarray:
    """A disc, as a lens makes of a point, of 7 to 20 hundredths of the shorter side."""
    radius = max(1, round(rng.uniform(0.035, 0.1) * min(pixels.shape[:2])))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)).astype(np.float32)
    return _levels(cv2.filter2D(pixels.astype(np.float32), -1, disc / disc.sum()), rng, noise)


def _noise(pixels: np.ndarray, rng: np.random.Generator, _: Optional[float]) -> np.ndarray:
    return _levels(pixels.astype(np.float32), rng, rng.uniform(30, 90))


def _stuck_rows(pixels: np.ndarray, rng: np.random.Generator, noise: Optional[float]) -> np.ndarray:
    """One row again and again, in a band or to the end."""
    spoilt, height = _noisy(pixels, rng, noise), len(pixels)
    first = int(rng.uniform(0.1, 0.6) * height)
    last = height if rng.random() < 0.5 else first + int(rng.uniform(0.15, 0.4) * height)
    spoilt[first:last] = spoilt[first]
    return spoilt


def _torn_rows(pixels: np.ndarray, rng: np.random.Generator, noise: Optional[float]) -> np.ndarray:
    """Bands that were read out late."""
    spoilt, (height, width) = _noisy(pixels, rng, noise), pixels.shape[:2]
    for _ in range(int(rng.integers(3, 9))):
        first = int(rng.uniform(0, 0.9) * height)
        last = first + max(2, int(rng.uniform(0.03, 0.2) * height))
        spoilt[first:last] = np.roll(spoilt[first:last], int(rng.choice([-1, 1]) * rng.uniform(0.05, 0.4) * width), 1)
    return spoilt


def _lost_rows(pixels: np.ndarray, rng: np.random.Generator, noise: Optional[float]) -> np.ndarray:
    """What never arrived, from a row on."""
    spoilt = _noisy(pixels, rng, noise)
    spoilt[int(rng.uniform(0.1, 0.7) * len(pixels)):] = rng.choice([0, 128])
    return spoilt


def _one_colour(pixels: np.ndarray, rng: np.random.Generator, noise: Optional[float]) -> np.ndarray:
    plain: np.ndarray = np.full_like(pixels, 0) + rng.integers(0, 256, pixels.shape[2:], np.uint8)
    return plain


def _missing_channel(pixels: np.ndarray, rng: np.random.Generator, noise: Optional[float]) -> np.ndarray:
    spoilt = _noisy(pixels, rng, noise)
    spoilt[..., rng.integers(0, 3)] = rng.choice([0, 255])
    return spoilt


def _exchanged_channels(pixels: np.ndarray, rng: np.random.Generator, noise: Optional[float]) -> np.ndarray:
    return _noisy(pixels, rng, noise)[..., 2::-1]


_MAKERS: Dict[str, _Maker] = {
    'covered': _covered,
    'overexposed': lambda pixels, rng, noise: _levels(pixels * rng.uniform(4, 12) + 40, rng, noise),
    'underexposed': lambda pixels, rng, noise: _levels(pixels * rng.uniform(0.01, 0.08), rng,
                                                       0.7 if noise is None else noise),
    'no contrast': _low_contrast, 'out of focus': _out_of_focus, 'noise': _noise, 'stuck rows': _stuck_rows,
    'torn rows': _torn_rows, 'lost rows': _lost_rows, 'one colour': _one_colour,
    'exchanged channels': _exchanged_channels, 'missing channel': _missing_channel,
}

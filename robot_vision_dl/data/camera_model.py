"""Still pictures as a camera would see them: held by a hand, with sensor noise. Everything follows from a seed."""
from typing import Callable, Iterator, Tuple

import cv2
import numpy as np

# Shot and read noise of a small sensor in daylight, in grey levels of 255: variance = READ**2 + SHOT * level.
READ_NOISE = 1.2
SHOT_NOISE = 0.03
# A hand drifts slowly (0.3 to 1.5 Hz) rather than shakes from frame to frame.
_DRIFT_HZ = (0.3, 0.7, 1.5)


def sensor_noise(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``picture`` (uint8) with Poisson-like shot noise and Gaussian read noise, clipped to 0..255."""
    level = picture.astype(np.float32)
    sigma = np.sqrt(READ_NOISE**2 + SHOT_NOISE * level)
    noisy = level + sigma * rng.standard_normal(picture.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def handheld(picture: np.ndarray, size: Tuple[int, int], count: int, rate_hz: float, seed: int,
             motion: float = 1.0) -> Iterator[np.ndarray]:
    """``count`` frames of a camera that is held before ``picture``.

    The picture (BGR uint8) is shown whole; what the frame shows beside it is its own border, carried on and blurred.
    ``size`` is (width, height); ``motion`` scales the hand's drift: at 1, about 2 % of the width, 2 % of zoom and 1.5
    degrees.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    scale = min(width / picture.shape[1], height / picture.shape[0])
    picture = with_surroundings(picture, size, scale)
    waves = [drift(rng) for _ in range(4)]
    centre = (picture.shape[1] / 2, picture.shape[0] / 2)
    for index in range(count):
        x, y, zoom, turn = (motion * wave(index / rate_hz) for wave in waves)
        matrix = cv2.getRotationMatrix2D(centre, 1.5 * turn, scale * (1.02 + 0.02 * zoom))
        matrix[:, 2] += (width / 2 - centre[0] + 0.02 * width * x, height / 2 - centre[1] + 0.02 * width * y)
        frame = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE)
        yield sensor_noise(frame, rng)


def covered_lens(size: Tuple[int, int], count: int, rate_hz: float, seed: int) -> Iterator[np.ndarray]:
    """``count`` frames, ``size`` (width, height), of a lens under a hand: near black, noise, a faint red glow."""
    rng = np.random.default_rng(seed)
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y, strength = (drift(rng) for _ in range(3))
    for index in range(count):
        at = index / rate_hz
        distance = ((columns / width - 0.85 - 0.03 * x(at)) ** 2 + (rows / height - 0.9 - 0.03 * y(at)) ** 2)
        glow = (9 + 3 * strength(at)) * np.exp(-distance / 0.12)
        # Light through fingers is red; the sensor's dark level is some grey levels above zero.
        frame = 3 + glow[..., None] * np.array([0.15, 0.25, 1.0], np.float32)
        yield sensor_noise(np.rint(frame).astype(np.uint8), rng)


def with_surroundings(picture: np.ndarray, size: Tuple[int, int], scale: float) -> np.ndarray:
    """``picture`` in the middle of a canvas with the frame's aspect ratio and some margin for the motion."""
    sides = [max(0, round((frame / scale - own) / 2)) + round(0.1 * max(picture.shape[:2]))
             for frame, own in ((size[1], picture.shape[0]), (size[0], picture.shape[1]))]
    top, left = sides
    canvas = cv2.copyMakeBorder(picture, top, top, left, left, cv2.BORDER_REPLICATE)
    blurred = cv2.GaussianBlur(canvas, (0, 0), 0.05 * max(picture.shape[:2]))
    # Blend over some pixels within the picture, or its outline would show.
    inside = np.zeros(canvas.shape[:2], np.float32)
    edge = max(1, round(0.03 * min(picture.shape[:2])))
    inside[top + edge:-top - edge, left + edge:-left - edge] = 1
    inside = cv2.GaussianBlur(inside, (0, 0), edge / 2)[..., None]
    return np.rint(inside * canvas + (1 - inside) * blurred).astype(np.uint8)


def drift(rng: np.random.Generator) -> Callable[[float], float]:
    """A smooth function of seconds with values within about -1..1."""
    parts = [(rng.uniform(0.5, 1.0), frequency * rng.uniform(0.8, 1.2), rng.uniform(0, 2 * np.pi))
             for frequency in _DRIFT_HZ]
    total = sum(amplitude for amplitude, _, _ in parts)
    return lambda at: float(sum(a * np.sin(2 * np.pi * f * at + phase) for a, f, phase in parts) / total)

"""Random changes of what a camera sees other than by where it stands: light, colour, sharpness, noise.

OpenCV on uint8 pictures (H, W) or (H, W, 3) RGB: on a CPU, where pictures are changed beside the network that learns
from them, each takes a tenth of the time of torchvision's.
"""
from math import exp, log, sqrt
from typing import Tuple

import cv2
import numpy as np

from ..seeded_random import normal, share, uniform

_GREY = np.array((0.2989, 0.587, 0.114))  # ITU-R BT.601, as torchvision has it


def jitter_matrix(pixels: np.ndarray, brightness: float, contrast: float, saturation: float) -> np.ndarray:
    """torchvision's ``adjust_brightness``, ``adjust_contrast`` and ``adjust_saturation`` together, as a matrix.

    All three are affine, and give the same in any order, but that torchvision rounds and cuts off after each.

    Args:
        pixels: whose mean grey contrast is about.
        brightness, contrast, saturation: factors, 1 changes nothing.

    Returns:
        float64, shape (C, C + 1): what the channels and 1 are multiplied by.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    weights = _GREY if channels == 3 else np.ones(1)
    mean = float(weights @ cv2.mean(pixels)[:channels])
    mixed = saturation * np.eye(channels) + (1 - saturation) * np.broadcast_to(weights, (channels, channels))
    offset = np.full((channels, 1), brightness * (1 - contrast) * mean)
    return np.hstack((brightness * contrast * mixed, offset))


def jitter(pixels: np.ndarray, limits: Tuple[float, float, float], is_grey: bool = False) -> np.ndarray:
    """Change brightness, contrast and saturation by random factors, each within 1-limit..1+limit."""
    brightness, contrast, saturation = (1 + uniform(limit) for limit in limits)
    return cv2.transform(pixels, jitter_matrix(pixels, brightness, contrast, 0.0 if is_grey else saturation))


def blur(pixels: np.ndarray, kernel: int, sigma: float) -> np.ndarray:
    """Gaussian blur of a random width of 0.1..``sigma`` pixels."""
    return cv2.GaussianBlur(pixels, (kernel, kernel), 0.1 + (sigma - 0.1) * share(), borderType=cv2.BORDER_REFLECT_101)


def noise(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Add Gaussian noise of a random strength of up to ``sigma``, where white is 1."""
    strength = 255 * sigma * share()
    return cv2.add(pixels, normal(pixels.shape).numpy() * np.float32(strength), dtype=cv2.CV_8U)


def erase(pixels: np.ndarray, smallest: float, largest: float, colour: float) -> np.ndarray:
    """Cover a random rectangle of ``smallest``..``largest`` of the picture (Zhong et al. 2020), in place.

    As torchvision's RandomErasing: sides in ratios of 0.3..3.3, ten tries to find one that fits, or none.
    """
    height, width = pixels.shape[:2]
    for _ in range(10):
        area = height * width * (smallest + (largest - smallest) * share())
        ratio = exp(log(0.3) + (log(3.3) - log(0.3)) * share())
        high, wide = round(sqrt(area * ratio)), round(sqrt(area / ratio))
        if high < height and wide < width:
            top, left = int((height - high + 1) * share()), int((width - wide + 1) * share())
            pixels[top:top + high, left:left + wide] = colour
            break
    return pixels


def normalise_table(mean: Tuple[float, ...], std: Tuple[float, ...]) -> np.ndarray:
    """(value / 255 - mean) / std of each of the 256 values; float32, shape (1, 256, channels), for ``cv2.LUT``."""
    values = (np.arange(256)[:, None] / 255 - np.array(mean)) / np.array(std)
    return values.astype(np.float32)[None]

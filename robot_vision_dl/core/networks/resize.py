"""Antialiased resize of uint8 pixels, bit for bit PyTorch's, with or without PyTorch.

PyTorch's own kernel (Pillow's algorithm with weights of 16 bits, rows first) is taken where torch is loaded. Without it
the crate fast_image_resize does the same arithmetic, by the package ``cykooz.resizer``, which its author keeps: in two
passes, since it would begin with columns. Equal to the last bit down to a 128th of a side; that it is so here, with the
versions that are here, is tried once a machine by :func:`is_equal`, and what is smaller is refused to it.
"""
import importlib.util
import threading
from typing import Any

import numpy as np

from ..errors import ConfigError
from . import torch_use

MOST_RATIO = 128
"""By how much a side may shrink at most without torch: from there on a level may differ by one."""
_MOST_BYTES = 2_000_000
_TRIED = ((480, 640, 256, 341), (720, 1280, 256, 455), (1080, 1920, 256, 455), (479, 641, 224, 224),
          (160, 120, 299, 224), (37, 51, 64, 64), (600, 5, 300, 300))


def resize(pixels: np.ndarray, height: int, width: int, interpolation: str = 'bilinear') -> np.ndarray:
    """Antialiased, on the host; uint8 (H, W, channels) -> uint8 (height, width, channels).

    Raises:
        ConfigError: neither torch nor what takes its place is there.
    """
    large = max(pixels.shape[0] / height, pixels.shape[1] / width)
    if torch_use.is_loaded() or large > MOST_RATIO or not is_available():
        return _by_torch(pixels, height, width, interpolation)
    return _without_torch(pixels, height, width, interpolation)


def is_available() -> bool:
    """Whether there is something that does it without torch."""
    return importlib.util.find_spec('cykooz_resizer') is not None


def is_equal() -> bool:
    """Whether that gives what torch gives, on some pictures of noise; imports torch."""
    random = np.random.default_rng(0)
    for place, (height, width, new_height, new_width) in enumerate(_TRIED):
        for channels in (1, 3, 4):
            pixels = random.integers(0, 256, (height, width, channels), np.uint8)
            for interpolation in ('bilinear', 'bicubic')[:1 + place % 2]:
                one, other = (way(pixels, new_height, new_width, interpolation) for way in (_by_torch, _without_torch))
                if not np.array_equal(one, other):
                    return False
    return True


def _by_torch(pixels: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    import torch
    # A part of a picture would be repacked channel by channel, and the result would lie so, too: for what is cut out
    # around an object that takes three times as long as a copy of its rows.
    image = torch_use.tensor_of(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
    # A batch of one whose first stride is not the picture's size is not recognised as channels_last, and is then
    # repacked (PyTorch issue 68430).
    image = image.as_strided(image.shape, (image.numel(), *image.stride()[1:]))
    image = torch.nn.functional.interpolate(image, (height, width), mode=interpolation, align_corners=False,
                                            antialias=True)
    found: np.ndarray = image[0].permute(1, 2, 0).numpy()
    return found


class _Own(threading.local):
    """Of a thread: what resizes."""

    resizer: Any = None


_own = _Own()


def _without_torch(pixels: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    try:
        import cykooz_resizer as crate
    except ImportError as error:
        raise ConfigError(f'resizing needs torch, or cykooz.resizer in its place ({error}); install it with `pip '
                          'install "robot_vision_dl[onnx]"`') from error
    if _own.resizer is None:
        _own.resizer = crate.Resizer()
    rows, columns, channels = pixels.shape
    kind = {1: crate.PixelType.U8, 3: crate.PixelType.U8x3, 4: crate.PixelType.U8x4}[channels]
    filters = {'bilinear': crate.FilterType.bilinear, 'bicubic': crate.FilterType.catmull_rom}
    # Alpha is a channel like the others.
    options = crate.ResizeOptions(resize_alg=crate.ResizeAlg.convolution(filters[interpolation]), use_alpha=False)

    def scaled(some: np.ndarray, new_rows: int, new_columns: int) -> np.ndarray:
        if some.shape[:2] == (new_rows, new_columns):
            return some
        given = crate.ImageData(some.shape[1], some.shape[0], kind, some.tobytes())
        made = crate.ImageData(new_columns, new_rows, kind)
        _own.resizer.resize(given, made, options)
        return np.frombuffer(made.get_buffer(), np.uint8).reshape(new_rows, new_columns, channels)

    # The package takes copies; of a part of a large picture they stay in the caches.
    step = max(1, _MOST_BYTES // (columns * channels))
    narrow = [scaled(pixels[first:first + step], min(step, rows - first), width) for first in range(0, rows, step)]
    return scaled(narrow[0] if len(narrow) == 1 else np.concatenate(narrow), height, width)

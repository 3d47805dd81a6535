"""Antialiased resize of uint8 pixels, bit for bit PyTorch's, with or without PyTorch.

PyTorch's own kernel (Pillow's algorithm with weights of 16 bits, rows first) is taken where torch is loaded. Without it
the crate fast_image_resize does the same arithmetic, by the package ``cykooz.resizer``, which its author keeps: in two
passes, since it would begin with columns. Equal to the last bit down to a 128th of a side; that it is so here, with the
versions that are here, is tried once a machine by :func:`is_equal`, and what is smaller is refused to it.

Where a part of the result is wanted, only that is made, if it is the same to the last bit. That depends on the sizes:
weights are rounded to as many bits as the largest of them leaves, and the largest are at the border, which a part may
not have. So it is tried for each length of rows and of columns that comes again and again, on so much noise that one
weight which is rounded otherwise goes unnoticed once in millions of times.
"""
import importlib.util
import threading
from collections import Counter
from functools import lru_cache
from math import ceil, floor
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from ..errors import ConfigError
from . import torch_use

MOST_RATIO = 128
"""By how much a side may shrink at most without torch: from there on a level may differ by one."""
_MOST_BYTES = 2_000_000
_TRIED_AFTER, _MOST_SIZES = 3, 1000  # times that a size has come, sizes that are counted
_LEAST_PIXELS, _MOST_PIXELS = 150_000, 2_500_000  # of pictures of which a part is made alone
_SAMPLES = 4500  # of each pixel of a line that are tried
_REACH = {'bilinear': 1, 'bicubic': 2}  # of the filter, in pixels of the smaller picture
_TRIED = ((480, 640, 256, 341), (720, 1280, 256, 455), (1080, 1920, 256, 455), (479, 641, 224, 224),
          (160, 120, 299, 224), (37, 51, 64, 64), (600, 5, 300, 300))


class Part(NamedTuple):
    """Of a resized picture, in its pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """A view of it."""
        return pixels[self.top:self.top + self.height, self.left:self.left + self.width]


def resize(pixels: np.ndarray, height: int, width: int, interpolation: str = 'bilinear', part: Optional[Part] = None
           ) -> np.ndarray:
    """Antialiased, on the host; uint8 (H, W, channels) -> uint8 (height, width, channels).

    Args:
        part: of the result that is wanted, which then is (part.height, part.width, channels); None: all of it.

    Raises:
        ConfigError: neither torch nor what takes its place is there.
    """
    if part == (0, 0, height, width):
        part = None
    large = max(pixels.shape[0] / height, pixels.shape[1] / width)
    if torch_use.is_loaded() or large > MOST_RATIO or not is_available():
        found = _by_torch(pixels, height, width, interpolation)
    elif part is not None and _comes_again((pixels.shape, height, width, interpolation, part)):
        return _without_torch(pixels, height, width, interpolation, part)
    else:
        found = _without_torch(pixels, height, width, interpolation)
    return found if part is None else part.of(found)


_Size = Tuple[Tuple[int, ...], int, int, str, Part]


def _comes_again(size: _Size) -> bool:
    """Whether a part is made alone: pictures of this size come again and again, and it is the same."""
    (rows, columns, channels), height, width, interpolation, part = size
    if not _LEAST_PIXELS <= rows * columns <= _MOST_PIXELS:  # little is won, or a trial stops the camera for long
        return False
    if len(_seen) > _MOST_SIZES:
        _seen.clear()
    _seen[size] += 1
    return _seen[size] > _TRIED_AFTER and _is_same(
        rows, height, part.top, part.height, interpolation, channels, True) and _is_same(
        columns, width, part.left, part.width, interpolation, channels, False)


@lru_cache(maxsize=4096)
def _is_same(length: int, new_length: int, first: int, count: int, interpolation: str, channels: int, down: bool
             ) -> bool:
    """Whether ``count`` pixels from ``first`` on are those of the whole, of lines that are resized so.

    The two ways of a picture are resized one after the other, so each is tried by itself: ``down`` its columns, or
    along its rows. A weight that differs by its last bit turns the rounding of one line of noise in 250 or more.
    """
    many = _SAMPLES // channels
    shape, new = ((length, many), (new_length, many)) if down else ((many, length), (many, new_length))
    part = Part(first, 0, count, many) if down else Part(0, first, many, count)
    lines = np.random.default_rng(0).integers(0, 256, (*shape, channels), np.uint8)
    return np.array_equal(_without_torch(lines, *new, interpolation, part),
                          part.of(_without_torch(lines, *new, interpolation)))


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
_seen: 'Counter[_Size]' = Counter()


def _without_torch(pixels: np.ndarray, height: int, width: int, interpolation: str, part: Optional[Part] = None
                   ) -> np.ndarray:
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
    way = crate.ResizeAlg.convolution(filters[interpolation])
    top, left, tall, wide = part or (0, 0, height, width)
    down, across = rows / height, columns / width

    def scaled(given: Any, new_rows: int, new_columns: int, x: float, y: float, w: float, h: float) -> Any:
        # Rounding may lead out of the picture.
        box = None if part is None else crate.CropBox(x, y, min(w, given.width - x), min(h, given.height - y))
        # Alpha is a channel like the others.
        options = crate.ResizeOptions(resize_alg=way, use_alpha=False, crop_box=box)
        made = crate.ImageData(new_columns, new_rows, kind)
        _own.resizer.resize(given, made, options)
        return made

    def image(some: np.ndarray) -> Any:
        return crate.ImageData(some.shape[1], some.shape[0], kind, some.tobytes())

    # The rows that it rests on.
    reach = _REACH[interpolation] * max(down, 1) + 1
    first, last = max(0, floor(top * down - reach)), min(rows, ceil((top + tall) * down + reach))
    if part is None:
        first, last = 0, rows
    if columns == width:
        if rows == height:
            return pixels[top:top + tall, left:left + wide]
        narrow = image(pixels[first:last, left:left + wide])
    else:
        # The package takes copies; of a part of a large picture they stay in the caches.
        step = max(1, _MOST_BYTES // (columns * channels))
        blocks = [pixels[begin:min(begin + step, last)] for begin in range(first, last, step)]
        made = [scaled(image(one), len(one), wide, left * across, 0, wide * across, len(one)) for one in blocks]
        narrow = made[0] if len(made) == 1 else crate.ImageData(
            wide, last - first, kind, b''.join(one.get_buffer() for one in made))
    if rows != height:
        narrow = scaled(narrow, tall, wide, 0, top * down - first, wide, tall * down)
        first = top
    found = np.frombuffer(narrow.get_buffer(), np.uint8).reshape(narrow.height, wide, channels)
    return found[top - first:top - first + tall]

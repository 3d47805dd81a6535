"""What the encoding names of ``sensor_msgs/image_encodings.hpp`` mean."""
import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Dict

import numpy as np

from ..errors import ImageError
from ..text.printable import printable


class Kind(Enum):
    """How the numbers of an encoding become colours."""

    COLOR = 'color'
    BAYER = 'bayer'
    YUV422 = 'yuv422'
    PLANAR = 'planar'  # a plane of brightness above one of interleaved colour differences
    TYPED = 'typed'  # numbers of a type, with no meaning said


@dataclass(frozen=True)
class Encoding:
    """One encoding.

    Attributes:
        name: its name today; ``yuv422`` and ``yuv422_yuy2`` are older names of ``uyvy`` and ``yuyv``.
        kind: how its numbers become colours.
        dtype: type of a channel, in this machine's byte order.
        channels: numbers a pixel in the array that :func:`robot_vision_dl.core.images.image.view` makes.
        layout: ``rgb``, ``bgra``, ``mono``, ``rggb``, ``uyvy``, ``nv12``...; empty for typed encodings.
    """

    name: str
    kind: Kind
    dtype: np.dtype
    channels: int
    layout: str = ''

    @property
    def is_colored(self) -> bool:
        """Whether the encoding says what its numbers mean."""
        return self.kind is not Kind.TYPED

    @property
    def bits(self) -> int:
        """Bits a channel."""
        return 8 * self.dtype.itemsize

    @property
    def pixel_bytes(self) -> int:
        """Bytes a pixel; of the brightness plane for planar encodings."""
        return self.dtype.itemsize * self.channels


_UINT: Dict[int, np.dtype] = {8: np.dtype(np.uint8), 16: np.dtype(np.uint16)}
_CHANNELS = {'mono': 1, 'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4}
_OLD_NAMES = {'yuv422': 'uyvy', 'yuv422_yuy2': 'yuyv'}
_TYPED = re.compile(r'(8U|8S|16U|16S|32S|32F|64F)(?:C([1-9][0-9]{0,2}))?')
_TYPES = {'U': 'u', 'S': 'i', 'F': 'f'}
_MAX_TYPED_CHANNELS = 512  # OpenCV's CV_CN_MAX


def _named() -> Dict[str, Encoding]:
    found = {}
    for bits, dtype in _UINT.items():
        for layout, channels in _CHANNELS.items():
            found[f'{layout}{bits}'] = Encoding(f'{layout}{bits}', Kind.COLOR, dtype, channels, layout)
        for layout in ('rggb', 'bggr', 'gbrg', 'grbg'):
            found[f'bayer_{layout}{bits}'] = Encoding(f'bayer_{layout}{bits}', Kind.BAYER, dtype, 1, layout)
    for layout in ('uyvy', 'yuyv'):
        found[layout] = Encoding(layout, Kind.YUV422, _UINT[8], 2, layout)
    for layout in ('nv12', 'nv21', 'nv24'):
        found[layout] = Encoding(layout, Kind.PLANAR, _UINT[8], 1, layout)
    found.update({old: found[new] for old, new in _OLD_NAMES.items()})
    return found


_NAMED = _named()
NAMES = tuple(sorted(_NAMED))
"""Every encoding that says what its numbers mean; beside these there are the typed ones, such as ``32FC1``."""


@lru_cache(maxsize=256)
def parse_encoding(name: str) -> Encoding:
    """The encoding of a name.

    Raises:
        ImageError: ``encoding``: there is none of this name.
    """
    if name in _NAMED:
        return _NAMED[name]
    match = _TYPED.fullmatch(name)
    channels = int(match[2] or 1) if match else 0
    if match and channels <= _MAX_TYPED_CHANNELS:
        dtype = np.dtype(f'{_TYPES[match[1][-1]]}{int(match[1][:-1]) // 8}')
        return Encoding(name, Kind.TYPED, dtype, channels)
    raise ImageError('encoding', f'unknown image encoding {printable(name, 60)!r}; known are {", ".join(NAMES)} and '
                                 'typed ones such as 16UC1')

"""Picture files of a disk: read one by one, and told together where some cannot be."""
import os
import stat
from pathlib import Path
from typing import Iterable, Iterator, NoReturn, Sequence, Tuple, Union

import cv2
import numpy as np

from ..core.errors import BagError, ImageError, raise_about_machine
from ..core.images.picture_file import decode_picture, picture_size
from ..core.types import ColorOrder, Picture
from .folders import Tell, shown

_MOST_TOLD = 10
_TO_BGR = {ColorOrder.RGB: cv2.COLOR_RGB2BGR, ColorOrder.RGBA: cv2.COLOR_RGBA2BGR,
           ColorOrder.BGRA: cv2.COLOR_BGRA2BGR}


def read_picture(path: Union[str, Path]) -> Picture:
    """A picture file as 8 bit grey or BGR, upright as its EXIF data says.

    Raises:
        ImageError: it cannot be decoded, is cut off or too large.
        MachineError: it may not be read, or the disk fails.
    """
    # Not cv2.imread: it prints warnings of its own, and cannot open every name on every system.
    pixels = decode_picture(_bytes_of(path), shown(path))
    return Picture(pixels, ColorOrder.MONO if pixels.ndim == 2 else ColorOrder.BGR)


def _bytes_of(path: Union[str, Path]) -> np.ndarray:
    try:
        return file_bytes(path)
    except OSError as error:
        raise_about_machine(error, shown(path))
        raise ImageError('compressed', f'{shown(path)}: cannot be read ({error.strerror})') from error


def upright_size(path: Union[str, Path]) -> Tuple[int, int]:
    """(width, height) of what :func:`read_picture` gives; decoded only where the file's head may not say it.

    Raises:
        ImageError: as :func:`read_picture`, but for what only a decoder sees.
        MachineError: it may not be read, or the disk fails.
    """
    return picture_size(_bytes_of(path), shown(path))


def file_bytes(path: Union[str, Path]) -> np.ndarray:
    """The bytes of a regular file: uint8, shape (n,).

    Raises:
        ImageError: it is a folder, a pipe, for which one could wait for ever, or a device, which need not end.
        OSError: it cannot be read.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise ImageError('compressed', f'{shown(path)}: is a folder; name the pictures in it')
    if not stat.S_ISREG(mode):
        raise ImageError('compressed', f'{shown(path)}: is a pipe or a device; write the picture to a file')
    return np.fromfile(path, np.uint8)


def refuse_unreadable(paths: Iterable[Path], first: ImageError) -> NoReturn:
    """Raise :class:`BagError` that names the first picture that cannot be decoded and all others of ``paths``."""
    found = []
    for path in paths:
        try:
            read_picture(path)
        except ImageError:
            found.append(shown(path))
    if not found:
        raise BagError(f'{first}; remove it from the folder') from first
    raise BagError(f'{len(found) + 1} pictures cannot be read; remove them from the folder: {first}; '
                   f'{listed(found, ", ")}') from first


def readable_pictures(paths: Iterable[Path], tell: Tell) -> Iterator[Tuple[int, Picture]]:
    """Place in ``paths`` and pixels of each picture that can be decoded; after the last the others are told."""
    failed, first = 0, ''
    for place, path in enumerate(paths):
        try:
            yield place, read_picture(path)
        except ImageError as error:
            failed, first = failed + 1, first or str(error)
    if failed:
        tell(f'left out {failed}, pictures that cannot be decoded, the first because: {first}')


def as_bgr(picture: Picture) -> np.ndarray:
    """What ``cv2.imwrite`` takes: uint8, shape (H, W, 3) BGR, or (H, W)."""
    if picture.order in _TO_BGR:
        return cv2.cvtColor(np.ascontiguousarray(picture.pixels), _TO_BGR[picture.order])
    return picture.pixels


def listed(texts: Sequence[str], between: str) -> str:
    """The first ones, and how many more there are."""
    more = f' and {len(texts) - _MOST_TOLD} more' if len(texts) > _MOST_TOLD else ''
    return between.join(texts[:_MOST_TOLD]) + more

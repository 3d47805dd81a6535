"""Folders of pictures, ``<class>/*.jpg``: found, read, and told apart from folders of bags."""
import csv
import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

import cv2
import numpy as np

from ..core.csv_cells import plain_cell
from ..core.errors import BagError, ImageError
from ..core.types import ColorOrder, Picture
from .labels import check_label

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
INDEX = 'index.csv'
INDEX_COLUMNS = ('file', 'label', 'recording', 'topic', 'stamp_ns', 'receive_ns', 'track', 'index')


_TO_BGR = {ColorOrder.RGB: cv2.COLOR_RGB2BGR, ColorOrder.RGBA: cv2.COLOR_RGBA2BGR,
           ColorOrder.BGRA: cv2.COLOR_BGRA2BGR}


class FolderPicture(NamedTuple):
    """A picture and its label; the rest is known only where ``index.csv`` says so (see ``bag extract``)."""

    path: Path
    label: str
    recording: Optional[str] = None
    topic: str = ''
    stamp_ns: Optional[int] = None
    track: Optional[str] = None


def natural(path: Union[str, Path]) -> List[Tuple[int, str]]:
    """Sort key under which ``cup10.jpg`` comes after ``cup9.jpg``."""
    return [(int(piece), '') if piece.isdigit() else (-1, piece) for piece in re.split(r'(\d+)', str(path))]


def is_picture_folder(folder: Path) -> bool:
    """Whether a folder has folders with pictures in them."""
    return folder.is_dir() and any(_pictures(sub) for sub in folder.iterdir() if sub.is_dir())


def folder_pictures(folder: Union[str, Path]) -> List[FolderPicture]:
    """All pictures below ``folder``, by class and in natural order.

    Raises:
        BagError: there is no such folder, or no folders with pictures in it.
        ConfigError: a folder's name cannot be a label.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BagError(f'{folder}: no such folder; give a folder with one folder of pictures a class')
    index = _read_index(folder / INDEX)
    found = []
    for sub in sorted((sub for sub in folder.iterdir() if sub.is_dir()), key=natural):
        paths = _pictures(sub)
        label = check_label(sub.name, str(sub)) if paths else ''
        for path in paths:
            found.append(index.get(str(path.relative_to(folder)), FolderPicture(path, label)))
    if not found:
        raise BagError(f'{folder}: no pictures; it must hold one folder a class with {", ".join(SUFFIXES)} files in it')
    return found


def _pictures(folder: Path) -> List[Path]:
    return sorted((path for path in folder.rglob('*') if path.suffix.lower() in SUFFIXES and path.is_file()),
                  key=natural)


def _read_index(path: Path) -> Dict[str, FolderPicture]:
    if not path.is_file():
        return {}
    found = {}
    try:
        with open(path, encoding='utf-8', newline='') as file:
            for cells in csv.DictReader(file):
                row = {name: plain_cell(cell) if isinstance(cell, str) else cell for name, cell in cells.items()}
                found[row['file']] = FolderPicture(path.parent / row['file'], check_label(row['label'], str(path)),
                                                   row['recording'], row['topic'], int(row['stamp_ns']),
                                                   row['track'] or None)
    except (KeyError, ValueError, TypeError) as error:
        raise BagError(f'{path}: not an index as `robot-vision bag extract` writes it ({error!r}); remove it to read '
                       'the folders alone') from error
    return found


def read_picture(path: Union[str, Path]) -> Picture:
    """A picture file as 8 bit grey or BGR, upright as its EXIF data says.

    Raises:
        ImageError: ``compressed``: it cannot be decoded.
    """
    # Not cv2.imread: it prints warnings of its own, and cannot open every name on every system.
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ImageError('compressed', f'{path}: cannot be read ({error.strerror})') from error
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR) if data.size else None
    except cv2.error as error:
        raise ImageError('compressed', f'{path}: cannot be decoded: {error}') from None
    if pixels is None:
        raise ImageError('compressed', f'{path}: cannot be decoded; is it a picture, and whole?')
    return Picture(pixels, ColorOrder.MONO if pixels.ndim == 2 else ColorOrder.BGR)


def as_bgr(picture: Picture) -> np.ndarray:
    """What ``cv2.imwrite`` takes: uint8, shape (H, W, 3) BGR, or (H, W)."""
    if picture.order in _TO_BGR:
        return cv2.cvtColor(np.ascontiguousarray(picture.pixels), _TO_BGR[picture.order])
    return picture.pixels


def each_class(pictures: List[FolderPicture]) -> Iterator[Tuple[str, List[FolderPicture]]]:
    """Pictures of one class after another, in alphabetical order."""
    by_label: Dict[str, List[FolderPicture]] = {}
    for picture in pictures:
        by_label.setdefault(picture.label, []).append(picture)
    yield from sorted(by_label.items())

"""Frames of bags as picture files in one folder a label, with an index that says where each is from."""
import re
from collections import Counter
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Optional, Union

import cv2

from ..core.errors import BagError
from ..core.files.user_path import user_path
from ..core.files.whole_files import is_free, whole_folder
from ..core.images.picture_file import is_jpeg_as_seen
from ..core.text.csv_cells import csv_writer, safe_cell
from ..core.types import CompressedImage, ImageMessage, Picture
from .class_folders import class_folder, end_of
from .frame_stream import FrameStream
from .labels.labels import LabelledFrame
from .picture_index import INDEX, INDEX_COLUMNS
from .pictures import as_bgr

_SIGNATURES = {'jpg': b'\xff\xd8\xff', 'png': b'\x89PNG\r\n\x1a\n'}
_JPEG_QUALITY = 95
_PNG_BIT_DEPTH_AT = 24
_MOST_NAME_BYTES = 200


class Extracted(NamedTuple):
    """What was written: pictures a label, and how many of them as they were in the bag."""

    counts: Dict[str, int]
    unchanged: int


def extract(stream: FrameStream, out: Union[str, Path], form: str = 'jpg', most: int = 0,
            progress: Optional[Callable[[int], None]] = None) -> Extracted:
    """Write the frames of ``stream`` to ``<out>/<label>/<recording>_<topic>_<stamp>.<form>`` and ``<out>/index.csv``.

    All is there at the end, or nothing. JPEG and PNG messages are written byte for byte where that is the form asked
    for; others are encoded, as JPEG of quality 95.

    Args:
        form: ``jpg`` or ``png``.
        most: pictures a label at most; 0 for all.
        progress: is called with the number of pictures so far.

    Raises:
        BagError: ``out`` has files in it.
        ConfigError: a label cannot have a folder.
        OutputError: it cannot be written.
    """
    out = user_path(out)
    if not is_free(out):
        raise BagError(f'{out}: is not empty, and nothing in it is replaced; choose another folder')
    counts: Counter[str] = Counter()
    unchanged = 0
    with whole_folder(out) as work, open(work / INDEX, 'w', encoding='utf-8', newline='') as file:
        index = csv_writer(file)
        index.writerow(INDEX_COLUMNS)
        for frame, picture, _, message in stream:
            if most and counts[frame.label] >= most:
                continue
            path = _place(work, frame, form)
            raw = _as_recorded(message, form)
            unchanged += raw is not None
            path.write_bytes(_encode(picture, form) if raw is None else raw)
            texts = (str(path.relative_to(work)), frame.label, frame.recording, frame.topic)
            index.writerow((*map(safe_cell, texts), frame.stamp_ns, frame.receive_ns, safe_cell(frame.track or ''),
                            frame.index))
            counts[frame.label] += 1
            if progress is not None:
                progress(sum(counts.values()))
    return Extracted(dict(sorted(counts.items())), unchanged)


def _place(out: Path, frame: LabelledFrame, form: str) -> Path:
    folder = out / class_folder(_safe(frame.label), frame.label)
    folder.mkdir(exist_ok=True)
    parts = [_safe(part) for part in (frame.recording, frame.topic) if part]
    name = end_of('_'.join([*parts, str(frame.stamp_ns)]), _MOST_NAME_BYTES).lstrip('.')
    path, more = folder / f'{name}.{form}', frame.index
    while path.exists():  # two messages with one stamp, or what a long name was told apart by was cut off
        path, more = folder / f'{name}_{more}.{form}', more + 1
    return path


def _safe(name: str) -> str:
    """``name`` as part of a file's name."""
    return re.sub(r'[^\w.+-]+', '_', name.strip('/')).lstrip('.') or '_'


def _as_recorded(message: Optional[ImageMessage], form: str) -> Optional[bytes]:
    """The file in the message if it is of this form and any program shows it as the classifier sees it."""
    if not isinstance(message, CompressedImage):
        return None
    data = message.data.tobytes()
    if not data.startswith(_SIGNATURES[form]):
        return None
    # Others would turn it by its EXIF orientation, which messages are read without; or show 16 bit otherwise.
    if form == 'jpg':
        return data if is_jpeg_as_seen(data) else None
    return None if data[_PNG_BIT_DEPTH_AT] != 8 or b'eXIf' in data else data


def _encode(picture: Picture, form: str) -> bytes:
    parameters = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if form == 'jpg' else []
    done, data = cv2.imencode(f'.{form}', as_bgr(picture), parameters)
    if not done:
        raise BagError(f'a picture of {picture.width}x{picture.height} pixels cannot be written as {form}; use another '
                       '--format')
    return data.tobytes()

"""Pictures of an export as files: those of the queue, or the frames of the bags as large as they were recorded."""
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

import cv2

from ...core.errors import BagError, ConfigError, ImageError
from ...core.images.image import decode
from ...core.images.picture_file import is_jpeg_as_seen
from ...core.text.printable import printable
from ...core.types import CompressedImage, ImageMessage
from ...data.bags.reader import BagReader
from ...data.pictures import as_bgr
from ..queue_file import QueueFile
from .pictures import ExportPicture

_QUALITY = 95


def save_from_queue(queue: QueueFile, pictures: Sequence[ExportPicture], paths: Sequence[Path],
                    progress: Optional[Callable[[int], None]] = None) -> None:
    """Write the small pictures that the queue has of its intervals."""
    for number, (one, path) in enumerate(zip(pictures, paths), 1):
        data = queue.picture(one.interval, one.number)
        assert data is not None, 'chosen from the same queue'
        path.write_bytes(data)
        if progress is not None:
            progress(number)


def save_from_bags(queue: QueueFile, pictures: Sequence[ExportPicture], paths: Sequence[Path],
                   progress: Optional[Callable[[int], None]] = None) -> None:
    """Write the frames of the bags: JPEG messages byte for byte, others as JPEG of quality 95.

    Raises:
        ConfigError: a bag is not there, or lacks a frame.
    """
    bags = {one.name: one.path for one in queue.recordings}
    wanted: Dict[str, Dict[Tuple[str, int], List[Path]]] = {}
    for one, path in zip(pictures, paths):
        wanted.setdefault(one.place.recording, {}).setdefault((one.place.topic, one.place.stamp_ns), []).append(path)
    done = 0
    for recording, frames in wanted.items():
        missing = set(frames)
        for key, data in _frames(bags[recording], set(frames)):
            missing.discard(key)
            for path in frames[key]:
                path.write_bytes(data)
                done += 1
            if progress is not None:
                progress(done)
        if missing:
            topic, stamp = min(missing)
            raise ConfigError(f'{printable(bags[recording])}: {len(missing)} frames of the queue cannot be read there, '
                              f'the first on {printable(topic)} at {stamp} ns; export without --full')


def _frames(bag: str, wanted: Set[Tuple[str, int]]) -> Iterator[Tuple[Tuple[str, int], bytes]]:
    """(topic, stamp) and JPEG file of frames of a bag, each once."""
    left = set(wanted)
    try:
        with BagReader(bag) as reader:
            topics = sorted({topic for topic, _ in wanted} & set(reader.topics))
            for message in reader.image_messages(topics) if topics else ():
                try:
                    image = message.decode()
                    key = message.topic, image.header.stamp_ns or message.receive_ns
                    if key in left:
                        yield key, _as_jpeg(image)
                        left.discard(key)
                except ImageError:
                    continue
                if not left:
                    return
    except BagError as error:
        raise ConfigError(f'{error}; export without --full, or run the command where the bag can be found by the path '
                          'that was given to `robot-vision mine`') from error


def picture_size(path: Path) -> Tuple[int, int]:
    """Width and height in pixels of a picture that this export has written."""
    from PIL import Image
    with Image.open(path) as picture:
        return picture.size


def _as_jpeg(message: ImageMessage) -> bytes:
    if isinstance(message, CompressedImage):
        data = message.data.tobytes()
        if data.startswith(b'\xff\xd8\xff') and is_jpeg_as_seen(data):
            return data
    done, encoded = cv2.imencode('.jpg', as_bgr(decode(message)), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ConfigError('a frame cannot be written as JPEG; export without --full')
    return encoded.tobytes()

"""A folder of pictures, ``<class>/*.jpg``, read as if each picture were a message of a camera.

There is so much time between one and the next that nothing is fused over time: each picture is decided alone.
"""
from typing import Iterator, List, Sequence, Tuple

import numpy as np

from ..core.errors import ImageError, raise_about_machine
from ..core.images.cdr import encode_compressed_image, encode_image
from ..core.images.picture_file import is_jpeg_as_seen
from ..core.types import CompressedImage, Header, RawImage
from ..data.bags.message_types import COMPRESSED_IMAGE, IMAGE
from ..data.bags.reader import BagImage
from ..data.folders import shown
from ..data.labels.labels import LabelInterval
from ..data.picture_index import FolderPicture
from ..data.pictures import as_bgr, file_bytes, read_picture

TOPIC = '/pictures'
"""What stands for the topic of the camera."""
NS_PER_S = 1_000_000_000
ALONE = ('a folder of pictures: each is decided alone, nothing is fused over time, and there are no times and no '
         'errors an hour')


def stamp_ns(index: int, period_s: float) -> int:
    """Time of a picture, by its place in the folder."""
    return round((index + 1) * period_s * NS_PER_S)


def intervals_of(pictures: Sequence[FolderPicture], period_s: float) -> List[LabelInterval]:
    """The label of each picture, at its time; pictures of one track (see ``index.csv``) are of one object."""
    return [LabelInterval(stamp_ns(index, period_s), stamp_ns(index, period_s) + 1, picture.label, TOPIC, picture.track,
                          where=shown(picture.path)) for index, picture in enumerate(pictures)]


class PictureReader:
    """Reads as :class:`~..data.bags.reader.BagReader` does, from a folder.

    Attributes:
        problems: always empty: a picture that cannot be decoded is a frame that is dropped, as one of a bag is.
    """

    problems: Tuple[str, ...] = ()

    def __init__(self, pictures: Sequence[FolderPicture], period_s: float) -> None:
        self._pictures, self._period_s = pictures, period_s

    def image_messages(self, topics: Sequence[str]) -> Iterator[BagImage]:
        """Each picture, as the file has it where the live node can decode it, else its pixels."""
        for index in range(len(self._pictures)):
            yield self.at(index)

    def at(self, index: int) -> BagImage:
        """One of them."""
        return _image(self._pictures[index], stamp_ns(index, self._period_s))

    def close(self) -> None:
        """Nothing is open."""


def _image(picture: FolderPicture, at_ns: int) -> BagImage:
    header = Header(at_ns, 'pictures')
    try:
        data = np.zeros(0, np.uint8)
        data = file_bytes(picture.path)
        # What cannot be decoded goes on as it is, for the one that decodes frames to say why.
        pixels = None if is_jpeg_as_seen(data.tobytes()) else as_bgr(read_picture(picture.path))
    except OSError as error:
        raise_about_machine(error, shown(picture.path))
        data, pixels = np.zeros(0, np.uint8), None
    except ImageError:
        pixels = None
    if pixels is None:
        message = CompressedImage(header, 'jpeg', data)
        return BagImage(TOPIC, COMPRESSED_IMAGE, at_ns, encode_compressed_image(message))
    encoding, channels = ('mono8', 1) if pixels.ndim == 2 else ('bgr8', 3)
    height, width = pixels.shape[:2]
    raw = RawImage(header, height, width, encoding, False, width * channels,
                   np.ascontiguousarray(pixels).reshape(-1))
    return BagImage(TOPIC, IMAGE, at_ns, encode_image(raw))

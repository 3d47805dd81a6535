"""Folders of pictures as a labelled recording: each picture once, as it is."""
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from ..core.errors import ConfigError, ImageError
from ..core.images.cdr import encode_compressed_image
from ..core.images.picture_file import is_jpeg_as_seen
from ..core.text.topic_name import check_topic_name
from ..core.types import CompressedImage, Header
from .bags.message_types import COMPRESSED_IMAGE
from .bags.writer import NS_PER_S, ImageBagWriter, fit
from .labels.labels import LabelInterval
from .labels.messages import TYPES_BY_NAME, encode_label
from .labels.sources import write_labels_yaml
from .picture_index import FolderPicture
from .pictures import as_bgr, read_picture, refuse_unreadable
from .synth import LABEL_TOPIC, check_no_label_topic


class WrittenPicture(NamedTuple):
    """A picture as it is in a bag: its size, how many times that of the file it is, and whether it is the file."""

    width: int
    height: int
    scale: float
    unchanged: bool


def write_pictures(folder: Union[str, Path], pictures: Sequence[FolderPicture], topic: str = '/camera/image_raw',
                   rate_hz: float = 2.0, label_type: str = 'string', width: Optional[int] = None, quality: int = 90,
                   epoch_s: int = 1_700_000_000, progress: Optional[Callable[[int], None]] = None,
                   overwrite: bool = False) -> int:
    """Write the bag ``folder``: one frame a picture, the topic ``/label``, and ``labels.yaml`` with a track a picture.

    JPEG files go into ``<topic>/compressed`` byte for byte, unless they are scaled or their EXIF data may turn them.

    Args:
        label_type: ``string`` or ``classification``.
        width: scale to this width; None leaves pictures as they are.
        quality: of the JPEGs that are encoded; 0 writes raw images to ``topic``.
        overwrite: a bag that is there is replaced.

    Returns:
        Number of pictures whose file is in the bag unchanged.

    Raises:
        BagError: the bag exists, or pictures cannot be read.
        ConfigError: the topic is none, or the labels', or the times do not fit a header.
        OutputError: the bag cannot be written.
    """
    topic = check_topic_name(topic, '--topic')
    check_no_label_topic(topic, not quality)
    check_times(len(pictures), rate_hz, epoch_s)
    intervals: List[LabelInterval] = []
    unchanged = 0
    msgtype = TYPES_BY_NAME[label_type]
    label_before = None
    with ImageBagWriter(folder, overwrite=overwrite) as writer:
        for number, picture in enumerate(pictures):
            begin_ns, end_ns = (epoch_s * NS_PER_S + round(place * NS_PER_S / rate_hz)
                                for place in (number, number + 1))
            if picture.label != label_before:
                writer.write_cdr(LABEL_TOPIC, msgtype, begin_ns,
                                 encode_label(msgtype, begin_ns, writer.frame_id, picture.label))
                label_before = picture.label
            intervals.append(LabelInterval(begin_ns, end_ns, picture.label,
                                           track=picture.track or f'{picture.label}/{picture.path.stem}'))
            try:
                unchanged += write_picture(writer, topic, begin_ns, picture.path, width, quality).unchanged
            except ImageError as error:
                refuse_unreadable((later.path for later in pictures[number + 1:]), error)
            if progress is not None:
                progress(number + 1)
        write_labels_yaml(writer.folder / 'labels.yaml', intervals)
    return unchanged


def write_picture(writer: ImageBagWriter, topic: str, stamp_ns: int, path: Path, width: Optional[int],
                  quality: int) -> WrittenPicture:
    """Write a picture file as a message; arguments as of :func:`write_pictures`.

    Raises:
        ImageError: it cannot be decoded.
    """
    decoded = read_picture(path)
    data = path.read_bytes()
    if quality and width is None and is_jpeg_as_seen(data):
        message = CompressedImage(Header(stamp_ns, writer.frame_id), 'jpeg', np.frombuffer(data, np.uint8))
        writer.write_cdr(f'{topic}/compressed', COMPRESSED_IMAGE, stamp_ns, encode_compressed_image(message))
        return WrittenPicture(decoded.width, decoded.height, 1.0, True)
    pixels = fit(as_bgr(decoded), width)
    if quality:
        writer.write_jpeg(topic, stamp_ns, pixels, quality)
    else:
        writer.write_raw(topic, stamp_ns, pixels)
    return WrittenPicture(pixels.shape[1], pixels.shape[0], pixels.shape[1] / decoded.width, False)


def check_times(count: int, rate_hz: float, epoch_s: int) -> None:
    """Raise :class:`ConfigError` where so many pictures have times that no header can hold."""
    if epoch_s * NS_PER_S + round(count * NS_PER_S / rate_hz) >= NS_PER_S << 31:
        raise ConfigError(f'--epoch, --rate: {count} pictures at {rate_hz:g} Hz from {epoch_s} s on end after '
                          f'{(1 << 31) - 1} s, which is the last that a header can hold; begin earlier, or faster')

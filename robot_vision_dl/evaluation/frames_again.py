"""A few frames of a recording once more, after it was judged: by their keys, without reading the rest.

What was judged is what comes: a frame whose picture is another one by now is left out.
"""
from contextlib import closing
from typing import Iterator, NamedTuple, Optional, Sequence, Union

from ..core.bundles.bundle import Bundle
from ..core.config import ClassifierConfig
from ..core.errors import ImageError
from ..core.regions.crop import BoxError, crop
from ..core.runtime.frame_reader import read_frame
from ..core.types import Frame, Picture
from ..data.bag_objects import BagObjects, FoundObject
from ..data.bags.reader import BagImage, BagReader
from .example_frames import Key
from .feed import camera_of, digest_of, digest_of_object, parsed
from .picture_messages import PictureReader
from .recordings import Recording


class Wanted(NamedTuple):
    """A frame that is asked for, when its image was received, and the digest of what was judged."""

    key: Key
    receive_ns: int
    digest: bytes


class FrameAgain(NamedTuple):
    """A frame as it was read again.

    Attributes:
        key: which one.
        frame: the whole picture, with the region that is looked at.
        found: the object in it that was judged; None: the picture was.
    """

    key: Key
    frame: Frame
    found: Optional[FoundObject] = None

    def seen_by(self, bundle: Bundle, config: ClassifierConfig) -> Picture:
        """What was preprocessed for a model."""
        if self.found is None:
            return self.frame.seen
        return crop(self.frame.picture, self.found.box, bundle.preprocessing, config.detections.margin).picture


def frames_again(recording: Recording, wanted: Sequence[Wanted], config: ClassifierConfig) -> Iterator[FrameAgain]:
    """Read frames again, in the order of their times.

    Args:
        wanted: frames of the recording that were decided.
        config: as they were read.
    """
    if not wanted:
        return
    objects = recording.find_objects(config)
    with closing(recording.reader()) as reader:
        for one in sorted(wanted, key=lambda one: (one.receive_ns, one.key)):
            for message in _messages(reader, one):
                found = _frame(message, one, objects, config)
                if found is not None:
                    yield found
                    break


def _messages(reader: Union[BagReader, PictureReader], one: Wanted) -> Iterator[BagImage]:
    """Those that may be it."""
    if isinstance(reader, PictureReader):
        yield reader.at(one.key.number)
    else:
        yield from reader.image_messages([one.key.topic], one.receive_ns, one.receive_ns + 1)


def _frame(message: BagImage, one: Wanted, objects: Optional[BagObjects], config: ClassifierConfig
           ) -> Optional[FrameAgain]:
    try:
        image = parsed(message)
        digest, found = digest_of(image), None
        if objects is not None:
            there = objects.of(one.key.topic, one.key.number)
            found = None if isinstance(there, str) else next((each for each in there if each.key == one.key.object),
                                                             None)
            if found is None:
                return None
            digest = digest_of_object(digest, found)
        if digest != one.digest:
            return None
        camera = camera_of(config, message.topic)
        region = None if camera is None or found is not None else config.regions.get(camera)
        return FrameAgain(one.key, read_frame(message.topic, image, message.receive_ns, config.image, region), found)
    except (ImageError, BoxError):
        return None

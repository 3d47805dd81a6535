"""The pictures that are to be explained: files, and frames of bags by their time."""
from collections import deque
from typing import NamedTuple

from ..core.errors import BagError, ConfigError
from ..core.files.user_path import user_path
from ..core.images.image import decode
from ..core.text.printable import printable
from ..core.types import Picture
from ..data.bags.files import storage_suffix
from ..data.bags.reader import BagReader
from ..data.cameras import choose_topics
from ..data.pictures import read_picture
from ..data.video import VIDEO_SUFFIXES


class Named(NamedTuple):
    """A picture and what is told of it on the page.

    Attributes:
        picture: it.
        name: where it comes from, printable.
        words: why it is there, for pictures of a queue; empty: it was asked for.
    """

    picture: Picture
    name: str
    words: str = ''


def picture_at(source: str, topic: str = '') -> Named:
    """A picture file, or the frame of a bag that was recorded last at a time.

    Args:
        source: a path, or ``BAG@SECONDS`` from the bag's start.
        topic: image topic of the bag; empty: the only camera.

    Raises:
        BagError, ConfigError, ImageError: it cannot be found or read; the message says which.
    """
    path, at, seconds = source.rpartition('@')
    whole = user_path(source)
    if not at or whole.exists():
        if whole.exists() and (whole.is_dir() or storage_suffix(whole) or whole.suffix.lower() in VIDEO_SUFFIXES):
            kind = 'a folder' if whole.is_dir() else 'a bag' if storage_suffix(whole) else 'a video'
            remedy = ('`robot-vision bag from-video` makes a bag of it' if kind == 'a video' else
                      f'a frame of a bag is BAG@SECONDS, {printable(source)}@1.5')
            raise ConfigError(f'{printable(source)}: is {kind}, and a picture is wanted; {remedy}')
        return Named(read_picture(whole), printable(source))
    if not user_path(path).exists():
        raise ConfigError(f'{printable(source)}: no such file, and {printable(path)} is no bag that is there')
    try:
        time_s = float(seconds)
    except ValueError:
        raise ConfigError(f'{printable(source)}: {printable(seconds)!r} is no time; a frame of a bag is BAG@SECONDS, '
                          'in seconds from its start') from None
    with BagReader(user_path(path)) as reader:
        chosen = choose_topics(reader, [topic] if topic else []).topics
        if not chosen:
            raise BagError(f'{printable(path)}: has no images')
        if len(chosen) != 1:
            raise ConfigError(f'{printable(path)}: has the image topics {", ".join(map(printable, chosen))}; '
                              'name one with --topic')
        start = reader.start_ns or 0
        end = reader.end_ns or start
        if not 0 <= time_s <= (end - start) / 1e9 + 1e-9:
            raise BagError(f'{printable(path)}: is {(end - start) / 1e9:.3f} s long, and {time_s:g} s is not in it')
        at_ns = start + round(time_s * 1e9)
        # What was recorded last at that time: the frames of the second before, and else the first one after.
        last = (deque(reader.image_messages(chosen, max(start, at_ns - back_s * 10**9), at_ns + 1), 1)
                for back_s in (1, 10, 10**6))
        found = next((one[0] for one in last if one), None) or next(reader.image_messages(chosen, at_ns), None)
        if found is None:
            raise BagError(f'{printable(path)}: no image of {printable(chosen[0])} can be read')
        return Named(decode(found.decode()),
                     f'{printable(path)}, {printable(found.topic)} at {(found.receive_ns - start) / 1e9:.3f} s')

"""In which order and at what time the messages of bags are played; knows nothing of ROS."""
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Collection, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ...core.errors import BagError, ConfigError
from ...core.text.printable import printable
from ...core.text.topic_name import check_topic_name
from .reader import BagMessage, BagReader, normal_topic

# Between the end of one bag (or round) and the beginning of the next: about the time between two frames.
GAP_NS = 100_000_000
NS_PER_S = 1_000_000_000
_MOST_STAMPS = 10_000


@dataclass(frozen=True)
class Selection:
    """Which part of the bags is played.

    Attributes:
        topics: these only; None plays all.
        images_only: image topics only.
        start_s, duration_s: seconds after the first bag's beginning, over all bags as one; None plays to the end.
    """

    topics: Optional[Tuple[str, ...]] = None
    images_only: bool = False
    start_s: float = 0.0
    duration_s: Optional[float] = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < 1e9:
            raise ConfigError(f'--start: must be at least 0 seconds, got {self.start_s:g}')
        if self.duration_s is not None and not 0 < self.duration_s < 1e9:
            raise ConfigError(f'--duration: must be more than 0 seconds, got {self.duration_s:g}')


class Due(NamedTuple):
    """A message and when it is to be published.

    Attributes:
        offset_ns: bag time after the beginning of what is played.
        message: the message, on its recorded topic.
    """

    offset_ns: int
    message: BagMessage


def selected_topics(readers: Sequence[BagReader], selection: Selection) -> List[str]:
    """Names of the topics to be played, sorted.

    Raises:
        BagError: a topic that was asked for is in none of the bags, or nothing is left to play.
    """
    there = {name: topic for reader in readers for name, topic in reader.topics.items() if not topic.unreadable}
    names = list(there) if selection.topics is None else [normal_topic(name) for name in selection.topics]
    for name in names:
        if name not in there:
            known = printable(', '.join(sorted(there)) or 'none', 1000)
            raise BagError(f'no topic {printable(name)!r} in the bag; there are {known}')
    if selection.images_only:
        names = [name for name in names if there[name].is_image]
    names = sorted(name for name in set(names) if there[name].count)
    if not names:
        what = 'images' if selection.images_only else 'messages'
        raise BagError(f'{", ".join(str(reader.path) for reader in readers)}: no {what} to play; '
                       'see `robot-vision bag info`')
    return names


def duration_ns(readers: Sequence[BagReader], selection: Selection) -> int:
    """Bag time that playing the selection takes."""
    spans = [reader.end_ns - reader.start_ns for reader in readers
             if reader.start_ns is not None and reader.end_ns is not None]
    whole = sum(spans) + GAP_NS * max(0, len(spans) - 1) - round(selection.start_s * NS_PER_S)
    wanted = whole if selection.duration_s is None else min(whole, round(selection.duration_s * NS_PER_S))
    return max(0, wanted)


def timeline(readers: Sequence[BagReader], selection: Selection, topics: Sequence[str],
             left_out: Collection[Tuple[int, str]] = ()) -> Iterator[Due]:
    """Messages of ``topics``, bags one after another, within the selection's start and duration.

    Args:
        left_out: number of a bag, from 0, and a topic that is not played of it.
    """
    begin = round(selection.start_s * NS_PER_S)
    end = None if selection.duration_s is None else begin + round(selection.duration_s * NS_PER_S)
    bag_at = 0
    for place, reader in enumerate(readers):
        if reader.start_ns is None or reader.end_ns is None:
            continue
        # bag_at - reader.start_ns carries the bag's clock to the time on the line of all bags.
        shift = bag_at - reader.start_ns
        names = [name for name in topics if name in reader.topics and (place, name) not in left_out]
        if names and bag_at + reader.end_ns - reader.start_ns >= begin and (end is None or bag_at < end):
            for message in reader.messages(names, begin - shift, None if end is None else end - shift):
                yield Due(message.receive_ns + shift - begin, message)
        bag_at += reader.end_ns - reader.start_ns + GAP_NS


def parse_remaps(rules: Sequence[str]) -> Mapping[str, str]:
    """``old:=new`` rules to a mapping of topic names.

    Raises:
        ConfigError: a rule has another form.
    """
    remaps = {}
    for rule in rules:
        old, arrow, new = rule.partition(':=')
        if not (arrow and old.strip('/') and new.strip('/')):
            raise ConfigError(f'--remap: must be old:=new, got {rule!r}')
        remaps[normal_topic(old)] = check_topic_name(normal_topic(new), '--remap')
    return remaps


class NewStamps:
    """Stamps in place of recorded ones: messages of several topics that had the same stamp have the same one again.

    So an image and the detections in it still belong together, though one was recorded after the other.
    """

    def __init__(self) -> None:
        self._new: 'OrderedDict[bytes, Tuple[int, Set[str]]]' = OrderedDict()

    def restamped(self, topic: str, cdr: bytes, now_ns: int) -> bytes:
        """A serialized message whose first field is a header, with the time at which its stamp came first.

        Where the topic itself had that stamp before (the recording is played again, or the driver never set it), that
        time is now.
        """
        recorded = cdr[4:12]
        if not any(recorded):  # 0 stands for no stamp
            return with_stamp(cdr, now_ns)
        stamp_ns, topics = self._new.get(recorded, (now_ns, set()))
        if topic in topics:
            stamp_ns, topics = now_ns, set()
        topics.add(topic)
        self._new[recorded] = stamp_ns, topics
        if len(self._new) > _MOST_STAMPS:
            self._new.popitem(last=False)
        return with_stamp(cdr, stamp_ns)


def with_stamp(cdr: bytes, stamp_ns: int) -> bytes:
    """A copy of a serialized message whose first field is a ``std_msgs/Header``, with another stamp.

    The stamp is the first thing after the four bytes of encapsulation: int32 seconds, uint32 nanoseconds.
    """
    if len(cdr) < 12:
        return cdr
    changed = bytearray(cdr)
    struct.pack_into('<iI' if cdr[1] & 1 else '>iI', changed, 4, *divmod(stamp_ns, NS_PER_S))
    return bytes(changed)

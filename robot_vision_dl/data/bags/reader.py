"""Read ROS 1 and ROS 2 bags: every message in time order, as CDR, with bounded memory."""
import heapq
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Collection, Dict, FrozenSet, Iterator, List, Optional, Sequence, Tuple, Union

from ...core.errors import BagError, ConfigError, ImageError
from ...core.files.user_path import user_path
from ...core.text.printable import printable
from ...core.text.yaml_text import read_yaml
from ...core.types import CompressedImage, ImageMessage
from .channel import Channel, RawMessage
from .counts import MOST_METADATA_BYTES, Claim, claims_of_metadata, differences
from .files import METADATA, BagFiles, find_bags
from .message_types import COMPRESSED_IMAGE, IMAGE_TYPES, Definitions, normal_type
from .storage import Storage


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag.

    Attributes:
        topic: with a leading slash.
        msgtype: as ``package/msg/Type``.
        receive_ns: when it was recorded (the bag's clock, not the header's).
        cdr: serialized as on a ROS 2 topic; ROS 1 messages are converted.
    """

    topic: str
    msgtype: str
    receive_ns: int
    cdr: bytes


@dataclass(frozen=True)
class BagImage(BagMessage):
    """A ``sensor_msgs/Image`` or ``sensor_msgs/CompressedImage`` of a bag."""

    def decode(self) -> ImageMessage:
        """The message's fields; the data is a view.

        Raises:
            ImageError: the bytes are not such a message.
        """
        from ...core.images import cdr
        if self.msgtype == COMPRESSED_IMAGE:
            return cdr.decode_compressed_image(self.cdr)
        return cdr.decode_image(self.cdr)


@dataclass(frozen=True)
class TopicInfo:
    """What is known about a topic; stamps, encoding and size only after :meth:`BagReader.survey`.

    Attributes:
        name, msgtype, count: as the bag's messages have them.
        latched: late subscribers are to get the last message.
        unreadable: why its messages cannot be played or evaluated; empty if they can.
        first_ns, last_ns: receive time of the first and the last message.
        encoding: of the first image; for compressed ones the format field.
        width, height: of the first image in pixels; compressed ones are decoded for it.
    """

    name: str
    msgtype: str
    count: int
    latched: bool = False
    unreadable: str = ''
    first_ns: Optional[int] = None
    last_ns: Optional[int] = None
    encoding: Optional[str] = None
    width: Optional[int] = None
    height: Optional[int] = None

    @property
    def rate_hz(self) -> Optional[float]:
        """Mean rate between the first and the last message."""
        if self.count < 2 or self.first_ns is None or self.last_ns is None or self.last_ns <= self.first_ns:
            return None
        return (self.count - 1) * 1e9 / (self.last_ns - self.first_ns)

    @property
    def is_image(self) -> bool:
        """Whether it carries pictures."""
        return self.msgtype in IMAGE_TYPES


class BagReader:
    """One recording: a ``.bag``, ``.mcap`` or ``.db3`` file, or the folder of a (split) ROS 2 recording.

    Attributes:
        path: the file or folder.
        files: what makes it up.
        notes: sentences about what was decided: what makes it up, and what is not read.
        problems: sentences about what is missing or damaged; complete once all messages have been read.
        topics: by name, sorted.
        start_ns, end_ns: receive time of the first and the last message; None if there is none.
    """

    def __init__(self, path: Union[str, Path, BagFiles]) -> None:
        """Open ``path``.

        Raises:
            BagError: there is no bag, several bags, or nothing in it can be read.
        """
        files = path if isinstance(path, BagFiles) else _only_one(user_path(path))
        self.path = files.path
        self.files = files
        self.notes = files.notes
        self._problems: List[str] = list(files.problems)
        self._storages: List[Storage] = []
        self._claimed = _claimed_by_metadata(files.path)
        try:
            self._open(files)
        except BaseException:
            self.close()
            raise

    def _open(self, files: BagFiles) -> None:
        for file in files.files:
            try:
                self._storages.append(Storage(file))
            except BagError as error:
                if len(files.files) == 1:
                    raise
                self._problems.append(str(error))
        if not self._storages:
            why = '; '.join(self._problems[:10])
            raise BagError(f'{printable(self.path)}: no part of this recording can be read: {why}')
        self._definitions = [
            Definitions((c.msgtype, c.definition_form, c.definition) for c in storage.channels)
            for storage in self._storages]
        self.topics = self._collect_topics()
        starts = [storage.start_ns for storage in self._storages if storage.start_ns is not None]
        ends = [storage.end_ns for storage in self._storages if storage.end_ns is not None]
        self.start_ns = min(starts) if starts else None
        self.end_ns = max(ends) if ends else None

    def __enter__(self) -> 'BagReader':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all files."""
        for storage in self._storages:
            storage.close()

    @property
    def problems(self) -> Tuple[str, ...]:
        """What is missing or damaged, in sentences."""
        found = list(self._problems)
        for storage in self._storages:
            found += storage.problems
        for definitions in self._definitions:
            found += definitions.problems
        return tuple(dict.fromkeys(found + self._missing()))

    def _missing(self) -> List[str]:
        """What lacks by metadata.yaml, once everything has been read."""
        counts = [counts for storage in self._storages for counts in (storage.counts,) if counts is not None]
        if not self._claimed or len(counts) < len(self._storages):
            return []
        found: Dict[str, int] = {}
        for part in counts:
            for topic, count in part.items():
                found[topic] = found.get(topic, 0) + count
        channels = [channel for storage in self._storages for channel in storage.channels]
        return [f'{printable(self.path.name)}: {text}'
                for text in differences(channels, found, self._claimed, 'metadata.yaml')]

    def wire_formats(self, msgtype: str) -> FrozenSet[str]:
        """Order and sizes of the fields of ``msgtype`` as recorded, of each part of the bag that says them.

        More than one where parts were recorded with different definitions; none where the bag does not say.
        """
        found = (definitions.wire_format(msgtype) for definitions in self._definitions)
        return frozenset(one for one in found if one is not None)

    def messages(self, topics: Optional[Collection[str]] = None, start_ns: Optional[int] = None,
                 end_ns: Optional[int] = None) -> Iterator[BagMessage]:
        """Messages of ``topics`` (default: all that are readable), ``start_ns`` <= receive time < ``end_ns``.

        A message that cannot be converted is left out and told in ``problems``.

        Raises:
            BagError: a topic is not in the bag.
        """
        wanted = self._chosen(topics)
        failed: Dict[str, int] = {}
        for index, channel, stamp, data in self._raw(wanted, start_ns, end_ns):
            topic, msgtype = normal_topic(channel.topic), normal_type(channel.msgtype)
            if channel.encoding == 'ros1':
                try:
                    data = self._definitions[index].ros1_to_cdr(data, msgtype)
                except BagError as error:
                    failed[topic] = failed.get(topic, 0) + 1
                    if failed[topic] == 1:
                        self._problems.append(f'{printable(topic)}: messages are left out, the first because: {error}')
                    continue
            kind = BagImage if msgtype in IMAGE_TYPES else BagMessage
            yield kind(topic, msgtype, stamp, data)

    def image_messages(self, topics: Optional[Collection[str]] = None, start_ns: Optional[int] = None,
                       end_ns: Optional[int] = None) -> Iterator[BagImage]:
        """Images of ``topics`` (default: every image topic) in the order they were received.

        Raises:
            BagError: a topic is not in the bag or carries no images.
        """
        images = [topic.name for topic in self.topics.values() if topic.is_image]
        if topics is None:
            topics = images
        for name in topics:
            if normal_topic(name) not in images:
                there = f'image topics in it: {_names(images)}' if images else 'it has no image topics'
                raise BagError(f'{printable(self.path)}: {printable(name)!r} is no image topic of this bag; {there}')
        if topics:
            for message in self.messages(topics, start_ns, end_ns):
                assert isinstance(message, BagImage)
                yield message

    def survey(self) -> Tuple[TopicInfo, ...]:
        """Read the bag once and return its topics with stamps, true counts and the first image's size."""
        first: Dict[str, int] = {}
        last: Dict[str, int] = {}
        counts: Dict[str, int] = {}
        for _, channel, stamp, _ in self._raw(set(self.topics), None, None):
            name = normal_topic(channel.topic)
            first[name] = min(first.get(name, stamp), stamp)
            last[name] = max(last.get(name, stamp), stamp)
            counts[name] = counts.get(name, 0) + 1
        topics = []
        for name, topic in self.topics.items():
            topic = replace(topic, count=counts.get(name, 0), first_ns=first.get(name), last_ns=last.get(name))
            topics.append(self._with_first_image(topic) if topic.is_image and not topic.unreadable else topic)
        return tuple(topics)

    def _with_first_image(self, topic: TopicInfo) -> TopicInfo:
        message = next(self.image_messages([topic.name]), None)
        if message is None:
            return topic
        try:
            image = message.decode()
        except ImageError as error:
            self._problems.append(f'{printable(topic.name)}: the first image cannot be read: {error}')
            return topic
        if isinstance(image, CompressedImage):
            from ...core.config import ImageConfig
            from ...core.images.compressed import compressed_size
            try:
                height, width = compressed_size(image, ImageConfig())
            except ImageError as error:
                self._problems.append(f'{printable(topic.name)}: the first image cannot be decoded: {error}')
                return replace(topic, encoding=image.format)
            return replace(topic, encoding=image.format, width=width, height=height)
        return replace(topic, encoding=image.encoding, width=image.width, height=image.height)

    def _raw(self, names: Collection[str], start_ns: Optional[int],
             end_ns: Optional[int]) -> Iterator[Tuple[int, Channel, int, bytes]]:
        """Stored messages of all parts in time order; a part is opened when its time has come."""
        def part(index: int, storage: Storage) -> Iterator[Tuple[int, int, Optional[RawMessage]]]:
            channels = [channel for channel in storage.channels if normal_topic(channel.topic) in names]
            yield storage.start_ns if storage.start_ns is not None else 0, index, None
            for message in storage.messages(channels, start_ns, end_ns):
                yield message.receive_ns, index, message

        parts = (part(index, storage) for index, storage in enumerate(self._storages))
        for stamp, index, message in heapq.merge(*parts, key=lambda item: item[0]):
            if message is not None:
                yield index, message.channel, stamp, message.data

    def _chosen(self, topics: Optional[Collection[str]]) -> Collection[str]:
        if topics is None:
            return {name for name, topic in self.topics.items() if not topic.unreadable}
        names = {normal_topic(name) for name in topics}
        for name in names:
            if name not in self.topics:
                raise BagError(f'{printable(self.path)}: no topic {printable(name)!r}; there are {_names(self.topics)}')
        return names

    def _collect_topics(self) -> Dict[str, TopicInfo]:
        found: Dict[str, TopicInfo] = {}
        for storage in self._storages:
            for channel in storage.channels:
                name, msgtype = normal_topic(channel.topic), normal_type(channel.msgtype)
                before = found.get(name)
                unreadable = '' if channel.encoding in ('cdr', 'ros1') else f'encoding {printable(channel.encoding)!r}'
                if before is not None and before.msgtype != msgtype:
                    unreadable = f'two types on one topic: {printable(before.msgtype)} and {printable(msgtype)}'
                found[name] = TopicInfo(
                    name, before.msgtype if before else msgtype, channel.messages + (before.count if before else 0),
                    channel.latched or (before is not None and before.latched),
                    unreadable or (before.unreadable if before else ''))
        return dict(sorted(found.items()))


def open_bags(paths: Sequence[Union[str, Path]]) -> List[BagReader]:
    """Readers for all recordings in ``paths`` (files, folders of a recording, folders of several bags).

    Raises:
        BagError: a path holds no bag, or one of which nothing can be read.
    """
    readers: List[BagReader] = []
    try:
        for path in paths:
            for files in find_bags(path):
                readers.append(BagReader(files))
    except BagError:
        for reader in readers:
            reader.close()
        raise
    return readers


def _names(topics: Collection[str]) -> str:
    return ', '.join(printable(name) for name in list(topics)[:20]) + (', ...' if len(topics) > 20 else '') or 'none'


def normal_topic(name: str) -> str:
    """``name`` with one leading slash and none doubled."""
    return '/' + '/'.join(part for part in name.split('/') if part)


def _only_one(path: Path) -> BagFiles:
    bags = find_bags(path)
    if len(bags) > 1:
        names = ', '.join(printable(bag.path) for bag in bags[:5])
        raise BagError(f'{printable(path)}: holds {len(bags)} bags; name one: {names}')
    return bags[0]


def _claimed_by_metadata(folder: Path) -> Dict[str, Claim]:
    file = folder / METADATA
    if not folder.is_dir() or not file.is_file():
        return {}
    try:
        return claims_of_metadata(read_yaml(file, as_text=True, most_bytes=MOST_METADATA_BYTES))
    except ConfigError:
        return {}  # told where the files of a recording are looked for

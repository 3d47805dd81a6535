"""What mcap and ROS 1 files share: messages in blocks (chunks), read in time order and counted against claims."""
import errno
import heapq
import os
from array import array
from pathlib import Path
from typing import BinaryIO, Collection, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from ...core.text.printable import printable
from .channel import Channel, RawMessage
from .counts import by_topic, missing
from .limits import UNPACKED_VARIABLE, checksum, most_stored_bytes, most_unpacked_bytes, unpacked

RUN_BYTES = 1 << 20
"""Records that stand in no chunk are read in runs of about this size."""
MOST_DEFINITION_BYTES = 1 << 24
"""Of a record that says what a channel's messages are."""
# However well it is packed, a message takes more than a byte, as times differ; what is remembered of each is bounded.
_FEW_MESSAGES, _LEAST_BYTES_A_MESSAGE = 10_000, 512


class Block(NamedTuple):
    """A stretch of the file whose messages are sorted together: a chunk, or a run of records that stand in none.

    Attributes:
        start_ns, end_ns: receive time of its first and last message.
        offset, length: where its content is stored.
        compression: of the content; empty for none.
        size: bytes that it claims to have unpacked; None for a run.
        crc: CRC-32 of the unpacked content; 0 where there is none.
        index_at: where the records begin that list its messages; 0 where there are none.
    """

    start_ns: int
    end_ns: int
    offset: int
    length: int
    compression: str = ''
    size: Optional[int] = None
    crc: int = 0
    index_at: int = 0


class Entry(NamedTuple):
    """A message within unpacked content: its data is ``content[begin:end]``."""

    key: int
    stamp_ns: int
    begin: int
    end: int


class BlockFile:
    """One file of blocks, for reading.

    Attributes:
        channels: its topics; counts as claimed, or as found where nothing credible is claimed.
        start_ns, end_ns: receive time of the first and the last message; None if there is none.
        problems: sentences about what is missing or damaged; complete once all messages have been read.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Open ``path``, which is called ``name`` in what is said.

        Damage raises nothing: where nothing can be read there are no channels with messages.

        Raises:
            OSError: the file cannot be opened or read.
        """
        self.path = path
        self.name = name
        self.problems: List[str] = []
        self.start_ns: Optional[int] = None
        self.end_ns: Optional[int] = None
        self._blocks: List[Block] = []
        self._channels: Dict[int, Channel] = {}
        self._claimed: Optional[Dict[int, int]] = None  # messages by channel
        self._found: Dict[int, Dict[int, int]] = {}  # by number of the block, for those that were read
        self._held = 0
        with path.open('rb') as file:
            self.size = file.seek(0, 2)
            reason = self._open(file)
            self._finish(file, reason)

    def close(self) -> None:
        """Nothing is kept open between calls."""

    @property
    def channels(self) -> List[Channel]:
        """Topics of the file."""
        return list(self._channels.values())

    @property
    def counts(self) -> Optional[Dict[str, int]]:
        """Messages that were found, by topic; None until all blocks have been read."""
        return None if len(self._found) < len(self._blocks) else by_topic(self.channels, self._total())

    def messages(self, channels: Collection[Channel], start_ns: Optional[int] = None,
                 end_ns: Optional[int] = None) -> Iterator[RawMessage]:
        """Messages of ``channels`` with ``start_ns`` <= receive time < ``end_ns``, in time order."""
        wanted = {channel.key: channel for channel in channels}
        with self.path.open('rb') as file:
            chosen = [(number, block) for number, block in enumerate(self._blocks)
                      if (start_ns is None or block.end_ns >= start_ns) and (end_ns is None or block.start_ns < end_ns)]
            for stamp, _, _, key, data in heapq.merge(*(self._sorted(file, *item) for item in chosen),
                                                      key=lambda item: item[:3]):
                if key in wanted and (start_ns is None or stamp >= start_ns) and (end_ns is None or stamp < end_ns):
                    yield RawMessage(wanted[key], stamp, bytes(data))
        self._compare()

    def _open(self, file: BinaryIO) -> Optional[str]:
        """Fill blocks, channels and what is claimed, from the index if it can be relied on.

        Returns why it cannot be; an empty text where there simply is none; None where blocks and channels are complete.
        """
        raise NotImplementedError

    def _entries(self, content: bytes, damage: List[str]) -> Iterator[Entry]:
        """Messages of unpacked content; learns of channels, goes on after what is damaged, and says so."""
        raise NotImplementedError

    def _indexed(self, file: BinaryIO, block: Block) -> Optional[List[Tuple[int, int]]]:
        """(channel, stamp) of the messages that the file says are in ``block``, sorted; None if it does not say."""
        return None

    def _tell(self, text: str) -> None:
        text = f'{self.name}: {text}'
        if text not in self.problems:
            self.problems.append(text)

    def _finish(self, file: BinaryIO, reason: Optional[str]) -> None:
        counts = self._claimed or {}
        if reason is not None:
            blocks, self._blocks = self._blocks, []
            for block in blocks:
                entries = self._load(file, block, trusted=False)[1]
                if entries:
                    self._found[len(self._blocks)] = _counts(entries)
                    self._blocks.append(block._replace(start_ns=min(entries[1::4]), end_ns=max(entries[1::4])))
            counts = self._total()
            if reason:
                of = '' if self._claimed is None else f' of {sum(self._claimed.values())}'
                # What is wrong as a whole comes before what is wrong with parts.
                self.problems.insert(0, f'{self.name}: {reason}; {sum(counts.values())}{of} messages could be read')
            self._compare()
        self._channels = {key: channel._replace(messages=counts.get(key, 0)) for key, channel in self._channels.items()}
        if self._blocks:
            self.start_ns = min(block.start_ns for block in self._blocks)
            self.end_ns = max(block.end_ns for block in self._blocks)

    def _load(self, file: BinaryIO, block: Block, trusted: bool = True) -> Tuple[bytes, 'array[int]']:
        """A block's content, and key, stamp, begin and end of each message, one after another.

        ``trusted``: what the file says of the block is to be true, and is told where it is not.
        """
        what = f'the {"chunk" if block.size is not None else "part"} at byte {block.offset}'
        file.seek(block.offset)
        stored = file.read(min(block.length, most_stored_bytes() + 1))
        content, complaint = unpacked(stored, block.compression, block.length if block.size is None else block.size,
                                      what)
        damage = [complaint] if complaint else []
        sound = bool(block.crc) and not complaint
        if sound and checksum(content) != block.crc:
            sound = False
            damage.append(f'{what} is damaged: its content does not fit its checksum')
        entries, known = array('q'), len(self._channels)
        most = max(_FEW_MESSAGES, min(len(stored), most_stored_bytes() // _LEAST_BYTES_A_MESSAGE))
        within: List[str] = []
        for entry in self._entries(content, within):
            entries.extend(entry)
            if len(entries) >= 4 * most:
                damage.append(f'{what} has more messages than a recorder writes into so few bytes: only {most} are '
                              'read')
                break
        damage += [f'{what}: {text}' for text in dict.fromkeys(within)]
        if block.index_at and not sound and not damage:
            listed = self._indexed(file, block)
            found = len(entries) // 4
            if listed is not None and listed != sorted(zip(entries[::4], entries[1::4])):
                damage.append(f'{what} is damaged: its {found} messages are not the {len(listed)} that its index lists')
        if trusted and len(self._channels) != known:
            damage.append(f'{what} has topics that the index does not list')
        if trusted and entries and not (block.start_ns <= min(entries[1::4])
                                        and max(entries[1::4]) <= block.end_ns):
            damage.append(f'{what} has messages before or after the times that it claims')
        for text in damage:
            self._tell(text)
        return content, entries

    def _sorted(self, file: BinaryIO, number: int, block: Block) -> Iterator[Tuple[int, int, int, int, memoryview]]:
        # The first item makes heapq.merge leave a block unread until its time has come.
        yield block.start_ns, number, -1, -1, memoryview(b'')
        size = block.length if block.size is None else max(block.size, block.length)
        limit = most_unpacked_bytes() if block.compression else most_stored_bytes()
        if self._held and self._held + size > limit:
            self._tell(f'the chunk at byte {block.offset} is left out: chunks that are needed at once take more than '
                       f'{limit >> 20} MB; if that is meant, set {UNPACKED_VARIABLE} to more megabytes')
            return
        self._held += size
        try:
            content, entries = self._load(file, block)
            self._found[number] = _counts(entries)
            view, stamps = memoryview(content), np.frombuffer(entries, np.int64)[1::4]
            order: Iterable[int] = range(len(stamps))
            if len(stamps) and (stamps[1:] < stamps[:-1]).any():
                order = np.argsort(stamps, kind='stable')
            for at in order:
                key, stamp, begin, end = entries[4 * at:4 * at + 4]
                yield stamp, number, int(at), key, view[begin:end]
        finally:
            self._held -= size

    def _total(self) -> Dict[int, int]:
        total: Dict[int, int] = {}
        for counts in self._found.values():
            for key, count in counts.items():
                total[key] = total.get(key, 0) + count
        return total

    def _compare(self) -> None:
        """Tell what is missing, once every block has been read."""
        if self._claimed is None or len(self._found) < len(self._blocks):
            return
        found = self._total()
        for key, claimed in sorted(self._claimed.items()):
            there = found.get(key, 0)
            if there != claimed:
                topic = printable(self._channels[key].topic) if key in self._channels else f'topic number {key}'
                self._tell(missing(topic, there, claimed))


def windows(file: BinaryIO, begin: int, end: int, overlap: int) -> Iterator[Tuple[int, bytes]]:
    """(position, content) of about :data:`RUN_BYTES` each, ``overlap`` bytes of which are in the one before, too.

    What holds nothing but zeros is left out; where a file has a hole, it is not even read.
    """
    while begin < end:
        begin = min(_after_hole(file, begin), end)
        file.seek(begin)
        window = file.read(min(RUN_BYTES, end - begin))
        if window.strip(b'\0'):
            yield begin, window
        if len(window) <= overlap:
            return
        begin += len(window) - overlap


def _after_hole(file: BinaryIO, position: int) -> int:
    """Where the next stored byte is; ``position`` itself where the file system does not tell."""
    if not hasattr(os, 'SEEK_DATA'):
        return position
    number = file.fileno()
    # The buffered file relies on the descriptor's place.
    before = os.lseek(number, 0, os.SEEK_CUR)
    try:
        return os.lseek(number, position, os.SEEK_DATA)
    except OSError as error:
        return os.fstat(number).st_size if error.errno == errno.ENXIO else position
    finally:
        os.lseek(number, before, os.SEEK_SET)


def _counts(entries: 'array[int]') -> Dict[int, int]:
    keys, counts = np.unique(np.frombuffer(entries, np.int64)[::4], return_counts=True) if entries else ((), ())
    return {int(key): int(count) for key, count in zip(keys, counts)}


def read_at(file: BinaryIO, position: int, length: int) -> bytes:
    """So many bytes from a place of a file on; fewer at its end."""
    file.seek(position)
    return file.read(length)

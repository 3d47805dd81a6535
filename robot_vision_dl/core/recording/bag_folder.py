"""One bag as ROS 2 has it: a folder with an mcap file and, once it is closed, a ``metadata.yaml``.

What ``ros2 bag info``, ``ros2 bag play`` and our own reader take. Without metadata, as a killed writer leaves it, our
reader reads what there is and says so; ``ros2 bag reindex`` makes the metadata.
"""
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Mapping, Optional, Sequence, Tuple

from ..errors import OutputError
from ..files.whole_files import to_disk, write_whole
from .mcap_writer import Chunk, McapWriter, RecordedMessage

METADATA = 'metadata.yaml'
_VERSION = 8  # the last one in which QoS profiles are text; read by Humble and later
_MOST_NUMBER = (1 << 63) - 1


def storage_name(bag: str) -> str:
    """The name of the only mcap file of a bag."""
    return f'{bag}_0.mcap'


class BagFolder:
    """A bag that is being written; nothing is there before the first messages.

    Attributes:
        path: its folder.
        charged: bytes that it will take once it is closed.
        opened_s: when the first messages were written, by the caller's clock; None: there are none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.charged = 0
        self.opened_s: Optional[float] = None
        self._writer = McapWriter(path / storage_name(path.name))

    @classmethod
    def left_behind(cls, path: Path) -> 'BagFolder':
        """A bag whose writer was killed, to be closed; what is whole of it stays.

        Raises:
            OSError: it cannot be read or written.
            ValueError: it was not written by this class.
        """
        bag = cls(path)
        bag._writer = McapWriter.reopen(bag._writer.path)
        bag.opened_s = 0.0
        return bag

    @property
    def end_ns(self) -> Optional[int]:
        """The latest time of a message."""
        return self._writer.end_ns

    def prepare(self, messages: Sequence[RecordedMessage]) -> Tuple[Chunk, int]:
        """What :meth:`append` takes, and the bytes that the bag will then take once it is closed."""
        chunk = self._writer.prepare(messages)
        topics = dict.fromkeys((*self._writer.counts(), *chunk.channels), _MOST_NUMBER)
        return chunk, self._writer.closed_size(chunk) + len(_bag_metadata(self.path.name, topics, _MOST_NUMBER,
                                                                          _MOST_NUMBER))

    def append(self, chunk: Chunk, charged: int, now_s: float) -> None:
        """Write messages; arguments as :meth:`prepare` gives them.

        Raises:
            OSError: they cannot be written; none of them is there.
        """
        if self.opened_s is None:
            self.path.mkdir(parents=True, exist_ok=True)
        self._writer.append(chunk)
        if self.opened_s is None:
            self.opened_s = now_s
            self._writer.sync()
            to_disk(self.path)
            to_disk(self.path.parent)
        self.charged = charged

    def sync(self) -> None:
        """Have all on the disk that was written; raises OSError."""
        self._writer.sync()

    def is_removed(self) -> bool:
        """Whether somebody has removed, moved or replaced its file."""
        return self._writer.is_removed()

    def close(self) -> None:
        """Finish the bag; where there is no room to do so it stays as a killed writer leaves it."""
        if self.opened_s is None:
            with suppress(OSError):
                self.path.rmdir()  # made for messages for which there was no room
            return
        try:
            gone = self.is_removed()
            self._writer.close()
            if not gone:
                start, end = self._writer.start_ns or 0, self._writer.end_ns or 0
                write_whole(self.path / METADATA,
                            _bag_metadata(self.path.name, self._writer.counts(), start, end - start))
        except (OSError, OutputError):
            pass
        with suppress(OSError):
            self.charged = sum(entry.stat().st_size for entry in os.scandir(self.path))


def _bag_metadata(bag: str, counts: Mapping[Tuple[str, str], int], start_ns: int, duration_ns: int) -> str:
    total = min(sum(counts.values()), _MOST_NUMBER)
    name = json.dumps(storage_name(bag))
    lines = ['rosbag2_bagfile_information:', f'  version: {_VERSION}', '  storage_identifier: mcap',
             '  duration:', f'    nanoseconds: {duration_ns}',
             '  starting_time:', f'    nanoseconds_since_epoch: {start_ns}',
             f'  message_count: {total}', '  topics_with_message_count:']
    for (topic, msgtype), count in counts.items():
        lines += ['    - topic_metadata:', f'        name: {json.dumps(topic)}', f'        type: {msgtype}',
                  '        serialization_format: cdr', '        offered_qos_profiles: ""',
                  '        type_description_hash: ""', f'      message_count: {count}']
    lines += ['  compression_format: ""', '  compression_mode: ""', '  relative_file_paths:', f'    - {name}',
              '  files:', f'    - path: {name}', '      starting_time:',
              f'        nanoseconds_since_epoch: {start_ns}', '      duration:', f'        nanoseconds: {duration_ns}',
              f'      message_count: {total}', '  custom_data: ~', '  ros_distro: ""']
    return '\n'.join(lines) + '\n'

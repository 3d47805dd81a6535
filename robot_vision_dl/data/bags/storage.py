"""One storage file: unpacked where it is compressed as a whole, opened by its format, unpacked message by message."""
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO, Callable, Collection, Dict, Iterator, List, Optional, Union

from ...core.errors import BagError, MachineError, raise_about_machine
from ...core.files.lfs_pointer import REMEDY, is_lfs_pointer
from ...core.text.printable import printable
from .blocks import BlockFile
from .channel import Channel, RawMessage
from .db3 import Db3File
from .files import STORAGE_SUFFIXES, storage_suffix
from .limits import TEMPORARY_VARIABLE, most_temporary_bytes, too_large, unpacked, zstd_blocks
from .mcap import McapFile
from .ros1 import Ros1File

_FORMATS: Dict[str, Callable[[Path, str], Union[BlockFile, Db3File]]] = {
    '.mcap': McapFile, '.db3': Db3File, '.bag': Ros1File}
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


class Storage:
    """One storage file.

    Attributes:
        channels: its topics.
        start_ns, end_ns: receive time of the first and the last message; None if there is none.
    """

    def __init__(self, path: Path) -> None:
        """Open ``path``.

        Raises:
            BagError: the file is empty, no file, or nothing in it can be read.
            MachineError: the machine keeps it from being read.
        """
        self.path = path
        self._told: List[str] = []
        self._temporary: Optional[tempfile.TemporaryDirectory[str]] = None
        self._file: Union[BlockFile, Db3File, None] = None
        try:
            _check(path)
            wal = path.with_name(path.name + '-wal')
            if wal.is_file() and wal.stat().st_size:
                name = printable(path.name)
                self._told.append(f'{name}: {printable(wal.name)} holds messages that are not merged and are not read; '
                                  f'merge them with `sqlite3 {name} "PRAGMA wal_checkpoint"`')
            stored = path if path.suffix in (*STORAGE_SUFFIXES, '.active') else self._decompressed()
            self._file = _FORMATS[storage_suffix(path)](stored, printable(path.name))
        except OSError as error:
            self.close()
            raise_about_machine(error, printable(path))
            raise BagError(f'{printable(path)}: cannot be read: {error.strerror or printable(error)}') from error
        except BaseException:
            self.close()
            raise
        self.channels = self._file.channels
        # A sound bag may be empty; one in which nothing can be read is refused.
        if self.problems and not any(channel.messages for channel in self.channels):
            reason = '; '.join(self.problems[:3])
            self.close()
            raise BagError(f'{printable(path)}: no message in it can be read ({reason}); it may not be a bag, or only '
                           'its beginning was copied')
        self.start_ns, self.end_ns = self._file.start_ns, self._file.end_ns

    @property
    def counts(self) -> Optional[Dict[str, int]]:
        """Messages that were found, by topic as it stands there; None until all of the file has been read."""
        return None if self._file is None else self._file.counts

    @property
    def problems(self) -> List[str]:
        """Sentences about what is missing or damaged; complete once all messages have been read."""
        return self._told + (self._file.problems if self._file is not None else [])

    def close(self) -> None:
        """Close the file and remove what was decompressed for it."""
        if self._file is not None:
            self._file.close()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def messages(self, channels: Collection[Channel], start_ns: Optional[int] = None,
                 end_ns: Optional[int] = None) -> Iterator[RawMessage]:
        """Messages of ``channels`` with ``start_ns`` <= receive time < ``end_ns``, in time order.

        Raises:
            MachineError: the machine keeps them from being read.
        """
        if not channels:
            return
        assert self._file is not None
        failed: Dict[str, int] = {}
        try:
            for message in self._file.messages(channels, start_ns, end_ns):
                # rosbag2 can compress each message by itself; no CDR begins with these bytes.
                if message.data[:4] == _ZSTD_MAGIC and message.channel.encoding != 'ros1':
                    data, complaint = unpacked(message.data, 'zstd', None, 'a message')
                    if complaint:
                        topic = printable(message.channel.topic)
                        failed[topic] = failed.get(topic, 0) + 1
                        if failed[topic] == 1:
                            self._tell(f'{topic}: messages are left out, the first because {complaint}')
                        continue
                    message = message._replace(data=data)
                yield message
        except OSError as error:
            raise_about_machine(error, printable(self.path))
            raise BagError(f'{printable(self.path)}: cannot be read any more: {error.strerror}') from error

    def _tell(self, text: str) -> None:
        text = f'{printable(self.path.name)}: {text}'
        if text not in self._told:
            self._told.append(text)

    def _decompressed(self) -> Path:
        """A copy without the .zstd of rosbag2's file compression; as much of it as there is."""
        most = most_temporary_bytes(self.path.stat().st_size)
        try:
            self._temporary = tempfile.TemporaryDirectory(prefix='robot_vision_bag_')
        except FileNotFoundError as error:
            raise MachineError(f'{printable(self.path)}, being unpacked: {error.strerror or error}; TMPDIR chooses '
                               'another place') from error
        target = Path(self._temporary.name, 'bag')
        try:
            with self.path.open('rb') as packed, target.open('wb') as copy:
                self._unpack_file(packed, copy, most)
        except OSError as error:
            raise_about_machine(error, f'{printable(self.path)}, being unpacked in {target.parent}; TMPDIR says where')
            raise
        return target

    def _unpack_file(self, packed: BinaryIO, copy: BinaryIO, most: int) -> None:
        size = 0
        try:
            for block in zstd_blocks(packed):
                size += len(block)
                if size > most:
                    self._tell(f'only its beginning is read: {too_large("it", size, most, TEMPORARY_VARIABLE)}')
                    return
                copy.write(block)
        except BagError as error:
            self._tell(f'its compression is cut off or damaged ({printable(error)})')


def _check(path: Path) -> None:
    """Refuse what is no file of a bag before anything waits for it.

    Raises:
        BagError: see there.
        OSError: it cannot be opened.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = {stat.S_IFIFO: 'a named pipe', stat.S_IFDIR: 'a folder', stat.S_IFSOCK: 'a socket'}.get(
            stat.S_IFMT(mode), 'a device')
        raise BagError(f'{printable(path)}: is {kind}, not a file; copy the bag to a file')
    with path.open('rb') as file:
        beginning = file.read(1)
    if not beginning:
        raise BagError(f'{printable(path)}: empty (0 bytes); the recorder wrote nothing, record again')
    if is_lfs_pointer(path):
        raise BagError(f'{printable(path)}: {REMEDY}')

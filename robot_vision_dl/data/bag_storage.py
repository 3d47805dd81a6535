"""One storage file, read through rosbags, or salvaged where rosbags gives up."""
import shutil
import tempfile
from pathlib import Path
from typing import Collection, Dict, Iterator, List, Optional

from rosbags.interfaces import MessageDefinitionFormat, QosDurability
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag2 import Reader as Ros2Reader

from ..core.errors import BagError, MachineError, raise_about_machine
from .bag_channel import Channel, RawMessage
from .bag_files import storage_suffix
from .bag_salvage import Db3Salvage, McapSalvage, Ros1Salvage

_SALVAGE = {'.mcap': McapSalvage, '.db3': Db3Salvage, '.bag': Ros1Salvage}
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


class Storage:
    """One storage file.

    Attributes:
        channels: its topics.
        start_ns, end_ns: receive time of the first and the last message; None if there is none.
        problems: sentences about what could not be read; grows while messages are read.
    """

    def __init__(self, path: Path):
        """Open ``path``.

        Raises:
            BagError: the file is empty, or nothing in it can be read.
        """
        self.path = path
        self.problems: List[str] = []
        self._suffix = storage_suffix(path)
        self._temporary: Optional[tempfile.TemporaryDirectory] = None
        self._reader = None
        self._salvage = None
        if path.stat().st_size == 0:
            raise BagError(f'{path}: empty (0 bytes); the recorder wrote nothing, record again')
        wal = path.with_name(path.name + '-wal')
        if wal.is_file() and wal.stat().st_size:
            self.problems.append(f'{path.name}: {wal.name} holds messages that are not merged and are not read; '
                                 f'merge them with `sqlite3 {path.name} "PRAGMA wal_checkpoint"`')
        self._file = path if path.suffix in ('.mcap', '.db3', '.bag', '.active') else self._decompressed()
        self._connections: Dict[int, object] = {}
        try:
            self._open()
        # A damaged file makes rosbags raise whatever its first wrong read does: struct.error, TypeError, ...
        except Exception as error:
            self._open_salvage(error)

    def close(self) -> None:
        """Close the file and remove what was decompressed for it."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._salvage is not None:
            self._salvage.close()
            self._salvage = None
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def messages(self, channels: Collection[Channel], start_ns: Optional[int] = None,
                 end_ns: Optional[int] = None) -> Iterator[RawMessage]:
        """Messages of ``channels`` with ``start_ns`` <= receive time < ``end_ns``, in time order."""
        if not channels:
            return
        if self._salvage is None:
            last_ns = None
            by_key = {channel.key: channel for channel in channels}
            connections = [self._connections[channel.key] for channel in channels]
            try:
                for connection, stamp, data in self._reader.messages(connections, start_ns, end_ns):
                    yield RawMessage(by_key[connection.id], stamp, _unpacked(data))
                    last_ns = stamp
                return
            except Exception as error:
                self._open_salvage(error)
                start_ns = start_ns if last_ns is None else last_ns + 1
        wanted = {channel.key for channel in channels}
        for message in self._salvage.messages([c for c in self._salvage.channels if c.key in wanted], start_ns, end_ns):
            yield message._replace(data=_unpacked(message.data))

    def _open(self) -> None:
        reader = Ros1Reader(self._file) if self._suffix == '.bag' else Ros2Reader(self._file)
        reader.open()
        self._reader = reader
        self._connections = {connection.id: connection for connection in reader.connections}
        self.channels = [_channel(connection, self._suffix) for connection in reader.connections]
        has_messages = any(channel.count for channel in self.channels)
        self.start_ns = reader.start_time if has_messages else None
        # rosbags gives the time after the last message.
        self.end_ns = reader.end_time - 1 if has_messages else None

    def _open_salvage(self, error: Exception) -> None:
        try:
            raise_about_machine(error, self.path)
        except MachineError:
            self.close()
            raise
        self._salvage = _SALVAGE[self._suffix](self._file)
        self.problems += self._salvage.problems
        if not any(channel.count for channel in self._salvage.channels):
            self.close()
            reason = ' '.join(str(error).split()) or type(error).__name__
            raise BagError(f'{self.path}: no message in it can be read ({reason}); it may not be a bag, or only its '
                           'beginning was copied') from error
        if self._reader is None:
            self.channels = self._salvage.channels
            self.start_ns, self.end_ns = self._salvage.start_ns, self._salvage.end_ns

    def _decompressed(self) -> Path:
        """A copy without the .zstd of rosbag2's file compression; as much of it as there is."""
        try:
            return self._decompress()
        except OSError as error:  # nowhere to put it, or the disk was full when the last of it was written
            self.close()
            raise_about_machine(error, f'{self.path}, being decompressed')
            raise MachineError(f'{self.path}, being decompressed: {error}; TMPDIR chooses another place') from error
        except MachineError:
            self.close()
            raise

    def _decompress(self) -> Path:
        self._temporary = tempfile.TemporaryDirectory(prefix='robot_vision_bag_')
        target = Path(self._temporary.name, self.path.stem)
        with self.path.open('rb') as packed, target.open('wb') as unpacked:
            try:
                with _zstd().open(packed, 'rb') as stream:
                    shutil.copyfileobj(stream, unpacked)
            except (EOFError, OSError, _zstd().ZstdError) as error:
                raise_about_machine(error, f'{self.path}, being decompressed in {target.parent} (TMPDIR chooses where)')
                self.problems.append(f'{self.path.name}: its compression is cut off or damaged ({error})')
        return target


def _unpacked(data: bytes) -> bytes:
    """rosbag2 can compress each message by itself; no CDR begins with these bytes."""
    return _zstd().decompress(data) if data[:4] == _ZSTD_MAGIC else data


def _channel(connection, suffix: str) -> Channel:
    definition = connection.msgdef
    if suffix == '.bag':
        return Channel(connection.id, connection.topic, connection.msgtype, 'ros1', 'ros1msg', definition.data,
                       bool(connection.ext.latching), connection.msgcount)
    form = {MessageDefinitionFormat.MSG: 'ros2msg', MessageDefinitionFormat.IDL: 'ros2idl'}.get(definition.format, '')
    latched = any(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in connection.ext.offered_qos_profiles)
    return Channel(connection.id, connection.topic, connection.msgtype, connection.ext.serialization_format, form,
                   definition.data, latched, connection.msgcount)


def _zstd():
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd

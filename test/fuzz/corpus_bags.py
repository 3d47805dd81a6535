"""Small sound bags of every format, and what damages them: blindly, or where their records, rows and metadata stand.

mcap files are written by the mcap library and by rosbags, so that those with and without chunks, indexes and checksums
are among them; sqlite3 and ROS 1 by rosbags; and one by the package's own writer.
"""
import os
import re
import shutil
import sqlite3
import struct
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_typestore

IMAGE, COMPRESSED, STRING = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage', 'std_msgs/msg/String'
TOPICS = {'/camera/image_raw': IMAGE, '/camera/image_raw/compressed': COMPRESSED, '/label': STRING}
FRAMES = 12
T0_NS = 1_700_000_000_000_000_000
_PERIOD_NS = 100_000_000
_SHARED_MOST_BYTES = 700_000
_PAGE = 4096


def good_bags(folder: Path) -> List[Path]:
    """Write all into ``folder``: files and folders of bags, each with the topics of ``TOPICS``.

    Bags of the folder ``bags`` in ``RVD_DATA`` are added where there are any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = [_mcap(folder / f'{name}.mcap', **options) for name, options in _MCAP_KINDS.items()]
    for storage, mode in (('MCAP', 'NONE'), ('MCAP', 'STORAGE'), ('MCAP', 'FILE'), ('SQLITE3', 'NONE'),
                          ('SQLITE3', 'MESSAGE'), ('SQLITE3', 'FILE')):
        made.append(_rosbag2(folder / f'rosbags_{storage.lower()}_{mode.lower()}', storage, mode))
    made += [_rosbag1(folder / f'ros1_{kind.lower()}.bag', kind) for kind in ('none', 'BZ2', 'LZ4')]
    made.append(_own(folder / 'own'))
    shared = Path(os.environ.get('RVD_DATA', 'no data'), 'bags')
    for path in sorted(shared.iterdir()) if shared.is_dir() else []:
        if sum(file.stat().st_size for file in storage_files(path)) < _SHARED_MOST_BYTES:
            made.append(_copied(path, folder / f'shared_{path.name}'))
    return made


def storage_files(bag: Path) -> List[Path]:
    """The files of a bag without metadata.yaml."""
    return [bag] if bag.is_file() else sorted(file for file in bag.iterdir() if file.suffix != '.yaml')


def mutations(path: Path, rng: np.random.Generator) -> bytes:
    """The content of the file ``path``, damaged in one way or up to three."""
    content = path.read_bytes()
    for _ in range(1 + int(rng.integers(3)) * int(rng.integers(2))):
        kind = str(rng.choice(list(_kinds(path))))
        content = _kinds(path)[kind](content, rng)
    return content


def mutated_bag(bag: Path, folder: Path, rng: np.random.Generator) -> Tuple[str, Path]:
    """A copy of ``bag`` in ``folder`` (which is emptied), damaged in one way: (which way, the copy)."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copy = _copied(bag, folder / bag.name)
    files = storage_files(copy)
    if copy.is_dir() and (copy / 'metadata.yaml').exists() and rng.random() < 0.2:
        files = [copy / 'metadata.yaml']
    file = files[int(rng.integers(len(files)))]
    if '.db3' in file.suffixes and file.suffix == '.db3' and rng.random() < 0.4:
        name = str(rng.choice(list(_SQL)))
        _change_database(file, _SQL[name], rng)
        return name, copy
    kinds = _kinds(file)
    name = str(rng.choice(list(kinds)))
    file.write_bytes(kinds[name](file.read_bytes(), rng))
    return name, copy


def _kinds(path: Path) -> Dict[str, Callable[[bytes, np.random.Generator], bytes]]:
    if path.suffix == '.yaml':
        return {**GENERIC, 'yaml value': _yaml_value}
    if path.suffix == '.mcap':
        return {**GENERIC, 'mcap number': _mcap_number, 'mcap record': _mcap_record, 'mcap operation': _mcap_operation}
    if path.suffix == '.bag':
        return {**GENERIC, 'ros1 field': _ros1_field, 'ros1 length': _ros1_length}
    if path.suffix == '.db3':
        return {**GENERIC, 'page zeroed': _page_zeroed, 'pages swapped': _pages_swapped, 'page bytes': _page_bytes}
    return GENERIC


def zeroed_sector(content: bytes, rng: np.random.Generator) -> bytes:
    """512 bytes at a multiple of 512 are zero, as a disk gives back what it lost."""
    at = 512 * int(rng.integers(max(1, len(content) // 512)))
    return content[:at] + bytes(len(content[at:at + 512])) + content[at + 512:]


def flipped_bits(content: bytes, rng: np.random.Generator) -> bytes:
    """One to eight bits are turned."""
    changed = bytearray(content)
    for _ in range(1 + int(rng.integers(8)) if content else 0):
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    """Only the beginning is there."""
    return content[:int(rng.integers(len(content) + 1))]


def swapped_blocks(content: bytes, rng: np.random.Generator) -> bytes:
    """Two blocks of 512 bytes have changed places."""
    first, second = sorted(512 * int(at) for at in rng.integers(0, max(1, len(content) // 512), 2))
    if second - first < 512:
        return content
    return (content[:first] + content[second:second + 512] + content[first + 512:second] + content[first:first + 512]
            + content[second + 512:])


def _removed(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content) + 1))
    return content[:at] + content[at + int(rng.integers(1, 2000)):]


def _inserted(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content) + 1))
    return content[:at] + rng.bytes(int(rng.integers(1, 600))) + content[at:]


def _odd_number(content: bytes, rng: np.random.Generator) -> bytes:
    """Four or eight bytes anywhere become a number at the edge of what can be counted."""
    size = int(rng.choice((2, 4, 8)))
    at = int(rng.integers(max(1, len(content) - size)))
    return content[:at] + _edge(size, rng) + content[at + size:]


GENERIC = {'zeroed sector': zeroed_sector, 'flipped bits': flipped_bits, 'cut': cut, 'swapped blocks': swapped_blocks,
           'removed': _removed, 'inserted': _inserted, 'odd number': _odd_number}
"""Damage that knows nothing of the format: name to function of (content, rng)."""


def _edge(size: int, rng: np.random.Generator) -> bytes:
    top = 1 << (8 * size)
    values = (0, 1, 2, 7, 9, 21, 22, 100, top // 2 - 1, top // 2, top - 1, top - 9, 1 << 16, 1 << 31, 1 << 33,
              100_000_000, int(rng.integers(1 << 15)), int(rng.integers(1 << 30)))
    return (values[int(rng.integers(len(values)))] % top).to_bytes(size, 'little')


def mcap_records(content: bytes) -> List[Tuple[int, int, int]]:
    """(offset, operation, length) of each record, those in uncompressed chunks too."""
    found, ends, at = [], [len(content) - 8], 8
    while at + 9 <= len(content) - 8:
        operation, length = struct.unpack_from('<BQ', content, at)
        if at + 9 + length > ends[0]:
            break
        found.append((at, operation, length))
        compression = struct.unpack_from('<I', content, at + 37)[0] if operation == 6 and length > 40 else -1
        at += 9 + (length if compression else 40)
    return found


def _mcap_number(content: bytes, rng: np.random.Generator) -> bytes:
    """A number among the first of a record (ids, lengths, stamps, sizes, checksums) becomes another."""
    records = mcap_records(content)
    if not records:
        return _odd_number(content, rng)
    operations = sorted({operation for _, operation, _ in records})
    operation = operations[int(rng.integers(len(operations)))]
    chosen = [record for record in records if record[1] == operation]
    at, _, length = chosen[int(rng.integers(len(chosen)))]
    size = int(rng.choice((2, 4, 8)))
    at += 9 + int(rng.integers(max(1, min(length, 64))))
    return content[:at] + _edge(size, rng) + content[at + size:]


def _mcap_record(content: bytes, rng: np.random.Generator) -> bytes:
    """The length of a record lies."""
    records = mcap_records(content)
    if not records:
        return _odd_number(content, rng)
    at, _, length = records[int(rng.integers(len(records)))]
    lie = _edge(8, rng) if rng.random() < 0.5 else struct.pack('<Q', max(0, length + int(rng.integers(-40, 40))))
    return content[:at + 1] + lie + content[at + 9:]


def _mcap_operation(content: bytes, rng: np.random.Generator) -> bytes:
    records = mcap_records(content)
    if not records:
        return _odd_number(content, rng)
    at = records[int(rng.integers(len(records)))][0]
    return content[:at] + bytes([int(rng.integers(18))]) + content[at + 1:]


def _ros1_field(content: bytes, rng: np.random.Generator) -> bytes:
    """The value, or the name, of a header's field becomes another."""
    fields = list(re.finditer(
        rb'(conn_count|chunk_count|index_pos|chunk_pos|conn|count|size|ver|op|time|start_time|end_time|compression|topic'
        rb'|type|latching|message_definition)=', content))
    if not fields:
        return _odd_number(content, rng)
    match = fields[int(rng.integers(len(fields)))]
    if rng.random() < 0.2:
        at = match.start() + int(rng.integers(len(match.group()) - 1))
        return content[:at] + rng.bytes(1) + content[at + 1:]
    size = int(rng.choice((1, 4, 8)))
    return content[:match.end()] + _edge(size, rng) + content[match.end() + size:]


def _ros1_length(content: bytes, rng: np.random.Generator) -> bytes:
    """The length of a header, of its first field, or of the data before a header becomes another."""
    fields = [match.start() for match in re.finditer(rb'(op|conn|ver|count|compression|chunk_pos|index_pos)=', content)]
    if not fields:
        return _odd_number(content, rng)
    at = max(0, fields[int(rng.integers(len(fields)))] - 4 * int(rng.integers(1, 3)))
    return content[:at] + _edge(4, rng) + content[at + 4:]


def _page_zeroed(content: bytes, rng: np.random.Generator) -> bytes:
    at = _PAGE * int(rng.integers(max(1, len(content) // _PAGE)))
    return content[:at] + bytes(len(content[at:at + _PAGE])) + content[at + _PAGE:]


def _pages_swapped(content: bytes, rng: np.random.Generator) -> bytes:
    pages = [content[at:at + _PAGE] for at in range(0, len(content), _PAGE)]
    first, second = rng.integers(0, len(pages), 2)
    pages[first], pages[second] = pages[second], pages[first]
    return b''.join(pages)


def _page_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """A byte in a page's header or among its first cells, which say where its rows are."""
    at = _PAGE * int(rng.integers(max(1, len(content) // _PAGE))) + int(rng.integers(40))
    return content[:at] + rng.bytes(1) + content[at + 1:]


_ODD_YAML = ('', '~', '[]', '{}', '-1', '1e999', '9' * 5000, '!!int ""', '!!timestamp "x"', '!!float "x"', '2001-99-99',
             '[' * 2000, '&a [*a]', '!!python/object:os.system x', '"\\e[31m"', '.nan', 'true', '../../../etc/passwd',
             '/dev/zero', '0x7fffffffffffffff', '"' + 'x' * 50_000 + '"')


def _yaml_value(content: bytes, rng: np.random.Generator) -> bytes:
    """One value becomes another, of a kind that YAML has and metadata has not."""
    lines = content.split(b'\n')
    at = int(rng.integers(len(lines)))
    key, colon, _ = lines[at].partition(b':')
    if colon:
        lines[at] = key + b': ' + _ODD_YAML[int(rng.integers(len(_ODD_YAML)))].encode()
    return b'\n'.join(lines)


_ENDLESS = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) '
_SQL = {
    'timestamp as text': "UPDATE messages SET timestamp = 'soon' WHERE id = {row}",
    'timestamp as real': 'UPDATE messages SET timestamp = 1e300 WHERE id = {row}',
    'timestamp negative': 'UPDATE messages SET timestamp = -timestamp WHERE id = {row}',
    'data as text': "UPDATE messages SET data = 'picture' WHERE id = {row}",
    'data as number': 'UPDATE messages SET data = 7 WHERE id = {row}',
    'data is empty': "UPDATE messages SET data = x'' WHERE id = {row}",
    'data bytes': "UPDATE messages SET data = x'28b52ffd' || data WHERE id = {row}",
    'topic unknown': 'UPDATE messages SET topic_id = 77 WHERE id = {row}',
    'topic as text': "UPDATE messages SET topic_id = 'camera' WHERE id = {row}",
    'topic without name': "UPDATE topics SET name = ''",
    'topic name is bytes': "UPDATE topics SET name = x'ff00fe'",
    'topic name is long': "UPDATE topics SET name = '/' || hex(zeroblob(25000))",
    'type is bytes': "UPDATE topics SET type = x'ff00fe'",
    'type is a number': 'UPDATE topics SET type = 5',
    'type is long': "UPDATE topics SET type = hex(zeroblob(25000)) || '/msg/Image'",
    'format is other': "UPDATE topics SET serialization_format = 'json'",
    'qos is other': "UPDATE topics SET offered_qos_profiles = '[[[['",
    'row lost': 'DELETE FROM messages WHERE id = {row}',
    'row moved': 'UPDATE messages SET id = 9223372036854775807 WHERE id = {row}',
    'no topics': 'DROP TABLE topics',
    'no messages': 'DROP TABLE messages',
    'no definitions': 'DROP TABLE message_definitions',
    'no schema': 'DROP TABLE schema',
    'schema version': 'UPDATE schema SET schema_version = 99',
    'definition': "UPDATE message_definitions SET encoded_message_definition = 'float64 X=1e999'",
    'column lost': 'ALTER TABLE messages DROP COLUMN data',
    'endless view': 'ALTER TABLE messages RENAME TO m; CREATE VIEW messages AS ' + _ENDLESS
                    + "SELECT i AS id, 1 AS topic_id, i AS timestamp, x'00' AS data FROM n",
    'endless topics': 'ALTER TABLE topics RENAME TO t; CREATE VIEW topics AS ' + _ENDLESS
                      + 'SELECT i AS id, name, type, serialization_format, offered_qos_profiles FROM n JOIN t',
    'computed data': 'ALTER TABLE messages RENAME TO m; CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, '
                     'timestamp, data GENERATED ALWAYS AS (zeroblob(900000000))); '
                     'INSERT INTO messages SELECT id, topic_id, timestamp FROM m',
}


def _change_database(file: Path, statement: str, rng: np.random.Generator) -> None:
    with sqlite3.connect(file) as database:
        last = database.execute('SELECT max(id) FROM messages').fetchone()[0] or 1
        try:
            database.executescript(statement.format(row=int(rng.integers(1, last + 1))))
        except sqlite3.Error:
            pass  # an older schema, or an older SQLite: the bag stays as it is
    database.close()


def _copied(path: Path, target: Path) -> Path:
    """A copy that may be written to."""
    if path.is_file():
        shutil.copyfile(path, target)
        return target
    target.mkdir(parents=True)
    for file in path.iterdir():
        shutil.copyfile(file, target / file.name)
    return target


def _messages(store, ros1: bool = False):
    """(topic, type, stamp, message) of ``FRAMES`` pictures, as they are, as JPEG, and with a label at every fourth."""
    rng = np.random.default_rng(0)
    types = store.types
    for index in range(FRAMES):
        stamp = T0_NS + index * _PERIOD_NS
        time = types['builtin_interfaces/msg/Time'](sec=stamp // 10**9, nanosec=stamp % 10**9)
        header = types['std_msgs/msg/Header'](stamp=time, frame_id='camera', **({'seq': index} if ros1 else {}))
        pixels = cv2.resize(rng.integers(0, 256, (5, 6, 3), np.uint8), (40, 32), interpolation=cv2.INTER_CUBIC)
        yield '/camera/image_raw', IMAGE, stamp, types[IMAGE](
            header=header, height=32, width=40, encoding='bgr8', is_bigendian=0, step=120, data=pixels.reshape(-1))
        yield '/camera/image_raw/compressed', COMPRESSED, stamp + 1000, types[COMPRESSED](
            header=header, format='bgr8; jpeg compressed bgr8', data=cv2.imencode('.jpg', pixels)[1].reshape(-1))
        if index % 4 == 0:
            yield '/label', STRING, stamp + 2000, types[STRING](data=('bolt', 'nut', 'gear')[index // 4])


_MCAP_KINDS = {
    'unchunked': {'chunking': False},
    'unchunked_plain': {'chunking': False, 'checksums': False, 'index': False},
    'chunked': {},
    'chunked_lz4': {'compression': 'LZ4'},
    'chunked_zstd': {'compression': 'ZSTD'},
    'chunked_plain': {'checksums': False},
}


def _mcap(path: Path, chunking: bool = True, compression: str = 'NONE', checksums: bool = True,
          index: bool = True) -> Path:
    from mcap.writer import CompressionType, IndexType, Writer
    store = get_typestore(Stores.ROS2_HUMBLE)
    with path.open('wb') as stream:
        writer = Writer(stream, chunk_size=8192, use_chunking=chunking, compression=CompressionType[compression],
                        enable_crcs=checksums, enable_data_crcs=checksums, use_statistics=index,
                        use_summary_offsets=index, index_types=IndexType.ALL if index else IndexType.NONE)
        writer.start('ros2', 'corpus')
        channels = {}
        for topic, msgtype in TOPICS.items():
            schema = writer.register_schema(msgtype, 'ros2msg',
                                            store.generate_msgdef(msgtype, ros_version=2)[0].encode())
            channels[topic] = writer.register_channel(topic, 'cdr', schema, {'offered_qos_profiles': ''})
        for number, (topic, msgtype, stamp, message) in enumerate(_messages(store)):
            writer.add_message(channels[topic], stamp, bytes(store.serialize_cdr(message, msgtype)), stamp, number)
        writer.finish()
    return path


def _rosbag2(path: Path, storage: str, mode: str) -> Path:
    store = get_typestore(Stores.ROS2_HUMBLE)
    writer = Ros2Writer(path, version=8, storage_plugin=StoragePlugin[storage])
    writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with writer:
        connections = {topic: writer.add_connection(topic, msgtype, typestore=store)
                       for topic, msgtype in TOPICS.items()}
        for topic, msgtype, stamp, message in _messages(store):
            writer.write(connections[topic], stamp, bytes(store.serialize_cdr(message, msgtype)))
    return path


def _rosbag1(path: Path, compression: str) -> Path:
    store = get_typestore(Stores.ROS1_NOETIC)
    writer = Ros1Writer(path)
    if compression != 'none':
        writer.set_compression(Ros1Writer.CompressionFormat[compression])
    with writer:
        connections = {topic: writer.add_connection(topic, msgtype, typestore=store)
                       for topic, msgtype in TOPICS.items()}
        for topic, msgtype, stamp, message in _messages(store, ros1=True):
            writer.write(connections[topic], stamp, bytes(store.serialize_ros1(message, msgtype)))
    return path


def _own(path: Path) -> Path:
    from robot_vision_dl.data.bags.writer import ImageBagWriter
    from robot_vision_dl.data.labels.messages import encode_label
    rng = np.random.default_rng(1)
    with ImageBagWriter(path) as bag:
        for index in range(FRAMES):
            stamp = T0_NS + index * _PERIOD_NS
            pixels = cv2.resize(rng.integers(0, 256, (5, 6, 3), np.uint8), (40, 32), interpolation=cv2.INTER_CUBIC)
            bag.write_raw('/camera/image_raw', stamp, pixels)
            bag.write_jpeg('/camera/image_raw', stamp + 1000, pixels)
            if index % 4 == 0:
                bag.write_cdr('/label', STRING, stamp + 2000, encode_label(STRING, stamp, 'camera', 'bolt'))
    return path

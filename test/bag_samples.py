"""Small bags in every format, for tests: the same pictures in each."""
import sqlite3
from pathlib import Path
from typing import List

import numpy as np
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_typestore

IMAGE = 'sensor_msgs/msg/Image'
T0_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000


def picture(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Random pixels that tell which frame it is; do not compress well, so that chunks fill up."""
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)


def stamps(count: int) -> List[int]:
    """Receive times of the sample frames."""
    return [T0_NS + index * PERIOD_NS for index in range(count)]


def write_ros2(path: Path, count: int, storage: str = 'mcap', compression: str = 'none', first: int = 0,
               topic: str = '/camera/image_raw') -> Path:
    """A ROS 2 bag of ``count`` frames; ``compression``: none, storage, message or file. Returns the storage file."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    writer = Ros2Writer(path, version=8, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(topic, IMAGE, typestore=store)
        for index in range(first, first + count):
            stamp = T0_NS + index * PERIOD_NS
            writer.write(connection, stamp, store.serialize_cdr(_message(store, index, stamp), IMAGE))
    return next(file for file in path.iterdir() if file.name != 'metadata.yaml')


def write_ros1(path: Path, count: int, compression: str = 'none', trailing: bytes = b'') -> Path:
    """A ROS 1 bag of ``count`` frames on a topic without a leading slash; ``trailing`` follows every message."""
    store = get_typestore(Stores.ROS1_NOETIC)
    writer = Ros1Writer(path)
    if compression != 'none':
        writer.set_compression(Ros1Writer.CompressionFormat[compression.upper()])
    with writer:
        connection = writer.add_connection('camera/image_raw', IMAGE, typestore=store)
        for index, stamp in enumerate(stamps(count)):
            data = bytes(store.serialize_ros1(_message(store, index, stamp, seq=index), IMAGE))
            writer.write(connection, stamp, data + trailing)
    return path


def write_old_db3(path: Path, count: int, topic: str = 'camera/image_raw', msgtype: str = 'sensor_msgs/Image') -> Path:
    """A storage file as the first rosbag2 wrote it: no QoS, no definitions, no metadata.yaml; field spellings."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    with sqlite3.connect(path) as database:
        database.executescript(
            'CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,'
            ' serialization_format TEXT NOT NULL);'
            'CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,'
            ' data BLOB NOT NULL); CREATE INDEX timestamp_idx ON messages (timestamp ASC);')
        database.execute('INSERT INTO topics VALUES (1, ?, ?, "cdr")', (topic, msgtype))
        for index, stamp in enumerate(stamps(count)):
            data = bytes(store.serialize_cdr(_message(store, index, stamp), IMAGE))
            database.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES (1, ?, ?)', (stamp, data))
    database.close()
    return path


def _message(store, index: int, stamp: int, **header):
    pixels = picture(index)
    time = store.types['builtin_interfaces/msg/Time'](sec=stamp // 10**9, nanosec=stamp % 10**9)
    return store.types[IMAGE](
        header=store.types['std_msgs/msg/Header'](stamp=time, frame_id='camera', **header), height=pixels.shape[0],
        width=pixels.shape[1], encoding='bgr8', is_bigendian=0, step=3 * pixels.shape[1], data=pixels.reshape(-1))

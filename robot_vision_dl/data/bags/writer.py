"""Write camera recordings as ROS 2 bags (mcap). The same input gives the same bytes."""
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Dict, Literal, Optional, Type, Union

import cv2
import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer

from ...core.errors import BagError
from ...core.files.user_path import user_path
from ...core.files.whole_files import is_free, whole_folder
from ...core.text.printable import printable
from ..labels.messages import message_store
from .checksums import with_checksums
from .message_types import COMPRESSED_IMAGE, IMAGE
from .reader import normal_topic

if TYPE_CHECKING:
    from rosbags.typesys.store import Msg, Typestore

# The oldest distribution that is supported reads metadata of version 8; in version 9 the QoS profiles are no text.
_METADATA_VERSION: Literal[8] = 8
NS_PER_S = 1_000_000_000


class ImageBagWriter:
    """A bag of image topics, for use as a context manager; it is there, whole, when the block has ended.

    Raw pictures are written to the topic itself, compressed ones to ``<topic>/compressed``, as image_transport does.

    Attributes:
        path: of the bag.
        folder: where it is while it is written; files that go with it (``labels.yaml``) are put there.
    """

    def __init__(self, path: Union[str, Path], frame_id: str = 'camera', overwrite: bool = False,
                 store: Optional['Typestore'] = None) -> None:
        """The bag's folder ``path``; with ``overwrite`` a bag that is there is replaced once the new one is whole.

        Args:
            store: types of messages that are written; default: those of :func:`message_store`.

        Raises:
            BagError: ``path`` exists, or is to be replaced and is no bag.
        """
        self.path = self.folder = user_path(path)
        if self.path.is_dir() and not is_free(self.path) and overwrite:
            check_is_bag(self.path)
        elif self.path.exists() and not is_free(self.path):
            raise BagError(f'{self.path}: exists already and is not overwritten; remove it or choose another name')
        self._overwrite = overwrite
        self._open = ExitStack()
        self.frame_id = frame_id
        self.count = 0
        self._store = store or message_store()
        self._connections: Dict[str, Connection] = {}
        self._types: Dict[str, str] = {}

    def __enter__(self) -> 'ImageBagWriter':
        """Raises :class:`OutputError` where it cannot be written, as leaving the block does."""
        with ExitStack() as opened:
            self.folder = opened.enter_context(whole_folder(self.path, overwrite=self._overwrite, create=False))
            opened.enter_context(with_checksums(self.folder))
            self._writer = opened.enter_context(
                Writer(self.folder, version=_METADATA_VERSION, storage_plugin=StoragePlugin.MCAP))
            self._open = opened.pop_all()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self._open.__exit__(kind, error, trace)

    def write_raw(self, topic: str, stamp_ns: int, bgr: np.ndarray) -> None:
        """Add a ``sensor_msgs/Image`` of ``bgr``: uint8, shape (H, W, 3), or (H, W) for mono8."""
        message = self._store.types[IMAGE](
            header=self._header(stamp_ns), height=bgr.shape[0], width=bgr.shape[1],
            encoding='mono8' if bgr.ndim == 2 else 'bgr8', is_bigendian=0,
            step=bgr.shape[1] * (1 if bgr.ndim == 2 else 3), data=np.ascontiguousarray(bgr).reshape(-1))
        self._write(normal_topic(topic), IMAGE, stamp_ns, message)

    def write_jpeg(self, topic: str, stamp_ns: int, bgr: np.ndarray, quality: int = 90) -> None:
        """Add a ``sensor_msgs/CompressedImage`` of ``bgr`` to ``<topic>/compressed``; ``quality`` 1 to 100."""
        done, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise BagError(f'{self.path}: a picture of shape {bgr.shape} cannot be written as JPEG; use --raw')
        message = self._store.types[COMPRESSED_IMAGE](
            header=self._header(stamp_ns), format='bgr8; jpeg compressed bgr8', data=data.reshape(-1))
        self._write(f'{normal_topic(topic)}/compressed', COMPRESSED_IMAGE, stamp_ns, message)

    def write_cdr(self, topic: str, msgtype: str, stamp_ns: int, cdr: Union[bytes, memoryview]) -> None:
        """Add a message of one of the standard types that is serialized already.

        Raises:
            BagError: the time is before 1970 or after 2262, or the topic has messages of another type already.
        """
        if not 0 <= stamp_ns < 1 << 63:
            raise BagError(f'{self.path}: a message at {stamp_ns} ns cannot be written: bags know times from 0 (1970) '
                           f'to {(1 << 63) - 1} ns')
        self._writer.write(self._connection(normal_topic(topic), msgtype), stamp_ns, cdr)
        self.count += 1

    def _write(self, topic: str, msgtype: str, stamp_ns: int, message: object) -> None:
        self.write_cdr(topic, msgtype, stamp_ns, self._store.serialize_cdr(message, msgtype))

    def _connection(self, topic: str, msgtype: str) -> Connection:
        known = self._types.setdefault(topic, msgtype)
        if known != msgtype:
            raise BagError(f'{printable(self.path)}: the topic {printable(topic)} is to have messages of {known} and '
                           f'of {msgtype}; a topic has one type: choose another name for one of them')
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, msgtype, typestore=self._store)
        return self._connections[topic]

    def _header(self, stamp_ns: int) -> 'Msg':
        seconds, nanoseconds = divmod(stamp_ns, NS_PER_S)
        if not 0 <= seconds < 1 << 31:
            raise BagError(f'{self.path}: a picture at {stamp_ns} ns cannot be written: headers know times from 0 '
                           f'(1970) to {(1 << 31) - 1} s')
        stamp = self._store.types['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds)
        return self._store.types['std_msgs/msg/Header'](stamp=stamp, frame_id=self.frame_id)


def check_is_bag(path: Path) -> None:
    """Raise :class:`BagError` unless ``path`` is the folder of a bag, with its labels, and has nothing else in it."""
    files = list(path.iterdir()) if path.is_dir() else []
    if not files or any(file.name not in ('metadata.yaml', 'labels.yaml') and file.suffix not in ('.mcap', '.db3')
                        for file in files):
        raise BagError(f'{path}: not the folder of a bag, so it is not removed; choose another name')


def fit(picture: np.ndarray, width: Optional[int]) -> np.ndarray:
    """``picture`` scaled to ``width`` with its aspect ratio, area-averaged; None leaves it as it is."""
    if width is None or picture.shape[1] == width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)

"""Decoded frames on disk, resized as the network takes them, so that training reads no bags.

A cache is a folder, named after a hash of everything that its frames follow from: bags and label files (path, size,
time of change), labels, selection, resizing. It holds ``frames.bin``, pixels one after another for memory mapping,
``index.json``, and ``camera.npy``, by which faults of a camera are told. It is written under another name and renamed
when it is whole, so one that is there can be trusted, and any number of processes may read it while others write
theirs.
"""
import hashlib
import json
import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Collection, Dict, Iterator, List, Optional, Sequence, Tuple, Type

import cv2
import numpy as np

from ..core.config import check_values, option
from ..core.errors import DataError, raise_about_machine
from ..core.files.whole_files import output_error, whole_folder
from ..core.networks.preprocess import Preprocessing, resized_size
from ..core.networks.resize import resize
from ..core.text.json_text import parse_json
from ..core.types import ColorOrder, Picture
from ..core.uncertainty.camera.statistics import STATISTICS, look
from .frame_stream import Sample
from .labels.labels import LabelledFrame
from .labels.report import LabelReport, TopicLabels
from .selection import SelectionReport

SCHEMA_VERSION = 4
"""Grows when what is stored is read off pictures in another way (statistics of cameras, say), to read it anew."""
INDEX, PIXELS, CAMERA = 'index.json', 'frames.bin', 'camera.npy'
_REMEDY = 'choose another cache.folder, or make room'
_JPEG: Tuple[int, ...] = (cv2.IMWRITE_JPEG_QUALITY, 95)
if hasattr(cv2, 'IMWRITE_JPEG_SAMPLING_FACTOR'):  # OpenCV 4.7 and later; before, colours have half the resolution
    _JPEG += (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
_TO_RGB = {ColorOrder.BGR: cv2.COLOR_BGR2RGB, ColorOrder.BGRA: cv2.COLOR_BGRA2RGB, ColorOrder.RGBA: cv2.COLOR_RGBA2RGB}


@dataclass(frozen=True)
class CacheConfig:
    """Where decoded frames are kept, and how many."""

    folder: str = option('~/.cache/robot_vision_dl/frames', 'folder of the decoded frames')
    max_gb: float = option(
        20.0, 'caches together may take so many gigabytes (1e9 bytes); those not used for longest are removed',
        minimum=0.001, maximum=1e6)
    format: str = option(
        'auto', 'how frames are kept: raw, jpeg (quality 95, a tenth of the size, slower to read), or auto: raw as '
        'long as they fit in', choices=('auto', 'raw', 'jpeg'))

    def __post_init__(self) -> None:
        check_values(self, 'cache.')


def cached_pixels(picture: Picture, spec: Preprocessing) -> np.ndarray:
    """What is stored of a picture: resized as :class:`~..core.networks.preprocess.Preprocessor` does, not yet cut.

    Returns:
        uint8, shape (H, W, 3) RGB, or (H, W, 1) where the picture is grey.
    """
    height, width = resized_size(spec, picture.height, picture.width)
    pixels = picture.pixels if picture.pixels.ndim == 3 else picture.pixels[..., None]
    if (height, width) != (picture.height, picture.width):
        pixels = resize(pixels, height, width, spec.interpolation)
    return cv2.cvtColor(np.ascontiguousarray(pixels), _TO_RGB[picture.order]) if picture.order in _TO_RGB else pixels


class FrameStore:
    """A cache that is whole: frames, their hashes and pixels. May be pickled, and read by several processes.

    Attributes:
        folder: of the cache; its name is the key.
        frames: all frames, recording after recording, in the order they were recorded.
        hashes: uint64, shape (n,), perceptual hashes of the pictures as they came.
        shapes: int32, shape (n, 3): height, width and channels of the stored pixels.
        sizes: int64, shape (n,): bytes of each.
        camera: float32 (n, 135), :class:`~..core.uncertainty.camera.statistics.Look` of the pictures as they came:
            values and colours.
        label_report, selection_report: of the pass that made it.
    """

    def __init__(self, folder: Path) -> None:
        """Raises :class:`DataError` for a cache that is not there or damaged."""
        self.folder = Path(folder)
        try:
            index = parse_json((self.folder / INDEX).read_bytes(), INDEX)
            if index['schema'] != SCHEMA_VERSION:
                raise ValueError(f'schema {index["schema"]}')
            self.is_jpeg = bool(index['jpeg'])
            names = index['names']
            self.frames: Tuple[LabelledFrame, ...] = tuple(
                LabelledFrame(names[row[0]], names[row[1]], row[2], names[row[3]],
                              None if row[4] is None else names[row[4]], row[5], row[6], names[row[7]],
                              None if row[8] is None else names[row[8]])
                for row in index['frames'])
            self.hashes = np.array([int(text, 16) for text in index['hashes']], np.uint64)
            self.shapes = np.array(index['shapes'], np.int32).reshape(-1, 3)
            self.camera = np.load(self.folder / CAMERA, allow_pickle=False)
            if self.camera.shape != (len(self.frames), STATISTICS):
                raise ValueError(f'{CAMERA} has the shape {self.camera.shape}')
            self.sizes = np.array(index['sizes'], np.int64)
            self._ends = np.cumsum(self.sizes)
            self._starts = self._ends - self.sizes
            self.label_report = _label_report(index['label_report'])
            selection: Dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value
                                         for name, value in index['selection_report'].items()}
            self.selection_report = SelectionReport(**selection)
            found = (self.folder / PIXELS).stat().st_size
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise_about_machine(error, self.folder)  # else a sound cache would be thrown away
            raise DataError(f'{self.folder}: the cache of decoded frames is damaged ({error}); remove this folder'
                            ) from error
        if found != self.sizes.sum():
            raise DataError(f'{self.folder}: {PIXELS} has {found} bytes, not those that {INDEX} tells; remove this '
                            'folder')
        self._pixels: Optional[np.ndarray] = self._mapped()

    def __len__(self) -> int:
        return len(self.frames)

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, '_pixels': None}

    @property
    def key(self) -> str:
        """Hash of what the frames follow from."""
        return self.folder.name

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of what was learned from, wherever it lies: recordings, stamps, labels, looks. For provenance."""
        digest = hashlib.sha256()
        for frame, picture_hash in zip(self.frames, self.hashes.tolist()):
            digest.update(json.dumps((frame.recording, frame.topic, frame.stamp_ns, frame.label, frame.track,
                                      picture_hash)).encode())
        return digest.hexdigest()

    def pixels(self, index: int) -> np.ndarray:
        """uint8, shape (H, W, 3) RGB or (H, W, 1) grey; read-only."""
        if self._pixels is None:
            self._pixels = self._mapped()
        data = self._pixels[self._starts[index]:self._ends[index]]
        if not self.is_jpeg:
            return data.reshape(self.shapes[index])
        decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if decoded is None:
            raise DataError(f'{self.folder}: frame {index} is damaged; remove this folder')
        return decoded[..., None] if decoded.ndim == 2 else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)

    def _mapped(self) -> np.ndarray:
        """All stored bytes; they stay readable while this is there, whoever removes the folder."""
        if not len(self._ends) or not self._ends[-1]:
            return np.zeros(0, np.uint8)
        try:
            return np.memmap(self.folder / PIXELS, np.uint8, 'r')
        except OSError as error:
            raise_about_machine(error, self.folder)
            raise DataError(f'{self.folder}: the cache of decoded frames was removed while it was in use ({error}); '
                            'give the same command again, and raise cache.max_gb if several runs share '
                            'cache.folder') from error

    def picture(self, index: int) -> Picture:
        """The stored pixels, of which :class:`~..core.networks.preprocess.Preprocessor` only cuts and normalises."""
        pixels = self.pixels(index)
        return Picture(pixels[..., 0], ColorOrder.MONO) if pixels.shape[2] == 1 else Picture(pixels, ColorOrder.RGB)


class StoreWriter:
    """Writes a cache; a context manager. Nothing is left behind if it ends by an exception.

    Args:
        root: where the caches are.
        key: of this one.
        spec: how pictures are resized.
        config: how they are kept.
        beside: caches that are needed together with this one: they are not removed, and there must be room for all.
    """

    def __init__(self, root: Path, key: str, spec: Preprocessing, config: CacheConfig,
                 beside: Sequence[FrameStore] = ()) -> None:
        self.target = root / key
        self._root = root
        self._spec = spec
        self._jpeg = config.format == 'jpeg'
        self._may_turn_jpeg = config.format == 'auto'
        self._beside = {store.key: int(store.sizes.sum()) for store in beside}
        self._max_bytes = int(config.max_gb * 1e9) - sum(self._beside.values())
        self._open = ExitStack()
        self._names: Dict[str, int] = {}
        self._rows: List[List[Any]] = []
        self._hashes: List[str] = []
        self._shapes: List[Tuple[int, ...]] = []
        self._sizes: List[int] = []
        self._camera: List[np.ndarray] = []
        self._total = 0

    def __enter__(self) -> 'StoreWriter':
        with ExitStack() as opened:
            opened.enter_context(_told(self._root))
            self._folder = opened.enter_context(whole_folder(self.target, overwrite=True, remedy=_REMEDY))
            self._file = open(self._folder / PIXELS, 'wb')
            self._open = opened.pop_all()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        with suppress(OSError):  # a full disk fails once more here, and what there is goes away
            self._file.close()
        error = error or _NotFinished()
        self._open.__exit__(type(error), error, trace)

    def add(self, sample: Sample) -> None:
        """Store one frame.

        Raises:
            DataError: ``cache.max_gb`` is full.
            OutputError: the disk is.
        """
        pixels = cached_pixels(sample.picture, self._spec)
        data = self._encode(pixels)
        with _told(self._root):
            if self._total + len(data) > self._max_bytes and self._may_turn_jpeg and not self._jpeg:
                self._turn_jpeg()
                data = self._encode(pixels)
            if self._total + len(data) > self._max_bytes:
                raise DataError(self._full())
            self._file.write(data)
        self._total += len(data)
        self._sizes.append(len(data))
        frame = sample.frame
        number = self._number
        self._rows.append([number(frame.recording), number(frame.topic), frame.stamp_ns, number(frame.label),
                           None if frame.track is None else number(frame.track), frame.index, frame.receive_ns,
                           number(frame.path), None if frame.picture is None else number(frame.picture)])
        self._hashes.append(f'{sample.picture_hash:016x}')
        self._shapes.append(pixels.shape)
        found = look(sample.picture)
        self._camera.append(np.concatenate([found.values, found.colours]))

    def finish(self, label_report: LabelReport, selection_report: SelectionReport) -> FrameStore:
        """Make the cache visible; older ones are removed where there is not room for all.

        Raises:
            OutputError: the disk is full.
        """
        index = {'schema': SCHEMA_VERSION, 'jpeg': self._jpeg, 'names': list(self._names), 'frames': self._rows,
                 'hashes': self._hashes, 'shapes': self._shapes, 'sizes': self._sizes,
                 'label_report': asdict(label_report), 'selection_report': asdict(selection_report)}
        with _told(self._root):
            self._file.close()
            np.save(self._folder / CAMERA, np.array(self._camera, np.float32).reshape(-1, STATISTICS))
            with open(self._folder / INDEX, 'w', encoding='utf-8') as file:
                json.dump(index, file)
            _make_room(self._root, self._max_bytes - self._total, {self.target.name, *self._beside})
        self._open.pop_all().close()
        return FrameStore(self.target)

    def _full(self) -> str:
        remedy = 'raise it, thin more (selection.every_s), or set cache.format to jpeg'
        if not self._beside:
            return (f'cache.max_gb: {len(self._rows)} decoded frames fill {self._max_bytes / 1e9:g} GB and there are '
                    f'more; {remedy}')
        held = sum(self._beside.values())
        return (f'cache.max_gb: frames and outliers are needed together and take more than '
                f'{(self._max_bytes + held) / 1e9:g} GB, the frames alone {held / 1e9:.3g} GB; {remedy}, or give fewer '
                'data.outliers')

    def _number(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    def _encode(self, pixels: np.ndarray) -> bytes:
        if not self._jpeg:
            return pixels.tobytes()
        bgr = pixels[..., 0] if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode('.jpg', bgr, _JPEG)
        if not done:
            raise DataError(f'a frame of {pixels.shape} cannot be kept as JPEG; set cache.format to raw')
        return data.tobytes()

    def _turn_jpeg(self) -> None:
        """Encode what was stored raw; all frames of a cache are of one kind, or the kind would tell classes apart."""
        self._jpeg = True
        self._file.close()
        raw, coded = self._folder / PIXELS, self._folder / 'frames.jpeg'
        sizes = []
        with open(raw, 'rb') as source, open(coded, 'wb') as target:
            for shape, size in zip(self._shapes, self._sizes):
                data = self._encode(np.frombuffer(source.read(size), np.uint8).reshape(shape))
                target.write(data)
                sizes.append(len(data))
        os.replace(coded, raw)
        self._sizes, self._total = sizes, sum(sizes)
        self._file = open(raw, 'ab')


def open_store(root: Path, key: str) -> Optional[FrameStore]:
    """The cache ``key`` if there is a whole one; it then counts as used now."""
    index = root / key / INDEX
    if not index.is_file():
        return None
    try:
        store = FrameStore(root / key)
    except DataError:
        shutil.rmtree(root / key, ignore_errors=True)
        return None
    try:
        os.utime(index)
    except OSError:
        pass  # a cache that others own may be read
    return store


def cache_key(files: Sequence[Path], settings: Any) -> str:
    """16 hexadecimal digits that differ when a file (told by path, size and time of change) or a setting does."""
    digest = hashlib.sha256(json.dumps([SCHEMA_VERSION, settings], sort_keys=True).encode())
    for file in files:
        state = file.stat()
        digest.update(json.dumps([str(file.resolve()), state.st_size, state.st_mtime_ns]).encode())
    return digest.hexdigest()[:16]


def _make_room(root: Path, room: int, keep: Collection[str]) -> None:
    """Remove the caches that were not used for longest until the rest, besides ``keep``, takes ``room`` bytes."""
    caches = []
    for folder in root.iterdir():
        if (folder / INDEX).is_file() and folder.name not in keep:
            caches.append(((folder / INDEX).stat().st_mtime, (folder / PIXELS).stat().st_size, folder))
    for _, size, folder in sorted(caches, reverse=True):
        room -= size
        if room < 0:
            # Who has it mapped keeps it: the pages go when the last reader does.
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _told(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise output_error(f'{root}: decoded frames', error, _REMEDY) from error


class _NotFinished(Exception):
    pass


def _label_report(values: Dict[str, Any]) -> LabelReport:
    topics = []
    for item in values['topics']:
        first = item['first_conflict']
        topics.append(TopicLabels(**{
            **item, 'labels': tuple((name, count) for name, count in item['labels']),
            'first_conflict': None if first is None else (first[0], first[1])}))
    return LabelReport(tuple(topics), tuple(values['problems']), tuple(values['notes']))

"""A recording's frames in batches, decoded and preprocessed ahead of the network, with bounded memory."""
import hashlib
import struct
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass, replace
from typing import Deque, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import torch

from ..core.camera_settings import RateLimit
from ..core.config import ClassifierConfig
from ..core.errors import ImageError
from ..core.images import cdr
from ..core.networks.preprocess import HostPixels, Preprocessor
from ..core.regions.crop import BoxError, crop, visible_part
from ..core.regions.fitness import Refusal, refusal_of_part, refusal_of_pixels
from ..core.runtime.frame_counters import BACKWARDS, RATE_LIMITED
from ..core.runtime.frame_reader import StampOrder, read_frame, time_of
from ..core.types import Frame, ImageMessage, Picture, Region
from ..core.uncertainty.camera.statistics import Look, look
from ..data.bag_objects import FoundObject, ObjectCounts
from ..data.bags.message_types import COMPRESSED_IMAGE
from ..data.bags.reader import BagImage
from ..data.labels.labels import FrameLabel
from ..data.learned_pictures import fingerprint
from .recordings import Recording

_FIRST_GUESS_BYTES = 4_000_000
_MOST_UNITS = 64
_TOO_SOON = 'it comes sooner after the one before than the highest rate allows'


@dataclass(frozen=True)
class Drop:
    """A frame that is not decided, and why; ``reason`` as in the live node's account; of an object, its ``label``."""

    topic: str
    index: int
    receive_ns: int
    reason: str
    sentence: str
    label: Optional[FrameLabel] = None


class FedFrame(NamedTuple):
    """A frame, its message, which message of its topic it is, and a digest of the picture as it was sent.

    ``found`` is the object that the frame shows, of the picture ``whole``; None: it shows a whole picture.
    ``fingerprint`` is of what the network sees (:mod:`~..data.learned_pictures`); None where it is not wanted.
    """

    frame: Frame
    message: BagImage
    number: int
    digest: bytes = b''
    found: Optional[FoundObject] = None
    whole: Optional['WholePicture'] = None
    fingerprint: Optional[np.ndarray] = None

    @property
    def topic(self) -> str:
        """Of the images."""
        return self.message.topic

    @property
    def object_number(self) -> int:
        """Of the object's track; -1: it is a whole picture."""
        return -1 if self.found is None else self.found.key

    def track(self, label: FrameLabel) -> str:
        """Name of the object's track: what the labels call it, else what it was followed as."""
        return label.track or ('' if self.found is None else self.found.name)


class WholePicture(NamedTuple):
    """A picture whose objects are judged, and a look at it for faults of its camera, where that is asked for."""

    frame: Frame
    digest: bytes
    look: Optional[Look]


class _Unit(NamedTuple):
    """What becomes a frame: a message, or one object in it; ``reason``: why it does not, empty if it does."""

    message: BagImage
    number: int
    found: Optional[FoundObject] = None
    reason: str = ''
    sentence: str = ''


_Prepared = Tuple[List[Union[FedFrame, Drop]], List[torch.Tensor]]


class FrameBatch(NamedTuple):
    """Frames in the order of the recording.

    Attributes:
        frames: n frames, perhaps none.
        tensors: for each preprocessor (n, C, H, W), or for a GPU (n, H, W, C).
        drops: what was left out on the way here.
    """

    frames: List[FedFrame]
    tensors: List[torch.Tensor]
    drops: List[Drop]


class Feed:
    """Reads one recording; a context manager.

    Args:
        recording: what to read.
        preprocessors: one for each model; those that are equal share their tensors.
        config: how images are read, and when stamps run backwards.
        size: frames in a batch.
        threads: that decode.
        ahead_bytes: pictures that may wait.
        fingerprints: whether :attr:`FedFrame.fingerprint` is wanted.

    Attributes:
        messages: image messages that were read so far.
    """

    def __init__(self, recording: Recording, preprocessors: Sequence[Union[Preprocessor, HostPixels]],
                 config: ClassifierConfig, size: int, threads: int, ahead_bytes: int,
                 fingerprints: bool = False) -> None:
        self._recording, self._config, self._size = recording, config, size
        self._fingerprints = fingerprints
        self.messages = 0
        self._preprocessors = list(preprocessors)
        self._order = StampOrder(config.fusion)
        self._rate = RateLimit()
        self._threads, self._ahead_bytes = threads, ahead_bytes
        self._pool = ThreadPoolExecutor(threads, 'decode', initializer=torch.set_num_threads, initargs=(1,))
        self._objects = recording.find_objects(config)
        self._reader = recording.reader()
        self._batch_bytes = size * _FIRST_GUESS_BYTES

    def __enter__(self) -> 'Feed':
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._reader.close()

    @property
    def problems(self) -> Tuple[str, ...]:
        """What is missing or damaged in the bag; complete at the end."""
        return (*(self._objects.problems if self._objects else ()), *self._reader.problems)

    @property
    def notes(self) -> Tuple[str, ...]:
        """What was taken otherwise than the bag says; complete at the end."""
        return tuple(f'{topic}: {count} images have the stamp of one long before, so that their time is that of '
                     'arrival: mend their driver' for topic, count in self._order.standing_still.items())

    @property
    def object_counts(self) -> Dict[str, ObjectCounts]:
        """By image topic, where objects went; empty where whole pictures are judged."""
        return self._objects.counts if self._objects else {}

    def __iter__(self) -> Iterator[FrameBatch]:
        """Batches, of which the last may be smaller."""
        waiting: Deque[Future[_Prepared]] = deque()
        numbered = self._numbered()
        while True:
            limit = max(1, min(self._threads + 1, self._ahead_bytes // max(1, self._batch_bytes)))
            while len(waiting) < limit:
                chunk = _chunk(numbered, self._size)
                if not chunk:
                    break
                waiting.append(self._pool.submit(self._prepare, chunk))
            if not waiting:
                return
            yield self._in_order(waiting.popleft().result())

    def _numbered(self) -> Iterator[_Unit]:
        """Messages, or their objects, with the number of the message in its topic."""
        seen: Dict[str, int] = {}
        for message in self._reader.image_messages(self._recording.topics):
            number = seen.get(message.topic, 0)
            seen[message.topic] = number + 1
            self.messages += 1
            reason, sentence = (RATE_LIMITED, _TOO_SOON) if self._comes_too_soon(message) else ('', '')
            if self._objects is None:
                # What is left out does not wait with its pixels.
                yield _Unit(replace(message, cdr=b'') if reason else message, number, None, reason, sentence)
                continue
            found = self._objects.of(message.topic, number)
            if not isinstance(found, str):  # images without detections are counted with these
                for each in found:
                    yield _Unit(message, number, each, reason, sentence)

    def _comes_too_soon(self, message: BagImage) -> bool:
        camera = camera_of(self._config, message.topic)
        rate_hz = self._config.max_rate_hz if camera is None else self._config.rates_hz[camera]
        if not rate_hz:
            return False
        try:
            time_ns = time_of(parsed(message), message.receive_ns)
        except ImageError:
            return False  # said when it is decoded
        return not self._rate.allows(message.topic, time_ns, message.receive_ns, rate_hz)

    @torch.inference_mode()
    def _prepare(self, chunk: Sequence[_Unit]) -> _Prepared:
        """On a thread of the pool: frames or drops in their order, and the tensors of the frames."""
        entries: List[Union[FedFrame, Drop]] = []
        pictures: List[List[Picture]] = [[] for _ in self._preprocessors]
        read = _LastRead(self._config, self._objects is not None)
        for unit in chunk:
            message = unit.message
            label = unit.found.label if unit.found else None
            if unit.reason:
                entries.append(Drop(message.topic, unit.number, message.receive_ns, unit.reason, unit.sentence, label))
                continue
            try:
                fed, seen = self._fed(unit, read)
            except (ImageError, BoxError, _RefusedError) as error:
                entries.append(Drop(message.topic, unit.number, message.receive_ns, error.reason, str(error), label))
                continue
            entries.append(fed)
            for own, picture in zip(pictures, seen):
                own.append(picture)
        return entries, self._tensors(pictures) if pictures and pictures[0] else []

    def _fed(self, unit: _Unit, read: '_LastRead') -> Tuple[FedFrame, List[Picture]]:
        """A frame, and what each preprocessor is to see of it."""
        message, found = unit.message, unit.found
        camera = camera_of(self._config, message.topic)
        region = None if camera is None or found is not None else self._config.regions.get(camera)
        whole = read.whole(message, region)
        frame = whole.frame
        if found is None:
            return (FedFrame(frame, message, unit.number, whole.digest, fingerprint=self._fingerprint(frame.seen)),
                    [frame.seen] * len(self._preprocessors))
        wish = self._config.detections
        _refuse(refusal_of_part(*visible_part(found.box, frame.picture.width, frame.picture.height), wish))
        cut: Dict[object, Picture] = {}
        for preprocess in self._preprocessors:
            if preprocess.spec not in cut:
                cut[preprocess.spec] = crop(frame.picture, found.box, preprocess.spec, wish.margin).picture
        seen = [cut[preprocess.spec] for preprocess in self._preprocessors]
        _refuse(refusal_of_pixels(seen[0], wish))
        own = Frame(f'{message.topic} {found.key}', frame.header, seen[0], frame.encoding, frame.received_ns)
        return FedFrame(own, message, unit.number, digest_of_object(whole.digest, found), found, whole,
                        self._fingerprint(seen[0])), seen

    def _fingerprint(self, picture: Picture) -> Optional[np.ndarray]:
        return fingerprint(picture) if self._fingerprints else None

    def _tensors(self, pictures: Sequence[Sequence[Picture]]) -> List[torch.Tensor]:
        made: List[torch.Tensor] = []
        for place, preprocess in enumerate(self._preprocessors):
            same = next((other for other in range(place) if self._preprocessors[other].spec == preprocess.spec
                         and self._preprocessors[other].dtype == preprocess.dtype), None)
            made.append(preprocess(pictures[place]) if same is None else made[same])
        return made

    def _in_order(self, prepared: _Prepared) -> FrameBatch:
        entries, tensors = prepared
        frames: List[FedFrame] = []
        drops: List[Drop] = []
        kept: List[int] = []
        place = 0
        for entry in entries:
            if isinstance(entry, Drop):
                drops.append(entry)
                continue
            entry = entry._replace(frame=self._order.timed(entry.frame))
            objection = self._order.objection(entry.frame)
            if objection is None:
                frames.append(entry)
                kept.append(place)
            else:
                drops.append(Drop(entry.message.topic, entry.number, entry.message.receive_ns, BACKWARDS, objection))
            place += 1
        if len(kept) < place:
            tensors = [tensor[kept] if tensor.dtype is torch.uint8 else
                       tensor[kept].contiguous(memory_format=torch.channels_last) for tensor in tensors]
        if frames:
            self._batch_bytes = sum(fed.frame.picture.pixels.nbytes + len(fed.message.cdr) for fed in frames) + sum(
                {id(tensor): tensor.nelement() * tensor.element_size() for tensor in tensors}.values())
        return FrameBatch(frames, tensors, drops)


def camera_of(config: ClassifierConfig, topic: str) -> Optional[str]:
    """The deployment's camera of a topic; its only camera stands for every topic."""
    cameras = config.cameras
    named = {name.lstrip('/'): camera for camera, name in zip(cameras, config.image_topics)}
    topic = topic.lstrip('/')
    return named.get(topic, named.get(topic.rpartition('/')[0], cameras[0] if len(cameras) == 1 else None))


def parsed(message: BagImage) -> ImageMessage:
    """The image in a message; its pixels are not decoded yet."""
    parse = cdr.decode_compressed_image if message.msgtype == COMPRESSED_IMAGE else cdr.decode_image
    return parse(message.cdr)


def digest_of(image: ImageMessage) -> bytes:
    """Of the picture as it was sent."""
    return hashlib.blake2b(image.data.data, digest_size=16).digest()


def digest_of_object(whole: bytes, found: FoundObject) -> bytes:
    """Of an object in a picture whose digest is ``whole``."""
    return hashlib.blake2b(whole + struct.pack('=5d', *astuple(found.box)), digest_size=16).digest()


def _chunk(units: Iterator[_Unit], size: int) -> List[_Unit]:
    """The next units, of which ``size`` may become frames, but not endlessly many where few do."""
    found: List[_Unit] = []
    frames = 0
    for unit in units:
        found.append(unit)
        frames += not unit.reason
        if frames == size or len(found) == _MOST_UNITS * size:
            break
    return found


class _RefusedError(Exception):
    """An object that is not looked at."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.reason = refusal.reason


def _refuse(refusal: Refusal) -> None:
    if refusal.reason:
        raise _RefusedError(refusal)


class _LastRead:
    """Decodes images, each once for all of its objects that follow each other."""

    def __init__(self, config: ClassifierConfig, objects: bool) -> None:
        self._config, self._looks = config, objects and config.camera_faults.enabled
        self._message: Optional[BagImage] = None
        self._found: Union[WholePicture, ImageError, None] = None

    def whole(self, message: BagImage, region: Optional[Region]) -> WholePicture:
        """The frame of a message, and a digest of its picture as it was sent; raises :class:`ImageError`."""
        if message is not self._message or self._found is None:
            self._message = message
            try:
                image = parsed(message)
                frame = read_frame(message.topic, image, message.receive_ns, self._config.image, region)
                seen = look(frame.picture, colours=False) if self._looks else None
                self._found = WholePicture(frame, digest_of(image), seen)
            except ImageError as error:
                self._found = error
        if isinstance(self._found, ImageError):
            raise self._found
        return self._found

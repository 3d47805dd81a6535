"""A recording's frames in batches, decoded and preprocessed ahead of the network, with bounded memory."""
import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Deque, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch

from ..core.camera_settings import RateLimit
from ..core.config import ClassifierConfig
from ..core.errors import ImageError
from ..core.images import cdr
from ..core.networks.preprocess import HostPixels, Preprocessor
from ..core.runtime.frame_counters import BACKWARDS, RATE_LIMITED
from ..core.runtime.frame_reader import StampOrder, read_frame, time_of
from ..core.types import Frame, ImageMessage, Picture
from ..data.bags.message_types import COMPRESSED_IMAGE
from ..data.bags.reader import BagImage
from .recordings import Recording

_FIRST_GUESS_BYTES = 4_000_000


@dataclass(frozen=True)
class Drop:
    """A frame that is not decided, and why; ``reason`` as in the live node's account."""

    topic: str
    index: int
    receive_ns: int
    reason: str
    sentence: str


class FedFrame(NamedTuple):
    """A frame, its message, which message of its topic it is, and a digest of the picture as it was sent."""

    frame: Frame
    message: BagImage
    number: int
    digest: bytes = b''


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
    """

    def __init__(self, recording: Recording, preprocessors: Sequence[Union[Preprocessor, HostPixels]],
                 config: ClassifierConfig, size: int, threads: int, ahead_bytes: int) -> None:
        self._recording, self._config, self._size = recording, config, size
        self._preprocessors = list(preprocessors)
        self._order = StampOrder(config.fusion)
        self._rate = RateLimit()
        self._threads, self._ahead_bytes = threads, ahead_bytes
        self._pool = ThreadPoolExecutor(threads, 'decode', initializer=torch.set_num_threads, initargs=(1,))
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
        return self._reader.problems

    def __iter__(self) -> Iterator[FrameBatch]:
        """Batches, of which the last may be smaller."""
        waiting: Deque[Future[_Prepared]] = deque()
        numbered = self._numbered()
        while True:
            limit = max(1, min(self._threads + 1, self._ahead_bytes // max(1, self._batch_bytes)))
            while len(waiting) < limit:
                chunk = list(islice(numbered, self._size))
                if not chunk:
                    break
                waiting.append(self._pool.submit(self._prepare, chunk))
            if not waiting:
                return
            yield self._in_order(waiting.popleft().result())

    def _numbered(self) -> Iterator[Tuple[BagImage, int, bool]]:
        """Messages, which of its topic each is, and whether it comes sooner than the camera's highest rate allows."""
        seen: Dict[str, int] = {}
        for message in self._reader.image_messages(self._recording.topics):
            index = seen.get(message.topic, 0)
            seen[message.topic] = index + 1
            yield message, index, self._comes_too_soon(message)

    def _comes_too_soon(self, message: BagImage) -> bool:
        camera = self._camera_of(message.topic)
        rate_hz = self._config.max_rate_hz if camera is None else self._config.rates_hz[camera]
        if not rate_hz:
            return False
        try:
            time_ns = time_of(_parsed(message), message.receive_ns)
        except ImageError:
            return False  # said when it is decoded
        return not self._rate.allows(message.topic, time_ns, rate_hz)

    def _camera_of(self, topic: str) -> Optional[str]:
        """The deployment's camera of a topic; its only camera stands for every topic."""
        cameras = self._config.cameras
        named = {name.lstrip('/'): camera for camera, name in zip(cameras, self._config.image_topics)}
        topic = topic.lstrip('/')
        return named.get(topic, named.get(topic.rpartition('/')[0], cameras[0] if len(cameras) == 1 else None))

    @torch.inference_mode()
    def _prepare(self, chunk: Sequence[Tuple[BagImage, int, bool]]) -> _Prepared:
        """On a thread of the pool: frames or drops in their order, and the tensors of the frames."""
        entries: List[Union[FedFrame, Drop]] = []
        for message, index, too_soon in chunk:
            if too_soon:
                entries.append(Drop(message.topic, index, message.receive_ns, RATE_LIMITED,
                                    'it comes sooner after the one before than the highest rate allows'))
                continue
            try:
                parsed = _parsed(message)
                camera = self._camera_of(message.topic)
                frame = read_frame(message.topic, parsed, message.receive_ns, self._config.image,
                                   None if camera is None else self._config.regions.get(camera))
                digest = hashlib.blake2b(parsed.data.data, digest_size=16).digest()
                entries.append(FedFrame(frame, message, index, digest))
            except ImageError as error:
                entries.append(Drop(message.topic, index, message.receive_ns, error.reason, str(error)))
        pictures = [entry.frame.seen for entry in entries if isinstance(entry, FedFrame)]
        return entries, self._tensors(pictures) if pictures else []

    def _tensors(self, pictures: Sequence[Picture]) -> List[torch.Tensor]:
        made: List[torch.Tensor] = []
        for place, preprocess in enumerate(self._preprocessors):
            same = next((other for other in range(place) if self._preprocessors[other].spec == preprocess.spec
                         and self._preprocessors[other].dtype == preprocess.dtype), None)
            made.append(preprocess(pictures) if same is None else made[same])
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


def _parsed(message: BagImage) -> ImageMessage:
    parse = cdr.decode_compressed_image if message.msgtype == COMPRESSED_IMAGE else cdr.decode_image
    return parse(message.cdr)

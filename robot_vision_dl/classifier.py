"""A model for Python programs, without ROS: pictures in, decisions out.

    from robot_vision_dl import Classifier
    classifier = Classifier('efficientnet_lite0_imagenet')
    print(classifier('photo.jpg').label)

It is the live node's own way (:mod:`.core.runtime.pipeline`), so the same picture is decided as on the robot.
"""
import itertools
import os
import threading
import time
import weakref
from collections import abc, deque
from contextlib import contextmanager
from dataclasses import asdict, astuple
from os import PathLike
from pathlib import Path
from typing import Any, Deque, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, Union, cast, overload

import numpy as np
import torch
from PIL.Image import Image

from .classification import Classification, ObjectsInPicture, classification_of
from .core.config import ClassifierConfig, DecisionConfig, DetectionsConfig, FusionConfig, with_values
from .core.decision.decision import Policy
from .core.errors import ConfigError, DeviceError, ImageError
from .core.files.user_path import user_path
from .core.images.picture_values import picture_of_array, picture_of_pil
from .core.regions.detections import Box, Detection, DetectionArray
from .core.runtime.frame_reader import StampOrder, frame_of
from .core.runtime.object_pipeline import FrameWithObjects, ObjectPipeline
from .core.runtime.pipeline import Pipeline
from .core.text.printable import printable
from .core.types import Frame, Header, Picture, Result
from .data.pictures import read_picture
from .data.video import is_video_name, video_frames

__all__ = ['Classification', 'Classifier', 'FrameSequence', 'ObjectsInPicture', 'PictureLike']

PictureLike = Union[np.ndarray, Image, str, PathLike[str]]
"""A numpy array, a PIL image, or the path of a picture file."""
BoxesLike = Any  # array, tensor or sequence: what makes boxes is seen one by one
_DEFAULTS = ClassifierConfig()
_ALONE = 'picture'  # the camera of pictures that stand alone
_BATCH = 32  # pictures in a forward pass: enough for a GPU, some hundred MB of memory
_sequences = itertools.count(1)
_ran_in: Set[int] = set()  # processes in which a model was loaded; a fork takes its parent's along


class Classifier:
    """A model, loaded and verified. Call it with a picture, or with a list of pictures.

    Pictures stand alone: each is decided as the first frame of a camera is. For frames that follow each other there are
    :meth:`stream` and :meth:`sequence`, which fuse them over time.

    Threads: may be called from any. Calls wait for each other (one lock), so for passes side by side make one
    Classifier a thread. The number of torch's threads is set for the time of a call and put back. Processes: one that
    is forked after a Classifier was made can have none; use ``spawn``.

    Args:
        model: name of a bundle that comes with the package, folder of a bundle, or ``torchvision:<architecture>``.
        device: auto, cpu, cuda or cuda:<n>.
        backend: torch, or on a CPU onnxruntime, openvino, or auto, which measures them.
        precision: auto, float32, float16, bfloat16, int8, or on an NVIDIA GPU tf32.
        threads: CPU threads of the network; 0: one less than there are cores.
        dropout_samples: Monte Carlo dropout, so many networks a picture; 0: off.
        decision: what is good enough to act on, e.g. ``{'abstain_cost': 0.2}``: names of the node's parameters
            ``decision.*``, or a :class:`~.core.config.DecisionConfig`.
        fusion: how frames of a sequence are fused, e.g. ``{'change_time_s': 2.0}``: ``fusion.*``, or a
            :class:`~.core.config.FusionConfig`.
        detections: how the objects of :meth:`objects` are cut out, e.g. ``{'margin': 0.2}``: ``detections.*``, or a
            :class:`~.core.config.DetectionsConfig`.
        region: the part of each picture that is looked at, in pixels: ``'320x240+100+50'`` (width, height, offsets from
            the left and the top); empty: all of it.
        top_k: number of probabilities in a result.

    Raises:
        BundleError: there is no such model, or it is damaged.
        ConfigError: a setting cannot be used.
        DeviceError: there is no such device, or the process was forked from one that had a Classifier.
    """

    def __init__(self, model: Union[str, 'PathLike[str]'] = _DEFAULTS.model, *, device: str = _DEFAULTS.device,
                 backend: str = _DEFAULTS.backend, precision: str = _DEFAULTS.precision,
                 threads: int = _DEFAULTS.threads, dropout_samples: int = _DEFAULTS.dropout_samples,
                 decision: Union[DecisionConfig, Mapping[str, Any]] = _DEFAULTS.decision,
                 fusion: Union[FusionConfig, Mapping[str, Any]] = _DEFAULTS.fusion,
                 detections: Union[DetectionsConfig, Mapping[str, Any]] = _DEFAULTS.detections,
                 region: str = _DEFAULTS.regions_of_interest, top_k: int = _DEFAULTS.top_k) -> None:
        settings = {'model': str(model), 'device': device, 'backend': backend, 'precision': precision,
                    'threads': threads, 'dropout_samples': dropout_samples, 'regions_of_interest': region,
                    'top_k': top_k}
        for group, example, values in (('decision', 'abstain_cost', decision), ('fusion', 'change_time_s', fusion),
                                       ('detections', 'margin', detections)):
            if isinstance(values, (DecisionConfig, FusionConfig, DetectionsConfig)):
                values = asdict(values)
            elif not isinstance(values, Mapping):
                raise ConfigError(f"{group}: expected names with values, such as {{'{example}': 0.2}}; got {values!r}")
            settings.update({f'{group}.{name}': value for name, value in values.items()})
        self._start(with_values(_DEFAULTS, {name: value.item() if isinstance(value, np.generic) else value
                                            for name, value in settings.items()}))

    @classmethod
    def from_config(cls, config: ClassifierConfig) -> 'Classifier':
        """One with all settings of a deployment; those of topics mean nothing here.

        Raises:
            BundleError, ConfigError, DeviceError: as for the class.
        """
        classifier = cls.__new__(cls)
        classifier._start(config)
        return classifier

    def _start(self, config: ClassifierConfig) -> None:
        self.config = config
        self._region = config.regions.get(config.cameras[0])
        self._lock = threading.Lock()
        self._ended: Deque[str] = deque()  # sequences that are no more; their end may come in the midst of anything
        _refuse_fork()
        with _threads_put_back():
            self._pipeline = Pipeline.load(config)

    @property
    def class_names(self) -> Tuple[str, ...]:
        """Of the model, in the order of its outputs."""
        return self._pipeline.bundle.class_names

    @property
    def device(self) -> str:
        """What the network runs on: cpu, or cuda:<n>."""
        return str(self._pipeline.device)

    @property
    def precision(self) -> str:
        """Of the network that runs, e.g. int8 where ``auto`` took the int8 bundle beside the model."""
        return self._pipeline.precision

    @property
    def backend(self) -> str:
        """What runs the network: torch, onnxruntime or openvino."""
        return self._pipeline.backend.name

    @property
    def backend_reason(self) -> str:
        """Why this network and this backend, with the times that were measured; for people."""
        return self._pipeline.backend.reason

    def __repr__(self) -> str:
        bundle = self._pipeline.bundle
        return (f'<Classifier {bundle.name}: {len(bundle.class_names)} classes, {self.precision} on {self.device} by '
                f'{self.backend}>')

    @property
    def warnings(self) -> List[str]:
        """What keeps the confidences from being probabilities, a sentence each; empty if nothing does."""
        return self._pipeline.warnings

    @property
    def policy(self) -> Policy:
        """What acting and abstaining cost, and the p-value below which a picture is called unknown."""
        return self._pipeline.policy(self.config)

    # A text is a sequence of texts, too, but the first that fits is taken.
    @overload
    def __call__(self, pictures: PictureLike, color: str = 'rgb'  # type: ignore[overload-overlap]
                 ) -> Classification: ...

    @overload
    def __call__(self, pictures: Sequence[PictureLike], color: str = 'rgb') -> List[Classification]: ...

    def __call__(self, pictures: Union[PictureLike, Sequence[PictureLike]], color: str = 'rgb'
                 ) -> Union[Classification, List[Classification]]:
        """Decide about a picture, or about each of a list, which share forward passes.

        Args:
            pictures: a numpy array of uint8, shape (H, W, 3), or (H, W) for grey; a PIL image; the path of a file; or
                a list, or another sequence, of these. Arrays are not copied.
            color: order of the channels of arrays: rgb, bgr (OpenCV), rgba, bgra or mono.

        Returns:
            A result, or a list of results in the order of the pictures.

        Raises:
            ImageError: it cannot be used as a picture, or not be read; for a list the message says which.
            TypeError: it is no picture.
        """
        if not isinstance(pictures, abc.Sequence) or isinstance(pictures, (str, bytes, bytearray, memoryview)):
            return self._decide([self._read(cast(PictureLike, pictures), color)])[0]
        found, given = [], list(pictures)
        for start in range(0, len(given), _BATCH):
            batch = []
            for place, one in enumerate(given[start:start + _BATCH], start):
                try:
                    batch.append(self._read(one, color))
                except ImageError as error:
                    raise ImageError(error.reason, f'pictures[{place}]: {error}') from error
                except TypeError as error:
                    raise TypeError(f'pictures[{place}]: {error}') from error
            found += self._decide(batch)
        return found

    def objects(self, picture: PictureLike, boxes: BoxesLike, color: str = 'rgb') -> ObjectsInPicture:
        """Decide about each of the objects that a detector found in a picture, as the node does.

        Args:
            picture: as for a call.
            boxes: (left, top, right, bottom) of each in pixels of the picture, an array or tensor of shape (N, 4) or a
                sequence; or :class:`~.core.regions.detections.Box`, which may be turned.
            color: as for a call.

        Returns:
            A list of N results. An object that cannot be looked at is ``uncertain`` with the reason.

        Raises:
            ConfigError: the boxes are none.
            ImageError, TypeError: as for a call.
        """
        found, encoding, file = self._read(picture, color)
        header = Header(0, '')
        detections = tuple(Detection(header, (), box) for box in boxes_of(boxes))
        config = with_values(self.config, {'detections.max_objects': max(1, min(len(detections), 10_000))})
        with self._running():
            objects = ObjectPipeline(config)
            result, = objects.process(self._pipeline, [FrameWithObjects(
                Frame(_ALONE, header, found, encoding), DetectionArray(header, detections))])
            objects.end(self._pipeline)
        return ObjectsInPicture(result, self.config.top_k, file)

    def sequence(self) -> 'FrameSequence':
        """The frames of one camera or video from now on, fused over time; several may go on at the same time."""
        return FrameSequence(self)

    def stream(self, frames: Union[str, 'PathLike[str]', Iterable[PictureLike]], rate_hz: Optional[float] = None,
               color: str = 'rgb') -> Iterator[Classification]:
        """Decide about one frame after another, fused over time, each as soon as it is asked for.

        Args:
            frames: the path of a video, or any iterable of pictures as for a call.
            rate_hz: frames in a second. Of a video, the frames on screen at that rate; None: each at its own rate.
                Needed for anything else; for frames at uneven times use :meth:`sequence`.
            color: as for a call.

        Raises:
            BagError: there is no such video.
            ConfigError: the rate is missing or not above 0.
            ImageError, TypeError: of a frame, as for a call.
        """
        if rate_hz is not None and not (_is_number(rate_hz) and 0 < rate_hz < float('inf')):
            raise ConfigError(f'rate_hz: must be a number above 0, got {rate_hz!r}')
        if isinstance(frames, (str, PathLike)):
            path = user_path(frames)
            timed: Iterable[Tuple[float, PictureLike]] = video_frames(path, rate_hz)
            return self._stream(timed, 'bgr', path)
        if rate_hz is None:
            raise ConfigError('rate_hz: how many frames a second? Fusion needs to know. For frames at uneven times use '
                              'sequence(), whose calls take the time of each')
        if isinstance(frames, (Image, bytes, bytearray)) or not hasattr(frames, '__iter__') or (
                isinstance(frames, np.ndarray) and frames.ndim < 4):
            shape = f' of shape {frames.shape}' if isinstance(frames, np.ndarray) else ''
            raise TypeError(f'expected the path of a video, or many pictures, got {type(frames).__qualname__}{shape}; '
                            'for a single picture call the classifier, for grey frames in one array give list(array)')
        rate = rate_hz
        return self._stream(((index / rate, frame) for index, frame in enumerate(frames)), color, None)

    def _stream(self, timed: Iterable[Tuple[float, PictureLike]], color: str, file: Optional[Path]
                ) -> Iterator[Classification]:
        sequence = self.sequence()
        for time_s, frame in timed:
            yield sequence._next(frame, time_s, color, file)

    def _read(self, given: PictureLike, color: str) -> Tuple[Picture, str, Optional[Path]]:
        """The picture, its encoding as a message would name it, and its file."""
        if isinstance(given, np.ndarray):
            picture, file = picture_of_array(given, color), None
        elif isinstance(given, (str, PathLike)):
            file = user_path(given)
            if is_video_name(file):
                raise ImageError('compressed', f'{printable(file)} is a video: give it to stream()')
            picture = read_picture(file)
        elif isinstance(given, Image):
            picture, file = picture_of_pil(given), None
        else:
            raise TypeError('expected a numpy array, a PIL image, a path, or a list of these; got '
                            f'{type(given).__qualname__}{_remedy(given)}')
        return picture, f'{picture.order.value}8', file

    def _decide(self, pictures: List[Tuple[Picture, str, Optional[Path]]]) -> List[Classification]:
        """Each on its own, in one forward pass."""
        frames = [frame_of(_ALONE, Header(0, ''), picture, encoding, 0, self._region)
                  for picture, encoding, _ in pictures]
        found = []
        with self._running():
            for frame, assessment in zip(frames, self._pipeline.assess(frames)):
                self._pipeline.forget(_ALONE)
                found += self._pipeline.conclude([frame], [assessment])
        return [classification_of(result, self.config.top_k, file)
                for result, (_, _, file) in zip(found, pictures)]

    def _decide_next(self, frame: Frame) -> Result:
        with self._running():
            return self._pipeline.process([frame])[0]

    @contextmanager
    def _running(self) -> Iterator[None]:
        """The pipeline is this thread's."""
        _refuse_fork()
        with self._lock, _threads_put_back():
            self._pipeline.claim_thread()
            while self._ended:
                self._pipeline.forget(self._ended.popleft())
            yield


class FrameSequence:
    """Frames of one camera in the order of time, fused; made by :meth:`Classifier.sequence`.

    What it remembers is its own, and goes with it. Threads: one at a time; different sequences may be called from
    different threads.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._camera = f'sequence {next(_sequences)}'
        self._order = StampOrder(classifier.config.fusion)
        weakref.finalize(self, classifier._ended.append, self._camera)

    def __call__(self, picture: PictureLike, time_s: Optional[float] = None, color: str = 'rgb') -> Classification:
        """Decide about the next frame, in the light of those before it.

        Args:
            picture: as for :meth:`Classifier.__call__`.
            time_s: when it was taken, by any clock, at least 0; None: now. After a gap, or a step back, of more than
                ``fusion.reset_gap_s`` (1 s) the belief starts afresh, as in the node.
            color: order of the channels of an array.

        Raises:
            ImageError: as for :meth:`Classifier.__call__`; ``stamp``: a little earlier than the frame before, or no
                time.
            TypeError: it is no picture.
        """
        return self._next(picture, time.monotonic() if time_s is None else time_s, color, None)

    def reset(self) -> None:
        """Forget the frames so far."""
        self._order = StampOrder(self._classifier.config.fusion)
        self._classifier._ended.append(self._camera)

    def _next(self, given: PictureLike, time_s: float, color: str, file: Optional[Path]) -> Classification:
        if not (_is_number(time_s) and 0 <= time_s < 9e9):  # nanoseconds of 64 bits
            raise ImageError('stamp', f'time_s: must be seconds from 0 on, got {time_s!r}')
        picture, encoding, own_file = self._classifier._read(given, color)
        stamp_ns = round(time_s * 1e9)
        frame = frame_of(self._camera, Header(stamp_ns, ''), picture, encoding, stamp_ns, self._classifier._region)
        objection = self._order.objection(frame)
        if objection is not None:
            raise ImageError('stamp', f'time_s={time_s:g}: {objection}')
        result = self._classifier._decide_next(frame)
        return classification_of(result, self._classifier.config.top_k, file or own_file, time_s)


def boxes_of(given: BoxesLike) -> List[Box]:
    """The boxes of a list or an array.

    Raises:
        ConfigError: it is none of boxes.
    """
    if hasattr(given, 'detach'):  # a tensor, on whatever device
        given = given.detach().cpu().numpy()
    found = []
    for place, one in enumerate(given):
        try:
            if isinstance(one, Box):
                found.append(Box(*(float(number) for number in astuple(one))))
                continue
            left, top, right, bottom = (float(number) for number in one)
        except (TypeError, ValueError, OverflowError):
            hint = '; one box goes in a list of its own' if _is_number(one) else ''
            raise ConfigError(f'boxes[{place}]: expected (left, top, right, bottom) in pixels, or a Box, got '
                              f'{printable(repr(one), 100)}{hint}') from None
        found.append(Box.of_corners(left, top, right, bottom))
    return found


def _refuse_fork() -> None:
    """Raise instead of waiting for ever for the threads of torch, or a lock, that stayed in the parent process."""
    _ran_in.add(os.getpid())
    if len(_ran_in) > 1:
        raise DeviceError('this process was forked from one that had a Classifier already, and the threads of torch '
                          "(and CUDA) do not come along; start it with multiprocessing.get_context('spawn'), or make "
                          'the first Classifier after the fork')


@contextmanager
def _threads_put_back() -> Iterator[None]:
    """Leave the calling thread as many threads of torch as it had."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def _is_number(given: Any) -> bool:
    """Whether it is one number, of Python or numpy."""
    return isinstance(given, (int, float, np.integer, np.floating)) and not isinstance(given, bool)


def _remedy(given: Any) -> str:
    if given is None:
        return '; cv2.imread gives None for a file that it cannot read: give the path, which says why'
    if isinstance(given, torch.Tensor):
        return '; for a tensor of (C, H, W) give tensor.permute(1, 2, 0).cpu().numpy()'
    if isinstance(given, (bytes, bytearray, memoryview)):
        return '; for the bytes of a picture file give PIL.Image.open(io.BytesIO(data))'
    return '; for any other iterable give list(...), or use stream()' if hasattr(given, '__iter__') else ''

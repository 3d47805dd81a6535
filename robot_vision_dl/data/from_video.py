"""A video, and still pictures after it, as a camera's recording; labelled where somebody says what it shows."""
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from ..core.errors import ConfigError
from ..core.text.printable import printable
from .bags.writer import NS_PER_S, ImageBagWriter, fit
from .camera_model import covered_lens, handheld
from .labels.labels import LabelInterval
from .labels.messages import TYPES_BY_NAME, encode_label
from .labels.sources import write_labels_yaml
from .labels.stretches import Stretch
from .synth import LABEL_TOPIC, check_no_label_topic
from .video import video_frames, video_rate_hz


class Scene(NamedTuple):
    """After the video: the camera held before ``picture`` (BGR), or under a hand where there is none."""

    picture: Optional[np.ndarray]
    seconds: float


class VideoBag(NamedTuple):
    """What was written: ``frames`` of (width, height) at ``rate_hz``; ``labelled`` of them have a label."""

    frames: int
    size: Tuple[int, int]
    rate_hz: float
    labelled: int


def write_video(folder: Union[str, Path], video: Union[str, Path], *, topic: str = '/camera/image_raw',
                frame_id: str = 'camera', rate_hz: Optional[float] = None, start_s: float = 0.0,
                duration_s: Optional[float] = None, width: Optional[int] = None, quality: int = 90,
                scenes: Sequence[Scene] = (), labels: Sequence[Stretch] = (), label_type: str = 'string',
                epoch_s: int = 1_700_000_000, seed: int = 0, overwrite: bool = False,
                progress: Callable[[int], None] = lambda count: None) -> VideoBag:
    """Write the bag ``folder``; with ``labels`` also the topic ``/label`` and ``labels.yaml``.

    Args:
        topic: of the images; JPEGs go to ``<topic>/compressed``.
        rate_hz: frames a second; None: as the video.
        start_s, duration_s: the part of the video that is used; None: to its end.
        width: frames are scaled to it; None: as the video.
        quality: of the JPEGs; 0 writes raw images (bgr8).
        labels: of :func:`~.labels.stretches.parse_stretches`; they do not hold beyond the video, in the scenes.
        label_type: ``string`` or ``classification``.
        epoch_s: stamp of the first frame in seconds.
        seed: of noise and motion of the scenes.
        progress: is called with the number of frames so far.

    Raises:
        BagError: the video cannot be read, or the bag exists.
        ConfigError: a label holds for no frame, or the topic is that of the labels.
        OutputError: the bag cannot be written.
    """
    if labels:
        check_no_label_topic(topic, not quality)
    rate_hz = rate_hz or video_rate_hz(video)
    size, count = (0, 0), 0
    with ImageBagWriter(folder, frame_id, overwrite) as writer:
        said = _LabelWriter(writer, labels, label_type, epoch_s * NS_PER_S)
        for frame in _frames(video, rate_hz, start_s, duration_s, width):
            size = (frame.shape[1], frame.shape[0])
            said.until(count / rate_hz)
            _write(writer, topic, epoch_s, count / rate_hz, frame, quality)
            count += 1
            progress(count)
        said.end(count / rate_hz)
        labelled = sum(said.holds_at(index / rate_hz) for index in range(count)) if labels else 0
        for frame in _scenes(scenes, size, rate_hz, seed):
            _write(writer, topic, epoch_s, count / rate_hz, frame, quality)
            count += 1
            progress(count)
        if labels:
            write_labels_yaml(writer.folder / 'labels.yaml', said.intervals)
    return VideoBag(count, size, rate_hz, labelled)


def _frames(video: Union[str, Path], rate_hz: float, start_s: float, duration_s: Optional[float],
            width: Optional[int]) -> Iterator[np.ndarray]:
    for _, frame in video_frames(video, rate_hz, start_s, duration_s):
        yield fit(frame, width)


def _write(writer: ImageBagWriter, topic: str, epoch_s: int, at_s: float, frame: np.ndarray, quality: int) -> None:
    stamp_ns = epoch_s * NS_PER_S + round(at_s * NS_PER_S)
    if quality:
        writer.write_jpeg(topic, stamp_ns, frame, quality)
    else:
        writer.write_raw(topic, stamp_ns, frame)


def _scenes(scenes: Sequence[Scene], size: Tuple[int, int], rate_hz: float, seed: int) -> Iterator[np.ndarray]:
    for number, (picture, seconds) in enumerate(scenes):
        count = max(1, round(seconds * rate_hz))
        if picture is None:
            yield from covered_lens(size, count, rate_hz, seed + number)
        else:
            yield from handheld(picture, size, count, rate_hz, seed + number)


class _LabelWriter:
    """Writes each change of the label just before the first frame that it holds for."""

    def __init__(self, writer: ImageBagWriter, labels: Sequence[Stretch], label_type: str, start_ns: int) -> None:
        self._writer, self._labels, self._start_ns = writer, list(labels), start_ns
        self._msgtype = TYPES_BY_NAME[label_type]
        self._changes: List[Tuple[float, str]] = []
        for one, following in zip(self._labels, [*self._labels[1:], None]):
            self._changes.append((one.start_s, one.label))
            if one.end_s is not None and (following is None or following.start_s > one.end_s):
                self._changes.append((one.end_s, ''))
        self.intervals: List[LabelInterval] = []

    def until(self, at_s: float) -> None:
        """Write what changes up to a time, in seconds from the start."""
        while self._changes and self._changes[0][0] <= at_s:
            when_s, label = self._changes.pop(0)
            self._say(when_s, label)

    def end(self, at_s: float) -> None:
        """The video has ended: no label holds any longer; raises :class:`ConfigError` for one that never did."""
        self.until(at_s)
        if not self._labels:
            return
        self._say(at_s, '')
        for one in self._labels:
            end_s = at_s if one.end_s is None else min(one.end_s, at_s)
            if one.start_s >= at_s:
                raise ConfigError(f'--label {printable(one.text)!r}: begins when the video has ended; of the video '
                                  f'{at_s:.3f} s are in the bag, and times are seconds from its start')
            self.intervals.append(LabelInterval(self._ns(one.start_s), self._ns(end_s), one.label))

    def holds_at(self, at_s: float) -> bool:
        """Whether a label holds at a time."""
        at_ns = self._ns(at_s)
        return any(one.start_ns <= at_ns < one.end_ns for one in self.intervals)

    def _say(self, at_s: float, label: str) -> None:
        stamp_ns = self._ns(at_s)
        self._writer.write_cdr(LABEL_TOPIC, self._msgtype, stamp_ns,
                               encode_label(self._msgtype, stamp_ns, self._writer.frame_id, label))

    def _ns(self, at_s: float) -> int:
        return self._start_ns + round(at_s * NS_PER_S)

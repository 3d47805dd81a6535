"""Evidence for what a model said of a few frames, and whether it lies on the object, where boxes are known.

Made after all is judged: frames are read again, and only those that a report shows or that boxes can tell something
of, within bounds. The network runs in torch on the CPU, in float32, whatever a deployment runs it by.
"""
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from ..core.bundles.any_pixels import any_pixels
from ..core.bundles.bundle import Bundle
from ..core.config import ClassifierConfig
from ..core.errors import ConfigError
from ..core.networks.evidence import Head, LastMaps
from ..core.networks.evidence_picture import laid_over, of_width
from ..core.networks.evidence_place import Box, EvidencePlace, place_of_evidence
from ..core.networks.network import Network
from ..core.networks.preprocess import Preprocessor, visible_region
from ..core.runtime.overlay import to_bgr
from ..core.types import Picture
from .example_frames import Key, thumbnail
from .frames_again import FrameAgain

WIDTH = 208
"""Of a picture with evidence, in pixels."""
_JPEG_QUALITY = 72
_BATCH = 8
_FRAME, _AROUND = (255, 255, 255), (0, 0, 0)  # a box is white with a dark line around, to be seen on any ground


class EvidencePicture(NamedTuple):
    """What speaks for a class, laid over what the network saw, as JPEG."""

    name: str
    jpeg: bytes


@dataclass(frozen=True)
class Question:
    """What is asked of a frame.

    Attributes:
        said: the class that was decided, or was the most probable one.
        target: that it is, if it is one and another; else None.
        corners: boxes of the object (left, top, right, bottom) in pixels of the whole picture; empty: not known.
        is_shown: pictures are made.
    """

    said: int
    target: Optional[int] = None
    corners: Tuple[Box, ...] = ()
    is_shown: bool = True

    @property
    def classes(self) -> Tuple[int, ...]:
        """Whose evidence it is about."""
        return (self.said,) if self.target is None else (self.said, self.target)


@dataclass(frozen=True)
class Answer:
    """What came of it.

    Attributes:
        pictures: for what was said, and for what it should have said; empty where none are asked for.
        place: where that lies which speaks for what was said rather than for what it is, of a right answer rather than
            for the runner-up; None: no box, or nothing does. This is what decides: what speaks for both classes alike
            does not.
        difference: the picture of it, where it lies outside; else None.
        thumbnail: of the frame, as JPEG; empty unless there are pictures.
    """

    pictures: Tuple[EvidencePicture, ...] = ()
    place: Optional[EvidencePlace] = None
    difference: Optional[EvidencePicture] = None
    thumbnail: bytes = b''


@dataclass
class ModelEvidence:
    """Of one model.

    Attributes:
        answers: by frame.
        left_out: frames that are shown without, since there would be too many.
        without: why there is none for any frame; empty: there is.
        exact: maps add up to the logits.
        background: see :func:`.background.background_json`; None: no boxes are known.
        seconds: what it took.
    """

    answers: Dict[Key, Answer] = field(default_factory=dict)
    left_out: int = 0
    without: str = ''
    exact: bool = False
    background: Optional[Dict[str, Any]] = None
    seconds: float = 0.0


class EvidenceMaker:
    """Answers questions about one model's frames; its network is loaded once.

    Attributes:
        without: why it cannot; empty: it can.
        exact: maps add up to the logits.
        seconds: that it took so far.
    """

    def __init__(self, bundle: Bundle, config: ClassifierConfig) -> None:
        started = time.perf_counter()
        self._bundle, self._config = bundle, config
        self.without, self.exact = '', False
        network = bundle.load_network()
        self._last: Optional[LastMaps] = None
        self._preprocess = Preprocessor(bundle.preprocessing, 'cpu')
        if not isinstance(network, Network):
            self.without = (f'{bundle.name} is {"an ensemble" if bundle.members else "a file of another program"}, '
                            'whose last maps cannot be read')
        else:
            try:
                self._last = LastMaps(network, any_pixels(bundle))
            except ConfigError as error:
                self.without = str(error)
        self.seconds = time.perf_counter() - started

    def answers(self, frames: Iterator[FrameAgain], questions: Mapping[Key, Question]
                ) -> Iterator[Tuple[Key, Answer]]:
        """Answers for the frames as they come; none if :attr:`without`."""
        if self._last is None:
            return
        for some in iter(lambda: list(islice(frames, _BATCH)), []):
            started = time.perf_counter()
            seen = [frame.seen_by(self._bundle, self._config) for frame in some]
            asked = [questions[frame.key] for frame in some]
            pixels = self._preprocess(seen)
            # Of all classes where that costs next to nothing; else of those that matter, which one more pass tells.
            is_cheap = self._last.head is not Head.OTHER
            logits = None if is_cheap else self._last.maps_of(pixels)[1].logits.numpy()
            classes = list(range(len(self._bundle.class_names))) if logits is None else sorted(
                {index for question, own in zip(asked, logits) for index in (*question.classes, _other(question, own))})
            found = self._last.evidence(pixels, classes)
            self.exact = found.exact
            done = [self._answer(frame, picture, question, dict(zip(classes, maps)), _other(question, own))
                    for frame, picture, question, maps, own in zip(some, seen, asked, found.maps.numpy(),
                                                                   found.logits.numpy())]
            self.seconds += time.perf_counter() - started
            yield from zip((frame.key for frame in some), done)

    def _answer(self, frame: FrameAgain, seen: Picture, question: Question, maps: Mapping[int, np.ndarray],
                other: int) -> Answer:
        region = visible_region(self._bundle.preprocessing, seen.height, seen.width)
        boxes = [_within(corners, frame, region) for corners in question.corners]
        decisive = maps[question.said] - maps[other]
        place = place_of_evidence(decisive, boxes) if boxes else None
        is_outside = place is not None and place.is_outside
        if not question.is_shown and not is_outside:
            return Answer(place=place)
        names = self._bundle.class_names
        most = max(float(np.abs(maps[index]).max()) for index in question.classes)
        top, left, bottom, right = region
        small = of_width(to_bgr(seen)[top:bottom, left:right], WIDTH)
        pictures = tuple(EvidencePicture(names[index], _jpeg(_boxed(laid_over(small, maps[index], most), boxes)))
                         for index in question.classes)
        difference = EvidencePicture(
            f'{names[question.said]} rather than {names[other]}',
            _jpeg(_boxed(laid_over(small, decisive, float(np.abs(decisive).max())), boxes))) if is_outside else None
        return Answer(pictures, place, difference, thumbnail(frame.frame))


def _other(question: Question, logits: np.ndarray) -> int:
    """What was not said: what it is, else the runner-up; what was said itself where there is but one class."""
    if question.target is not None:
        return question.target
    return next((index for index in np.argsort(-logits, kind='stable').tolist() if index != question.said),
                question.said)


def _within(corners: Box, frame: FrameAgain, region: Tuple[int, int, int, int]) -> Box:
    """A box in pixels of the whole picture, as shares of the part that the network sees."""
    top, left, bottom, right = region
    if frame.frame.region is not None:
        top, bottom = (side + frame.frame.region.y_offset for side in (top, bottom))
        left, right = (side + frame.frame.region.x_offset for side in (left, right))
    width, height = right - left, bottom - top
    # What lies beyond the picture does not count, however far it reaches.
    x1, x2 = (min(max((corner - left) / width, -1.0), 2.0) for corner in (corners[0], corners[2]))
    y1, y2 = (min(max((corner - top) / height, -1.0), 2.0) for corner in (corners[1], corners[3]))
    return x1, y1, x2, y2


def _boxed(picture: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    height, width = picture.shape[:2]
    for left, top, right, bottom in boxes:
        first = round(left * width), round(top * height)
        last = round(right * width) - 1, round(bottom * height) - 1
        cv2.rectangle(picture, first, last, _AROUND, 3)
        cv2.rectangle(picture, first, last, _FRAME, 1)
    return picture


def _jpeg(picture: np.ndarray) -> bytes:
    done, data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes() if done else b''

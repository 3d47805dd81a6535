"""The objects that a detector found in the images of a recording, image by image; and what the labels say of them.

The bag is read once for it: of images only the headers, of detections what is needed later, as numbers. Then images and
detections are paired by their stamps (:mod:`.pairing`), objects followed over time as the live node does it
(:mod:`..core.regions.association`), and held against the labels (:mod:`.object_labels`).
"""
from collections import Counter
from dataclasses import dataclass, field
from sys import intern
from typing import Collection, Dict, List, NamedTuple, Sequence, Tuple, Union

import numpy as np

from ..core.errors import BagError, ConfigError, ImageError
from ..core.images.cdr_primitives import Reader
from ..core.regions.association import Tracker, TrackingConfig
from ..core.regions.detection_cdr import decode_detections
from ..core.regions.detections import Box, Detection, Hypothesis
from ..core.runtime.frame_counters import BACKWARDS
from ..core.types import Header
from .bags.reader import BagReader
from .labels.labels import FrameLabel
from .labels.messages import DETECTIONS, DETECTIONS_WIRE_FORMAT
from .object_labels import NOT_LABELLED, class_of, is_box, label_detections, object_label
from .pairing import pair_by_stamp

_NO_HEADER = Header(0, '')


@dataclass(frozen=True)
class ObjectTopics:
    """Topics that belong together: images, a detector's boxes in them, and what is labelled (empty: nothing is)."""

    images: str
    detections: str
    labels: str = ''


class FoundObject(NamedTuple):
    """One object of one image.

    Attributes:
        box: in pixels of the image, as the detector gave it.
        key: number of its track, unique within the camera: what is known of an object over time goes by it.
        name: of its track: the detector's id, or one of our own.
        label: what the labels say.
        ends: nothing of this track comes after.
    """

    box: Box
    key: int
    name: str
    label: FrameLabel
    ends: bool = False


@dataclass
class ObjectCounts:
    """Where images, arrays of detections, and objects of a camera went.

    Attributes:
        paired: images with their array; of these ``nearest`` by stamps that are not equal.
        images_alone, arrays_alone: by reason.
        detections: in the arrays of the pairs.
        tracks: of these.
        labelled_images: pairs with an array of labels; in these
        labelled: objects,
        missed: of them, without a detection,
        again: detections of an object that another one overlaps more,
        false_alarms: detections of no object.
    """

    paired: int = 0
    nearest: int = 0
    images_alone: 'Counter[str]' = field(default_factory=Counter)
    arrays_alone: 'Counter[str]' = field(default_factory=Counter)
    detections: int = 0
    tracks: int = 0
    labelled_images: int = 0
    labelled: int = 0
    missed: int = 0
    again: int = 0
    false_alarms: int = 0


class _Array(NamedTuple):
    """An array of detections: stamp, boxes float64 (n, 5), and of each its class and its id."""

    stamp_ns: int
    boxes: np.ndarray
    classes: Tuple[str, ...]
    ids: Tuple[str, ...]

    def detections(self) -> List[Detection]:
        """As they were, as far as it matters."""
        return [Detection(_NO_HEADER, (Hypothesis(name, 1.0),) if name else (), Box(*numbers), track)
                for numbers, name, track in zip(self.boxes.tolist(), self.classes, self.ids)]


class _Found(NamedTuple):
    boxes: np.ndarray
    keys: Tuple[int, ...]
    names: Tuple[str, ...]
    labels: Tuple[FrameLabel, ...]


class BagObjects:
    """The objects of a recording.

    Attributes:
        counts: by image topic.
        problems: sentences about messages that could not be read.

    Args:
        reader: of the recording, read here from its beginning to its end.
        topics: that belong together.
        tolerance_s: how far apart the stamps of an image and its detections may be.
        most_back_s: an image whose stamp lies further back than this begins the recording anew; one that lies back by
            less is out of order and is not decided.
        tracking: how objects are followed.
        ignore: labels whose objects are left out.

    Raises:
        BagError: a topic is not there, or of another type.
        ConfigError: a label cannot be one.
    """

    def __init__(self, reader: BagReader, topics: Sequence[ObjectTopics], tolerance_s: float, most_back_s: float,
                 tracking: TrackingConfig, ignore: Collection[str] = ()) -> None:
        for each in topics:
            check_topics(reader, each)
        self.problems: Tuple[str, ...] = ()
        self.counts: Dict[str, ObjectCounts] = {}
        self._objects: Dict[str, List[Union[_Found, str]]] = {}
        self._last: Dict[str, Dict[int, int]] = {}
        stamps, arrays = self._read(reader, topics)
        for each in topics:
            self._follow(each, stamps[each.images], arrays[each.detections], arrays.get(each.labels, []),
                         round(tolerance_s * 1e9), round(most_back_s * 1e9), Tracker(tracking), ignore)

    def images(self, topic: str) -> int:
        """How many image messages of a topic there are."""
        return len(self._objects[topic])

    def of(self, topic: str, index: int) -> Union[Tuple[FoundObject, ...], str]:
        """Objects of the ``index``-th image message of a topic, or why nobody knows."""
        found = self._objects[topic][index]
        if isinstance(found, str):
            return found
        last = self._last[topic]
        return tuple(FoundObject(Box(*numbers), key, name, label, last[key] == index) for numbers, key, name, label in
                     zip(found.boxes.tolist(), found.keys, found.names, found.labels))

    def _read(self, reader: BagReader, topics: Sequence[ObjectTopics]
              ) -> Tuple[Dict[str, List[int]], Dict[str, List[_Array]]]:
        stamps: Dict[str, List[int]] = {each.images: [] for each in topics}
        arrays: Dict[str, List[_Array]] = {name: [] for each in topics for name in (each.detections, each.labels)
                                           if name}
        failed: 'Counter[str]' = Counter()
        first: Dict[str, str] = {}
        for message in reader.messages([*stamps, *arrays]):
            try:
                if message.topic in stamps:
                    stamps[message.topic].append(0)  # also of an image that cannot be read, which has its number
                    stamps[message.topic][-1] = Reader(message.cdr).stamp_ns()
                else:
                    arrays[message.topic].append(_array(message.cdr))
            except ImageError as error:
                if message.topic in arrays:
                    failed[message.topic] += 1
                    first.setdefault(message.topic, str(error))
        self.problems = tuple(f'{reader.path}, {name}: {count} message(s) left out, the first because: {first[name]}'
                              for name, count in failed.items())
        return stamps, arrays

    def _follow(self, topics: ObjectTopics, stamps: List[int], arrays: List[_Array], labels: List[_Array],
                tolerance_ns: int, most_back_ns: int, tracker: Tracker, ignore: Collection[str]) -> None:
        counts = self.counts[topics.images] = ObjectCounts()
        pairing = pair_by_stamp(stamps, [array.stamp_ns for array in arrays], tolerance_ns)
        labelled = pair_by_stamp(stamps, [array.stamp_ns for array in labels], tolerance_ns).array_of
        counts.nearest, counts.arrays_alone = pairing.nearest, pairing.arrays_alone
        found: List[Union[_Found, str]] = []
        last = self._last[topics.images] = {}
        last_ns = 0
        for place, stamp_ns in enumerate(stamps):
            array = int(pairing.array_of[place])
            reason = pairing.alone.get(place, '')
            if not reason and 0 < last_ns - stamp_ns <= most_back_ns:
                reason = BACKWARDS
            if reason:
                counts.images_alone[reason] += 1
                found.append(reason)
                continue
            last_ns = stamp_ns
            detections = arrays[array].detections()
            boxes = [each.box for each in detections]
            tracks = tracker.update(detections, [is_box(box) for box in boxes], stamp_ns)
            verdicts = self._verdicts(counts, boxes, labels[labelled[place]], topics.labels, ignore) \
                if labelled[place] >= 0 else (NOT_LABELLED,) * len(boxes)
            last.update((track.key, place) for track in tracks)
            counts.paired += 1
            counts.detections += len(boxes)
            found.append(_Found(arrays[array].boxes, tuple(track.key for track in tracks),
                                tuple(intern(track.name) for track in tracks), verdicts))
        counts.tracks = len(last)
        self._objects[topics.images] = found

    def _verdicts(self, counts: ObjectCounts, boxes: Sequence[Box], labels: _Array, topic: str,
                  ignore: Collection[str]) -> Tuple[FrameLabel, ...]:
        said = [object_label(name, track, ignore, topic) for name, track in zip(labels.classes, labels.ids)]
        labelled = label_detections(boxes, [Box(*numbers) for numbers in labels.boxes.tolist()], said)
        counts.labelled_images += 1
        counts.labelled += labelled.objects
        counts.missed += labelled.missed
        counts.again += labelled.again
        counts.false_alarms += labelled.false_alarms
        return labelled.verdicts


def check_topics(reader: BagReader, topics: ObjectTopics) -> None:
    """Raise :class:`BagError` where one is not in the bag, :class:`ConfigError` where it is of another type.

    Another type are detections of before vision_msgs 4, too, where the bag says what its fields are.
    """
    for name in (topics.detections, topics.labels):
        if not name:
            continue
        info = reader.topics.get(name)
        there = [other for other, topic in reader.topics.items() if topic.msgtype == DETECTIONS]
        known = f'topics of that type: {", ".join(there)}' if there else 'there is no topic of that type'
        if info is None:
            raise BagError(f'{reader.path}: no topic {name!r} with detections ({DETECTIONS}); {known}')
        if info.msgtype != DETECTIONS:
            raise ConfigError(f'{reader.path}: {name} is of type {info.msgtype}, and boxes are {DETECTIONS}; {known}')
        if not reader.wire_formats(DETECTIONS) <= {DETECTIONS_WIRE_FORMAT}:
            raise ConfigError(f'{reader.path}: {name} was recorded with other fields than vision_msgs 4 has (ROS 2 '
                              'Humble and later); convert it there')


def _array(cdr: bytes) -> _Array:
    array = decode_detections(cdr)
    boxes = np.array([(each.box.x, each.box.y, each.box.width, each.box.height, each.box.theta)
                      for each in array.detections], np.float64).reshape(-1, 5)
    return _Array(array.header.stamp_ns, boxes, tuple(intern(class_of(each)) for each in array.detections),
                  tuple(intern(each.track_id) for each in array.detections))

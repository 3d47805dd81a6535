"""Where the objects are in the frames of a recording: labels with boxes, for what is said of evidence.

Of a folder of pictures they are whatever ``robot-vision crop`` takes (YOLO text, COCO JSON, CVAT XML); of a bag the
boxes of a topic of ``vision_msgs/Detection2DArray``.
"""
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

from ..core.config import ClassifierConfig
from ..core.errors import ConfigError
from ..core.regions.association import TrackingConfig
from ..data.bag_objects import BagObjects
from ..data.bags.reader import BagReader
from ..data.folders import shown
from ..data.labels.labels import Finding
from ..data.labels.messages import DETECTIONS
from ..data.labels.objects.find import AUTO, FORMATS, labelled_pictures
from ..data.labels.objects.labelled_picture import bounds
from ..data.object_topics import GROUND_TRUTH, object_topics
from .recordings import Recording

_TOPIC = 'topic:'
FrameOf = Tuple[str, int]
"""Topic, and number of the image message in it."""


class LabelledBox(NamedTuple):
    """What somebody says is there: (left, top, right, bottom) in pixels of the whole picture."""

    label: str
    corners: Tuple[float, float, float, float]


Boxes = Dict[FrameOf, Tuple[LabelledBox, ...]]
"""Of the frames of which somebody says what is in them; none in one that shows nothing."""


def boxes_of(recording: Recording, source: str, config: ClassifierConfig) -> Boxes:
    """The boxes of all frames of a recording.

    Args:
        source: of a folder of pictures ``auto``, ``yolo``, ``coco``, ``cvat`` or a file; of a bag ``auto`` (the topic
            whose last name is ``ground_truth``) or ``topic:NAME``.

    Raises:
        BagError, ConfigError: there are none, or they cannot be used.
    """
    return _of_folder(recording, source) if recording.pictures else _of_bag(recording, source, config)


def _of_folder(recording: Recording, source: str) -> Boxes:
    if source.startswith(_TOPIC):
        raise ConfigError(f'--boxes {source}: {shown(recording.path)} is a folder of pictures, which has no topics; '
                          f'give {", ".join(FORMATS)} or a file')
    try:
        found = labelled_pictures(recording.path, source)
    except ConfigError as error:
        raise ConfigError(str(error).replace('--labels', '--boxes')) from error
    places = {_real(picture.path): index for index, picture in enumerate(recording.pictures)}
    [topic] = recording.topics
    boxes = {(topic, places[_real(picture.path)]): tuple(LabelledBox(item.label, bounds(item.box))
                                                         for item in picture.objects)
             for picture in found.pictures if _real(picture.path) in places}
    if not boxes:
        raise ConfigError(f'--boxes {source}: of the pictures of {shown(recording.path)} that are judged none has '
                          f'boxes; {len(found.pictures)} others have')
    return boxes


def _real(path: Path) -> Path:
    return path.resolve()


def _of_bag(recording: Recording, source: str, config: ClassifierConfig) -> Boxes:
    if source != AUTO and not source.startswith(_TOPIC):
        raise ConfigError(f'--boxes {source}: {shown(recording.path)} is a bag, whose boxes are a topic of '
                          f'{DETECTIONS}; give {AUTO} or {_TOPIC}NAME')
    with BagReader(recording.files) as reader:
        topics = [source[len(_TOPIC):]] if source != AUTO else _ground_truth(reader)
        found = object_topics(reader, topics, [_TOPIC + topic for topic in topics], recording.topics)
        objects = BagObjects(reader, found.topics, config.detections.tolerance_s, config.fusion.most_back_s,
                             TrackingConfig())
    boxes: Boxes = {}
    for each in found.topics:
        for index in range(objects.images(each.images)):
            there = objects.of(each.images, index)
            if not isinstance(there, str):
                boxes[each.images, index] = tuple(
                    LabelledBox(item.label.label, bounds(item.box)) for item in there
                    if item.label.finding is Finding.LABELLED)
    return boxes


def _ground_truth(reader: BagReader) -> List[str]:
    there = [name for name, topic in reader.topics.items()
             if topic.msgtype == DETECTIONS and name.rpartition('/')[2] == GROUND_TRUTH]
    if len(there) != 1:
        raise ConfigError(f'--boxes {AUTO}: {shown(reader.path)} has {"several" if there else "no"} topics of '
                          f'{DETECTIONS} whose last name is {GROUND_TRUTH}; name one: --boxes {_TOPIC}NAME')
    return there


def labels_in(boxes: Sequence[Boxes]) -> List[str]:
    """Every label of a box, once."""
    return sorted({box.label for one in boxes for there in one.values() for box in there})

"""Which topics of a recording have a detector's boxes, and which say what the objects are."""
from typing import Dict, List, NamedTuple, Sequence, Tuple

from ..core.errors import BagError, ConfigError
from ..core.suggestions import did_you_mean
from .bag_objects import ObjectTopics, check_topics
from .bags.reader import BagReader, normal_topic
from .cameras import choose_topics
from .folders import shown
from .labels.messages import DETECTIONS

GROUND_TRUTH = 'ground_truth'
"""Last name of topics whose boxes are taken for labels where none are named."""
ARROW = ':='


class FoundTopics(NamedTuple):
    """One entry for each camera, and sentences about what is not read."""

    topics: Tuple[ObjectTopics, ...]
    notes: Tuple[str, ...] = ()


def object_topics(reader: BagReader, detections: Sequence[str], labels: Sequence[str] = ('auto',),
                  images: Sequence[str] = ()) -> FoundTopics:
    """Topics that belong together.

    Args:
        reader: of the recording.
        detections: ``TOPIC``, where one camera is read, or ``IMAGES:=TOPIC`` for each camera.
        labels: ``topic:TOPIC``, ``topic:IMAGES:=TOPIC``, ``none``, or ``auto``: the topic of detections whose last name
            is ``ground_truth``, if there is one. What is labelled may be the detections themselves.
        images: image topics as they are named; empty: each camera once, see :func:`.cameras.choose_topics`.

    Raises:
        BagError: a topic of boxes is not in the bag; where there are no images, nothing is found.
        ConfigError: a topic is of another type, or it is not clear what belongs together.
    """
    named = dict(_split(text, '--detections') for text in detections)
    chosen, notes = choose_topics(reader, list(images) or named_images(detections))
    if not chosen:
        return FoundTopics((), notes)
    boxes = _for_each(named, chosen, '--detections', all_of_them=True)
    truth = _labels(reader, labels, chosen)
    found = tuple(ObjectTopics(camera, boxes[camera], truth.get(camera, '')) for camera in chosen)
    for each in found:
        check_topics(reader, each)
    return FoundTopics(found, notes)


def named_images(detections: Sequence[str]) -> List[str]:
    """Image topics that ``detections`` name."""
    return [camera for camera, _ in (_split(text, '--detections') for text in detections) if camera]


def _labels(reader: BagReader, sources: Sequence[str], cameras: Sequence[str]) -> Dict[str, str]:
    named: Dict[str, str] = {}
    for source in sources:
        if source == 'none':
            continue
        if source == 'auto':
            there = [name for name, topic in reader.topics.items()
                     if topic.msgtype == DETECTIONS and name.rpartition('/')[2] == GROUND_TRUTH]
            if len(there) > 1 or (there and len(cameras) > 1):
                raise ConfigError(f'{shown(reader.path)}: labels of objects may be {", ".join(there)}; name them: '
                                  f'--labels {" ".join(f"topic:{camera}{ARROW}TOPIC" for camera in cameras)}, or none')
            named.update(('', name) for name in there)
            continue
        kind, _, topic = source.partition(':')
        if kind != 'topic' or not topic:
            raise ConfigError(f'--labels {source}: objects are labelled by a topic of {DETECTIONS}, topic:NAME; what '
                              'whole pictures show says nothing about them')
        named.update([_split(topic, '--labels')])
    return _for_each(named, cameras, '--labels', all_of_them=False)


def _split(text: str, option: str) -> Tuple[str, str]:
    """(image topic, or empty; topic) of ``IMAGES:=TOPIC`` or ``TOPIC``."""
    camera, arrow, topic = text.rpartition(ARROW)
    if not topic.strip('/') or (arrow and not camera.strip('/')):
        raise ConfigError(f'{option}: must be TOPIC or IMAGES{ARROW}TOPIC, got {text!r}')
    return normal_topic(camera) if arrow else '', normal_topic(topic)


def _for_each(named: Dict[str, str], cameras: Sequence[str], option: str, all_of_them: bool) -> Dict[str, str]:
    """Topics by the camera that they belong to."""
    unknown: List[str] = [camera for camera in named if camera and camera not in cameras]
    if unknown:
        raise BagError(f'{option}: no image topic {unknown[0]!r} is read; {did_you_mean(unknown[0], cameras)}')
    if '' in named and len(cameras) > 1:
        each = ' '.join(f'{camera}{ARROW}TOPIC' for camera in cameras)
        raise ConfigError(f'{option} {named[""]}: several cameras are read ({", ".join(cameras)}); say which it '
                          f'belongs to, or choose one with --topics: {option} {each}')
    found = {camera: named.get(camera, named.get('', '')) for camera in cameras}
    missing = [camera for camera, topic in found.items() if not topic]
    if missing and all_of_them:
        raise ConfigError(f'{option}: nothing is named for {missing[0]}; give {missing[0]}{ARROW}TOPIC, or leave the '
                          'camera out with --topics')
    return {camera: topic for camera, topic in found.items() if topic}

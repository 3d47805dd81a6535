"""Which image topics of a bag are read: each camera once, in one of the forms in which it was recorded.

A camera is often recorded as it came, compressed, rectified and in grey; a depth camera has depth and infrared beside
its colours. Were each of them a camera, every object would count several times, and be judged by pictures that no model
was made for. What is not read is told; whoever wants it names it.
"""
import re
from typing import AbstractSet, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..core.errors import BagError, ImageError
from ..core.suggestions import did_you_mean
from .bags.message_types import COMPRESSED_IMAGE
from .bags.reader import BagReader, TopicInfo, normal_topic
from .folders import shown
from .labels.labels import camera_topic

ALL = 'all'
"""Instead of topics: every image topic, whatever it shows."""
# Names that image_pipeline gives the pictures of one camera, the first as it came; an earlier one is preferred.
_VARIANTS = ('image_raw', 'image', 'image_color', 'image_rect_color', 'image_rect_raw', 'image_rect', 'image_mono',
             'image_rect_mono')
_DEPTH_NAME = re.compile(r'(aligned_)?depth(_(registered|raw|rect|to_\w+|image\w*))?|disparity\w*|compressedDepth')
_INFRARED_NAME = re.compile(r'(\w+_)?(infra|infrared|ir)[0-9]*(_\w+)?')
_DEPTH_ENCODINGS = ('16UC1', '32FC1')
_DRAWN_BESIDE = ('decision', 'uncertainty')  # topics of our node beside its overlay
_FEWER = 0.9
# Messages of cameras that nothing here decodes.
_OTHER_VIDEO = re.compile(r'.*/(Packet|FFMPEGPacket|CompressedVideo|DisparityImage|H26[45]\w*|VideoFrame|Image[1-9]m)')


class Choice(NamedTuple):
    """Topics to read, in alphabetical order, and sentences about those that are not."""

    topics: Tuple[str, ...]
    notes: Tuple[str, ...] = ()


def choose_topics(reader: BagReader, wanted: Sequence[str] = (), labelled: AbstractSet[str] = frozenset()) -> Choice:
    """The image topics of a bag that are read.

    Args:
        wanted: topics that are read as they are named, as far as they are there; ``all``; empty: each camera once, in
            the form that labels name, else the one with clearly more frames, else the least processed, else lossless
            before compressed. Depth, infrared and what the classifier has drawn only where there is nothing else.
        labelled: topics that labels name.
    """
    images = {name: topic for name, topic in reader.topics.items() if topic.is_image and not topic.unreadable}
    notes = [f'{shown(reader.path)}: {shown(name)} is not read: {topic.msgtype} is no image type that is decoded here'
             for name, topic in reader.topics.items() if _OTHER_VIDEO.fullmatch(topic.msgtype)]
    if tuple(wanted) == (ALL,):
        return Choice(tuple(images), tuple(notes))
    if wanted:
        names = {normal_topic(name) for name in wanted}
        chosen = [name for name in images if name in names]
        for group in _cameras(chosen).values():
            if len(group) > 1:
                notes.append(f'{shown(reader.path)}: {" and ".join(map(shown, group))} show the same camera; all are '
                             'read, as they are named, so that each picture counts more than once')
        if not chosen:
            notes.append(f'{shown(reader.path)}: not read, none of the topics that are named is in it; there are '
                         f'{", ".join(map(shown, images)) or "no image topics"}')
        return Choice(tuple(chosen), tuple(notes))
    with_frames = {name: topic for name, topic in images.items() if topic.count}
    if len(with_frames) < 2:
        return Choice(tuple(with_frames or images), tuple(notes))
    kinds = {name: _kind(reader, topic) for name, topic in with_frames.items()}
    plain = [name for name in with_frames if not kinds[name]]
    left_out = [name for name in with_frames if kinds[name]] if plain else []
    if left_out:
        notes.append(f'{shown(reader.path)}: not read, as nobody asked for it: '
                     + ', '.join(f'{shown(name)} ({kinds[name]})' for name in left_out)
                     + '; name topics to read others')
    chosen = []
    for group in _cameras(plain or list(with_frames)).values():
        best, why = _best([with_frames[name] for name in group], labelled)
        chosen.append(best)
        if len(group) > 1:
            others = ', '.join(shown(name) for name in group if name != best)
            notes.append(f'{shown(reader.path)}: {shown(best)} is read and {others} not, which show the same camera: '
                         f'{why}')
    return Choice(tuple(sorted(chosen)), tuple(notes))


def check_wanted(wanted: Sequence[str], there: AbstractSet[str], others: AbstractSet[str] = frozenset()) -> None:
    """Raises :class:`BagError` for a topic that is named and in none of the bags.

    Args:
        there: of those that are named, the ones that are in a bag.
        others: that could be named.
    """
    if tuple(wanted) == (ALL,):
        return
    for name in map(normal_topic, wanted):
        if name not in there:
            known = there | others
            hint = f'{did_you_mean(name, known)}; ' if known else ''
            raise BagError(f'no image topic {name!r} in the bags; {hint}see `robot-vision bag info`')


def _cameras(names: Sequence[str]) -> Dict[Tuple[str, str], List[str]]:
    """Topics by the camera that they show: transports of one topic, and the variants of image_pipeline beside it."""
    found: Dict[Tuple[str, str], List[str]] = {}
    for name in names:
        folder, _, last = camera_topic(name).rpartition('/')
        found.setdefault((folder, '' if last in _VARIANTS else last), []).append(name)
    return found


def _best(group: Sequence[TopicInfo], labelled: AbstractSet[str]) -> Tuple[str, str]:
    """The one to read, and why."""
    most = max(topic.count for topic in group)

    def rank(topic: TopicInfo) -> Tuple[object, ...]:
        last = camera_topic(topic.name).rpartition('/')[2]
        return (topic.name not in labelled, camera_topic(topic.name) not in {camera_topic(name) for name in labelled},
                topic.count < _FEWER * most, _VARIANTS.index(last) if last in _VARIANTS else 0,
                topic.msgtype == COMPRESSED_IMAGE, topic.name)
    first, second = sorted(group, key=rank)[:2] if len(group) > 1 else (group[0], group[0])
    reasons = ('the labels name it', 'the labels name it',
               f'it has {first.count} frames, {shown(second.name)} {second.count}',
               'it is the least processed', 'it is not compressed', 'it is the first by name')
    return first.name, next((why for why, mine, its in zip(reasons, rank(first), rank(second)) if mine != its), '')


def _kind(reader: BagReader, topic: TopicInfo) -> str:
    """What a topic shows where that is no camera's picture: depth, infrared, or our own drawing; else empty."""
    folder, _, last = camera_topic(topic.name).rpartition('/')
    if last == 'overlay' and any(f'{folder}/{beside}' in reader.topics for beside in _DRAWN_BESIDE):
        return 'drawn by a classifier'
    encoding = _encoding(reader, topic.name)
    segments = topic.name.split('/')
    if 'compressedDepth' in (encoding or '') or (encoding or '').split(';')[0].strip() in _DEPTH_ENCODINGS \
            or any(_DEPTH_NAME.fullmatch(segment) for segment in segments):
        return 'depth'
    return 'infrared' if any(_INFRARED_NAME.fullmatch(segment) for segment in segments) else ''


def _encoding(reader: BagReader, name: str) -> Optional[str]:
    """Encoding or format of the first message; None where it cannot be read."""
    for message in reader.image_messages([name]):
        try:
            image = message.decode()
        except ImageError:
            return None
        return getattr(image, 'encoding', None) or getattr(image, 'format', None)
    return None

"""Serialized ``vision_msgs/msg/Detection2DArray`` of vision_msgs 4 (Humble and later): in and out.

Written for the live node, as :mod:`robot_vision_dl.core.images.cdr`: no message objects are built, and poses, of which
nothing depends, stay bytes.
"""
from struct import pack
from typing import Any

from ..errors import ConfigError, ImageError
from ..images.cdr_primitives import (
    Reader,
    append_float64_bytes,
    append_float64s,
    append_header,
    append_string,
    append_uint32,
    begin,
)
from .detections import NO_POSE, Box, Detection, DetectionArray, Hypothesis

MOST_DETECTIONS = 10_000
"""No detector gives as many; where nothing else is told."""
MOST_HYPOTHESES = 2000
"""Of one object; detectors of open vocabularies know as many classes."""
_POSE_DOUBLES = len(NO_POSE) // 8


def decode_detections(buffer: Any, most: int = MOST_DETECTIONS) -> DetectionArray:
    """Read a serialized ``vision_msgs/msg/Detection2DArray``.

    What boxes and scores hold is for others to judge. The stamp of a single detection, which many detectors leave as it
    was in memory, is read as 0 where it is no time.

    Args:
        buffer: bytes-like, or a uint8 array. Bytes after the message are ignored.
        most: detections that may be; the message is not read further where it states more.

    Raises:
        ImageError: ``truncated``: the buffer ends before the message does. ``malformed``: the bytes cannot be such a
            message, or it states more detections than may be. ``stamp``: the array's own stamp is no time.
    """
    reader = Reader(buffer)
    header = reader.header()
    count = _count(reader, 'detections', most)
    return DetectionArray(header, tuple([_detection(reader) for _ in range(count)]))


def _detection(reader: Reader) -> Detection:
    header = reader.header_of_part()
    hypotheses = tuple([_hypothesis(reader) for _ in range(_count(reader, 'results', MOST_HYPOTHESES))])
    x, y, theta, width, height = reader.float64s(5, 'bbox')
    return Detection(header, hypotheses, Box(x, y, width, height, theta), reader.string('id'))


def _hypothesis(reader: Reader) -> Hypothesis:
    return Hypothesis(reader.string('class_id'), reader.float64('score'), reader.float64_bytes(_POSE_DOUBLES, 'pose'))


def _count(reader: Reader, what: str, most: int) -> int:
    count = reader.uint32(what)
    if count > most:
        raise ImageError('malformed', f'the message states {count} {what}, more than {most}; is it a '
                                      'vision_msgs/Detection2DArray of vision_msgs 4 (ROS 2 Humble and later)?')
    return count


def encode_detections(array: DetectionArray) -> bytes:
    """Serialize a ``vision_msgs/msg/Detection2DArray`` in this machine's byte order.

    :func:`decode_detections` reads it back.

    Raises:
        ConfigError: it would not: there are more than :data:`MOST_DETECTIONS` detections, or :data:`MOST_HYPOTHESES` of
            one, a name is too long or no text, or a stamp is none.
    """
    _check_count(len(array.detections), 'detections', MOST_DETECTIONS)
    parts = begin(array.header)
    append_uint32(parts, len(array.detections))
    for detection in array.detections:
        append_header(parts, detection.header)
        _check_count(len(detection.hypotheses), 'hypotheses of an object', MOST_HYPOTHESES)
        append_uint32(parts, len(detection.hypotheses))
        for hypothesis in detection.hypotheses:
            append_string(parts, hypothesis.class_id)
            # 43 doubles follow the score without a gap.
            append_float64_bytes(parts, pack('=d', hypothesis.score) + hypothesis.pose)
        box = detection.box
        append_float64s(parts, box.x, box.y, box.theta, box.width, box.height)
        append_string(parts, detection.track_id)
    return bytes(parts)


def _check_count(count: int, what: str, most: int) -> None:
    if count > most:
        raise ConfigError(f'{count} {what} cannot be in one message, {most} can; leave some out')

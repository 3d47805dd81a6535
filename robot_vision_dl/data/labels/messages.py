"""Label messages of a bag: ``std_msgs/String`` and ``vision_msgs/Classification``, in and out; and types of others."""
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Optional, Tuple

from ...core.errors import BagError
from ...core.text.printable import printable

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

STRING = 'std_msgs/msg/String'
CLASSIFICATION = 'vision_msgs/msg/Classification'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
"""Written and read by :mod:`robot_vision_dl.core.regions.detection_cdr`."""
DETECTIONS_WIRE_FORMAT = ('{{{u4 u4} string} {{{u4 u4} string} {{string f8} {{{f8 f8 f8} {f8 f8 f8 f8}} f8[36]}}[] '
                          '{{{f8 f8} f8} f8 f8} string}[]}')
"""As :func:`..bags.message_types.wire_format_of_class` has it, of vision_msgs 4 (Humble and later)."""
LABEL_TYPES = (STRING, CLASSIFICATION)
TYPES_BY_NAME = {'string': STRING, 'classification': CLASSIFICATION}
"""What options call them."""
_NS_PER_S = 1_000_000_000

# vision_msgs 4.x; not among the types that rosbags brings.
_VISION_MSGS = {
    CLASSIFICATION: 'std_msgs/Header header\nvision_msgs/ObjectHypothesis[] results\n',
    'vision_msgs/msg/ObjectHypothesis': 'string class_id\nfloat64 score\n',
    DETECTIONS: 'std_msgs/Header header\nvision_msgs/Detection2D[] detections\n',
    'vision_msgs/msg/Detection2D': 'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
                                   'vision_msgs/BoundingBox2D bbox\nstring id\n',
    'vision_msgs/msg/ObjectHypothesisWithPose': 'vision_msgs/ObjectHypothesis hypothesis\n'
                                                'geometry_msgs/PoseWithCovariance pose\n',
    'vision_msgs/msg/BoundingBox2D': 'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n',
    'vision_msgs/msg/Pose2D': 'vision_msgs/Point2D position\nfloat64 theta\n',
    'vision_msgs/msg/Point2D': 'float64 x\nfloat64 y\n',
}


def message_store() -> 'Typestore':
    """A new rosbags type store of the standard messages, the label messages and detections."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore  # late: not all who read labels read bags
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in _VISION_MSGS.items():
        store.register(get_types_from_msg(text, name))
    return store


@lru_cache(maxsize=None)
def _store() -> 'Typestore':
    return message_store()


def decode_label(msgtype: str, cdr: bytes) -> Tuple[Optional[int], str]:
    """(header stamp in ns, label) of a serialized label message.

    The stamp is None where the message has none or it is zero. The label of a Classification is its result with the
    highest score; empty where there is none.

    Raises:
        BagError: the bytes are no such message.
    """
    try:
        message: Any = _store().deserialize_cdr(cdr, msgtype)
    # Generated code: a damaged message shows up as whatever its first wrong read raises.
    except Exception as error:
        raise BagError(f'{msgtype} of {len(cdr)} bytes cannot be read: {printable(error)}') from error
    if msgtype == STRING:
        return None, message.data
    stamp = message.header.stamp
    best = max(message.results, key=lambda result: result.score, default=None)
    return stamp.sec * _NS_PER_S + stamp.nanosec or None, '' if best is None else best.class_id


def encode_label(msgtype: str, stamp_ns: int, frame_id: str, label: str) -> bytes:
    """A serialized label message; an empty label ends the one before.

    Raises:
        BagError: the type is none for labels, or the time does not fit a header.
    """
    store = _store()
    if msgtype == STRING:
        return bytes(store.serialize_cdr(store.types[STRING](data=label), STRING))
    if msgtype != CLASSIFICATION:
        raise BagError(f'labels are written as {" or ".join(LABEL_TYPES)}, got {msgtype!r}')
    seconds, nanoseconds = divmod(stamp_ns, _NS_PER_S)
    if not 0 <= seconds < 1 << 31:
        raise BagError(f'a label at {stamp_ns} ns cannot be written: headers know times from 0 (1970) to '
                       f'{(1 << 31) - 1} s')
    header = store.types['std_msgs/msg/Header'](
        stamp=store.types['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds), frame_id=frame_id)
    results = [store.types['vision_msgs/msg/ObjectHypothesis'](class_id=label, score=1.0)] if label else []
    return bytes(store.serialize_cdr(store.types[CLASSIFICATION](header=header, results=results), CLASSIFICATION))

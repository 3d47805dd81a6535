"""Definitions of the messages that are recorded, as mcap files carry them (``ros2msg``): without comments.

Those of ROS 2 and of vision_msgs 4 (Humble and later). They are here because no ROS 2 installation can be relied on for
them: wheels leave them out.
"""
from typing import Dict, List

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CLASSIFICATION = 'vision_msgs/msg/Classification'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
DIAGNOSTICS = 'diagnostic_msgs/msg/DiagnosticArray'

_SEPARATOR = '=' * 80 + '\n'
_FIELDS = {
    'builtin_interfaces/Time': 'int32 sec\nuint32 nanosec\n',
    'std_msgs/Header': 'builtin_interfaces/Time stamp\nstring frame_id\n',
    'geometry_msgs/Point': 'float64 x\nfloat64 y\nfloat64 z\n',
    'geometry_msgs/Quaternion': 'float64 x\nfloat64 y\nfloat64 z\nfloat64 w\n',
    'geometry_msgs/Pose': 'geometry_msgs/Point position\ngeometry_msgs/Quaternion orientation\n',
    'geometry_msgs/PoseWithCovariance': 'geometry_msgs/Pose pose\nfloat64[36] covariance\n',
    'sensor_msgs/Image': 'std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\n'
                         'uint32 step\nuint8[] data\n',
    'sensor_msgs/CompressedImage': 'std_msgs/Header header\nstring format\nuint8[] data\n',
    'vision_msgs/ObjectHypothesis': 'string class_id\nfloat64 score\n',
    'vision_msgs/Classification': 'std_msgs/Header header\nvision_msgs/ObjectHypothesis[] results\n',
    'vision_msgs/ObjectHypothesisWithPose': 'vision_msgs/ObjectHypothesis hypothesis\n'
                                            'geometry_msgs/PoseWithCovariance pose\n',
    'vision_msgs/Point2D': 'float64 x\nfloat64 y\n',
    'vision_msgs/Pose2D': 'vision_msgs/Point2D position\nfloat64 theta\n',
    'vision_msgs/BoundingBox2D': 'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n',
    'vision_msgs/Detection2D': 'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
                               'vision_msgs/BoundingBox2D bbox\nstring id\n',
    'vision_msgs/Detection2DArray': 'std_msgs/Header header\nvision_msgs/Detection2D[] detections\n',
    'diagnostic_msgs/KeyValue': 'string key\nstring value\n',
    'diagnostic_msgs/DiagnosticStatus': 'byte OK=0\nbyte WARN=1\nbyte ERROR=2\nbyte STALE=3\nbyte level\nstring name\n'
                                        'string message\nstring hardware_id\ndiagnostic_msgs/KeyValue[] values\n',
    'diagnostic_msgs/DiagnosticArray': 'std_msgs/Header header\ndiagnostic_msgs/DiagnosticStatus[] status\n',
}


def definition(msgtype: str) -> str:
    """The text of a type of those above, e.g. ``sensor_msgs/msg/Image``, and of all types in it, each once."""
    found: List[str] = [msgtype.replace('/msg/', '/')]
    texts: Dict[str, str] = {}
    while found:
        name = found.pop(0)
        if name not in texts:
            texts[name] = _FIELDS[name]
            inner = [line.split()[0].partition('[')[0] for line in _FIELDS[name].splitlines()]
            found = [one for one in inner if '/' in one] + found
    (_, own), *others = texts.items()
    return own + ''.join(f'{_SEPARATOR}MSG: {name}\n{text}' for name, text in others)

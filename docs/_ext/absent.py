"""Packages that the documentation can do without: where one is missing, as on docs.ros.org, it is mocked.

What is generated is the same with and without them: it tells of our own classes, parsers and texts.
"""
from importlib.util import find_spec
from typing import List

HEAVY = ('torch', 'torchvision', 'safetensors', 'rosbags', 'lightning', 'tqdm', 'jinja2', 'rclpy')
MESSAGES = ('builtin_interfaces', 'diagnostic_msgs', 'geometry_msgs', 'lifecycle_msgs', 'rcl_interfaces',
            'rosgraph_msgs', 'sensor_msgs', 'std_msgs', 'std_srvs', 'vision_msgs')


def absent_modules() -> List[str]:
    """Those that cannot be imported here."""
    return [name for name in (*HEAVY, *MESSAGES) if find_spec(name) is None]

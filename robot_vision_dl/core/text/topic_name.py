"""Names of ROS 2 topics: what a node can publish on, and a recording be played on."""
import re

from ..errors import ConfigError
from .printable import printable

MOST_CHARACTERS = 247
"""RMW_TOPIC_MAX_NAME_LENGTH of rmw/validate_full_topic_name.h."""
_NAME = re.compile('(?:/[A-Za-z_][A-Za-z0-9_]*)+')


def is_topic_name(name: str) -> bool:
    """Whether ``name`` is the full name of a topic; the rules are told at :func:`check_topic_name`."""
    return len(name) <= MOST_CHARACTERS and bool(_NAME.fullmatch(name)) and '__' not in name


def check_topic_name(name: str, what: str) -> str:
    """``name`` with its leading slash, if it is the full name of a topic.

    The rules are those of https://design.ros2.org/articles/topic_and_service_names.html: parts of ASCII letters, digits
    and single underscores, none of which begins with a digit, each after one slash. A name without a slash at the
    beginning is taken as if it had one. ``~`` and ``{}`` are refused: outside of a node there is nothing to put there.

    Args:
        what: begins the error, for instance ``--topic``.

    Raises:
        ConfigError: it is none.
    """
    full = name if name.startswith('/') else f'/{name}'
    if is_topic_name(full):
        return full
    raise ConfigError(f'{what}: {printable(name, 80)!r} is no name of a ROS 2 topic: it has parts of letters, digits '
                      f'and single underscores, none beginning with a digit, and at most {MOST_CHARACTERS} characters, '
                      'as in /camera/image_raw')


def check_node_name(name: str, what: str) -> str:
    """``name``, if a node can have it, and topics that begin with it.

    Args:
        what: begins the error, for instance ``--node-name``.

    Raises:
        ConfigError: it is none.
    """
    if is_topic_name(f'/{name}') and '/' not in name:
        return name
    raise ConfigError(f'{what}: {printable(name, 80)!r} is no name of a ROS 2 node: it has letters, digits and single '
                      'underscores and does not begin with a digit, as in arm_classifier; what stands before a / is '
                      'its namespace')


def check_namespace(name: str, what: str) -> str:
    """``name`` with its leading slash, if it can be the namespace of a node.

    Args:
        what: begins the error, for instance ``--namespace``.

    Raises:
        ConfigError: it cannot.
    """
    full = '/' + name.strip('/')
    if full == '/' or is_topic_name(full):
        return full
    raise ConfigError(f'{what}: {printable(name, 80)!r} is no namespace of ROS 2: it has parts of letters, digits and '
                      'single underscores, none beginning with a digit, as in /arm/left')

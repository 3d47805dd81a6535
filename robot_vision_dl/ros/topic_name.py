"""Topics as parameters name them, and as the node's namespace and remappings make them."""
from rclpy.node import Node

from ..core.errors import ConfigError
from ..core.text.printable import printable


def resolved(node: Node, topic: str) -> str:
    """The full name of a topic.

    Raises:
        ConfigError: it cannot be the name of a topic; rcl's own error does not tell which one.
    """
    try:
        return node.resolve_topic_name(topic)
    except Exception as error:  # noqa: B902 - RCLError has no public name, and there are others
        raise ConfigError(f'topic {printable(repr(topic), 100)}: cannot be the name of a topic; take letters, digits '
                          'and _, with / between them, and no digit behind a /') from error

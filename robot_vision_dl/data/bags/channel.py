"""What every kind of storage file says about its topics and messages."""
from typing import NamedTuple


class Channel(NamedTuple):
    """One topic of one storage file, as it stands there.

    Attributes:
        key: its number within the file.
        topic, msgtype: as written by the recorder.
        encoding: ``cdr`` or ``ros1``; anything else cannot be played.
        definition_form: ``ros1msg``, ``ros2msg``, ``ros2idl`` or empty where the file has no definition.
        definition: text of the message definition, with those that it uses.
        latched: late subscribers are to get the last message (ROS 1 latching, ROS 2 transient local).
        messages: how many it has.
    """

    key: int
    topic: str
    msgtype: str
    encoding: str
    definition_form: str
    definition: str
    latched: bool
    messages: int


class RawMessage(NamedTuple):
    """A message as it is stored: ``data`` in the encoding of its channel."""

    channel: Channel
    receive_ns: int
    data: bytes

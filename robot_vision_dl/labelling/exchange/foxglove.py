"""Foxglove: a bag for each recording with ``foxglove_msgs/msg/Event``, a message for each labelled stretch.

Opened together with the recording, the stretches are events on its time line. The definition is that of foxglove_msgs
of 2026 (https://docs.foxglove.dev/docs/sdk/schemas/event), where both ends are inclusive: the last nanosecond of a
stretch is its end.
"""
import re
from pathlib import Path
from typing import Dict, List, Sequence

from rosbags.typesys import get_types_from_msg

from ...core.errors import ConfigError
from ...core.text.printable import printable
from ...data.bags.writer import NS_PER_S, ImageBagWriter
from ...data.labels.messages import message_store
from ..state import LabelledPiece

EVENT = 'foxglove_msgs/msg/Event'
TOPIC = '/labelled'
"""That the events are on."""
_DEFINITIONS = {
    'foxglove_msgs/msg/KeyValuePair': 'string key\nstring value\n',
    EVENT: 'builtin_interfaces/Time start_time\nbuiltin_interfaces/Time end_time\n'
           'foxglove_msgs/KeyValuePair[] metadata\n',
}


def write(folder: Path, pieces: Sequence[LabelledPiece]) -> List[Path]:
    """Write a bag ``<recording>_labels`` for each recording; the same labels give the same bytes.

    Raises:
        ConfigError: a time is none that a message can hold.
    """
    recordings: Dict[str, List[LabelledPiece]] = {}
    for one in pieces:
        recordings.setdefault(one.recording, []).append(one)
    store = message_store()
    for name, text in _DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    types, found = store.types, []
    for recording, members in sorted(recordings.items()):
        name, number = re.sub(r'[^\w.+-]+', '_', recording).lstrip('.') or '_', 1
        path = folder / f'{name}_labels'
        while path in found:
            number += 1
            path = folder / f'{name}-{number}_labels'
        found.append(path)
        with ImageBagWriter(path, store=store) as writer:
            for one in sorted(members, key=lambda piece: (piece.start_ns, piece.topic)):
                times = []
                for time_ns in (one.start_ns, one.end_ns - 1):
                    seconds, nanoseconds = divmod(time_ns, NS_PER_S)
                    if not 0 <= seconds < 1 << 31:
                        raise ConfigError(f'{printable(recording)}: {time_ns} ns is no time that a ROS message can '
                                          'hold; export the labels in another format')
                    times.append(types['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds))
                facts = {'label': one.label, 'topic': one.topic, 'recording': one.recording}
                message = types[EVENT](start_time=times[0], end_time=times[1], metadata=[
                    types['foxglove_msgs/msg/KeyValuePair'](key=key, value=value) for key, value in facts.items()])
                writer.write_cdr(TOPIC, EVENT, one.start_ns, store.serialize_cdr(message, EVENT))
    return found

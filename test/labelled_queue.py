"""Queues over bags that are there, and labels given to stretches of them."""
from itertools import count
from pathlib import Path
from typing import Dict, Sequence, Tuple

from labelled_samples import pattern

from robot_vision_dl.data.bags.message_types import IMAGE
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.labels.messages import message_store
from robot_vision_dl.labelling.events import Action, EventStore, Stretch
from robot_vision_dl.labelling.queue_file import QueueFrame, QueueInterval, QueueRecording, write_queue

T0 = 1_700_000_000_000_000_000
PERIOD = 100_000_000
TOPIC = '/camera/image_raw'
_numbers = count(1)


def write_frames(path: Path, stamps: Dict[str, Sequence[int]], receives: Sequence[int] = ()) -> Path:
    """A bag of raw frames with the given header stamps on each topic; received at ``T0`` + n periods by default."""
    store = message_store()
    with ImageBagWriter(path) as writer:
        for topic, values in stamps.items():
            for place, stamp in enumerate(values):
                pixels = pattern(place)
                header = store.types['std_msgs/msg/Header'](
                    stamp=store.types['builtin_interfaces/msg/Time'](sec=stamp // 10**9, nanosec=stamp % 10**9),
                    frame_id='camera')
                message = store.types[IMAGE](header=header, height=48, width=64, encoding='bgr8', is_bigendian=0,
                                             step=192, data=pixels.reshape(-1))
                writer.write_cdr(topic, IMAGE, receives[place] if receives else T0 + place * PERIOD,
                                 store.serialize_cdr(message, IMAGE))
    return path


def queue_of(folder: Path, bags: Dict[str, Path], intervals: Sequence[Tuple[str, str, int, int]],
             class_names: Sequence[str] = ('cup', 'mug'), frames: int = 3, every_s: float = 0.5) -> Path:
    """A queue of (recording, topic, start_ns, end_ns), each with ``frames`` pictures."""
    from queue_samples import jpeg
    names = list(bags)
    rows = [(QueueInterval(number, names.index(recording) + 1, topic, start, end, 9, 'uncertain', .5, False, True,
                           ((class_names[number % len(class_names)], .75),)),
             [QueueFrame(start + place * (end - start) // frames, class_names[0], .75, jpeg(number * 10 + place))
              for place in range(frames)])
            for number, (recording, topic, start, end) in enumerate(intervals, 1)]
    write_queue(folder, {'class_names': list(class_names), 'options': {'every_s': every_s}}, [
        QueueRecording(number, name, str(path), T0) for number, (name, path) in enumerate(bags.items(), 1)], rows)
    return folder


def say(folder: Path, path: Path, label: str, start: int, end: int, topic: str = TOPIC, kind: str = 'span',
        recording: str = '', at_ns: int = 0) -> None:
    """Give a stretch a label (``kind`` clear: take it away; cut: at ``at_ns``), as the page does."""
    with EventStore(folder) as store:
        store.append('tab', 'Ann', [Action(f'event-{next(_numbers):08}', kind, (
            Stretch(recording or path.name, str(path), topic, start, end),), label, at_ns=at_ns)])

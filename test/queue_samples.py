"""Queues of intervals that are made up, for what is done with them."""
import io
from pathlib import Path
from typing import Sequence

import numpy as np
from PIL import Image

from robot_vision_dl.labelling.queue_file import QueueFile, QueueFrame, QueueInterval, QueueRecording, write_queue

CLASSES = ('glass', 'metal', 'paper')
TOPIC = '/camera/image_raw'
SECOND = 10**9
START = 1_700_000_000 * SECOND
"""Later than 2**53 ns, as stamps are."""


def make_queue(folder: Path, intervals: int = 30, recordings: Sequence[str] = ('hall', 'yard'), seconds: float = 2.0,
               frames: int = 2, topics: Sequence[str] = (TOPIC,), class_names: Sequence[str] = CLASSES) -> QueueFile:
    """A queue of intervals of ``seconds``, in turn of each recording and topic.

    Features lie in as many clusters as there are classes; every tenth is drawn at random, every seventh proposed
    wrongly, the last fifth not chosen.
    """
    draws = np.random.default_rng(0)
    centres = draws.normal(size=(len(class_names), 16))
    length = int(seconds * SECOND)
    cameras = [(number + 1, topic) for number in range(len(recordings)) for topic in topics]

    def rows():
        for number in range(1, intervals + 1):
            recording, topic = cameras[number % len(cameras)]
            true = number % len(class_names)
            called = (true + (number % 7 == 0)) % len(class_names)
            feature = centres[true] + draws.normal(size=16) * .3
            start = START + recording * 10**15 + (number // len(cameras)) * length
            random = number % 10 == 0
            chosen = random or number <= .8 * intervals
            doubt = round(1 - number / intervals, 6)
            picture = jpeg(number)
            yield QueueInterval(
                number, recording, topic, start, start + length, frames,
                'random' if random else 'camera_fault' if number % 13 == 0 else 'uncertain', doubt, random, chosen,
                ((class_names[called], .7), (class_names[(called + 1) % len(class_names)], .3)),
                'it is in two minds', class_names[true] if number % 5 == 0 else '', None,
                (feature / np.linalg.norm(feature)).astype(np.float32)), [
                QueueFrame(start + place * length // frames, class_names[called], .7, picture)
                for place in range(frames)]

    write_queue(folder, {'class_names': list(class_names), 'model': 'waste_sorter', 'model_hash': 'ab12'}, [
        QueueRecording(number + 1, name, f'/bags/{name}', START + (number + 1) * 10**15)
        for number, name in enumerate(recordings)], rows())
    return QueueFile(folder)


def true_class(interval: int, class_names: Sequence[str] = CLASSES) -> str:
    """What the features of an interval of :func:`make_queue` show."""
    return class_names[interval % len(class_names)]


def jpeg(number: int) -> bytes:
    """A small picture whose colour tells the number."""
    file = io.BytesIO()
    Image.new('RGB', (64, 48), ((number * 37) % 256, (number * 91) % 256, (number * 53) % 256)).save(file, 'JPEG')
    return file.getvalue()

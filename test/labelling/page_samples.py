"""Queues for tests of the page: intervals of a few recordings with small pictures that tell the classes apart."""
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from robot_vision_dl.labelling.queue_file import QueueFrame, QueueInterval, QueueRecording, write_queue

CLASSES = ('bottle', 'can', 'cardboard', 'glass', 'paper')
TOPIC = '/camera/image_raw'
START_NS = 1_700_000_000_123_456_789  # beyond what JavaScript's numbers hold
SECOND_NS = 1_000_000_000
Draw = Callable[[int, int, int], np.ndarray]
"""(class, interval, place) -> uint8 (H, W, 3), BGR."""


def shape(kind: int, interval: int, place: int) -> np.ndarray:
    """A coloured shape on grey that moves a little from picture to picture."""
    picture = np.full((90, 120, 3), 90 + 7 * (interval % 10), np.uint8)
    centre = (50 + 3 * place, 45 + (interval * 7) % 11)
    colour = [(200, 90, 30), (30, 160, 230), (120, 160, 20), (170, 120, 210), (60, 210, 230)][kind % 5]
    if kind % 2:
        cv2.circle(picture, centre, 24, colour, -1)
    else:
        cv2.rectangle(picture, (centre[0] - 22, centre[1] - 26), (centre[0] + 22, centre[1] + 26), colour, -1)
    return picture


def write_page_queue(folder: Path, count: int, classes: Sequence[str] = CLASSES, recordings: Sequence[str] = ('hall', 'yard'),
                     topic: str = TOPIC, frames: int = 6, draw: Draw = shape, truth: Optional[List[int]] = None) -> Path:
    """Write ``mined.sqlite`` with ``count`` intervals of two seconds; gives the file.

    Args:
        truth: class of each interval; filled where it is an empty list.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    kinds = rng.integers(len(classes), size=count)
    if truth is not None:
        truth.extend(int(kind) for kind in kinds)
    jpegs: dict = {}

    def jpeg(kind: int, interval: int, place: int) -> bytes:
        key = (kind, interval % 40, place) if draw is shape else (kind, interval, place)
        if key not in jpegs:
            jpegs[key] = cv2.imencode('.jpg', draw(*key), [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
        return jpegs[key]

    def intervals() -> Iterator[Tuple[QueueInterval, List[QueueFrame]]]:
        place_in = [0] * len(recordings)
        for k in range(count):
            recording = int(rng.integers(len(recordings)))
            start = START_NS + recording * 3600 * SECOND_NS + place_in[recording] * 2 * SECOND_NS
            place_in[recording] += 1
            doubt = 1 - k / count
            right = rng.random() > 0.5 * doubt
            top = int(kinds[k]) if right else int(rng.integers(len(classes)))
            p = 0.97 - 0.6 * doubt
            second = (top + 1) % len(classes)
            random = k % 10 == 9
            reason = 'random' if random else 'unknown' if k % 7 == 3 else 'uncertain' if doubt > 0.3 else 'sure'
            feature = rng.normal(size=16) * 0.3 + 3 * np.eye(16)[kinds[k] % 16]
            yield QueueInterval(
                k + 1, recording + 1, topic, start, start + 2 * SECOND_NS, frames, reason, doubt, random, True,
                ((classes[top], p), (classes[second], (1 - p) * 0.8)), '', '', None,
                (feature / np.linalg.norm(feature)).astype(np.float32)), [
                    QueueFrame(start + place * 2 * SECOND_NS // frames, classes[top], max(0.05, p - 0.03 * place),
                               jpeg(int(kinds[k]), k, place)) for place in range(frames)]

    return write_queue(folder, {'class_names': list(classes), 'model': 'sample'}, [
        QueueRecording(k + 1, name, f'/bags/{k}', START_NS + k * 3600 * SECOND_NS) for k, name in enumerate(recordings)
    ], intervals())

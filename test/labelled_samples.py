"""Small labelled bags and folders of pictures, for tests."""
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import cv2
import numpy as np

from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.labels.labels import LabelledFrame
from robot_vision_dl.data.labels.messages import TYPES_BY_NAME, encode_label

T0_S = 1_700_000_000
S = 1_000_000_000
TOPIC = '/camera/image_raw'


def pattern(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth random picture, BGR: unlike those of other seeds to the perceptual hash, and robust to JPEG."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_bag(path: Path, count: int, rate_hz: float = 10.0, labels: Sequence[Tuple[float, str]] = (),
              label_type: str = 'string', topics: Sequence[str] = (TOPIC,), seed: int = 0, start_s: int = T0_S,
              jpeg: bool = False) -> Path:
    """Frames at ``rate_hz`` on every topic, and labels at (seconds from the start) on ``/label``."""
    with ImageBagWriter(path) as writer:
        events: List[Tuple[int, int, object]] = [(start_s * S + round(at * S), 0, label) for at, label in labels]
        events += [(start_s * S + round(index * S / rate_hz), 1, index) for index in range(count)]
        for stamp_ns, kind, value in sorted(events, key=lambda event: event[:2]):
            if kind == 0:
                msgtype = TYPES_BY_NAME[label_type]
                writer.write_cdr('/label', msgtype, stamp_ns, encode_label(msgtype, stamp_ns, 'camera', value))
                continue
            for number, topic in enumerate(topics):
                picture = pattern(1000 * seed + 10 * value + number)
                if jpeg:
                    writer.write_jpeg(topic, stamp_ns, picture)
                else:
                    writer.write_raw(topic, stamp_ns, picture)
    return path


def write_folders(folder: Path, counts: Dict[str, int], copies: Sequence[Tuple[str, int]] = ()) -> Path:
    """``<class>/<n>.jpg``; ``copies`` (class, n) are stored a second time, smaller, as ``<n>_copy.jpg``."""
    for number, (label, count) in enumerate(counts.items()):
        (folder / label).mkdir(parents=True)
        for index in range(count):
            picture = pattern(100_000 * (number + 1) + index, 96, 128)
            cv2.imwrite(str(folder / label / f'{index}.jpg'), picture)
            if (label, index) in copies:
                cv2.imwrite(str(folder / label / f'{index}_copy.jpg'), cv2.resize(picture, (64, 48)))
    return folder


def frames_of(recordings: Dict[str, Sequence[Tuple[str, float]]], rate_hz: float = 10.0,
              with_tracks: bool = False) -> Tuple[LabelledFrame, ...]:
    """Frames of recordings given as stretches (label, seconds) one after another."""
    found = []
    for name, stretches in recordings.items():
        index = 0
        for number, (label, seconds) in enumerate(stretches):
            for _ in range(round(seconds * rate_hz)):
                stamp_ns = T0_S * S + round(index * S / rate_hz)
                found.append(LabelledFrame(name, TOPIC, stamp_ns, label, f'{label}_{number}' if with_tracks else None,
                                           index, stamp_ns, f'/bags/{name}'))
                index += 1
    return tuple(found)

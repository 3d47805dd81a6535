"""Short videos of things held before a camera, made of photographs: stand-ins for recordings of one's own."""
from pathlib import Path
from typing import Dict, List

import cv2
import numpy as np

from robot_vision_dl.data.camera_model import handheld

SIZE = (320, 240)
TAKES = {'cardboard': 3, 'glass': 3, 'metal': 3, 'paper': 3, 'plastic': 2}
"""Videos of each class: fourteen."""


def write_videos(folder: Path, photographs: Path, takes: Dict[str, int] = TAKES, seconds: float = 2.0,
                 rate_hz: float = 10.0, seed: int = 0) -> List[Path]:
    """``folder/<class>_<n>.mp4``: takes of one thing of each class, the first photograph in ``photographs/<class>/``.

    As where a person shows a gesture again, the thing is the same; its place, size, turn and light are others, and the
    hand that holds the camera moves.

    Returns:
        The videos, class by class.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for label, count in takes.items():
        picture = cv2.imread(str(min((photographs / label).glob('*.jpg'))))
        for number in range(count):
            path = folder / f'{label}_{number + 1}.mp4'
            written.append(path)
            rng = np.random.default_rng([seed, len(written)])
            video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), rate_hz, SIZE)
            taken = _held_differently(picture, rng)
            for frame in handheld(taken, SIZE, round(seconds * rate_hz), rate_hz, int(rng.integers(2**31))):
                video.write(frame)
            video.release()
    return written


def _held_differently(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-15, 15), rng.uniform(0.8, 1.3))
    matrix[:, 2] += rng.uniform(-0.12, 0.12, 2) * (width, height)
    turned = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.clip(turned * rng.uniform(0.7, 1.15), 0, 255).astype(np.uint8)

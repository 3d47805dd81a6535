"""Short videos of things held before a camera, made of photographs: stand-ins for recordings of one's own."""
from pathlib import Path
from typing import Dict, List

import cv2

from robot_vision_dl.data.camera_model import handheld

SIZE = (320, 240)
TAKES = {'cardboard': 3, 'glass': 3, 'metal': 3, 'paper': 3, 'plastic': 2}
"""Videos of each class: fourteen."""


def write_videos(folder: Path, photographs: Path, takes: Dict[str, int] = TAKES, seconds: float = 2.0,
                 rate_hz: float = 8.0, seed: int = 0) -> List[Path]:
    """``folder/<class>_<n>.mp4``, each of another photograph of ``photographs/<class>/``, by a hand that moves.

    Returns:
        The videos, class by class.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for label, count in takes.items():
        pictures = sorted((photographs / label).glob('*.jpg'))
        for number in range(count):
            picture = cv2.imread(str(pictures[(seed + 37 * number) % len(pictures)]))
            path = folder / f'{label}_{number + 1}.mp4'
            video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), rate_hz, SIZE)
            for frame in handheld(picture, SIZE, round(seconds * rate_hz), rate_hz, seed + 100 * len(written)):
                video.write(frame)
            video.release()
            written.append(path)
    return written

"""Frames of a video file at a steady rate."""
from pathlib import Path
from typing import Iterator, Optional, Tuple, Union

import cv2
import numpy as np

from ..core.errors import BagError
from ..core.files.user_path import user_path
from ..core.text.printable import printable

VIDEO_SUFFIXES = ('.mp4', '.m4v', '.avi', '.mov', '.mkv', '.webm', '.mpg', '.mpeg', '.mjpeg', '.mjpg', '.wmv', '.flv',
                  '.3gp', '.ogv', '.ts', '.mts')
"""Of files that are taken for videos by their names."""


def is_video_name(path: Union[str, Path]) -> bool:
    """Whether a file is called like a video."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def video_rate_hz(path: Union[str, Path]) -> float:
    """Nominal frame rate of a video; 30 where the file does not say.

    Raises:
        BagError: the file is missing or no video.
    """
    video = _open(path)
    rate = video.get(cv2.CAP_PROP_FPS)
    video.release()
    return rate if np.isfinite(rate) and 0 < rate <= 1000 else 30.0


def video_frames(path: Union[str, Path], rate_hz: Optional[float] = None, start_s: float = 0.0,
                 duration_s: Optional[float] = None) -> Iterator[Tuple[float, np.ndarray]]:
    """Frames of the video ``path`` as (seconds after ``start_s``, BGR uint8 (H, W, 3)).

    ``rate_hz`` takes, for each tick, the frame that is on screen then; None takes every frame of the file. A rate
    above the file's repeats frames.

    Raises:
        BagError: the file is missing or no video, or it ends before ``start_s``.
    """
    own_rate_hz = video_rate_hz(path)
    rate_hz = own_rate_hz if rate_hz is None else rate_hz
    count = None if duration_s is None else max(1, round(duration_s * rate_hz))
    video = _open(path)
    try:
        tick, index, shown = 0, -1, None
        while count is None or tick < count:
            # Half a tick of a thousandth against rounding, where a tick falls upon a frame's beginning.
            wanted = int((start_s + tick / rate_hz) * own_rate_hz + 1e-3)
            while index < wanted:
                if not video.grab():
                    if index < 0:
                        raise BagError(f'{printable(path)}: holds no frame; was it copied whole?')
                    if tick == 0:
                        raise BagError(f'{printable(path)}: ends at {(index + 1) / own_rate_hz:.1f} s, before the '
                                       f'start asked for ({start_s:g} s); use a smaller --start')
                    return
                index, shown = index + 1, None
            if shown is None:
                done, shown = video.retrieve()
                if not done:
                    raise BagError(f'{printable(path)}: frame {index}, at {index / own_rate_hz:.1f} s, cannot be '
                                   'decoded; the video is damaged there: cut it before that')
            yield tick / rate_hz, shown
            tick += 1
    finally:
        video.release()


def _open(path: Union[str, Path]) -> cv2.VideoCapture:
    path = user_path(path)
    if not path.is_file():
        what = 'is a folder' if path.is_dir() else 'is no file' if path.exists() else 'no such file'
        raise BagError(f'{printable(path)}: {what}; give a video such as .mp4 or .avi')
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise BagError(f'{printable(path)}: OpenCV cannot read it as a video; convert it to .mp4 (H.264) or .avi '
                       '(MJPEG)')
    return video

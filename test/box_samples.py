"""Pictures with objects, drawn here: coloured rectangles on noise, and where they are."""
from pathlib import Path

import cv2
import numpy as np

from robot_vision_dl.core.regions.detections import Box
from robot_vision_dl.data.labels.objects.labelled_picture import LabelledObject, LabelledPicture

COLOURS = {'ball': (0, 160, 255), 'goal post': (240, 240, 240), 'robot': (30, 20, 20)}
"""BGR."""


def draw(path: Path, root: Path, objects, size=(120, 90), seed=0) -> LabelledPicture:
    """Write a picture in which each (label, left, top, width, height) is a rectangle of its class's colour."""
    pixels = np.random.default_rng(seed).integers(60, 120, (size[1], size[0], 3), np.uint8)
    for label, left, top, width, height in objects:
        cv2.rectangle(pixels, (int(left), int(top)), (int(left + width) - 1, int(top + height) - 1),
                      COLOURS.get(label, (200, 0, 200)), -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return LabelledPicture(path, path.relative_to(root).as_posix(), *size, tuple(
        LabelledObject(Box.of_corners(left, top, left + width, top + height), label)
        for label, left, top, width, height in objects))


def venues(root: Path, names=('a', 'b'), pictures=4, seed=0, size=(120, 90)):
    """``<root>/<venue>/cam/<n>.png`` with three objects each, one of a class, of random sizes and places."""
    rng, found = np.random.default_rng(seed), []
    for name in names:
        for number in range(pictures):
            objects = [(label, int(rng.integers(0, 15)) + 36 * place, int(rng.integers(2, 30)),
                        int(rng.integers(10, 20)), int(rng.integers(10, 40)))
                       for place, label in enumerate(COLOURS)]
            found.append(draw(root / name / 'cam' / f'{number}.png', root, objects, size, seed=int(rng.integers(1000))))
    return found

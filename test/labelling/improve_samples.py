"""Small data sets on which a model can be improved within seconds."""
import sys
from pathlib import Path
from typing import Sequence

import cv2
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / 'training'))
from training_samples import CLASSES, config_text, draw  # noqa: E402


def recordings(root: Path, count: int, each: int = 8, unknown: int = 6, seed: int = 0,
               classes: Sequence[str] = CLASSES) -> Path:
    """``root/<name>_<n>/<class>/<k>.png``; each with a ground of its own, so that few look alike to a hash."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        for label in (*classes, *['unknown'] * bool(unknown)):
            folder = root / f'{root.name}_{number}' / label
            folder.mkdir(parents=True)
            for k in range(unknown if label == 'unknown' else each):
                cv2.imwrite(str(folder / f'{k:03d}.png'), shown(label, rng))
    return root


def shown(label: str, rng: np.random.Generator) -> np.ndarray:
    """A picture of a class, of ``ring`` or of none (``unknown``); uint8 (40, 40, 3)."""
    shape = stripes(rng) if label == 'unknown' else ring(rng) if label == 'ring' else draw(label, rng)
    ground = cv2.resize(rng.normal(0, 16, (5, 5, 1)).astype(np.float32), (40, 40), interpolation=cv2.INTER_CUBIC)
    return np.clip(shape.astype(np.float32) + ground[..., None], 0, 255).astype(np.uint8)


def stripes(rng: np.random.Generator) -> np.ndarray:
    """None of the classes; uint8 (40, 40, 3)."""
    rows = 127 + 120 * np.sin(np.arange(40) * rng.uniform(0.5, 2))
    return np.clip(np.broadcast_to(rows[:, None, None], (40, 40, 3)) + rng.normal(0, 12, (40, 40, 3)), 0, 255)


def ring(rng: np.random.Generator) -> np.ndarray:
    """A class that comes later; uint8 (40, 40, 3)."""
    picture = np.full((40, 40, 3), rng.integers(60, 120), np.uint8)
    x, y = (int(value) for value in rng.integers(14, 26, 2))
    cv2.circle(picture, (x, y), 12, [int(value) for value in rng.integers(140, 255, 3)], 2)
    cv2.circle(picture, (x, y), 5, [int(value) for value in rng.integers(140, 255, 3)], 2)
    return np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255)


def settings(data: Path, work: Path, epochs: int, **groups: str) -> str:
    """A training file over :func:`recordings`, for a bundle ``models/shapes`` in the folder ``work``."""
    return config_text(data, work, epochs, **groups).replace(f'{data}/recording_*', f'{data}/*')

"""Frames of a store -> what pictures of their camera are like."""
from typing import Optional, Sequence, Tuple

import numpy as np

from ..core.config import CameraFaultConfig
from ..core.uncertainty.camera.bounds import CameraBounds
from ..core.uncertainty.camera.fit import LEAST_OBJECTS, LEAST_PICTURES, fit_bounds
from ..core.uncertainty.camera.probe_fit import Seen
from ..core.uncertainty.camera.statistics import NAMES, Look
from ..core.uncertainty.camera.watch import frozen_after_s


def joined(fitted: Optional[Seen], held_out: Sequence[np.ndarray]) -> Optional[Seen]:
    """What is known of pictures to fit to, and of m others after them, float32 (m, F_s) a stage; None: nothing."""
    if fitted is None:
        return None
    others = np.concatenate(list(held_out), axis=1)
    return fitted._replace(places=np.concatenate([fitted.places, len(fitted.places) + np.arange(len(others))]),
                           features=np.concatenate([fitted.features, others]))


def fit_camera(fitted: Optional[np.ndarray], held_out: np.ndarray, repeats_s: float, objects: int,
               seen: Optional[Seen] = None, groups: Optional[np.ndarray] = None) -> Tuple[Optional[CameraBounds], str]:
    """The bounds by which faults of a camera are told, and a sentence about what they cannot do; empty for nothing.

    Args:
        fitted, held_out: rows (n, 135) of :attr:`~..data.cache.FrameStore.camera`, of pictures to fit to, and of others
            that p-values rest on; without the first, every other of the second is fitted to.
        repeats_s: for how long one picture stayed the same in the recordings.
        objects: of how many the pictures are that are fitted to.
        seen: what the network says of pictures of all these rows, places among all of them; None: it was not asked.
        groups: which of the rows belong together, see :func:`~..core.uncertainty.camera.probe_fit.fit_probe`.
    """
    rows = held_out if fitted is None else np.concatenate([fitted, held_out])
    kept = None if fitted is None else np.arange(len(rows)) >= len(fitted)
    split = len(NAMES)
    found = fit_bounds(rows[:, :split], rows[:, split:], kept, repeats_s, objects, seen, groups)
    if found is None:
        return None, (f'faults of the camera are told by general bounds: fewer than {LEAST_PICTURES} pictures are '
                      'there to fit its own to')
    said = [f'faults of the camera are told no sooner than by general bounds, and wrong colours not at all: its own '
            f'would be fitted to pictures of {objects} objects, and {LEAST_OBJECTS} are needed'
            ] if objects < LEAST_OBJECTS else []
    usual = CameraFaultConfig()
    after_s = frozen_after_s(usual, found)
    if after_s > usual.frozen_after_s:
        said.append(f'in the recordings one picture stays the same for up to {repeats_s:.1f} s, so a camera counts '
                    f'as frozen after {after_s:.1f} s instead of {usual.frozen_after_s:g} s')
    return found, '; '.join(said)


def called_faulty(bounds: CameraBounds, rows: np.ndarray, stages: Sequence[np.ndarray]) -> int:
    """How many of n pictures are faults of a camera by bounds.

    Args:
        rows: (n, 135) of :attr:`~..data.cache.FrameStore.camera`.
        stages: what each stage of the network says of them, float32 (n, F_s); none where it has none.
    """
    split, nothing = len(NAMES), np.zeros(0, np.uint8)
    sums = [None] * len(rows) if bounds.probe is None else list(bounds.probe.sums(stages))
    return sum(bounds.judge(Look(row[:split], row[split:], nothing), passed=passed).fault is not None
               for row, passed in zip(rows, sums))

"""Frames of a store -> what pictures of their camera are like."""
from dataclasses import replace
from typing import Optional, Sequence, Tuple

import numpy as np

from ..core.config import CameraFaultConfig
from ..core.uncertainty.camera.bounds import CameraBounds
from ..core.uncertainty.camera.fit import LEAST_OBJECTS, LEAST_PICTURES, fit_bounds
from ..core.uncertainty.camera.probe_fit import LEAST_PICTURES as LEAST_FOR_PROBE
from ..core.uncertainty.camera.probe_fit import Seen
from ..core.uncertainty.camera.statistics import NAMES, Look
from ..core.uncertainty.camera.watch import frozen_after_s

_MOST_FAULTY = 0.01  # of sound pictures, by bounds that are kept


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


def fitted_or_before(found: Optional[CameraBounds], note: str, before: Optional[CameraBounds], rows: np.ndarray,
                     stages: Sequence[np.ndarray]) -> Tuple[Optional[CameraBounds], str]:
    """The bounds that were fitted, or those that a bundle had, and a note.

    Those from before stay where the pictures are too few for as much, and hardly any of them is a fault by those.

    Args:
        found, note: what :func:`fit_camera` came to.
        rows: (n, 135) of :attr:`~..data.cache.FrameStore.camera`, of the pictures that were given.
        stages: what each stage of the network says of them, float32 (n, F_s); none where it has none.
    """
    if before is None:
        return found, note
    told = before.told
    if before.probe is not None and before.probe.widths != tuple(one.shape[1] for one in stages):
        before = replace(before, probe=None)  # of other stages than the network has now
    lost = [name for name in told if found is None or name not in found.told]
    if found is not None and not lost:
        return found, note
    faulty = _called_faulty(before, rows, stages)
    what = f'by what was fitted to {before.pictures} pictures before, {faulty} of these {len(rows)} are at fault'
    if (found is None or found.probe is None) and faulty <= max(1, _MOST_FAULTY * len(rows)):
        found, note = before, f'faults of the camera are told as before, since the pictures given are too few; {what}'
        lost = [name for name in told if name not in before.told]
    else:
        note = '; '.join(filter(None, [note, what]))
    if lost:
        note += (f'; not told any more: {", ".join(lost)}, for which {LEAST_FOR_PROBE} pictures of {LEAST_OBJECTS} '
                 'objects are needed, in colour for exchanged channels')
    return found, note


def _called_faulty(bounds: CameraBounds, rows: np.ndarray, stages: Sequence[np.ndarray]) -> int:
    split, nothing = len(NAMES), np.zeros(0, np.uint8)
    sums = [None] * len(rows) if bounds.probe is None else list(bounds.probe.sums(stages))
    return sum(bounds.judge(Look(row[:split], row[split:], nothing), passed=passed).fault is not None
               for row, passed in zip(rows, sums))

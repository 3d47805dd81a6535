"""One camera from frame to frame: is its picture frozen, and how long has a fault lasted."""
from typing import Optional

import numpy as np

from ...config import CameraFaultConfig
from ...types import CameraCheck, CameraFault, Picture
from .bounds import CameraBounds
from .statistics import Look

LEAST_FRAMES = 3
"""So many equal pictures there must be, however far apart, before a camera counts as frozen."""
_REPEATS_FACTOR = 1.5


def frozen_after_s(config: CameraFaultConfig, bounds: CameraBounds) -> float:
    """For how long a picture must stay the same; 0: it may for ever.

    Recordings of the calibration in which pictures repeat for longer (made from still pictures, or from a simulator)
    raise it.
    """
    if not config.frozen_after_s:
        return 0.0
    return max(config.frozen_after_s, _REPEATS_FACTOR * bounds.repeats_s)


class CameraWatch:
    """What is remembered of one camera. Frames further apart than ``gap_s`` have nothing to do with each other."""

    def __init__(self) -> None:
        self._before: Optional[Look] = None
        self._picture: Optional[Picture] = None
        self._time_ns = 0
        self._same_since_ns = 0
        self._same = 1
        self._fault: Optional[CameraFault] = None
        self._fault_since_ns = 0
        self._frames = 0

    def check(self, look: Look, picture: Picture, time_ns: int, bounds: CameraBounds, frozen_s: float, gap_s: float,
              passed: Optional[np.ndarray] = None) -> CameraCheck:
        """Take in a frame.

        Args:
            look: at ``picture``.
            time_ns: when it was taken.
            frozen_s: see :func:`frozen_after_s`.
            gap_s: seconds.
            passed: as for :meth:`.CameraBounds.judge`.
        """
        elapsed_s = (time_ns - self._time_ns) * 1e-9
        if self._before is None or not 0 <= elapsed_s <= gap_s:
            self._before, self._fault = None, None
        if self._before is not None and self._is_same(look, picture):
            self._same += elapsed_s > 0  # the same message twice says nothing
        else:
            self._same, self._same_since_ns = 1, time_ns
        self._before, self._picture, self._time_ns = look, picture, time_ns
        verdict = bounds.judge(look, self._fault, passed)
        fault, reason, since_ns = verdict.fault, verdict.reason, time_ns
        same_s = (time_ns - self._same_since_ns) * 1e-9
        if fault is None and frozen_s and same_s >= frozen_s and self._same >= LEAST_FRAMES:
            fault, since_ns = CameraFault.FROZEN, self._same_since_ns
            reason = f'{fault.value}: the same picture {self._same} times in {same_s:.1f} s'
        if fault is not self._fault or fault is None:
            self._fault, self._fault_since_ns, self._frames = fault, since_ns, 0
        self._frames += 1
        if fault is None:
            return CameraCheck(p_value=verdict.p_value)
        return CameraCheck(fault, reason, verdict.p_value, (time_ns - self._fault_since_ns) * 1e-9, self._frames)

    def _is_same(self, look: Look, picture: Picture) -> bool:
        """Whether all pixels are those of the frame before."""
        assert self._before is not None and self._picture is not None
        # Equal pictures have equal statistics, and those of a camera hardly ever are: no more is compared.
        if look.values.tobytes() != self._before.values.tobytes():
            return False
        return np.array_equal(look.sample, self._before.sample) and np.array_equal(picture.pixels,
                                                                                   self._picture.pixels)

"""How fast what cameras see changes, as a bundle knows it of its calibration bags."""
from typing import NamedTuple, Optional


class FusionTimes(NamedTuple):
    """Time constants of a deployment, from its calibration bags; see :class:`~..config.FusionConfig`.

    Attributes:
        correlation_time_s, change_time_s: in seconds.
        change_offset, change_slope: of the evidence for a change that lies in how much two frames differ; see
            :func:`~..fusion.change_evidence`. None: it is not known.
    """

    correlation_time_s: float
    change_time_s: float
    change_offset: Optional[float] = None
    change_slope: Optional[float] = None

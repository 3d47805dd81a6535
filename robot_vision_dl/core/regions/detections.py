"""The values that stand for what a detector found; fields as in ``vision_msgs``."""
from dataclasses import dataclass
from struct import pack
from typing import Tuple

from ..types import Header

NO_POSE = pack('=43d', *(0.0,) * 6, 1.0, *(0.0,) * 36)
"""What a message holds where nobody set a pose."""


@dataclass(frozen=True)
class Box:
    """``vision_msgs/BoundingBox2D``: a box in a picture, in pixels from the picture's upper left corner.

    Attributes:
        x, y: of the centre.
        width, height: before it is turned (``size_x``, ``size_y``).
        theta: radians by which it is turned about its centre, from the picture's x axis towards its y axis.
    """

    x: float
    y: float
    width: float
    height: float
    theta: float = 0.0

    def __str__(self) -> str:
        turned = f', turned by {self.theta:.4g} rad' if self.theta else ''
        return f'{self.width:.6g}x{self.height:.6g} around ({self.x:.6g}, {self.y:.6g}){turned}'

    @classmethod
    def of_corners(cls, left: float, top: float, right: float, bottom: float) -> 'Box':
        """The upright box between two corners."""
        return cls((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)

    @property
    def corners(self) -> Tuple[float, float, float, float]:
        """(left, top, right, bottom) of the box before it is turned."""
        return (self.x - self.width / 2, self.y - self.height / 2, self.x + self.width / 2, self.y + self.height / 2)


@dataclass(frozen=True)
class Hypothesis:
    """``vision_msgs/ObjectHypothesisWithPose``: what a detector takes an object for.

    Attributes:
        class_id: as it stands in the message.
        score: as it stands in the message.
        pose: 43 doubles in this machine's byte order, as nothing here reads them: position (3), orientation (x, y, z,
            w), covariance (36).
    """

    class_id: str
    score: float
    pose: bytes = NO_POSE


@dataclass(frozen=True)
class Detection:
    """``vision_msgs/Detection2D``: one object.

    Attributes:
        header: of its own; detectors often leave it empty.
        hypotheses: the detector's, as they stand.
        box: as it stands in the message; nothing keeps its numbers from being nonsense.
        track_id: ``id``; empty where the detector does not follow objects.
    """

    header: Header
    hypotheses: Tuple[Hypothesis, ...]
    box: Box
    track_id: str = ''


@dataclass(frozen=True)
class DetectionArray:
    """``vision_msgs/Detection2DArray``: the objects of one picture, in the detector's order."""

    header: Header
    detections: Tuple[Detection, ...] = ()

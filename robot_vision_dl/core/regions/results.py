"""What was found out about the objects of a picture."""
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Mapping, Optional, Tuple

import numpy as np

from ..types import Assessment, CameraCheck, Decision, Frame, ShownEvidence
from .detections import Box, Detection, DetectionArray

TOO_SMALL = 'too_small'
MOSTLY_OUTSIDE = 'mostly_outside'
BLURRED = 'blurred'
NOT_ITS_TURN = 'not_its_turn'
OBJECT_REASONS = (TOO_SMALL, MOSTLY_OUTSIDE, BLURRED, NOT_ITS_TURN)
"""Why an object is not looked at, beside those of :data:`.crop.BOX_REASONS`: its part in the picture is too small, most
of it is outside, it is out of focus or smeared, or others are looked at in this frame."""


@dataclass(frozen=True)
class ObjectResult:
    """One object of a picture.

    Attributes:
        detection: the detector's, unchanged.
        track: name of its track; an object keeps it as long as it is followed.
        decision: what a robot is told about it.
        posterior: fused over the frames of its track, float32, shape (C,).
        unknown_probability: fused posterior of something unknown.
        assessment: of this frame alone; None where it was not looked at.
        refusal: why it was not looked at, of :data:`OBJECT_REASONS` or :data:`.crop.BOX_REASONS`; empty: it was.
        outside: share of its box that lies outside of the picture.
        age_s: since the first frame of its track, by the stamps.
        note: why its track began anew although its id was known; else empty.
        seen: the part of the picture that the network saw for it, which may reach beyond; None: it was not looked at.
        evidence: what of that part speaks for the decision; None where that was not asked.
    """

    detection: Detection
    track: str
    decision: Decision
    posterior: np.ndarray
    unknown_probability: float = 0.0
    assessment: Optional[Assessment] = None
    refusal: str = ''
    outside: float = 0.0
    age_s: float = 0.0
    note: str = ''
    seen: Optional[Box] = None
    evidence: Optional[ShownEvidence] = None


@dataclass(frozen=True)
class ObjectResults:
    """The objects of one picture of one camera.

    Attributes:
        frame: the picture.
        detections: as they came.
        objects: one for each detection, in the same order.
        class_names: C names, in the order of the probabilities.
        camera: what the whole picture says about the camera; None where that was not asked.
        apart_ns: stamp of the detections minus that of the picture.
        stage_ms: milliseconds that each stage took for all pictures that were decided together.
        batch_size: objects that were looked at together, of all cameras.
    """

    frame: Frame
    detections: DetectionArray
    objects: Tuple[ObjectResult, ...]
    class_names: Tuple[str, ...]
    camera: Optional[CameraCheck] = None
    apart_ns: int = 0
    stage_ms: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    batch_size: int = 0

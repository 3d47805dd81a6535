"""The values that pass between modules. Frozen: whoever holds one may keep it.

Time is in integer nanoseconds (``_ns``) as in ``builtin_interfaces/Time``; durations that people read are in
milliseconds (``_ms``).
"""
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union

import numpy as np

UNKNOWN = 'unknown'
UNCERTAIN = 'uncertain'
RESERVED_NAMES = (UNKNOWN, UNCERTAIN)


@dataclass(frozen=True)
class Header:
    """``std_msgs/Header``: when the picture was taken and in which coordinate frame."""

    stamp_ns: int
    frame_id: str


@dataclass(frozen=True)
class RawImage:
    """The fields of ``sensor_msgs/Image``; ``data`` is a view into the buffer the message came in.

    Attributes:
        header: stamp and frame of the camera.
        height, width: in pixels.
        encoding: one of ``sensor_msgs/image_encodings.hpp``.
        is_bigendian: byte order of multi-byte channels.
        step: bytes from one row to the next.
        data: uint8, shape (n,).
    """

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: bool
    step: int
    data: np.ndarray


@dataclass(frozen=True)
class CompressedImage:
    """The fields of ``sensor_msgs/CompressedImage``; ``data`` is a uint8 view of shape (n,)."""

    header: Header
    format: str
    data: np.ndarray


ImageMessage = Union[RawImage, CompressedImage]


class ColorOrder(str, Enum):
    """Meaning of the last axis of a picture."""

    RGB = 'rgb'
    BGR = 'bgr'
    RGBA = 'rgba'
    BGRA = 'bgra'
    MONO = 'mono'


@dataclass(frozen=True)
class Picture:
    """Pixels ready for preprocessing.

    Attributes:
        pixels: uint8, shape (H, W, 3 or 4) or (H, W) for mono; often a view with a row stride, never to be
            written to.
        order: what the channels are.
    """

    pixels: np.ndarray
    order: ColorOrder

    @property
    def height(self) -> int:
        """Rows."""
        rows: int = self.pixels.shape[0]
        return rows

    @property
    def width(self) -> int:
        """Columns."""
        columns: int = self.pixels.shape[1]
        return columns


@dataclass(frozen=True)
class Region:
    """A part of a picture, in pixels; fields as in ``sensor_msgs/RegionOfInterest``."""

    x_offset: int
    y_offset: int
    height: int
    width: int

    def __str__(self) -> str:
        return f'{self.width}x{self.height}+{self.x_offset}+{self.y_offset}'


@dataclass(frozen=True)
class Frame:
    """One picture of one camera, on its way to a decision.

    Attributes:
        camera: name of the camera, unique within a pipeline.
        header: copied unchanged to everything that is published about this frame.
        picture: decoded pixels.
        encoding: the encoding the picture arrived in, for reports.
        received_ns: when the message arrived, by the clock that stamps are compared with.
        region: the part of the picture that is looked at, within it; None: all of it.
        serialized: the message as it came from the wire, in the live node; else empty.
        stands_still: its stamp is that of pictures long before, and says nothing of when it was taken.
    """

    camera: str
    header: Header
    picture: Picture
    encoding: str
    received_ns: int = 0
    region: Optional[Region] = None
    serialized: bytes = b''
    stands_still: bool = False

    @property
    def seen(self) -> Picture:
        """The part of the picture that is looked at, a view."""
        if self.region is None:
            return self.picture
        top, left = self.region.y_offset, self.region.x_offset
        pixels = self.picture.pixels[top:top + self.region.height, left:left + self.region.width]
        return Picture(pixels, self.picture.order)

    @property
    def time_ns(self) -> int:
        """When the picture was taken; when it arrived, for drivers that leave the stamp at zero or repeat it."""
        return self.received_ns if self.stands_still else self.header.stamp_ns or self.received_ns


@dataclass(frozen=True)
class OodResult:
    """How far out of distribution a frame is for the model.

    Attributes:
        method: name of the score, e.g. ``energy``.
        score: larger is further out of distribution.
        p_value: conformal p-value in (0, 1]: the share of calibration pictures at least as far out of distribution
            (Bates et al. 2023); None where the bundle carries no calibration scores.
        part: of several scores in one, the one that finds the frame farthest out, e.g. ``blocks.3 (mahalanobis)``;
            empty where it is one score.
    """

    method: str
    score: float
    p_value: Optional[float]
    part: str = ''


@dataclass(frozen=True)
class Assessment:
    """What one forward pass says about one frame, before other frames are taken into account.

    Attributes:
        logits: float32, shape (C,).
        probabilities: calibrated softmax, float32, shape (C,), sums to 1.
        predictive_entropy: total uncertainty, entropy of the probabilities divided by ln C, so in [0, 1].
        expected_entropy, mutual_information: its aleatoric and epistemic parts, on the same scale; None where the
            bundle carries nothing that tells them apart (one softmax does not).
        ood: how far out of distribution the frame is; None where the bundle has no score.
        conformal_set: indices of the classes that are possible at the bundle's error rate, most probable first;
            None where the bundle has no quantile.
        conformal_set_was_empty: no class passed the quantile, and the set is the most probable class by definition.
        fault_sums: what the bundle's :class:`~.uncertainty.camera.probe.FaultProbe` reads of the network's stages,
            float32 (K + H,); None: it has none.
    """

    logits: np.ndarray
    probabilities: np.ndarray
    predictive_entropy: float
    expected_entropy: Optional[float] = None
    mutual_information: Optional[float] = None
    ood: Optional[OodResult] = None
    conformal_set: Optional[Tuple[int, ...]] = None
    conformal_set_was_empty: bool = False
    fault_sums: Optional[np.ndarray] = None


class CameraFault(str, Enum):
    """What is wrong with a camera, told from its pictures."""

    OVEREXPOSED = 'overexposed'
    UNDEREXPOSED = 'underexposed'
    COVERED = 'covered'
    ONE_COLOUR = 'one colour'
    NO_CONTRAST = 'no contrast'
    OUT_OF_FOCUS = 'out of focus'
    NOISE = 'noise'
    ROWS = 'stuck or torn rows'
    WRONG_COLOURS = 'wrong colours'
    FROZEN = 'frozen'


@dataclass(frozen=True)
class CameraCheck:
    """What a frame's picture says about the camera.

    Attributes:
        fault: None: nothing is wrong.
        reason: words for people, e.g. ``overexposed: 61 % of the values at the limit``; empty without a fault.
        p_value: conformal: share of held-out pictures of the calibration that are at least as unusual, in (0, 1]; None
            where the bundle has none. It says how unusual a picture is; a fault is more than that.
        lasts_s, frames: since when, in seconds of the stamps, and for how many frames in a row there has been this
            fault, this one included; 0 without a fault.
    """

    fault: Optional[CameraFault] = None
    reason: str = ''
    p_value: Optional[float] = None
    lasts_s: float = 0.0
    frames: int = 0

    @property
    def state(self) -> str:
        """For people: ``overexposed since 3.2 s, 96 frames``; ``sound`` without a fault."""
        if self.fault is None:
            return 'sound'
        return f'{self.fault.value} since {self.lasts_s:.1f} s, {self.frames} frame{"s" * (self.frames != 1)}'


class Outcome(str, Enum):
    """What a robot is told to do with a frame."""

    ACCEPTED = 'accepted'
    UNCERTAIN = 'uncertain'
    UNKNOWN = 'unknown'


@dataclass(frozen=True)
class Decision:
    """The gated outcome of a frame and of those before it: what an action node reads.

    Attributes:
        outcome: accepted, uncertain or unknown.
        label: a class name, ``unknown`` or ``uncertain``.
        confidence: accepted: fused posterior of ``label``. uncertain: fused posterior of the best class. unknown:
            fused posterior of the unknown; 1 where the camera is at fault.
        reason: one sentence for people, e.g. ``mug .61 vs cup .33 (needs .70)``.
        class_index: index of the best class, whatever the outcome.
    """

    outcome: Outcome
    label: str
    confidence: float
    reason: str
    class_index: int


@dataclass(frozen=True)
class ShownEvidence:
    """Where in the part of the picture that the network saw lies what speaks for a class, of one frame alone.

    Attributes:
        source: the values, or what works them out when they are asked for; None where there is nothing to show.
        name: of the class.
        over: of the class that it is held against; empty: none.
        note: why there are no values, a sentence for people; empty where there are.
    """

    source: Union[np.ndarray, Callable[[], np.ndarray], None]
    name: str = ''
    over: str = ''
    note: str = ''

    @cached_property
    def values(self) -> Optional[np.ndarray]:
        """float32 (h, w) over that part, in units of the logits: above 0 it speaks for the class, below 0 against."""
        return self.source() if callable(self.source) else self.source


@dataclass(frozen=True)
class Result:
    """Everything the pipeline found out about one frame.

    Attributes:
        frame: the frame itself.
        assessment: of this frame alone.
        posterior: fused over time, float32, shape (C,).
        decision: the outcome.
        class_names: C names, in the order of the probabilities.
        region: (top, left, bottom, right) of the picture that the network saw, in pixels.
        stage_ms: milliseconds a stage took; keys ``preprocess``, ``camera`` (the look for its
            faults), ``forward``, ``uncertainty``, ``decide``, and ``evidence`` where it is shown. Stages that
            a batch shares are given whole, not divided.
        batch_size: frames that shared the forward pass.
        unknown_probability: fused posterior of something unknown; 0 where nothing is ever called unknown, 1 where the
            camera is at fault. The other posterior tells the classes apart if it is none of that.
        camera: what the picture says about the camera; None where that was not asked.
        evidence: what of the picture speaks for the decision; None where that was not asked.
    """

    frame: Frame
    assessment: Assessment
    posterior: np.ndarray
    decision: Decision
    class_names: Tuple[str, ...]
    region: Tuple[int, int, int, int]
    stage_ms: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    batch_size: int = 1
    unknown_probability: float = 0.0
    camera: Optional[CameraCheck] = None
    evidence: Optional[ShownEvidence] = None

    def __getstate__(self) -> Dict[str, Any]:
        """Views of dicts cannot be pickled."""
        return {**self.__dict__, 'stage_ms': dict(self.stage_ms)}

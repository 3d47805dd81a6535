"""Settings of a deployment: the only home of their defaults.

Every field carries its description and range; the node's ROS parameters, their descriptors and the comments in
``config/*.yaml`` follow from here, and a test holds them equal. Values are checked when a config is made, so one that
exists is valid. Facts about weights (preprocessing, temperature, thresholds) live in the bundle instead.
"""
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from math import isfinite
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .camera_settings import rates_of, regions_of
from .errors import ConfigError
from .text.printable import printable
from .types import Region


class Option(NamedTuple):
    """What is known about a field beside its type and default.

    ``at_configure``: takes effect when the node is configured and cannot change before it is cleaned up.
    """

    description: str
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    choices: Tuple[str, ...] = ()
    at_configure: bool = False


def option(default: Any, description: str, **limits: Any) -> Any:
    """A dataclass field with a description and limits (see :class:`Option`); lists are given as tuples."""
    return field(default=default, metadata={'option': Option(description, **limits)})


def check_values(config: Any, prefix: str = '') -> None:
    """Raise :class:`ConfigError` for the first field whose value has the wrong type or is out of range."""
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value):
            continue
        limits: Option = f.metadata['option']
        name = prefix + f.name
        default: Any = f.default
        if isinstance(default, float) and type(value) is int and abs(value) < 10**300:
            value = float(value)
            object.__setattr__(config, f.name, value)
        if isinstance(default, tuple):
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise ConfigError(f'{name}: expected a list of texts, got {_shown(value)}')
            for item in value:
                if not isinstance(item, str):
                    raise ConfigError(f'{name}: expected a list of texts, got the item {_shown(item)}')
            object.__setattr__(config, f.name, tuple(value))
            continue
        if type(value) is not type(default):
            raise ConfigError(f'{name}: expected {_KINDS[type(default)]}, got {_shown(value)}')
        if limits.choices and value not in limits.choices:
            raise ConfigError(f'{name}: must be one of {", ".join(limits.choices)}, got {_shown(value)}')
        if isinstance(value, float) and not isfinite(value):
            raise ConfigError(f'{name}: must be finite, got {_shown(value)}')
        if limits.minimum is not None and value < limits.minimum:
            raise ConfigError(f'{name}: must be at least {limits.minimum:g}, got {_shown(value)}')
        if limits.maximum is not None and value > limits.maximum:
            raise ConfigError(f'{name}: must be at most {limits.maximum:g}, got {_shown(value)}')


_KINDS = {bool: 'true or false', int: 'a whole number', float: 'a number', str: 'a text (in quotes where it looks like '
          'something else)'}


def _shown(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10**30:
        return 'a number of more digits'  # whose repr may be refused
    return 'nothing' if value is None else printable(repr(value), 100)


@dataclass(frozen=True)
class ImageConfig:
    """How image messages are read."""

    max_megapixels: float = option(
        25.0, 'a message that claims more pixels than this is refused; decoding a compressed one of that size takes '
        'some tenths of a second, 1.5 s at worst, and 300 MB', minimum=0.01, maximum=10000.0)
    depth_near_m: float = option(
        0.2, 'depth shown as the darkest grey; depth encodings are 16UC1 (mm) and 32FC1 (m)', minimum=0.0,
        maximum=1000.0)
    depth_far_m: float = option(10.0, 'depth shown as white', minimum=0.001, maximum=10000.0)

    def __post_init__(self) -> None:
        check_values(self, 'image.')
        if self.depth_far_m <= self.depth_near_m:
            raise ConfigError(f'image.depth_far_m: must be more than image.depth_near_m ({self.depth_near_m:g}), '
                              f'got {self.depth_far_m:g}')


@dataclass(frozen=True)
class BagConfig:
    """What bags may take where they are unpacked; environment variables raise it (``data/bags/limits.py``)."""

    max_unpacked_mb: int = option(128, 'memory for a chunk or message, and for all chunks that are needed at once',
                                  minimum=1, maximum=1_000_000)
    max_temporary_mb: int = option(1024, 'disk for a compressed file, or fifty times its size where that is more',
                                   minimum=1, maximum=100_000_000)

    def __post_init__(self) -> None:
        check_values(self, 'bags.')


# Where neither the deployment nor the bundle says anything.
FALLBACK_CORRELATION_TIME_S, FALLBACK_CHANGE_TIME_S = 10.0, 5.0
_MOST_BACK_S = 1.0  # or a camera whose clock was set back would be blind for as long as a belief may wait


@dataclass(frozen=True)
class FusionConfig:
    """How the frames of one camera are fused over time."""

    enabled: bool = option(True, 'fuse frames over time; false: every frame stands alone')
    correlation_time_s: float = option(
        -1.0, 'how long the errors of neighbouring frames resemble each other: rho = exp(-dt/correlation_time_s); of '
        'frames that say the same, each counts (1-rho)/(1+rho); -1: as the model bundle says, 10 if it does not',
        minimum=-1.0, maximum=60.0)
    change_time_s: float = option(
        -1.0, 'mean time after which the camera looks at something of another class; -1: as the model bundle says, 5 '
        'if it does not', minimum=-1.0, maximum=3600.0)
    reset_gap_s: float = option(
        1.0, 'no frame of a known class for longer than this starts afresh; a stamp that lies further back, or by more '
        'than 1 s, is of a recording that began anew, and one that lies back less is out of order and not decided',
        minimum=0.01, maximum=3600.0)
    unknown_time_s: float = option(
        0.1, 'the evidence is averaged over about this time, so that a single OOD frame counts only if it is '
        'extreme; 0: each frame stands alone', minimum=0.0, maximum=60.0)
    groups: str = option(
        '', 'cameras that look at the same thing and share one belief, joined by +, groups separated by commas: '
        '"front+left, rear+top"', at_configure=True)
    group_independent: bool = option(
        False, 'the cameras of a group make their errors independently, so that their evidence adds up; false: they '
        'may all be wrong together, and the mean of their evidence counts')

    def __post_init__(self) -> None:
        check_values(self, 'fusion.')
        for name, least in (('correlation_time_s', 0.0), ('change_time_s', 0.01)):
            value = getattr(self, name)
            if value != -1.0 and value < least:
                raise ConfigError(f'fusion.{name}: must be -1 (as the bundle says) or at least {least:g}, got '
                                  f'{value:g}')

    @property
    def most_back_s(self) -> float:
        """A stamp that lies further back is of a recording, or a clock, that began anew, and not one out of order."""
        return min(self.reset_gap_s, _MOST_BACK_S)

    def resolved(self, correlation_time_s: Optional[float] = None, change_time_s: Optional[float] = None
                 ) -> 'FusionConfig':
        """With what a bundle says, or else the fallbacks, in place of -1."""
        def chosen(own: float, bundle: Optional[float], fallback: float) -> float:
            return own if own >= 0 else fallback if bundle is None else bundle
        return replace(
            self, correlation_time_s=chosen(self.correlation_time_s, correlation_time_s, FALLBACK_CORRELATION_TIME_S),
            change_time_s=chosen(self.change_time_s, change_time_s, FALLBACK_CHANGE_TIME_S))


@dataclass(frozen=True)
class DecisionConfig:
    """When a label is good enough to act on."""

    abstain_cost: float = option(
        -1.0, 'cost of saying "uncertain", where a wrong label costs 1: a label is accepted if its fused probability '
        'is at least 1 - abstain_cost (Chow 1970); -1: as the model bundle says', minimum=-1.0, maximum=1.0)
    hysteresis: float = option(
        0.1, 'an accepted label stays accepted down to this much below what it needed, so that decisions do not '
        'flicker', minimum=0.0, maximum=1.0)
    false_unknown_rate: float = option(
        0.01, 'share of pictures of known classes that may be called unknown; 0: never say unknown. n calibration '
        'pictures reach 1/(n+1) at best', minimum=0.0, maximum=1.0)
    smallest_reachable_rate: bool = option(
        True, 'where the bundle has too few calibration pictures for false_unknown_rate, say unknown at the smallest '
        'rate that can be reached, 1/(n+1); false: never say unknown then')
    costs_file: str = option(
        '', 'YAML file with costs of confusions or thresholds of classes (see config/costs.yaml); empty: every wrong '
        'label costs 1')

    def __post_init__(self) -> None:
        check_values(self, 'decision.')
        if -1.0 < self.abstain_cost < 0.0:
            raise ConfigError(f'decision.abstain_cost: must be -1 (as the bundle says) or in 0..1, '
                              f'got {self.abstain_cost:g}')


@dataclass(frozen=True)
class CameraFaultConfig:
    """Whether pictures are looked at for faults of their camera."""

    enabled: bool = option(
        True, 'a picture that shows that its camera is at fault (covered, over- or underexposed, without contrast, out '
        'of focus, noise, stuck or torn rows, one colour, wrong colours, frozen) is unknown at once, with the '
        'reason; false: only the network judges')
    frozen_after_s: float = option(
        1.0, 'a camera whose pictures stay the same to the last bit for this long, under new stamps, is frozen; 0: '
        'they may. Recordings of the calibration in which pictures repeat for longer raise it', minimum=0.0,
        maximum=3600.0)

    def __post_init__(self) -> None:
        check_values(self, 'camera_faults.')


@dataclass(frozen=True)
class DetectionsConfig:
    """How the objects that a detector found are classified; without effect where there are no detection_topics."""

    tolerance_s: float = option(
        0.01, 'detections whose stamp no image has go to the nearest image within this; 0: to none. More than half the '
        'time between two images may give them a wrong one, where the right one was lost', minimum=0.0, maximum=10.0)
    deadline_s: float = option(
        1.0, 'so long an image waits for its detections, and they for it', minimum=0.01, maximum=60.0)
    max_waiting_mb: float = option(
        64.0, 'memory for the images of a camera that wait for their detections; the oldest make room', minimum=0.1,
        maximum=100000.0)
    margin: float = option(
        0.1, 'what is cut out around a box on each side, as a share of its longer side; as the model was trained',
        minimum=0.0, maximum=10.0)
    max_objects: int = option(
        32, 'objects of a picture that are looked at; where there are more they take turns, those that were not looked '
        'at for longest first', minimum=1, maximum=10000)
    least_side_px: float = option(
        12.0, 'an object whose shorter side, as far as it is in the picture, is less than this is uncertain',
        minimum=0.0, maximum=10000.0)
    max_outside: float = option(
        0.6, 'an object of which more than this share lies outside of the picture is uncertain', minimum=0.0,
        maximum=1.0)
    least_sharpness: float = option(
        0.025, 'an object less sharp than this is uncertain: D(2)/D(16) of the structure function, .0156 for what is '
        'blurred beyond 16 pixels whatever it shows, .05 to .5 for sharp pictures; 0: any', minimum=0.0, maximum=1.0)
    trust_ids: bool = option(
        True, 'the ids of the detections name tracks, as far as they can be right; false: objects are followed by '
        'their boxes alone')
    least_overlap: float = option(
        0.3, 'intersection over union from which on two boxes of neighbouring frames may be one object', minimum=0.01,
        maximum=1.0)
    forget_after_s: float = option(
        1.0, 'an object that was not detected for longer is another one when it comes back', minimum=0.01,
        maximum=3600.0)

    def __post_init__(self) -> None:
        check_values(self, 'detections.')


EVIDENCE = ('none', 'winner', 'difference')
"""What an overlay shows of where the evidence lies."""


@dataclass(frozen=True)
class OverlayConfig:
    """What is drawn on the overlay beside the decision; worked out only while somebody watches it."""

    evidence: str = option(
        'none', 'where in the picture lies what speaks for the best class (winner), or for it rather than for the '
        'second best (difference; also for a decision that is uncertain); none: it is not drawn', choices=EVIDENCE)

    def __post_init__(self) -> None:
        check_values(self, 'overlay.')


DOUBT_KINDS = ('uncertain', 'unknown', 'flickering', 'camera_fault')
"""Why a frame is worth a label; one whose camera is at fault is nothing but that."""


@dataclass(frozen=True)
class RecordDoubtsConfig:
    """Which frames a node writes to bags because it was unsure about them, and how much it may write."""

    folder: str = option(
        '', 'folder, from / or ~ on, for bags with the frames that the node was unsure about, each with its decision; '
        'empty: none are written')
    kinds: Tuple[str, ...] = option(
        ('uncertain', 'unknown', 'flickering'), 'what counts as a doubt, of uncertain, unknown, flickering (see '
        'flicker_changes) and camera_fault, which is none of the others')
    flicker_changes: int = option(
        3, 'a decision that changed more often than this within flicker_window_s is flickering', minimum=1,
        maximum=1000)
    flicker_window_s: float = option(2.0, 'see flicker_changes', minimum=0.01, maximum=3600.0)
    min_interval_s: float = option(
        0.5, 'least time between two doubtful frames of a camera; while one doubt lasts it doubles with each frame '
        'that is written, up to a minute; 0: all of them are written', minimum=0.0, maximum=3600.0)
    random_share: float = option(
        0.0, 'share of all decided frames that are written as well, drawn at random whatever was decided, so that '
        'accuracy can be estimated without bias', minimum=0.0, maximum=1.0)
    mb_per_hour: float = option(
        200.0, 'most that is written in any hour; a tenth of it at once', minimum=0.1, maximum=1e9)
    max_mb: float = option(2000.0, 'most that the bags take on the disk; the oldest make room', minimum=1.0,
                           maximum=1e9)
    min_free_mb: float = option(
        1000.0, 'so much of the disk stays free; where less is, nothing is written', minimum=0.0, maximum=1e9)
    max_waiting_mb: float = option(
        64.0, 'memory for frames that wait to be written; what does not fit is left out', minimum=0.1,
        maximum=100000.0)

    def __post_init__(self) -> None:
        check_values(self, 'record_doubts.')
        if self.folder and not self.folder.startswith(('/', '~')):  # where a node was started nobody knows
            raise ConfigError('record_doubts.folder: must be a whole path, from / or ~ on, got '
                              f'{printable(repr(self.folder), 100)}')
        for kind in self.kinds:
            if kind not in DOUBT_KINDS:
                raise ConfigError(f'record_doubts.kinds: must be of {", ".join(DOUBT_KINDS)}, got '
                                  f'{printable(repr(kind), 100)}')


BACKENDS = ('torch', 'onnxruntime', 'openvino', 'auto')
FLOAT32, INT8, AUTO = 'float32', 'int8', 'auto'
PRECISIONS = (FLOAT32, 'tf32', 'float16', 'bfloat16', INT8)
"""``float32`` is float32 on every device. ``tf32`` is float32 of which NVIDIA's tensor cores multiply 10 bits of the
mantissa instead of 23; no other device has it. What comes after the network (scores, distances) is float32 in all.
int8 is what the file of a network is, the others are chosen."""


@dataclass(frozen=True)
class ClassifierConfig:
    """Everything a deployment chooses: what the classifier node takes as parameters."""

    model: str = option(
        'efficientnet_lite0_imagenet',
        'model bundle: a folder, the name of one in models/, or torchvision:<architecture>')
    device: str = option(
        'auto', 'auto, cpu, cuda or cuda:<n>; auto takes a GPU where there is one that passes a check against the CPU',
        at_configure=True)
    precision: str = option(
        AUTO, 'arithmetic of the network; auto: float32, but on a CPU with backend auto the int8 bundle that '
        '`robot-vision quantise` made of the model and put beside it, if that is quicker here; int8: the same, and it '
        'must be there; tf32, float32 that is multiplied with fewer digits, is for NVIDIA GPUs. A bundle that is int8 '
        'itself runs so anyway', choices=(AUTO, *PRECISIONS), at_configure=True)
    backend: str = option(
        'auto', 'what runs the network: torch, or on a CPU onnxruntime or openvino, where they are installed; auto '
        'measures them once for each machine and network, and takes the quickest', at_configure=True,
        choices=BACKENDS)
    threads: int = option(
        0, 'CPU threads of the network; 0: one less than there are cores, so that the camera driver and the executor '
        'do not make them wait for each other', minimum=0, maximum=1024, at_configure=True)
    cameras: Tuple[str, ...] = option(
        ('camera',), 'name of each camera; its topics are ~/<name>/...', at_configure=True)
    image_topics: Tuple[str, ...] = option(
        ('image',), 'topic of each camera, in the order of cameras, without the suffix of its transport',
        at_configure=True)
    image_transport: str = option(
        'raw', 'raw: sensor_msgs/Image; compressed, compressedDepth: sensor_msgs/CompressedImage under <topic>/<this>',
        choices=('raw', 'compressed', 'compressedDepth'), at_configure=True)
    detection_topics: Tuple[str, ...] = option(
        (), 'vision_msgs/Detection2DArray of each camera, in the order of cameras: each object that a detector found '
        'is classified and followed instead of the whole picture; empty: whole pictures', at_configure=True)
    regions_of_interest: str = option(
        '', 'the part of the picture that is looked at, in pixels: "320x240+100+50" (width, height, offsets from the '
        'left and the top) for every camera, or "front=320x240+100+50, rear=640x200+0+280"; empty: all of it')
    max_rate_hz: float = option(
        0.0, 'frames of a camera beyond this rate, by their stamps, are left out before they are decoded, and counted '
        'as rate_limited; 0: none', minimum=0.0, maximum=10000.0)
    max_rates_hz: str = option('', 'cameras with a highest rate of their own: "front=10, rear=5"')
    max_batch: int = option(8, 'frames of several cameras that may share one forward pass', minimum=1, maximum=256)
    top_k: int = option(5, 'classes in a classification message', minimum=1, maximum=100000)
    class_id_as_index: bool = option(False, 'class_id is the index as text, as label_info maps it, not the name')
    autostart: bool = option(True, 'configure and activate at start, without a lifecycle manager', at_configure=True)
    stale_after_s: float = option(1.0, 'no frame for longer than this is reported as stale', minimum=0.01,
                                  maximum=3600.0)
    dropout_samples: int = option(
        0, 'Monte Carlo dropout: so many thinned networks a frame give the mutual information, where the network has '
        'dropout; 0: off', minimum=0, maximum=256, at_configure=True)
    image: ImageConfig = field(default_factory=ImageConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    camera_faults: CameraFaultConfig = field(default_factory=CameraFaultConfig)
    detections: DetectionsConfig = field(default_factory=DetectionsConfig)
    overlay: OverlayConfig = field(default_factory=OverlayConfig)
    record_doubts: RecordDoubtsConfig = field(default_factory=RecordDoubtsConfig)

    def __post_init__(self) -> None:
        check_values(self)
        if not self.cameras:
            raise ConfigError('cameras: at least one camera is needed, got an empty list')
        for name in self.cameras:
            own, sign, topic = name.partition(':=')
            if sign:
                raise ConfigError(f'cameras: {printable(name, 100)!r}: NAME:=TOPIC is how the command line and the '
                                  'launch file spell it; as parameters, and in a file, it is '
                                  f'cameras: [{printable(own or "name", 60)}, ...] and '
                                  f'image_topics: [{printable(topic or "/topic", 60)}, ...], in the same order')
        if len(self.cameras) != len(self.image_topics):
            raise ConfigError(f'image_topics: one topic for each camera is needed, got {len(self.image_topics)} '
                              f'topic(s) for the cameras {", ".join(self.cameras)}')
        if self.detection_topics and len(self.detection_topics) != len(self.cameras):
            raise ConfigError(f'detection_topics: one topic for each camera is needed, or none at all, got '
                              f'{len(self.detection_topics)} topic(s) for the cameras {", ".join(self.cameras)}')
        for topic in self.detection_topics:
            if topic in self.image_topics:
                raise ConfigError(f'detection_topics: {printable(repr(topic), 100)} is the topic of the images; name '
                                  'that of the detector')
        for kind, names in (('cameras', self.cameras), ('image_topics', self.image_topics),
                            ('detection_topics', self.detection_topics)):
            for name in names:
                if names.count(name) > 1:
                    raise ConfigError(f'{kind}: {name!r} is named more than once')
                if not name:
                    raise ConfigError(f'{kind}: a name is empty')
        camera_groups(self.fusion.groups, self.cameras)
        for kind, text in (('regions_of_interest', self.regions_of_interest), ('fusion.groups', self.fusion.groups)):
            if self.detection_topics and text:
                raise ConfigError(f'{kind}: must be empty where there are detection_topics, whose objects are what is '
                                  f'looked at, got {printable(repr(text), 100)}')
        regions_of(self.regions_of_interest, self.cameras)
        rates_of(self.max_rates_hz, self.cameras)
        for name in self.cameras:
            if not (name.replace('_', 'a').isalnum() and name.isascii() and not name[0].isdigit()):
                raise ConfigError(f'cameras: {name!r} cannot be part of a topic name; use letters, digits and _, '
                                  'not beginning with a digit')


    @property
    def largest_batch(self) -> int:
        """Pictures that may share a forward pass."""
        return self.max_batch if self.detection_topics else min(len(self.cameras), self.max_batch)

    @cached_property
    def regions(self) -> Dict[str, Region]:
        """The region of interest of each camera that has one."""
        return regions_of(self.regions_of_interest, self.cameras)

    @cached_property
    def rates_hz(self) -> Dict[str, float]:
        """The highest rate of each camera; 0: any."""
        return {**dict.fromkeys(self.cameras, self.max_rate_hz), **rates_of(self.max_rates_hz, self.cameras)}


def camera_groups(text: str, cameras: Sequence[str]) -> Dict[str, Tuple[str, ...]]:
    """The cameras that share a belief with each camera, itself among them.

    Raises:
        ConfigError: ``text`` names what is no camera, or a camera twice.
    """
    groups: Dict[str, Tuple[str, ...]] = {camera: (camera,) for camera in cameras}
    seen: List[str] = []
    for part in filter(None, (part.strip() for part in text.split(','))):
        members = tuple(name.strip() for name in part.split('+'))
        for name in members:
            if name not in groups:
                raise ConfigError(f'fusion.groups: {name!r} is not a camera; there are {", ".join(cameras)}')
            if name in seen:
                raise ConfigError(f'fusion.groups: {name!r} is named more than once')
            seen.append(name)
            groups[name] = members
    return groups


class FlatOption(NamedTuple):
    """One setting under its dotted name, as a ROS parameter has it."""

    name: str
    default: Any
    option: Option


def flat_options(config_class: type = ClassifierConfig, prefix: str = '') -> Iterator[FlatOption]:
    """Every setting of a config class in order, groups as ``group.name``."""
    for f in fields(config_class):
        if f.default_factory is not MISSING:
            assert isinstance(f.default_factory, type)
            yield from flat_options(f.default_factory, f'{prefix}{f.name}.')
        else:
            yield FlatOption(prefix + f.name, f.default, f.metadata['option'])


def with_values(config: Any, values: Mapping[str, Any]) -> Any:
    """A copy of ``config`` with the settings of ``values`` (dotted names) replaced and checked.

    Raises:
        ConfigError: a name is not known, or a value does not fit.
    """
    direct: Dict[str, Any] = {}
    grouped: Dict[str, Dict[str, Any]] = {}
    known = {f.name for f in fields(config)}
    for name, value in values.items():
        group, _, rest = name.partition('.')
        if group not in known or bool(rest) != is_dataclass(getattr(config, group)):
            raise ConfigError(f'{name}: no such setting; there are {", ".join(sorted(known))}')
        if rest:
            grouped.setdefault(group, {})[rest] = value
        else:
            direct[name] = value
    for group, items in grouped.items():
        direct[group] = with_values(getattr(config, group), items)
    return replace(config, **direct)

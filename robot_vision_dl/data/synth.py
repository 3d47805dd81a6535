"""Recordings of a moving camera, made from still pictures. Everything follows from a seed.

A picture is in one recording only, and so are the near-duplicates of it: recordings that are kept apart when the data
are split then share no object that could be told to be the same.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, NoReturn, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from ..core.config import check_values, option
from ..core.errors import BagError, ConfigError, ImageError
from ..core.text.topic_name import check_topic_name
from ..core.types import Picture
from .bags.writer import NS_PER_S, ImageBagWriter
from .camera_model import drift, sensor_noise, with_surroundings
from .folders import Tell
from .labels.labels import LabelInterval
from .labels.messages import TYPES_BY_NAME, encode_label
from .labels.sources import write_labels_yaml
from .picture_folder import each_class, folder_pictures
from .picture_index import FolderPicture
from .pictures import read_picture, refuse_unreadable
from .selection import duplicate_groups, perceptual_hash

GROUP_DISTANCE = 10
"""Hamming distance up to which pictures share a recording; a wrong guess costs nothing, so more than for duplicates."""
LABEL_TOPIC = '/label'
LIST = 'pictures.csv'
_HOUR_NS = 3600 * NS_PER_S
_SHUTTER = 0.4  # share of the time between frames for which the shutter is open
_MAX_BLUR_SAMPLES = 8
_LARGEST_ZOOM = 1.25


def check_no_label_topic(topic: str, raw: bool) -> None:
    """Raise :class:`ConfigError` if pictures would go to the topic of the labels."""
    if (topic if raw else f'{topic}/compressed') == LABEL_TOPIC:
        raise ConfigError(f'--topic: {LABEL_TOPIC} is the topic of the labels, and a topic has one type; choose '
                          'another one for the pictures')


@dataclass(frozen=True)
class SynthConfig:
    """How recordings are made of pictures."""

    recordings: int = option(8, 'bags to make', minimum=1, maximum=10000)
    tracks_per_recording: int = option(0, 'pictures in a bag, each a track; 0: all pictures are used', minimum=0,
                                       maximum=1000000)
    seconds_per_track: float = option(2.0, 'how long a picture is in view', minimum=0.01, maximum=3600.0)
    rate_hz: float = option(10.0, 'frames per second', minimum=0.01, maximum=1000.0)
    width: int = option(320, 'of a frame, in pixels', minimum=16, maximum=8192)
    height: int = option(240, 'of a frame, in pixels', minimum=16, maximum=8192)
    motion: float = option(1.0, 'how much the camera moves, zooms and turns; 0: a tripod', minimum=0.0, maximum=3.0)
    quality: int = option(80, 'of the JPEGs; 0 writes raw images (bgr8)', minimum=0, maximum=100)
    topic: str = option('/camera/image_raw', 'image topic; JPEGs go to <topic>/compressed')
    label_type: str = option('string', 'of the labels: std_msgs/String or vision_msgs/Classification',
                             choices=tuple(TYPES_BY_NAME))
    labelled: bool = option(True, 'the bag says what it shows, in a topic and a labels.yaml; its frames are the same')
    seed: int = option(0, 'of everything that is random', minimum=0, maximum=2**32 - 1)
    epoch_s: int = option(1_700_000_000, 'stamp of the first frame; a recording begins an hour after the one before',
                          minimum=1, maximum=2**31 - 1)

    def __post_init__(self) -> None:
        check_values(self)
        object.__setattr__(self, 'topic', check_topic_name(self.topic, '--topic'))
        check_no_label_topic(self.topic, not self.quality)

    @property
    def frames_per_track(self) -> int:
        """At least one."""
        return max(1, round(self.seconds_per_track * self.rate_hz))


class SynthRecording(NamedTuple):
    """What one bag is to show: one picture after another. ``number`` is counted from 0."""

    number: int
    name: str
    pictures: Tuple[FolderPicture, ...]


def plan_recordings(folder: Union[str, Path], config: SynthConfig, tell: Tell) -> List[SynthRecording]:
    """Deal the pictures of ``folder`` to recordings, every class to every recording as far as they go.

    Args:
        tell: takes sentences about what is left out.

    Raises:
        BagError: no pictures, or one that cannot be read.
        ConfigError: there are too few pictures for what is asked.
    """
    pictures = folder_pictures(folder, tell)
    groups = duplicate_groups(_hashes(pictures), GROUP_DISTANCE)
    members: Dict[int, List[FolderPicture]] = {}
    for picture, group in zip(pictures, groups.tolist()):
        members.setdefault(group, []).append(picture)
    dealt = _deal(pictures, list(members.values()), config.recordings, config.seed)
    if not _suffices(dealt, config):
        _refuse(pictures, list(members.values()), config)
    recordings = []
    for number, mine in enumerate(dealt):
        name = f'recording_{number:0{max(2, len(str(config.recordings - 1)))}d}'
        chosen = _choose(mine, config, np.random.default_rng([config.seed, 1, number]))
        recordings.append(SynthRecording(number, name, tuple(chosen)))
    return recordings


def _deal(pictures: List[FolderPicture], groups: List[List[FolderPicture]], count: int,
          seed: int) -> List[List[FolderPicture]]:
    """The pictures of each of ``count`` recordings."""
    rng = np.random.default_rng([seed, 0])
    dealt: List[List[FolderPicture]] = [[] for _ in range(count)]
    # A group belongs to the class of its first picture; members of another class (there are mislabelled ones) go along.
    for label, _ in each_class(pictures):
        own = [group for group in groups if group[0].label == label]
        counts = np.array([sum(picture.label == label for picture in recording) for recording in dealt])
        for place in rng.permutation(len(own)):
            # The first of those with the fewest, beginning at another recording for each class.
            candidates = np.flatnonzero(counts == counts.min())
            number = int(candidates[int(rng.integers(len(candidates)))])
            dealt[number] += own[place]
            counts[number] += sum(picture.label == label for picture in own[place])
    return dealt


def _suffices(dealt: List[List[FolderPicture]], config: SynthConfig) -> bool:
    return min(map(len, dealt)) >= max(1, config.tracks_per_recording)


def _refuse(pictures: List[FolderPicture], groups: List[List[FolderPicture]], config: SynthConfig) -> NoReturn:
    """Raise :class:`ConfigError` with a number of recordings that can be made, as large as bisection finds."""
    most, too_many = 0, min(config.recordings, len(groups) + 1)
    while too_many - most > 1:
        middle = (most + too_many) // 2
        if _suffices(_deal(pictures, groups, middle, config.seed), config):
            most = middle
        else:
            too_many = middle
    each = f' of {config.tracks_per_recording} tracks each' if config.tracks_per_recording else ''
    remedy = 'ask for fewer recordings or tracks' if most else 'ask for fewer tracks'
    classes = len({picture.label for picture in pictures})
    raise ConfigError(
        f'{config.recordings} recording(s){each} are wanted, but {len(pictures)} pictures of {classes} class(es) make '
        f'at most {most}, as each picture is used in one recording only, together with its near-duplicates '
        f'({len(groups)} pictures are unlike each other); {remedy}')


def _choose(pictures: List[FolderPicture], config: SynthConfig, rng: np.random.Generator) -> List[FolderPicture]:
    """In a random order; as many of each class as its share is where not all are used."""
    wanted = config.tracks_per_recording or len(pictures)
    queues = [[group[place] for place in rng.permutation(len(group))] for _, group in each_class(pictures)]
    shares = [len(queue) / len(pictures) for queue in queues]
    taken = [0] * len(queues)
    chosen = []
    for count in range(1, wanted + 1):
        # The class that is furthest behind its share.
        behind = max((place for place in range(len(queues)) if taken[place] < len(queues[place])),
                     key=lambda place: shares[place] * count - taken[place])
        chosen.append(queues[behind][taken[behind]])
        taken[behind] += 1
    return [chosen[place] for place in rng.permutation(wanted)]


def _hashes(pictures: Sequence[FolderPicture]) -> np.ndarray:
    found = np.zeros(len(pictures), np.uint64)
    for place, picture in enumerate(pictures):
        try:
            found[place] = perceptual_hash(read_picture(picture.path))
        except ImageError as error:
            refuse_unreadable((later.path for later in pictures[place + 1:]), error)
    return found


def _read(path: Path) -> Picture:
    try:
        return read_picture(path)
    except ImageError as error:
        raise BagError(f'{error}; remove it from the folder') from error


def write_recording(folder: Union[str, Path], recording: SynthRecording, config: SynthConfig,
                    progress: Optional[Callable[[int], None]] = None) -> int:
    """Write the bag ``folder``, labelled or not; the same input gives the same bytes.

    Args:
        progress: is called with the number of frames so far after each track.

    Returns:
        Number of frames.

    Raises:
        BagError: the folder exists, or a picture cannot be read.
        OutputError: it cannot be written.
    """
    start_ns = config.epoch_s * NS_PER_S + recording.number * _HOUR_NS
    intervals: List[LabelInterval] = []
    frames = 0
    with ImageBagWriter(folder) as writer:
        for number, picture in enumerate(recording.pictures):
            pixels = _read(picture.path).pixels
            rng = np.random.default_rng([config.seed, 2, recording.number, number])
            begin_ns = start_ns + round(frames * NS_PER_S / config.rate_hz)
            end_ns = start_ns + round((frames + config.frames_per_track) * NS_PER_S / config.rate_hz)
            if config.labelled:
                msgtype = TYPES_BY_NAME[config.label_type]
                writer.write_cdr(LABEL_TOPIC, msgtype, begin_ns,
                                 encode_label(msgtype, begin_ns, writer.frame_id, picture.label))
            intervals.append(LabelInterval(begin_ns, end_ns, picture.label,
                                           track=_track(picture)))
            for frame in moving_camera(pixels, (config.width, config.height), config.frames_per_track, config.rate_hz,
                                       rng, config.motion):
                stamp_ns = start_ns + round(frames * NS_PER_S / config.rate_hz)
                if config.quality:
                    writer.write_jpeg(config.topic, stamp_ns, frame, config.quality)
                else:
                    writer.write_raw(config.topic, stamp_ns, frame)
                frames += 1
            if progress is not None:
                progress(frames)
        if config.labelled:
            write_labels_yaml(writer.folder / 'labels.yaml', intervals)
    return frames


def _track(picture: FolderPicture) -> str:
    return f'{picture.label}/{picture.path.stem}'


def as_list(recordings: Sequence[SynthRecording], config: SynthConfig) -> List[FolderPicture]:
    """The pictures themselves, each of the recording, topic and track that show it."""
    topic = f'{config.topic}/compressed' if config.quality else config.topic
    return [picture._replace(recording=recording.name, topic=topic, track=_track(picture))
            for recording in recordings for picture in recording.pictures]


def moving_camera(picture: np.ndarray, size: Tuple[int, int], count: int, rate_hz: float, rng: np.random.Generator,
                  motion: float = 1.0) -> Iterator[np.ndarray]:
    """``count`` frames of a camera that pans across ``picture`` by hand: pan, zoom, turn, motion blur, exposure, noise.

    Args:
        picture: uint8, shape (H, W, 3) BGR or (H, W).
        size: (width, height) of a frame.
        motion: 1 pans over up to 24 % of the frame, zooms by up to 25 % and turns by up to 12 degrees; exposure, colour
            and noise do not depend on it.
    """
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    width, height = size
    scale = min(width / picture.shape[1], height / picture.shape[0])
    if scale * _LARGEST_ZOOM < 1:
        # The warp below does not average; and what is not seen need not be computed.
        fitting = [round(side * scale * _LARGEST_ZOOM) for side in picture.shape[1::-1]]
        picture = cv2.resize(picture, fitting, interpolation=cv2.INTER_AREA)
        scale = 1 / _LARGEST_ZOOM
    canvas = with_surroundings(picture, size, scale)
    centre = (canvas.shape[1] / 2, canvas.shape[0] / 2)
    begin, end = rng.uniform(-0.12, 0.12, (2, 2)) * motion * (width, height)
    zoom, turn = 1 + motion * rng.uniform(-0.1, _LARGEST_ZOOM - 1), motion * rng.uniform(-12, 12)
    hand = [drift(rng) for _ in range(4)]
    exposure = drift(rng)
    gain = np.exp(rng.normal(0, 0.12)) * (1 + rng.uniform(-0.04, 0.04, 3))
    duration_s = max(count - 1, 1) / rate_hz

    def view(at_s: float) -> np.ndarray:
        """The affine map from the canvas to the frame."""
        along = at_s / duration_s
        x, y, z, t = (motion * wave(at_s) for wave in hand)
        matrix = cv2.getRotationMatrix2D(centre, turn + 2 * t, scale * zoom * (1 + 0.03 * z))
        shift = begin + (end - begin) * along + 0.03 * width * np.array((x, y))
        matrix[:, 2] += np.array((width, height)) / 2 - centre + shift
        return matrix

    for index in range(count):
        first, last = view(index / rate_hz), view((index + _SHUTTER) / rate_hz)
        # As many samples as the frame's centre moves pixels while the shutter is open.
        moved = np.abs((last - first) @ (*centre, 1)).max()
        samples = int(np.clip(np.ceil(moved), 1, _MAX_BLUR_SAMPLES))
        light = np.zeros((height, width, 3), np.float32)
        for sample in range(samples):
            matrix = first + (last - first) * (sample / samples)
            light += cv2.warpAffine(canvas, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        light *= (gain * (1 + 0.1 * exposure(index / rate_hz)) / samples).astype(np.float32)
        yield sensor_noise(np.clip(np.rint(light), 0, 255).astype(np.uint8), rng)


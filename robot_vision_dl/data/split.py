"""Training, early-stop, calibration and test frames, kept apart by recording, or by blocks of time with a gap.

Neighbouring frames show the same thing, so frames are never dealt singly: a test on frames beside those of training
measures memory. Written to a file with a hash of what it follows from, so that it stays the same from run to run.
"""
import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ..core.config import check_values, option
from ..core.errors import ConfigError, DataError, is_about_machine
from ..core.files.whole_files import write_whole
from ..core.text.json_text import parse_json
from ..core.text.table import aligned
from ..core.types import UNKNOWN
from .assignment import assign
from .labels.labels import LabelledFrame

SCHEMA_VERSION = 1


class Part(str, Enum):
    """What frames are for."""

    TRAIN = 'train'
    EARLY_STOP = 'early_stop'
    CALIBRATION = 'calibration'
    TEST = 'test'


PARTS = tuple(Part)
_GAP = -1  # in arrays of indices of PARTS: in no part


@dataclass(frozen=True)
class SplitConfig:
    """How frames are divided. A share of 0 leaves a part empty."""

    train: float = option(0.7, 'share of the frames to learn from', minimum=0.01, maximum=1.0)
    early_stop: float = option(0.1, 'share that tells when to stop', minimum=0.0, maximum=0.9)
    calibration: float = option(0.1, 'share for temperature, thresholds and quantiles', minimum=0.0, maximum=0.9)
    test: float = option(0.1, 'share that is looked at once, at the end', minimum=0.0, maximum=0.9)
    method: str = option(
        'auto', 'what stays together: recording, or time (tracks, or else blocks of block_s); auto: recordings where '
        'there are enough for all parts, else recordings for the test and time for the rest, else time',
        choices=('auto', 'recording', 'time'))
    block_s: float = option(10.0, 'blocks of time are so long, or shorter where a class is seen too briefly',
                            minimum=0.1, maximum=3600.0)
    gap_s: float = option(0.5, 'frames closer than this to a frame of another part of their recording are left out',
                          minimum=0.0, maximum=3600.0)
    seed: int = option(0, 'of what is random in it', minimum=0, maximum=2**31)

    def __post_init__(self) -> None:
        check_values(self, 'split.')
        total = sum(self.fractions)
        if abs(total - 1) > 1e-6:
            raise ConfigError(f'split: train, early_stop, calibration and test must add up to 1, got {total:g}')

    @property
    def fractions(self) -> Tuple[float, float, float, float]:
        """In the order of :data:`PARTS`."""
        return self.train, self.early_stop, self.calibration, self.test


@dataclass(frozen=True)
class Split:
    """To which part each frame belongs; ``str()`` gives a table.

    Attributes:
        method: ``recording``, ``recording+time`` (the test by recording), ``time``, or ``random``.
        parts: one a frame; None for frames in the gap between parts.
        labels: one a frame.
        inputs_hash: SHA-256 of frames and settings.
        warnings: sentences about parts that lack something.
    """

    method: str
    parts: Tuple[Optional[Part], ...]
    labels: Tuple[str, ...]
    inputs_hash: str
    warnings: Tuple[str, ...] = ()

    def indices(self, part: Part) -> np.ndarray:
        """int64, ascending: the frames of a part."""
        return np.array([index for index, own in enumerate(self.parts) if own is part], np.int64)

    def counts(self, part: Optional[Part]) -> Dict[str, int]:
        """Frames of each label in a part; of None: in the gaps."""
        return dict(sorted(Counter(label for own, label in zip(self.parts, self.labels) if own is part).items()))

    def __str__(self) -> str:
        labels = sorted(set(self.labels))
        rows: List[List[object]] = [['part', 'frames', 'share', *labels]]
        for part in (*PARTS, None):
            counts = self.counts(part)
            total = sum(counts.values())
            if part is not None or total:
                rows.append([part.value if part else '(gap)', total, f'{total / max(1, len(self.parts)):.3f}',
                             *(counts.get(label, 0) for label in labels)])
        return '\n'.join([f'split by {self.method}', *aligned(rows), *(f'warning: {text}' for text in self.warnings)])


def make_split(frames: Sequence[LabelledFrame], config: SplitConfig) -> Split:
    """Divide ``frames``, every class into every part as far as recordings or blocks allow.

    Raises:
        DataError: a part that should have frames has none.
    """
    labels = sorted({frame.label for frame in frames})
    method, numbers, reason = _divide(frames, config)
    numbers = _with_gaps(frames, numbers, config.gap_s)
    split = _as_split(method, frames, numbers, inputs_hash(frames, config), config, reason)
    for part, fraction in zip(PARTS, config.fractions):
        if fraction and not split.counts(part):
            raise DataError(
                f'split: no frame is left for {part.value} ({len(frames)} frames of {len(_groups(frames))} '
                f'recording(s), method {method}, {len(labels)} labels); record more, or lower split.block_s and '
                'split.gap_s')
    return split


def _divide(frames: Sequence[LabelledFrame], config: SplitConfig) -> Tuple[str, np.ndarray, str]:
    """(method, index into PARTS of each frame, why not by recording although that was to be tried; or empty)."""
    active = [number for number, fraction in enumerate(config.fractions) if fraction]
    train, test = PARTS.index(Part.TRAIN), PARTS.index(Part.TEST)
    lacking = ''
    if config.method != 'time':
        numbers = _deal_recordings(frames, active, config)
        lacking = _lacking(frames, numbers, active, {train, test} & set(active), config.train)
        if config.method == 'recording' or not lacking:
            return 'recording', numbers, ''
        if test in active and len(_groups(frames)) > 1:
            rest = 1 - config.test
            sides = _deal_recordings(frames, [train, test], config, [rest, config.test])
            others = [number for number in active if number != test]
            if not _lacking(frames, sides, [train, test], {train, test}, rest):
                inside = np.flatnonzero(sides == train)
                some = [frames[index] for index in inside]
                sides[inside] = _deal(some, _time_groups(some, config, len(others)), others, config)
                return 'recording+time', sides, (
                    f'only the test has recordings of its own, the other parts share theirs, by time: {lacking}')
    if lacking:
        lacking = (f'divided by time, so that parts share recordings and the test flatters: {lacking}; more recordings '
                   'that show every class would help')
    return 'time', _deal(frames, _time_groups(frames, config, len(active)), active, config), lacking


def _lacking(frames: Sequence[LabelledFrame], numbers: np.ndarray, parts: Sequence[int], whole: set, train: float
             ) -> str:
    """What frames dealt by recording would lack; empty for nothing. Frames of no class do not count.

    Args:
        numbers: index into PARTS of each frame.
        parts: that must have frames.
        whole: parts that must have every class.
        train: the share that was wished for training.
    """
    known = np.array([frame.label != UNKNOWN for frame in frames])
    labels = sorted({frame.label for frame in frames} - {UNKNOWN})
    found = {(int(number), frame.label) for number, frame in zip(numbers, frames)}
    for part in parts:
        if not np.any(numbers[known] == part):
            return f'with whole recordings no frame would be left for {PARTS[part].value}'
    for part in sorted(whole):
        missing = [label for label in labels if (part, label) not in found]
        if missing:
            return f'with whole recordings {PARTS[part].value} would have no frame of {", ".join(missing)}'
    share = float(np.mean(numbers[known] == PARTS.index(Part.TRAIN)))
    if share < train / 2:
        return f'with whole recordings only {share:.2f} of the frames would be left for train'
    return ''


def _deal_recordings(frames: Sequence[LabelledFrame], parts: Sequence[int], config: SplitConfig,
                     fractions: Sequence[float] = ()) -> np.ndarray:
    """Index into PARTS of each frame, whole recordings dealt to ``parts``.

    Recordings of nothing known are dealt apart, so that the classes are divided as they would be without them. Where
    there are too few of them for all parts they go to the first, where they choose the score of foreignness.
    """
    groups = _groups(frames)
    foreign = [group for group in groups if all(frames[index].label == UNKNOWN for index in group)]
    known = [group for group in groups if any(frames[index].label != UNKNOWN for index in group)]
    numbers = _deal(frames, known, parts, config, fractions)
    if len(foreign) >= len(parts):
        apart = _deal(frames, foreign, parts, config, fractions)
        numbers = np.where(apart == _GAP, numbers, apart)
    else:
        numbers[[index for group in foreign for index in group]] = parts[0]
    return numbers


def _groups(frames: Sequence[LabelledFrame]) -> List[List[int]]:
    """Indices of the frames of each recording."""
    found: Dict[str, List[int]] = {}
    for index, frame in enumerate(frames):
        found.setdefault(frame.recording, []).append(index)
    return list(found.values())


def _time_groups(frames: Sequence[LabelledFrame], config: SplitConfig, parts: int) -> List[List[int]]:
    """Indices of the frames of each track, and of each block of time for frames without a track.

    Blocks are halved until every class is in two a part, but not below twice the gap.
    """
    starts: Dict[str, int] = {}
    for frame in frames:
        starts[frame.recording] = min(starts.get(frame.recording, frame.stamp_ns), frame.stamp_ns)
    block_s = config.block_s
    while True:
        found: Dict[Tuple, List[int]] = {}
        for index, frame in enumerate(frames):
            unit: Any = frame.track
            if unit is None:
                unit = int((frame.stamp_ns - starts[frame.recording]) // (block_s * 1e9))
            found.setdefault((frame.recording, unit), []).append(index)
        blocks_of_label = Counter(label for group in found.values() for label in {frames[i].label for i in group})
        if min(blocks_of_label.values(), default=0) >= 2 * parts or block_s / 2 < max(2 * config.gap_s, 0.1):
            return list(found.values())
        block_s /= 2


def _deal(frames: Sequence[LabelledFrame], groups: Sequence[Sequence[int]], parts: Sequence[int], config: SplitConfig,
          fractions: Sequence[float] = ()) -> np.ndarray:
    """Index into PARTS of each frame, with whole groups dealt to ``parts``."""
    names = {label: number for number, label in enumerate(sorted({frame.label for frame in frames}))}
    counts = np.zeros((len(groups), len(names)), np.int64)
    for number, group in enumerate(groups):
        for index in group:
            counts[number, names[frames[index].label]] += 1
    chosen = np.array(fractions or [config.fractions[part] for part in parts])
    dealt = assign(counts, chosen / chosen.sum(), config.seed)
    numbers = np.full(len(frames), _GAP, np.int64)
    for number, group in enumerate(groups):
        numbers[list(group)] = parts[dealt[number]]
    return numbers


def _with_gaps(frames: Sequence[LabelledFrame], numbers: np.ndarray, gap_s: float) -> np.ndarray:
    """Take out frames that follow a frame of another part of their recording too closely."""
    numbers = numbers.copy()
    for group in _groups(frames):
        last: Dict[int, int] = {}
        for index in sorted(group, key=lambda i: frames[i].stamp_ns):
            own, stamp_ns = int(numbers[index]), frames[index].stamp_ns
            if any(stamp_ns - before < gap_s * 1e9 for part, before in last.items() if part != own):
                numbers[index] = _GAP
            else:
                last[own] = stamp_ns
    return numbers


def _as_split(method: str, frames: Sequence[LabelledFrame], numbers: np.ndarray, digest: str,
              config: SplitConfig, reason: str = '') -> Split:
    parts = tuple(None if number == _GAP else PARTS[number] for number in numbers)
    labels = tuple(frame.label for frame in frames)
    split = Split(method, parts, labels, digest)
    warnings = [reason] if reason else []
    for part, fraction in zip(PARTS, config.fractions):
        missing = sorted(set(labels) - set(split.counts(part)))
        if fraction and missing:
            warnings.append(f'{part.value} has no frame of {", ".join(missing)}; '
                            'more recordings that show it would help')
    return Split(method, parts, labels, digest, tuple(warnings))


def random_frame_split(frames: Sequence[LabelledFrame], config: SplitConfig) -> Split:
    """Single frames dealt at random. It leaks: only for showing by how much such a split flatters."""
    order = np.random.default_rng(config.seed).permutation(len(frames))
    ends = np.round(np.cumsum(config.fractions) * len(frames)).astype(int)
    numbers = np.zeros(len(frames), np.int64)
    numbers[order] = np.searchsorted(ends, np.arange(len(frames)), side='right')
    return _as_split('random', frames, numbers, inputs_hash(frames, config), config)


def folds(frames: Sequence[LabelledFrame], count: int, config: SplitConfig) -> Tuple[Split, ...]:
    """``count`` splits by recording, each recording in the test part of exactly one.

    What is not in the test part is divided as :func:`make_split` would, in the same proportions.

    Raises:
        DataError: there are fewer recordings than folds. Those of nothing known are in no test part, and do not count.
    """
    recordings = [group for group in _groups(frames) if any(frames[index].label != UNKNOWN for index in group)]
    if not 2 <= count <= len(recordings):
        raise DataError(f'folds: {count} folds need at least 2 and at most as many as there are recordings '
                        f'({len(recordings)}); a recording is never in two folds')
    rest = config.train + config.early_stop + config.calibration
    inner = SplitConfig(config.train / rest, config.early_stop / rest, config.calibration / rest, 0.0, config.method,
                        config.block_s, config.gap_s, config.seed)
    fold_of = _deal(frames, recordings, list(range(count)), config, [1 / count] * count)
    found = []
    for number in range(count):
        numbers = np.full(len(frames), PARTS.index(Part.TEST), np.int64)
        others = np.flatnonzero(fold_of != number)
        some = [frames[index] for index in others]
        method, divided, reason = _divide(some, inner)
        numbers[others] = _with_gaps(some, divided, config.gap_s)
        digest = hashlib.sha256(f'{inputs_hash(frames, config)} fold {number} of {count}'.encode()).hexdigest()
        method = method if method == 'recording' else 'recording+time'
        found.append(_as_split(method, frames, numbers, digest, config, reason))
    return tuple(found)


def inputs_hash(frames: Sequence[LabelledFrame], config: SplitConfig) -> str:
    """SHA-256 of what a split follows from; where the bags lie does not matter."""
    digest = hashlib.sha256(json.dumps([SCHEMA_VERSION, asdict(config)], sort_keys=True).encode())
    for frame in frames:
        digest.update(json.dumps([frame.recording, frame.topic, frame.stamp_ns, frame.label, frame.track,
                                  frame.index]).encode())
    return digest.hexdigest()


def load_or_make_split(path: Union[str, Path], frames: Sequence[LabelledFrame], config: SplitConfig,
                       in_use: bool = True) -> Split:
    """The split in the file ``path``; made and written there if there is none.

    Args:
        in_use: something was learned with the split in the file, so that another one may not take its place.

    Raises:
        DataError: the file is in use and of other frames or settings, or damaged, or no split can be made.
    """
    path = Path(path)
    if path.exists():
        try:
            return read_split(path, frames, config)
        except DataError:
            if in_use:
                raise
    split = make_split(frames, config)
    write_split(path, split, frames, config)
    return split


def write_split(path: Union[str, Path], split: Split, frames: Sequence[LabelledFrame], config: SplitConfig) -> None:
    """Write a split as JSON: for people which recordings are in which part, for programs each frame's."""
    names = [part.value if part else None for part in split.parts]
    by_part: Dict[str, List[str]] = {}
    for frame, name in zip(frames, names):
        known = by_part.setdefault(name or 'gap', [])
        if frame.recording not in known:
            known.append(frame.recording)
    content = {
        'schema': SCHEMA_VERSION, 'inputs_hash': split.inputs_hash, 'method': split.method, 'config': asdict(config),
        'recordings': by_part, 'counts': {part.value: split.counts(part) for part in PARTS},
        'warnings': list(split.warnings),
        # Part and how many frames in a row are in it, in the order of the frames.
        'runs': [[name, len(list(run))] for name, run in groupby(names)]}
    write_whole(path, json.dumps(content, indent=1) + '\n')


def read_split(path: Union[str, Path], frames: Sequence[LabelledFrame], config: SplitConfig) -> Split:
    """The split of ``frames`` in a file.

    Raises:
        DataError: it cannot be read, or is of other frames or settings.
    """
    try:
        content = parse_json(Path(path).read_bytes(), 'its text')
        parts = [None if name is None else Part(name) for name, count in content['runs'] for _ in range(count)]
        found, schema = content['inputs_hash'], content['schema']
        method, warnings = content['method'], tuple(content['warnings'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, OSError) and is_about_machine(error):
            raise
        raise DataError(f'{path}: the split cannot be read ({error}); `robot-vision train` with --restart makes a '
                        'new one and trains anew') from error
    if schema != SCHEMA_VERSION or found != inputs_hash(frames, config) or len(parts) != len(frames):
        raise DataError(f'{path}: this split was made of other frames, labels or settings. Test frames of then may be '
                        'training frames of now. `robot-vision train` with --restart forgets the earlier run and makes '
                        'a new split; or choose another name for this run')
    return Split(method, tuple(parts), tuple(frame.label for frame in frames), found, warnings)

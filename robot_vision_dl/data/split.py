"""Training, early-stop, calibration and test frames, kept apart by recording, or by blocks of time with a gap.

Neighbouring frames show the same thing, so frames are never dealt singly: a test on frames beside those of training
measures memory. Written to a file with a hash of what it follows from, so that it stays the same from run to run.
"""
import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from enum import Enum
from itertools import product
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from ..core.config import check_values, option
from ..core.errors import ConfigError, DataError
from ..core.text.table import aligned
from ..core.types import UNKNOWN
from ..core.uncertainty.attainable_rates import MIN_PICTURES
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
_SHORTER_GAPS = (1.0, 0.5, 0.25, 0.1, 0.0)
_LARGER_SHARES = (1.0, 1.5, 2.0, 3.0)
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
        'there are enough for all parts, else recordings for test and calibration, or for the test alone, and time for '
        'the rest, else time',
        choices=('auto', 'recording', 'time'))
    block_s: float = option(10.0, 'blocks of time are so long, or shorter where a class is seen too briefly',
                            minimum=0.1, maximum=3600.0)
    gap_s: float = option(0.5, 'frames closer than this to a frame of another part of their recording are left out',
                          minimum=0.0, maximum=3600.0)
    adapt: bool = option(
        True, 'where shares and gap_s leave too little to calibrate on (20 frames, some of each class) or to train on, '
        'a larger share of calibration and a shorter gap are tried, and it is said; false: such a run is refused')
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


def make_split(frames: Sequence[LabelledFrame], config: SplitConfig, named: Optional[Mapping[str, Part]] = None
               ) -> Split:
    """Divide ``frames``, every class into every part as far as recordings or blocks allow.

    Args:
        named: the part of recordings that are not to be dealt. A part that is named for one gets no other ones, and
            the rest is divided among the others in their proportions.

    Raises:
        DataError: a part that should have frames has none.
    """
    named = named or {}
    labels = sorted({frame.label for frame in frames})
    method, numbers, reasons = _divide_unnamed(frames, config, named)
    split = _as_split(method, frames, numbers, inputs_hash(frames, config, named), config, reasons)
    for part, fraction in zip(PARTS, config.fractions):
        if (fraction or part in named.values()) and not split.counts(part):
            raise DataError(
                f'split: no frame is left for {part.value} ({len(frames)} frames of {len(_groups(frames))} '
                f'recording(s), method {method}, {len(labels)} labels); record more, or lower split.block_s and '
                'split.gap_s')
    return split


def _divide_unnamed(frames: Sequence[LabelledFrame], config: SplitConfig, named: Mapping[str, Part]
                    ) -> Tuple[str, np.ndarray, List[str]]:
    """As :func:`_divide_adapted`, with the recordings in ``named`` in their parts."""
    own = set(named.values())
    if not own:
        return _divide_adapted(frames, config)
    shares = {part.value: 0.0 if part in own else share for part, share in zip(PARTS, config.fractions)}
    total = sum(shares.values())
    train, early_stop, calibration, test = (shares[part.value] / total for part in PARTS)
    left = replace(config, train=train, early_stop=early_stop, calibration=calibration, test=test)
    numbers = np.array([PARTS.index(named[frame.recording]) if frame.recording in named else _GAP for frame in frames],
                       np.int64)
    others = np.flatnonzero(numbers == _GAP)
    method, numbers[others], reasons = _divide_adapted([frames[index] for index in others.tolist()], left)
    names = ', '.join(part.value for part in PARTS if part in own)
    return f'{method}; {names} as named', numbers, reasons


def _divide_adapted(frames: Sequence[LabelledFrame], config: SplitConfig) -> Tuple[str, np.ndarray, List[str]]:
    """(method, index into PARTS of each frame with gaps, sentences about what was decided).

    Where the settings as they are would be refused for want of frames, the smallest change of gap and share of
    calibration with which they are not.
    """
    def divided(how: SplitConfig) -> Tuple[str, np.ndarray, str]:
        method, numbers, reason = _divide(frames, how)
        return method, _with_gaps(frames, numbers, how.gap_s), reason
    method, numbers, reason = divided(config)
    wanting = _wanting(frames, numbers, config)
    if wanting and config.adapt:
        for gap, share in product(_SHORTER_GAPS, _LARGER_SHARES):
            calibration = config.calibration * share
            taken = calibration - config.calibration
            if (gap, share) == (1.0, 1.0) or taken > config.train / 2:
                continue
            changed = replace(config, gap_s=config.gap_s * gap, calibration=calibration, train=config.train - taken)
            found = divided(changed)
            counts = np.bincount(found[1][found[1] != _GAP], minlength=len(PARTS))
            is_more = counts[PARTS.index(Part.CALIBRATION)] > counts[PARTS.index(Part.TRAIN)]
            if not is_more and not _wanting(frames, found[1], changed):
                method, numbers, reason = found
                texts = [f'split.{name} is {getattr(changed, name):.3g} instead of {getattr(config, name):g}'
                         for name in ('gap_s', 'calibration', 'train')
                         if abs(getattr(changed, name) - getattr(config, name)) > 1e-9]
                return method, numbers, [text for text in (reason, f'{", ".join(texts)}: else {wanting}') if text]
    return method, numbers, [reason] if reason else []


def _wanting(frames: Sequence[LabelledFrame], numbers: np.ndarray, config: SplitConfig) -> str:
    """Why nothing could be trained or calibrated with a division; empty where it could. Frames of no class are none."""
    labels = {frame.label for frame in frames} - {UNKNOWN}
    by_part = {part: Counter(frame.label for frame, own in zip(frames, numbers.tolist())
                             if own == number and frame.label != UNKNOWN)
               for number, part in enumerate(PARTS) if config.fractions[number]}
    calibration = by_part.get(Part.CALIBRATION)
    if calibration is not None and calibration.total() < MIN_PICTURES:
        return f'calibration would have {calibration.total()} frames of classes, and needs {MIN_PICTURES}'
    for part, found in by_part.items():
        missing = sorted(labels - set(found)) if part in (Part.TRAIN, Part.CALIBRATION) else [] if found else labels
        if missing:
            return f'{part.value} would have no frame of {", ".join(missing)}'
    return ''


def _divide(frames: Sequence[LabelledFrame], config: SplitConfig) -> Tuple[str, np.ndarray, str]:
    """(method, index into PARTS of each frame, why not by recording although that was to be tried; or empty)."""
    active = [number for number, fraction in enumerate(config.fractions) if fraction]
    train, calibration, test = (PARTS.index(part) for part in (Part.TRAIN, Part.CALIBRATION, Part.TEST))
    lacking = ''
    if config.method != 'time':
        numbers = _deal_recordings(frames, active, config)
        lacking = _lacking(frames, numbers, active, {train, calibration, test} & set(active), config.train)
        if config.method == 'recording' or not lacking:
            return 'recording', numbers, ''
        for own in ([calibration, test], [test]):
            others = [number for number in active if number not in own]
            if not set(own) <= set(active) or len(others) < 2 or len(_groups(frames)) < 2:
                continue
            shares = [config.fractions[number] for number in own]
            sides = _deal_recordings(frames, [train, *own], config, [1 - sum(shares), *shares])
            if not _lacking(frames, sides, [train, *own], {train, *own}, 1 - sum(shares)):
                inside = np.flatnonzero(sides == train)
                some = [frames[index] for index in inside.tolist()]
                sides[inside] = _deal(some, _time_groups(some, config, len(others)), others, config)
                have = 'test and calibration have' if len(own) > 1 else 'the test has'
                return 'recording+time', sides, (
                    f'only {have} recordings of {"their" if len(own) > 1 else "its"} own, the other parts share '
                    f'theirs, by time: {lacking}')
    if lacking:
        lacking = (f'divided by time, so that parts share recordings and the test flatters: {lacking}; more recordings '
                   'that show every class would help')
    return 'time', _deal(frames, _time_groups(frames, config, len(active)), active, config), lacking


def _lacking(frames: Sequence[LabelledFrame], numbers: np.ndarray, parts: Sequence[int], whole: Set[int], train: float
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
    there are too few of them for all parts they go to the first, where they choose the OOD score.
    """
    groups = _groups(frames)
    unknown_groups = [group for group in groups if all(frames[index].label == UNKNOWN for index in group)]
    known = [group for group in groups if any(frames[index].label != UNKNOWN for index in group)]
    numbers = _deal(frames, known, parts, config, fractions)
    if len(unknown_groups) >= len(parts):
        apart = _deal(frames, unknown_groups, parts, config, fractions)
        numbers = np.where(apart == _GAP, numbers, apart)
    else:
        numbers[[index for group in unknown_groups for index in group]] = parts[0]
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
        found: Dict[Tuple[str, Any], List[int]] = {}
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
              config: SplitConfig, reasons: Sequence[str] = ()) -> Split:
    parts = tuple(None if number == _GAP else PARTS[number] for number in numbers)
    labels = tuple(frame.label for frame in frames)
    split = Split(method, parts, labels, digest)
    warnings = list(reasons)
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
    inner = replace(config, train=config.train / rest, early_stop=config.early_stop / rest,
                    calibration=config.calibration / rest, test=0.0)
    fold_of = _deal(frames, recordings, list(range(count)), config, [1 / count] * count)
    found = []
    of_inputs = inputs_hash(frames, config)
    for number in range(count):
        numbers = np.full(len(frames), PARTS.index(Part.TEST), np.int64)
        others = np.flatnonzero(fold_of != number)
        some = [frames[index] for index in others.tolist()]
        method, numbers[others], reasons = _divide_adapted(some, inner)
        digest = hashlib.sha256(f'{of_inputs} fold {number} of {count}'.encode()).hexdigest()
        method = method if method == 'recording' else 'recording+time'
        found.append(_as_split(method, frames, numbers, digest, config, reasons))
    return tuple(found)


def inputs_hash(frames: Sequence[LabelledFrame], config: SplitConfig, named: Optional[Mapping[str, Part]] = None
                ) -> str:
    """SHA-256 of what a split follows from; where the bags lie does not matter."""
    parts = [sorted((name, part.value) for name, part in named.items())] if named else []
    digest = hashlib.sha256(json.dumps([SCHEMA_VERSION, asdict(config), *parts], sort_keys=True).encode())
    for frame in frames:
        digest.update(json.dumps([frame.recording, frame.topic, frame.stamp_ns, frame.label, frame.track,
                                  frame.index]).encode())
    return digest.hexdigest()

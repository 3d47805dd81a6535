"""How frames are divided into parts: by recording, or by tracks and blocks of time with a gap, and what gives way.

Where settings as they are would be refused for want of frames, a shorter gap and a larger share of calibration are
tried.
"""
from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from itertools import product
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from ..core.config import check_values, option
from ..core.errors import ConfigError
from ..core.types import UNKNOWN
from ..core.uncertainty.attainable_rates import MIN_PICTURES
from .assignment import assign
from .labels.labels import LabelledFrame

GAP = -1
"""In arrays of indices of :data:`PARTS`: in no part."""
_SHORTER_GAPS = (1.0, 0.5, 0.25, 0.1, 0.0)
_LARGER_SHARES = (1.0, 1.5, 2.0, 3.0)


class Part(str, Enum):
    """What frames are for."""

    TRAIN = 'train'
    EARLY_STOP = 'early_stop'
    CALIBRATION = 'calibration'
    TEST = 'test'


PARTS = tuple(Part)


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


def divide(frames: Sequence[LabelledFrame], config: SplitConfig, named: Mapping[str, Part]
                    ) -> Tuple[str, np.ndarray, List[str]]:
    """As :func:`divide_adapted`, with the recordings in ``named`` in their parts."""
    own = set(named.values())
    if not own:
        return divide_adapted(frames, config)
    shares = {part.value: 0.0 if part in own else share for part, share in zip(PARTS, config.fractions)}
    total = sum(shares.values())
    train, early_stop, calibration, test = (shares[part.value] / total for part in PARTS)
    left = replace(config, train=train, early_stop=early_stop, calibration=calibration, test=test)
    numbers = np.array([PARTS.index(named[frame.recording]) if frame.recording in named else GAP for frame in frames],
                       np.int64)
    others = np.flatnonzero(numbers == GAP)
    method, numbers[others], reasons = divide_adapted([frames[index] for index in others.tolist()], left)
    names = ', '.join(part.value for part in PARTS if part in own)
    return f'{method}; {names} as named', numbers, reasons


def divide_adapted(frames: Sequence[LabelledFrame], config: SplitConfig) -> Tuple[str, np.ndarray, List[str]]:
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
            counts = np.bincount(found[1][found[1] != GAP], minlength=len(PARTS))
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
            if not set(own) <= set(active) or len(others) < 2 or len(groups_of(frames)) < 2:
                continue
            shares = [config.fractions[number] for number in own]
            sides = _deal_recordings(frames, [train, *own], config, [1 - sum(shares), *shares])
            if not _lacking(frames, sides, [train, *own], {train, *own}, 1 - sum(shares)):
                inside = np.flatnonzero(sides == train)
                some = [frames[index] for index in inside.tolist()]
                sides[inside] = deal(some, _time_groups(some, config, len(others)), others, config)
                have = 'test and calibration have' if len(own) > 1 else 'the test has'
                return 'recording+time', sides, (
                    f'only {have} recordings of {"their" if len(own) > 1 else "its"} own, the other parts share '
                    f'theirs, by time: {lacking}')
    if lacking:
        lacking = (f'divided by time, so that parts share recordings and the test flatters: {lacking}; more recordings '
                   'that show every class would help')
    return 'time', deal(frames, _time_groups(frames, config, len(active)), active, config), lacking


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
    groups = groups_of(frames)
    unknown_groups = [group for group in groups if all(frames[index].label == UNKNOWN for index in group)]
    known = [group for group in groups if any(frames[index].label != UNKNOWN for index in group)]
    numbers = deal(frames, known, parts, config, fractions)
    if len(unknown_groups) >= len(parts):
        apart = deal(frames, unknown_groups, parts, config, fractions)
        numbers = np.where(apart == GAP, numbers, apart)
    else:
        numbers[[index for group in unknown_groups for index in group]] = parts[0]
    return numbers


def groups_of(frames: Sequence[LabelledFrame]) -> List[List[int]]:
    """Indices of the frames of each recording."""
    found: Dict[str, List[int]] = {}
    for index, frame in enumerate(frames):
        found.setdefault(frame.recording, []).append(index)
    return list(found.values())


def _time_groups(frames: Sequence[LabelledFrame], config: SplitConfig, parts: int) -> List[List[int]]:
    """Indices of the frames of each track, and of each block of time for frames without a track.

    Frames that are cut out of one picture are together, with all of the tracks that they belong to.
    Blocks are halved until every class is in two a part, but not below twice the gap.
    """
    starts: Dict[str, int] = {}
    for frame in frames:
        starts[frame.recording] = min(starts.get(frame.recording, frame.stamp_ns), frame.stamp_ns)
    units = _units(frames)
    block_s = config.block_s
    while True:
        found: Dict[Tuple[str, Any], List[int]] = {}
        for index, frame in enumerate(frames):
            unit: Any = units[index]
            if unit is None:
                unit = int((frame.stamp_ns - starts[frame.recording]) // (block_s * 1e9))
            found.setdefault((frame.recording, unit), []).append(index)
        blocks_of_label = Counter(label for group in found.values() for label in {frames[i].label for i in group})
        if min(blocks_of_label.values(), default=0) >= 2 * parts or block_s / 2 < max(2 * config.gap_s, 0.1):
            return list(found.values())
        block_s /= 2


def _units(frames: Sequence[LabelledFrame]) -> List[Optional[str]]:
    """A name for each frame, the same for those of one track or one picture of a recording; None for neither."""
    names = [[(frame.recording, kind, name) for kind, name in (('track', frame.track), ('picture', frame.picture))
              if name is not None] for frame in frames]
    above: Dict[Tuple[str, str, str], Tuple[str, str, str]] = {}

    def root(one: Tuple[str, str, str]) -> Tuple[str, str, str]:
        while above.setdefault(one, one) != one:
            above[one] = one = above[above[one]]
        return one
    for both in names:
        if len(both) == 2:
            above[root(both[1])] = root(both[0])
    return [' '.join(root(own[0])[1:]) if own else None for own in names]


def deal(frames: Sequence[LabelledFrame], groups: Sequence[Sequence[int]], parts: Sequence[int], config: SplitConfig,
          fractions: Sequence[float] = ()) -> np.ndarray:
    """Index into PARTS of each frame, with whole groups dealt to ``parts``."""
    names = {label: number for number, label in enumerate(sorted({frame.label for frame in frames}))}
    counts = np.zeros((len(groups), len(names)), np.int64)
    for number, group in enumerate(groups):
        for index in group:
            counts[number, names[frames[index].label]] += 1
    chosen = np.array(fractions or [config.fractions[part] for part in parts])
    dealt = assign(counts, chosen / chosen.sum(), config.seed)
    numbers = np.full(len(frames), GAP, np.int64)
    for number, group in enumerate(groups):
        numbers[list(group)] = parts[dealt[number]]
    return numbers


def _with_gaps(frames: Sequence[LabelledFrame], numbers: np.ndarray, gap_s: float) -> np.ndarray:
    """Take out frames that follow a frame of another part of their recording too closely."""
    numbers = numbers.copy()
    for group in groups_of(frames):
        last: Dict[int, int] = {}
        for index in sorted(group, key=lambda i: frames[i].stamp_ns):
            own, stamp_ns = int(numbers[index]), frames[index].stamp_ns
            if any(stamp_ns - before < gap_s * 1e9 for part, before in last.items() if part != own):
                numbers[index] = GAP
            else:
                last[own] = stamp_ns
    return numbers

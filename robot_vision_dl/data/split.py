"""Training, early-stop, calibration and test frames, kept apart by recording, or by blocks of time with a gap.

Neighbouring frames show the same thing, so frames are never dealt singly: a test on frames beside those of training
measures memory. Written to a file with a hash of what it follows from, so that it stays the same from run to run.
"""
import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..core.errors import DataError
from ..core.text.table import aligned
from ..core.types import UNKNOWN
from .division import GAP, PARTS, Part, SplitConfig, deal, divide, divide_adapted, groups_of
from .labels.labels import LabelledFrame

SCHEMA_VERSION = 1
_MOST_JUDGED = 0.5  # of the frames that are new to the starting weights: the others are to be learned from


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


def make_split(frames: Sequence[LabelledFrame], config: SplitConfig, named: Optional[Mapping[str, Part]] = None,
               learned: Optional[np.ndarray] = None) -> Split:
    """Divide ``frames``, every class into every part as far as recordings or blocks allow.

    Args:
        named: the part of recordings that are not to be dealt. A part that is named for one gets no other ones, and
            the rest is divided among the others in their proportions.
        learned: bool (n,); frames that the starting weights were trained on. These are trained on again, and in no
            other part unless that is named: a network is surer of them than of others. None: of none that is known.

    Raises:
        DataError: a part that should have frames has none.
    """
    named = named or {}
    labels = sorted({frame.label for frame in frames})
    method, numbers, reasons = _divide_the_rest(frames, config, named, learned)
    split = _as_split(method, frames, numbers, inputs_hash(frames, config, named, learned), config, reasons)
    for part, fraction in zip(PARTS, config.fractions):
        if (fraction or part in named.values()) and not split.counts(part):
            raise DataError(
                f'split: no frame is left for {part.value} ({len(frames)} frames of {len(groups_of(frames))} '
                f'recording(s), method {method}, {len(labels)} labels); record more, or lower split.block_s and '
                'split.gap_s')
    return split


def _divide_the_rest(frames: Sequence[LabelledFrame], config: SplitConfig, named: Mapping[str, Part],
                     learned: Optional[np.ndarray]) -> Tuple[str, np.ndarray, List[str]]:
    """As :func:`~.division.divide`, with what was learned from before in the training part."""
    if learned is None or not learned.any():
        return divide(frames, config, named)
    judging = sum(int(seen) for frame, seen in zip(frames, learned)
                  if named.get(frame.recording, Part.TRAIN) is not Part.TRAIN)
    said = [f'{judging} frames that are named for other parts than train look like ones that the starting weights were '
            'trained on: of these the network is surer than of others'] if judging else []
    stays = np.array([bool(seen) and frame.recording not in named for frame, seen in zip(frames, learned)])
    others = np.flatnonzero(~stays)
    some = [frames[index] for index in others.tolist()]
    if not any(frame.label != UNKNOWN for frame in some):
        method, numbers, reasons = divide(frames, config, named)
        return method, numbers, [*reasons, *said, (
            'all frames look like ones that the starting weights were trained on: the network is surer of them than '
            'of others, and so its calibration and its test say nothing of others; record more')]
    judged = config.early_stop + config.calibration + config.test
    more = min(len(frames) / len(others), max(_MOST_JUDGED / judged, 1.0)) if judged else 1.0
    rest = replace(config, train=1 - judged * more, early_stop=config.early_stop * more,
                   calibration=config.calibration * more, test=config.test * more)
    numbers = np.full(len(frames), PARTS.index(Part.TRAIN), np.int64)
    method, numbers[others], reasons = divide(some, rest, named)
    return method, numbers, [*reasons, *said, (
        f'{int(stays.sum())} frames look like ones that the starting weights were trained on, and are trained on '
        f'again; the other {len(others)} are divided')]


def _as_split(method: str, frames: Sequence[LabelledFrame], numbers: np.ndarray, digest: str,
              config: SplitConfig, reasons: Sequence[str] = ()) -> Split:
    parts = tuple(None if number == GAP else PARTS[number] for number in numbers)
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
    recordings = [group for group in groups_of(frames) if any(frames[index].label != UNKNOWN for index in group)]
    if not 2 <= count <= len(recordings):
        raise DataError(f'folds: {count} folds need at least 2 and at most as many as there are recordings '
                        f'({len(recordings)}); a recording is never in two folds')
    rest = config.train + config.early_stop + config.calibration
    inner = replace(config, train=config.train / rest, early_stop=config.early_stop / rest,
                    calibration=config.calibration / rest, test=0.0)
    fold_of = deal(frames, recordings, list(range(count)), config, [1 / count] * count)
    found = []
    of_inputs = inputs_hash(frames, config)
    for number in range(count):
        numbers = np.full(len(frames), PARTS.index(Part.TEST), np.int64)
        others = np.flatnonzero(fold_of != number)
        some = [frames[index] for index in others.tolist()]
        method, numbers[others], reasons = divide_adapted(some, inner)
        digest = hashlib.sha256(f'{of_inputs} fold {number} of {count}'.encode()).hexdigest()
        method = method if method == 'recording' else 'recording+time'
        found.append(_as_split(method, frames, numbers, digest, config, reasons))
    return tuple(found)


def inputs_hash(frames: Sequence[LabelledFrame], config: SplitConfig, named: Optional[Mapping[str, Part]] = None,
                learned: Optional[np.ndarray] = None) -> str:
    """SHA-256 of what a split follows from; where the bags lie does not matter."""
    parts = [sorted((name, part.value) for name, part in named.items())] if named else []
    digest = hashlib.sha256(json.dumps([SCHEMA_VERSION, asdict(config), *parts], sort_keys=True).encode())
    for frame in frames:
        whole = [] if frame.picture is None else [frame.picture]
        digest.update(json.dumps([frame.recording, frame.topic, frame.stamp_ns, frame.label, frame.track,
                                  frame.index, *whole]).encode())
    if learned is not None and learned.any():
        digest.update(np.packbits(learned).tobytes())
    return digest.hexdigest()

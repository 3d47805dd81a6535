"""Confidence intervals from whole recordings or tracks, since the frames of one are not independent.

Groups are drawn with replacement (cluster bootstrap; Davison and Hinkley 1997, section 3.8). Figures are ratios of sums
over groups, so a draw is a weighting of the groups. For two models on the same frames the same draws are used, which
keeps what both find hard out of their difference.
"""
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from ..core.decision.decision import Policy
from ..core.metrics.proper_scores import brier_scores, log_probability
from .table import ACCEPTED, OUT_OF_DISTRIBUTION, UNKNOWN_TARGET, Columns, FrameTable
from .tracks import error_starts, timed, track_places, watched_s

FEW_GROUPS = 10
LEAST_TRACKS = 5
"""Of fewer, intervals by tracks would be a matter of luck themselves."""
RECORDING, TRACK, BLOCK = 'recording', 'track', 'block'
NONE_SEEN = -float(np.log(0.025))
"""Events that may be expected where none was seen, at the upper end of a 95 % interval (exact, Poisson)."""
_CHUNK = 64
BLOCK_S = 10.0


class Ratio(NamedTuple):
    """A figure as a ratio of two sums; ``higher``: more is better; None: that depends on what the more is made of."""

    above: str
    below: str
    higher: Optional[bool]


RATIOS: Dict[str, Ratio] = {
    'accuracy': Ratio('right', 'known', True),
    'nll': Ratio('nll', 'known', False),
    'brier': Ratio('brier', 'known', False),
    'fused.accuracy': Ratio('fused_right', 'known', True),
    'fused.nll': Ratio('fused_nll', 'known', False),
    'fused.brier': Ratio('fused_brier', 'known', False),
    'foreign_accepted': Ratio('foreign_accepted', 'foreign', False),
    'acted_right': Ratio('accepted_right', 'known', True),
    'acted_wrong': Ratio('accepted_wrong', 'labelled', False),
    'risk': Ratio('accepted_wrong', 'accepted', False),
    # What is gained by acting more often is right or wrong: see acted_right, acted_wrong and foreign_accepted.
    'coverage': Ratio('accepted', 'labelled', None),
    'cost': Ratio('cost', 'labelled', False),
    'errors_per_h': Ratio('errors', 'hours', False),
    'foreign_errors_per_h': Ratio('foreign_errors', 'foreign_hours', False),
}
"""Figures that have intervals, by name."""


SHARES = ('accuracy', 'fused.accuracy', 'foreign_accepted', 'acted_right', 'acted_wrong', 'risk', 'coverage')
"""Those that are between 0 and 1."""


@dataclass(frozen=True)
class Groups:
    """Sums over groups of frames.

    Attributes:
        by: what a group is: ``recording``, ``track`` or ``block``.
        names: of the groups.
        sums: by name, float64, one value a group.
    """

    by: str
    names: Tuple[str, ...]
    sums: Mapping[str, np.ndarray]

    def value(self, ratio: Ratio) -> float:
        """A figure over all groups; NaN where its lower sum is 0."""
        below = float(self.sums[ratio.below].sum())
        return float(self.sums[ratio.above].sum()) / below if below else float('nan')


class Interval(NamedTuple):
    """A figure and where it lies with 95 % confidence; NaN where it cannot be told."""

    value: float
    low: float
    high: float


def group_frames(table: FrameTable, gap_s: float) -> Tuple[str, Tuple[str, ...], np.ndarray]:
    """(by, names, group of each row; -1: unlabelled): recordings if there are ten, else tracks, else blocks of 10 s.

    Tracks are drawn from five on, though ten are few; one that several cameras of a recording see is one. Blocks are of
    fewer objects than they are themselves, so however many there are, they prove little.
    """
    labelled = table.known | table.unknown
    candidates = []
    recordings = np.where(labelled, table.rows['recording'], -1)
    candidates.append((RECORDING, table.recordings, recordings))
    tracks = np.full(len(table), -1)
    numbers: Dict[Tuple[Any, ...], int] = {}
    of_tracks: List[str] = []
    for name, places in track_places(table, gap_s):
        row = table.rows[places[0]]
        key = (name,) if row['track'] < 0 else (int(row['recording']), int(row['track']), int(row['target']))
        if key not in numbers:
            numbers[key] = len(of_tracks)
            of_tracks.append(name)
        tracks[places] = numbers[key]
    candidates.append((TRACK, tuple(of_tracks), tracks))
    names: List[str] = []
    blocks = np.full(len(table), -1)
    for places in table.cameras():
        rows = table.at(places)
        number = ((rows['stamp_ns'] - rows['stamp_ns'][0]) // int(BLOCK_S * 1e9)).astype(np.int64)
        where = f'{table.recordings[rows["recording"][0]]}{table.topics[rows["topic"][0]]}'
        for block in np.unique(number[labelled[places]]).tolist():
            blocks[places[(number == block) & labelled[places]]] = len(names)
            names.append(f'{where} {block * BLOCK_S:g} s')
    candidates.append((BLOCK, tuple(names), blocks))
    for by, names_, groups in candidates:
        if len(np.unique(groups[groups >= 0])) >= (LEAST_TRACKS if by == TRACK else FEW_GROUPS):
            return by, tuple(names_), groups
    return max(candidates[1:], key=lambda item: len(item[1]))


def group_sums(table: FrameTable, gap_s: float, policy: Policy) -> Groups:
    """What :data:`RATIOS` are made of.

    ``cost`` of a frame: 0 for acting rightly, or for calling unknown what is; that of the confusion (1 where nothing
    else is said) for acting wrongly; that of abstaining otherwise.
    """
    by, names, groups = group_frames(table, gap_s)
    inside = groups >= 0
    rows, groups = Columns(table.rows, inside), groups[inside]
    count = len(names)
    known, is_ood = rows['target'] >= 0, rows['target'] == UNKNOWN_TARGET
    accepted = rows['outcome'] == ACCEPTED
    wrong = accepted & (rows['fused_predicted'] != rows['target'])
    watched, has_time = watched_s(table, gap_s)[inside], timed(table, gap_s)[inside]
    starts = error_starts(table, gap_s)[inside] & has_time

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(groups, np.nan_to_num(values.astype(np.float64)), count)

    sums = {
        'known': summed(known), 'labelled': summed(np.ones(len(rows))),
        'foreign': summed(is_ood), 'foreign_accepted': summed(accepted & is_ood),
        'accepted': summed(accepted), 'accepted_wrong': summed(wrong), 'accepted_right': summed(accepted & ~wrong),
        'cost': summed(frame_costs(rows, policy)), 'hours': summed(watched / 3600),
        'errors': summed(starts), 'foreign_errors': summed(starts & is_ood),
        # Where nothing foreign has a time, there were no hours in which it could have been met.
        'foreign_hours': summed(watched / 3600 * (is_ood & has_time).any()),
    }
    for prefix in ('', 'fused_'):
        sums[f'{prefix}right'] = summed(known & (rows[f'{prefix}predicted'] == rows['target']))
        sums[f'{prefix}nll'] = summed(np.where(known, -log_probability(rows[f'{prefix}p_target']), 0))
        sums[f'{prefix}brier'] = summed(np.where(known, brier_of(rows, prefix), 0))
    return Groups(by, names, sums)


def brier_of(rows: Union[np.ndarray, Columns], prefix: str = '') -> np.ndarray:
    """Brier score of each row, in 0..2."""
    return brier_scores(rows[f'{prefix}square'], rows[f'{prefix}p_target'])


def frame_costs(rows: Union[np.ndarray, Columns], policy: Policy) -> np.ndarray:
    """Cost of the decision about each labelled frame; see :func:`group_sums`."""
    called, target = rows['fused_predicted'], rows['target']
    accepted = rows['outcome'] == ACCEPTED
    if policy.costs is None:
        of_acting = (called != target).astype(np.float64)
    else:
        matrix = policy.costs.matrix
        # What is none of the classes has no column: acting on it costs what a wrong label of this name usually does.
        usual = np.array([np.median(np.delete(row, place)) if len(row) > 1 else 1.0
                          for place, row in enumerate(matrix)])
        of_acting = np.where(target >= 0, matrix[called, np.maximum(target, 0)], usual[called])
    noticed = (rows['outcome'] == OUT_OF_DISTRIBUTION) & (target == UNKNOWN_TARGET)
    return np.where(accepted, of_acting, np.where(noticed, 0.0, policy.abstain_cost))


def draw_weights(groups: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each group was drawn, int64 (some draws, groups), chunk after chunk."""
    rng = np.random.default_rng(seed)
    for begin in range(0, draws, _CHUNK):
        yield rng.multinomial(groups, np.full(groups, 1 / groups), size=min(_CHUNK, draws - begin))


def intervals(groups: Groups, draws: int, seed: int) -> Dict[str, Interval]:
    """95 % percentile intervals of all figures; NaN with fewer than two groups."""
    samples = _sampled([groups], draws, seed)[0]
    found = {name: percentile_interval(groups.value(ratio), samples.get(name) if _varies(ratio, groups) else None)
             for name, ratio in RATIOS.items()}
    for name in SHARES:
        found[name] = _of_groups_alike(found[name], int((groups.sums[RATIOS[name].below] > 0).sum()))
    for name in ('errors_per_h', 'foreign_errors_per_h'):
        if found[name].value == 0:  # drawing from nothing gives nothing, but an error may just not have come yet
            found[name] = Interval(0.0, 0.0, NONE_SEEN / float(groups.sums[RATIOS[name].below].sum()))
    return found


def _of_groups_alike(found: Interval, groups: int) -> Interval:
    """An interval of a share that is 0, or 1, in all of so many groups, of which drawing makes a point.

    Its other end is where so many groups would be like that with a probability of .025 (Clopper and Pearson 1934; of
    groups whose share may be anything the chance is less).
    """
    if groups < 2 or found.low != found.high or found.value not in (0.0, 1.0):
        return found
    end = 0.025 ** (1 / groups)
    return Interval(1.0, end, 1.0) if found.value else Interval(0.0, 0.0, 1 - end)


def differences(a: Groups, b: Groups, draws: int, seed: int) -> Dict[str, Interval]:
    """Figures of ``b`` minus those of ``a``, which must be sums over the same groups, with paired intervals."""
    first, second = _sampled([a, b], draws, seed)
    result = {}
    for name, ratio in _ratios(a, b).items():
        sample = second[name] - first[name] if name in first and _varies(ratio, a, b) else None
        result[name] = percentile_interval(b.value(ratio) - a.value(ratio), sample)
    return result


def verdict(name: str, difference: Interval, higher: Optional[bool] = None) -> str:
    """``better``, ``worse``, ``tie``, ``unclear`` (no interval) or, where more is neither, ``more`` and ``less``.

    ``higher`` says whether more is better, for figures that :data:`RATIOS` does not know.

    A tie means that the interval holds 0: these recordings show no difference.
    """
    if not np.isfinite(difference.low):
        return 'unclear'
    if difference.low <= 0 <= difference.high:
        return 'tie'
    more = difference.low > 0
    higher = RATIOS[name].higher if higher is None else higher
    if higher is None:
        return 'more' if more else 'less'
    return 'better' if more == higher else 'worse'


def _varies(ratio: Ratio, *several: Groups) -> bool:
    """Whether a figure rests on two groups at least: drawn from one alone, it would be the same in every draw."""
    return all((groups.sums[ratio.below] > 0).sum() >= 2 for groups in several)


def _ratios(*several: Groups) -> Dict[str, Ratio]:
    """The figures whose sums all of them have: a metrics.json of an earlier version has fewer."""
    return {name: ratio for name, ratio in RATIOS.items()
            if all(ratio.above in groups.sums and ratio.below in groups.sums for groups in several)}


def _sampled(several: Sequence[Groups], draws: int, seed: int) -> Sequence[Dict[str, np.ndarray]]:
    count = len(several[0].names)
    if count < 2:
        return [{} for _ in several]
    ratios = _ratios(*several)
    parts: List[Dict[str, List[np.ndarray]]] = [{name: [] for name in ratios} for _ in several]
    for weights in draw_weights(count, draws, seed):
        for groups, samples in zip(several, parts):
            for name, ratio in ratios.items():
                with np.errstate(invalid='ignore', divide='ignore'):
                    samples[name].append((weights @ groups.sums[ratio.above]) / (weights @ groups.sums[ratio.below]))
    return [{name: np.concatenate(values) for name, values in samples.items()} for samples in parts]


def percentile_interval(value: float, sample: Optional[np.ndarray]) -> Interval:
    """From the 2.5th to the 97.5th percentile of what was drawn, leaving out what is NaN."""
    sample = sample[np.isfinite(sample)] if sample is not None else np.zeros(0)
    if not len(sample) or not np.isfinite(value):
        return Interval(value, float('nan'), float('nan'))
    low, high = np.percentile(sample, (2.5, 97.5))
    return Interval(value, float(low), float(high))

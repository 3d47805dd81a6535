"""Intervals for figures that are not ratios of sums: F1, balanced accuracy, calibration error, AURC, AUROC.

Each of them follows from counts that do add up over the groups of :mod:`.bootstrap`: hits of each class, frames in each
bin of confidence or score. So a draw costs the same however many frames there are. Rankings (AURC, AUROC) are taken
over at most :data:`_MOST_BINS` bins of about equal mass; what that changes in the figure itself is taken back.
"""
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..core.metrics.calibration import BINS, equal_width, error_of_bins
from ..core.metrics.classification import balanced_accuracy, macro_f1
from ..core.metrics.ranking import auroc_of_counts
from ..core.metrics.selective import aurc_of_counts
from .bootstrap import Interval, draw_weights, group_frames, percentile_interval
from .table import FrameTable, sureness

_MOST_BINS = 256
_MOST_CELLS = 4_000_000
"""Of a matrix of counts, groups times columns: 32 MB."""

HIGHER: Dict[str, bool] = {'balanced_accuracy': True, 'f1': True, 'ece': False, 'fused.balanced_accuracy': True,
                           'fused.f1': True, 'fused.ece': False, 'aurc': False, 'auroc': True}
"""Figures that are resampled here; whether more is better."""
_PATHS = {'balanced_accuracy': 'frame.balanced_accuracy', 'f1': 'frame.f1.macro', 'ece': 'frame.ece',
          'fused.balanced_accuracy': 'fused.balanced_accuracy', 'fused.f1': 'fused.f1.macro', 'fused.ece': 'fused.ece',
          'aurc': 'selective.aurc', 'auroc': 'open_set.scores.own.auroc'}
"""Where their values stand in a model's metrics."""


class Shape(NamedTuple):
    """Counts of each group (G, K), and what figures (n,) follow from their sums (n, K)."""

    counts: np.ndarray
    figures: Callable[[np.ndarray], Dict[str, np.ndarray]]


def resample(table: FrameTable, model: Mapping[str, Any], gap_s: float, draws: int,
             seed: int) -> Dict[str, np.ndarray]:
    """What each figure is in every draw, float64 (draws,), NaN where it cannot be told.

    Args:
        table: rows of the model.
        model: its metrics, see :func:`.summary.summarise`; draws are those of its other intervals.
        gap_s: as there.
    """
    _, names, groups = group_frames(table, gap_s)
    if len(names) < 2:
        return {}
    shapes = [shape for shape in _shapes(table, groups, len(names)) if shape.counts.size <= _MOST_CELLS]
    drawn: Dict[str, List[np.ndarray]] = {}
    for weights in draw_weights(len(names), draws, seed):
        for shape in shapes:
            for name, values in shape.figures(weights @ shape.counts).items():
                drawn.setdefault(name, []).append(values)
    found = {}
    for name, parts in drawn.items():
        value, sample = _value(model, name), np.concatenate(parts)
        if value is not None and np.isfinite(sample).any():
            found[name] = _moved(name, sample, value, shapes)
    return found


def shaped_intervals(samples: Mapping[str, np.ndarray], model: Mapping[str, Any]) -> Dict[str, Interval]:
    """95 % percentile intervals about the values in a model's metrics."""
    values = {name: _value(model, name) for name in samples}
    return {name: percentile_interval(value, samples[name]) for name, value in values.items() if value is not None}


def shaped_differences(first: Mapping[str, np.ndarray], first_model: Mapping[str, Any],
                       second: Mapping[str, np.ndarray], second_model: Mapping[str, Any]) -> Dict[str, Interval]:
    """Figures of the second model minus those of the first, both resampled with the same draws of the same groups."""
    values = {name: (_value(first_model, name), _value(second_model, name)) for name in first if name in second}
    return {name: percentile_interval(of_second - of_first, second[name] - first[name])
            for name, (of_first, of_second) in values.items() if of_first is not None and of_second is not None}


def _shapes(table: FrameTable, groups: np.ndarray, count: int) -> Iterator[Shape]:
    known = table.known & (groups >= 0)
    if known.any():
        for prefix, path in (('', ''), ('fused_', 'fused.')):
            target, predicted = table['target'][known], table[f'{prefix}predicted'][known]
            yield _classes(target, predicted, groups[known], count, path)
            yield _calibration(table[f'{prefix}confidence'][known], predicted == target, groups[known], count, path)
    both = (table.known | table.unknown) & (groups >= 0)
    if both.any():
        wrong = table['fused_predicted'][both] != table['target'][both]
        yield _risk(sureness(table.rows[both]), wrong, groups[both], count)
    scores, is_ood = table['ood_score'][both], table.unknown[both]
    if is_ood.any() and not is_ood.all() and np.isfinite(scores).all():
        yield _ranking(scores, is_ood, groups[both], count)


def _counted(groups: np.ndarray, column: np.ndarray, count: int, columns: int,
             values: Optional[np.ndarray] = None) -> np.ndarray:
    """Sums by group and column, float64 (count, columns)."""
    flat = np.bincount(groups * columns + column, values, count * columns)
    return flat.reshape(count, columns).astype(np.float64)


def _classes(target: np.ndarray, predicted: np.ndarray, groups: np.ndarray, count: int, path: str) -> Shape:
    occurs = np.unique(target)
    n = len(occurs)
    place = np.searchsorted(occurs, target)
    called = np.minimum(np.searchsorted(occurs, predicted), n - 1)
    inside = occurs[called] == predicted  # what is called a class that never occurs counts against no class here
    hit = predicted == target
    counts = np.hstack([_counted(groups[hit], place[hit], count, n), _counted(groups, place, count, n),
                        _counted(groups[inside], called[inside], count, n)])

    def figures(sums: np.ndarray) -> Dict[str, np.ndarray]:
        hits, support, named = sums[:, :n], sums[:, n:2 * n], sums[:, 2 * n:]
        return {f'{path}balanced_accuracy': balanced_accuracy(hits, support),
                f'{path}f1': macro_f1(hits, named, support)}

    return Shape(counts, figures)


def _calibration(confidence: np.ndarray, right: np.ndarray, groups: np.ndarray, count: int, path: str) -> Shape:
    bins = equal_width(confidence)
    counts = np.hstack([_counted(groups, bins, count, BINS, right - confidence), _counted(groups, bins, count, BINS)])

    def figures(sums: np.ndarray) -> Dict[str, np.ndarray]:
        return {f'{path}ece': error_of_bins(sums[:, :BINS], sums[:, BINS:])}

    return Shape(counts, figures)


def _risk(confidence: np.ndarray, wrong: np.ndarray, groups: np.ndarray, count: int) -> Shape:
    bins, n = _mass_bins(-confidence, count)
    counts = np.hstack([_counted(groups, bins, count, n, wrong), _counted(groups, bins, count, n)])

    def figures(sums: np.ndarray) -> Dict[str, np.ndarray]:
        return {'aurc': aurc_of_counts(sums[:, :n], sums[:, n:])}

    return Shape(counts, figures)


def _ranking(scores: np.ndarray, positive: np.ndarray, groups: np.ndarray, count: int) -> Shape:
    bins, n = _mass_bins(scores, count)
    counts = np.hstack([_counted(groups[positive], bins[positive], count, n),
                        _counted(groups[~positive], bins[~positive], count, n)])

    def figures(sums: np.ndarray) -> Dict[str, np.ndarray]:
        return {'auroc': auroc_of_counts(sums[:, :n], sums[:, n:])}

    return Shape(counts, figures)


def _mass_bins(scores: np.ndarray, count: int) -> Tuple[np.ndarray, int]:
    """(bin of each score, ascending; how many): one for each distinct score if these are few, else of equal mass."""
    most = max(16, min(_MOST_BINS, _MOST_CELLS // (2 * count)))
    edges = np.unique(scores)
    if len(edges) > most:
        edges = np.unique(np.quantile(scores, np.arange(most) / most))
    return np.searchsorted(edges, scores, side='right') - 1, len(edges)


def _moved(name: str, sample: np.ndarray, value: float, shapes: Sequence[Shape]) -> np.ndarray:
    """Draws about the value: a calibration error grows by drawing, which adds noise to its bins; bins move rankings."""
    if name.endswith('ece'):
        return np.maximum(sample + value - np.nanmean(sample), 0)
    for shape in shapes:
        found = shape.figures(shape.counts.sum(axis=0, keepdims=True))
        if name in found:
            return sample + value - float(found[name][0])
    raise AssertionError(name)


def _value(model: Mapping[str, Any], name: str) -> Optional[float]:
    found: Any = model
    for part in _PATHS[name].split('.'):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found

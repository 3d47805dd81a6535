"""Which given labels are likely wrong: by classifiers that never saw the recording which they judge.

The features of the network's pass are divided into folds, whole recordings (or objects) at a time. A linear probe of
the features of the other folds gives the out-of-fold probabilities of a fold, and a label that gets little of them is
doubted (confident learning; C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in
Dataset Labels", JAIR 70, 2021; as cleanlab has it). The network itself is not asked for classes: it may have been
trained on the labels in question, and its classes need not be these.
"""
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch

from ..data.dataset import NO_CLASS
from ..evaluation.predict import spread
from ..training.baselines import linear_probe

Numbers = Union[Sequence[int], np.ndarray]
_MOST = 20_000
"""Frames that a probe is fitted to; of more, so many spread over all. 20 000 of 1 280 features take .2 GB."""
_DECAY = 0.1
"""Of the probe: strong, since it must not learn the wrong labels by heart. Chosen among .003 to 3 on CIFAR-10."""
_BLOCK = 4096
_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class LabelDoubts:
    """What :func:`label_doubts` finds, of n frames or n units (intervals, objects).

    Attributes:
        probabilities: out-of-fold probability of each class, float64 (n, C), rows sum to 1. Also of frames whose label
            is left out.
        labels: the given class, int64 (n,); -1: left out, since the label is none of the classes.
        self_confidence: probability of the given label, in [0, 1], float64 (n,); NaN where it cannot be judged: left
            out, or the class is nowhere else.
        suggested: the most probable class, int64 (n,): the proposal for the label.
        likely_wrong: bool (n,): another class has at least the probability that it has for frames of its own on
            average, and of such classes the most probable is not the given one (off the diagonal of the confident
            joint, Northcutt et al. 2021, equation 1).
        order: indices of those that can be judged, int64 (m,), the most doubtful label first.
        notes: sentences about classes that cannot be judged, or only on little; for people.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    self_confidence: np.ndarray
    suggested: np.ndarray
    likely_wrong: np.ndarray
    order: np.ndarray
    notes: Tuple[str, ...]


def label_doubts(features: np.ndarray, labels: Sequence[str], groups: Numbers, class_names: Sequence[str],
                 seed: int = 0, folds: int = 5, units: Optional[Numbers] = None) -> LabelDoubts:
    """How likely the given labels are wrong, and what they should be; the same bits for the same arguments.

    Takes seconds for 10 000 frames or intervals of 1 280 features. Where there are many more frames than intervals,
    give the mean feature of each interval instead.

    Args:
        features: (n, F), of the network's pass, as they come or of length 1; of frames, or means over intervals.
        labels: n names. Those that are none of ``class_names`` (``unknown``, ``ignore``, ``unsure``, empty) are left
            out: nothing is learned from them and they are not doubted.
        groups: n numbers of recordings or objects. Frames of one group are never on both sides of a fold.
        class_names: C names.
        seed: of the folds.
        folds: at most so many; there are no more than groups.
        units: n numbers of intervals or objects that are judged as one, by the mean of the logarithms of their frames'
            probabilities; all frames of one have the same label and group. Results are then by unit, ascending. None:
            each frame is judged by itself.

    Raises:
        ValueError: lengths differ, there is nothing, or a unit has two labels or groups.
    """
    names = {name: number for number, name in enumerate(class_names)}
    targets = np.array([names.get(label, NO_CLASS) for label in labels], np.int64)
    group = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)
    n = len(features)
    if not n or len(targets) != n or len(group) != n or (units is not None and len(units) != n):
        raise ValueError(f'{n} features, {len(targets)} labels and {len(group)} groups'
                         + ('' if units is None else f' and {len(units)} units') + ': must be as many, and some')
    fold = _deal(targets, group, len(class_names), folds, seed)[group]
    with _one_thread():
        log_p, can_judge = _out_of_fold(features, targets, fold, len(class_names))
    notes = _notes(targets, group, can_judge, class_names, int(fold.max()) + 1)
    if units is not None:
        log_p, targets, can_judge = _by_unit(log_p, targets, can_judge, group, np.asarray(units))
    return _ranked(log_p, targets, can_judge, notes)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums are then made in the same order, and give the same bits, however many threads torch has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _deal(targets: np.ndarray, group: np.ndarray, classes: int, folds: int, seed: int) -> np.ndarray:
    """The fold of each group: from the largest to the smallest, where there is least of its classes so far."""
    count = int(group.max()) + 1
    counts = np.zeros((count, classes))
    np.add.at(counts, (group[targets >= 0], targets[targets >= 0]), 1)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(-shares[order].sum(axis=1), kind='stable')]
    folds = max(min(folds, count), 1)
    loads, sizes = np.zeros((folds, classes)), np.zeros(folds)
    found = np.zeros(count, np.int64)
    for one in order.tolist():
        own = loads @ shares[one]
        fold = int(np.lexsort((sizes, own))[0])
        found[one] = fold
        loads[fold] += shares[one]
        sizes[fold] += 1
    return found


def _out_of_fold(features: np.ndarray, targets: np.ndarray, fold: np.ndarray, classes: int
                 ) -> Tuple[np.ndarray, np.ndarray]:
    """Logarithms of probabilities (n, C), and whether the class of each frame was among what its probe saw, (n,)."""
    n = len(features)
    log_p = np.full((n, classes), -np.log(classes))
    can_judge = np.zeros(n, bool)
    for one in range(int(fold.max()) + 1):
        inside = np.flatnonzero(fold == one)
        seen = spread(np.flatnonzero((fold != one) & (targets >= 0)), _MOST)
        present = np.unique(targets[seen])
        if len(present) < 2:
            continue
        numbers = np.full(classes, -1)
        numbers[present] = np.arange(len(present))
        weight, bias, _ = linear_probe(np.asarray(features[seen], np.float32), numbers[targets[seen]], None,
                                       len(present), _DECAY)
        for begin in range(0, len(inside), _BLOCK):
            rows = inside[begin:begin + _BLOCK]
            z = (np.asarray(features[rows], np.float32) @ weight.T + bias).astype(np.float64)
            z -= z.max(axis=1, keepdims=True)
            found = np.full((len(rows), classes), np.log(_LEAST_PROBABILITY))
            found[:, present] = np.maximum(z - np.log(np.exp(z).sum(axis=1, keepdims=True)),
                                           np.log(_LEAST_PROBABILITY))
            log_p[rows] = found
        can_judge[inside] = np.isin(targets[inside], present)
    return log_p, can_judge


def _by_unit(log_p: np.ndarray, targets: np.ndarray, can_judge: np.ndarray, group: np.ndarray, units: np.ndarray
             ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of units, by number."""
    numbers, first, place, counts = np.unique(units, return_index=True, return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    for values, what in ((targets, 'labels'), (group, 'groups')):
        two = np.flatnonzero(values != values[first][place])
        if len(two):
            raise ValueError(f'unit {numbers[place[two[0]]]} has frames of two {what}: what is judged as one must have '
                             'one; give each part a number of its own')
    sums = np.zeros((len(numbers), log_p.shape[1]))
    np.add.at(sums, place, log_p)
    return sums / counts[:, None], targets[first], can_judge[first]


def _ranked(log_p: np.ndarray, targets: np.ndarray, can_judge: np.ndarray, notes: Sequence[str]) -> LabelDoubts:
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    judged = np.flatnonzero(can_judge)
    confidence = np.full(len(p), np.nan)
    confidence[judged] = p[judged, targets[judged]]
    thresholds = np.full(p.shape[1], np.inf)
    for target in np.unique(targets[judged]).tolist():
        thresholds[target] = confidence[judged][targets[judged] == target].mean()
    confident = np.where(p >= thresholds - 1e-9, p, -1.0)  # a class whose frames are all alike reaches its own mean
    wrong = np.zeros(len(p), bool)
    wrong[judged] = (confident[judged].max(axis=1) >= 0) & (confident[judged].argmax(axis=1) != targets[judged])
    order = judged[np.argsort(confidence[judged], kind='stable')]
    return LabelDoubts(p, targets, confidence, p.argmax(axis=1), wrong, order, tuple(notes))


def _notes(targets: np.ndarray, group: np.ndarray, can_judge: np.ndarray, class_names: Sequence[str], folds: int
           ) -> List[str]:
    found = []
    if folds < 2:
        return ['all labels are of one recording: none can be judged by others']
    if len(np.unique(targets[targets >= 0])) < 2:
        return ['fewer than two classes are labelled: no label can be judged']
    for target, name in enumerate(class_names):
        own = targets == target
        groups = len(np.unique(group[own]))
        unjudged = int((own & ~can_judge).sum())
        if unjudged:
            found.append(f'{name}: {unjudged} of {int(own.sum())} frames cannot be judged, since no other recording '
                         f'shows {name} (it is in {groups})')
        elif 0 < groups < folds:
            found.append(f'{name}: only {groups} recordings show it, fewer than the {folds} folds; each is judged by '
                         f'the other {groups - 1}')
    return found

"""Figures of a classifier over labelled pictures: accuracy, what is by class, and all of them together."""
from dataclasses import dataclass
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..errors import DataError
from .calibration import (
    Reliability,
    calibration_error_floor,
    expected_calibration_error,
    floor_of_objects,
    reliability,
    top_label,
)
from .proper_scores import brier, negative_log_likelihood


class ClassFigures(NamedTuple):
    """Of each class.

    Attributes:
        precision: right among those called so; NaN where none is called so. Shape (C,).
        recall: found among those that are so; NaN where none is so.
        f1: 2 TP / (2 TP + FP + FN); NaN where the class neither occurs nor is predicted.
        support: pictures of the class, int64.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def confusion_matrix(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Pictures of class i called class j, int64 (C, C)."""
    return np.bincount(targets * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def class_figures(confusion: np.ndarray) -> ClassFigures:
    """Precision, recall and F1 from a confusion matrix (C, C)."""
    hits = np.diagonal(confusion).astype(np.float64)
    called, support = confusion.sum(axis=0), confusion.sum(axis=1)
    with np.errstate(invalid='ignore'):
        return ClassFigures(hits / called, hits / support, 2 * hits / (called + support), support)


def balanced_accuracy(hits: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Mean recall over the classes that occur, shape (...), NaN where none does.

    Args:
        hits, support: pictures of each class that were called so, and all of it, shapes (..., C).
    """
    return _macro(hits / np.maximum(support, 1), support)


def macro_f1(hits: np.ndarray, called: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that occur, shape (...), NaN where none does; ``called``: pictures called each class."""
    return _macro(2 * hits / np.maximum(called + support, 1), support)


def _macro(values: np.ndarray, support: np.ndarray) -> np.ndarray:
    there = support > 0
    with np.errstate(invalid='ignore'):
        mean: np.ndarray = np.where(there, values, 0).sum(axis=-1) / there.sum(axis=-1)
    return mean


def accuracy(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Share whose most probable class is the target."""
    return float(top_label(probabilities, targets)[1].mean())


def top_k_accuracy(scores: np.ndarray, targets: np.ndarray, k: int) -> float:
    """Share whose target is among the k classes with the largest scores (n, C); of equal ones the first come first."""
    return float((target_ranks(scores, targets) < k).mean())


def target_ranks(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Classes that come before the target, int64 (n,): those that score more (n, C), or as much and are earlier."""
    own = scores[np.arange(len(targets)), targets][:, None]
    earlier = np.arange(scores.shape[1]) < np.asarray(targets)[:, None]
    ranks: np.ndarray = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return ranks


def wilson_interval(right: int, n: int, z: float = 1.96) -> Tuple[float, float]:
    """Where the true rate lies with 95 % confidence if ``right`` of ``n`` independent tries are (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    p, centre = right / n, (right + z * z / 2) / (n + z * z)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


@dataclass(frozen=True)
class ClassificationMetrics:
    """How a classifier did; :func:`classification_metrics` makes it.

    Attributes:
        class_names: C names.
        pictures: n.
        accuracy, balanced_accuracy: share that is right; mean recall over the classes that occur.
        macro_f1: mean F1 over the classes that occur.
        nll, brier: nats; 0..2.
        ece, ece_floor: expected calibration error over 15 bins, and what perfectly calibrated predictions would show
            with so few pictures.
        ece_floor_objects: the same if pictures of one object are right or wrong together; None: each is of another.
        by_class: precision, recall, F1, support.
        confusion: int64 (C, C), row: what it is, column: what it was called.
        reliability: 15 bins.
    """

    class_names: Tuple[str, ...]
    pictures: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    nll: float
    brier: float
    ece: float
    ece_floor: float
    by_class: ClassFigures
    confusion: np.ndarray
    reliability: Reliability
    ece_floor_objects: Optional[float] = None

    def figures(self) -> Dict[str, Any]:
        """Plain numbers for a bundle, rounded to four digits."""
        values: Dict[str, Any] = {'pictures': self.pictures}
        for name in ('accuracy', 'balanced_accuracy', 'macro_f1', 'nll', 'brier', 'ece', 'ece_floor'):
            values[name] = round(getattr(self, name), 4)
        if self.ece_floor_objects is not None:
            values['ece_floor_objects'] = round(self.ece_floor_objects, 4)
        values['recall'] = {name: round(float(value), 4) for name, value in zip(self.class_names, self.by_class.recall)
                            if value == value}
        return values


def classification_metrics(probabilities: np.ndarray, targets: np.ndarray, class_names: Sequence[str],
                           seed: int = 0, objects: Optional[np.ndarray] = None) -> ClassificationMetrics:
    """Judge predictions.

    Args:
        probabilities: (n, C), rows sum to 1.
        targets: int64 (n,), in 0..C-1.
        seed: of the draws behind the floor of the calibration error.
        objects: int (n,); pictures of one number are of one object. None: each is of another.

    Raises:
        DataError: there are no pictures, or the shapes do not fit.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(targets)
    if len(y) == 0 or p.shape != (len(y), len(class_names)):
        raise DataError(f'judging needs probabilities (n, {len(class_names)}) and targets (n,), n > 0, got {p.shape} '
                        f'and {y.shape}')
    if y.min() < 0 or y.max() >= len(class_names):
        raise DataError(f'judging: targets must be in 0..{len(class_names) - 1}, got {y.min()}..{y.max()}')
    confusion = confusion_matrix(y, p.argmax(axis=1), len(class_names))
    hits, called, support = np.diagonal(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    confidence, right = top_label(p, y)
    return ClassificationMetrics(
        tuple(class_names), len(y), float(right.mean()), float(balanced_accuracy(hits, support)),
        float(macro_f1(hits, called, support)), negative_log_likelihood(p, y), brier(p, y),
        expected_calibration_error(confidence, right), calibration_error_floor(confidence, seed),
        class_figures(confusion), confusion, reliability(confidence, right),
        floor_of_objects(confidence, objects, seed))

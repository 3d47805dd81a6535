"""Logits, features and labels of calibration pictures -> everything that a bundle says about trust."""
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import numpy as np
import torch

from ..errors import RobotVisionError
from .conformal import lac_quantile
from .ood import OodCalibration, ood_method
from .temperature import fit_temperature, negative_log_likelihood

MIN_PICTURES = 20


@dataclass(frozen=True)
class Calibration:
    """What was fitted, and how well it held on pictures that it was not fitted on.

    Attributes:
        temperature: fitted on all pictures.
        conformal: (alpha, quantile), at that temperature, on all pictures.
        ood: score with its calibration scores.
        metrics: figures by name; see :func:`cross_fitted_metrics`.
    """

    temperature: float
    conformal: Tuple[float, float]
    ood: Optional[OodCalibration]
    metrics: Dict[str, float]


def calibrate(logits: np.ndarray, features: np.ndarray, labels: np.ndarray, *, ood: Optional[str] = 'energy',
              alpha: float = 0.1, seed: int = 0,
              reference: Optional[Tuple[np.ndarray, np.ndarray]] = None) -> Calibration:
    """Fit temperature, conformal quantile and OOD score.

    The one number T is fitted on all pictures, and so is the quantile after it: the pictures are used twice, for one
    number each. A score that is itself fitted to pictures (kNN) is fitted to ``reference`` and calibrated on all, or,
    without one, fitted to one half and calibrated on the other.

    Args:
        logits, features, labels: shapes (n, C), (n, F), (n,), of pictures that took no part in training.
        ood: name of a score, or None.
        alpha: error rate of the conformal sets.
        seed: of the split into halves.
        reference: logits (m, C) and features (m, F) of other pictures of the known classes, e.g. of the training.
    """
    if len(labels) < MIN_PICTURES:
        raise RobotVisionError(f'calibration needs {MIN_PICTURES} pictures at least, got {len(labels)}')
    temperature = fit_temperature(logits, labels)
    quantile = lac_quantile(softmax(logits, temperature), labels, alpha)
    first, second = halves(len(labels), seed)
    detector = None
    if ood is not None:
        z, f = torch.from_numpy(logits).float(), torch.from_numpy(features).float()
        if reference is None:
            score = ood_method(ood).fit(z[first], f[first])
            held_out = second if score.fitted else slice(None)
        else:
            score = ood_method(ood).fit(*(torch.from_numpy(array).float() for array in reference))
            held_out = slice(None)
        detector = OodCalibration.of(score, ood, score(z[held_out], f[held_out]).numpy())
    return Calibration(temperature, (alpha, quantile), detector, cross_fitted_metrics(logits, labels, alpha, seed))


def cross_fitted_metrics(logits: np.ndarray, labels: np.ndarray, alpha: float, seed: int = 0) -> Dict[str, float]:
    """How calibration does on pictures it has not seen: each half is judged by what was fitted on the other.

    Returns:
        ``pictures``, ``top1``, ``top5``; negative log-likelihood (nats), Brier score (0..2) and expected calibration
        error (15 bins) without (``_plain``) and with the temperature; ``ece_floor``: the error that perfectly
        calibrated predictions of the same confidences would show with so few pictures; share of conformal sets that
        hold the true class, and their mean size.
    """
    n = len(labels)
    order = np.argsort(-logits, axis=1)
    plain, scaled, inside, sizes, nll = softmax(logits, 1.0), np.empty(logits.shape), [], [], 0.0
    for fitted, judged in (halves(n, seed), halves(n, seed)[::-1]):
        temperature = fit_temperature(logits[fitted], labels[fitted])
        quantile = lac_quantile(softmax(logits[fitted], temperature), labels[fitted], alpha)
        scaled[judged] = softmax(logits[judged], temperature)
        sets = 1 - scaled[judged] <= quantile
        inside += sets[np.arange(len(judged)), labels[judged]].tolist()
        sizes += sets.sum(axis=1).clip(1).tolist()
        nll += negative_log_likelihood(logits[judged], labels[judged], temperature) * len(judged) / n
    figures = {
        'pictures': n,
        'top1': np.mean(order[:, 0] == labels),
        'top5': np.mean((order[:, :5] == labels[:, None]).any(axis=1)),
        'nll_plain': negative_log_likelihood(logits, labels), 'nll': nll,
        'brier_plain': brier(plain, labels), 'brier': brier(scaled, labels),
        'ece_plain': expected_calibration_error(plain, labels), 'ece': expected_calibration_error(scaled, labels),
        'ece_floor': calibration_error_floor(scaled, seed),
        'conformal_coverage': np.mean(inside), 'conformal_mean_size': np.mean(sizes),
    }
    return {name: round(float(value), 4) if name != 'pictures' else n for name, value in figures.items()}


def halves(n: int, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Indices 0..n-1 in two random halves, each ascending."""
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[:n // 2]), np.sort(order[n // 2:])


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities exp(z/T) over their sum, in float64, shape (n, C)."""
    scaled = np.asarray(logits, np.float64) / temperature
    p = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean over pictures of sum_c (p_c - [c is the label])^2, in 0..2."""
    p_label = probabilities[np.arange(len(labels)), labels]
    return float(np.mean((probabilities ** 2).sum(axis=1) - 2 * p_label + 1))


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Mean over pictures of |accuracy - confidence| of their bin of confidence; bins of equal width (Guo 2017)."""
    return _binned_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, bins)


def calibration_error_floor(probabilities: np.ndarray, seed: int = 0, tries: int = 200, bins: int = 15) -> float:
    """Mean calibration error of labels drawn so that the confidences (n, C) are exactly right."""
    confidence = probabilities.max(axis=1)
    draws = np.random.default_rng(seed).random((tries, len(confidence))) < confidence
    return float(np.mean([_binned_error(confidence, right, bins) for right in draws]))


def _binned_error(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    # A confidence of 1 belongs to the last bin.
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(index, right, bins) - np.bincount(index, confidence, bins)
    return float(np.abs(gap).sum() / len(confidence))

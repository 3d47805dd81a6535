"""Logits, features and labels of calibration pictures -> everything that a bundle says about trust."""
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

import numpy as np
import torch

from ..errors import ConfigError, RobotVisionError
from .conformal import Conformal, coverage_and_size, fit_conformal
from .laplace import Laplace, choose_tau, fit_factors, mean_probabilities
from .ood import OodCalibration, ood_method
from .ood_choice import OodChoice, Pictures, auroc, choose_ood, split_groups
from .score import LinearHead
from .temperature import calibrated_softmax, fit_temperature, negative_log_likelihood
from .vector import VectorScaling, fit_vector_scaling

MIN_PICTURES = 20
AUTO = 'auto'
SCALINGS = ('temperature', 'vector', AUTO)


class FusionTimes(NamedTuple):
    """Time constants of a deployment, from its calibration bags; see :class:`~..config.FusionConfig`.

    Attributes:
        correlation_time_s, change_time_s: in seconds.
        change_offset, change_slope: of the evidence for a change that lies in how much two frames differ; see
            :func:`~..fusion.change_evidence`. None: it is not known.
    """

    correlation_time_s: float
    change_time_s: float
    change_offset: Optional[float] = None
    change_slope: Optional[float] = None


@dataclass(frozen=True)
class Calibration:
    """What was fitted, and how well it held on pictures that it was not fitted on.

    Attributes:
        temperature: fitted on all pictures.
        conformal: at the probabilities that are published, on all pictures.
        ood: score with its calibration scores.
        metrics: figures by name; see :func:`cross_fitted_metrics`.
        vector: takes the temperature's place where it is there.
        laplace: of the last layer, where that is linear.
        ood_reason: why this score, a sentence; empty if it was asked for.
        precision, device: arithmetic and kind of device (cpu, cuda) that the logits come from.
        fusion: time constants, where the pictures are frames of recordings.
    """

    temperature: float
    conformal: Conformal
    ood: Optional[OodCalibration]
    metrics: Dict[str, Any]
    vector: Optional[VectorScaling] = None
    laplace: Optional[Laplace] = None
    ood_reason: str = ''
    precision: str = 'float32'
    device: str = 'cpu'
    fusion: Optional[FusionTimes] = None

    def probabilities(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """What the pipeline publishes for float32 logits (n, C) and features (n, F), shape (n, C)."""
        return _published(logits, features, self.temperature, self.vector, self.laplace)


def calibrate(logits: np.ndarray, features: np.ndarray, labels: np.ndarray, *, ood: Optional[str] = 'energy',
              alpha: float = 0.1, seed: int = 0, reference: Optional[Tuple[np.ndarray, ...]] = None,
              head: Optional[LinearHead] = None, foreign: Optional[Mapping[str, Tuple[np.ndarray, np.ndarray]]] = None,
              conformal: str = 'lac', scaling: str = 'temperature',
              faulty: Optional[Mapping[str, Tuple[np.ndarray, np.ndarray]]] = None) -> Calibration:
    """Fit the scaling of the logits, the last layer's posterior, conformal sets and a score of foreignness.

    The one number T is fitted on all pictures, and so is the quantile after it: the pictures are used twice, for one
    number each. What is itself fitted to pictures (Laplace, most scores) is fitted to ``reference`` and calibrated on
    all, or, without one, fitted to one half and calibrated on the other.

    Args:
        logits, features, labels: shapes (n, C), (n, F), (n,), of pictures that took no part in training.
        ood: name of a score; ``auto``: chosen by :func:`~.ood_choice.choose_ood`; or None.
        alpha: error rate of the conformal sets.
        seed: of the split into halves.
        reference: logits (m, C), features (m, F) and, if known, labels (m,) of other pictures of the known classes: of
            the training, above all.
        head: of the network; None: not linear in the features, so there is no Laplace approximation and fewer scores.
        foreign: logits and features of pictures of no class by groups, to choose a score by.
        faulty: the same of pictures of a camera at fault, see :func:`~.degenerate.degenerate_pictures`.
        conformal: a method of ``CONFORMAL_METHODS``.
        scaling: ``vector`` fits a weight and an offset a class; ``auto`` does so where that is clearly better on
            pictures it was not fitted on.
    """
    if len(labels) < MIN_PICTURES:
        raise RobotVisionError(f'calibration needs {MIN_PICTURES} pictures at least, got {len(labels)}')
    if scaling not in SCALINGS:
        raise ConfigError(f'scaling must be one of {", ".join(SCALINGS)}, got {scaling!r}')
    temperature = fit_temperature(logits, labels)
    judged_by = {name: cross_fitted(logits, labels, one, seed) for name, one in FITS.items()}
    if scaling == AUTO:
        scaling = 'vector' if clearly_better(judged_by['vector'], judged_by['temperature'], labels) else 'temperature'
    fit = FITS[scaling]
    vector = fit_vector_scaling(logits, labels, temperature) if fit is FITS['vector'] else None
    known = Pictures.of(logits, features, labels)
    first, second = halves(len(labels), seed)
    if reference is None:
        fitted, held_out = known[first], known[second]
    else:
        fitted, held_out = Pictures.of(*reference), known
        if fitted.labels is None:
            fitted = replace(fitted, labels=fitted.logits.argmax(-1))
    metrics = cross_fitted_metrics(logits, labels, alpha, seed, fit, conformal)
    rows = np.arange(len(labels))
    metrics['nll_by_scaling'] = {name: round(float(-np.log(np.maximum(p[rows, labels], 1e-30)).mean()), 4)
                                 for name, p in judged_by.items()}
    laplace = None
    if head is not None:
        laplace, found = _fit_laplace(fitted, held_out, fit, seed)
        metrics.update(found)
    published = _published(logits, features, temperature, vector, laplace)
    sets = fit_conformal(published, labels, alpha, conformal, seed=seed)
    detector, reason = None, ''
    if ood is not None:
        detector, reason, found = _fit_ood(ood, known, fitted, held_out, (foreign or {}, faulty or {}), head, seed)
        metrics.update(found)
    return Calibration(temperature, sets, detector, metrics, vector, laplace, reason)


def temperature_fit(logits: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Fitted to these; gives probabilities (m, C) of logits (m, C)."""
    temperature = fit_temperature(logits, labels)
    return lambda z: softmax(z, temperature)


def vector_fit(logits: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """As :func:`temperature_fit`, with a weight and an offset a class."""
    scaling = fit_vector_scaling(logits, labels, fit_temperature(logits, labels))
    return lambda z: _vector_scaled(z, scaling)


Fit = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]
FITS: Dict[str, Fit] = {'temperature': temperature_fit, 'vector': vector_fit}


def cross_fitted(logits: np.ndarray, labels: np.ndarray, fit: Fit, seed: int = 0) -> np.ndarray:
    """Probabilities (n, C) of each half by what was fitted on the other."""
    result = np.empty(logits.shape)
    for fitted, judged in (halves(len(labels), seed), halves(len(labels), seed)[::-1]):
        result[judged] = fit(logits[fitted], labels[fitted])(logits[judged])
    return result


def clearly_better(probabilities: np.ndarray, others: np.ndarray, labels: np.ndarray) -> bool:
    """Whether the mean log-likelihood of the first is larger by two standard errors of the difference at least."""
    rows = np.arange(len(labels))
    gain = np.log(np.maximum(probabilities[rows, labels], 1e-30)) - np.log(np.maximum(others[rows, labels], 1e-30))
    return bool(gain.mean() > 2 * gain.std() / np.sqrt(len(gain)))


def _vector_scaled(logits: np.ndarray, scaling: VectorScaling) -> np.ndarray:
    return softmax(scaling(logits), 1.0)


def _published(logits: np.ndarray, features: np.ndarray, temperature: float, vector: Optional[VectorScaling],
               laplace: Optional[Laplace]) -> np.ndarray:
    """The probabilities (n, C) of what was fitted that come first: Laplace's, then vector scaling, then T."""
    if laplace is not None and laplace.gives_probabilities:
        return mean_probabilities(laplace, logits, features)
    return softmax(logits, temperature) if vector is None else _vector_scaled(logits, vector)


def _fit_laplace(fitted: Pictures, held_out: Pictures, fit: Fit, seed: int) -> Tuple[Laplace, Dict[str, float]]:
    """The posterior with tau from all held-out pictures; it gives probabilities if halves say that they are better."""
    factors = fit_factors(fitted.logits.numpy(), fitted.features.numpy())
    z, f, y = held_out.logits.numpy(), held_out.features.numpy(), held_out.labels.numpy()
    judged = np.empty(z.shape)
    for one, other in (halves(len(y), seed), halves(len(y), seed)[::-1]):
        judged[other] = mean_probabilities(choose_tau(factors, z[one], f[one], y[one])[0], z[other], f[other])
    scaled = cross_fitted(z, y, fit, seed)
    chosen, _ = choose_tau(factors, z, f, y)
    chosen = replace(chosen, gives_probabilities=clearly_better(judged, scaled, y))
    rows = np.arange(len(y))
    return chosen, {'nll_laplace': round(float(-np.log(np.maximum(judged[rows, y], 1e-30)).mean()), 4),
                    'laplace_tau': float(f'{chosen.tau:.4g}')}


def _fit_ood(name: str, known: Pictures, fitted: Pictures, held_out: Pictures,
             strange: Tuple[Mapping[str, Tuple[np.ndarray, np.ndarray]], ...], head: Optional[LinearHead], seed: int
             ) -> Tuple[OodCalibration, str, Dict[str, Any]]:
    """The score with its calibration, why it, and what it does on foreign pictures that did not choose it."""
    (foreign, judged_foreign), (faulty, judged_faulty) = (
        split_groups({group: Pictures.of(*both) for group, both in groups.items()}, seed) for groups in strange)
    judged_by = {**judged_foreign, **judged_faulty}
    found: Dict[str, Any] = {}
    reason = ''
    if name == AUTO:
        choice: OodChoice = choose_ood(fitted, held_out, foreign or None, head, faulty=faulty)
        name, reason = choice.method, choice.reason
        found['ood_choice'] = {method: {group: round(value, 4) for group, value in groups.items()}
                               for method, groups in choice.auroc.items()}
    score = ood_method(name).fit(fitted.logits, fitted.features, fitted.labels, head)
    # A score that was fitted to nothing may be calibrated on every picture.
    judged = held_out if score.fitted else known
    with torch.inference_mode():
        scores = score(judged.logits, judged.features)
        calibration = OodCalibration.of(score, name, scores)
        for group, pictures in judged_by.items():
            foreign_scores = score(pictures.logits, pictures.features)
            found.setdefault('ood_auroc', {})[group] = round(auroc(scores, foreign_scores), 4)
            found.setdefault('unknown_rate', {})[group] = round(
                float(np.mean(calibration.p_value(foreign_scores) < 0.01)), 4)
    return calibration, reason, found


def cross_fitted_metrics(logits: np.ndarray, labels: np.ndarray, alpha: float, seed: int = 0,
                         fit: Fit = temperature_fit, conformal: str = 'lac') -> Dict[str, Any]:
    """How calibration does on pictures it has not seen: each half is judged by what was fitted on the other.

    Returns:
        ``pictures``, ``top1``, ``top5``; negative log-likelihood (nats), Brier score (0..2) and expected calibration
        error (15 bins) without (``_plain``) and with the temperature; ``ece_floor``: the error that perfectly
        calibrated predictions of the same confidences would show with so few pictures; share of conformal sets that
        hold the true class, and their mean size.
    """
    n = len(labels)
    rows = np.arange(n)
    order = np.argsort(-logits, axis=1)
    plain, scaled = softmax(logits, 1.0), np.empty(logits.shape)
    covered, sizes = 0.0, 0.0
    for fitted, judged in (halves(n, seed), halves(n, seed)[::-1]):
        scale = fit(logits[fitted], labels[fitted])
        scaled[judged] = scale(logits[judged])
        sets = fit_conformal(scale(logits[fitted]), labels[fitted], alpha, conformal, seed=seed)
        coverage, size = coverage_and_size(sets.inside(scaled[judged]), labels[judged], scaled[judged])
        covered, sizes = covered + coverage * len(judged) / n, sizes + size * len(judged) / n
    figures = {
        'pictures': n,
        'top1': np.mean(order[:, 0] == labels),
        'top5': np.mean((order[:, :5] == labels[:, None]).any(axis=1)),
        'nll_plain': negative_log_likelihood(logits, labels),
        'nll': -np.log(np.maximum(scaled[rows, labels], 1e-300)).mean(),
        'brier_plain': brier(plain, labels), 'brier': brier(scaled, labels),
        'ece_plain': expected_calibration_error(plain, labels), 'ece': expected_calibration_error(scaled, labels),
        'ece_floor': calibration_error_floor(scaled, seed),
        'conformal_coverage': covered, 'conformal_mean_size': sizes,
    }
    return {name: round(float(value), 4) if name != 'pictures' else n for name, value in figures.items()}


def halves(n: int, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Indices 0..n-1 in two random halves, each ascending."""
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[:n // 2]), np.sort(order[n // 2:])


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities exp(z/T) over their sum, in float64, shape (n, C)."""
    return calibrated_softmax(logits, temperature, np.float64)


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

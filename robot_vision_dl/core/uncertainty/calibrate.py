"""Logits, features and labels of calibration pictures -> everything that a bundle says about trust."""
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

import numpy as np
import torch

from ..errors import ConfigError, RobotVisionError
from ..metrics.calibration import calibration_error_floor, expected_calibration_error, top_label
from ..metrics.classification import accuracy, top_k_accuracy
from ..metrics.proper_scores import brier, negative_log_likelihood
from ..metrics.ranking import auroc, two_groups
from .attainable_rates import MIN_PICTURES, reachable_rate
from .camera.bounds import CameraBounds
from .conformal import Conformal, coverage_and_size, fit_conformal
from .density_aware import DensityAware
from .laplace import Laplace
from .laplace_fit import fit_factors, log_likelihoods_by_tau, log_prior_of_taus, mean_probabilities, with_tau
from .ood.base import LinearHead
from .ood.p_value import OodCalibration, ood_method
from .ood.selection import OF_LOGITS, OodChoice, Pictures, choose_ood, split_groups
from .scaling import (
    Fit,
    choose_scaling,
    cross_fitted,
    folds,
    is_clear,
    log_likelihoods,
    softmax,
    temperature_fit,
    vector_scaled,
)
from .vector import VectorScaling

MOST_CLASSES_COUNTED = 100  # of more, the counts of each are not kept
AUTO = 'auto'
NO_SCORE = 'none'
"""In the place of an OOD score: none."""
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
        laplace: of the last layer, where that is linear and there are as many pictures as classes.
        ood_reason: why this score, a sentence; empty if it was asked for.
        precision, device: arithmetic and kind of device (cpu, cuda) that the logits come from.
        fusion: time constants, where the pictures are frames of recordings.
        density_aware: fitted where corrupted pictures were given, and there is an OOD score.
        notes: what was left out and why, a sentence each.
        camera: what the pictures are like, to tell faults of the camera by; None: the general bounds hold.
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
    density_aware: Optional[DensityAware] = None
    notes: Tuple[str, ...] = ()
    camera: Optional[CameraBounds] = None

    def probabilities(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """What the pipeline publishes for float32 logits (n, C) and features (n, F), shape (n, C)."""
        return _published(logits, features, self.temperature, self.vector, self.laplace)


def calibrate(logits: np.ndarray, features: np.ndarray, labels: np.ndarray, *, ood: Optional[str] = 'energy',
              alpha: float = 0.1, seed: int = 0, reference: Optional[Tuple[np.ndarray, ...]] = None,
              head: Optional[LinearHead] = None,
              ood_pictures: Optional[Mapping[str, Tuple[np.ndarray, np.ndarray]]] = None,
              conformal: str = 'lac', scaling: str = 'temperature',
              faulty: Optional[Mapping[str, Tuple[np.ndarray, np.ndarray]]] = None, least: int = MIN_PICTURES
              ) -> Calibration:
    """Fit the scaling of the logits, the last layer's posterior, conformal sets and an OOD score.

    The one number T is fitted on all pictures, and so is the quantile after it: the pictures are used twice, for one
    number each. What is itself fitted to pictures (Laplace, most scores) is fitted to ``reference`` and calibrated on
    all, or, without one, fitted to one half and calibrated on the other.

    Args:
        logits, features, labels: shapes (n, C), (n, F), (n,), of pictures that took no part in training.
        ood: name of a score; ``auto``: chosen by :func:`~.ood.selection.choose_ood`; or None.
        alpha: error rate of the conformal sets.
        seed: of the split into halves.
        reference: logits (m, C), features (m, F) and, if known, labels (m,) of other pictures of the known classes: of
            the training, above all.
        head: of the network; None: not linear in the features, so there is no Laplace approximation and fewer scores.
        ood_pictures: logits and features of pictures of no class by groups, to choose a score by.
        faulty: the same of pictures of a camera at fault, see :func:`~.ood.sensor_faults.sensor_fault_pictures`.
        conformal: a method of ``CONFORMAL_METHODS``.
        scaling: ``vector`` fits a weight and an offset a class; ``auto`` does so where that is clearly better on
            pictures it was not fitted on.
        least: fewer pictures are refused.
    """
    if len(labels) < least:
        raise RobotVisionError(f'calibration needs {least} pictures at least, got {len(labels)}')
    if scaling not in SCALINGS:
        raise ConfigError(f'scaling must be one of {", ".join(SCALINGS)}, got {scaling!r}')
    scaled = choose_scaling(logits, labels, scaling, seed)
    temperature, vector, fit = scaled.temperature, scaled.vector, scaled.fit
    known = Pictures.of(logits, features, labels)
    first, second = halves(len(labels), seed)
    if reference is None:
        fitted, held_out = known[first], known[second]
    else:
        fitted, held_out = Pictures.of(reference[0], reference[1], reference[2] if len(reference) > 2 else None), known
        if fitted.labels is None:
            fitted = replace(fitted, labels=fitted.logits.argmax(-1))
    metrics = cross_fitted_metrics(logits, labels, alpha, seed, fit, conformal)
    metrics['nll_by_scaling'] = {name: round(-float(one.mean()), 4) for name, one in scaled.log_likelihood.items()}
    if logits.shape[1] <= MOST_CLASSES_COUNTED:
        metrics['pictures_by_class'] = np.bincount(labels, minlength=logits.shape[1]).tolist()
    laplace = None
    notes = [scaled.note] if scaled.note else []
    if head is not None and len(fitted.logits) < logits.shape[1]:  # its covariance of the classes would have no rank
        notes.append(f'no Laplace approximation: {len(fitted.logits)} pictures to fit it to are fewer than the '
                     f'{logits.shape[1]} classes')
    elif head is not None:
        laplace, found = _fit_laplace(fitted, held_out, fit, seed)
        metrics.update(found)
    published = _published(logits, features, temperature, vector, laplace)
    sets = fit_conformal(published, labels, alpha, conformal, seed=seed)
    detector, reason = None, ''
    if ood is not None:
        detector, reason, found = _fit_ood(ood, known, fitted, held_out, (ood_pictures or {}, faulty or {}), head, seed)
        metrics.update(found)
    return Calibration(temperature, sets, detector, metrics, vector, laplace, reason,
                       notes=tuple(notes))


def _published(logits: np.ndarray, features: np.ndarray, temperature: float, vector: Optional[VectorScaling],
               laplace: Optional[Laplace]) -> np.ndarray:
    """The probabilities (n, C) of what was fitted that come first: Laplace's, then vector scaling, then T."""
    if laplace is not None and laplace.gives_probabilities:
        return mean_probabilities(laplace, logits, features)
    return softmax(logits, temperature) if vector is None else vector_scaled(logits, vector)


def _fit_laplace(fitted: Pictures, held_out: Pictures, fit: Fit, seed: int) -> Tuple[Laplace, Dict[str, float]]:
    """The posterior with tau from all held-out pictures; it gives probabilities if halves say that they are better."""
    assert held_out.labels is not None
    factors = fit_factors(fitted.logits.numpy(), fitted.features.numpy())
    z, f, y = held_out.logits.numpy(), held_out.features.numpy(), held_out.labels.numpy()
    by_tau, prior = log_likelihoods_by_tau(factors, z, f, y), log_prior_of_taus()

    def best(places: np.ndarray) -> int:
        return int((by_tau[:, places].sum(axis=1) + prior).argmax())
    repeats = []
    for division in folds(y, seed):
        judged = np.empty(len(y))
        for one, other in division:
            judged[other] = by_tau[best(one), other]
        repeats.append(judged)
    found = np.mean(repeats, axis=0)
    scaled = log_likelihoods(cross_fitted(z, y, fit, seed), y)
    plain = log_likelihoods([softmax(z, 1.0)], y)
    better = is_clear(found - scaled) and found.mean() >= plain.mean()
    chosen = replace(with_tau(factors, best(np.arange(len(y)))), gives_probabilities=better)
    return chosen, {'nll_laplace': round(-float(found.mean()), 4), 'laplace_tau': float(f'{chosen.tau:.4g}')}


def _fit_ood(name: str, known: Pictures, fitted: Pictures, held_out: Pictures,
             strange: Tuple[Mapping[str, Tuple[np.ndarray, np.ndarray]], ...], head: Optional[LinearHead], seed: int
             ) -> Tuple[OodCalibration, str, Dict[str, Any]]:
    """The score with its calibration, why it, and what it does on OOD pictures that did not choose it."""
    (ood_pictures, judged_ood), (faulty, judged_faulty) = (
        split_groups({group: Pictures.of(*both) for group, both in groups.items()}, seed) for groups in strange)
    judged_by = {**judged_ood, **judged_faulty}
    found: Dict[str, Any] = {}
    reason = ''
    of_logits = None if known.features.shape[1] else OF_LOGITS
    if of_logits is not None and name not in (AUTO, *of_logits):
        raise ConfigError(f'{name}: needs features, and this network gives none but its logits; choose one of '
                          f'{", ".join(of_logits)}, or import its file again with --features')
    if name == AUTO:
        choice: OodChoice = choose_ood(fitted, held_out, ood_pictures or None, head, of_logits, faulty)
        name, reason = choice.method, choice.reason
        found['ood_choice'] = {method: {group: round(value, 4) for group, value in groups.items()}
                               for method, groups in choice.auroc.items()}
    score = ood_method(name).fit(fitted.logits, fitted.features, fitted.labels, head)
    # A score that was fitted to nothing may be calibrated on every picture.
    judged = held_out if score.fitted else known
    with torch.inference_mode():
        scores = score(judged.logits, judged.features)
        calibration = OodCalibration.of(score, name, scores)
        # Where that cannot be reached, at the smallest rate that can: else all figures would be 0 and say nothing.
        rate = reachable_rate(len(scores))
        found['unknown_rate_at'] = round(rate, 6)
        for group, pictures in judged_by.items():
            ood_scores = score(pictures.logits, pictures.features)
            found.setdefault('ood_auroc', {})[group] = round(
                auroc(*two_groups(scores, ood_scores)), 4)
            found.setdefault('unknown_rate', {})[group] = round(
                float(np.mean(calibration.p_value(ood_scores) <= rate)), 4)
            found.setdefault('foreign_pictures', {})[group] = len(pictures)
    return calibration, reason, found


def cross_fitted_metrics(logits: np.ndarray, labels: np.ndarray, alpha: float, seed: int = 0,
                         fit: Fit = temperature_fit, conformal: str = 'lac') -> Dict[str, Any]:
    """How calibration does on pictures it has not seen, by cross-validation; see :func:`~.scaling.folds`.

    Returns:
        ``pictures``, ``top1``, ``top5``; negative log-likelihood (nats), Brier score (0..2) and expected calibration
        error (15 bins) without (``_plain``) and with the temperature; ``ece_floor``: the error that perfectly
        calibrated predictions of the same confidences would show with so few pictures; share of conformal sets that
        hold the true class, and their mean size.
    """
    n = len(labels)
    plain, repeats = softmax(logits, 1.0), []
    covered, sizes = [], []
    for division in folds(labels, seed):
        scaled = np.empty(logits.shape)
        for fitted, judged in division:
            scale = fit(logits[fitted], labels[fitted])
            scaled[judged] = scale(logits[judged])
            sets = fit_conformal(scale(logits[fitted]), labels[fitted], alpha, conformal, seed=seed)
            coverage, size = coverage_and_size(sets.inside(scaled[judged]), labels[judged], scaled[judged])
            covered.append(coverage * len(judged) / n)
            sizes.append(size * len(judged) / n)
        repeats.append(scaled)

    def mean(figure: Callable[[np.ndarray], float]) -> float:
        return float(np.mean([figure(one) for one in repeats]))
    figures = {
        'pictures': n,
        'top1': accuracy(logits, labels), 'top5': top_k_accuracy(logits, labels, 5),
        'nll_plain': negative_log_likelihood(plain, labels),
        'nll': -log_likelihoods(repeats, labels).mean(),
        'brier_plain': brier(plain, labels), 'brier': mean(lambda p: brier(p, labels)),
        'ece_plain': expected_calibration_error(*top_label(plain, labels)),
        'ece': mean(lambda p: expected_calibration_error(*top_label(p, labels))),
        'ece_floor': mean(lambda p: calibration_error_floor(p.max(axis=1), seed)),
        'conformal_coverage': sum(covered) / len(repeats), 'conformal_mean_size': sum(sizes) / len(repeats),
    }
    return {name: round(float(value), 4) if name != 'pictures' else n for name, value in figures.items()}


def halves(n: int, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Indices 0..n-1 in two random halves, each ascending."""
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[:n // 2]), np.sort(order[n // 2:])

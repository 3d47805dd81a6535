"""Logits, features and labels of calibration pictures -> everything that a bundle says about trust."""
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..errors import ConfigError, RobotVisionError
from ..metrics.calibration import calibration_error_floor, expected_calibration_error, top_label
from ..metrics.classification import accuracy, top_k_accuracy
from ..metrics.proper_scores import brier, negative_log_likelihood
from ..metrics.ranking import auroc, two_groups
from .attainable_rates import MIN_PICTURES, reachable_rate
from .camera.bounds import CameraBounds
from .conformal import Conformal, coverage_and_size, fit_conformal
from .density_aware import LEAST_PICTURES, DensityAware, Judged, fit_density_aware
from .fusion_times import FusionTimes
from .laplace import Laplace
from .laplace_fit import fit_factors, log_likelihoods_by_tau, log_prior_of_taus, mean_probabilities, with_tau
from .ood.base import LinearHead
from .ood.combined import fit_parts
from .ood.p_value import OodCalibration
from .ood.part import COMBINED, parse_parts, usual_parts
from .ood.pictures import Pictures
from .ood.selection import OodChoice, choose_ood, split_groups
from .scaling import (
    AS_BEFORE,
    Fit,
    ScalingBefore,
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

_LEAST_GROUPS = 10  # for halves of whole groups
_FEW_SCORES = 500  # of fewer, the four largest decide what is called unknown at .01
_FURTHER_OUT = 1.28  # standard deviations, one in ten by chance
MOST_CLASSES_COUNTED = 100  # of more, the counts of each are not kept
AUTO = 'auto'
NO_SCORE = 'none'
"""In the place of an OOD score: none."""
SCALINGS = ('temperature', 'vector', AUTO)


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
        score_is_kept: whether the OOD score is one that was fitted before, to other pictures.
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
    score_is_kept: bool = False

    def probabilities(self, logits: np.ndarray, features: np.ndarray, stages: Sequence[np.ndarray] = ()) -> np.ndarray:
        """What the pipeline publishes, (n, C), for float32 logits (n, C), features (n, F) and stages (n, F_s) each."""
        found = _published(logits, features, self.temperature, self.vector, self.laplace)
        if self.density_aware is None or self.ood is None:
            return found
        return self.density_aware(found, self.ood.scores_of(Pictures.of(logits, features, stages=stages)))


class FittedBefore(NamedTuple):
    """What was fitted to other pictures than those of a calibration: of the training, and of a calibration before.

    Attributes:
        score: with the tables that stay as they are, and its values on the pictures before; None: another is fitted.
        density_aware: its exponent stays where there are too few pictures for another; None: there is none.
        scaling: see :func:`~.scaling.choose_scaling`.
        again: which of the pictures of the calibration look like ones of the calibration before, bool (n,); None: none.
    """

    score: Optional[OodCalibration] = None
    density_aware: Optional[DensityAware] = None
    scaling: Optional[ScalingBefore] = None
    again: Optional[np.ndarray] = None


def calibrate(logits: np.ndarray, features: np.ndarray, labels: np.ndarray, *, ood: Optional[str] = 'energy',
              alpha: float = 0.1, seed: int = 0, stages: Sequence[np.ndarray] = (), stage_names: Sequence[str] = (),
              groups: Optional[np.ndarray] = None, reference: Optional[Pictures] = None,
              standard: Optional[Pictures] = None, head: Optional[LinearHead] = None,
              ood_pictures: Optional[Mapping[str, Pictures]] = None, conformal: str = 'lac',
              scaling: str = 'temperature', faulty: Optional[Mapping[str, Pictures]] = None,
              corrupted: Optional[Pictures] = None, least: int = MIN_PICTURES, before: Optional[FittedBefore] = None,
              objects: Optional[np.ndarray] = None) -> Calibration:
    """Fit the scaling of the logits, the last layer's posterior, conformal sets and an OOD score.

    The one number T is fitted on all pictures, and so is the quantile after it: the pictures are used twice, for one
    number each. What is itself fitted to pictures (Laplace, most scores) is fitted to ``reference`` and calibrated on
    all, or, without one, fitted to one half and calibrated on the other.

    Args:
        logits, features, labels: shapes (n, C), (n, F), (n,), of pictures that took no part in training.
        ood: name of a score, ``method`` or ``method@stage``, or of several joined by ``+``; ``combined``: of those of
            :func:`~.ood.part.usual_parts`; ``auto``: chosen by :func:`~.ood.selection.choose_ood`; or None.
        alpha: error rate of the conformal sets.
        seed: of the split into halves, and of folds.
        stages: of each stage of the network, (n, F_s); stage_names: their names.
        groups: int64 (n,); pictures of one number are of one object or recording, and stay in one half.
        reference: other pictures of the known classes, with labels if they are known: of the training, above all.
        standard: known pictures that were neither trained on nor are among the others here; see
            :func:`~.ood.combined.fit_parts`.
        head: of the network; None: not linear in the features, so there is no Laplace approximation and fewer scores.
        ood_pictures: pictures of no class by groups, to choose a score by.
        faulty: the same of pictures of a camera at fault, see :func:`~.ood.sensor_faults.sensor_fault_pictures`.
        conformal: a method of ``CONFORMAL_METHODS``.
        scaling: ``vector`` fits a weight and an offset a class; ``auto`` does so where that is clearly better on
            pictures it was not fitted on.
        corrupted: calibration pictures after something happened to them (blur, noise, ...), with labels. Where there is
            an OOD score, probabilities then claim less the further out a frame is; see :mod:`.density_aware`.
        least: fewer pictures are refused.
        before: what a network has already. Its OOD score is calibrated on all pictures, however few, and where these
            are fewer than 500 and no further out than those before, on both. With ``auto`` another score is taken if
            pictures show it to be clearly better; else this one is.
        objects: int64 (n,); pictures of one number show one object, and are together in a cross-validation. None: each
            is by itself.
    """
    if len(labels) < least:
        raise RobotVisionError(f'calibration needs {least} pictures at least, got {len(labels)}')
    if scaling not in SCALINGS:
        raise ConfigError(f'scaling must be one of {", ".join(SCALINGS)}, got {scaling!r}')
    scaled = choose_scaling(logits, labels, scaling, seed, before and before.scaling, objects)
    temperature, vector, fit = scaled.temperature, scaled.vector, scaled.fit
    known = Pictures.of(logits, features, labels, stages, groups)
    first, second = halves(len(labels), seed, groups)
    if reference is None:
        fitted, held_out = known[first], known[second]
    else:
        fitted, held_out = reference, known
        if fitted.labels is None:
            fitted = replace(fitted, labels=fitted.logits.argmax(-1))
    metrics = cross_fitted_metrics(logits, labels, alpha, seed, fit, conformal, objects)
    metrics['nll_by_scaling'] = {name: round(-float(one.mean()), 4) for name, one in scaled.log_likelihood.items()}
    if logits.shape[1] <= MOST_CLASSES_COUNTED:
        metrics['pictures_by_class'] = np.bincount(labels, minlength=logits.shape[1]).tolist()
    else:
        metrics['classes_seen'] = len(np.unique(labels))
    laplace = None
    notes = [scaled.note] if scaled.note else []
    if head is not None and len(fitted.logits) < logits.shape[1]:  # its covariance of the classes would have no rank
        notes.append(f'no Laplace approximation: {len(fitted.logits)} pictures to fit it to are fewer than the '
                     f'{logits.shape[1]} classes')
    elif head is not None:
        own = objects if objects is None or reference is not None else objects[second]
        laplace, found = _fit_laplace(fitted, held_out, fit, seed, own)
        metrics.update(found)
    published = _published(logits, features, temperature, vector, laplace)
    detector, reason, density_aware, is_kept = None, '', None, False
    if ood is not None:
        detector, reason, of_ood = _fit_ood(
            ood, before or FittedBefore(), _Known(known, fitted, held_out, standard, tuple(stage_names)),
            (ood_pictures or {}, faulty or {}), head, seed)
        assert detector.scores is not None
        is_kept = before is not None and before.score is not None and detector.tensors is before.score.tensors
        notes += list(filter(None, [of_ood.pop('note', '')]))
        metrics.update(of_ood)
        if corrupted is not None and len(known) < LEAST_PICTURES and is_kept and before and before.density_aware:
            density_aware = before.density_aware.moved_to(detector.scores)
            published = density_aware(published, detector.scores_of(known))
            notes.append(f'density-aware calibration keeps its exponent ({density_aware.exponent:.2f}): {len(known)} '
                         f'pictures are fewer than the {LEAST_PICTURES} that another is fitted to')
        elif corrupted is not None and len(known) < LEAST_PICTURES:
            notes.append(f'no density-aware calibration: {len(known)} pictures to fit it to are fewer than '
                         f'{LEAST_PICTURES}')
        elif corrupted is not None and len(corrupted):
            density_aware, found = _fit_density_aware(
                published, known, corrupted, detector,
                _published(*corrupted.arrays()[:2], temperature, vector, laplace))
            published = density_aware(published, detector.scores_of(known))
            metrics.update(found)
    sets = fit_conformal(published, labels, alpha, conformal, seed=seed)
    return Calibration(temperature, sets, detector, metrics, vector, laplace, reason, density_aware=density_aware,
                       notes=tuple(notes), score_is_kept=is_kept)


def _fit_density_aware(published: np.ndarray, known: Pictures, corrupted: Pictures, detector: OodCalibration,
                       of_corrupted: np.ndarray) -> Tuple[DensityAware, Dict[str, Any]]:
    """The exponent, and what it does to the negative log-likelihood of the pictures it was fitted to."""
    assert known.labels is not None and corrupted.labels is not None
    clean = Judged(published, detector.scores_of(known), known.labels.numpy())
    worse = Judged(of_corrupted, detector.scores_of(corrupted), corrupted.labels.numpy())
    found = fit_density_aware(clean, worse)

    def losses(one: Judged) -> List[float]:
        return [round(negative_log_likelihood(p, one.labels), 4)
                for p in (one.probabilities, found(one.probabilities, one.scores))]
    return found, {'corrupted_pictures': len(corrupted), 'nll_corrupted': losses(worse), 'nll_aware': losses(clean)}


def _published(logits: np.ndarray, features: np.ndarray, temperature: float, vector: Optional[VectorScaling],
               laplace: Optional[Laplace]) -> np.ndarray:
    """The probabilities (n, C) of what was fitted that come first: Laplace's, then vector scaling, then T."""
    if laplace is not None and laplace.gives_probabilities:
        return mean_probabilities(laplace, logits, features)
    return softmax(logits, temperature) if vector is None else vector_scaled(logits, vector)


def _fit_laplace(fitted: Pictures, held_out: Pictures, fit: Fit, seed: int, objects: Optional[np.ndarray]
                 ) -> Tuple[Laplace, Dict[str, float]]:
    """The posterior with tau from all held-out pictures; it gives probabilities if halves say that they are better."""
    assert held_out.labels is not None
    factors = fit_factors(fitted.logits.numpy(), fitted.features.numpy())
    z, f, y = held_out.logits.numpy(), held_out.features.numpy(), held_out.labels.numpy()
    by_tau, prior = log_likelihoods_by_tau(factors, z, f, y), log_prior_of_taus()

    def best(places: np.ndarray) -> int:
        return int((by_tau[:, places].sum(axis=1) + prior).argmax())
    repeats = []
    for division in folds(y, seed, objects):
        judged = np.empty(len(y))
        for one, other in division:
            judged[other] = by_tau[best(one), other]
        repeats.append(judged)
    found = np.mean(repeats, axis=0)
    scaled = log_likelihoods(cross_fitted(z, y, fit, seed, objects), y)
    plain = log_likelihoods([softmax(z, 1.0)], y)
    better = is_clear(found - scaled, objects) and found.mean() >= plain.mean()
    chosen = replace(with_tau(factors, best(np.arange(len(y)))), gives_probabilities=better)
    return chosen, {'nll_laplace': round(-float(found.mean()), 4), 'laplace_tau': float(f'{chosen.tau:.4g}')}


class _Known(NamedTuple):
    """Pictures of known classes: all of the calibration, those that fit a score, those that judge it."""

    every: Pictures
    fitted: Pictures
    held_out: Pictures
    standard: Optional[Pictures]
    stage_names: Tuple[str, ...]


def _fit_ood(asked: str, had: FittedBefore, known: _Known, strange: Tuple[Mapping[str, Pictures], ...],
             head: Optional[LinearHead], seed: int) -> Tuple[OodCalibration, str, Dict[str, Any]]:
    """The score with its calibration, why it, and what it does on OOD pictures that did not choose it."""
    (ood_pictures, judged_ood), (faulty, judged_faulty) = (split_groups(groups, seed) for groups in strange)
    found: Dict[str, Any] = {}
    before = had.score
    reason, kept = '', before
    if asked == AUTO:
        choice: OodChoice = choose_ood(
            known.fitted, known.held_out, ood_pictures or None, head, faulty=faulty, stage_names=known.stage_names,
            standard=known.standard, seed=seed, before=before)
        parts, reason, kept = choice.parts, choice.reason, before if choice.method == AS_BEFORE else None
        if choice.auroc:
            found['ood_choice'] = {method: {group: round(value, 4) for group, value in groups.items()}
                                   for method, groups in choice.auroc.items()}
    elif before is not None:
        parts, reason = before.all_parts, 'Fitted before, to other pictures, and taken as it was.'
    else:
        parts = parse_parts(asked) if asked != COMBINED else usual_parts(
            known.stage_names, known.fitted.features.shape[1])
    score = kept.build_score() if kept else fit_parts(
        parts, known.fitted, known.stage_names, head, known.standard, seed)
    # A score that was fitted to nothing, or to other pictures, may be calibrated on every picture.
    judged = known.held_out if score.fitted and not kept else known.every
    scores = score(judged.logits, judged.features, judged.stages)
    calibration = OodCalibration.of_parts(parts, score, scores, known.stage_names)
    if kept is not None:
        joined, found['scores_of_before'], found['note'] = joined_scores(scores, kept, had.again)
        calibration = replace(kept, scores=joined)
    # Where that cannot be reached, at the smallest rate that can: else all figures would be 0 and say nothing.
    assert calibration.scores is not None
    rate = reachable_rate(len(calibration.scores))
    found['unknown_rate_at'] = round(rate, 6)
    for group, pictures in {**judged_ood, **judged_faulty}.items():
        ood_scores = score(pictures.logits, pictures.features, pictures.stages)
        found.setdefault('ood_auroc', {})[group] = round(
            auroc(*two_groups(scores, ood_scores)), 4)
        found.setdefault('unknown_rate', {})[group] = round(
            float(np.mean(calibration.p_value(ood_scores) <= rate)), 4)
        found.setdefault('foreign_pictures', {})[group] = len(pictures)
    return calibration, reason, found


def joined_scores(scores: np.ndarray, before: OodCalibration, again: Optional[np.ndarray] = None
                  ) -> Tuple[np.ndarray, int, str]:
    """What a score is calibrated on, float32 (m,), how many of these are of before, and a sentence about it.

    The largest of a few scores is a matter of luck, and with it all that is called unknown. Where they are no further
    out than those of a calibration before, both are of the same kind of pictures, and calibrate it together. That is
    asked by Fisher's combination of their p-values among those before, at the level .1.

    Args:
        scores: of the pictures that are given, (n,).
        before: the score with those of others, of which equal ones are of the same pictures.
        again: which of the pictures look like others of before, (n,), and count once; None: none.
    """
    n = len(scores)
    if before.scores is None:
        return scores, 0, ''
    others = before.scores[~np.isin(before.scores, scores.astype(np.float32))]
    if n >= _FEW_SCORES or len(others) < n:
        return scores, 0, f'the score of unknown things is calibrated on these {n} pictures alone'
    p = replace(before, scores=others).p_value(scores)
    # Of uniform p-values, -2 ln p has the mean 2 and the variance 4.
    further = float((-2 * np.log(p)).sum() - 2 * n) / (2 * n ** 0.5)
    if further > _FURTHER_OUT:
        unknown = int((p <= reachable_rate(len(others))).sum())
        return scores, 0, (
            f'the score of unknown things is calibrated on these {n} pictures alone: they are further out than the '
            f'{len(others)} of before, by {further:.1f} standard deviations; by the calibration before, {unknown} of '
            'them would be called unknown')
    same = np.isin(scores.astype(np.float32), before.scores)  # these were taken from the others
    new = scores if again is None else scores[same | ~again]
    once = '' if len(new) == n else f'; {n - len(new)} of these look like ones of before, and count once'
    return np.concatenate([others, new]), len(others), (
        f'the score of unknown things is calibrated on these {n} pictures and on the {len(others)} of before, than '
        f'which they are no further out{once}')


def cross_fitted_metrics(logits: np.ndarray, labels: np.ndarray, alpha: float, seed: int = 0,
                         fit: Fit = temperature_fit, conformal: str = 'lac', objects: Optional[np.ndarray] = None
                         ) -> Dict[str, Any]:
    """How calibration does on pictures, and objects, it has not seen, by cross-validation; see :func:`~.scaling.folds`.

    Returns:
        ``pictures``, ``top1``, ``top5``; negative log-likelihood (nats), Brier score (0..2) and expected calibration
        error (15 bins) without (``_plain``) and with the temperature; ``ece_floor``: the error that perfectly
        calibrated predictions of the same confidences would show with so few pictures; share of conformal sets that
        hold the true class, and their mean size.
    """
    n = len(labels)
    plain, repeats = softmax(logits, 1.0), []
    covered, sizes = [], []
    for division in folds(labels, seed, objects):
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


def halves(n: int, seed: int, groups: Optional[np.ndarray] = None) -> Tuple[np.ndarray, np.ndarray]:
    """Indices 0..n-1 in two random halves, each ascending.

    Args:
        groups: int64 (n,); pictures of one number stay in one half, where there are enough numbers for halves.
    """
    rng = np.random.default_rng(seed)
    if groups is not None and len(np.unique(groups)) >= _LEAST_GROUPS:
        names, place = np.unique(groups, return_inverse=True)
        order = rng.permutation(len(names))
        sizes = np.bincount(place)[order].cumsum()
        in_first = np.zeros(len(names), bool)
        in_first[order[:int(np.searchsorted(sizes, n // 2, side='right'))]] = True
        if 0.3 * n <= in_first[place].sum() <= 0.7 * n:
            return np.flatnonzero(in_first[place]), np.flatnonzero(~in_first[place])
        rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    return np.sort(order[:n // 2]), np.sort(order[n // 2:])

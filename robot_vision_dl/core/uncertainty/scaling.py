"""Which scaling of the logits a network gets: none, a temperature, or a vector; what makes it worse is left out.

With few pictures the likelihood alone is a bad guide: a network that has all of 22 pictures right is "best" at the
smallest temperature that is allowed, and surely wrong on the next one. So what is fitted has a prior towards leaving
the logits as they are, worth a few pictures, and what makes the mean log-likelihood worse by cross-validation is left
out, and said. Where a network has a scaling already, fitted to pictures before these, that one is what is left as it
is.
"""
from math import sqrt
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..metrics.proper_scores import log_probability, of_target
from .temperature import PRIOR_SPREAD, calibrated_softmax, fit_temperature
from .vector import VectorScaling, fit_vector_scaling

_MANY = 200  # objects, of which a division into parts is no longer a matter of luck
Fold = Tuple[np.ndarray, np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]
PLAIN, TEMPERATURE, VECTOR = 'plain', 'temperature', 'vector'
AS_BEFORE = 'as before'
"""In the place of a name of a scaling, or of an OOD score: what was fitted to pictures before these."""


class ScalingBefore(NamedTuple):
    """What was fitted to other pictures.

    Attributes:
        temperature: above 0.
        vector: takes its place where it is there.
    """

    temperature: float
    vector: Optional[VectorScaling] = None

    @property
    def words(self) -> str:
        """For people."""
        return f'temperature {self.temperature:.4f}' if self.vector is None else 'a weight and an offset a class'

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities (n, C) of logits (n, C), float64."""
        return softmax(logits, self.temperature) if self.vector is None else vector_scaled(logits, self.vector)


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities exp(z/T) over their sum, in float64, shape (n, C)."""
    return calibrated_softmax(logits, temperature, np.float64)


def vector_scaled(logits: np.ndarray, scaling: VectorScaling) -> np.ndarray:
    """Probabilities (n, C) of logits (n, C), float64."""
    return softmax(scaling(logits), 1.0)


def temperature_fit(logits: np.ndarray, labels: np.ndarray, usual: float = 1.0, spread: float = PRIOR_SPREAD
                    ) -> Callable[[np.ndarray], np.ndarray]:
    """Fitted to these, with the prior around ``usual``; gives probabilities (m, C) of logits (m, C)."""
    temperature = fit_temperature(logits, labels, spread, usual)
    return lambda z: softmax(z, temperature)


def vector_fit(logits: np.ndarray, labels: np.ndarray, usual: float = 1.0, spread: float = PRIOR_SPREAD
               ) -> Callable[[np.ndarray], np.ndarray]:
    """As :func:`temperature_fit`, with a weight and an offset a class."""
    scaling = fit_vector_scaling(logits, labels, fit_temperature(logits, labels, spread, usual))
    return lambda z: vector_scaled(z, scaling)


FITS: Dict[str, Fit] = {TEMPERATURE: temperature_fit, VECTOR: vector_fit}


def numbered(objects: Optional[np.ndarray], n: int) -> np.ndarray:
    """Numbers of the objects of n pictures, int64 (n,), from 0; one each where none are known, or all are of one."""
    if objects is None or (objects == objects[0]).all():
        return np.arange(n)
    return np.unique(objects, return_inverse=True)[1].reshape(-1)


def folds(labels: np.ndarray, seed: int = 0, objects: Optional[np.ndarray] = None) -> List[List[Fold]]:
    """Divisions into (fitted, judged) indices, each class spread evenly; all pictures are judged once a repeat.

    With few objects one division is a matter of luck, so there are several: four times five parts below 200, one of
    five below 1 000, and two halves above.

    Args:
        objects: int64 (n,); pictures of one number are of one object, and in one part: a fit that has seen one of them
            would know the others. None: each is of its own.
    """
    place = numbered(objects, len(labels))
    n = int(place.max(initial=-1)) + 1
    if n < len(labels):
        first = np.empty(n, np.int64)
        first[place[::-1]] = np.arange(len(labels))[::-1]
        return [[(np.flatnonzero(~np.isin(place, judged)), np.flatnonzero(np.isin(place, judged)))
                 for _, judged in division] for division in folds(np.asarray(labels)[first], seed)]
    count, repeats = (5, 4) if n < _MANY else (5, 1) if n < 1000 else (2, 1)
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(repeats):
        order = rng.permutation(n)
        order = order[np.argsort(np.asarray(labels)[order], kind='stable')]
        part = np.empty(n, int)
        part[order] = np.arange(n) % count
        result.append([(np.flatnonzero(part != number), np.flatnonzero(part == number)) for number in range(count)
                       if (part == number).any()])
    return result


def cross_fitted(logits: np.ndarray, labels: np.ndarray, fit: Fit, seed: int = 0,
                 objects: Optional[np.ndarray] = None) -> List[np.ndarray]:
    """Probabilities (n, C) of each part by what was fitted on the others, one array for each repeat of the folds."""
    repeats = []
    for division in folds(labels, seed, objects):
        result = np.empty(logits.shape)
        for fitted, judged in division:
            result[judged] = fit(logits[fitted], labels[fitted])(logits[judged])
        repeats.append(result)
    return repeats


def log_likelihoods(repeats: List[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Mean of ln p(label) over the repeats for each picture, shape (n,), nats."""
    mean: np.ndarray = np.mean([log_probability(of_target(p, labels)) for p in repeats], axis=0)
    return mean


def is_clear(gain: np.ndarray, objects: Optional[np.ndarray] = None) -> bool:
    """Whether the mean of differences (n,) lies two standard errors above 0 at least.

    Args:
        objects: int64 (n,), as for :func:`folds`: pictures of one object differ together, and the standard error is
            that of sums over objects (cluster-robust; Liang and Zeger 1986).
    """
    sums = np.bincount(numbered(objects, len(gain)), gain - gain.mean())
    return bool(gain.mean() > 2 * np.sqrt((sums ** 2).sum()) / len(gain))


def _gain_if_wrong(logits: np.ndarray, probabilities: np.ndarray, start: np.ndarray) -> float:
    """Mean gain in ln p(label) over ``start`` (n, C), nats, were the label of each picture its second best class."""
    second = np.argsort(-logits, axis=1)[:, min(1, logits.shape[1] - 1)]
    return float(np.mean(log_probability(of_target(probabilities, second))
                         - log_probability(of_target(start, second))))


class Scaling(NamedTuple):
    """What was chosen.

    Attributes:
        name: ``plain``, ``temperature``, ``vector`` or ``as before``.
        temperature: 1 for ``plain``; where a vector takes its place, that of the vector's start.
        vector: or None.
        fit: what cross-validation repeats.
        log_likelihood: mean ln p(label) of each picture by cross-validation, by name; of the vector only where it was
            to be tried.
        note: a sentence, where something was left out; else empty.
    """

    name: str
    temperature: float
    vector: Optional[VectorScaling]
    fit: Fit
    log_likelihood: Dict[str, np.ndarray]
    note: str


def choose_scaling(logits: np.ndarray, labels: np.ndarray, wish: str, seed: int = 0,
                   before: Optional[ScalingBefore] = None, objects: Optional[np.ndarray] = None) -> Scaling:
    """Fit what is wished for, and keep it unless cross-validation says that it makes the likelihood worse.

    What makes a network surer must also be worth it if one more object came, and was called wrongly (the rule of
    succession): a handful that are all right do not tell that all are.

    Args:
        logits, labels: shapes (n, C) and (n,), of pictures that took no part in training.
        wish: ``temperature``; ``vector``; ``auto``: the vector where it is clearly better than the temperature.
        seed: of the folds.
        before: a scaling that was fitted to other pictures, to which few of these say little new: the prior is around
            it, and it stays unless what is fitted to these is better, below 200 objects clearly so. None: the plain
            softmax is in its place.
        objects: as for :func:`folds`.
    """
    if before is not None and wish == TEMPERATURE:
        before = before._replace(vector=None)
    start, start_name = before or ScalingBefore(1.0), AS_BEFORE if before else PLAIN
    usual = start.temperature
    count = int(numbered(objects, len(labels)).max()) + 1
    spread = PRIOR_SPREAD * sqrt(count / len(labels))  # pictures of one object are as much evidence as one
    fits: Dict[str, Fit] = {TEMPERATURE: lambda z, y: temperature_fit(z, y, usual, spread),
                            VECTOR: lambda z, y: vector_fit(z, y, usual, spread),
                            start_name: lambda z, y: start.__call__}
    found = {PLAIN: log_likelihoods([softmax(logits, 1.0)], labels),
             start_name: log_likelihoods([start(logits)], labels),
             **{name: log_likelihoods(cross_fitted(logits, labels, fits[name], seed, objects), labels)
                for name in ([TEMPERATURE] if wish == TEMPERATURE else FITS)}}
    mean = {name: float(one.mean()) for name, one in found.items()}
    fitted = fit_temperature(logits, labels, spread, usual)
    name = wish
    if wish not in FITS:
        name = VECTOR if is_clear(found[VECTOR] - found[TEMPERATURE], objects) else TEMPERATURE
    out = 'is left out' if before is None else 'is not fitted anew'
    pictures = f'{len(labels)} pictures' + (f' of {count} objects' if count < len(labels) else '')

    def note_of(what: str, probabilities: np.ndarray) -> str:
        rival = max((start_name, TEMPERATURE), key=mean.__getitem__) if what == VECTOR else start_name
        if mean[what] < mean[rival]:
            return (f'{what} scaling {out}: by cross-validation on {pictures} it makes the negative '
                    f'log-likelihood worse, {-mean[rival]:.4f} -> {-mean[what]:.4f}')
        if before is not None and count < _MANY and not is_clear(found[what] - found[start_name], objects):
            return (f'{what} scaling {out}: on {pictures} it is not clearly better by cross-validation, '
                    f'{-mean[start_name]:.4f} -> {-mean[what]:.4f}')
        gain = float((found[what] - found[start_name]).sum())
        if gain + len(labels) / count * _gain_if_wrong(logits, probabilities, start(logits)) < 0:
            return (f'{what} scaling {out}: it makes the network surer, and one mistake among as many '
                    f'{"objects" if count < len(labels) else "pictures"} again would cost more than it gains on these '
                    f'{count}')
        return ''
    vector, note = None, ''
    if name == VECTOR:
        vector = fit_vector_scaling(logits, labels, fitted)
        note = note_of(VECTOR, vector_scaled(logits, vector))
        if note:
            name, vector = TEMPERATURE, None
    against = note_of(TEMPERATURE, softmax(logits, fitted))
    if against and name == TEMPERATURE:
        name, vector = start_name, start.vector
        stays = '' if before is None else f'what was fitted before stays, {before.words}'
        note = '; '.join(filter(None, (note, against, stays)))
    return Scaling(name, usual if against else fitted, vector, fits[name], found, note)

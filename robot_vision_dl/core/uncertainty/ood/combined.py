"""Several OOD scores as one, whose p-value holds whatever they are.

Each part's score (of a distance, its logarithm) is standardised with its location and scale on known pictures that it
was not fitted to. Fisher's combination of the upper tails of the normal distribution, T = -2 sum w ln(1 - Phi(z)) with
weights as Good (1955) has it, lets no part that is far out be averaged away: for large z it grows by w z^2, and a part
that finds a picture ordinary takes nothing off, for -ln(1 - Phi) is never below 0. Parts that read the same kind of
thing (earlier stages; what the head sees; logits) say much the same, and share a weight: three stages that see nothing
odd would else bury what the last features see. What the head sees weighs more than the other kinds: of a thing that
resembles the classes, before the same background, it and the logits alone tell (``WEIGHTS``).

T is no p-value: the parts depend on each other, and none is quite normal. The p-value is the rank of T among
calibration pictures that took part in nothing here (``p_value.py``). Given the reference, T is one fixed function of a
picture, so that T of the calibration pictures and of another known one are exchangeable if the pictures are, and the
rank is uniform (Bates et al. 2023): of known pictures at most the share epsilon has p <= epsilon, however bad the
locations, the scales and the normal distribution fit. That they fit decides only how many of the others are found.

Features of layers that were tuned are closer to each other on training pictures than on all others. Where the reference
is of the training, the locations of such parts are too low even by cross-fitting, and they count for more than they
should; pictures that were not trained on (``standard``) give better ones.
"""
from math import erfc, log, log1p, pi, sqrt
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple, Union

import numpy as np

from ...errors import BundleError, RobotVisionError
from .base import LinearHead, OodScore, Values, on_host, table_of
from .knn import KNearestNeighbours
from .part import Part, ood_method
from .pictures import Pictures

if TYPE_CHECKING:
    import torch

WEIGHTS = {'stages': 0.5, 'features': 1.0, 'logits': 0.5}
"""Of each kind of part. Chosen on held-out TrashNet pictures with EfficientNet-Lite0, against everyday pictures,
textures and classes left out of training: stages alone accept the fewest far things, and are blind to near ones."""
LEAST_REFERENCE = 30  # pictures, of which each fold takes a third
_FOLDS = 3
_MOST_MEANS = 256  # that kNN keeps of the pictures; each costs as much as one of them
LEAST_DISTANCE = 1e-6
_ASYMPTOTIC = 20.0  # from there on erfc is soon below what a double can be


class FrameScore:
    """A score on what it reads of a pass.

    Args:
        score: fitted.
        place: of the stage whose features it reads; None: what the head sees.
    """

    def __init__(self, score: OodScore, place: Optional[int] = None) -> None:
        self.score, self.place = score, place

    @property
    def fitted(self) -> bool:
        """Whether known pictures were needed to make it."""
        return self.score.fitted

    def __call__(self, logits: Values, features: Values, stages: Sequence[Values] = ()) -> np.ndarray:
        """Scores, float32 (B,), of float32 logits (B, C), features (B, F) and stages (B, F_s) each."""
        return self.forward(on_host(logits), on_host(features), [on_host(stage) for stage in stages])

    def forward(self, logits: np.ndarray, features: np.ndarray, stages: Sequence[np.ndarray] = ()) -> np.ndarray:
        """The same of arrays."""
        return self.score.forward(logits, features if self.place is None else stages[self.place])

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor',
                  stages: 'Sequence[torch.Tensor]' = ()) -> 'torch.Tensor':
        """As :meth:`forward`, (B, 1), where the tables are; see :meth:`~.base.OodScore.on_device`."""
        return self.score.on_device(tables, logits, features if self.place is None else stages[self.place])[:, None]


class Combined:
    """Fisher's weighted combination of standardised scores; larger is further out.

    Args:
        parts: the scores.
        location, scale: of each on known pictures that it was not fitted to, shape (P,); scale above 0.
        weight: of each, shape (P,), above 0.
    """

    fitted = True

    def __init__(self, parts: Sequence[FrameScore], location: Values, scale: Values, weight: Values) -> None:
        self.location, self.scale, self.weight = (table_of(one, 1) for one in (location, scale, weight))
        if {one.shape for one in (self.location, self.scale, self.weight)} != {(len(parts),)} or not (
                float(self.scale.min()) > 0 and float(self.weight.min()) > 0):
            raise BundleError(f'combined: location, scale and weight must be {len(parts)} numbers each, and the latter '
                              'two above 0')
        self.parts = list(parts)
        self._inverse = 1 / self.scale
        self._weights: List[float] = self.weight.tolist()

    def __call__(self, logits: Values, features: Values, stages: Sequence[Values] = ()) -> np.ndarray:
        """Scores, float32 (B,)."""
        return self.statistic(self.standardised(logits, features, stages))

    def standardised(self, logits: Values, features: Values, stages: Sequence[Values] = ()) -> np.ndarray:
        """How far out each part finds each picture, in standard deviations, float32 (B, P)."""
        z, f, read = on_host(logits), on_host(features), [on_host(stage) for stage in stages]
        columns = [values_of(part, z, f, read) for part in self.parts]
        found: np.ndarray = (np.stack(columns, axis=1) - self.location) * self._inverse
        return found

    def standardised_of(self, scores: np.ndarray) -> np.ndarray:
        """As :meth:`standardised`, of the scores of the parts (B, P)."""
        columns = [np.log(np.maximum(column, LEAST_DISTANCE)) if part.score.is_distance else column
                   for part, column in zip(self.parts, scores.T)]
        z: np.ndarray = (np.stack(columns, axis=1) - self.location) * self._inverse
        return z

    def forward(self, logits: np.ndarray, features: np.ndarray, stages: Sequence[np.ndarray] = ()) -> np.ndarray:
        """The same of arrays."""
        return self(logits, features, stages)

    def statistic(self, z: np.ndarray) -> np.ndarray:
        """T, float32 (B,), of standardised scores (B, P)."""
        return fisher(z, self._weights)


def values_of(part: FrameScore, logits: np.ndarray, features: np.ndarray, stages: Sequence[np.ndarray]
              ) -> np.ndarray:
    """Scores (B,) as they are standardised: of distances the logarithm."""
    scores: np.ndarray = part.forward(logits, features, stages)
    return np.log(np.maximum(scores, LEAST_DISTANCE)) if part.score.is_distance else scores


def fisher(z: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """-2 sum w ln(1 - Phi(z)) over the last axis of (B, P), float32 (B,); NaN counts as infinitely far out."""
    return np.array([fisher_of(row, weights) for row in z.tolist()], np.float32)


def fisher_of(z: Sequence[float], weights: Sequence[float]) -> float:
    """-2 sum w ln(1 - Phi(z)) of the P standardised scores of a picture."""
    return -2.0 * sum([weight * log_upper_tail(one) for weight, one in zip(weights, z)])


def log_upper_tail(z: float) -> float:
    """ln(1 - Phi(z)) of the standard normal distribution, to ten digits for every z."""
    if z < -1:
        return log1p(-erfc(-z / sqrt(2)) / 2)
    if z < _ASYMPTOTIC:
        return log(erfc(z / sqrt(2)) / 2)
    if z != z:
        return -float('inf')
    inverse = 1 / (z * z)
    return -z * z / 2 - log(z) - log(2 * pi) / 2 + log1p(-inverse * (1 - 3 * inverse * (1 - 5 * inverse)))


def fit_parts(parts: Sequence[Part], known: Pictures, stage_names: Sequence[str] = (),
              head: Optional[LinearHead] = None, standard: Optional[Pictures] = None, seed: int = 0
              ) -> Union[FrameScore, Combined]:
    """A score fitted to pictures of known classes: of one part that, of several their combination.

    Args:
        known: with labels, or those that the network gives them.
        stage_names: in the order of ``known.stages``.
        head: of the network; None: it is not linear, and scores that need it are refused.
        standard: known pictures that neither the network nor the scores were fitted to, and that will not be calibrated
            on, for locations and scales; None: by cross-fitting within ``known``, in folds of whole ``groups``.
        seed: of the folds, and of which pictures kNN keeps.

    Raises:
        RobotVisionError: there are too few pictures, or no such stage.
    """
    if len(parts) == 1:
        return FrameScore(_fit(parts[0], known, stage_names, head), parts[0].place(stage_names))
    if len(known) < LEAST_REFERENCE:
        raise RobotVisionError(f'combined: {LEAST_REFERENCE} known pictures at least are needed to fit it to, got '
                               f'{len(known)}; choose one score')
    with np.errstate(over='ignore', invalid='ignore'):  # of features that do not vary; found below
        fitted, values = _standardised_parts(parts, known, stage_names, head, standard, np.random.default_rng(seed))
    _check_finite(parts, values)
    location, scale = _location_and_scale(values)
    kinds = [part.kind for part in parts]
    weight = np.array([WEIGHTS[kind] / kinds.count(kind) for kind in kinds], np.float32)
    return Combined(fitted, location, scale, weight)


def _standardised_parts(parts: Sequence[Part], known: Pictures, stage_names: Sequence[str], head: Optional[LinearHead],
                        standard: Optional[Pictures], rng: np.random.Generator
                        ) -> Tuple[List[FrameScore], np.ndarray]:
    """The parts, and what they say of pictures that they were not fitted to, (n, P)."""
    fitted = [FrameScore(_small(part, known, stage_names, head, rng), part.place(stage_names)) for part in parts]
    if standard is not None and len(standard) >= LEAST_REFERENCE:
        values = np.stack([_on(part, standard) for part in fitted], axis=1)
    else:
        values = np.empty((len(known), len(parts)))
        for fold in _folds(known, rng):
            others = known[np.setdiff1d(np.arange(len(known)), fold)]
            for column, part in enumerate(parts):
                one = FrameScore(_small(part, others, stage_names, head, rng), part.place(stage_names))
                values[fold, column] = _on(one, known[fold])
    return fitted, values


def _check_finite(parts: Sequence[Part], values: np.ndarray) -> None:
    odd = [str(part) for part, column in zip(parts, values.T) if not np.isfinite(column).all()]
    if odd:
        raise RobotVisionError(f'combined: {", ".join(odd)} gives no number for some known pictures, whose features do '
                               'not vary, or are none themselves; choose a score without it')


def _location_and_scale(values: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column of (n, P)."""
    return values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)


def _on(part: FrameScore, pictures: Pictures) -> np.ndarray:
    return values_of(part, *pictures.arrays())


def _fit(part: Part, known: Pictures, stage_names: Sequence[str], head: Optional[LinearHead]) -> OodScore:
    read = part.reads(known.features, known.stages, stage_names)
    return ood_method(part.method).fit(known.logits, read, known.labels, None if part.of else head)


def _small(part: Part, known: Pictures, stage_names: Sequence[str], head: Optional[LinearHead],
           rng: np.random.Generator) -> OodScore:
    """As it will be stored: large tables rounded to float16, and kNN's no larger than :data:`_MOST_MEANS`."""
    if issubclass(ood_method(part.method), KNearestNeighbours):
        read = part.reads(known.features, known.stages, stage_names)
        score: OodScore = KNearestNeighbours.fit_means(read, _MOST_MEANS, int(rng.integers(1 << 31)))
    else:
        score = _fit(part, known, stage_names, head)
    tables = {name: value.astype(np.float16).astype(np.float32) if name in score.large else value
              for name, value in score.tables.items()}
    return type(score)(**tables)


def _folds(known: Pictures, rng: np.random.Generator) -> List[np.ndarray]:
    """Indices of the pictures in folds, no group in two of them if there are as many groups as folds."""
    groups = np.arange(len(known)) if known.groups is None else known.groups.numpy()
    names, place = np.unique(groups, return_inverse=True)
    if len(names) < _FOLDS:
        return [np.arange(number, len(known), _FOLDS) for number in range(_FOLDS)]
    fold_of = np.empty(len(names), int)
    fold_of[rng.permutation(len(names))] = np.arange(len(names)) % _FOLDS
    return [np.flatnonzero(fold_of[place] == number) for number in range(_FOLDS)]

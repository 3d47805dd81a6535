"""The network's first stage -> faults of the camera that a picture's own statistics tell too seldom.

A picture that is out of focus, or whose red and blue are exchanged, is a picture like others by its brightness and its
edges. The first layers of a network hold more than that: a linear classifier of what they say on average over a picture
(a linear probe, Alain and Bengio 2017), fitted to ordinary pictures and to the same as a camera at fault would give
them, is one product of a few hundred numbers beside a pass that is made anyway.
"""
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ...types import CameraFault
from .statistics import COLOURS

EXCHANGED = 'exchanged channels'
FAULTS: Mapping[str, CameraFault] = {
    'overexposed': CameraFault.OVEREXPOSED, 'underexposed': CameraFault.UNDEREXPOSED,
    'no contrast': CameraFault.NO_CONTRAST, 'out of focus': CameraFault.OUT_OF_FOCUS,
    EXCHANGED: CameraFault.WRONG_COLOURS}
"""What is told: faults that come by degrees, by the names of :func:`~..ood.sensor_faults.spoilt_pictures`.

Noise is not among them: pictures are spoilt at the size at which training keeps them, and resizing changes noise.
"""
LEAST_PICTURES = 100
_ROGUE = 250  # one ordinary picture in so many may look as if red and blue were exchanged, and does not count
_FEW = 50
_LEAST_TOLD = 0.02
_DECAY = 1.0
_STEPS = 12  # of Newton's method
_COLOUR_UNIT = 3.0  # colours are counted as the features are, after these are standardised
_LEAST_SPREAD = 1e-6


class Seen(NamedTuple):
    """What a network's first stage says of ordinary pictures, and of some of them as a camera at fault gives them.

    Attributes:
        places: of n pictures, which of all that are there they are, int64 (n,), ascending.
        features: of these, float32 (n, F).
        spoilt: by name of the fault (:data:`FAULTS`), places of the pictures that were spoilt, int64 (k,), ascending
            and among the others, and what the stage says of them then, float32 (k, F).
    """

    places: np.ndarray
    features: np.ndarray
    spoilt: Mapping[str, Tuple[np.ndarray, np.ndarray]]


class Line(NamedTuple):
    """How one fault is told: by a weighted sum of the features plus ``offset``.

    Attributes:
        fault: its name.
        weights: F numbers.
        offset: of the sum.
        usual: median of the sum over ordinary pictures.
        bound: from here on it is a fault.
        colours: weights of the numbers of :attr:`~.statistics.Look.colours`, whose sum is added; empty: none.
    """

    fault: str
    weights: Tuple[float, ...]
    offset: float
    usual: float
    bound: float
    colours: Tuple[float, ...] = ()


@dataclass(frozen=True)
class FaultProbe:
    """The lines of a network's first stage; at least one, each of another fault."""

    lines: Tuple[Line, ...]

    @cached_property
    def matrix(self) -> np.ndarray:
        """Weights, float32 (F, K)."""
        return np.array([line.weights for line in self.lines], np.float32).T.copy()

    @cached_property
    def offsets(self) -> np.ndarray:
        """float32 (K,)."""
        return np.array([line.offset for line in self.lines], np.float32)

    @cached_property
    def _faults(self) -> List[CameraFault]:
        return [FAULTS[line.fault] for line in self.lines]

    @cached_property
    def _colours(self) -> Optional[np.ndarray]:
        found = [line.colours for line in self.lines if line.colours]
        return np.array(found[0], np.float32) if found else None

    @property
    def tells_exchanged(self) -> bool:
        """Whether exchanged red and blue are among what is told."""
        return self._colours is not None

    def sums(self, features: np.ndarray) -> np.ndarray:
        """Of features (n, F) of the first stage, float32 (n, K); what colours add is not in them."""
        found: np.ndarray = features @ self.matrix + self.offsets
        return found

    def towards(self, sums: Sequence[float], colours: np.ndarray) -> List[Tuple[float, CameraFault]]:
        """How far towards its bound each fault is, beyond 1 it is one; of the sums of one picture, K numbers."""
        found = []
        for line, fault, value in zip(self.lines, self._faults, sums):
            if line.colours:
                value += self._of_colours(colours)
            found.append(((value - line.usual) / (line.bound - line.usual), fault))
        return found

    def exchanged(self, sums: Sequence[float], colours: np.ndarray) -> float:
        """How much red and blue look exchanged: 0 where it is open, 1 at the bound."""
        for line, value in zip(self.lines, sums):
            if line.colours:
                return max((value + self._of_colours(colours)) / line.bound, 0.0)
        return 0.0

    def _of_colours(self, colours: np.ndarray) -> float:
        return 0.0 if self._colours is None else float(self._colours @ colours)

    def without_exchanged(self) -> 'FaultProbe':
        """The same, which never tells exchanged red and blue."""
        return replace(self, lines=tuple(
            line._replace(bound=float('inf')) if line.colours else line for line in self.lines))


def fit_probe(seen: Seen, colours: np.ndarray, groups: Optional[np.ndarray] = None) -> Optional[FaultProbe]:
    """Lines for all faults that the pictures were spoilt by.

    The bound is what ordinary pictures reach, each judged by what was fitted to the other half of them, and no lower
    than where the fault is as likely as not.

    Args:
        seen: of n of N pictures.
        colours: of all, float32 (N, 120), see :class:`~.statistics.Look`; zeros of grey pictures.
        groups: int (N,); pictures of one group are in one half. None: every other one.

    Returns:
        None: there are fewer than :data:`LEAST_PICTURES`, or nothing is told.
    """
    count = len(seen.features)
    if count < LEAST_PICTURES:
        return None
    half = np.arange(count) % 2
    if groups is not None and len(np.unique(groups[seen.places])) > 1:
        half = np.unique(groups[seen.places], return_inverse=True)[1].reshape(-1) % 2
    coloured = colours[seen.places]
    lines = []
    for fault, (places, features) in seen.spoilt.items():
        exchanged = fault == EXCHANGED
        if len(places) >= LEAST_PICTURES and not (exchanged and not coloured.any()):
            line = _line(fault, seen.features, np.searchsorted(seen.places, places), features,
                         coloured if exchanged else None, half)
            if line is not None:
                lines.append(line)
    return FaultProbe(tuple(lines)) if lines else None


def _line(fault: str, ordinary: np.ndarray, places: np.ndarray, spoilt: np.ndarray, colours: Optional[np.ndarray],
          half: np.ndarray) -> Optional[Line]:
    middle = np.concatenate([ordinary, spoilt]).mean(axis=0, dtype=np.float64)
    unit = np.maximum(np.concatenate([ordinary, spoilt]).std(axis=0, dtype=np.float64), _LEAST_SPREAD)
    x, s = (ordinary - middle) / unit, (spoilt - middle) / unit
    if colours is not None:
        x = np.concatenate([x, colours * _COLOUR_UNIT], axis=1)
        s = np.concatenate([s, -colours[places] * _COLOUR_UNIT], axis=1)
    x, s = (np.concatenate([one, np.ones((len(one), 1))], axis=1) for one in (x, s))
    sound, faulty = np.empty(len(x)), np.empty(len(s))
    for one in (0, 1):
        weights = _discriminant(x[half != one], s[half[places] != one])
        sound[half == one], faulty[half[places] == one] = x[half == one] @ weights, s[half[places] == one] @ weights
    rogue = len(sound) // _ROGUE if colours is not None else 0
    # The outermost of few is not as far out as pictures get.
    reached = (1 + _FEW / len(sound)) * float(np.sort(sound)[-1 - rogue])
    bound = max(reached, 1.0 if colours is not None else 0.0)
    if not np.mean(faulty > bound) >= _LEAST_TOLD:
        return None
    weights = _discriminant(x, s)
    of_features = weights[:ordinary.shape[1]] / unit
    offset = float(weights[-1] - of_features @ middle)
    usual = min(float(np.median(sound)), bound - 1.0)
    of_colours = () if colours is None else tuple(
        float(weight) * _COLOUR_UNIT for weight in weights[ordinary.shape[1]:-1])
    return Line(fault, tuple(float(weight) for weight in of_features), offset, usual, bound, of_colours)


def _discriminant(ordinary: np.ndarray, spoilt: np.ndarray) -> np.ndarray:
    """Logistic regression of rows (n, D), the last of each 1, against others (m, D), which have the positive sums.

    Newton's method; the loss is sum ln(1 + exp(-+ x w)) + decay/2 |w|^2, in which both sides weigh the same.
    """
    x = np.concatenate([-ordinary, spoilt])
    share = np.concatenate([np.full(len(ordinary), 1.0), np.full(len(spoilt), len(ordinary) / max(len(spoilt), 1))])
    weights = np.zeros(x.shape[1])
    decay = np.full(len(weights), _DECAY)
    decay[-1] = 1e-3
    for _ in range(_STEPS):
        wrong = 1 / (1 + np.exp(np.clip(x @ weights, -30, 30)))
        gradient = decay * weights - (share * wrong) @ x
        curvature = (x * (share * wrong * (1 - wrong))[:, None]).T @ x
        curvature[np.diag_indices_from(curvature)] += decay
        weights = weights - np.linalg.solve(curvature, gradient)
    return weights


def as_json(probe: FaultProbe) -> List[Dict[str, Any]]:
    """The list ``camera.probe`` of ``bundle.json``."""
    def numbers(values: Sequence[float]) -> List[float]:
        return [float(f'{value:.6g}') for value in values]
    return [{'fault': line.fault, 'weights': numbers(line.weights), **dict(zip(
        ('offset', 'usual', 'bound'), numbers((line.offset, line.usual, line.bound)))),
        'colours': numbers(line.colours)} for line in probe.lines]


def from_json(values: Any) -> FaultProbe:
    """The probe of a list ``camera.probe``.

    Raises:
        ValueError: it is not as :func:`as_json` makes it; the text says what is wrong.
    """
    if not isinstance(values, list) or not 0 < len(values) <= len(FAULTS):
        raise ValueError(f'must be a list of 1 to {len(FAULTS)} objects')
    lines: List[Line] = []
    for place, one in enumerate(values):
        if not isinstance(one, dict) or set(one) != set(Line._fields):
            raise ValueError(f'[{place}]: must be an object with exactly {", ".join(Line._fields)}')
        if one['fault'] not in FAULTS or one['fault'] in [line.fault for line in lines]:
            raise ValueError(f'[{place}].fault: must be another of {", ".join(FAULTS)}, got {one["fault"]!r:.60}')
        weights, colours = (_numbers(one[name], f'[{place}].{name}') for name in ('weights', 'colours'))
        offset, usual, bound = _numbers([one[name] for name in ('offset', 'usual', 'bound')], f'[{place}]')
        if not weights or lines and len(weights) != len(lines[0].weights):
            raise ValueError(f'[{place}].weights: there must be as many as of the others, and at least one')
        if len(colours) != (COLOURS if one['fault'] == EXCHANGED else 0):
            raise ValueError(f'[{place}].colours: there must be {COLOURS} for {EXCHANGED}, and none for others')
        if not usual < bound or colours and not bound > 0:
            raise ValueError(f'[{place}].bound: {bound:g} must be above what is usual, {usual:g}'
                             + (', and above 0' if colours else ''))
        lines.append(Line(one['fault'], weights, offset, usual, bound, colours))
    return FaultProbe(tuple(lines))


_MOST = 1e9


def _numbers(values: Any, where: str) -> Tuple[float, ...]:
    if not isinstance(values, list):
        raise ValueError(f'{where}: must be a list of numbers')
    for value in values:
        if type(value) not in (int, float) or not -_MOST <= value <= _MOST:
            raise ValueError(f'{where}: must be numbers in -1e9..1e9, got {value!r:.60}')
    return tuple(float(value) for value in values)

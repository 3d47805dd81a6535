"""Ordinary pictures, and some of them spoilt -> :class:`~.probe.FaultProbe`."""
from typing import List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from .logistic import separating_weights
from .probe import EXCHANGED, FAULTS, SOUND, FaultProbe
from .statistics import COLOURS

LEAST_PICTURES = 100
HIDDEN = 32
_ROGUE = 250  # one ordinary picture in so many may look as if red and blue were exchanged, and does not count
_FEW = 50
_LEAST_TOLD = 0.02
_OUTERMOST = 0.01  # of spoilt pictures, those that look least so
_LEAST_BOUND = 1.0  # of exchanged colours: e to 1 in favour
_DECAY = 1.0
_LEAST_SPREAD = 1e-6
_FOLDS = 3
# Chosen by how many of the training pictures of TrashNet are told by what was fitted to others of them.
_COLOUR_UNIT = 3.0
_NOISE, _RATE, _WEIGHT_DECAY, _BATCH = 0.3, 0.01, 0.5, 256
_LEAST_STEPS, _MOST_STEPS, _EPOCHS = 300, 3000, 75


class Seen(NamedTuple):
    """What a network's stages say of ordinary pictures, and of some of them as a camera at fault gives them.

    Attributes:
        places: of n pictures, which of all that are there they are, int64 (n,), ascending.
        features: of the stages side by side, float32 (n, F).
        spoilt: by name of the fault (:data:`~.probe.FAULTS`), places of the pictures that were spoilt, int64 (k,),
            ascending and among the others, and what the stages say of them then, float32 (k, F). So that noise and
            compression do not tell faults, :data:`~.probe.SOUND` has pictures without one that came in as many ways.
        widths: numbers of features of the stages, F in all.
    """

    places: np.ndarray
    features: np.ndarray
    spoilt: Mapping[str, Tuple[np.ndarray, np.ndarray]]
    widths: Tuple[int, ...]


class _Fit(NamedTuple):
    usual: float
    bound: float


class _Units(NamedTuple):
    """Hidden units for exchanged colours: weights of the features (F, H) and of colours, offsets, and what follows."""

    features: np.ndarray
    colours: np.ndarray
    offsets: np.ndarray
    outputs: np.ndarray
    offset: float

    def __call__(self, features: np.ndarray, colours: np.ndarray) -> np.ndarray:
        hidden = np.maximum(features @ self.features + colours @ self.colours + self.offsets, 0)
        found: np.ndarray = hidden @ self.outputs + self.offset
        return found


def fit_probe(seen: Seen, colours: np.ndarray, groups: Optional[np.ndarray] = None, seed: int = 0
              ) -> Optional[FaultProbe]:
    """All faults that the pictures were spoilt by and that are told at all.

    A bound is what ordinary pictures reach, each judged by what was fitted to others, and no lower than where the fault
    is as likely as not. Where spoilt pictures lie apart from ordinary ones, it is half way out from there to them.

    Args:
        seen: of n of N pictures.
        colours: of all, float32 (N, 120), see :class:`~.statistics.Look`; zeros of grey pictures.
        groups: int (N,); pictures of one group are judged together. None: each is by itself.
        seed: of what is drawn.

    Returns:
        None: there are fewer than :data:`LEAST_PICTURES`, or nothing is told.
    """
    count = len(seen.features)
    if count < LEAST_PICTURES:
        return None
    number = np.arange(count)
    if groups is not None and len(np.unique(groups[seen.places])) >= _FOLDS:
        number = np.unique(groups[seen.places], return_inverse=True)[1].reshape(-1)
    fold = number % _FOLDS
    first, coloured = seen.widths[0], colours[seen.places]
    nothing = np.zeros(0, np.int64), np.zeros((0, seen.features.shape[1]), np.float32)
    again, recorded = seen.spoilt.get(SOUND, nothing)
    again = np.searchsorted(seen.places, again)
    ordinary, coloured, of_ordinary = (np.concatenate([one, other]) for one, other in (
        (seen.features, recorded), (coloured, coloured[again]), (fold, fold[again])))
    # Half of the pictures with one of the faults that lines tell come in another way, and so must half of the others.
    rows = np.concatenate([np.arange(count), np.tile(np.arange(count, len(ordinary)), max(
        1, round(count / max(len(again), 1))))])
    names: List[str] = []
    fits: List[_Fit] = []
    columns: List[np.ndarray] = []
    for fault in FAULTS:
        places, spoilt = seen.spoilt.get(fault, nothing)
        if fault == EXCHANGED or len(places) < LEAST_PICTURES:
            continue
        line = _line(ordinary[rows, :first], of_ordinary[rows], spoilt[:, :first],
                     fold[np.searchsorted(seen.places, places)])
        if line is not None:
            names, fits, columns = [*names, fault], [*fits, line[0]], [*columns, line[1]]
    units = None
    places, spoilt = seen.spoilt.get(EXCHANGED, nothing)
    if len(places) >= LEAST_PICTURES and coloured.any():
        places = np.searchsorted(seen.places, places)
        units = _units(ordinary, coloured, of_ordinary, places, spoilt, seed)
    if not names and units is None:
        return None
    of_lines = np.zeros((sum(seen.widths), len(names)))
    offsets = np.zeros(len(names))
    for place, column in enumerate(columns):
        of_lines[:first, place], offsets[place] = column[:-1], column[-1]
    if units is None:
        return FaultProbe(
            tuple(names), seen.widths, *_rounded(fits), of_lines.astype(np.float32), offsets.astype(np.float32),
            np.zeros((COLOURS, 0), np.float32), np.zeros(0, np.float32))
    fit, made = units
    return FaultProbe(
        (*names, EXCHANGED), seen.widths, *_rounded([*fits, fit]),
        np.concatenate([of_lines, made.features], axis=1).astype(np.float32),
        np.concatenate([offsets, made.offsets]).astype(np.float32), made.colours.astype(np.float32),
        made.outputs.astype(np.float32), _as_stored(made.offset))


def _rounded(fits: List[_Fit]) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    return tuple(_as_stored(fit.usual) for fit in fits), tuple(_as_stored(fit.bound) for fit in fits)


def _as_stored(value: float) -> float:
    return float(f'{value:.6g}')


def _fit(sound: np.ndarray, faulty: np.ndarray, rogue: int, least: float) -> Optional[_Fit]:
    """The bound, from what ordinary and spoilt pictures reach; None: hardly any of these is beyond it."""
    # The outermost of few is not as far out as pictures get.
    reached = (1 + _FEW / len(sound)) * float(np.sort(sound)[-1 - rogue])
    # What lies between ordinary and spoilt, a scene in half the light, is left to the network and its scores.
    bound = max(reached, least, 0.5 * float(np.quantile(faulty, _OUTERMOST)))
    if not np.mean(faulty > bound) >= _LEAST_TOLD:
        return None
    return _Fit(min(float(np.median(sound)), bound - 1.0), bound)


def _line(ordinary: np.ndarray, fold: np.ndarray, spoilt: np.ndarray, their_fold: np.ndarray
          ) -> Optional[Tuple[_Fit, np.ndarray]]:
    """What is told by a weighted sum, and its weights with the offset after them, (F + 1,)."""
    together = np.concatenate([ordinary, spoilt])
    middle = together.mean(axis=0, dtype=np.float64)
    unit = np.maximum(together.std(axis=0, dtype=np.float64), _LEAST_SPREAD)
    x, s = (np.concatenate([(one - middle) / unit, np.ones((len(one), 1))], axis=1) for one in (ordinary, spoilt))
    sound, faulty = np.empty(len(x)), np.empty(len(s))
    for one in range(_FOLDS):
        weights = _discriminant(x[fold != one], s[their_fold != one])
        sound[fold == one], faulty[their_fold == one] = x[fold == one] @ weights, s[their_fold == one] @ weights
    fit = _fit(sound, faulty, 0, 0.0)
    if fit is None:
        return None
    weights = _discriminant(x, s)
    of_features = weights[:-1] / unit
    return fit, np.append(of_features, weights[-1] - of_features @ middle)


def _discriminant(ordinary: np.ndarray, spoilt: np.ndarray) -> np.ndarray:
    """Weights of rows (n, D), the last of each 1, by which others (m, D) have positive sums; both sides count alike."""
    share = np.concatenate([np.full(len(ordinary), 1.0), np.full(len(spoilt), len(ordinary) / max(len(spoilt), 1))])
    decay = np.full(ordinary.shape[1], _DECAY)
    decay[-1] = 1e-3
    return separating_weights(np.concatenate([-ordinary, spoilt]), decay, share)


def _units(features: np.ndarray, colours: np.ndarray, fold: np.ndarray, places: np.ndarray, spoilt: np.ndarray,
           seed: int) -> Optional[Tuple[_Fit, _Units]]:
    """What is told of exchanged colours; that of a picture whose red and blue are exchanged are its own times -1."""
    sound, faulty = np.empty(len(features)), np.empty(len(spoilt))
    for one in range(_FOLDS):
        of, by = fold == one, fold[places] == one
        units = _trained(features[~of], colours[~of], spoilt[~by], -colours[places[~by]], seed)
        sound[of], faulty[by] = units(features[of], colours[of]), units(spoilt[by], -colours[places[by]])
    fit = _fit(sound, faulty, len(sound) // _ROGUE, _LEAST_BOUND)
    return None if fit is None else (fit, _trained(features, colours, spoilt, -colours[places], seed))


def _trained(features: np.ndarray, colours: np.ndarray, spoilt: np.ndarray, their_colours: np.ndarray, seed: int
             ) -> _Units:
    """A network of one hidden layer that tells the second from the first, half of each batch being of either.

    Noise on what it reads keeps it from learning pictures by heart.
    """
    import torch
    from torch import nn
    together = np.concatenate([features, spoilt])
    middle = together.mean(axis=0, dtype=np.float64)
    unit = np.maximum(together.std(axis=0, dtype=np.float64), _LEAST_SPREAD)

    def rows(some: np.ndarray, coloured: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([(some - middle) / unit, coloured * _COLOUR_UNIT], axis=1).astype(
            np.float32))
    sides = [rows(features, colours), rows(spoilt, their_colours)]
    steps = int(np.clip(_EPOCHS * sum(map(len, sides)) / _BATCH, _LEAST_STEPS, _MOST_STEPS))
    draw = torch.Generator().manual_seed(seed)
    target = torch.arange(2.0).repeat_interleave(_BATCH // 2)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(sides[0].shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
        optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
        for _ in range(steps):
            batch = torch.cat([side[torch.randint(len(side), (_BATCH // 2,), generator=draw)] for side in sides])
            batch = batch + _NOISE * torch.randn(batch.shape, generator=draw)
            loss = nn.functional.binary_cross_entropy_with_logits(network(batch)[:, 0], target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    weight, bias, outputs, offset = (one.detach().double().numpy() for one in network.parameters())
    of_features = weight[:, :len(unit)].T / unit[:, None]
    return _Units(of_features, weight[:, len(unit):].T * _COLOUR_UNIT, bias - middle @ of_features, outputs[0],
                  float(offset[0]))

"""Statistics of ordinary pictures -> the bounds of their camera."""
from dataclasses import replace
from typing import Any, Dict, Optional, Tuple

import numpy as np

from .bounds import (
    MOST_SCORES,
    TWO_SIDED,
    CameraBounds,
    fitted_bound,
    is_high,
    tint_bounds,
)
from .statistics import COLOURS, NAMES, Look

LEAST_PICTURES = 30
"""Of fewer, nothing is fitted, and the general bounds hold."""
_ROGUE = 500  # one picture in so many may be at fault itself, and does not count for a bound
_RIDGE = 0.1


def fit_bounds(values: np.ndarray, colours: np.ndarray, held_out: Optional[np.ndarray] = None, repeats_s: float = 0.0
               ) -> Optional[CameraBounds]:
    """The bounds of a camera from ordinary pictures of it.

    Bounds are fitted to the pictures that are not held out; those that are give the p-values, which hold for any
    distribution as long as pictures to come and these are exchangeable: of n of them, 1/(n + 1) is the least.

    Args:
        values, colours: of each picture, shapes (n, 15) and (n, 24); see :class:`~.statistics.Look`.
        held_out: bool (n,): pictures that the network was not trained on, above all; None: every other one.
        repeats_s: see :class:`~.bounds.CameraBounds`.

    Returns:
        None: there are fewer than :data:`LEAST_PICTURES` to fit to.
    """
    kept = np.arange(len(values)) % 2 == 1 if held_out is None else held_out
    seen = values[~kept]
    if len(seen) < LEAST_PICTURES:
        return None
    rogue = len(seen) // _ROGUE
    ordered = np.sort(seen.astype(np.float64), axis=0)
    low, high, median = ordered[rogue], ordered[-1 - rogue], ordered[len(ordered) // 2]
    usual: Dict[str, float] = {}
    bounds: Dict[str, Any] = {}
    for place, name in enumerate(NAMES):
        usual[name] = float(median[place])
        if name in TWO_SIDED:
            bounds[name] = tint_bounds(float(low[place]), usual[name], float(high[place]))
            continue
        bounds[name] = fitted_bound(name, float((high if is_high(name) else low)[place]))
        if name == 'sharpness' and median[place] == 1:  # of pictures too small, or too plain, to tell
            bounds[name] = float('-inf')
        # Where most pictures are beyond what is a fault elsewhere, it is none here.
        if not (bounds[name] > usual[name] if is_high(name) else bounds[name] < usual[name]):
            bounds[name] = float('inf') if is_high(name) else float('-inf')
    weights, bound = _fit_swap(colours[~kept], rogue)
    found = CameraBounds(usual, bounds, (), len(seen), weights, bound, repeats_s)
    chosen = np.flatnonzero(kept)
    if len(chosen) > MOST_SCORES:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST_SCORES).round().astype(int)]
    nothing = np.zeros(0, np.uint8)
    scores = sorted(found.judge(Look(values[place], colours[place], nothing)).score for place in chosen.tolist())
    return replace(found, scores=tuple(round(score, 5) for score in scores))


def _fit_swap(colours: np.ndarray, rogue: int) -> Tuple[Tuple[float, ...], float]:
    """Weights and bound of the sum by which exchanged colours are told; () and 0 where they do not show.

    All numbers change sign when red and blue are exchanged, so Fisher's discriminant between the two is the inverse
    covariance times the mean. The bound is what two halves, each fitted to the other, reach.
    """
    if len(colours) < 4 * COLOURS or not colours.any():
        return (), 0.0
    halves = [colours[::2], colours[1::2]]
    crossed = np.sort(np.concatenate([halves[1] @ _discriminant(halves[0]), halves[0] @ _discriminant(halves[1])]))
    weights = _discriminant(colours)
    bound = min(1.25 * float(crossed[rogue]), -0.1 * float(np.median(crossed)))
    told = float(np.mean(crossed > -bound))  # of exchanged pictures
    if not bound < 0 or told < 0.02:
        return (), 0.0
    return tuple(float(weight) for weight in weights), bound


def _discriminant(colours: np.ndarray) -> np.ndarray:
    """Fisher's, with a little of the identity; float64 (24,)."""
    exact = colours.astype(np.float64)
    covariance = np.cov(exact.T)
    ridge = _RIDGE * np.trace(covariance) / len(covariance) + 1e-12
    found: np.ndarray = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), exact.mean(axis=0))
    return found

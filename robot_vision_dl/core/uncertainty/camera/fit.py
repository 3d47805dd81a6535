"""Statistics of ordinary pictures -> the bounds of their camera."""
from dataclasses import replace
from typing import Any, Dict, Optional, Tuple

import numpy as np

from .bounds import (
    DIGITS,
    MOST_SCORES,
    TWO_SIDED,
    CameraBounds,
    as_json,
    fitted_bound,
    from_json,
    general_bound,
    is_high,
    tint_bounds,
)
from .logistic import separating_weights
from .probe_fit import Seen, fit_probe
from .statistics import NAMES, Look

LEAST_PICTURES = 30
"""Of fewer, nothing is fitted, and the general bounds hold."""
LEAST_OBJECTS = 30
"""Frames of fewer objects show how these vary, and not what the camera sees: no bound is narrower than in general."""
_ROGUE = 500  # one picture in so many may be at fault itself, and does not count for a bound
_FEW = 50
_DECAY = 0.05
_LEAST_COLOURED = 100  # pictures


def fit_bounds(values: np.ndarray, colours: np.ndarray, held_out: Optional[np.ndarray] = None, repeats_s: float = 0.0,
               objects: Optional[int] = None, seen_by: Optional[Seen] = None, groups: Optional[np.ndarray] = None
               ) -> Optional[CameraBounds]:
    """The bounds of a camera from ordinary pictures of it.

    Bounds are fitted to the pictures that are not held out; those that are give the p-values, which hold for any
    distribution as long as pictures to come and these are exchangeable: of n of them, 1/(n + 1) is the least.

    Args:
        values, colours: of each picture, shapes (n, 15) and (n, 120); see :class:`~.statistics.Look`.
        held_out: bool (n,): pictures that the network was not trained on, above all; None: every other one.
        repeats_s: see :class:`~.bounds.CameraBounds`.
        objects: of so many the pictures are; None: each shows another. Of fewer than :data:`LEAST_OBJECTS` the general
            bounds are kept where the fitted ones are narrower, and colours tell nothing.
        seen_by: what the network says of all the pictures, and of some that are not held out after they were spoilt;
            None: it was not asked, and tells nothing.
        groups: int (n,), which pictures belong together, see :func:`~.probe_fit.fit_probe`.

    Returns:
        None: there are fewer than :data:`LEAST_PICTURES` to fit to.
    """
    kept = np.arange(len(values)) % 2 == 1 if held_out is None else held_out
    seen = values[~kept]
    if len(seen) < LEAST_PICTURES:
        return None
    rogue = len(seen) // _ROGUE
    few = objects is not None and objects < LEAST_OBJECTS
    ordered = np.sort(seen.astype(np.float64), axis=0)
    low, high, median = ordered[rogue], ordered[-1 - rogue], ordered[len(ordered) // 2]
    usual: Dict[str, float] = {}
    bounds: Dict[str, Any] = {}
    for place, name in enumerate(NAMES):
        usual[name] = float(median[place])
        if name in TWO_SIDED:
            # The outermost of few is not as far out as pictures get, which may be of any colour.
            least, most = (float(side[place] + _FEW / len(seen) * (side[place] - median[place]))
                           for side in (low, high))
            bounds[name] = None if few else tint_bounds(least, usual[name], most)
            continue
        bounds[name] = fitted_bound(name, float((high if is_high(name) else low)[place]))
        if few:
            bounds[name] = (max if is_high(name) else min)(bounds[name], general_bound(name))
        if name == 'sharpness' and median[place] == 1:  # of pictures too small, or too plain, to tell
            bounds[name] = float('-inf')
        # Where most pictures are beyond what is a fault elsewhere, it is none here.
        if not (bounds[name] > usual[name] if is_high(name) else bounds[name] < usual[name]):
            bounds[name] = float('inf') if is_high(name) else float('-inf')
    weights, bound = ((), 0.0) if few else _fit_swap(colours[~kept], rogue)
    probe = None
    if seen_by is not None and not few:
        free = ~kept[seen_by.places]
        spoilt = {name: (of[~kept[of]], features[~kept[of]]) for name, (of, features) in seen_by.spoilt.items()}
        probe = fit_probe(seen_by._replace(places=seen_by.places[free], features=seen_by.features[free], spoilt=spoilt),
                          colours, groups)
    found = replace(from_json(as_json(CameraBounds(
        usual, bounds, (), len(seen), weights, bound, repeats_s))), probe=probe)  # as it is stored
    chosen = np.flatnonzero(kept)
    if len(chosen) > MOST_SCORES:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST_SCORES).round().astype(int)]
    nothing = np.zeros(0, np.uint8)
    sums = {} if found.probe is None or seen_by is None else dict(zip(
        seen_by.places.tolist(), found.probe.sums([seen_by.features])))
    scores = sorted(found.judge(Look(values[place], colours[place], nothing), passed=sums.get(place)).score
                    for place in chosen.tolist())
    return replace(found, scores=tuple(round(score, DIGITS) for score in scores))


def _fit_swap(colours: np.ndarray, rogue: int) -> Tuple[Tuple[float, ...], float]:
    """Weights and bound of the sum by which exchanged colours are told; () and 0 where they do not show.

    The bound is what two halves, each judged by what was fitted to the other, reach.
    """
    if len(colours) < _LEAST_COLOURED or not colours.any():
        return (), 0.0
    halves = [colours[::2], colours[1::2]]  # exchanged they are their own times -1, so that there is no intercept
    first, second = (separating_weights(half, _DECAY) for half in halves)
    crossed = np.sort(np.concatenate([halves[1] @ first, halves[0] @ second]))
    weights = separating_weights(colours, _DECAY)
    # The outermost of few is not as far out as pictures get.
    bound = min((1 + _FEW / len(colours)) * float(crossed[rogue]), -0.3 * float(np.median(crossed)))
    told = float(np.mean(crossed > -bound))  # of exchanged pictures
    if not bound < 0 or told < 0.02:
        return (), 0.0
    return tuple(float(weight) for weight in weights), bound

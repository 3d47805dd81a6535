"""Curves of accuracy by number of labels, of mined and of random choice, and how many labels mining saves.

Of each seed there are its frames held out, by recording, and both ways of choosing are judged on the same ones. Draws
of the bootstrap take seeds, and within a seed recordings, with replacement (two stages; Davison and Hinkley 1997,
section 3.8), the same for both.
"""
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

DRAWS = 2000


class Curve(NamedTuple):
    """Of one seed and one way of choosing.

    Attributes:
        right: frames that are right by number of labels and held-out recording, (k, r).
        frames: of each held-out recording, (r,).
    """

    right: np.ndarray
    frames: np.ndarray


def accuracies(curves: Sequence[Curve]) -> np.ndarray:
    """Accuracy by number of labels, mean over seeds, (k,)."""
    return np.mean([one.right.sum(axis=1) / one.frames.sum() for one in curves], axis=0)


def compare(counts: Sequence[int], mined: Sequence[Curve], random: Sequence[Curve], seed: int = 0
            ) -> List[Dict[str, Any]]:
    """At each number of labels: accuracies, their difference, and how many labels mining needs for random's accuracy.

    Args:
        counts: numbers of labels, k, ascending.
        mined, random: curves of the same seeds.

    Returns:
        For each number: ``labels``, ``mined``, ``random``; ``difference`` and ``saved``, each the value and its 95 %
        interval. ``saved`` is how many labels fewer mining needs for the accuracy that random choice has there, along
        the monotone curves, straight between their points; negative: more.
    """
    rng = np.random.default_rng(seed)
    one, other = accuracies(mined), accuracies(random)
    differences, savings = [], []
    for _ in range(DRAWS):
        drawn = [_draw(mined[index], random[index], rng) for index in rng.integers(len(mined), size=len(mined))]
        a, b = (np.mean(side, axis=0) for side in zip(*drawn))
        differences.append(a - b)
        savings.append(saved(counts, a, b))
    between = [np.quantile(values, (0.025, 0.975), axis=0) for values in (differences, savings)]
    now = saved(counts, one, other)
    return [{'labels': int(count), 'mined': float(one[place]), 'random': float(other[place]),
             'difference': [float(one[place] - other[place]), *(float(end[place]) for end in between[0])],
             'saved': [float(now[place]), *(float(end[place]) for end in between[1])]}
            for place, count in enumerate(counts)]


def _draw(mined: Curve, random: Curve, rng: np.random.Generator) -> Tuple[np.ndarray, np.ndarray]:
    recordings = rng.integers(len(mined.frames), size=len(mined.frames))
    total = mined.frames[recordings].sum()
    return mined.right[:, recordings].sum(axis=1) / total, random.right[:, recordings].sum(axis=1) / total


def saved(counts: Sequence[int], mined: np.ndarray, random: np.ndarray) -> np.ndarray:
    """How many labels fewer give by mining what random choice gives, (k,); negative: more.

    Args:
        counts: numbers of labels, ascending.
        mined, random: accuracy at each, (k,). They are made monotone first. At the last number all is labelled, so
            that both end alike; should mining not get there even so, it counts as getting there then.
    """
    x = np.asarray(counts, np.float64)
    rising, target = monotone(mined), monotone(random)
    needed = np.empty(len(x))
    for place, wanted in enumerate(target):
        after = int(np.searchsorted(rising, wanted - 1e-12))
        if after == 0:
            needed[place] = x[0]
        elif after == len(x):
            needed[place] = x[-1]
        else:
            share = (wanted - rising[after - 1]) / (rising[after] - rising[after - 1])
            needed[place] = x[after - 1] + share * (x[after] - x[after - 1])
    return x - needed


def monotone(values: np.ndarray) -> np.ndarray:
    """The nearest curve that never falls (pool adjacent violators), (k,)."""
    blocks: List[Tuple[float, int]] = []
    for value in np.asarray(values, np.float64).tolist():
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n)]
    return np.repeat([value for value, _ in blocks], [count for _, count in blocks])

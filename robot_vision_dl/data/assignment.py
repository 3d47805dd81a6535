"""Dealing groups of frames to parts so that each part gets its share of every class."""
from typing import Sequence

import numpy as np

_MAX_TRIED = 70_000  # 4 parts and 8 groups
_RESTARTS = 8
_SWEEPS = 50
_MAX_SWAPPED = 64
# A part without any frame of a class is worse than any imbalance.
_MISSING = 10.0


def assign(counts: np.ndarray, fractions: Sequence[float], seed: int) -> np.ndarray:
    """Deal N groups to P parts.

    Minimises, over parts p and classes c, the squared difference between the share that p has of c and the share that
    it is to have, relative to the latter, with a penalty for a class that is missing in a part. Few groups: the best of
    all ways. More: greedy from the largest group to the smallest, then single moves and swaps until none helps, from
    several seeded starts.

    Args:
        counts: shape (N, C), frames of each class in each group.
        fractions: P shares, positive, with the sum 1.

    Returns:
        int64, shape (N,), the part of each group.
    """
    totals = counts.sum(0).astype(np.float64)
    shares = counts[:, totals > 0] / totals[totals > 0]
    wanted = np.asarray(fractions, np.float64)[:, None]
    rng = np.random.default_rng(seed)
    if len(wanted)**len(shares) <= _MAX_TRIED:
        return _best_of_all(shares, wanted)
    best, best_cost = np.zeros(len(counts), np.int64), float('inf')
    for _ in range(_RESTARTS):
        # Ties and near-ties in another order for each start.
        order = np.argsort(-shares.sum(1) * rng.uniform(0.8, 1.25, len(shares)), kind='stable')
        parts = _improve(_greedy(shares, wanted, order), shares, wanted, rng)
        cost = float(_cost(_sums(parts, shares, len(wanted)), wanted))
        if cost < best_cost - 1e-12:
            best, best_cost = parts, cost
    return best


def _sums(parts: np.ndarray, shares: np.ndarray, count: int) -> np.ndarray:
    sums = np.zeros((count, shares.shape[1]))
    np.add.at(sums, parts, shares)
    return sums


def _cost(sums: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Cost of sums of shape (..., P, C)."""
    cost = ((sums - wanted) / wanted)**2 * wanted + _MISSING * (sums < 1e-12)
    return cost.sum((-1, -2))


def _best_of_all(shares: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    count = len(wanted)
    ways = np.indices((count,) * len(shares)).reshape(len(shares), -1).T
    sums = np.stack([(ways == part) @ shares for part in range(count)], 1)
    return ways[int(np.argmin(_cost(sums, wanted)))].astype(np.int64)


def _greedy(shares: np.ndarray, wanted: np.ndarray, order: np.ndarray) -> np.ndarray:
    parts = np.zeros(len(shares), np.int64)
    sums = np.zeros((len(wanted), shares.shape[1]))
    each = np.eye(len(wanted))[:, :, None]
    for group in order:
        parts[group] = int(np.argmin(_cost(sums + each * shares[group], wanted)))
        sums[parts[group]] += shares[group]
    return parts


def _improve(parts: np.ndarray, shares: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count = len(wanted)
    sums = _sums(parts, shares, count)
    each = np.eye(count)[:, :, None]
    for _ in range(_SWEEPS):
        changed = False
        for group in rng.permutation(len(shares)):
            without = sums.copy()
            without[parts[group]] -= shares[group]
            costs = _cost(without + each * shares[group], wanted)
            to = int(np.argmin(costs))
            if costs[to] < costs[parts[group]] - 1e-9:
                parts[group], changed = to, True
                sums = without
                sums[to] += shares[group]
        if len(shares) <= _MAX_SWAPPED:
            changed |= _swap(parts, sums, shares, wanted)
        if not changed:
            break
        sums = _sums(parts, shares, count)  # against rounding
    return parts


def _swap(parts: np.ndarray, sums: np.ndarray, shares: np.ndarray, wanted: np.ndarray) -> bool:
    changed = False
    cost = _cost(sums, wanted)
    for i in range(len(parts)):
        for j in range(i + 1, len(parts)):
            if parts[i] == parts[j]:
                continue
            trial = sums.copy()
            trial[parts[i]] += shares[j] - shares[i]
            trial[parts[j]] += shares[i] - shares[j]
            trial_cost = _cost(trial, wanted)
            if trial_cost < cost - 1e-9:
                parts[i], parts[j] = parts[j], parts[i]
                sums[:], cost, changed = trial, trial_cost, True
    return changed

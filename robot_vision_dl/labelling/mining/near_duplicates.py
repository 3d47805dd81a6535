"""Intervals that show nearly the same, in one recording or in several: one of them stands for the others.

Two are near-duplicates if the 64 bit perceptual hashes of the frames in their middle are as near as those of the same
picture (:data:`~...data.selection.SAME_PICTURE`), and their mean features within :data:`SAME_FEATURE` of each other.
Both are asked: the hash sees the background and not a small thing before it, the features not where a thing is.
"""
from typing import Sequence

import numpy as np

from ...data.selection import SAME_PICTURE, hamming

SAME_FEATURE = 0.08
"""Cosine distance. Frames of one object before a moving camera, half a second apart, are within .042 (median) of the
next; of two objects 99 % are farther than .28."""
_MOST_COMPARED = 64


def stand_ins(features: np.ndarray, hashes: np.ndarray, order: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """Which interval stands for each, int64 (n,); -1: it stands for itself, or is in no group.

    One after another in ``order``, each joins the first of those before it that stand for themselves and look nearly
    the same, the nearest hashes first. So a group is around one interval, and does not go on from each to the next;
    time grows with the number of groups, memory does not depend on how many look alike.

    Args:
        features: float (n, F), of length 1.
        hashes: uint64 (n,).
        order: indices of those that are compared, the one that is to stand for others first.
        kinds: n names; only those of one kind are in a group.
    """
    found = np.full(len(hashes), -1, np.int64)
    heads, head_hashes, count = np.zeros(len(order), np.int64), np.zeros(len(order), np.uint64), 0
    for place in order.tolist():
        distances = hamming(head_hashes[:count], hashes[place])
        near = np.flatnonzero(distances <= SAME_PICTURE)
        near = near[np.argsort(distances[near], kind='stable')[:_MOST_COMPARED]]
        for head in heads[near].tolist():
            if kinds[head] == kinds[place] and _distance(features[head], features[place]) <= SAME_FEATURE:
                found[place] = head
                break
        else:
            heads[count], head_hashes[count] = place, hashes[place]
            count += 1
    return found


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return 1 - float(np.dot(a.astype(np.float64), b.astype(np.float64)))

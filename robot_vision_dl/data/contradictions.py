"""The same picture under several labels: of these one can be right."""
from collections import defaultdict
from typing import Dict, List

import numpy as np

from ..core.text.printable import printable
from .cache import FrameStore
from .folders import shown
from .labels.labels import LabelledFrame

_MOST_NAMED = 3


def contradictions(store: FrameStore) -> str:
    """What to say of pictures that are there more than once, bit for bit, with different labels; empty: none is."""
    by_hash: Dict[int, List[int]] = defaultdict(list)
    for place, number in enumerate(store.hashes.tolist()):
        by_hash[number].append(place)
    found: List[List[int]] = []
    for places in by_hash.values():
        if len({store.frames[place].label for place in places}) > 1:
            found += _contradicting(store, places)
    if not found:
        return ''
    named = '; '.join(' and '.join(_name(store.frames[place]) for place in places) for places in found[:_MOST_NAMED])
    more = f'; and {len(found) - _MOST_NAMED} more' if len(found) > _MOST_NAMED else ''
    return (f'{len(found)} picture{"s are" if len(found) > 1 else " is"} there with more than one label, of which one '
            f'can be right; correct or remove the others: {named}{more}')


def _contradicting(store: FrameStore, places: List[int]) -> List[List[int]]:
    """One frame of each label, of every picture among these that has several."""
    labels_of: Dict[bytes, Dict[str, int]] = defaultdict(dict)
    for place in places:
        pixels = np.ascontiguousarray(store.pixels(place))
        labels_of[repr(pixels.shape).encode() + pixels.tobytes()].setdefault(store.frames[place].label, place)
    return [sorted(labels.values()) for labels in labels_of.values() if len(labels) > 1]


def _name(frame: LabelledFrame) -> str:
    where = f'{printable(frame.recording, 80)} at {frame.stamp_ns / 1e9:.3f} s' if frame.topic else shown(frame.path)
    return f'{where} ({printable(frame.label, 40)})'

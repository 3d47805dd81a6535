"""Which layers of a network lose too much in int8, found in a bounded number of tries.

Each try is a model in which some layers stay float32. First the layers are tried in units of neighbours; units whose
absence takes away far more of the divergence than their share are cut short from behind: mostly their first layers are
what loses. Neighbours stay together because the edge between float32 and int8 costs, too: a layer that is float32 alone
can make things worse.
"""
from dataclasses import dataclass
from typing import Callable, List, Sequence, Tuple

import numpy as np

NEGLIGIBLE = 0.002
"""Nats of divergence below which no layer is looked for."""
UNITS = 8
MUCH = 0.3
"""Share of the divergence from which on a unit loses too much; of eight equal units each has an eighth."""
ENOUGH = 0.6
"""Share of what a unit takes away from which on its first layers will do."""


@dataclass(frozen=True)
class Search:
    """What was found.

    Attributes:
        kept_float: layers that lose too much, in their order.
        divergence: of the model in which they stay float32, in nats.
        tries: models that were made.
    """

    kept_float: Tuple[str, ...]
    divergence: float
    tries: int


def find_sensitive(divergence: Callable[[Sequence[str]], float], layers: Sequence[str], tries: int) -> Search:
    """Find the layers that lose too much.

    Args:
        divergence: of the model in which these layers stay float32; not negative.
        layers: names, in the order of the network.
        tries: models that may be made at most, beside the one in which nothing stays float32.
    """
    full = divergence(())
    made = 1
    if full <= NEGLIGIBLE:
        return Search((), full, made)
    units = [list(one) for one in np.array_split(np.array(layers, object), min(UNITS, len(layers))) if len(one)]
    falls: List[Tuple[float, List[str]]] = []
    for unit in units:
        if made > tries:
            break
        falls.append((1 - divergence(unit) / full, unit))
        made += 1
    kept: List[str] = []
    for fall, unit in sorted(falls, key=lambda one: -one[0]):
        if fall < MUCH:
            break
        short = unit
        for count in range(1, len(unit)):
            if made > tries:
                break
            found = 1 - divergence(unit[:count]) / full
            made += 1
            if found >= ENOUGH * fall:
                short = unit[:count]
                break
        kept += short
    if not kept:
        return Search((), full, made)
    kept.sort(key=list(layers).index)
    rest = divergence(kept)
    return Search(tuple(kept), rest, made + 1) if rest < full else Search((), full, made + 1)

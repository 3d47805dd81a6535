"""All that is read of a pass by what comes after it, as one array on the host.

What features are multiplied by is known when a model is loaded. Tables that meet the same features are put side by
side, so that there is one product for each kind of features; products, features and logits are fetched together, and
all squared lengths come from one operation. After a forward pass nothing of this is in the caches, and each operation
that is not done costs 5 to 40 us less.
"""
from typing import List, NamedTuple, Optional, Sequence

import numpy as np


class Table(NamedTuple):
    """What features are multiplied by.

    Attributes:
        matrix: float32, shape (F, K).
        squared: of how many of the K products, from the first one on, the squared length is wanted; at least 1.
        place: of the stage whose features it meets; None: what the head sees.
        addend: added to the products, shape (K,); None: nothing.
    """

    matrix: np.ndarray
    squared: int
    place: Optional[int] = None
    addend: Optional[np.ndarray] = None


class Product(NamedTuple):
    """Features of B frames times a table.

    Attributes:
        values: float32, shape (B, K).
        lengths: squared length of the features of each frame, B numbers.
        squares: sum of the squares of the first ``squared`` products of each frame, B numbers.
    """

    values: np.ndarray
    lengths: List[float]
    squares: List[float]


class Read(NamedTuple):
    """What is read of a pass.

    Attributes:
        logits: float32, shape (B, C).
        of_tables: in the order in which the tables were given.
    """

    logits: np.ndarray
    of_tables: List[Product]


class PassProducts:
    """Makes :class:`Read`.

    Args:
        tables: at least one.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        places = {table.place: None for table in tables}
        self._places = list(places)
        together = [[table for table in tables if table.place == place] for place in places]
        self._matrices = [np.concatenate([one.matrix for one in group], axis=1) for group in together]
        self._addends = [None if all(one.addend is None for one in group) else np.concatenate(
            [np.zeros(one.matrix.shape[1], np.float32) if one.addend is None else one.addend for one in group])
            for group in together]
        starts, end = [], 0
        for matrix in self._matrices:
            starts.append(end)
            end += len(matrix)
        number = {place: order for order, place in enumerate(places)}
        found = {}
        for group in together:
            for table in group:
                width = table.matrix.shape[1]
                found[id(table)] = slice(end, end + width), number[table.place], len(starts)
                starts += [end] + [end + table.squared] * (table.squared < width)
                end += width
        self._where = [found[id(table)] for table in tables]
        self._starts, self._end = np.array(starts), end

    def __call__(self, logits: np.ndarray, features: np.ndarray, stages: Sequence[np.ndarray] = ()) -> Read:
        """Of float32 logits (B, C), features (B, F) and stages (B, F_s) each."""
        read = [features if place is None else stages[place] for place in self._places]
        products = [one @ matrix if addend is None else one @ matrix + addend
                    for one, matrix, addend in zip(read, self._matrices, self._addends)]
        packed = np.concatenate([*read, *products, logits], axis=1)
        used = packed[:, :self._end]
        sums = np.add.reduceat(used * used, self._starts, axis=1).T.tolist()
        return Read(packed[:, self._end:], [Product(packed[:, where], sums[lengths], sums[squares])
                                                for where, lengths, squares in self._where])

"""Scrambled Sobol points, the same numbers as ``torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=0)``.

Bundles are calibrated with these draws, and a robot may run them without torch. Direction numbers: Joe and Kuo 2008,
"Constructing Sobol sequences with better two-dimensional projections", file new-joe-kuo-6; scrambling by random lower
triangular matrices and a shift: Matousek 1998, "On the L2-discrepancy for anchored boxes".
"""
from typing import List

import numpy as np

_BITS = 30
# Of each dimension from the second on: the degree of its polynomial, the polynomial's inner coefficients as bits, m_i.
_DIRECTIONS = (
    (1, 0, (1,)), (2, 1, (1, 3)), (3, 1, (1, 3, 1)), (3, 2, (1, 1, 1)), (4, 1, (1, 1, 3, 3)), (4, 4, (1, 3, 5, 13)),
    (5, 2, (1, 1, 5, 5, 17)), (5, 4, (1, 1, 5, 5, 5)), (5, 7, (1, 1, 7, 11, 19)), (5, 11, (1, 1, 5, 1, 1)),
    (5, 13, (1, 1, 1, 3, 11)), (5, 14, (1, 3, 5, 5, 31)), (6, 1, (1, 3, 3, 9, 7, 49)), (6, 13, (1, 1, 1, 15, 21, 21)),
    (6, 16, (1, 3, 1, 13, 27, 49)), (6, 19, (1, 1, 1, 15, 7, 5)), (6, 22, (1, 3, 1, 15, 13, 25)),
    (6, 25, (1, 1, 5, 5, 19, 61)), (7, 1, (1, 3, 7, 11, 23, 15, 103)), (7, 4, (1, 3, 7, 13, 13, 15, 69)),
    (7, 7, (1, 1, 3, 13, 7, 35, 63)), (7, 8, (1, 3, 5, 9, 1, 25, 53)), (7, 14, (1, 3, 1, 13, 9, 35, 107)),
    (7, 19, (1, 3, 1, 5, 27, 61, 31)), (7, 21, (1, 1, 5, 11, 19, 41, 61)), (7, 28, (1, 3, 5, 3, 3, 13, 69)),
    (7, 31, (1, 1, 7, 13, 1, 19, 1)), (7, 32, (1, 3, 7, 5, 13, 19, 59)), (7, 37, (1, 1, 3, 9, 25, 29, 41)),
    (7, 41, (1, 3, 5, 13, 23, 1, 55)), (7, 42, (1, 3, 7, 3, 13, 59, 17)))
MOST_DIMENSIONS = len(_DIRECTIONS) + 1


def scrambled_sobol(count: int, dimensions: int) -> np.ndarray:
    """The first points, float64 (count, dimensions), in [0, 1).

    Args:
        count: at least 1.
        dimensions: in 1..:data:`MOST_DIMENSIONS`.
    """
    bits = np.random.RandomState(0)  # the Mersenne twister, seeded as torch seeds it
    places = np.int64(1) << np.arange(_BITS, dtype=np.int64)
    shift = (_coins(bits, (dimensions, _BITS)) * places).sum(axis=1)
    triangles = np.tril(_coins(bits, (dimensions, _BITS, _BITS)))
    triangles[:, np.arange(_BITS), np.arange(_BITS)] = 1
    vectors = np.array([_direction_numbers(dimension) for dimension in range(dimensions)], np.int64)
    of_vectors = vectors[:, :, None] >> np.arange(_BITS - 1, -1, -1) & 1  # (D, 30, 30), the highest bit first
    scrambled = np.matmul(of_vectors, triangles.transpose(0, 2, 1)) % 2 @ places[::-1]
    points, point = np.empty((count, dimensions)), shift
    # The first point is of float32 in torch.
    points[0] = (point / 2**_BITS).astype(np.float32)
    for number in range(1, count):
        lowest_zero = (~(number - 1) & number).bit_length() - 1
        point = point ^ scrambled[:, lowest_zero]
        points[number] = point / 2**_BITS
    return points


def _coins(bits: np.random.RandomState, shape: 'tuple[int, ...]') -> np.ndarray:
    """0 or 1: the last bit of each number of 32 bits."""
    drawn = bits.randint(0, 2**32, int(np.prod(shape)), np.uint64)
    coins: np.ndarray = (drawn & np.uint64(1)).astype(np.int64).reshape(shape)
    return coins


def _direction_numbers(dimension: int) -> List[int]:
    """v_1 ... v_30 of a dimension, as whole numbers of 30 bits."""
    if dimension == 0:
        return [1 << (_BITS - 1 - place) for place in range(_BITS)]
    degree, polynomial, first = _DIRECTIONS[dimension - 1]
    m = list(first)
    for place in range(degree, _BITS):
        value = m[place - degree] ^ m[place - degree] << degree
        for back in range(1, degree):
            if polynomial >> (degree - 1 - back) & 1:
                value ^= m[place - back] << back
        m.append(value)
    return [value << (_BITS - 1 - place) for place, value in enumerate(m)]

"""A picture -> the numbers by which a fault of the camera is told, from a part of its rows and columns.

All are read from 16 rows, evenly spaced, and 12 columns, so that the cost hardly grows with the picture. Sides longer
than 480 pixels are averaged along the rows to about 240 to 480 first: what is asked is whether the picture is sharp
and free of noise at the scale that a network looks at, not whether the sensor's finest detail is.

Sharpness and noise are told by the structure function D(k), the mean square of the difference of two pixels k apart in
a row or a column. White noise has the same D at all k; an edge that is spread over more than 16 pixels has D growing by
k^2 up to there, so D(2)/D(16) goes to 1/64; sharp pictures have .05 to .5. A camera that moves leaves the edges along
its way sharp, one out of focus none, so that the sharper of the two directions counts.
"""
from functools import lru_cache
from math import ceil, sqrt
from typing import List, NamedTuple, Tuple

import numpy as np

from ...types import ColorOrder, Picture

NAMES = ('bright', 'white_level', 'spread', 'contrast', 'sharpness', 'noise', 'stuck', 'equal', 'lost', 'torn', 'wild',
         'uneven', 'channel', 'tint', 'green')
"""The statistics, in the order of :attr:`Look.values`:

============== ======================================================================================================
``bright``     share of the values at the upper limit (250 and above)
``white_level`` brightness that 95 % of the picture stay below, 0..255
``spread``     between the brightness that 1 % and 99 % stay below
``contrast``   root mean square of the steps between neighbouring areas of about a fortieth of the picture, less
               what noise makes of them
``sharpness``  D(2)/D(16) where there is most structure, without the noise, in the direction that is sharper; 1 where
               neither has enough to tell
``noise``      standard deviation of white noise in the quieter half of the picture, in levels
``stuck``      longest run of rows that are equal and not plain, as a share of the rows
``equal``      share of the rows that are equal to the one above and not plain, in runs of six at least: a picture
               that was enlarged repeats each row a few times
``lost``       share of the rows that are of one brightness, but not of white; without bars of the same height at the
               top and at the bottom, which a wide picture has in a narrow frame
``torn``       how many times better a row fits the one above if it is shifted aside, at the worst place; 1 at least
``wild``       share of the rows that are noise while the others are not
``uneven``     D(1) down the columns over D(1) along the rows
``channel``    spread of the channel that varies least over that of the one that varies most; 1 for grey
``tint``       mean of red minus blue; 0 for grey
``green``      mean of green minus the mean of red and blue; 0 for grey
============== ======================================================================================================
"""
COLOURS = 120
"""Numbers in :attr:`Look.colours`."""
STATISTICS = len(NAMES) + COLOURS

_ROWS, _COLUMNS, _COARSE = 16, 12, 40
_SCALE = 240  # the shorter side is brought down to no less than this
_LEAST_SIDE = 24  # of smaller pictures only brightness and colours are looked at
_LEAST_SHARP_SIDE = 96  # and smaller ones than this were made of others, at whatever sharpness
_REPEATS = 6  # rows
_SHARP = 0.1  # who is so in his rows is not asked for his columns
_WHITE, _PLAIN = 250, 24
_HUED = 900  # pixels of the sample whose colours are counted, about
_STRENGTHS = np.searchsorted([1, 3, 8, 16, 30, 60], np.arange(256), side='right')  # of |R - B|: 0 is below 1
_STEPS = np.concatenate([6 - _STRENGTHS[:0:-1], 6 + _STRENGTHS])  # of R - B from -255: 0..5 bluer, 6 neither, 7..12
_GREENS = np.searchsorted([-20, -6, 6, 20], np.arange(-510, 511)) * 13  # of 2 G - R - B
_BRIGHTNESSES = np.searchsorted([210, 420, 600], np.arange(766), side='right') * 65  # of R + G + B
_PLACES = np.arange(260).reshape(20, 13)
_REDDER, _BLUER = _PLACES[:, 7:].ravel(), _PLACES[:, 5::-1].ravel()  # places of that histogram that belong together
_MIDDLE = 128.0  # of the levels
_MEAN, _SHARES = np.full(3, 1 / 3, np.float32), (0.01, 0.95, 0.99)
_RED_FIRST = (ColorOrder.RGB, ColorOrder.RGBA)
_TORN_AT, _TORN_TRIES = 2.5, 3
# Values where there is nothing to tell.
_NOTHING = np.array([0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0], np.float32)
_NO_COLOURS = np.zeros(COLOURS, np.float32)


class Look(NamedTuple):
    """What was read of one picture.

    Attributes:
        values: float32 (15,), see :data:`NAMES`.
        colours: float32 (120,): of four brightnesses times five shares of green times six strengths, the root of the
            share of the picture that is so much redder than blue minus the root of the share that is so much bluer than
            red. All change sign when red and blue are exchanged. Zeros for grey pictures.
        sample: the rows that were read, uint8; the same for the same picture.
    """

    values: np.ndarray
    colours: np.ndarray
    sample: np.ndarray


def look(picture: Picture, colours: bool = True) -> Look:
    """Read the statistics of a picture of any size, however small.

    ``colours``: whether :attr:`Look.colours` is wanted, else they are zeros.
    """
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    if pixels.ndim == 3 and pixels.shape[2] == 4:  # alpha says nothing about a camera
        pixels = pixels[..., :3]
    rows = min(height, _ROWS)
    step = height // rows
    first = (height - 1 - step * (rows - 1)) // 2
    sample = np.ascontiguousarray(pixels[first:first + step * rows:step])
    exact = sample.astype(np.float32)
    levels = _coarse(exact[::2])
    values = _NOTHING.copy()
    values[0] = np.count_nonzero(sample >= _WHITE) / sample.size
    grey = levels if levels.ndim == 2 else np.floor(levels.reshape(-1, 3) @ _MEAN).reshape(levels.shape[:2])
    dark, values[1], light = _quantiles(grey, _SHARES)
    values[2] = light - dark
    steps = _steps(grey)
    if min(height, width) >= _LEAST_SIDE:
        shrink = max(1, min(height, width) // _SCALE)
        (along, values[4], values[5], values[10]), variance = _structure(_fine(exact, shrink))
        if min(height, width) < _LEAST_SHARP_SIDE:
            values[4] = 1
        else:
            values[4] = _sharper(values[4], pixels, shrink)
        steps -= 2 * variance * shrink / max(1, width // _COARSE)  # the noise that averaging leaves
        values[6:10], steepness = _rows(pixels)
        values[11] = (steepness + 1) / (along + 1)
        if values[11] > 2 and values[9] == 1:
            values[9] = max(_shift_gain(pixels, row) for row in (height // 4, height // 2, 3 * height // 4))
    values[3] = max(steps, 0.0) ** 0.5
    if levels.ndim == 2:
        return Look(values, _NO_COLOURS, sample)
    means, spreads = _means_and_spreads(levels.reshape(-1, 3))
    red, blue = (0, 2) if picture.order in _RED_FIRST else (2, 0)
    values[12] = (min(spreads) + 0.01) / (max(spreads) + 0.01)
    values[13], values[14] = means[red] - means[blue], means[1] - (means[red] + means[blue]) / 2
    return Look(values, _colours(sample, red, blue) if colours else _NO_COLOURS, sample)


def sharpness(picture: Picture) -> float:
    """``sharpness`` of :data:`NAMES` alone; 1 for pictures of which it cannot be told, those below 96 pixels too."""
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    if min(height, width) < _LEAST_SHARP_SIDE:
        return 1.0
    shrink = max(1, min(height, width) // _SCALE)
    step = height // _ROWS
    rows = pixels[step // 2::step][:_ROWS]
    along = _structure(_fine(np.ascontiguousarray(rows[..., :3] if rows.ndim == 3 else rows).astype(np.float32),
                             shrink))[0][1]
    return _sharper(along, pixels, shrink)


def _sharper(along: float, pixels: np.ndarray, shrink: int) -> float:
    """The sharpness of the direction that is sharper, from that along the rows; the columns are read if that is low."""
    if along >= _SHARP and along != 1:
        return along
    down = _structure(_fine_columns(pixels, shrink))[0][1]
    return min(along, down) if 1 in (along, down) else max(along, down)


def _coarse(exact: np.ndarray) -> np.ndarray:
    """Every other sampled row with a fortieth of the width a pixel; whole numbers, float32 (rows, columns[, 3])."""
    rows, width = exact.shape[:2]
    many = width // _COARSE
    if many < 2:
        return exact
    channels = exact.size // (rows * width)
    used = np.ascontiguousarray(exact[:, :many * _COARSE]).reshape(-1, many * channels)
    levels: np.ndarray = used @ _averaging(many, channels)
    np.floor(levels, out=levels)
    return levels.reshape((rows, _COARSE) if exact.ndim == 2 else (rows, _COARSE, channels))


def _means_and_spreads(levels: np.ndarray) -> Tuple[List[float], List[float]]:
    """Mean and standard deviation of each channel of whole numbers, float32 (n, channels).

    Of few numbers less than 2^24 even the sum of squares is exact in float32.
    """
    centred = levels - _MIDDLE
    sums = np.add.reduce(centred, axis=0).tolist()
    squares = np.add.reduce(np.multiply(centred, centred, out=centred), axis=0).tolist()
    count = len(levels)
    return ([_MIDDLE + one / count for one in sums],
            [sqrt(max(square / count - (one / count) ** 2, 0.0)) for one, square in zip(sums, squares)])


def _fine(exact: np.ndarray, shrink: int) -> np.ndarray:
    """Green of the sampled rows, ``shrink`` pixels of a row averaged to one; float32 (rows, columns)."""
    rows, width = exact.shape[:2]
    columns, channels = width // shrink, exact.size // (rows * width)
    if shrink == channels == 1:
        return exact
    used = exact if width == columns * shrink else np.ascontiguousarray(exact[:, :columns * shrink])
    green = _averaging(shrink, channels)[:, channels // 2]
    found: np.ndarray = (used.reshape(-1, shrink * channels) @ green).reshape(rows, columns)
    return found


def _columns(pixels: np.ndarray) -> np.ndarray:
    """Green of 12 columns, evenly spaced, each a row of the result; uint8, a view."""
    step = max(1, pixels.shape[1] // _COLUMNS)
    found: np.ndarray = (pixels[:, step // 2::step] if pixels.ndim == 2 else pixels[:, step // 2::step, 1]).T
    return found


def _fine_columns(pixels: np.ndarray, shrink: int) -> np.ndarray:
    """Green of sampled columns, each a row of the result, averaged as :func:`_fine` does; float32."""
    used = _columns(pixels)[:, :len(pixels) // shrink * shrink].astype(np.float32)
    return used if shrink == 1 else _fine(used, shrink)


@lru_cache(maxsize=64)
def _averaging(pixels: int, channels: int) -> np.ndarray:
    """Matrix that averages so many pixels one after another; float32 (pixels * channels, channels)."""
    return np.tile(np.eye(channels, dtype=np.float32), (pixels, 1)) / pixels


def _quantiles(levels: np.ndarray, shares: Tuple[float, ...]) -> List[int]:
    """What these shares of levels, whole numbers, are not above."""
    ordered = levels.flatten()
    ordered.sort()
    return [int(ordered[max(ceil(share * ordered.size), 1) - 1]) for share in shares]


def _steps(levels: np.ndarray) -> float:
    """Mean square of the steps to the right and downwards, of float32 (rows, columns)."""
    right, down = (levels[:, 1:] - levels[:, :-1]).ravel(), (levels[1:] - levels[:-1]).ravel()
    count: int = max(right.size + down.size, 1)
    return float(right @ right + down @ down) / count


@lru_cache(maxsize=64)
def _mean_of(count: int) -> np.ndarray:
    """A vector of which the product with others is their mean."""
    return np.full(count, 1 / count, np.float32)


def _structure(fine: np.ndarray) -> Tuple[Tuple[float, float, float, float], float]:
    """D(1), sharpness, noise and wild rows, and the variance in the quietest quarter.

    Args:
        fine: one channel of the sampled rows, float32 (rows, columns).
    """
    rows, columns = fine.shape
    block = 32 if columns >= 80 else 8
    used = (columns - 16) // block * block
    here = fine[:, :used]
    squares = np.empty((4, rows, used), np.float32)
    step = fine[:, 1:used + 2] - fine[:, :used + 1]
    squares[0] = step[:, :used]
    np.subtract(fine[:, 2:used + 2], here, out=squares[1])
    np.subtract(fine[:, 16:used + 16], here, out=squares[2])
    # Second differences see neither slopes nor much of what is smooth: of white noise they have 6 times the variance.
    np.subtract(step[:, 1:], step[:, :-1], out=squares[3])
    np.multiply(squares, squares, out=squares)
    one, two, sixteen, bent = (squares.reshape(-1, block) @ _mean_of(block)).reshape(4, -1)
    order = bent.argsort()
    variance = float(bent[order[len(order) // 4]]) / 6
    quiet = order[:max(1, len(order) // 2)]
    # Their ratio is 3 for white noise, 2 for the sharpest edge, and less for all else.
    whiteness = (float(bent[quiet].sum()) + 1) / (3 * float(one[quiet].sum()) + 4)
    noise = variance ** 0.5 * min(max((whiteness - 0.65) / 0.2, 0.0), 1.0)
    most = max(1, len(sixteen) // 10)
    top = sixteen.argpartition(-most)[-most:]
    structure, sharpness = float(sixteen[top].sum()) / most - 2 * variance, 1.0
    if structure > max(16.0, 8 * variance):
        sharpness = max(float(two[top].sum()) / most - 2 * variance, 0.0) / structure
    across = _mean_of(used // block)
    by_row = one.reshape(rows, -1) @ across
    wild, highest = 0.0, float(by_row.max())
    if highest > 1500:
        least = 10 * float(np.partition(by_row, rows // 2)[rows // 2]) + 1500
        if highest > least:
            wild = float(((by_row > least) & (bent.reshape(rows, -1) @ across > 2.4 * by_row)).mean())
    return (float(by_row.sum()) / rows, sharpness, noise, wild), variance


def _rows(pixels: np.ndarray) -> Tuple[Tuple[float, float, float, float], float]:
    """Stuck, equal, lost and torn rows, and D(1) down the columns."""
    height = len(pixels)
    across = np.ascontiguousarray(_columns(pixels))  # (columns, rows): what runs over the columns is quick
    steps = np.subtract(across[:, 1:], across[:, :-1], dtype=np.float32)
    count = len(across)
    mean = _mean_of(count)
    drift = mean @ steps
    square = mean @ np.multiply(steps, steps, out=steps)
    deviation = np.sqrt(np.abs(square - drift * drift))
    run, equal, lost = 0, 0.0, 0.0
    if not square.all():  # a sensor's noise makes every row another
        low, high = across.min(axis=0), across.max(axis=0)
        contrast = high - low
        same = (square == 0) & (contrast[1:] > _PLAIN)
        if same.any() and _is_striped(across, same):
            same[:] = False
        runs = np.diff(np.flatnonzero(np.concatenate([[True], ~same, [True]]))) - 1
        run, equal = int(runs.max()), float(runs[runs >= _REPEATS].sum()) / height
        plain = (contrast <= 1) & (low < _WHITE)
        lost = float(np.count_nonzero(plain) - _bars(plain)) / height if plain.any() else 0.0
    around = np.maximum(np.maximum(deviation[:-4], deviation[1:-3]), np.maximum(deviation[3:-1], deviation[4:])) + 2
    jump = deviation[2:-2] / around
    torn = 1.0
    if len(jump) and jump.max() > _TORN_AT:
        places = np.argpartition(jump, -min(len(jump), _TORN_TRIES))[-_TORN_TRIES:]
        torn = max(_shift_gain(pixels, int(place) + 2) for place in places if jump[place] > _TORN_AT)
    return (run / height, equal, lost, torn), float(square.sum()) / max(len(square), 1)


def _bars(plain: np.ndarray) -> int:
    """Rows in bars of about the same height at the top and the bottom, of which the picture's middle is free."""
    rows = len(plain)
    filled = np.flatnonzero(~plain)
    if not len(filled):
        return 0
    top, bottom = int(filled[0]), rows - 1 - int(filled[-1])
    return top + bottom if abs(top - bottom) <= max(2, 0.02 * rows) and top + bottom < rows / 2 else 0


def _is_striped(across: np.ndarray, same: np.ndarray) -> bool:
    """Whether the rows (columns, rows) resemble each other where they are not equal, too: then the picture is so."""
    others = across[:, 1:][:, ~same]
    if others.shape[1] < 3:
        return True
    down, along = float(others.std(axis=1).mean()), float(across[:, 1:][:, same].std(axis=0).mean())
    return down < 0.1 * along


def _shift_gain(pixels: np.ndarray, row: int) -> float:
    """How many times better ``row`` + 1 fits ``row`` if it may be shifted aside (around); 1 at least.

    Two rows of a picture fit best where they are. A row that was read out late is shifted.
    """
    pair = pixels[row:row + 2] if pixels.ndim == 2 else pixels[row:row + 2, :, 1]
    above, below = pair.astype(np.float32)
    width = len(above)
    spectrum = np.fft.rfft(np.stack([above, below]) - above.mean())
    fits = np.fft.irfft(spectrum[0].conj() * spectrum[1], width)
    best = int(fits.argmax())
    if min(best, width - best) < 3:
        return 1.0
    here = float(np.abs(above - below).mean())
    shifted = float(np.abs(above - np.roll(below, -best)).mean())
    return max(1.0, (here + 1) / (shifted + 1))


def _colours(sample: np.ndarray, red: int, blue: int) -> np.ndarray:
    """See :attr:`Look.colours`; of the sampled rows, and the places of their channels."""
    rows, width = sample.shape[:2]
    some = np.ascontiguousarray(sample[:, ::max(1, rows * width // _HUED)].reshape(-1, 3).T).astype(np.intp)
    r, g, b = some[red], some[1], some[blue]
    both = r + b
    bins = _STEPS.take(r - b + 255) + _GREENS.take(2 * g - both + 510) + _BRIGHTNESSES.take(both + g)
    roots = np.sqrt(np.bincount(bins, minlength=260) / bins.size)
    found: np.ndarray = (roots.take(_REDDER) - roots.take(_BLUER)).astype(np.float32)
    return found

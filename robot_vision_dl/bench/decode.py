"""``robot-vision bench decode``: an image message to a picture, and what checking it before takes of that."""
import argparse
import sys
import time
from typing import Callable, Dict, List, Sequence, Tuple

import cv2
import numpy as np

from ..core.config import ImageConfig
from ..core.images import cdr, jpeg_file, png_file
from ..core.images.image import decode
from ..core.images.jpeg_end import check_end
from ..core.metrics.percentiles import percentiles
from ..core.text.number_options import real
from ..core.text.table import ruled
from ..core.types import CompressedImage, Header, ImageMessage, RawImage
from .report import conclude

HELP = 'message to picture for raw, JPEG and PNG, and what checking it first takes of that'
WARM_UP = 5
FEWEST = 30  # repetitions of each, however long they take


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what."""
    parser.add_argument('--sizes', nargs='+', default=['640x480', '1920x1080'], metavar='WxH',
                        help='of the pictures')
    parser.add_argument('--seconds', type=real(0.01, 10**6), default=2.0, help='of each figure (default: 2)')


def _times(functions: Sequence[Callable[[], object]], seconds: float) -> List[Dict[str, float]]:
    """Percentiles and the minimum (ms) of each function; they take turns, so that all meet the same load."""
    for _ in range(WARM_UP):
        for function in functions:
            function()
    times: List[List[float]] = [[] for _ in functions]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < FEWEST:
        for function, taken in zip(functions, times):
            started = time.perf_counter()
            function()
            taken.append((time.perf_counter() - started) * 1e3)
    return [{**percentiles(taken), 'min': min(taken)} for taken in times]


def scene(width: int, height: int) -> np.ndarray:
    """Large and small structure and a sensor's noise: uint8, shape (H, W, 3), BGR."""
    random = np.random.default_rng(0)
    coarse = cv2.resize(random.integers(0, 256, (9, 12, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(coarse + random.normal(0, 4, coarse.shape), 0, 255).astype(np.uint8)


def messages(width: int, height: int) -> List[Tuple[str, ImageMessage]]:
    """(Name, message) of one picture in each of the kinds that cameras send."""
    header, pixels = Header(0, 'bench_camera'), scene(width, height)
    found: List[Tuple[str, ImageMessage]] = [
        ('bgr8', RawImage(header, height, width, 'bgr8', False, 3 * width, pixels.reshape(-1)))]
    for name, suffix, parameters in (('JPEG 80', '.jpg', (cv2.IMWRITE_JPEG_QUALITY, 80)),
                                     ('JPEG 95', '.jpg', (cv2.IMWRITE_JPEG_QUALITY, 95)),
                                     ('JPEG progressive', '.jpg', (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
                                     ('PNG', '.png', ())):
        found.append((name, CompressedImage(header, '', cv2.imencode(suffix, pixels, parameters)[1].reshape(-1))))
    return found


def _whole(message: ImageMessage, config: ImageConfig) -> Callable[[], object]:
    """From the serialized message to the picture."""
    read: Callable[[bytes], ImageMessage] = (
        cdr.decode_image if isinstance(message, RawImage) else cdr.decode_compressed_image)
    raw = _serialized(message)
    return lambda: decode(read(raw), config)


def _serialized(message: ImageMessage) -> bytes:
    return cdr.encode_image(message) if isinstance(message, RawImage) else cdr.encode_compressed_image(message)


def _check(message: ImageMessage, config: ImageConfig) -> Callable[[], object]:
    """All that is done to a message beside decoding it."""
    if isinstance(message, RawImage):
        return lambda: None
    if message.data[0] == jpeg_file.SIGNATURE[0]:
        pixels = decode(message, config).pixels
        return lambda: check_end(jpeg_file.check_jpeg(message.data, config), pixels)
    return lambda: png_file.check_png(message.data, config)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    config = ImageConfig()
    rows, figures = [], {}
    for size in args.sizes:
        width, height = map(int, size.split('x'))
        for name, message in messages(width, height):
            print(f'{size} {name} ...', file=sys.stderr, flush=True)
            whole, checks = _times([_whole(message, config), _check(message, config)], args.seconds)
            figures[f'{size} {name}'] = {'whole': whole, 'checks': checks}
            # Of the minima: the checks are a part of the whole, and load disturbs medians of so short a time.
            share = '-' if isinstance(message, RawImage) else f'{100 * checks["min"] / whole["min"]:.1f} %'
            rows.append((size, name, len(_serialized(message)), whole['n'], whole['p50'], whole['p95'], whole['min'],
                         checks['p50'], checks['min'], share))
    print(ruled(('size', 'encoding', 'bytes', 'n', 'p50 ms', 'p95 ms', 'min ms', 'checks p50 ms', 'checks min ms',
                 'share of min'), rows))
    conclude({'decode': figures}, args.json, 'message to picture, and within it the checks, n of each in turns; '
             f'as many threads as OpenCV takes, OpenCV {cv2.__version__}; ')
    return 0

"""Our conversions against the distribution's compiled cv_bridge, for every pair of encodings that it supports.

The reference runs in an interpreter of its own: the one named by ``CV_BRIDGE_PYTHON``, else this one or the system's.
``python3 test/core/images/test_cv_bridge_parity.py`` prints the table of what was compared.
"""
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from robot_vision_dl.core.errors import ImageError  # noqa: E402
from robot_vision_dl.core.images.convert import convert  # noqa: E402
from robot_vision_dl.core.images.encodings import NAMES, Kind, parse_encoding  # noqa: E402
from robot_vision_dl.core.images.image import view  # noqa: E402
from robot_vision_dl.core.types import Header, RawImage  # noqa: E402

REFERENCE = Path(__file__).with_name('cv_bridge_reference.py')
TYPES = ('8U', '8S', '16U', '16S', '32S', '32F', '64F')
TYPED = tuple(f'{kind}C{channels}' for kind in TYPES for channels in range(1, 5))
SIZES = ((48, 64), (47, 62), (31, 45), (3, 5))
# OpenCV's rounding of Bayer and YUV differs by a level of 8 bit between its versions and vector units (measured: 8 bit
# Bayer to mono, 4.6 against 5.0); all else is exact.
ALLOWED_LEVELS = {Kind.BAYER: 1, Kind.YUV422: 1}


def reference_python() -> Optional[str]:
    """An interpreter that can import a compiled cv_bridge."""
    named = os.environ.get('CV_BRIDGE_PYTHON')
    for python in [named] if named else [sys.executable, '/usr/bin/python3']:
        if Path(python).exists() and not subprocess.run([python, str(REFERENCE), '--check'], capture_output=True,
                                                        env=_plain_environment()).returncode:
            return python
    return None


def _plain_environment() -> Dict[str, str]:
    """Without the virtual environment's libraries, which another interpreter must not load."""
    return {name: value for name, value in os.environ.items() if name not in ('LD_LIBRARY_PATH', 'VIRTUAL_ENV')}


def ask_reference(python: str, arrays: Dict[str, np.ndarray], folder: Path) -> Dict[str, np.ndarray]:
    """What cv_bridge makes of the arrays; those it refuses are missing."""
    given, found = folder / 'given.npz', folder / 'found.npz'
    np.savez(given, **arrays)
    subprocess.run([python, str(REFERENCE), str(given), str(found)], check=True, capture_output=True,
                   env=_plain_environment())
    with np.load(found) as result:
        return {name: result[name] for name in result.files}


def picture(name: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Random pixels over the whole range of the encoding's type."""
    encoding = parse_encoding(name)
    shape = (height, width) if encoding.channels == 1 else (height, width, encoding.channels)
    if encoding.dtype.kind == 'f':
        return rng.uniform(-100.0, 400.0, shape).astype(encoding.dtype)
    limits = np.iinfo(encoding.dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=encoding.dtype, endpoint=True)


def is_beyond_cv_bridge(source: str, target: str) -> bool:
    """Whether we convert what cv_bridge, or an old one, does not."""
    if parse_encoding(target).is_colored and parse_encoding(source).kind is Kind.BAYER:
        return parse_encoding(target).channels == 4
    return Kind.YUV422 in (parse_encoding(source).kind, parse_encoding(target).kind)  # its names differ by version


class Compared(NamedTuple):
    """One conversion, in all sizes. The largest difference is in levels of the source's type."""

    source: str
    target: str
    sizes: int
    largest: float
    ours_refused: bool


def compare_conversions(python: str, folder: Path) -> List[Compared]:
    """Every pair of encodings, in every size; what cv_bridge refuses must be refused."""
    rng = np.random.default_rng(1)
    names = [name for name in NAMES if parse_encoding(name).kind is not Kind.PLANAR] + list(TYPED)
    arrays = {f'{source}|{target}|{height}x{width}': picture(source, height, width, rng)
              for source in names for target in names for height, width in SIZES}
    found = ask_reference(python, arrays, folder)
    results: Dict[tuple, list] = {}
    for key in arrays.keys() - found.keys():
        source, target, size = key.split('|')
        if size == f'{SIZES[0][0]}x{SIZES[0][1]}' and not is_beyond_cv_bridge(source, target):
            with pytest.raises(ImageError, match='no conversion'):
                convert(arrays[key], source, target)
    for key, expected in found.items():
        source, target, _ = key.split('|')
        try:
            ours = convert(arrays[key], source, target)
        except ImageError:
            results.setdefault((source, target), []).append(None)
            continue
        assert ours.dtype == expected.dtype and ours.shape == expected.shape, key
        kind, width = parse_encoding(source).kind, arrays[key].shape[1]
        if kind is Kind.YUV422 and width % 2 and parse_encoding(target).is_colored and source != target:
            # OpenCV leaves the last column of an odd width unwritten; we do not.
            ours, expected = ours[:, :width - 1], expected[:, :width - 1]
        difference = np.abs(ours.astype(np.float64) - expected.astype(np.float64))
        scaled = (parse_encoding(source).bits, parse_encoding(target).bits) == (8, 16)
        results.setdefault((source, target), []).append(float(difference.max()) / (257 if scaled else 1))
    return [Compared(source, target, len(values), max((v for v in values if v is not None), default=0.0),
                     None in values) for (source, target), values in results.items()]


@pytest.fixture(scope='module')
def python() -> str:
    found = reference_python()
    if found is None:
        pytest.skip('no interpreter here can import a compiled cv_bridge: apt install python3-cv-bridge (Debian) or '
                    'ros-<distro>-cv-bridge, or name one with CV_BRIDGE_PYTHON')
    return found


def test_conversions_are_those_of_cv_bridge(python, tmp_path):
    compared = compare_conversions(python, tmp_path)
    assert len(compared) > 400
    for pair in compared:
        assert not pair.ours_refused, pair
        assert pair.largest <= ALLOWED_LEVELS.get(parse_encoding(pair.source).kind, 0), pair


def test_yuyv_is_uyvy_with_its_bytes_exchanged(python, tmp_path):
    """Where cv_bridge knows only yuv422, for it is older than the other order."""
    pixels = picture('yuyv', 24, 32, np.random.default_rng(2))
    targets = ('bgr8', 'rgb8', 'mono8', 'bgra8', 'rgba8', 'bgr16')
    found = ask_reference(python, {f'yuv422|{target}|': pixels[..., ::-1].copy() for target in targets}, tmp_path)
    assert len(found) == len(targets)
    for target in targets:
        assert np.abs(convert(pixels, 'yuyv', target).astype(int) - found[f'yuv422|{target}|']).max() <= 1


def test_views_are_those_of_passthrough(python, tmp_path):
    """Every encoding, with and without padding, odd sizes, both byte orders."""
    rng = np.random.default_rng(3)
    images, arrays = {}, {}
    for name in [*NAMES, *TYPED]:
        encoding = parse_encoding(name)
        if encoding.kind is Kind.PLANAR:
            continue
        for height, width in SIZES:
            for padding in (0, 3):  # elements, as the C++ side needs whole ones
                for big in (False, True):
                    step = encoding.pixel_bytes * (width + padding)
                    data = rng.integers(0, 256, step * height, np.uint8)
                    key = f'passthrough|{name}|{height}|{width}|{step}|{int(big)}|{encoding.pixel_bytes}'
                    images[key] = RawImage(Header(0, ''), height, width, name, big, step, data)
                    arrays[key] = data
    found = ask_reference(python, arrays, tmp_path)
    assert len(found) > 40 * 16
    for key, expected in found.items():
        ours = view(images[key])
        assert ours.dtype == expected.dtype and ours.shape == expected.shape, key
        assert ours.tobytes() == expected.tobytes(), key


def _print_table() -> None:
    import tempfile
    python = reference_python()
    if python is None:
        sys.exit('no interpreter here can import a compiled cv_bridge; see CV_BRIDGE_PYTHON in this file')
    with tempfile.TemporaryDirectory() as folder:
        compared = compare_conversions(python, Path(folder))
    print(f'cv_bridge of {python}; {len(compared)} pairs in sizes {", ".join(f"{w}x{h}" for h, w in SIZES)}')
    print(f'{"source":14} {"targets":>7} {"images":>6} {"largest difference":>18}  converted to')
    for source in dict.fromkeys(pair.source for pair in compared):
        of = [pair for pair in compared if pair.source == source]
        targets = ' '.join(pair.target + ('(refused by us)' if pair.ours_refused else '') for pair in of)
        print(f'{source:14} {len(of):7} {sum(pair.sizes for pair in of):6} {max(pair.largest for pair in of):18g}  '
              f'{targets}')


if __name__ == '__main__':
    _print_table()

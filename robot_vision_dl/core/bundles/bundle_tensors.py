"""Tensors of a model bundle: read without running any code of theirs, and checked before anything computes with them.

A number that is none, or a table of another shape, would not end in an error later but in probabilities and scores
that mean nothing.
"""
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, TypeVar

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

from ..errors import BundleError, RobotVisionError
from ..text.printable import printable
from ..uncertainty.camera.probe import TENSORS as PROBE_TENSORS
from ..uncertainty.laplace import NAMES as LAPLACE_TENSORS
from ..uncertainty.laplace import Laplace
from ..uncertainty.vector import VectorScaling
from .bundle_files import COPY_AGAIN, MIB, open_regular

Values = TypeVar('Values')
MOST_BYTES = 4096 * MIB  # the largest network of torchvision has 2.6 GB
_MOST_HEADER_BYTES = MIB  # the longest of torchvision has 200 kB
_HEADS = ('head.weight', 'head.0.weight')
_MOST_WEIGHT, _MOST_BIAS = 1e6, 1e6
_LENGTHS = 0.9, 1.1  # of eigenvectors, which have the length 1
_MOST_EIGENVALUE = 1e18  # the product of two must fit into float32


def checked_load(path: Path, load: Callable[[str], Dict[str, Values]]) -> Dict[str, Values]:
    """What a loader of safetensors makes of a file whose header is sound.

    Raises:
        BundleError: it is no such file.
    """
    check_header(path)
    try:
        return load(str(path))
    except Exception as error:  # noqa: B902 - whatever safetensors, numpy and torch make of a damaged header
        raise BundleError(f'{printable(path)}: is not a whole safetensors file ({printable(error)})') from error


def read_tensors(path: Path) -> Dict[str, np.ndarray]:
    """All tensors of a safetensors file as arrays, every floating number of them finite.

    Raises:
        BundleError: it is no such file, or a number is not finite.
    """
    tensors = checked_load(path, load_file)
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise BundleError(f'{printable(path)}: {printable(name, 100)}: holds NaN or an infinity; make the bundle '
                              'again from sound weights')
    return tensors


def head_shape(path: Path) -> Optional[Tuple[int, ...]]:
    """Shape of the head's weights, (classes, features, ...); None where there are none.

    Raises:
        BundleError: it is no safetensors file.
    """
    check_header(path)
    try:
        with safe_open(str(path), framework='numpy') as file:
            heads = [key for key in file.keys() if key in _HEADS]
            return tuple(file.get_slice(heads[0]).get_shape()) if heads else None
    except Exception as error:  # noqa: B902 - as above
        raise BundleError(f'{printable(path)}: is not a whole safetensors file ({printable(error)})') from error


def read_head(path: Path, classes: int, features: int) -> Tuple[np.ndarray, np.ndarray]:
    """The linear head of a network that is a file: ``weight`` (C, F) and ``bias`` (C,), float32."""
    tensors = read_tensors(path)
    if 'weight' in tensors and tensors['weight'].dtype == np.float16:
        tensors = {**tensors, 'weight': tensors['weight'].astype(np.float32)}
    weight, bias = (_named(path, tensors, name, np.float32, dimensions) for name, dimensions in (
        ('weight', 2), ('bias', 1)))
    if len(tensors) != 2 or weight.shape != (classes, features) or len(bias) != classes:
        raise BundleError(f'{printable(path)}: must hold weight of the shape {(classes, features)} and bias of '
                          f'{classes}, and nothing else')
    return weight, bias


def check_names(path: Path, tensors: Mapping[str, np.ndarray], groups: Sequence[str]) -> None:
    """Raise :class:`BundleError` for a tensor that belongs to nothing that ``bundle.json`` describes.

    Args:
        groups: what it describes, of ``ood``, ``vector``, ``laplace`` and ``probe``.
    """
    known = {'vector': VectorScaling._fields, 'laplace': LAPLACE_TENSORS, 'probe': PROBE_TENSORS}
    for name in tensors:
        group, _, rest = name.partition('.')
        if group not in groups or (group in known and rest not in known[group]):
            raise BundleError(f'{printable(path)}: the tensor {printable(name, 60)} belongs to nothing that '
                              f'bundle.json describes; {COPY_AGAIN}')


def read_vector(path: Path, tensors: Mapping[str, np.ndarray], classes: int) -> VectorScaling:
    """Vector scaling from ``vector.weight`` and ``vector.bias``."""
    weight, bias = (_named(path, tensors, f'vector.{name}', np.float32, 1) for name in VectorScaling._fields)
    for tensor in (weight, bias):
        if len(tensor) != classes:
            raise BundleError(f'{path}: vector.weight and vector.bias must have {classes} numbers each')
    if not 0 < float(weight.min()) or float(weight.max()) > _MOST_WEIGHT or float(np.abs(bias).max()) > _MOST_BIAS:
        raise BundleError(f'{path}: vector.weight must be above 0 and at most {_MOST_WEIGHT:g}, vector.bias at most '
                          f'{_MOST_BIAS:g} from 0')
    return VectorScaling(weight, bias)


def read_laplace(path: Path, values: Mapping[str, Any], tensors: Mapping[str, np.ndarray], classes: int,
                 features: int) -> Laplace:
    """The posterior of the last layer, with its settings of ``bundle.json``."""
    vectors_a, values_a, vectors_b, values_b = (
        _named(path, tensors, f'laplace.{name}', np.float32, 2 if 'vectors' in name else 1)
        for name in LAPLACE_TENSORS)
    try:
        laplace = Laplace(vectors_a, values_a, vectors_b, values_b, **values)
    except (RobotVisionError, ValueError) as error:
        raise BundleError(f'{path}: {error}') from error
    if len(laplace.eigenvalues_b) != classes:
        raise BundleError(f'{path}: laplace is for {len(laplace.eigenvalues_b)} classes, the network has {classes}')
    if len(laplace.eigenvectors_a) != features + 1:
        raise BundleError(f'{path}: laplace is for {len(laplace.eigenvectors_a) - 1} features, the network has '
                          f'{features}')
    for name in LAPLACE_TENSORS:
        tensor = getattr(laplace, name)
        lengths = np.linalg.norm(tensor, axis=0)
        if 'vectors' in name and not _LENGTHS[0] < float(lengths.min()) <= float(lengths.max()) < _LENGTHS[1]:
            raise BundleError(f'{path}: laplace.{name} must be vectors of the length 1')
        if 'values' in name and not 0 <= float(tensor.min()) <= float(tensor.max()) <= _MOST_EIGENVALUE:
            raise BundleError(f'{path}: laplace.{name} must be in 0..{_MOST_EIGENVALUE:g}')
    return laplace


def _named(path: Path, tensors: Mapping[str, np.ndarray], name: str, dtype: type, dimensions: int
           ) -> np.ndarray:
    if name not in tensors:
        raise BundleError(f"{path}: the tensor '{name}' is missing")
    check_kind(tensors[name], dtype, dimensions, f'{path}: {name}')
    return tensors[name]


def check_kind(tensor: np.ndarray, dtype: type, dimensions: int, where: str) -> None:
    """Raise :class:`BundleError` for a tensor of another type, or of more or fewer dimensions, or an empty one."""
    if tensor.dtype != dtype or tensor.ndim != dimensions or not tensor.size:
        kinds = {0: 'one number', 1: 'a list', 2: 'a table'}
        raise BundleError(f'{where}: must be {kinds.get(dimensions, f"of {dimensions} dimensions")} of '
                          f'{np.dtype(dtype)}, not empty, got {tensor.dtype} of the shape '
                          f'{printable(tuple(tensor.shape), 60)}')


def check_header(path: Path) -> None:
    """Refuse what is no regular file, and a header that would be gigabytes of Python objects."""
    with open_regular(path, MOST_BYTES) as file:
        length = int.from_bytes(file.read(8), 'little')
    if length > _MOST_HEADER_BYTES:
        raise BundleError(f'{printable(path)}: is not a whole safetensors file (a header of {length} bytes)')

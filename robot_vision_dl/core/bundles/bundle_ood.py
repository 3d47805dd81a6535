"""The OOD score of a bundle: ``ood`` in ``bundle.json``, and the tensors ``ood.*``.

``ood`` is null, or has ``method`` and, where its features are those of a stage, ``of``; of a combination ``method``
is ``combined``, and ``parts`` are objects with ``method`` and, of a stage, ``of``.
"""
from pathlib import Path
from types import MappingProxyType
from typing import Any, Dict, Mapping, Sequence

import numpy as np

from ..errors import BundleError, RobotVisionError
from ..text.printable import printable
from ..uncertainty.ood.p_value import OodCalibration
from ..uncertainty.ood.part import COMBINED, MOST_PARTS, Part
from .bundle_files import COPY_AGAIN
from .bundle_tensors import check_kind

_PREFIX = 'ood.'
_LONGEST = 100  # of the name of a stage
_MOST_SCALE = 1e6


def describe_ood(ood: OodCalibration) -> Dict[str, Any]:
    """What ``bundle.json`` says of a score."""
    if ood.parts:
        return {'method': COMBINED, 'parts': [_describe(part) for part in ood.parts]}
    return _describe(ood.all_parts[0])


def _describe(part: Part) -> Dict[str, str]:
    return {'method': part.method, **({'of': part.of} if part.of else {})}


def check_ood(values: Any, stage_names: Sequence[str]) -> None:
    """Raise :class:`BundleError` or ConfigError unless ``values`` describe a score of a network with such stages."""
    if not isinstance(values, dict):
        raise BundleError(f'ood: must be an object, got {printable(repr(values), 80)}')
    if values.get('method') != COMBINED:
        _part(values, 'ood', stage_names)
        return
    if set(values) != {'method', 'parts'}:
        raise BundleError(f'ood: of {COMBINED} there must be method and parts, got {printable(sorted(values), 80)}')
    parts = values['parts']
    if not isinstance(parts, list) or not 2 <= len(parts) <= MOST_PARTS:
        raise BundleError(f'ood.parts: must be a list of 2 to {MOST_PARTS} scores, got {printable(repr(parts), 80)}')
    found = [_part(part, f'ood.parts[{number}]', stage_names) for number, part in enumerate(parts)]
    if len(set(found)) < len(found):
        raise BundleError('ood.parts: a score occurs twice; they must be different')


def _part(values: Any, where: str, stage_names: Sequence[str]) -> Part:
    if not isinstance(values, dict) or not {'method'} <= set(values) <= {'method', 'of'}:
        raise BundleError(f'{where}: must be an object with method and perhaps of, got {printable(repr(values), 80)}')
    for key, value in values.items():
        if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
            raise BundleError(f'{where}.{key}: must be a text of 1 to {_LONGEST} characters, got '
                              f'{printable(repr(value), 80)}')
    try:
        part = Part(**values)
        part.place(stage_names)
    except RobotVisionError as error:
        raise BundleError(f'{where}: {error}') from error
    return part


def tensors_of(ood: OodCalibration) -> Dict[str, np.ndarray]:
    """What ``uncertainty.safetensors`` holds of a score."""
    tensors = {f'{_PREFIX}{name}': tensor for name, tensor in ood.tensors.items()}
    if ood.scores is not None:
        tensors[f'{_PREFIX}calibration_scores'] = ood.scores
    return tensors


def read_ood(path: Path, values: Mapping[str, Any], found: Mapping[str, np.ndarray], classes: int, features: int,
             stage_names: Sequence[str] = ()) -> OodCalibration:
    """The OOD score with its tensors ``ood.*``; it is tried on one picture, to see that its tables fit.

    Args:
        values: that :func:`check_ood` let pass.
        features: F of what the head sees.
        stage_names: of the network.

    Raises:
        BundleError: a tensor is missing, is of another kind, or they do not fit each other.
    """
    tensors = {key[len(_PREFIX):]: tensor for key, tensor in found.items() if key.startswith(_PREFIX)}
    scores = tensors.pop('calibration_scores', None)
    if scores is not None:
        check_kind(scores, np.float32, 1, f'{path}: ood.calibration_scores')
        if not len(scores) or bool((scores[1:] < scores[:-1]).any()):
            raise BundleError(f'{path}: ood.calibration_scores must be ascending, and one at least')
    parts = tuple(Part(**part) for part in values.get('parts', ()))
    try:
        calibration = OodCalibration(
            values['method'], scores, MappingProxyType(tensors),
            values.get('of', ''), parts, tuple(stage_names))
        for name, (dtype, dimensions) in calibration.stored_kinds().items():
            if name in tensors:
                check_kind(tensors[name], dtype, dimensions, f'ood.{name}')
        score = calibration.build_score()
    except RobotVisionError as error:
        raise BundleError(f'{path}: {error}') from error
    except Exception as error:  # noqa: B902 - what numpy makes of tables of another shape
        raise BundleError(f'{path}: the tensors of {calibration.name} do not fit each other ({printable(error)})'
                          ) from error
    for name in ('scale', 'weight') if parts else ():
        if not float(tensors[name].max()) <= _MOST_SCALE:
            raise BundleError(f'{path}: ood.{name} must be at most {_MOST_SCALE:g}')
    _try(path, calibration, score, classes, features)
    return calibration


def _try(path: Path, calibration: OodCalibration, score: Any, classes: int, features: int) -> None:
    name = calibration.name
    try:
        widths = calibration.widths()
        result = score.forward(
            np.zeros((1, classes), np.float32), np.full((1, features), 0.1, np.float32),
            [np.full((1, widths.get(one, 1)), 0.1, np.float32) for one in calibration.stage_names])
    except RobotVisionError as error:
        raise BundleError(f'{path}: {error}') from error
    except Exception as error:  # noqa: B902 - as above
        raise BundleError(f'{path}: {name} does not fit a network with {features} features and {classes} classes '
                          f'({printable(error)})') from error
    if result.shape != (1,) or not np.isfinite(result).all():
        raise BundleError(f'{path}: {name} gives no number for a picture; {COPY_AGAIN}')

"""What a wrong label costs a deployment: a small YAML file.

.. code-block:: yaml

    wrong: 1.0                 # of a wrong label, where nothing else is said
    abstain: 0.3               # of "uncertain"; instead of decision.abstain_cost
    costs:                     # said: {true: cost}
      go: {stop_sign: 20, yield: 5}
    thresholds:                # these classes are accepted from this posterior on, whatever the costs
      stop_sign: 0.5
"""
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Union

import numpy as np
import yaml

from .errors import ConfigError
from .spelling import did_you_mean

_KEYS = ('wrong', 'abstain', 'costs', 'thresholds')


@dataclass(frozen=True)
class Costs:
    """Costs of acting, on a scale where that of a wrong label is usually 1.

    Attributes:
        matrix: float64 (C, C): of saying the row's class where the column's is true; 0 on the diagonal.
        thresholds: float64 (C,): posterior from which a class is accepted; NaN: as the costs have it.
        abstain: of saying "uncertain"; None: as the config or the bundle says.
    """

    matrix: np.ndarray
    thresholds: np.ndarray
    abstain: Optional[float] = None


def read_costs(path: Union[str, Path], class_names: Sequence[str]) -> Costs:
    """Costs from a file.

    Raises:
        ConfigError: it cannot be read, a class is not one of the model, or a number is out of range.
    """
    try:
        values = yaml.safe_load(Path(path).expanduser().read_text(encoding='utf-8')) or {}
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read ({error.strerror}); decision.costs_file names a YAML file, or is '
                          'empty') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path}: is not valid YAML ({error})') from error
    try:
        return costs_from(values, class_names)
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error


def costs_from(values: Any, class_names: Sequence[str]) -> Costs:
    """Costs from the content of a file."""
    _check_mapping(values, 'the file')
    for key in values:
        if key not in _KEYS:
            raise ConfigError(f'no setting {key!r}; there are {", ".join(_KEYS)}')
    count = len(class_names)
    matrix = np.full((count, count), _number(values.get('wrong', 1.0), 'wrong'))
    for said, truths in _check_mapping(values.get('costs') or {}, 'costs').items():
        for true, cost in _check_mapping(truths, f'costs.{said}').items():
            row, column = _index(said, class_names), _index(true, class_names)
            if row == column:
                raise ConfigError(f'costs.{said}.{true}: being right costs nothing; leave it out')
            matrix[row, column] = _number(cost, f'costs.{said}.{true}')
    np.fill_diagonal(matrix, 0.0)
    thresholds = np.full(count, np.nan)
    for name, value in _check_mapping(values.get('thresholds') or {}, 'thresholds').items():
        thresholds[_index(name, class_names)] = _number(value, f'thresholds.{name}', 1.0)
    abstain = values.get('abstain')
    return Costs(matrix, thresholds, None if abstain is None else _number(abstain, 'abstain'))


def relabelled(costs: Costs, order: Sequence[int]) -> Costs:
    """The costs for classes in another order."""
    order = np.asarray(order)
    return replace(costs, matrix=costs.matrix[np.ix_(order, order)], thresholds=costs.thresholds[order])


def _check_mapping(values: Any, where: str) -> Mapping[Any, Any]:
    if not isinstance(values, Mapping):
        raise ConfigError(f'{where}: must be names with values, got {values!r:.60}')
    return values


def _index(name: Any, class_names: Sequence[str]) -> int:
    if name not in class_names:
        raise ConfigError(f'{name!r} is not a class of the model; {did_you_mean(str(name), class_names)}')
    return list(class_names).index(name)


def _number(value: Any, where: str, most: float = 1e9) -> float:
    if type(value) not in (int, float) or not 0 <= value <= most:
        raise ConfigError(f'{where}: must be a number in 0..{most:g}, got {value!r}')
    return float(value)

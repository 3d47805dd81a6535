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

from ..errors import ConfigError
from ..files.user_path import user_path
from ..suggestions import did_you_mean
from ..text.printable import printable
from ..text.yaml_text import Places, read_yaml

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

    Whoever may set a parameter of a node may name any file here, so nothing of a file is told in an error but where it
    stands.

    Raises:
        ConfigError: it cannot be read, a class is not one of the model, or a number is out of range.
    """
    places: Places = {}
    try:
        values = read_yaml(user_path(path), places=places)
    except ConfigError as error:
        raise ConfigError(f'{error}; decision.costs_file names a file like config/costs.yaml, or is empty') from error
    try:
        return costs_from({} if values is None else values, class_names, places)
    except ConfigError as error:
        raise ConfigError(f'{printable(path)}: {error}; robot-vision run --help shows one') from error


def costs_from(values: Any, class_names: Sequence[str], places: Optional[Places] = None) -> Costs:
    """Costs from the content of a file; ``places`` says where in the file each key stands."""
    where = _Where(places or {}, class_names)
    where.check_mapping(values)
    for key in values:
        if key not in _KEYS:
            raise where.error(f'is none of the settings {", ".join(_KEYS)}', key)
    count = len(class_names)
    matrix = np.full((count, count), where.number(values.get('wrong', 1.0), 1e9, 'wrong'))
    for said, truths in where.check_mapping(values.get('costs'), 'costs').items():
        row = where.index('costs', said)
        for true, cost in where.check_mapping(truths, 'costs', said).items():
            column = where.index('costs', said, true)
            if row == column:
                raise where.error('being right costs nothing; leave it out', 'costs', said, true)
            matrix[row, column] = where.number(cost, 1e9, 'costs', said, true)
    np.fill_diagonal(matrix, 0.0)
    thresholds = np.full(count, np.nan)
    for name, value in where.check_mapping(values.get('thresholds'), 'thresholds').items():
        thresholds[where.index('thresholds', name)] = where.number(value, 1.0, 'thresholds', name)
    return Costs(matrix, thresholds,
                 where.number(values['abstain'], 1e9, 'abstain') if 'abstain' in values else None)


def relabelled(costs: Costs, order: Sequence[int]) -> Costs:
    """The costs for classes in another order."""
    places = np.asarray(order)
    return replace(costs, matrix=costs.matrix[np.ix_(places, places)], thresholds=costs.thresholds[places])


class _Where:
    """Checks whose errors name settings and classes of the model, and anything else only by where it stands."""

    def __init__(self, places: Places, class_names: Sequence[str]) -> None:
        self._places, self._class_names = places, list(class_names)

    def error(self, said: str, *path: str) -> ConfigError:
        named = '.'.join(name for name in path if name in _KEYS or name in self._class_names)
        return ConfigError(': '.join(filter(None, (str(self._places.get(path, '')), named, said))))

    def check_mapping(self, values: Any, *path: str) -> Mapping[str, Any]:
        if values is None and path in (('costs',), ('thresholds',)):
            return {}
        if not isinstance(values, Mapping):
            raise self.error('must be settings as `name: value`', *path)
        return values

    def index(self, *path: str) -> int:
        if path[-1] not in self._class_names:
            raise self.error(f'is not a class of the model; {did_you_mean(path[-1], self._class_names)}', *path)
        return self._class_names.index(path[-1])

    def number(self, value: Any, most: float, *path: str) -> float:
        if type(value) not in (int, float) or not 0 <= value <= most:
            raise self.error(f'must be a number in 0..{most:g}', *path)
        return float(value)

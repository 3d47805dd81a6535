"""A ROS parameter file -> the parameters of one node, by the rules of rcl, without ROS.

What a text is (``yes`` a truth, ``1e-3`` a double, ``010`` the integer 8, ``'1'`` a text), how names of nodes nest,
and which sections hold for a node is as in rcl_yaml_param_parser and rclpy: sections are taken in the order of the
file, and a later one wins; ``/**`` stands for any namespaces, ``/*`` for one name. (rclpy of Humble knows ``/**`` and
full names only, and the full name wins.) What rcl reads by chance is refused: a key that occurs twice, lists of lists,
several documents, nodes beside ``ros__parameters``, a parameter that is a group as well.

Sources: https://github.com/ros2/rcl/blob/rolling/rcl_yaml_param_parser/src/parse.c, namespace.c;
https://docs.ros.org/en/rolling/How-To-Guides/Node-arguments.html#parameters-files
"""
import math
import re
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Tuple, Union

from ..errors import ConfigError
from .printable import printable
from .text_file import read_text
from .yaml_text import MOST_BYTES, Places, parse_yaml

PARAMETERS = 'ros__parameters'
_OF_ROS = ('use_sim_time', 'start_type_description_service', 'bond_disable_heartbeat_timeout')
_YES = ('Y', 'y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON')
_NO = ('N', 'n', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF')
# strtoll with base 0, and strtod, of the C library
_INT = re.compile(r'([-+]?)(0[xX](?P<hex>[0-9a-fA-F]+)|(?P<oct>0[0-7]*)|(?P<dec>[1-9][0-9]*))')
_DOUBLE = re.compile(r'[-+]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|inf|infinity|nan)', re.IGNORECASE)
_NAN = re.compile(r'[-+]?nan\([A-Za-z0-9_]*\)', re.IGNORECASE)
_HEX_DOUBLE = re.compile(r'[-+]?0x([0-9a-f]+(\.[0-9a-f]*)?|\.[0-9a-f]+)(p[-+]?[0-9]{1,6})?', re.IGNORECASE)
_SPECIAL = re.compile(r'([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)')
_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_Path = Tuple[str, ...]


class _NoValue:
    """Of a key that is followed by nothing."""


class Section(NamedTuple):
    """One ``ros__parameters``: the nodes that it is for, as they are spelled, and its parameters by dotted names."""

    spelling: str
    parameters: Mapping[str, Any]

    @property
    def node(self) -> str:
        """The full name, wildcards as they are."""
        return self.spelling if self.spelling.startswith('/') else '/' + self.spelling

    def is_for(self, node: str) -> bool:
        """Whether it holds for the node of a full name; as in rclpy and rclcpp."""
        pattern = self.node.replace('/**', r'(/\w+)#').replace('/*', r'(/\w+)').replace('#', '*')
        return re.fullmatch(pattern, node, re.ASCII) is not None


def read_sections(path: Union[str, Path]) -> Tuple[Section, ...]:
    """What stands in a file, in the order in which it takes effect; values are bool, int, float, str or a list of one.

    Raises:
        ConfigError: the file cannot be read, or rcl would refuse it.
    """
    places: Places = {}
    content = parse_yaml(read_text(path, most_bytes=MOST_BYTES), printable(path), places=places, value_of=_value)
    found = _Sections(printable(path), places).of(content)
    # rcl puts sections of one spelling together where the first of them stands.
    merged: Dict[str, Dict[str, Any]] = {}
    for section in found:
        merged.setdefault(section.spelling, {}).update(section.parameters)
    for spelling, parameters in merged.items():
        _check_groups(parameters, f'{printable(path)}: {printable(spelling)}')
    return tuple(Section(spelling, parameters) for spelling, parameters in merged.items())


def is_of_ros(name: str) -> bool:
    """Whether rclpy declares this parameter in any node, by some versions or only once there is a subscription."""
    return name in _OF_ROS or name.startswith('qos_overrides.')


def read_parameters(path: Union[str, Path], node: str = '/classifier') -> Dict[str, Any]:
    """The parameters that a file has for the node of a full name.

    Raises:
        ConfigError: see :func:`read_sections`, or nothing in the file is for the node.
    """
    sections = read_sections(path)
    found = [section for section in sections if section.is_for(node)]
    if not found:
        names = ', '.join(dict.fromkeys(section.node for section in sections))
        raise ConfigError(f'{printable(path)}: has nothing for the node {printable(node)}; there is '
                          f'{printable(names) or "nothing in it"}')
    return {name: value for section in found for name, value in section.parameters.items()}


def parameter_value(text: str) -> Any:
    """What a text after ``-p name:=`` is for rcl: bool, int, float, str or a list of one.

    Raises:
        ConfigError: it is none of these.
    """
    value = parse_yaml(text, 'the value', value_of=_value)
    if value is None or value is _NoValue or isinstance(value, Mapping) or (
            isinstance(value, list) and any(type(item) not in (bool, int, float, str) for item in value)):
        raise ConfigError('the value: expected a single value or a list of such')
    return value


def _check_groups(parameters: Mapping[str, Any], where: str) -> None:
    for name in parameters:
        groups = name.split('.')[:-1]
        while groups:
            if '.'.join(groups) in parameters:
                raise ConfigError(f'{where}: {printable(".".join(groups))} has a value and parameters within it')
            groups.pop()


def _value(text: str, quoted: bool) -> Any:
    """What rcl takes a scalar for."""
    if quoted:
        return text
    if text == '':
        return _NoValue
    if text in _YES or text in _NO:
        return text in _YES
    match = _INT.fullmatch(text)
    if match and len(text) <= 100:
        digits, base = next((match[kind], base) for kind, base in (('hex', 16), ('oct', 8), ('dec', 10)) if match[kind])
        value = int(match[1] + digits, base)
        if -2**63 <= value < 2**63:
            return value
    match = _SPECIAL.fullmatch(text)
    if match:
        return float(match[1] + 'inf') if match[2] else math.nan
    if _NAN.fullmatch(text):
        return math.nan
    if _DOUBLE.fullmatch(text):
        number = float(text)
        too_large = math.isinf(number) and text.lstrip('+-')[0] not in 'iI'
    elif _HEX_DOUBLE.fullmatch(text):
        try:
            number, too_large = float.fromhex(text), False
        except OverflowError:
            too_large = True
    else:
        return text
    # errno is set by numbers beyond a double's range, and rcl then takes them for texts.
    if too_large or abs(number) < sys.float_info.min and re.search('[1-9a-fA-F]', re.split('[eEpP]', text)[0]):
        return text
    return number


class _Sections:
    """Goes through a file as rcl_yaml_param_parser does, so that names with slashes in them come out as there."""

    def __init__(self, what: str, places: Places) -> None:
        self._what, self._places = what, places
        self._namespace, self._count, self._depth = '', 0, 0

    def of(self, content: Any) -> List[Section]:
        """All sections, in the order of the file."""
        return [] if content is None or content is _NoValue else list(self._nodes(content, ()))

    def _error(self, said: str, path: _Path) -> ConfigError:
        place = self._places.get(path)
        named = printable('.'.join(str(name) for name in path))
        return ConfigError(f'{self._what}: {f"{place}: " if place else ""}{named + ": " if named else ""}{said}')

    def _nodes(self, content: Any, path: _Path) -> Iterator[Section]:
        if not isinstance(content, Mapping):
            raise self._error(f'expected a node with {PARAMETERS}, got a value; this is no ROS parameter file as '
                              '`robot-vision run --print-parameters` prints one', path)
        self._depth += 1
        if PARAMETERS in content and len(content) > 1:
            raise self._error(f'there can be nothing beside {PARAMETERS} in a node', path)
        for name, value in content.items():
            inner = (*path, name)
            if not name:
                raise self._error('a name is empty', inner)
            if name == PARAMETERS:
                yield self._section(value, inner)
            elif name.startswith(PARAMETERS):
                raise self._error(f'did you mean {PARAMETERS}?', inner)
            else:
                slash = '/' if self._count and not self._namespace.endswith('/') else ''
                self._namespace, self._count = self._namespace + slash + name, self._count + 1
                yield from self._nodes(value, inner)
        if self._depth == self._count + 1:
            self._leave()
        self._depth -= 1

    def _section(self, value: Any, path: _Path) -> Section:
        if not self._count:
            raise self._error(f'the name of a node must stand above {PARAMETERS}', path)
        spelling = self._namespace
        if not all(part in ('*', '**') or _NAME.fullmatch(part) for part in spelling.removeprefix('/').split('/')):
            raise self._error(f'{printable(spelling)!r} cannot be the name of a node', path)
        self._leave()
        if not isinstance(value, Mapping):
            raise self._error('expected parameters as `name: value`', path)
        return Section(spelling, dict(self._flat(value, '', path)))

    def _leave(self) -> None:
        if self._count:
            self._namespace = self._namespace.rpartition('/')[0] if self._count > 1 else ''
            self._count -= 1

    def _flat(self, values: Mapping[str, Any], prefix: str, path: _Path) -> Iterator[Tuple[str, Any]]:
        for name, value in values.items():
            inner = (*path, name)
            if not name:
                raise self._error('a name is empty', inner)
            if isinstance(value, Mapping):
                if not value:
                    raise self._error('has nothing in it; give it a value, or take the line out', inner)
                yield from self._flat(value, f'{prefix}{name}.', inner)
                continue
            for item in value if isinstance(value, list) else [value]:
                if item is _NoValue:
                    raise self._error("has no value; give it one ('' for an empty text), or take the line out", inner)
                if isinstance(item, (list, Mapping)):
                    raise self._error('a list can hold single values only', inner)
                if isinstance(value, list) and type(item) is not type(value[0]):
                    raise self._error('the values of a list must be of one type', inner)
            yield prefix + name, None if value == [] else value  # an empty list has no type, and no value for rcl


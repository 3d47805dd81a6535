"""ROS parameters of a node, made from a config dataclass, which declares names, defaults, descriptions and ranges."""
from typing import Any, Callable, Dict, List, Optional, Set

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..core.config import FlatOption, flat_options, with_values
from ..core.errors import ConfigError
from ..core.text.printable import printable
from .compat import after_set
from .spinning import reason_of


def descriptor(option: FlatOption) -> ParameterDescriptor:
    """What ``ros2 param describe`` shows; the range is enforced by rclpy, the rest by :func:`with_values`."""
    limits = option.option
    result = ParameterDescriptor(name=option.name, description=limits.description)
    constraints = []
    if limits.choices:
        constraints.append('one of: ' + ', '.join(limits.choices))
    if limits.at_configure:
        constraints.append('fixed while the node is configured')
    result.additional_constraints = '; '.join(constraints)
    if limits.minimum is not None and limits.maximum is not None:
        if isinstance(option.default, float):
            result.floating_point_range = [FloatingPointRange(from_value=limits.minimum, to_value=limits.maximum)]
        else:
            result.integer_range = [IntegerRange(from_value=int(limits.minimum), to_value=int(limits.maximum), step=1)]
    return result


class ConfigParameters:
    """The parameters of ``node`` as a config dataclass.

    What is set is only looked at by the callback that may refuse it; it is taken over once it is set. No value, of
    whatever type, ends in an exception: it is refused with a reason. A value that is set again is handed on like any
    other: what it names may have changed, a file or a model, or may not be in force.

    Args:
        node: declares the parameters at once.
        config_class: e.g. ``ClassifierConfig``.
        is_configured: whether settings that are fixed while configured are to be refused.
        check: called with (new config, names that are set) for values that fit by themselves; refuses by raising, and
            changes nothing.
        on_change: called with the same once the parameters are set.

    Raises:
        ConfigError: a value given at start (launch file, command line) does not fit.
    """

    def __init__(self, node: Node, config_class: type, is_configured: Callable[[], bool],
                 on_change: Callable[[Any, List[str]], None],
                 check: Callable[[Any, List[str]], None] = lambda _config, _names: None) -> None:
        self._node, self._config_class = node, config_class
        self._options: Dict[str, FlatOption] = {option.name: option for option in flat_options(config_class)}
        self._is_configured, self._check, self._on_change = is_configured, check, on_change
        for option in self._options.values():
            default = list(option.default) if isinstance(option.default, tuple) else option.default
            try:
                _declare(node, option.name, default, descriptor(option))
            except Exception as error:
                raise ConfigError(f'parameter {option.name}: {printable(error, 300)}') from error
        self.config = self._as_set()
        self._names_set: Set[str] = set()
        self._when_accepted = after_set(node, self._apply)
        node.add_on_set_parameters_callback(self._judge)

    def reread(self) -> Any:
        """The config that the node's parameters are now, which is :attr:`config` from now on.

        Beforehand that may be an older one: where what was set could not be put in force, and on Humble for a moment.

        Raises:
            ConfigError: they do not fit.
        """
        self.config = self._as_set()
        return self.config

    def _as_set(self) -> Any:
        """The config that the node's parameters are now."""
        return with_values(self._config_class(), {name: self._node.get_parameter(name).value for name in self._options})

    def _judge(self, parameters: 'List[Parameter[Any]]') -> SetParametersResult:
        try:
            values = {p.name: p.value for p in parameters if p.name in self._options}
            current = dict(flat_values(self.config))
            changed = [name for name, value in values.items() if _comparable(value) != current[name]]
            for name in changed:
                if self._options[name].option.at_configure and self._is_configured():
                    raise ConfigError(f'{name}: fixed while the node is configured; deactivate and clean it up, '
                                      'then set it and configure again')
            config = with_values(self._as_set(), values)
            if values:
                self._check(config, list(values))
        except Exception as error:  # noqa: B902 - whatever a value leads to is a reason to refuse it
            return SetParametersResult(successful=False, reason=reason_of(error))
        self._names_set.update(values)
        self._when_accepted()
        return SetParametersResult(successful=True)

    def _apply(self) -> None:
        """Take over what is set now."""
        before = self.config
        names, self._names_set = self._names_set, set()
        try:
            config = self._as_set()
            after, earlier = flat_values(config), flat_values(before)
            touched = [name for name, value in after.items() if name in names or value != earlier[name]]
            if touched:
                self.config = config
                self._on_change(config, touched)
        except Exception as error:  # noqa: B902 - it was checked before; a file may have gone since
            self.config = before
            self._node.get_logger().error(f'the parameters that were set are not in force: {reason_of(error)}')


def _declare(node: Node, name: str, default: Any, described: ParameterDescriptor) -> None:
    if default == []:  # of which rclpy does not know that it is one of texts
        if node.declare_parameter(name, Parameter.Type.STRING_ARRAY, described).value is None:
            node.set_parameters([Parameter(name, Parameter.Type.STRING_ARRAY, [])])
        return
    try:
        node.declare_parameter(name, default, described)
        return
    except InvalidParameterTypeException:
        if not isinstance(default, float):
            raise
    # A whole number is taken for a float, as people write 2 for 2.0.
    value: Any = node.declare_parameter(name, default, ParameterDescriptor(dynamic_typing=True)).value
    node.undeclare_parameter(name)
    if type(value) is not int:
        raise ConfigError(f'expected a number, got {value!r}')
    node.declare_parameter(name, float(value), described, ignore_override=True)


def _comparable(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def flat_values(config: Any, prefix: str = '') -> Dict[str, Any]:
    """The values of a config by dotted name."""
    values: Dict[str, Any] = {}
    for option in flat_options(type(config)):
        value: Optional[Any] = config
        for part in option.name.split('.'):
            value = getattr(value, part)
        values[prefix + option.name] = value
    return values

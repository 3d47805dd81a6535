"""ROS parameters of a node, made from a config dataclass, which declares names, defaults, descriptions and ranges."""
from typing import Any, Callable, Dict, List, Optional

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..core.config import FlatOption, flat_options, with_values
from ..core.errors import ConfigError, RobotVisionError


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

    Args:
        node: declares the parameters at once.
        config_class: e.g. ``ClassifierConfig``.
        is_configured: whether settings that are fixed while configured are to be refused.
        on_change: called with (new config, names that changed) once the values are valid; a RobotVisionError that it
            raises refuses the change.

    Raises:
        ConfigError: a value given at start (launch file, command line) does not fit.
    """

    def __init__(self, node: Node, config_class: type, is_configured: Callable[[], bool],
                 on_change: Callable[[Any, List[str]], None]):
        self._options: Dict[str, FlatOption] = {option.name: option for option in flat_options(config_class)}
        self._is_configured = is_configured
        self._on_change = on_change
        values = {}
        for option in self._options.values():
            default = list(option.default) if isinstance(option.default, tuple) else option.default
            try:
                values[option.name] = node.declare_parameter(option.name, default, descriptor(option)).value
            except Exception as error:
                raise ConfigError(f'parameter {option.name}: {error}') from error
        self.config = with_values(config_class(), values)
        node.add_on_set_parameters_callback(self._check_and_apply)

    def _check_and_apply(self, parameters: List[Parameter]) -> SetParametersResult:
        values = {p.name: p.value for p in parameters if p.name in self._options}
        current = dict(flat_values(self.config))
        changed = [name for name, value in values.items() if _comparable(value) != current[name]]
        try:
            for name in changed:
                if self._options[name].option.at_configure and self._is_configured():
                    raise ConfigError(f'{name}: fixed while the node is configured; deactivate and clean it up, '
                                      'then set it and configure again')
            config = with_values(self.config, values)
            if changed:
                self._on_change(config, changed)
        except RobotVisionError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.config = config
        return SetParametersResult(successful=True)


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

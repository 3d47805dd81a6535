"""ROS parameters are the dataclass and nothing else."""
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from robot_vision_dl.core.config import ClassifierConfig, flat_options  # noqa: E402
from robot_vision_dl.core.decision.action_gate import ActionGateConfig  # noqa: E402
from robot_vision_dl.core.errors import ConfigError  # noqa: E402
from robot_vision_dl.ros.parameters import ConfigParameters  # noqa: E402


@pytest.fixture()
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('parameters', context=context, start_parameter_services=False)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize('config_class', [ClassifierConfig, ActionGateConfig])
def test_declared_parameters_are_the_fields_with_their_defaults(node, config_class):
    before = set(node._parameters)
    parameters = ConfigParameters(node, config_class, lambda: False, lambda config, names: None)
    options = {option.name: option for option in flat_options(config_class)}
    assert set(node._parameters) - before == set(options)
    assert parameters.config == config_class()
    for name, option in options.items():
        value = node.get_parameter(name).value
        assert (tuple(value) if isinstance(value, list) else value) == option.default
        descriptor = node.describe_parameter(name)
        assert descriptor.description == option.option.description
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        assert bool(ranges) == (option.option.maximum is not None), name


def test_changes_are_checked_together_and_applied_once(node):
    applied = []
    ConfigParameters(node, ActionGateConfig, lambda: False, lambda config, names: applied.append((config, names)))
    Parameter = rclpy.parameter.Parameter
    refused = node.set_parameters_atomically([Parameter('keep_confidence', value=0.9)])
    assert not refused.successful and 'begin_confidence' in refused.reason
    assert node.get_parameter('keep_confidence').value == 0.4
    done = node.set_parameters_atomically([Parameter('keep_confidence', value=0.8),
                                           Parameter('begin_confidence', value=0.9)])
    assert done.successful
    assert len(applied) == 1
    assert (applied[0][0].keep_confidence, applied[0][0].begin_confidence) == (0.8, 0.9)


def test_error_of_the_check_refuses_the_change(node):
    def refuse(config, names):
        raise ConfigError('not now')
    ConfigParameters(node, ActionGateConfig, lambda: False, lambda config, names: None, refuse)
    result = node.set_parameters_atomically([rclpy.parameter.Parameter('silence_s', value=1.0)])
    assert not result.successful and result.reason == 'not now'


def test_a_value_that_is_set_again_is_handed_on(node):
    checked, applied = [], []
    ConfigParameters(node, ActionGateConfig, lambda: True, lambda config, names: applied.append(names),
                     lambda config, names: checked.append(names))
    Parameter = rclpy.parameter.Parameter
    for _ in range(2):
        assert node.set_parameters([Parameter('silence_s', value=2.0)])[0].successful
    assert checked == applied == [['silence_s']] * 2


def test_what_could_not_be_put_in_force_is_tried_when_it_is_set_again_and_reread(node):
    applied = []

    def apply(config, names):
        if not applied:
            applied.append('failed')
            raise ConfigError('a file has gone')
        applied.append(config.silence_s)
    parameters = ConfigParameters(node, ActionGateConfig, lambda: False, apply)
    Parameter = rclpy.parameter.Parameter
    assert node.set_parameters([Parameter('silence_s', value=2.0)])[0].successful
    assert parameters.config == ActionGateConfig()
    assert parameters.reread().silence_s == parameters.config.silence_s == 2.0
    assert node.set_parameters([Parameter('silence_s', value=2.0)])[0].successful
    assert applied == ['failed', 2.0]

"""What the package takes from rclpy and torch, and in which versions that is there.

The private names are listed here with the versions that have them, looked up in the branches humble, iron, jazzy and
kilted of ros2/rclpy and in PyTorch's 2.2 to 2.14; each is used in one guarded place.
"""
import ast
import importlib
import os
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

import humble_api  # noqa: E402

import robot_vision_dl  # noqa: E402

PACKAGE = Path(robot_vision_dl.__file__).parent
EVERYWHERE = ('humble 3.3', 'iron 4.1', 'jazzy 7.1', 'kilted 9.1')

# What is public, but not in Humble, and only taken where there is something in its place.
NOT_IN_HUMBLE = {
    ('ros/compat.py', 'rclpy.event_handler'): 'rclpy.qos_event, in all but the newest',
    ('ros/compat.py', 'Subscription.CallbackType'): 'callbacks get no information about the message',
    ('ros/compat.py', 'add_post_set_parameters_callback'): 'a task of the executor',
}
# Modules of rclpy 3.3 (Humble), with what of them is used. Looked up in its source.
HUMBLE = {
    'rclpy': None,
    'rclpy.callback_groups': {'ReentrantCallbackGroup'},
    'rclpy.client': {'Client'},
    'rclpy.clock': {'Clock', 'ClockType'},
    'rclpy.duration': {'Duration'},
    'rclpy.exceptions': {'InvalidParameterTypeException', 'InvalidTopicNameException'},
    'rclpy.executors': {'ExternalShutdownException', 'SingleThreadedExecutor'},
    'rclpy.guard_condition': {'GuardCondition'},
    'rclpy.impl.implementation_singleton': {'rclpy_implementation'},
    'rclpy.impl.rcutils_logger': None,
    'rclpy.lifecycle': {'LifecycleNode', 'LifecycleState', 'TransitionCallbackReturn'},
    'rclpy.node': {'Node'},
    'rclpy.parameter': {'Parameter'},
    'rclpy.publisher': {'Publisher'},
    'rclpy.qos': {'DurabilityPolicy', 'HistoryPolicy', 'QoSPolicyKind', 'QoSProfile', 'ReliabilityPolicy',
                  'qos_policy_name_from_kind', 'qos_profile_sensor_data'},
    'rclpy.qos_event': {'PublisherEventCallbacks', 'SubscriptionEventCallbacks'},
    'rclpy.qos_overriding_options': {'QoSOverridingOptions'},
    'rclpy.serialization': {'serialize_message', 'deserialize_message'},
    'rclpy.signals': {'SignalHandlerOptions', 'install_signal_handlers', 'uninstall_signal_handlers'},
    'rclpy.subscription': {'Subscription'},
    'rclpy.type_support': {'check_for_type_support'},
    'rclpy.utilities': {'get_rmw_implementation_identifier'},
    'rclpy.validate_full_topic_name': {'validate_full_topic_name'},
}
# (file, private name) -> versions that have it, and what guards it.
PRIVATE = {
    ('ros/compat.py', 'rclpy.impl.implementation_singleton'): (EVERYWHERE, 'an ImportError that says so'),
    ('ros/start.py', 'rclpy.impl.rcutils_logger'): (EVERYWHERE, 'only a name of it, which is looked for'),
    ('ros/start.py', '_internal_callers'): (EVERYWHERE, 'lines of logs are then told as of start.py'),
    ('ros/compat.py', '_state_machine'): (EVERYWHERE, 'the state is then shown as unknown'),
    ('ros/compat.py', '_parameter_overrides'): (EVERYWHERE, 'misspelt parameters are then not told of'),
    ('core/networks/torch_private.py', '_foreach_lerp_'): (('torch 2.0 to 2.14',), 'a loop of lerp_'),
    ('core/networks/torch_private.py', '_standard_gamma'): (('torch 1.0 to 2.14',), 'numpy, seeded by the generator'),
    ('core/networks/torch_private.py', '_metadata'): (('torch 0.4 to 2.14',), 'left out'),
}


def _files():
    return sorted(PACKAGE.rglob('*.py'))


@lru_cache(maxsize=None)
def _tree(path):
    return ast.parse(path.read_text())


def _relative(path):
    return path.relative_to(PACKAGE).as_posix()


def _imports(tree):
    """(module, name or None) of what a file takes from rclpy, wherever in it; what mypy alone sees is left out."""
    seen_by_mypy = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.If)
                    and isinstance(node.test, ast.Name) and node.test.id == 'TYPE_CHECKING' for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in seen_by_mypy:
            continue
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split('.')[0] == 'rclpy':
                    yield name.name, None
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or '').split('.')[0] == 'rclpy':
            for name in node.names:
                yield node.module, name.name


def test_everything_that_is_imported_from_rclpy_is_in_humble_or_guarded():
    for path in _files():
        for module, name in _imports(_tree(path)):
            if (_relative(path), module) in NOT_IN_HUMBLE:
                continue
            assert module in HUMBLE, f'{_relative(path)}: {module} is not known to be in Humble'
            assert name is None or HUMBLE[module] is None or name in HUMBLE[module], (
                f'{_relative(path)}: {module}.{name} is not known to be in Humble')


def _is_without_handlers(call):
    """Whether an ``rclpy.init()`` leaves SIGINT and SIGTERM alone: it says so, or it is of a context of its own."""
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return 'context' in options or options.get('signal_handler_options', '').endswith('SignalHandlerOptions.NO')


def test_processes_that_handle_signals_begin_where_the_end_of_their_thread_is_seen_to():
    """That thread, still there when the process ends, ends it by abort(); ``ros/start.py`` sees to it."""
    calls = [(_relative(path), node) for path in _files() for node in ast.walk(_tree(path))
             if isinstance(node, ast.Call) and ast.unparse(node.func) == 'rclpy.init']
    assert len(calls) > 5
    assert [name for name, call in calls if not _is_without_handlers(call)] == ['ros/start.py']


def _new_since_humble():
    """Attributes of rclpy's objects that this rclpy has and Humble's has not, with their classes."""
    known = {name for names in humble_api.API.values() for name in names.split()}
    new = {}
    for path in humble_api.API:
        module, _, name = path.rpartition('.')
        found = getattr(importlib.import_module(module), name, None)
        new.update({attribute: f'{name}.{attribute}' for attribute in dir(found)
                    if not attribute.startswith('_') and attribute not in known})
    return new


def test_no_attribute_is_used_that_rclpy_got_after_humble():
    new = _new_since_humble()
    assert len(new) > 5 or 'humble' in os.environ.get('ROS_DISTRO', ''), 'Jazzy and Kilted have some: were they found?'
    for path in _files():
        text = path.read_text()
        if 'rclpy' not in text and not _relative(path).startswith('ros/'):
            continue
        used = {node.attr for node in ast.walk(_tree(path)) if isinstance(node, ast.Attribute)}
        for name in used & set(new):
            if not _inherited(name):  # a method of ours that has the same name
                assert (_relative(path), new[name]) in NOT_IN_HUMBLE, f'{_relative(path)}: {new[name]} is not in Humble'


def _private_names(tree):
    """Private attributes of what is not the file's own: of torch, of nodes and of other objects."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(
        node.value, ast.Name) and node.value.id in ('self', 'cls') and isinstance(node.ctx, ast.Store)}
    own |= {node.target.id for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and isinstance(
        node.target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith('_') and not node.attr.startswith('__'):
            if node.attr not in own and node.attr not in ('_replace', '_asdict', '_fields'):
                yield node.attr
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in (
                '_foreach_lerp_', '_standard_gamma', '_metadata', '_state_machine', '_internal_callers',
                '_parameter_overrides'):
            yield node.value


def _inherited(name):
    """Whether a class of the package defines it: a base class or a sibling."""
    return any(f'def {name}(' in text or f'self.{name} =' in text or f'self.{name}:' in text or f'    {name} =' in text
               or f'    {name}:' in text or f"register_buffer('{name}'" in text or f'({name}=' in text
               or f', {name}=' in text or f"__setattr__(self, '{name}'" in text for text in _TEXTS)


_TEXTS = [path.read_text() for path in _files()]


def test_private_names_are_used_in_their_one_guarded_place():
    found = set()
    for path in _files():
        for name in _private_names(_tree(path)):
            if not _inherited(name):
                found.add((_relative(path), name))
    listed = {key for key in PRIVATE if not key[1].startswith('rclpy')}
    assert found == listed, f'not listed: {found - listed}; not there any more: {listed - found}'
    modules = {(_relative(path), module) for path in _files() for module, _ in _imports(_tree(path))
               if '.impl' in module or '._' in module}
    assert modules == {key for key in PRIVATE if key[1].startswith('rclpy')}


OLD_LAYOUT = """
import importlib.abc, sys, types
import rclpy.node, rclpy.event_handler, rclpy.executors, rclpy.lifecycle
# As Humble has it: the classes in qos_event, no event_handler, no callbacks after parameters were set, no event of
# another type.
class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == 'rclpy.event_handler':
            raise ModuleNotFoundError("No module named 'rclpy.event_handler'", name=name)
new = rclpy.event_handler
class OldEvents(new.SubscriptionEventCallbacks):
    def __init__(self, *, deadline=None, incompatible_qos=None, liveliness=None, message_lost=None,
                 use_default_callbacks=True):
        super().__init__(deadline=deadline, incompatible_qos=incompatible_qos, liveliness=liveliness,
                         message_lost=message_lost, use_default_callbacks=use_default_callbacks)
old = types.ModuleType('rclpy.qos_event')
old.SubscriptionEventCallbacks, old.PublisherEventCallbacks = OldEvents, new.PublisherEventCallbacks
sys.modules['rclpy.qos_event'] = old
del sys.modules['rclpy.event_handler'], rclpy.event_handler
sys.meta_path.insert(0, Hide())
del rclpy.node.Node.add_post_set_parameters_callback
"""


def _old(code, ros_domain, timeout=120):
    return subprocess.run([sys.executable, '-c', OLD_LAYOUT + code], capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, 'ROS_DOMAIN_ID': str(ros_domain), 'OMP_NUM_THREADS': '1'})


def test_all_of_the_package_that_needs_ros_imports_where_rclpy_is_as_in_humble(ros_domain):
    code = """
import robot_vision_dl.ros.compat as compat
assert compat.SubscriptionEventCallbacks is OldEvents
import robot_vision_dl.ros.classifier_node, robot_vision_dl.ros.action_gate_node, robot_vision_dl.ros.trainer_node
import robot_vision_dl.ros.detector_node
import robot_vision_dl.ros.player, robot_vision_dl.doctor.listen, robot_vision_dl.ros.qos
from robot_vision_dl.doctor.listen import listen
found = listen('/nothing_here', 0.1)
print('done', found.reception)
"""
    done = _old(code, ros_domain)
    assert done.stdout.strip() == 'done None', done.stderr[-2000:]


def test_parameters_are_taken_over_where_there_is_no_callback_after_they_are_set(ros_domain):
    code = """
import rclpy, threading, time
from rclpy.parameter import Parameter
from robot_vision_dl.core.decision.action_gate import ActionGateConfig
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.ros.parameters import ConfigParameters
from robot_vision_dl.ros.spinning import spin
rclpy.init()
node = rclpy.create_node('old')
applied = []
def check(config, names):
    if config.silence_s == 7.0:
        raise ConfigError('not seven')
parameters = ConfigParameters(node, ActionGateConfig, lambda: False, lambda c, names: applied.append((c, names)), check)
threading.Thread(target=spin, args=(node,), daemon=True).start()
while node.executor is None:
    time.sleep(0.01)
assert not node.set_parameters([Parameter('silence_s', value=7.0)])[0].successful
assert node.set_parameters([Parameter('silence_s', value=2.0)])[0].successful
end = time.monotonic() + 20
while not applied and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.2)
assert parameters.config.silence_s == 2.0, parameters.config
assert [(c.silence_s, names) for c, names in applied] == [(2.0, ['silence_s'])], applied
print('done', flush=True)
rclpy.try_shutdown()
time.sleep(0.3)
"""
    done = _old(code, ros_domain)
    assert done.stdout.strip() == 'done', done.stdout + done.stderr[-2000:]


@pytest.mark.parametrize('has_info', [True, False])
def test_listening_does_without_what_humble_does_not_tell_of_a_message(has_info, ros_domain, monkeypatch):
    from node_harness import BEST_EFFORT, Peer, raw_image
    from sensor_msgs.msg import Image

    from robot_vision_dl.doctor.listen import listen
    from robot_vision_dl.ros import compat
    monkeypatch.setattr(compat, '_HAS_INFO', has_info)
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain))
    peer = Peer(ros_domain)
    try:
        publisher = peer.node.create_publisher(Image, '/cam', BEST_EFFORT)
        timer = peer.node.create_timer(0.05, lambda: publisher.publish(raw_image(1)))
        done = threading.Event()
        spinning = threading.Thread(target=lambda: peer.wait(done.is_set, 'the end'))
        spinning.start()
        found = listen('/cam', 2.0)
        done.set()
        spinning.join()
        peer.node.destroy_timer(timer)
    finally:
        peer.close()
    assert found.reception.messages and (found.reception.lost is None) == (not has_info)

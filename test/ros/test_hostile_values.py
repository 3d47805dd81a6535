"""No value of a parameter and no message ends a node: hundreds of each, over DDS, and it decides frames afterwards."""
import random
import struct
import time

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from node_harness import BEST_EFFORT, RELIABLE, NodeProcess, PreloadedChildren, environment, raw_image, small_bundle  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Classification, ObjectHypothesis  # noqa: E402

from robot_vision_dl.core import types  # noqa: E402
from robot_vision_dl.core.config import ClassifierConfig, flat_options  # noqa: E402
from robot_vision_dl.core.decision.action_gate import ActionGateConfig  # noqa: E402
from robot_vision_dl.core.errors import RobotVisionError  # noqa: E402
from robot_vision_dl.core.images.cdr import encode_classification  # noqa: E402
from robot_vision_dl.ros.prior import prior_of  # noqa: E402
from robot_vision_dl.training.node_config import TrainerConfig  # noqa: E402

TEXTS = ['', ' ', 'x', 'a\nb', '\x1b[31mred', '\u202eabc', '~nosuchuser/m', '~', 'x' * 300, 'y' * 100_000, '/dev/zero',
         '/dev/stdin', '/proc/self/mem', '/', '.', '..', '/' + 'd/' * 3000, '9' * 5000, '9' * 5000 + 'x' + '9' * 5000,
         '320x240+' + '9' * 5000 + '+0', 'camera=' + '1' * 5000, 'camera=1e400', 'camera=nan', 'camera=-1', '²', '٣x٣',
         'torchvision:', 'torchvision:resnet18@__class__', 'torchvision:' + 'z' * 5000, 'ensemble:', 'ensemble:a,b',
         'ensemble:' + 'a,' * 5000, 'camera+camera', 'camera+' * 1000, '%n%s%d', '{0}', '$HOME', '`id`', "'; --",
         'cuda:', 'cuda:' + '9' * 5000, 'float64', 'None', 'null', 'nan', '::', '/a//b', '🙂' * 1000, '\ufeffbolt']
INTEGERS = [0, 1, -1, 2 ** 31, -2 ** 31 - 1, 2 ** 63 - 1, -2 ** 63, 10 ** 6]
FLOATS = [0.0, -0.0, 1.0, -1.0, float('nan'), float('inf'), float('-inf'), 1e308, -1e308, 5e-324, 0.5]
KINDS = {'bool_value': (ParameterType.PARAMETER_BOOL, [True, False]),
         'integer_value': (ParameterType.PARAMETER_INTEGER, INTEGERS),
         'double_value': (ParameterType.PARAMETER_DOUBLE, FLOATS),
         'string_value': (ParameterType.PARAMETER_STRING, TEXTS),
         'byte_array_value': (ParameterType.PARAMETER_BYTE_ARRAY, [[], [b'\0'] * 5]),
         'bool_array_value': (ParameterType.PARAMETER_BOOL_ARRAY, [[], [True]]),
         'integer_array_value': (ParameterType.PARAMETER_INTEGER_ARRAY, [[], [2 ** 62] * 5]),
         'double_array_value': (ParameterType.PARAMETER_DOUBLE_ARRAY, [[], [float('nan')]]),
         'string_array_value': (ParameterType.PARAMETER_STRING_ARRAY,
                                [[], [''], ['a', 'a'], ['a b'], ['x' * 5000], ['a'] * 2000, ['/a', '/b'], ['é'],
                                 ['1a']])}


def values(rng, pipe):
    """Every kind of value, also those that there are not: (description, ParameterValue)."""
    for field, (kind, cases) in KINDS.items():
        extra = [str(pipe)] if field == 'string_value' else []
        if field == 'string_value':
            extra += [''.join(map(chr, rng.choices([*range(1, 0x250), 0x1f600, 0x202e], k=rng.randrange(1, 40))))
                      for _ in range(3)]
        for case in [*cases, *extra]:
            yield f'{field} {case!r:.60}', ParameterValue(type=kind, **{field: case})
    for kind in (0, 10, 77, 255):
        yield f'type {kind}', ParameterValue(type=kind)


@pytest.fixture
def pipe(tmp_path):
    import os
    os.mkfifo(tmp_path / 'pipe')
    return tmp_path / 'pipe'


def hostile_costs(folder):
    """Files that decision.costs_file may name."""
    texts = {'list': '[1, 2]', 'deep': '[' * 5000, 'number': '{wrong: ' + '9' * 5000 + '}', 'bad': '{a: b', 'tag':
             '!!python/object/apply:os.system [id]', 'nan': '{wrong: .nan}', 'alias': '&a [*a]', 'binary': '\0\1\2',
             'null': 'null', 'text': 'x' * 100_000, 'date': '{abstain: 2001-01-01}', 'self': '{costs: {cup: {cup: 1}}}'}
    for name, text in texts.items():
        (folder / f'{name}.yaml').write_text(text)
        yield ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=str(folder / f'{name}.yaml'))


def sound(result):
    assert len(result.reason) <= 600, len(result.reason)
    assert result.reason.isprintable(), repr(result.reason)
    assert result.successful or result.reason


def set_each(peer, node, name, cases, log):
    """Set them one after another in requests of many; the answers."""
    results = []
    for start in range(0, len(cases), 25):
        request = SetParameters.Request(parameters=[Parameter(name=name, value=value)
                                                    for value in cases[start:start + 25]])
        answer = peer.call(SetParameters, f'{node}/set_parameters', request, 30.0)
        assert len(answer.results) == len(request.parameters), log()
        results += answer.results
    for result in results:
        sound(result)
    return results


def still_decides(peer, node, stamps):
    for name in ('regions_of_interest', 'max_rates_hz', 'decision.costs_file'):
        answer = peer.call(SetParameters, '/classifier/set_parameters', SetParameters.Request(parameters=[
            Parameter(name=name, value=ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=''))]))
        assert answer.results[0].successful, answer.results[0].reason
    for name, kind, field, value in (('max_rate_hz', 3, 'double_value', 0.0), ('image.max_megapixels', 3,
                                                                               'double_value', 100.0)):
        peer.call(SetParameters, '/classifier/set_parameters', SetParameters.Request(parameters=[
            Parameter(name=name, value=ParameterValue(type=kind, **{field: value}))]))
    decisions = peer.listen(Classification, '/classifier/camera/decision')
    publisher = peer.publisher(Image, '/cam', BEST_EFFORT)
    before = len(decisions)

    def one_more():
        publisher.publish(raw_image(next(stamps)))
        return len(decisions) > before
    peer.wait(one_more, 'a decision')
    assert node.alive, node.log[-3000:]


def stamps():
    now = time.time_ns()
    while True:
        now += 100_000_000
        yield now


@pytest.mark.parametrize('every', [pytest.param(7, id='some'), pytest.param(1, id='all', marks=pytest.mark.slow)])
def test_no_value_of_a_parameter_ends_the_classifier(every, peer, ros_domain, tmp_path, pipe):
    rng = random.Random(every)
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'node.log', 'run', '--model', str(small_bundle(tmp_path / 'model')),
                           '--image', '/cam', '--device', 'cpu')
        clock, sent = stamps(), 0
        peer.wait(lambda: 'listening to' in node.log, 'activation')
        for option in flat_options(ClassifierConfig):
            cases = [value for _, value in values(rng, pipe)]
            cases = cases[rng.randrange(every)::every]
            if option.name == 'decision.costs_file':
                cases += hostile_costs(tmp_path)
            sent += len(set_each(peer, '/classifier', option.name, cases, lambda: node.log[-3000:]))
            assert node.alive, node.log[-3000:]
        for name in ('nosuch', '', 'a' * 5000, 'use_sim_time', '\u202e', 'qos_overrides./cam.subscription.depth'):
            sent += len(set_each(peer, '/classifier', name, cases[:10], lambda: node.log[-3000:]))
        peer.call(SetParameters, '/classifier/set_parameters', SetParameters.Request(parameters=[
            Parameter(name='use_sim_time', value=ParameterValue(type=1, bool_value=False))]))
        answer = peer.call(SetParametersAtomically, '/classifier/set_parameters_atomically',
                           SetParametersAtomically.Request(parameters=[
                               Parameter(name='top_k', value=ParameterValue(type=77)),
                               Parameter(name='model', value=ParameterValue(type=4, string_value='x' * 10_000))]))
        sound(answer.result)
        assert not answer.result.successful
        still_decides(peer, node, clock)
        assert sent > 100 and 'Traceback' not in node.log
        running = peer.call(GetParameters, '/classifier/get_parameters', GetParameters.Request(names=['model']))
        assert running.values[0].string_value == str(tmp_path / 'model')


@pytest.mark.slow
def test_no_value_ends_a_classifier_that_is_not_configured_yet(peer, ros_domain, tmp_path, pipe):
    """Then every value that fits by itself is taken, and configuring says what is wrong with them."""
    rng = random.Random(5)
    bundle = str(small_bundle(tmp_path / 'model'))
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'node.log', 'run', '--model', bundle, '--image', '/cam', '--device',
                           'cpu', '--ros-args', '-p', 'autostart:=false')
        for name in ('model', 'device', 'image_topics', 'cameras', 'fusion.groups', 'decision.costs_file'):
            cases = [value for _, value in values(rng, pipe) if value.type in (4, 9)]
            good = peer.call(GetParameters, '/classifier/get_parameters', GetParameters.Request(names=[name])).values[0]
            for value in cases[rng.randrange(6)::6]:
                result, = set_each(peer, '/classifier', name, [value], lambda: node.log[-3000:])
                if result.successful and value != good:
                    change = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
                    if peer.call(ChangeState, '/classifier/change_state', change, 30.0).success:
                        peer.call(ChangeState, '/classifier/change_state',
                                  ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CLEANUP)))
                assert node.alive, node.log[-3000:]
            set_each(peer, '/classifier', name, [good], lambda: node.log[-3000:])
        for transition in (0, 77, 99, 255, Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CLEANUP):
            request = ChangeState.Request(transition=Transition(id=transition, label='x' * 100 * (transition == 255)))
            assert not peer.call(ChangeState, '/classifier/change_state', request).success
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            assert peer.call(ChangeState, '/classifier/change_state',
                             ChangeState.Request(transition=Transition(id=transition))).success, node.log[-3000:]
        still_decides(peer, node, stamps())


def priors(names):
    """(description, serialized message) of messages that are no prior for ``names``, and of some that are."""
    header = types.Header(0, '')
    for class_id in ('9' * 5000, '²', '①', '٣', '-1', '+1', ' 1', '1_0', '0x1', '', ' ', 'x', 'y' * 3000, '\x1b[2J',
                     'unknown', '1e0', str(len(names)), str(2 ** 64)):
        # Not by our own writer, which refuses what it could not read.
        message = Classification(results=[ObjectHypothesis(class_id=class_id, score=0.5)])
        yield f'class {class_id!r:.30}', serialize_message(message)
    for score in (float('nan'), float('inf'), float('-inf'), -0.1, 1.1, 1e308, -1e308):
        yield f'score {score}', encode_classification(header, [(names[0], score)])
    yield 'twice', encode_classification(header, [(names[0], 0.2), (names[0], 0.2)])
    yield 'too much', encode_classification(header, [(name, 0.9) for name in names])
    yield 'many', encode_classification(header, [('x', 0.0)] * 100_000)
    sound_one = encode_classification(header, [(names[0], 0.5)])
    for at in range(4, len(sound_one), 3):
        yield f'cut at {at}', sound_one[:at]
    yield 'a million stated', encode_classification(header, [])[:-4] + struct.pack('<I', 1_000_000)
    yield 'four billion stated', encode_classification(header, [])[:-4] + struct.pack('<I', 2 ** 32 - 1)
    place = sound_one.index(names[0].encode())
    yield 'not UTF-8', sound_one[:place] + b'\xff' + sound_one[place + 1:]
    yield 'a NUL within', sound_one[:place] + b'\0' + sound_one[place + 1:]


@pytest.mark.parametrize('as_index', [False, True])
@pytest.mark.parametrize('name, data', [(name, data) for name, data in priors(('cup', 'mug', 'bowl'))],
                         ids=lambda value: value.replace(' ', '_') if isinstance(value, str) else '')
def test_what_is_no_prior_is_refused_at_once(name, data, as_index):
    began = time.perf_counter()
    with pytest.raises(RobotVisionError) as caught:
        prior_of(data, ('cup', 'mug', 'bowl'), as_index)
    assert time.perf_counter() - began < 0.2
    assert len(str(caught.value)) < 500


def test_what_is_a_prior_is_taken():
    names, header = ('cup', 'mug', 'bowl'), types.Header(2 ** 31 * 10 ** 9 - 1, 'map')
    assert prior_of(encode_classification(header, []), names, False) == {}
    assert prior_of(encode_classification(header, [('mug', 0.25), ('cup', 0.5)]), names, False) == {
        'mug': 0.25, 'cup': 0.5}
    assert prior_of(encode_classification(header, [('2', 0.25), ('cup', 0.5)]), names, True) == {
        'bowl': 0.25, 'cup': 0.5}
    later = bytearray(encode_classification(types.Header(0, ''), [('mug', 0.5)]))
    later[4:8] = struct.pack('<i', -5)  # its stamp tells nothing
    assert prior_of(bytes(later), names, False) == {'mug': 0.5}


@pytest.mark.parametrize('as_index', [False, True])
def test_no_prior_ends_the_classifier(as_index, peer, ros_domain, tmp_path):
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'node.log', 'run', '--model', str(small_bundle(tmp_path / 'model')),
                           '--image', '/cam', '--device', 'cpu', '--ros-args', '-p',
                           f'class_id_as_index:={str(as_index).lower()}')
        reports = peer.listen(DiagnosticArray, '/diagnostics')
        publisher = peer.publisher(Classification, '/classifier/camera/prior', RELIABLE)

        def told():
            """What a publisher sends that the node does not know yet is lost, so all of it is sent again."""
            for _, data in priors(('cup', 'mug', 'bowl')):
                publisher.publish(data)
                peer.wait(lambda: True, 'a turn')
            return 'message ignored' in node.log
        peer.wait(told, 'the line about priors')
        still_decides(peer, node, stamps())
        peer.wait(lambda: any(item.key == 'priors_refused' and int(item.value) > 0 for report in reports
                              for status in report.status for item in status.values), 'their count')
        assert 'Traceback' not in node.log


@pytest.mark.parametrize('config_class, name, command', [
    (ActionGateConfig, '/action_gate', ('robot_vision_dl.ros.action_gate_node', ()))])
def test_no_value_and_no_message_ends_the_action_gate(config_class, name, command, peer, ros_domain, tmp_path, pipe):
    rng = random.Random(3)
    module, arguments = command
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'gate.log', *arguments, module=module)
        for option in flat_options(config_class):
            cases = [value for _, value in values(rng, pipe)][rng.randrange(3)::3]
            set_each(peer, name, option.name, cases, lambda: node.log[-3000:])
        publisher = peer.publisher(Classification, '/classifier/camera/decision', RELIABLE)
        for _, data in priors(('cup', 'mug', 'bowl')):
            publisher.publish(data)
            peer.wait(lambda: True, 'a turn')
        time.sleep(0.5)
        answer = peer.call(GetParameters, f'{name}/get_parameters', GetParameters.Request(names=['rate_hz']))
        assert answer.values[0].double_value == 20.0 and node.alive, node.log[-3000:]
        assert 'Traceback' not in node.log


@pytest.mark.slow
def test_no_value_is_taken_while_the_trainer_runs(peer, pipe):
    """Its parameters by type and value, refused each with a reason, as a node of this process."""
    options = [option.name for option in flat_options(TrainerConfig)]
    assert options
    import rclpy

    from robot_vision_dl.core.errors import ConfigError
    from robot_vision_dl.ros.parameters import ConfigParameters

    def refuse(_config, names):
        raise ConfigError(f'{names[0]}: cannot change while the run is on')
    node = peer.node
    parameters = ConfigParameters(node, TrainerConfig, lambda: True, lambda *_: None, refuse)
    before = parameters.config
    for option in options:
        for _, value in values(random.Random(1), pipe):
            if value.type in range(10):
                parameter = rclpy.parameter.Parameter.from_parameter_msg(Parameter(name=option, value=value))
                sound(node.set_parameters([parameter])[0])
    assert parameters.config == before

"""The classifier as a process of its own, over real DDS."""
import itertools
import time

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import State, Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from node_harness import BEST_EFFORT, RELIABLE, NodeProcess, PreloadedChildren, environment, raw_image, small_bundle  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import DescribeParameters, SetParameters  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from vision_msgs.msg import Classification, LabelInfo, ObjectHypothesis  # noqa: E402

from robot_vision_dl.core import types  # noqa: E402
from robot_vision_dl.core.images.cdr import encode_compressed_image, encode_image  # noqa: E402

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SECOND = 1_000_000_000


@pytest.fixture(scope='module')
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bundles')
    return {'first': small_bundle(folder / 'first'),
            'second': small_bundle(folder / 'second', ('left', 'right'), seed=1)}


@pytest.fixture()
def start(ros_domain, tmp_path, bundles):
    """A function that starts a classifier with these arguments."""
    with PreloadedChildren(environment(ros_domain)) as children:
        count = itertools.count()

        def starter(*arguments):
            if '--model' not in arguments:
                arguments = ('--model', str(bundles['first']), *arguments)
            return NodeProcess(children, tmp_path / f'node{next(count)}.log', 'run', *arguments)
        yield starter


def stamp_of(message):
    return message.header.stamp.sec * SECOND + message.header.stamp.nanosec


def values_of(array, name):
    """The newest status whose name ends so, and its values."""
    for message in reversed(array):
        for status in message.status:
            if status.name.endswith(name):
                return {item.key: item.value for item in status.values}, status
    return None


def set_parameter(peer, name, value):
    kinds = {bool: ('bool_value', ParameterType.PARAMETER_BOOL),
             int: ('integer_value', ParameterType.PARAMETER_INTEGER),
             float: ('double_value', ParameterType.PARAMETER_DOUBLE),
             str: ('string_value', ParameterType.PARAMETER_STRING)}
    field, kind = kinds[type(value)]
    request = SetParameters.Request(parameters=[
        Parameter(name=name, value=ParameterValue(type=kind, **{field: value}))])
    return peer.call(SetParameters, '/classifier/set_parameters', request).results[0]


def test_decision_carries_header_of_image_and_results_agree(start, peer):
    start('--image', '/cam')
    decisions = peer.listen(Classification, '/classifier/camera/decision')
    classifications = peer.listen(Classification, '/classifier/camera/classification')
    uncertainties = peer.listen(DiagnosticArray, '/classifier/camera/uncertainty')
    labels = peer.listen(LabelInfo, '/classifier/label_info', LATCHED)
    camera = peer.publisher(Image, '/cam')
    peer.wait(lambda: peer.node.count_publishers('/classifier/camera/uncertainty'), 'the uncertainty topic')
    stamps = itertools.count(5 * SECOND, SECOND // 10)

    def heard():
        camera.publish(raw_image(next(stamps)))
        return classifications and uncertainties and decisions and labels
    peer.wait(heard, 'all topics')
    decision = decisions[-1]
    assert decision.header.frame_id == 'test_camera'
    assert (stamp_of(decision) - 5 * SECOND) % (SECOND // 10) == 0
    assert len(decision.results) == 1
    assert [item.class_name for item in labels[0].class_map] == ['cup', 'mug', 'bowl']
    scores = [result.score for result in classifications[0].results]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1.0, abs=1e-5)
    assert {result.class_id for result in classifications[0].results} == {'cup', 'mug', 'bowl'}
    values = {item.key: item.value for item in uncertainties[-1].status[0].values}
    assert float(values['max_probability']) == pytest.approx(scores[0], abs=1e-4)
    assert {'predictive_entropy', 'ood_score', 'ood_p_value', 'frame_age_ms', 'forward_ms'} <= set(values)


def test_compressed_transport_and_lazy_overlay(start, peer):
    start('--image', '/cam', '--transport', 'compressed')
    decisions = peer.listen(Classification, '/classifier/camera/decision')
    camera = peer.publisher(CompressedImage, '/cam/compressed')
    jpeg = cv2.imencode('.jpg', np.full((240, 320, 3), 90, np.uint8))[1].reshape(-1)
    stamps = itertools.count(SECOND, SECOND // 10)

    def send():
        camera.publish(encode_compressed_image(types.CompressedImage(types.Header(next(stamps), 'c'), 'jpeg', jpeg)))
    peer.wait(lambda: send() or decisions, 'a decision')
    overlays = peer.listen(Image, '/classifier/camera/overlay')
    pressed = peer.listen(CompressedImage, '/classifier/camera/overlay/compressed')
    peer.wait(lambda: send() or (overlays and pressed), 'overlays once somebody listens')
    # Small pictures are enlarged so that the text can be read.
    assert (overlays[0].height, overlays[0].width, overlays[0].encoding) == (480, 640, 'bgr8')
    picture = cv2.imdecode(np.frombuffer(bytes(pressed[0].data), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (480, 640, 3)
    assert np.ptp(picture) > 50, 'nothing was drawn'


def connect(peer, camera, message, decisions):
    """Publish until a decision comes: the two ends of a topic do not learn of each other at the same moment."""
    peer.wait(lambda: camera.publish(message) or decisions, 'the first decision')


def account_so_far(peer, diagnostics):
    """Frames (received, decided, dropped) so far, once nothing is waiting."""
    before = len(diagnostics)
    peer.wait(lambda: len(diagnostics) >= before + 2, 'diagnostics')
    values, _ = values_of(diagnostics, 'camera camera')
    received, decided, dropped = (int(values[key]) for key in ('received', 'decided', 'dropped'))
    assert received == decided + dropped
    return received, decided, dropped


def bad_messages():
    """(reason, serialized message) of everything a broken driver sends."""
    good = raw_image(0)
    nan = np.full(48 * 64, np.nan, np.float32)
    huge = encode_image(types.RawImage(types.Header(0, 'c'), 100_000, 100_000, 'bgr8', False, 300_000,
                                       np.zeros(1000, np.uint8)))
    jpeg_like = np.frombuffer(b'this is no picture', np.uint8)
    return {
        'empty': raw_image(0, height=0, width=0, step=0, data=np.zeros(0, np.uint8)),
        'step': raw_image(0, step=10),
        'short': raw_image(0, data=np.zeros(100, np.uint8)),
        'encoding': raw_image(0, encoding='bgr9', data=np.zeros(48 * 64 * 3, np.uint8)),
        'huge': huge,
        'nan': raw_image(0, encoding='32FC1', step=256, data=nan.view(np.uint8)),
        'inf': raw_image(0, encoding='32FC1', step=256, data=np.full(48 * 64, np.inf, np.float32).view(np.uint8)),
        'half': good[:len(good) // 2],
        'other': encode_compressed_image(types.CompressedImage(types.Header(0, 'c'), 'jpeg', jpeg_like)),
    }


def test_bad_input_is_counted_by_reason_and_the_next_good_frame_decided(start, peer):
    node = start('--image', '/cam')
    decisions = peer.listen(Classification, '/classifier/camera/decision')
    diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
    camera = peer.publisher(Image, '/cam', RELIABLE)
    stamps = itertools.count(100 * SECOND, SECOND // 10)

    def decide_a_good_one():
        stamp = next(stamps)
        camera.publish(raw_image(stamp))
        peer.wait(lambda: any(stamp_of(message) == stamp for message in decisions), 'the decision of a good frame')
    connect(peer, camera, raw_image(100 * SECOND - 1), decisions)
    received, decided, dropped = account_so_far(peer, diagnostics)
    decide_a_good_one()
    bad = bad_messages()

    def dropped_so_far():
        found = values_of(diagnostics, 'camera camera')
        return int(found[0]['dropped']) if found else 0
    for name, message in bad.items():
        camera.publish(message)
        # The next good frame must not push the bad one out of the mailbox before it was looked at.
        before = dropped_so_far()
        peer.wait(lambda: dropped_so_far() > before, f'the drop of: {name}')  # noqa: B023
        decide_a_good_one()
    camera.publish(raw_image(next(stamps) - SECOND // 2))  # backwards
    good = len(bad) + 1

    def account():
        found = values_of(diagnostics, 'camera camera')
        return found and int(found[0]['received']) == received + 2 * good and found[0]
    values = peer.wait(account, 'the account of all frames')
    assert int(values['decided']) == decided + good
    reasons = {key[len('dropped_'):]: int(value) for key, value in values.items() if key.startswith('dropped_')}
    reasons.pop('replaced_by_newer', None)  # of the first frames, before both ends were connected
    assert sum(reasons.values()) == len(bad) + 1
    assert reasons['stamp_backwards'] == 1
    assert len(reasons) >= 6, reasons
    assert node.alive
    assert 'Traceback' not in node.log


def test_damaged_compressed_images_are_counted(start, peer):
    start('--image', '/cam', '--transport', 'compressed')
    decisions = peer.listen(Classification, '/classifier/camera/decision')
    diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
    camera = peer.publisher(CompressedImage, '/cam/compressed', RELIABLE)
    picture = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    jpeg = cv2.imencode('.jpg', picture)[1].reshape(-1)

    def message(stamp, data):
        return encode_compressed_image(types.CompressedImage(types.Header(stamp, 'c'), 'jpeg', data))
    connect(peer, camera, message(SECOND, jpeg), decisions)
    received, decided, dropped = account_so_far(peer, diagnostics)
    for data in (jpeg[:len(jpeg) // 2], np.frombuffer(b'no jpeg at all', np.uint8), np.zeros(0, np.uint8)):
        before = len(diagnostics)
        camera.publish(message(SECOND, data))
        peer.wait(lambda: len(diagnostics) > before + 1, 'diagnostics')  # noqa: B023
    camera.publish(message(2 * SECOND, jpeg))
    values, status = peer.wait(lambda: (found := values_of(diagnostics, 'camera camera'))
                               and int(found[0]['decided']) == decided + 1 and found, 'the account')
    assert int(values['received']) == received + 4
    assert int(values['dropped']) == dropped + 3


def test_lifecycle_twice_over_through_the_real_services(start, peer):
    node = start('--image', '/cam', '--no-autostart')
    decisions = peer.listen(Classification, '/classifier/camera/decision')

    def change(transition):
        request = ChangeState.Request(transition=Transition(id=transition))
        return peer.call(ChangeState, '/classifier/change_state', request).success

    def state():
        return peer.call(GetState, '/classifier/get_state', GetState.Request()).current_state.id
    assert state() == State.PRIMARY_STATE_UNCONFIGURED
    stamps = itertools.count(SECOND, SECOND // 10)
    memory = []
    for _ in range(4):
        assert change(Transition.TRANSITION_CONFIGURE)
        assert state() == State.PRIMARY_STATE_INACTIVE
        assert change(Transition.TRANSITION_ACTIVATE)
        camera = peer.publisher(Image, '/cam')
        peer.wait(lambda: peer.node.count_publishers('/classifier/camera/decision') == 1, 'the decision topic')
        decisions.clear()
        peer.wait(lambda: camera.publish(raw_image(next(stamps))) or decisions, 'a decision')  # noqa: B023
        assert change(Transition.TRANSITION_DEACTIVATE)
        peer.wait(lambda: camera.get_subscription_count() == 0, 'the end of the subscription')  # noqa: B023
        peer.node.destroy_publisher(camera)
        assert change(Transition.TRANSITION_CLEANUP)
        assert state() == State.PRIMARY_STATE_UNCONFIGURED
        memory.append(int(open(f'/proc/{node.process.pid}/statm').read().split()[1]) * 4096 / 1e6)
    assert memory[-1] - memory[0] < 10, f'memory grows from cycle to cycle: {memory} MB'
    assert node.alive


@pytest.mark.parametrize('arguments, said', [
    (['--model', '/no/such/bundle'], '/no/such/bundle'),
    (['--device', 'cuda:77'], 'cuda:77'),
])
def test_what_cannot_be_configured_is_said_and_the_node_lives(start, peer, arguments, said):
    node = start('--image', '/cam', *arguments)
    peer.wait(lambda: 'cannot configure' in node.log, 'the line about what is wrong')
    assert said in node.log
    assert 'Traceback' not in node.log
    response = peer.call(GetState, '/classifier/get_state', GetState.Request())
    assert response.current_state.id == State.PRIMARY_STATE_UNCONFIGURED


def test_corrupted_bundle_is_refused_and_another_can_be_configured(start, peer, bundles, tmp_path):
    damaged = small_bundle(tmp_path / 'damaged')
    weights = damaged / 'model.safetensors'
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    node = start('--image', '/cam', '--model', str(damaged))
    peer.wait(lambda: 'cannot configure' in node.log, 'the refusal')
    assert 'model.safetensors' in node.log
    assert set_parameter(peer, 'model', str(bundles['first'])).successful
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    assert peer.call(ChangeState, '/classifier/change_state', request).success


def test_parameters_are_described_checked_and_applied(start, peer):
    start('--image', '/cam')
    uncertainties = peer.listen(DiagnosticArray, '/classifier/camera/uncertainty')
    camera = peer.publisher(Image, '/cam')
    peer.wait(lambda: peer.node.count_publishers('/classifier/camera/uncertainty'), 'the topics')
    described = peer.call(DescribeParameters, '/classifier/describe_parameters', DescribeParameters.Request(
        names=['decision.abstain_cost', 'image_transport'])).descriptors
    assert described[0].floating_point_range[0].to_value == 1.0
    assert 'compressed' in described[1].additional_constraints

    refused = set_parameter(peer, 'decision.false_unknown_rate', 1.5)
    assert not refused.successful
    refused = set_parameter(peer, 'image_topics', 'x')
    assert not refused.successful
    refused = set_parameter(peer, 'device', 'cuda')
    assert not refused.successful and 'fixed while the node is configured' in refused.reason
    refused = set_parameter(peer, 'image.depth_far_m', 0.1)
    assert not refused.successful and 'depth_near_m' in refused.reason

    stamps = itertools.count(SECOND, SECOND // 10)

    def outcome():
        camera.publish(raw_image(next(stamps)))
        return uncertainties and uncertainties[-1].status[0].level
    assert set_parameter(peer, 'decision.false_unknown_rate', 0.0).successful
    assert set_parameter(peer, 'decision.abstain_cost', 1.0).successful
    peer.wait(lambda: outcome() == DiagnosticStatus.OK, 'acceptance where abstaining costs as much as an error')
    assert set_parameter(peer, 'decision.abstain_cost', 0.0).successful
    peer.wait(lambda: outcome() == DiagnosticStatus.WARN, 'no label accepted where abstaining is free')
    assert set_parameter(peer, 'decision.false_unknown_rate', 1.0).successful
    peer.wait(lambda: outcome() == DiagnosticStatus.ERROR, 'everything unknown')


def test_model_is_swapped_without_losing_a_frame(start, peer, bundles):
    start('--image', '/cam', '--ros-args', '-p', 'qos_overrides./cam.subscription.reliability:=reliable',
          '-p', 'qos_overrides./cam.subscription.depth:=10')
    decisions = peer.listen(Classification, '/classifier/camera/decision')
    labels = peer.listen(LabelInfo, '/classifier/label_info', LATCHED)
    diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
    camera = peer.publisher(Image, '/cam', RELIABLE)
    connect(peer, camera, raw_image(SECOND - 1), decisions)
    _, decided, dropped = account_so_far(peer, diagnostics)
    decisions.clear()
    stamps = itertools.count(SECOND, SECOND // 30)
    due, sent = time.monotonic(), []

    def at_30_hz():
        """At most 30 Hz, and never before the last frame was decided: a busy machine must not replace one."""
        nonlocal due
        if time.monotonic() >= due and len(decisions) == len(sent):
            due = time.monotonic() + 1 / 30
            sent.append(next(stamps))
            camera.publish(raw_image(sent[-1]))
    peer.wait(lambda: at_30_hz() or len(decisions) > 30, 'thirty decisions')
    refused = set_parameter(peer, 'model', 'no_such_model')
    assert not refused.successful and 'no_such_model' in refused.reason
    assert set_parameter(peer, 'model', str(bundles['second'])).successful
    peer.wait(lambda: at_30_hz() or [item.class_name for item in labels[-1].class_map] == ['left', 'right'],
              'the new label table')
    swapped_at = len(sent)
    peer.wait(lambda: at_30_hz() or len(sent) > swapped_at + 30, 'thirty more')
    peer.wait(lambda: len(decisions) == len(sent), 'a decision for every frame sent')
    assert [stamp_of(decision) for decision in decisions] == sent
    values, _ = peer.wait(lambda: (found := values_of(diagnostics, 'camera camera'))
                          and int(found[0]['decided']) == decided + len(sent) and found, 'the account')
    assert int(values['dropped']) == dropped


def test_four_cameras_share_a_batch_and_keep_apart(start, peer):
    names = ['front', 'rear', 'left', 'right']
    start(*itertools.chain.from_iterable(('--camera', f'{name}:=/{name}/image') for name in names))
    decisions = {name: peer.listen(Classification, f'/classifier/{name}/decision') for name in names}
    diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
    cameras = {name: peer.publisher(Image, f'/{name}/image') for name in names}
    stamps = itertools.count(SECOND, SECOND // 30)

    def in_one_batch():
        stamp = next(stamps)
        for index, name in enumerate(names):
            cameras[name].publish(raw_image(stamp, header=types.Header(stamp, name), value=40 * index))
        found = [values_of(diagnostics, f'camera {name}') for name in names]
        return all(found) and all(float(values.get('batch_size_mean', 1)) > 1 for values, _ in found)
    peer.wait(in_one_batch, 'batches of more than one')
    for name in names:
        assert decisions[name], name
        assert {message.header.frame_id for message in decisions[name]} == {name}


def test_weaker_publisher_is_named_with_the_fix(start, peer):
    node = start('--image', '/cam', '--ros-args', '-p', 'qos_overrides./cam.subscription.reliability:=reliable')
    peer.node.create_publisher(Image, '/cam', BEST_EFFORT)
    peer.wait(lambda: 'Fix:' in node.log, 'the line about QoS')
    peer.node.create_publisher(Image, '/cam', BEST_EFFORT)
    lines = [line for line in node.log.splitlines() if 'Fix:' in line]
    assert len(lines) == 1
    assert 'qos_overrides./cam.subscription.reliability:=best_effort' in lines[0]


def test_stronger_subscriber_is_named_with_the_fix(start, peer):
    node = start('--image', '/cam', '--ros-args', '-p',
                 'qos_overrides./classifier/camera/decision.publisher.reliability:=best_effort')
    peer.listen(Classification, '/classifier/camera/decision', RELIABLE)
    peer.wait(lambda: 'Fix:' in node.log, 'the line about QoS')
    lines = [line for line in node.log.splitlines() if 'Fix:' in line]
    assert len(lines) == 1
    assert 'qos_overrides./classifier/camera/decision.publisher.reliability:=reliable' in lines[0]


def test_silent_camera_is_stale(start, peer):
    start('--image', '/cam')
    diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
    _, status = peer.wait(lambda: (found := values_of(diagnostics, 'camera camera'))
                          and found[1].level == DiagnosticStatus.STALE and found, 'stale')
    assert 'nobody publishes on /cam' in status.message


def test_bad_parameter_at_start_ends_with_exit_code_2(start):
    node = start('--image', '/cam', '--ros-args', '-p', 'top_k:=0')
    assert node.process.wait(60) == 2
    assert 'top_k' in node.log and 'Traceback' not in node.log


def test_simulated_time_is_what_ages_are_measured_by(start, peer):
    start('--image', '/cam', '--use-sim-time')
    uncertainties = peer.listen(DiagnosticArray, '/classifier/camera/uncertainty')
    clock = peer.publisher(Clock, '/clock', RELIABLE)
    camera = peer.publisher(Image, '/cam')
    now = itertools.count(1000 * SECOND, SECOND // 50)

    def age_ms():
        stamp = next(now)
        clock.publish(Clock(clock=Time(sec=stamp // SECOND, nanosec=stamp % SECOND)))
        camera.publish(raw_image(stamp - SECOND // 10))
        if uncertainties:
            values = {item.key: item.value for item in uncertainties[-1].status[0].values}
            return float(values['frame_age_ms'])
    # By the wall clock the frames would be decades old; before the first /clock, the simulated time is zero.
    peer.wait(lambda: 0 < (age_ms() or -1) < 5000, 'a frame of about a tenth of a second of age')


def test_prior_moves_decisions_and_is_taken_back(start, peer):
    start('--image', '/cam', '--ros-args', '-p', 'decision.abstain_cost:=1.0', '-p', 'decision.false_unknown_rate:=0.0')
    decisions = peer.listen(Classification, '/classifier/camera/decision')
    camera = peer.publisher(Image, '/cam')
    prior = peer.publisher(Classification, '/classifier/camera/prior', qos=10)
    stamps = itertools.count(5 * SECOND, SECOND // 10)

    def decided(label):
        def now():
            camera.publish(raw_image(next(stamps)))
            return decisions and decisions[-1].results[0].class_id == label
        return now
    camera.publish(raw_image(next(stamps)))
    first = peer.wait(lambda: camera.publish(raw_image(next(stamps))) or (decisions and decisions[-1]), 'a decision')
    plain = first.results[0].class_id
    other = next(name for name in ('cup', 'mug', 'bowl') if name != plain)
    prior.publish(Classification(results=[ObjectHypothesis(class_id=other, score=0.9999)]))
    peer.wait(decided(other), f'a decision for {other}')
    prior.publish(Classification(results=[ObjectHypothesis(class_id='teapot', score=0.9)]))  # is said, not obeyed
    prior.publish(Classification())
    peer.wait(decided(plain), f'a decision for {plain}')

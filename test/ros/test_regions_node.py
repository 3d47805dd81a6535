"""Objects of a detector through the real node over real DDS: pairs, decisions, tracks, accounts."""
import itertools
import json

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from node_harness import NodeProcess, PreloadedChildren, environment  # noqa: E402
from object_samples import HEIGHT, NAMES, WIDTH, array, detection, scene, square_bundle  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from robot_vision_dl.core import types  # noqa: E402
from robot_vision_dl.core.images.cdr import encode_image  # noqa: E402
from robot_vision_dl.core.regions.detection_cdr import encode_detections  # noqa: E402
from robot_vision_dl.core.regions.detections import NO_POSE, DetectionArray  # noqa: E402

MS, SECOND = 1_000_000, 1_000_000_000
START_NS = 1_700_000_000 * SECOND
MANY = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
PLACES = [(40 + 80 * column, 60 + 110 * row) for row in range(2) for column in range(4)]


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return square_bundle(tmp_path_factory.mktemp('models') / 'squares')


def image(ms, pixels):
    height, width = pixels.shape[:2]
    return encode_image(types.RawImage(types.Header(START_NS + ms * MS, 'camera'), height, width, 'bgr8', False,
                                       3 * width, pixels.reshape(-1)))


def boxes(ms, *detections):
    return encode_detections(array(START_NS + ms * MS, *detections))


class Robot:
    """The node, a driver and a detector for each of its cameras."""

    def __init__(self, children, peer, folder, bundle, cameras=('camera',), *arguments):
        self.peer, self.cameras = peer, cameras
        self.heard = {name: peer.listen(Detection2DArray, f'/classifier/{name}/detections', MANY) for name in cameras}
        self.reasons = {name: peer.listen(DiagnosticArray, f'/classifier/{name}/uncertainty', MANY) for name in cameras}
        self.health = peer.listen(DiagnosticArray, '/diagnostics')
        given = []
        for name in cameras:
            given += ['--camera', f'{name}:=/{name}/image', '--regions', f'{name}:=/{name}/boxes']
        self.node = NodeProcess(children, folder / 'node.log', 'run', '--model', str(bundle), '--backend', 'torch',
                                *given, *arguments)
        self.drivers = {name: peer.publisher(Image, f'/{name}/image', MANY) for name in cameras}
        self.detectors = {name: peer.publisher(Detection2DArray, f'/{name}/boxes', MANY) for name in cameras}
        self.connected()

    def connected(self):
        """Wait until the node, too, knows of those who publish: it asks for best effort."""
        self.health.clear()
        for name in self.cameras:
            for side in ('camera', 'detections'):
                self.values(f'{side} {name}', lambda values: values['publishers'] == '1')

    def image(self, ms, pixels, camera='camera'):
        self.drivers[camera].publish(image(ms, pixels))

    def boxes(self, ms, *detections, camera='camera'):
        self.detectors[camera].publish(boxes(ms, *detections))

    def answers(self, count, camera='camera'):
        """The newest of so many answers."""
        self.peer.wait(lambda: len(self.heard[camera]) >= count, f'{count} answers of {camera}')
        return self.heard[camera][-1]

    def see(self, ms, objects, *detections, camera='camera'):
        """A picture and its detections; labels that come back."""
        before = len(self.heard[camera])
        self.image(ms, scene(objects, seed=ms), camera)
        self.boxes(ms, *detections, camera=camera)
        return labels(self.answers(before + 1, camera))

    def values(self, name, until=lambda values: True):
        """Values of the status whose name ends so, once they are as wished."""
        return self.peer.report(self.health, name, until)


def labels(message):
    return [one.results[0].hypothesis.class_id for one in message.detections]


def stamp_ms(message):
    return (message.header.stamp.sec * SECOND + message.header.stamp.nanosec - START_NS) // MS


@pytest.fixture()
def robot(ros_domain, tmp_path, bundle, peer):
    with PreloadedChildren(environment(ros_domain)) as children:
        count = itertools.count()

        def starter(*arguments, cameras=('camera',)):
            folder = tmp_path / str(next(count))
            folder.mkdir()
            return Robot(children, peer, folder, bundle, cameras, *arguments)
        yield starter


def test_the_array_comes_back_as_it_was_with_our_decision_first(robot):
    robot = robot()
    overlays = robot.peer.listen(CompressedImage, '/classifier/camera/overlay/compressed')
    objects = [('red', 60, 60), ('blue', 250, 180), ('yellow', 90, 190)]
    given = [detection(60, 60, 'a', hypotheses=[('thing', 0.8), ('other', 0.1)]), detection(250, 180),
             detection(90, 190, 'c'), detection(float('nan'), 3, 'd'), detection(500, 500)]
    robot.peer.wait(lambda: robot.see(len(robot.heard['camera']), objects, *given) and overlays, 'an overlay')
    robot.peer.wait(lambda: robot.reasons['camera'], 'the reasons')
    message = robot.heard['camera'][-1]
    assert message.header.frame_id == 'camera' and stamp_ms(message) == len(robot.heard['camera']) - 1
    assert labels(message) == ['red', 'blue', 'unknown', 'uncertain', 'uncertain']
    for sent, back in zip(given, message.detections):
        assert [back.bbox.center.position.x, back.bbox.size_x] == pytest.approx([sent.box.x, sent.box.width],
                                                                              nan_ok=True)
        assert [(one.hypothesis.class_id, one.hypothesis.score) for one in back.results[1:]] == [
            (one.class_id, one.score) for one in sent.hypotheses]
        assert back.id == sent.track_id if sent.track_id else back.id
    assert message.detections[0].results[0].pose.pose.orientation.w == np.frombuffer(NO_POSE)[6]
    status = robot.reasons['camera'][-1].status
    assert [one.message.partition(':')[0] for one in status] == ['accepted', 'accepted', 'unknown', 'uncertain',
                                                                'uncertain']
    assert 'finite' in status[3].message and 'lies in the picture' in status[4].message
    values = {one.key: one.value for one in status[0].values}
    assert values['track'] == 'a' and float(values['forward_ms']) > 0


def test_a_picture_without_objects_has_an_answer_without_objects(robot):
    robot = robot()
    assert robot.see(0, []) == [] and robot.see(100, [('red', 60, 60)], detection(60, 60)) == ['red']
    # The network was asked for one of the two, and the report says how long that took.
    robot.values('camera camera', lambda values: float(values.get('forward_ms_mean', 0)) > 0)


def test_whatever_the_order_no_detections_go_to_a_wrong_picture(robot):
    """Each picture has a colour of its own; a wrong pair would be told by its label."""
    robot = robot('--ros-args', '-p', 'fusion.enabled:=false', '-p', 'detections.deadline_s:=30.0')
    rng, colours = np.random.default_rng(0), {}
    robot.see(0, [('red', 100, 100)], detection(100, 100))
    due = []
    for number in range(1, 40):
        ms = 33 * number
        colours[ms] = NAMES[rng.integers(3)]
        picture = scene([(colours[ms], 100, 100)], seed=number)
        early, late = rng.uniform(0, 60, 2)  # images and answers overtake each other
        due += [(ms + early, 'image', ms, picture), (ms + 50 + late, 'boxes', ms, None)]
        if number % 7 == 0:
            due.append((ms + early + 1, 'image', ms, picture))  # twice
        if number % 5 == 0:
            due.append((ms + 51 + late, 'boxes', ms, None))
    dropped = {33 * 11, 33 * 23}  # pictures that are lost
    for _, kind, ms, picture in sorted(due, key=lambda one: one[0]):
        if kind == 'image' and ms not in dropped:
            robot.image(ms, picture)
        elif kind == 'boxes':
            robot.boxes(ms, detection(100, 100))
        robot.peer.listen_for(0.02)
    robot.see(5000, [('red', 100, 100)], detection(100, 100))
    answers = robot.heard['camera'][1:-1]
    assert len(answers) > 15
    for message in answers:
        assert labels(message) == [colours[stamp_ms(message)]], stamp_ms(message)
    stamps = [stamp_ms(message) for message in answers]
    assert stamps == sorted(set(stamps)) and not dropped & set(stamps)
    sent = {'image': 2, 'boxes': 2}
    for _, kind, ms, _ in due:
        sent[kind] += kind == 'boxes' or ms not in dropped
    for name, count in (('camera camera', sent['image']), ('detections camera', sent['boxes'])):
        values, _ = robot.values(name, lambda values, count=count: int(values['received']) == count)
        reasons = {key: int(value) for key, value in values.items() if key.startswith('dropped_')}
        assert int(values['decided']) == len(robot.heard['camera'])
        assert int(values['received']) == int(values['decided']) + sum(reasons.values()), reasons


def test_what_is_late_early_missing_or_without_a_stamp_is_counted_and_the_node_goes_on(robot):
    robot = robot('--ros-args', '-p', 'detections.deadline_s:=0.3')
    red = [('red', 100, 100)]
    robot.boxes(100, detection(100, 100))  # early
    robot.peer.listen_for(0.05)
    robot.image(100, scene(red))
    assert labels(robot.answers(1)) == ['red']
    robot.image(200, scene(red))  # its detections never come
    robot.boxes(250, detection(100, 100))  # and the image of these neither
    robot.drivers['camera'].publish(encode_image(types.RawImage(
        types.Header(0, 'camera'), HEIGHT, WIDTH, 'bgr8', False, 3 * WIDTH, scene(red).reshape(-1))))
    robot.detectors['camera'].publish(encode_detections(DetectionArray(types.Header(0, 'camera'))))
    robot.drivers['camera'].publish(image(300, scene(red))[:-5])
    robot.detectors['camera'].publish(boxes(300, detection(1, 1))[:-5])
    images, _ = robot.values('camera camera', lambda values: 'dropped_no_detections' in values)
    assert {images[f'dropped_{reason}'] for reason in ('no_stamp', 'no_detections', 'truncated')} == {'1'}
    arrays, status = robot.values('detections camera', lambda values: 'dropped_no_image' in values)
    assert {arrays[f'dropped_{reason}'] for reason in ('no_stamp', 'no_image', 'truncated')} == {'1'}
    robot.boxes(200, detection(100, 100))  # later than the deadline
    robot.values('detections camera', lambda values: values.get('dropped_late') == '1')
    told = [status.message for message in robot.health for status in message.status
            if status.name.endswith('detections camera')]
    assert any('detections.tolerance_s' in text for text in told)
    assert any('detections.deadline_s' in text for text in told)
    robot.peer.wait(lambda: 'detections.tolerance_s' in robot.node.log, 'the log')
    assert robot.see(400, red, detection(100, 100)) == ['red']
    assert robot.node.alive


def test_one_of_the_two_stopping_is_told_and_both_go_on_afterwards(robot):
    robot = robot()
    red, box = [('red', 100, 100)], detection(100, 100)
    assert robot.see(0, red, box) == ['red']
    for ms in range(100, 600, 100):
        robot.image(ms, scene(red))
    stale = robot.peer.wait(lambda: [status for message in robot.health for status in message.status
                                     if status.name.endswith('detections camera') and 'stale' in status.message],
                            'that no detections come')
    assert '/camera/boxes' in stale[0].message
    images, _ = robot.values('camera camera', lambda values: values.get('dropped_no_detections') == '5')
    assert images['received'] == '6'
    for ms in range(700, 1000, 100):
        robot.boxes(ms, box)
    robot.values('detections camera', lambda values: values.get('dropped_no_image') == '3')
    assert robot.see(2000, red, box) == ['red']


def test_objects_that_cross_or_whose_ids_are_exchanged_keep_their_labels(robot):
    robot = robot()
    tracks = set()
    for step in range(12):
        left, right = 50 + 20 * step, 270 - 20 * step
        assert robot.see(100 * step, [('red', left, 80), ('blue', right, 160)], detection(left, 80),
                         detection(right, 160)) == ['red', 'blue'], step
        tracks.add(tuple(one.id for one in robot.heard['camera'][-1].detections))
    assert len(tracks) == 1  # ids of our own, where the detector gives none
    objects = [('red', 60, 60), ('blue', 250, 180)]
    for ms in range(5000, 6000, 100):
        robot.see(ms, objects, detection(60, 60, '1'), detection(250, 180, '2'))
    assert robot.see(6000, objects, detection(60, 60, '2'), detection(250, 180, '1')) == ['red', 'blue']


def test_an_object_that_is_replaced_within_a_fifth_of_a_second_leaves_no_belief(robot):
    robot = robot()
    for ms in range(0, 1000, 100):
        robot.see(ms, [('red', 60, 60)], detection(60, 60, '7'))
    assert robot.see(1200, [('blue', 250, 180)], detection(250, 180, '7')) == ['blue']
    robot.peer.wait(lambda: len(robot.reasons['camera']) == 11, 'the reasons')
    values = {one.key: one.value for one in robot.reasons['camera'][-1].status[0].values}
    assert float(values['track_age_s']) == 0 and '7' in values['track_note']
    # As sure as of an object that is seen for the first time, and no less.
    fresh = robot.see(5000, [('blue', 250, 180)], detection(250, 180, '9')) and robot.heard['camera'][-1]
    first = robot.heard['camera'][-2].detections[0].results[0].hypothesis.score
    assert first == pytest.approx(fresh.detections[0].results[0].hypothesis.score, abs=1e-3)


def test_four_cameras_with_eight_boxes_each_are_all_accounted_for(robot):
    cameras = ('front', 'left', 'right', 'rear')
    robot = robot(cameras=cameras)
    rng = np.random.default_rng(1)
    wanted = {}
    for number in range(12):
        for camera in cameras:
            colours = [NAMES[place] for place in rng.integers(0, 3, len(PLACES))] if not number else wanted[camera]
            wanted[camera] = colours
            objects = [(colour, x, y) for colour, (x, y) in zip(colours, PLACES)]
            robot.image(100 * number, scene(objects, seed=number), camera)
            robot.boxes(100 * number, *[detection(x, y, str(place)) for place, (x, y) in enumerate(PLACES)],
                        camera=camera)
        robot.peer.listen_for(0.1)
    for camera in cameras:
        for name in (f'camera {camera}', f'detections {camera}'):
            values, _ = robot.values(name, lambda values: values['received'] == '12' and int(
                values['decided']) + int(values['dropped']) == 12)
            assert int(values['decided']) >= 3
        robot.peer.wait(lambda camera=camera, count=int(values['decided']): len(robot.heard[camera]) >= count,
                        'all answers')
        assert labels(robot.heard[camera][-1]) == wanted[camera]


def test_more_objects_than_the_cap_take_turns(robot):
    robot = robot('--ros-args', '-p', 'detections.max_objects:=20')
    places = [(12 + 30 * column, 16 + 38 * row) for row in range(6) for column in range(10)]
    objects = [('green', x, y, 24) for x, y in places]
    given = [detection(x, y, str(place), side=24) for place, (x, y) in enumerate(places)]
    for ms in (0, 100, 200):
        robot.see(ms, objects, *given)
    assert len(robot.heard['camera'][-1].detections) == 60
    values, _ = robot.values('detections camera', lambda values: values['objects_decided'] == '60')
    assert values['objects_not_its_turn'] == '120'
    assert 'uncertain' in labels(robot.heard['camera'][0])
    assert len(set(labels(robot.heard['camera'][-1]))) == 1


def test_watch_tells_of_each_object(robot, ros_domain, tmp_path):
    robot = robot()
    with PreloadedChildren(environment(ros_domain)) as children:
        watch = NodeProcess(children, tmp_path / 'watch.log', 'watch', '--json')
        robot.peer.wait(lambda: robot.peer.node.count_subscribers('/classifier/camera/uncertainty') > 1, 'the watcher')
        ms = itertools.count(0, 100)
        for objects, wanted in (([('red', 60, 60), ('green', 200, 100)], {('camera/a', 'red'), ('camera/b', 'green')}),
                                ([('red', 60, 60), ('blue', 200, 100)], {('camera/b', 'blue')})):
            def told(objects=objects, wanted=wanted):
                robot.see(next(ms), objects, detection(60, 60, 'a'), detection(200, 100, 'b'))
                rows = [json.loads(line) for line in watch.log.splitlines() if line.startswith('{')]
                return {(row['camera'], row['label']) for row in rows} >= wanted
            robot.peer.wait(told, f'{wanted}')


def test_deactivated_and_activated_again_it_begins_anew(robot):
    robot = robot()
    assert robot.see(0, [('red', 100, 100)], detection(100, 100)) == ['red']
    robot.image(100, scene([]))
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
        assert robot.peer.call(ChangeState, '/classifier/change_state',
                               ChangeState.Request(transition=Transition(id=transition))).success
    robot.peer.wait(lambda: all(one.get_subscription_count() for one in (robot.drivers['camera'],
                                                                         robot.detectors['camera'])), 'the node again')
    robot.connected()
    assert robot.see(200, [('blue', 100, 100)], detection(100, 100)) == ['blue']
    assert 'dropped 1 stopped; detections received 1, dropped none' in robot.node.log
    before, after = (message.detections[0].id for message in robot.heard['camera'][-2:])
    assert before != after  # names of tracks are not used twice


def test_boxes_that_are_shares_are_told_in_the_log(robot):
    robot = robot()
    assert robot.see(0, [], detection(0.5, 0.5, side=0.1)) == ['uncertain']
    robot.peer.wait(lambda: 'no object can be looked at' in robot.node.log, 'the log')
    robot.peer.wait(lambda: robot.reasons['camera'], 'the reason')
    assert 'shares of the picture' in robot.reasons['camera'][-1].status[0].message


@pytest.mark.parametrize('arguments, told', [
    (['--camera', 'a:=/a', '--camera', 'b:=/b', '--regions', '/boxes'], 'each camera needs one topic'),
    (['--camera', 'a:=/a', '--regions', 'c:=/boxes'], 'a:=TOPIC'),
    (['--image', '/a', '--regions', '/boxes', '--ros-args', '-p', 'regions_of_interest:=10x10'],
     'regions_of_interest'),
    (['--image', '/a', '--regions', '/a'], 'name that of the detector')])
def test_settings_that_do_not_fit_are_refused_with_the_remedy(ros_domain, tmp_path, arguments, told):
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'log', 'run', *arguments)
        node.process.wait(60)
        assert node.process.returncode == 2 and told in node.log

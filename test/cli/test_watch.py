"""``robot-vision watch`` beside a real node, over DDS."""
import itertools
import json
import signal

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from evaluation_samples import small_model  # noqa: E402
from labelled_samples import pattern  # noqa: E402
from node_harness import NodeProcess, PreloadedChildren, environment, raw_image  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Classification  # noqa: E402

from robot_vision_dl.cli.main import main  # noqa: E402

SECOND = 1_000_000_000


@pytest.fixture()
def children(ros_domain):
    with PreloadedChildren(environment(ros_domain)) as children:
        yield children


@pytest.mark.parametrize('given', [('--node-name', 'bad name'), ('--camera', 'front left'), ('--node-name', '')])
def test_a_name_that_no_node_can_have_is_refused(given, capsys, ros_domain):
    """It would be waited for without end."""
    assert main(['watch', *given]) == 2
    assert f'{given[0]} ' in capsys.readouterr().err


def test_it_tells_what_a_node_decides(peer, children, tmp_path):
    def watch(name, *arguments):
        return NodeProcess(children, tmp_path / name, 'watch', *arguments)
    changes, every = watch('changes'), watch('every', '--json', '--every', '--camera', 'rear')
    other = watch('other', '--camera', 'nobody', '--timeout', '20')
    NodeProcess(children, tmp_path / 'node.log', 'run', '--camera', 'front:=/front', '--camera', 'rear:=/rear',
                '--model', str(small_model(tmp_path / 'model')), '--device', 'cpu', '--ros-args', '-p',
                'decision.abstain_cost:=0.3', '-p', 'fusion.enabled:=false', '-p', 'decision.hysteresis:=0.0')
    decisions = peer.listen(Classification, '/classifier/rear/decision')
    cameras = [peer.publisher(Image, topic) for topic in ('/front', '/rear')]
    for name in ('front', 'rear'):
        wanted = 2 if name == 'rear' else 1
        peer.wait(lambda name=name, wanted=wanted: peer.node.count_subscribers(f'/classifier/{name}/uncertainty')
                  >= wanted, 'the watchers')
    stamps = itertools.count(SECOND, SECOND)

    def send(number):
        """Publish a picture until it has been decided and told."""
        pixels = np.ascontiguousarray(pattern(number)).reshape(-1)

        def told():
            stamp = next(stamps)
            for camera in cameras:
                camera.publish(raw_image(stamp, data=pixels, height=48, width=64))
            peer.listen_for(0.2)
            return decisions and decisions[-1].header.stamp.sec * SECOND == stamp and \
                f'"stamp_ns": {stamp},' in every.log
        peer.wait(told, f'picture {number}')
    for number in range(8):
        send(number)

    rows = [json.loads(line) for line in every.log.splitlines() if line.startswith('{')]
    heard = {message.header.stamp.sec * SECOND: message for message in decisions}
    assert {row['camera'] for row in rows} == {'rear'} and len(rows) >= 8
    for row in rows:
        if row['stamp_ns'] in heard:
            result = heard[row['stamp_ns']].results[0]
            assert row['label'] == result.class_id and row['confidence'] == pytest.approx(result.score, abs=1e-5)
            assert row['reason'] and row['outcome'] in ('accepted', 'uncertain', 'unknown')
    assert {row['outcome'] for row in rows} >= {'accepted'}

    def said_of(camera):
        lines = [line.split() for line in changes.log.splitlines() if ' s  ' in line]
        return [line[3] for line in lines if line[2] == camera]
    labels = [one for one, _ in itertools.groupby(row['label'] for row in rows)]
    # Each may have begun to hear a decision later than the other.
    peer.wait(lambda: len(said_of('rear')) >= len(labels) - 1 and said_of('rear')[-1] == labels[-1], 'the last change')
    changes.process.send_signal(signal.SIGINT)
    assert changes.process.wait(timeout=30) == 130
    said = said_of('rear')
    assert said_of('front') and 'Traceback' not in changes.log
    assert all(one != another for one, another in zip(said, said[1:]))
    assert said[-len(labels):] == labels[-len(said):]
    every.process.terminate()
    assert every.process.wait(timeout=30) == 0
    assert other.process.wait(timeout=60) == 1
    assert 'nobody decides as /classifier/nobody' in other.log
    once = watch('once', '--once', '--json')
    peer.wait(lambda: peer.node.count_subscribers('/classifier/rear/uncertainty') >= 1, 'the last watcher')
    peer.wait(lambda: cameras[1].publish(raw_image(next(stamps))) or not once.alive, 'one decision')
    assert once.process.returncode == 0 and len(json.loads(once.log.splitlines()[-1])) == 6

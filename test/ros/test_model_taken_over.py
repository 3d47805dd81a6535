"""Over DDS at 30 Hz: a bundle is replaced in its place, the node takes it over, and every frame is accounted for."""
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from node_harness import BEST_EFFORT, NodeProcess, Peer, PreloadedChildren, environment, raw_image, small_bundle  # noqa: E402
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Classification  # noqa: E402

from robot_vision_dl.core.bundles.bundle import load_bundle  # noqa: E402
from robot_vision_dl.core.errors import RobotVisionError  # noqa: E402
from robot_vision_dl.labelling.installation import install  # noqa: E402
from robot_vision_dl.labelling.model_history import INSTALLED, Entry  # noqa: E402
from robot_vision_dl.ros.model_change import check_runs, take_over  # noqa: E402

RATE_HZ, SECOND = 30, 1_000_000_000
ALL = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10_000, reliability=ReliabilityPolicy.RELIABLE)
OLD, NEW = {'cup', 'mug', 'bowl'}, {'left', 'right'}


class Camera:
    """A classifier that is shown pictures at 30 Hz, and what becomes of each."""

    def __init__(self, children, domain, folder, model):
        self.peer = Peer(domain)
        self.node = NodeProcess(children, folder / 'node.log', 'run', '--model', str(model), '--image', '/cam',
                                '--device', 'cpu')
        self.seen = {}  # stamp -> names of the classes that decided it
        self.accounts = []
        self.peer.node.create_subscription(Classification, '/classifier/camera/classification', self._on_classes, ALL)
        self.peer.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_report, 100)
        self.images = self.peer.publisher(Image, '/cam', BEST_EFFORT)
        self.peer.wait(lambda: self.accounts, 'a report')
        self.sent = []

    def _on_classes(self, message):
        stamp = message.header.stamp
        self.seen[stamp.sec * SECOND + stamp.nanosec] = {result.class_id for result in message.results}

    def _on_report(self, message):
        for status in message.status:
            if status.name.endswith(': camera camera'):
                values = {item.key: item.value for item in status.values}
                self.accounts.append({key: int(values[key]) for key in values
                                      if key in ('received', 'decided', 'dropped') or key.startswith('dropped_')})

    def show(self, until, timeout_s=120):
        """Publish at 30 Hz until a condition holds, and not one frame in less than its time."""
        due = end = time.monotonic()
        end += timeout_s
        while not until():
            assert time.monotonic() < end and self.node.alive, self.node.log
            stamp = SECOND + len(self.sent) * SECOND // RATE_HZ
            self.images.publish(raw_image(stamp, value=60 + len(self.sent) % 60))
            self.sent.append(stamp)
            due = max(due + 1 / RATE_HZ, time.monotonic())
            while time.monotonic() < due:
                self.peer.listen_for(max(0.0, due - time.monotonic()))

    def account(self):
        """Of all frames that were sent, once nothing is on its way any more."""
        self.accounts.clear()
        try:
            self.peer.wait(lambda: self.accounts and self.accounts[-1]['received'] == len(self.sent), 'all', 15)
        except AssertionError as error:
            raise AssertionError(f'{len(self.sent)} sent, {self.accounts[-1]}') from error
        self.peer.wait(lambda: len(self.seen) >= self.accounts[-1]['decided'], 'all decisions')
        return self.accounts[-1]

    def close(self):
        self.peer.close()


def check(camera, old, new):
    """Every frame was decided or dropped for a reason, by the old model up to one frame and by the new one from it."""
    account = camera.account()
    reasons = {key: count for key, count in account.items() if key.startswith('dropped_')}
    assert account['decided'] + sum(reasons.values()) == len(camera.sent), (account, len(camera.sent))
    assert set(reasons) <= {'dropped_replaced_by_newer'}, reasons  # a machine with more to do than it can
    assert len(camera.seen) == account['decided']
    models = [camera.seen[stamp] for stamp in camera.sent if stamp in camera.seen]
    assert all(names in (old, new) for names in models)
    first = models.index(new)
    assert all(names == old for names in models[:first]) and all(names == new for names in models[first:])
    assert first > RATE_HZ // 2 and len(models) - first > RATE_HZ // 2
    assert 'Traceback' not in camera.node.log and 'ERROR' not in camera.node.log
    swap = camera.sent.index(next(stamp for stamp in camera.sent if camera.seen.get(stamp) == new))
    near = sum(stamp not in camera.seen for stamp in camera.sent[swap - RATE_HZ:swap + RATE_HZ])
    print(f'{len(camera.sent)} frames sent at {RATE_HZ} Hz: {account}; {near} of {2 * RATE_HZ} at the change')


def test_a_replaced_bundle_is_taken_over_and_no_frame_is_lost(ros_domain, tmp_path, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain))
    model = small_bundle(tmp_path / 'model')
    candidate = small_bundle(tmp_path / 'candidate', sorted(NEW), seed=1)
    with PreloadedChildren(environment(ros_domain)) as children:
        camera = Camera(children, ros_domain, tmp_path, model)
        camera.show(lambda: len(camera.seen) > RATE_HZ)
        said = []

        def replace():
            with pytest.raises(RobotVisionError, match='which is not .*elsewhere here'):
                check_runs('/classifier', str(tmp_path / 'elsewhere'))
            check_runs('/classifier', str(model))
            identity = load_bundle(candidate).identity
            install(candidate, model, Entry(INSTALLED, identity, load_bundle(model).identity))
            said.append(take_over('classifier', str(model), identity))
        thread = threading.Thread(target=replace)
        thread.start()
        camera.show(lambda: not thread.is_alive())
        seen = len(camera.seen)
        camera.show(lambda: len(camera.seen) > seen + RATE_HZ)
        check(camera, OLD, NEW)
        assert said and said[0].startswith(f'/classifier runs {load_bundle(model).identity}, ')
        camera.close()


def test_a_node_that_is_not_there_is_told(ros_domain, tmp_path, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain))
    monkeypatch.setattr('robot_vision_dl.ros.model_change.FIND_S', 0.5)
    with pytest.raises(RobotVisionError, match='/nobody: there is no such node'):
        check_runs('nobody', str(tmp_path))


@pytest.mark.slow
def test_improve_trains_and_installs_while_the_node_decides_and_it_takes_over(ros_domain, tmp_path):
    """The whole command, with a node at 30 Hz from before the training to after the exchange."""
    pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')
    sys.path.append(str(Path(__file__).resolve().parents[1] / 'labelling'))
    from improve_samples import recordings, settings
    recordings(tmp_path / 'few', 4, each=8, seed=1)
    recordings(tmp_path / 'more', 8, each=16, seed=2, classes=('circle', 'cross', 'square', 'ring'))
    recordings(tmp_path / 'frozen', 8, each=8, seed=3)
    (tmp_path / 'train.yaml').write_text(settings(tmp_path / 'few', tmp_path, 6))
    with PreloadedChildren(environment(ros_domain)) as children:
        trained = children.robot_vision('train', str(tmp_path / 'train.yaml'), log=tmp_path / 'train.log')
        assert trained.wait(120) == 0, (tmp_path / 'train.log').read_text()
        model = tmp_path / 'models' / 'shapes'
        before = load_bundle(model)
        camera = Camera(children, ros_domain, tmp_path, model)
        camera.show(lambda: len(camera.seen) > RATE_HZ)
        # What this is about is the exchange, so that the values decide.
        improving = children.robot_vision(
            'improve', str(tmp_path / 'more' / '*'), '--model', str(model), '--frozen', str(tmp_path / 'frozen' / '*'),
            '--node', '/classifier', '--work', str(tmp_path / 'work'), '--allow-undecided', '--margin', 'accuracy=1',
            'worst_recall=1', 'nll=9', 'decided_right=1', 'acted_wrong=1', 'foreign_accepted=1', 'false_unknown=1',
            log=tmp_path / 'improve.log')
        camera.show(lambda: improving.poll() is not None, timeout_s=300)
        said = (tmp_path / 'improve.log').read_text()
        assert improving.returncode == 0, said
        seen = len(camera.seen)
        camera.show(lambda: len(camera.seen) > seen + RATE_HZ)
        after = load_bundle(model)
        check(camera, set(before.class_names), set(after.class_names))
        assert f'/classifier runs {after.identity}' in said and after.identity != before.identity
        assert set(after.class_names) - set(before.class_names) == {'ring'}
        camera.close()
    shutil.rmtree(tmp_path / 'work')

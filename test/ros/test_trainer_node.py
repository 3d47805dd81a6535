"""The trainer as a process of its own: tells over real DDS how far it is, ends cleanly, goes on."""
import os
import signal
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from node_harness import NodeProcess, PreloadedChildren, environment  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402

from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle  # noqa: E402
from robot_vision_dl.core.errors import ConfigError  # noqa: E402
from robot_vision_dl.training.node_config import TrainerConfig  # noqa: E402

sys.path.append(str(Path(__file__).parents[1] / 'training'))
from training_samples import config_text, picture_folders  # noqa: E402

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
MODULE = 'robot_vision_dl.ros.trainer_node'


@pytest.fixture()
def start(ros_domain, tmp_path):
    """A function that starts a trainer with these parameters."""
    with PreloadedChildren({**environment(ros_domain), 'CUDA_VISIBLE_DEVICES': ''}) as children:
        def starter(**parameters):
            given = [part for name, value in parameters.items() for part in ('-p', f'{name}:={value}')]
            return NodeProcess(children, tmp_path / f'{len(os.listdir(tmp_path))}.log', '--ros-args', *given,
                               module=MODULE)
        yield starter


def values(status):
    return {item.key: item.value for item in status.values}


def states(progress):
    return [values(status)['state'] for status in progress]


@pytest.mark.slow
def test_run_is_interrupted_goes_on_and_ends_in_a_bundle(start, peer, tmp_path):
    pictures = picture_folders(tmp_path / 'pictures')
    config = tmp_path / 'train.yaml'
    config.write_text(config_text(pictures, tmp_path, epochs=500))
    progress = peer.listen(DiagnosticStatus, '/trainer/progress', LATCHED)
    diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
    node = start(config=config)
    peer.wait(lambda: progress and int(values(progress[-1]).get('epochs_done', 0)) >= 2, 'two epochs')
    assert values(progress[-1])['epochs'] == '500' and float(values(progress[-1])['loss']) > 0
    peer.wait(lambda: diagnostics and diagnostics[-1].status[0].name == '/trainer: run', 'diagnostics')
    node.process.send_signal(signal.SIGINT)
    peer.wait(lambda: states(progress)[-1] == 'interrupted', 'its last words')
    peer.wait(lambda: not node.alive, 'its end')
    assert node.process.returncode == 0 and 'Traceback' not in node.log
    done = int(values(progress[-1])['epochs_done'])
    assert (tmp_path / 'runs' / 'shapes' / 'last.ckpt').exists()

    progress.clear()
    # Other settings are another run, so it goes on with the same; SIGTERM this time.
    node = start(config=config)
    peer.wait(lambda: progress and int(values(progress[-1]).get('epochs_done', 0)) > done, 'a later epoch')
    assert 'going on with the run' in node.log
    node.process.send_signal(signal.SIGTERM)
    peer.wait(lambda: not node.alive, 'its end')
    assert node.process.returncode == 0 and 'Traceback' not in node.log

    progress.clear()
    node = start(config=config, settings='run.epochs=2', restart='true')
    peer.wait(lambda: not node.alive, 'the end of the run', timeout_s=240)
    peer.wait(lambda: progress and states(progress)[-1] == 'done', 'its last words')
    assert node.process.returncode == 0, node.log
    folder = Path(values(progress[-1])['bundle'])
    assert verify_bundle(folder) == [] and load_bundle(folder).metrics['test']['pictures'] > 0


@pytest.mark.parametrize('parameters, said', [
    ({}, 'config: which file?'),
    ({'config': '/no/such.yaml'}, '/no/such.yaml: cannot be read'),
])
def test_what_cannot_be_carried_out_is_said_and_ends_it(start, peer, parameters, said):
    node = start(**parameters)
    peer.wait(lambda: not node.alive, 'its end')
    assert node.process.returncode == 2
    assert said in node.log and 'Traceback' not in node.log


def test_bags_and_settings_are_words():
    config = TrainerConfig(config='a.yaml', bags='day1 "day 2"', settings='run.epochs=3')
    assert config.changes == ['run.epochs=3', 'data.bags=["day1", "day 2"]']
    with pytest.raises(ConfigError, match='bags: No closing quotation'):
        TrainerConfig(bags='"day1')

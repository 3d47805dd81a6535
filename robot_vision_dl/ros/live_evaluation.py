"""``robot-vision evaluate --live``: the recording played to a real node, its decisions scored as those of a bag are."""
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Sequence, Set, Tuple

import yaml

from ..core.config import ClassifierConfig, flat_options, with_values
from ..core.errors import ConfigError
from ..core.processes import Children, isolated_environment
from ..data.bags.reader import BagReader
from ..data.labels.labels import LabelConfig
from ..evaluation.decision_bag import camera_names
from ..evaluation.evaluator import Evaluation
from ..evaluation.live import FrameKey, Replay, decided_frames, evaluate_replays
from ..evaluation.options import EvaluationOptions
from ..evaluation.recordings import Recording, open_recordings

if TYPE_CHECKING:
    from .live_replay import CameraTopic

_NODE_OWN = ('model', 'device', 'cameras', 'image_topics', 'image_transport', 'top_k', 'class_id_as_index', 'autostart')
EVERY_CLASS = 100_000


def node_parameters(config: ClassifierConfig) -> Dict[str, Any]:
    """Parameters of the node for the settings of a deployment, beside those that :func:`evaluate_live` gives it."""
    values: Dict[str, Any] = {}
    for flat in flat_options():
        value: Any = config
        for part in flat.name.split('.'):
            value = getattr(value, part)
        if flat.name not in _NODE_OWN:
            values[flat.name] = list(value) if isinstance(value, tuple) else value
    return values


def live_cameras(bag: str, topics: Sequence[str] = ()) -> Tuple[Dict[str, str], str]:
    """({camera: topic for the node}, image transport) that a node needs to be evaluated with ``attach``.

    Raises:
        BagError, RobotVisionError: the bag cannot be evaluated so.
    """
    from .live_replay import camera_topics
    recordings = open_recordings([bag], EvaluationOptions(labels=LabelConfig(('none',)), topics=tuple(topics)))
    if len(recordings) != 1:
        raise ConfigError(f'{bag}: holds {len(recordings)} recordings; a node is evaluated on one at a time')
    cameras = camera_topics(recordings[0], camera_names(recordings[0].topics), _types(recordings[0]))
    return ({camera.name: _base(camera) for camera in cameras}, 'compressed' if cameras[0].compressed else 'raw')


def _types(recording: Recording) -> Dict[str, str]:
    with BagReader(recording.files) as reader:
        return {topic: reader.topics[topic].msgtype for topic in recording.topics}


def _base(camera: 'CameraTopic') -> str:
    """The topic without the suffix of its transport, as the node takes it."""
    return camera.published[:-len('/compressed')] if camera.compressed else camera.published


def check_live(models: Sequence[str], rate: float) -> None:
    """Whether bags can be played to a node with these models.

    Raises:
        ConfigError: there is more than one model, or the rate is none.
        ImportError: rclpy is not here.
    """
    if len(models) != 1:
        # Two nodes beside each other would slow each other down, and lose other frames than either does alone.
        raise ConfigError(
            f'--live plays to one node, which has one model; got {len(models)}. Evaluate each with --live into a '
            'folder of its own, then `robot-vision compare` these; or compare them on the bag, without --live')
    if not 0 < rate < float('inf'):
        raise ConfigError(f'--rate must be above 0, got {rate:g}')
    import rclpy  # noqa: F401 - before bags are read


def evaluate_live(offline: Evaluation, model: str, rate: float, lockstep: bool, attach: bool,
                  progress: Callable[[str, int], None]) -> Evaluation:
    """Play every recording of an evaluation to a node and judge what it decides.

    Args:
        offline: the same recordings, evaluated with this one model.
        model: its bundle.
        rate: times the recorded speed.
        lockstep: a frame is sent when the one before was decided: every frame is delivered.
        attach: the node runs already (under a launch file), on the topics that :mod:`.live_replay` publishes.
        progress: called with (recording, frames sent).

    Raises:
        ConfigError: see :func:`check_live`.
        RobotVisionError: the node does not start.
    """
    check_live(list(offline.bundles), rate)
    config = with_values(offline.options.deployment, {'model': model})

    def replay(recording: Recording, decided: Set[FrameKey]) -> Replay:
        return _replay(recording, config, rate, decided if lockstep else None, attach,
                       lambda count: progress(recording.name, count))
    return evaluate_replays(offline, config, replay, lockstep, rate)


def _replay(recording: Recording, config: ClassifierConfig, rate: float, decided: Optional[Set[FrameKey]], attach: bool,
            progress: Callable[[int], None], top_k: int = EVERY_CLASS) -> Replay:
    from .dds import apply_profile
    from .live_replay import LiveReplay, camera_topics
    apply_profile('auto')
    environment = dict(os.environ) if attach else isolated_environment()
    os.environ.update({key: environment[key] for key in ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE')
                       if key in environment})
    cameras = camera_topics(recording, camera_names(recording.topics), _types(recording))
    replay = LiveReplay(cameras)
    try:
        with Children(environment) as children, tempfile.TemporaryDirectory() as folder:
            node = None if attach else _start_node(children, cameras, config, Path(folder), top_k)

            def alive() -> bool:
                return node is None or node.poll() is None

            replay.wait_for_node(alive)
            wanted = None if decided is None else (lambda topic, index: (topic, index) in decided)
            return replay.run(recording, rate, wanted, progress, alive)
    finally:
        replay.close()


def _start_node(children: Children, cameras: Sequence['CameraTopic'], config: ClassifierConfig, folder: Path,
                top_k: int) -> 'subprocess.Popen[bytes]':
    parameters = folder / 'deployment.yaml'
    parameters.write_text(yaml.safe_dump({'/**': {'ros__parameters': node_parameters(config)}}), encoding='utf-8')
    arguments = ['run', '--model', config.model, '--device', config.device, '--params-file', str(parameters),
                 '--log-level', 'warn']
    for camera in cameras:
        arguments += ['--camera', f'{camera.name}:={_base(camera)}']
    if cameras[0].compressed:
        arguments += ['--transport', 'compressed']
    return children.robot_vision(*arguments, '--ros-args', '-p', f'top_k:={top_k}')


def frames_per_second(offline: Evaluation, model: str) -> float:
    """How quickly a node decides the frames of the first recording, one after another, over DDS.

    It publishes as many classes as the deployment asks for, not all of them, which scoring needs and which takes time.
    """
    config = with_values(offline.options.deployment, {'model': model})
    recording, decided = offline.recordings[0], decided_frames(next(iter(offline.tables.values())))
    replay = _replay(recording, config, 1.0, decided, False, lambda _count: None, config.top_k)
    heard = [found for entries in replay.heard.values() for found in entries if found.complete]
    span_s = (max(found.decided_ns for found in heard) - min(found.sent_ns for found in heard)) * 1e-9
    return len(heard) / span_s

"""``robot-vision evaluate --live``: the recording played to a real node, its decisions scored as those of a bag are."""
import os
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import yaml

from ..core.config import ClassifierConfig, flat_options, with_values
from ..core.errors import ConfigError
from ..core.metrics.percentiles import percentiles
from ..core.processes import Children, isolated_environment
from ..core.runtime.pipeline import Pipeline
from ..core.types import Assessment, ColorOrder, Frame, Header, OodResult, Picture
from ..data.bags.reader import BagReader
from ..data.labels.labels import LabelConfig
from ..evaluation.decision_bag import camera_names
from ..evaluation.evaluator import Evaluation, assemble
from ..evaluation.options import EvaluationOptions
from ..evaluation.recordings import Recording, Targets, open_recordings
from ..evaluation.summary import number
from ..evaluation.table import FrameTable, TableWriter

_NODE_OWN = ('model', 'device', 'cameras', 'image_topics', 'image_transport', 'top_k', 'class_id_as_index', 'autostart')
# The picture itself is not sent back; nothing in fusing and deciding looks at it.
_NO_PICTURE = Picture(np.zeros((1, 1), np.uint8), ColorOrder.MONO)
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


def _base(camera) -> str:
    """The topic without the suffix of its transport, as the node takes it."""
    return camera.published[:-len('/compressed')] if camera.compressed else camera.published


def check_live(models: Sequence[str], rate: float) -> None:
    """Whether bags can be played to a node with these models.

    Raises:
        ConfigError: rclpy is not here, there is more than one model, or the rate is none.
    """
    if len(models) != 1:
        # Two nodes beside each other would slow each other down, and lose other frames than either does alone.
        raise ConfigError(
            f'--live plays to one node, which has one model; got {len(models)}. Evaluate each with --live into a '
            'folder of its own, then `robot-vision compare` these; or compare them on the bag, without --live')
    if not 0 < rate < float('inf'):
        raise ConfigError(f'--rate must be above 0, got {rate:g}')
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        raise ConfigError(f'--live needs ROS 2 ({error}); source an installation or install its wheels (make setup)'
                          ) from error


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
    name = next(iter(offline.bundles))
    config = with_values(offline.options.deployment, {'model': model})
    pipeline = Pipeline(offline.bundles[name], config)
    outcomes, lives, latencies = [], [], []
    for recording, before in zip(offline.recordings, offline.outcomes):
        if before.failure:  # of which it is not known what could be sent
            outcomes.append(before)
            continue
        decided = {(before.tables[name].topics[row['topic']], int(row['index'])) for row in before.tables[name].rows}
        replay = _replay(recording, config, rate, decided if lockstep else None, attach,
                         lambda count, r=recording: progress(r.name, count))
        table, differing, times = _score(replay, recording, pipeline, before.tables[name], offline, name)
        latencies += times
        drops = {topic: Counter(_dropped(replay.node.get(topic, {}), sent)) for topic, sent in replay.sent.items()}
        outcomes.append(replace(before, tables={name: table}, drops=drops))
        sent = sum(replay.sent.values())
        lives.append({'recording': recording.name, 'sent': sent, 'decided': len(table),
                      'not_decided': sent - len(table), 'decisions_unlike_offline': differing})
    live = assemble(offline.recordings, outcomes, offline.bundles, offline.options, offline.seconds)
    live.metrics['live'] = {'lockstep': lockstep, 'rate': rate, 'recordings': lives,
                            'offline': _brief(offline.metrics['models'][name]),
                            'over_dds': _brief(live.metrics['models'][name])}
    live.live_speed = _transport(latencies)
    return live


def _brief(model: Dict[str, Any]) -> Dict[str, Any]:
    """The figures that frames lost on the way change."""
    decisions = model['decisions']
    return {'accuracy': model['frame'] and model['frame']['accuracy'],
            'fused_accuracy': model['fused'] and model['fused']['accuracy'],
            **{key: decisions.get(key) for key in ('coverage', 'risk', 'cost')}}


def _replay(recording: Recording, config: ClassifierConfig, rate: float, decided: Optional[set], attach: bool,
            progress: Callable[[int], None], top_k: int = EVERY_CLASS):
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


def _start_node(children: Children, cameras, config: ClassifierConfig, folder: Path, top_k: int):
    parameters = folder / 'deployment.yaml'
    parameters.write_text(yaml.safe_dump({'/**': {'ros__parameters': node_parameters(config)}}), encoding='utf-8')
    arguments = ['run', '--model', config.model, '--device', config.device, '--params-file', str(parameters),
                 '--log-level', 'warn']
    for camera in cameras:
        arguments += ['--camera', f'{camera.name}:={_base(camera)}']
    if cameras[0].compressed:
        arguments += ['--transport', 'compressed']
    return children.robot_vision(*arguments, '--ros-args', '-p', f'top_k:={top_k}')


def _score(replay, recording: Recording, pipeline: Pipeline, before: FrameTable, offline: Evaluation,
           name: str) -> Tuple[FrameTable, int, List[Dict[str, float]]]:
    """(rows of what was decided live, decisions unlike those offline, times of each frame)."""
    names = pipeline.bundle.class_names
    targets = Targets(names, dict(offline.options.label_map), name)
    writer = TableWriter(recording.name, names)
    earlier = {(before.topics[row['topic']], int(row['index'])): (int(row['outcome']), int(row['fused_predicted']))
               for row in before.rows}
    pipeline.reset()
    frames = sorted(((heard.decided_ns, topic, heard) for topic, found in replay.heard.items() for heard in found
                     if heard.complete), key=lambda item: (item[2].receive_ns, item[0]))
    differing, times = 0, []
    for _, topic, heard in frames:
        frame = Frame(topic, Header(heard.stamp_ns, ''), _NO_PICTURE, '', heard.receive_ns)
        result, = pipeline.conclude([frame], [_assessment(heard, pipeline)])
        verdict = recording.verdict(topic, frame.time_ns, frame.received_ns)
        writer.add(result, topic, heard.index, targets.of(verdict, f'{recording.name} {topic}'),
                   verdict.track or '')
        # What the node said stands, not what follows from its probabilities here.
        label, trust = heard.decision
        writer.amend(outcome=heard.outcome, trust=trust)
        if heard.outcome == 0:
            writer.amend(fused_predicted=names.index(label))
        was = earlier.get((topic, heard.index))
        differing += was is not None and (was[0] != heard.outcome or (heard.outcome == 0 and names[was[1]] != label))
        times.append(_times(heard))
    return writer.table(), differing, times


def _assessment(heard, pipeline: Pipeline) -> Assessment:
    """What the node published about a frame alone, as it was before."""
    bundle = pipeline.bundle
    p = np.array([heard.probabilities[name] for name in bundle.class_names], np.float64).astype(np.float32)
    values = heard.values
    ood = None
    if 'ood_score' in values:
        p_value = float(values['ood_p_value']) if 'ood_p_value' in values else None
        ood = OodResult(values['ood_method'], float(values['ood_score']), p_value)
    members, was_empty = (None, False) if bundle.conformal is None else bundle.conformal.set_of(p)
    return Assessment(p, p, float(values['predictive_entropy']), ood=ood, conformal_set=members,
                      conformal_set_was_empty=was_empty)


def _times(heard) -> Dict[str, float]:
    """Milliseconds from publishing a frame to hearing its decision, and those that the node worked on it."""
    stages = ('decode_ms', 'preprocess_ms', 'forward_ms', 'uncertainty_ms', 'decide_ms')
    work = sum(float(heard.values[stage]) for stage in stages if stage in heard.values)
    total = (heard.decided_ns - heard.sent_ns) * 1e-6
    return {'total': total, 'work': work, 'transport': total - work}


def _transport(times: Sequence[Dict[str, float]]) -> Dict[str, Any]:
    """Percentiles of what a frame took and of what the way took of that."""
    return {key: {name: number(value) for name, value in percentiles(t[key] for t in times).items()}
            for key in ('total', 'work', 'transport')}


def _dropped(account: Dict[str, int], sent: int) -> Dict[str, int]:
    """Frames that were not decided, by reason; those that never arrived are ``lost_in_transport``."""
    found = {key[len('dropped_'):]: count for key, count in account.items() if key.startswith('dropped_') and count}
    lost = sent - account.get('received', 0)
    if lost > 0:
        found['lost_in_transport'] = lost
    return found


def frames_per_second(offline: Evaluation, model: str) -> float:
    """How quickly a node decides the frames of the first recording, one after another, over DDS.

    It publishes as many classes as the deployment asks for, not all of them, which scoring needs and which takes time.
    """
    config = with_values(offline.options.deployment, {'model': model})
    recording, table = offline.recordings[0], next(iter(offline.tables.values()))
    decided = {(table.topics[row['topic']], int(row['index'])) for row in table.rows}
    replay = _replay(recording, config, 1.0, decided, False, lambda _count: None, config.top_k)
    heard = [found for entries in replay.heard.values() for found in entries if found.complete]
    span_s = (max(found.decided_ns for found in heard) - min(found.sent_ns for found in heard)) * 1e-9
    return len(heard) / span_s

"""A recording that was played to a live node: what came back, scored as decisions from a bag are."""
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

import numpy as np

from ..core.config import ClassifierConfig
from ..core.metrics.percentiles import percentiles
from ..core.runtime.pipeline import Pipeline
from ..core.types import Assessment, CameraCheck, CameraFault, ColorOrder, Frame, Header, OodResult, Picture
from .evaluator import Evaluation, assemble
from .recordings import Recording, Targets
from .summary import number
from .table import FrameTable, TableWriter

FrameKey = Tuple[str, int]
"""Recorded topic, and which image message of it a frame is."""
# The picture itself is not sent back; nothing in fusing and deciding looks at it.
_NO_PICTURE = Picture(np.zeros((1, 1), np.uint8), ColorOrder.MONO)


@dataclass
class Heard:
    """What came back about one frame; complete once all three messages are there.

    Attributes:
        index, receive_ns: which image message of its topic it was, and when it was recorded.
        sent_ns, decided_ns: of this process's clock.
        decision: (label, confidence); probabilities: by class name; values: of the uncertainty message.
        outcome: level of the uncertainty message: 0 accepted, 1 uncertain, 2 unknown.
    """

    index: int
    receive_ns: int
    stamp_ns: int
    sent_ns: int
    decided_ns: int = 0
    decision: Optional[Tuple[str, float]] = None
    probabilities: Optional[Dict[str, float]] = None
    values: Optional[Dict[str, str]] = None
    outcome: int = -1
    reason: str = ''

    @property
    def complete(self) -> bool:
        """Whether everything about it has arrived."""
        return None not in (self.decision, self.probabilities, self.values)


@dataclass
class Replay:
    """What became of a recording.

    Attributes:
        sent: frames published, by recorded topic.
        heard: by recorded topic, frames in the order they were sent.
        node: by recorded topic, the node's last account: received, decided, dropped_<reason>.
    """

    sent: Dict[str, int] = field(default_factory=dict)
    heard: Dict[str, List[Heard]] = field(default_factory=dict)
    node: Dict[str, Dict[str, int]] = field(default_factory=dict)


def decided_frames(table: FrameTable) -> Set[FrameKey]:
    """The frames that a table has a decision about."""
    return {(table.topics[row['topic']], int(row['index'])) for row in table.rows}


def evaluate_replays(offline: Evaluation, config: ClassifierConfig,
                     replay_of: Callable[[Recording, Set[FrameKey]], Replay], lockstep: bool, rate: float
                     ) -> Evaluation:
    """The evaluation of what a live node decided.

    Args:
        offline: the same recordings, evaluated with the one model of the node.
        config: the deployment that the node has.
        replay_of: plays a recording, given the frames that are decided offline; one after another is asked for.
        lockstep, rate: how they are played, for the record.
    """
    name = next(iter(offline.bundles))
    pipeline = Pipeline(offline.bundles[name], config)
    outcomes, lives, latencies = [], [], []
    for recording, before in zip(offline.recordings, offline.outcomes):
        if before.failure:  # of which it is not known what could be sent
            outcomes.append(before)
            continue
        replay = replay_of(recording, decided_frames(before.tables[name]))
        table, differing, times = score_replay(replay, recording, pipeline, before.tables[name], offline, name)
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


def score_replay(replay: Replay, recording: Recording, pipeline: Pipeline, before: FrameTable, offline: Evaluation,
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
        result, = pipeline.conclude([frame], [_assessment(heard, pipeline)], cameras=[_camera(heard)])
        verdict = recording.verdict(topic, frame.time_ns, frame.received_ns)
        writer.add(result, topic, heard.index, targets.of(verdict, f'{recording.name} {topic}'),
                   verdict.track or '')
        # What the node said stands, not what follows from its probabilities here.
        assert heard.decision is not None  # since it is complete
        label, trust = heard.decision
        writer.amend(outcome=heard.outcome, trust=trust)
        if heard.outcome == 0:
            writer.amend(fused_predicted=names.index(label))
        was = earlier.get((topic, heard.index))
        differing += was is not None and (was[0] != heard.outcome or (heard.outcome == 0 and names[was[1]] != label))
        times.append(_times(heard))
    return writer.table(), differing, times


def _assessment(heard: Heard, pipeline: Pipeline) -> Assessment:
    """What the node published about a frame alone, as it was before."""
    bundle = pipeline.bundle
    assert heard.probabilities is not None and heard.values is not None  # since it is complete
    p = np.array([heard.probabilities[name] for name in bundle.class_names], np.float64).astype(np.float32)
    values = heard.values
    ood = None
    if 'ood_score' in values:
        p_value = float(values['ood_p_value']) if 'ood_p_value' in values else None
        ood = OodResult(values['ood_method'], float(values['ood_score']), p_value)
    members, was_empty = (None, False) if bundle.conformal is None else bundle.conformal.set_of(p)
    return Assessment(p, p, float(values['predictive_entropy']), ood=ood, conformal_set=members,
                      conformal_set_was_empty=was_empty)


def _camera(heard: Heard) -> Optional[CameraCheck]:
    """What the node said about the camera."""
    values = heard.values or {}
    if 'camera_fault' not in values:
        return None
    p_value = float(values['camera_p_value']) if 'camera_p_value' in values else None
    if not values['camera_fault']:
        return CameraCheck(p_value=p_value)
    return CameraCheck(CameraFault(values['camera_fault']), values['camera_fault'], p_value,
                       float(values['camera_fault_s']), int(values['camera_fault_frames']))


def _times(heard: Heard) -> Dict[str, float]:
    """Milliseconds from publishing a frame to hearing its decision, and those that the node worked on it."""
    stages = ('decode_ms', 'preprocess_ms', 'camera_ms', 'forward_ms', 'uncertainty_ms', 'decide_ms')
    assert heard.values is not None  # since it is complete
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



"""What comes back from a live node, scored without one: by what the pipeline of the node decides of a recording."""
import math

import pytest
from evaluation_samples import T0_NS, labelled_bag, small_model

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.images.image import decode
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.runtime.result_values import uncertainty_values, value_text
from robot_vision_dl.core.types import Frame
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.live import Heard, Replay, decided_frames, evaluate_replays
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions
from robot_vision_dl.evaluation.table import OUTCOMES

TOPIC = '/camera/image_raw'


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A bag evaluated offline, and its deployment."""
    root = tmp_path_factory.mktemp('live')
    model = small_model(root / 'small')
    config = with_values(ClassifierConfig(), {'device': 'cpu', 'threads': 1, 'decision.abstain_cost': 0.45,
                                              'model': str(model)})
    options = EvaluationOptions(config, run=RunOptions(batch=1, draws=100, pictures=0, decode_threads=1))
    return evaluate([labelled_bag(root / 'bag', 60)], [str(model)], options), config


def replayed(recording, config, until=60, total_ms=20.0):
    """As if a node with this deployment had heard the recording up to a frame."""
    pipeline = Pipeline(load_bundle(config.model), config)
    replay = Replay({TOPIC: 0}, {TOPIC: []}, {TOPIC: {'received': until, 'decided': until, 'dropped_decode': 0}})
    with BagReader(recording.files) as reader:
        for index, message in enumerate(reader.image_messages([TOPIC])):
            image = message.decode()
            frame = Frame(TOPIC, image.header, decode(image), image.encoding, message.receive_ns)
            heard = Heard(index, message.receive_ns, image.header.stamp_ns, T0_NS)
            replay.sent[TOPIC] += 1
            replay.heard[TOPIC].append(heard)
            if index >= until:
                continue
            result, = pipeline.process([frame])
            values = uncertainty_values(result)
            heard.decided_ns = T0_NS + int(total_ms * 1e6)
            heard.decision = result.decision.label, result.decision.confidence
            heard.probabilities = dict(zip(result.class_names, map(float, result.assessment.probabilities)))
            heard.values = {**{name: value_text(value) for name, value in values.items()}, 'forward_ms': '12.5',
                            'decode_ms': '2.5'}
            heard.outcome = OUTCOMES.index(result.decision.outcome)
    return replay


def test_where_every_frame_arrives_the_figures_are_those_of_the_bag(made):
    offline, config = made
    asked = []

    def replay_of(recording, decided):
        asked.append((recording.name, len(decided)))
        return replayed(recording, config)
    live = evaluate_replays(offline, config, replay_of, lockstep=True, rate=1.0)
    assert asked == [('bag', 60)]
    told = live.metrics['live']
    assert told['recordings'] == [{'recording': 'bag', 'sent': 60, 'decided': 60, 'not_decided': 0,
                                   'decisions_unlike_offline': 0}]
    assert told['offline'] == told['over_dds'] and told['over_dds']['coverage'] > 0
    assert told['lockstep'] is True and told['rate'] == 1.0
    before, after = (one.metrics['models']['small'] for one in (offline, live))
    assert after['decisions'] == before['decisions'] and after['frame']['accuracy'] == before['frame']['accuracy']
    assert live.live_speed['total'] == {'n': 60, 'p50': 20, 'p95': 20, 'p99': 20, 'max': 20}
    assert live.live_speed['work']['p50'] == 15 and live.live_speed['transport']['p50'] == 5


def test_frames_that_are_lost_on_the_way_are_counted_and_not_judged(made):
    offline, config = made
    live = evaluate_replays(offline, config, lambda recording, _: replayed(recording, config, until=45), False, 2.0)
    told, = live.metrics['live']['recordings']
    assert (told['sent'], told['decided'], told['not_decided'], told['decisions_unlike_offline']) == (60, 45, 15, 0)
    assert live.metrics['recordings'][0]['dropped'] == {'lost_in_transport': 15}
    assert live.metrics['models']['small']['frames']['decided'] == 45


def test_what_the_node_said_stands_and_what_differs_is_counted(made):
    offline, config = made

    def replay_of(recording, _):
        replay = replayed(recording, config)
        for heard in replay.heard[TOPIC][:7]:
            heard.outcome = 2 if heard.outcome != 2 else 1
            heard.decision = ('unknown', 0.25)
        return replay
    live = evaluate_replays(offline, config, replay_of, True, 1.0)
    assert live.metrics['live']['recordings'][0]['decisions_unlike_offline'] == 7
    rows = live.tables['small'].rows
    assert (rows['trust'][:7] == 0.25).all() and not math.isclose(rows['trust'][7], 0.25)
    assert decided_frames(live.tables['small']) == decided_frames(offline.tables['small'])

"""The pipeline and its thread, without ROS."""
import os
import queue
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from node_harness import raw_image, small_bundle

from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.images.cdr import decode_image
from robot_vision_dl.core.runtime.engine import Engine
from robot_vision_dl.core.runtime.engine_thread import INFERENCE_FAILED, Received
from robot_vision_dl.core.runtime.frame_counters import REPLACED
from robot_vision_dl.core.runtime.frame_reader import read_frame
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import ColorOrder, Frame, Header, Outcome, Picture

SECOND = 1_000_000_000


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return ClassifierConfig(model=str(small_bundle(tmp_path_factory.mktemp('models') / 'small')), device='cpu')


def frames(count, camera='camera', seed=0):
    random = np.random.default_rng(seed)
    return [Frame(camera, Header(SECOND + i * SECOND // 10, 'f'),
                  Picture(random.integers(0, 256, (40, 50, 3), dtype=np.uint8), ColorOrder.BGR), 'bgr8')
            for i in range(count)]


def test_batch_and_one_by_one_decide_the_same(config):
    batched = Pipeline.load(config).process(frames(6))
    single = Pipeline.load(config)
    for together, frame in zip(batched, frames(6)):
        alone = single.process([frame])[0]
        np.testing.assert_allclose(together.posterior, alone.posterior, atol=1e-5)
        assert together.decision.label == alone.decision.label
        assert together.assessment.ood.p_value == alone.assessment.ood.p_value


def test_result_is_consistent(config):
    result = Pipeline.load(config).process(frames(1))[0]
    assessment = result.assessment
    assert assessment.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert 0 <= assessment.predictive_entropy <= 1
    np.testing.assert_allclose(result.posterior, assessment.probabilities, atol=1e-6)
    assert set(result.stage_ms) == {'preprocess', 'camera', 'forward', 'uncertainty', 'decide'}
    assert result.class_names == ('cup', 'mug', 'bowl')


def test_cameras_have_beliefs_of_their_own(config):
    pipeline = Pipeline.load(config)
    for frame in frames(5, 'left', seed=1):
        pipeline.process([frame])
    first_of_right = frames(1, 'right', seed=2)[0]
    result = pipeline.process([first_of_right])[0]
    np.testing.assert_allclose(result.posterior, result.assessment.probabilities, atol=1e-6)


def test_unknown_frames_do_not_move_the_belief(config):
    pipeline = Pipeline.load(config)
    known = pipeline.process(frames(1))[0]
    pipeline.configure(with_values(config, {'decision.false_unknown_rate': 1.0}))
    foreign = pipeline.process(frames(2, seed=3)[1:])[0]
    assert foreign.decision.outcome is Outcome.UNKNOWN
    assert foreign.posterior.argmax() == known.posterior.argmax()
    assert foreign.posterior.max() < known.posterior.max()


class Collector:
    """What an engine hands out, and a way to wait for it."""

    def __init__(self):
        self.results, self.drops = [], []
        self._news = threading.Condition()

    def on_result(self, result, _timing):
        with self._news:
            self.results.append(result)
            self._news.notify_all()

    def on_drop(self, camera, reason, sentence):
        with self._news:
            self.drops.append((camera, reason, sentence))
            self._news.notify_all()

    def wait(self, results=0, drops=0):
        with self._news:
            assert self._news.wait_for(lambda: len(self.results) >= results and len(self.drops) >= drops, 30)


class Messages:
    """A source that gives what a test puts in, one at a time."""

    def __init__(self):
        self._queue = queue.Queue()

    def put(self, buffer, replaced=0):
        self._queue.put([('camera', Received(decode_image, buffer, replaced))])

    def take(self, limit, wait=True):
        assert limit >= 1
        try:
            return self._queue.get(block=wait)
        except queue.Empty:
            return []

    def close(self):
        self._queue.put(None)


@pytest.fixture()
def running(config):
    collector, messages = Collector(), Messages()
    engine = Engine(Pipeline.load(config), config, messages, lambda: 10 * SECOND, collector.on_result,
                    collector.on_drop)
    engine.start()
    yield engine, messages, collector
    engine.stop()


def test_a_stamp_that_no_message_can_carry_is_dropped_where_it_comes_in(running):
    engine, messages, collector = running
    for count, (seconds, nanoseconds) in enumerate(((-1, 0), (2 ** 31 - 1, 10 ** 9), (-2 ** 31, 2 ** 32 - 1)), 1):
        buffer = bytearray(raw_image(SECOND))
        struct.pack_into('=iI', buffer, 4, seconds, nanoseconds)
        messages.put(bytes(buffer))
        collector.wait(drops=count)
    assert [reason for _, reason, _ in collector.drops] == ['stamp'] * 3
    assert 'the stamp is -1 s and 0 ns, where a message holds 0 to 2147483647 s' in collector.drops[0][2]
    messages.put(raw_image(2 ** 31 * SECOND - 1))
    collector.wait(results=1)
    assert dict(engine.account('camera').dropped) == {'stamp': 3}


def test_stamps_backwards_are_dropped_and_a_restarted_recording_is_not(running):
    _, messages, collector = running
    for count, stamp in enumerate((100 * SECOND, 101 * SECOND), 1):
        messages.put(raw_image(stamp))
        collector.wait(results=count)
    messages.put(raw_image(101 * SECOND - SECOND // 2))
    collector.wait(drops=1)
    assert collector.drops[0][1] == 'stamp_backwards'
    messages.put(raw_image(SECOND))
    collector.wait(results=3)


def test_a_network_that_fails_costs_its_frames_only(running):
    engine, messages, collector = running
    pipeline = engine.pipeline
    network, pipeline.network = pipeline.network, None
    messages.put(raw_image(SECOND))
    collector.wait(drops=1)
    assert collector.drops[0][1] == INFERENCE_FAILED
    pipeline.network = network
    messages.put(raw_image(2 * SECOND), replaced=3)
    collector.wait(results=1)
    engine.stop()
    account = engine.account('camera')
    assert (account.received, account.decided) == (5, 1)
    assert dict(account.dropped) == {INFERENCE_FAILED: 1, REPLACED: 3}


def test_zero_stamps_fall_back_to_the_time_of_arrival(config):
    collector, messages, now = Collector(), Messages(), [SECOND]
    engine = Engine(Pipeline.load(config), config, messages, lambda: now[0], collector.on_result, collector.on_drop)
    engine.start()
    for count in (1, 2):
        now[0] += SECOND // 10
        messages.put(raw_image(0))
        collector.wait(results=count)
    engine.stop()
    assert [result.frame.time_ns for result in collector.results] == [SECOND * 11 // 10, SECOND * 12 // 10]
    assert {result.frame.header.stamp_ns for result in collector.results} == {0}


def test_stamps_that_stand_still_fall_back_to_the_time_of_arrival(config):
    """Else no time would pass between frames, and no decision would ever change."""
    collector, messages, now = Collector(), Messages(), [100 * SECOND]
    engine = Engine(Pipeline.load(config), config, messages, lambda: now[0], collector.on_result, collector.on_drop)
    engine.start()
    for count in range(1, 5):
        messages.put(raw_image(7 * SECOND))
        collector.wait(results=count)
        now[0] += SECOND * 4 // 10
    messages.put(raw_image(now[0]))
    collector.wait(results=5)
    engine.stop()
    times = [result.frame.time_ns for result in collector.results]
    assert times == [7 * SECOND] * 3 + [SECOND * 1012 // 10, SECOND * 1016 // 10]  # longer than a second
    assert {result.frame.header.stamp_ns for result in collector.results[:4]} == {7 * SECOND}
    assert engine.standing_still('camera') == 1 and not collector.drops


def test_a_clock_that_is_set_back_blinds_nobody_however_long_beliefs_wait(config):
    patient = replace(config, fusion=replace(config.fusion, reset_gap_s=60.0))
    collector, messages = Collector(), Messages()
    engine = Engine(Pipeline.load(patient), patient, messages, lambda: 10 * SECOND, collector.on_result,
                    collector.on_drop)
    engine.start()
    for stamp in (100 * SECOND, 100 * SECOND - SECOND // 2, 70 * SECOND, 71 * SECOND):
        messages.put(raw_image(stamp))
    collector.wait(results=3, drops=1)
    engine.stop()
    assert [result.frame.time_ns // SECOND for result in collector.results] == [100, 70, 71]
    assert 'further back than 1 s, time begins anew: fusion.reset_gap_s' in collector.drops[0][2]


def test_a_pipeline_that_cannot_be_made_ready_on_the_thread_does_not_end_it(config):
    class OutOfMemory(Pipeline):
        def claim_thread(self):
            if threading.current_thread() is not threading.main_thread():
                raise RuntimeError('CUDA out of memory')
    collector, messages = Collector(), Messages()
    engine = Engine(OutOfMemory(Pipeline.load(config).bundle, config), config, messages, lambda: 10 * SECOND,
                    collector.on_result, collector.on_drop)
    engine.start()
    collector.wait(drops=1)
    messages.put(raw_image(SECOND))
    collector.wait(results=1)
    engine.stop()
    assert engine.failures == 1 and 'CUDA out of memory' in collector.drops[0][2]


def test_replaced_pipeline_keeps_beliefs_where_classes_agree(running, config):
    engine, messages, collector = running
    messages.put(raw_image(SECOND))
    collector.wait(results=1)
    engine.replace_pipeline(Pipeline.load(config))
    messages.put(raw_image(SECOND + SECOND // 100))
    collector.wait(results=2)
    first, second = collector.results
    # A hundredth of a second later nothing is forgotten and hardly anything is learnt.
    np.testing.assert_allclose(second.posterior, first.posterior, atol=0.02)


def test_in_overload_everything_is_decided_in_order_and_as_without(config):
    collector, messages = Collector(), Messages()
    engine = Engine(Pipeline.load(config), config, messages, lambda: 10 * SECOND, collector.on_result,
                    collector.on_drop)
    random = np.random.default_rng(0)
    stamps = [SECOND + i * SECOND // 10 for i in range(20)]
    buffers = [raw_image(stamp, data=random.integers(0, 256, 48 * 64 * 3, dtype=np.uint8)) for stamp in stamps]
    for buffer in buffers:
        messages.put(buffer, replaced=1)
    fetched = []
    fetch = engine._overlap._fetch
    engine._overlap._fetch = lambda: fetched.append(threading.current_thread().name) or fetch()
    engine.start()
    collector.wait(results=len(stamps))
    engine.stop()
    assert len(fetched) >= len(stamps) and 'inference' not in fetched, 'batches were fetched beside the network'
    assert [result.frame.header.stamp_ns for result in collector.results] == stamps
    alone = Pipeline.load(config)
    for result, buffer in zip(collector.results, buffers):
        frame = read_frame('camera', decode_image(buffer), 10 * SECOND, config.image)
        np.testing.assert_array_equal(result.posterior, alone.process([frame])[0].posterior)
        assert set(result.stage_ms) == {'preprocess', 'camera', 'forward', 'uncertainty', 'decide'}
    account = engine.account('camera')
    assert (account.received, account.decided, dict(account.dropped)) == (40, 20, {REPLACED: 20})


def test_in_overload_a_network_that_fails_costs_its_frames_only(running):
    engine, messages, collector = running
    pipeline = engine.pipeline
    network, failures = pipeline.network, iter((True, False, True))

    def fails_at_times(pixels):
        if next(failures, False):
            raise RuntimeError('out of memory')
        return network(pixels)
    pipeline.network = fails_at_times
    for index in range(5):
        messages.put(raw_image(SECOND + index * SECOND // 10), replaced=1)
    collector.wait(results=3, drops=2)
    engine.stop()
    assert [reason for _, reason, _ in collector.drops] == [INFERENCE_FAILED] * 2
    account = engine.account('camera')
    assert (account.received, account.decided, account.dropped[INFERENCE_FAILED]) == (10, 3, 2)


THREADS = """
import os
import sys
import threading
import time
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.runtime.engine import Engine
from robot_vision_dl.core.runtime.pipeline import Pipeline
sys.path.insert(0, sys.argv[2])
from test_engine import SECOND, Collector, Messages
from node_harness import raw_image


def settled(what):
    end = time.monotonic() + 20
    while len(os.listdir('/proc/self/task')) > what and time.monotonic() < end:
        time.sleep(0.01)  # helpers of a thread end a moment after it
    return len(os.listdir('/proc/self/task'))


config = ClassifierConfig(model=sys.argv[1], device='cpu', threads=3)
start = len(os.listdir('/proc/self/task'))
first = threading.Thread(target=Pipeline.load, args=(config,))
first.start()
first.join()
before = settled(start + 2)  # torch has two more for layers of XNNPACK, which all threads share
pipeline = Pipeline.load(config)
loaded = settled(before) - before
collector, messages = Collector(), Messages()
engine = Engine(pipeline, config, messages, lambda: 10 * SECOND, collector.on_result, collector.on_drop)
for index in range(20):
    messages.put(raw_image(SECOND + index * SECOND // 10), replaced=index % 5)
engine.start()
collector.wait(results=20)
running = len(os.listdir('/proc/self/task')) - before
engine.stop()
print(loaded, running, settled(before) - before)
"""


def test_helpers_of_the_network_are_no_more_than_was_asked_for(config):
    """More of them than cores, and libgomp lets them sleep between two layers: passes of twice the time."""
    here = Path(__file__).parent
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([*sys.path, str(here.parents[1])])}
    ran = subprocess.run([sys.executable, '-c', THREADS, config.model, str(here)], capture_output=True, text=True,
                         env=environment)
    assert ran.returncode == 0, ran.stderr
    # While it runs: the engine's thread, the one beside it, and two helpers, which with the engine's own make three.
    assert ran.stdout.split() == ['0', '4', '0']

"""What changes while the engine runs is changed as a whole or not at all, and no exception ends its thread."""
import queue
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from node_harness import raw_image, small_bundle

from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.errors import BundleError, ConfigError
from robot_vision_dl.core.images.cdr import decode_image
from robot_vision_dl.core.runtime.engine import Engine
from robot_vision_dl.core.runtime.engine_thread import DECODE_FAILED, PUBLISH_FAILED, TAKE_FAILED, Received
from robot_vision_dl.core.runtime.pipeline import Pipeline

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'fuzz'))
import corpus_bundles  # noqa: E402

SECOND = 1_000_000_000


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp('models')
    return {'first': str(small_bundle(folder / 'first')),
            'second': str(small_bundle(folder / 'second', ('left', 'right'), seed=1))}


@pytest.fixture
def config(models):
    return ClassifierConfig(model=models['first'], device='cpu')


class Run:
    """An engine with a source that a test fills, and what came out of it."""

    def __init__(self, config):
        self.results, self.drops, self.count = [], [], 0
        self._queue, self._news = queue.Queue(), threading.Condition()
        self.refuse_results = self.refuse_logs = False
        self.engine = Engine(Pipeline.load(config), config, self, lambda: 10 * SECOND, self._on_result, self._on_drop)
        self.engine.start()

    def _on_result(self, result, _timing):
        if self.refuse_results:
            raise RuntimeError('the publisher is gone')
        with self._news:
            self.results.append(result)
            self._news.notify_all()

    def _on_drop(self, camera, reason, sentence):
        with self._news:
            self.drops.append((reason, sentence))
            self._news.notify_all()
        if self.refuse_logs:
            raise RuntimeError('the log is gone')

    def take(self, limit, wait=True):
        try:
            item = self._queue.get(block=wait)
        except queue.Empty:
            return []
        if isinstance(item, Exception):
            raise item
        return item

    def close(self):
        self._queue.put(None)

    def put(self, item=None, parse=decode_image):
        self.count += 1
        self._queue.put(item or [('camera', Received(parse, raw_image(self.count * SECOND), 0))])

    def wait(self, results=0, drops=0):
        with self._news:
            assert self._news.wait_for(lambda: len(self.results) >= results and len(self.drops) >= drops, 30)


@pytest.fixture
def run(config):
    one = Run(config)
    yield one
    one.engine.stop()


def test_a_swap_whose_settings_do_not_fit_changes_nothing(run, config, models, tmp_path):
    (tmp_path / 'costs.yaml').write_text('costs: {cup: {mug: 7}}\n')
    run.engine.configure(with_values(config, {'decision.costs_file': str(tmp_path / 'costs.yaml')}))
    before = run.engine.pipeline
    with pytest.raises(ConfigError):
        run.engine.replace_pipeline(Pipeline.load(ClassifierConfig(model=models['second'], device='cpu')))
    assert run.engine.pipeline is before
    run.put()
    run.wait(results=1)
    assert run.results[0].class_names == ('cup', 'mug', 'bowl')


def test_a_swap_takes_the_newest_settings_with_it(run, config, models):
    run.engine.configure(with_values(config, {'decision.abstain_cost': 0.125}))
    pipeline = Pipeline.load(ClassifierConfig(model=models['second'], device='cpu'))
    run.engine.replace_pipeline(pipeline)
    run.put()
    run.wait(results=1)
    assert run.results[0].class_names == ('left', 'right') and pipeline.abstain_cost == 0.125


def test_a_swap_that_cannot_keep_beliefs_begins_without(run, models, monkeypatch):
    pipeline = Pipeline.load(ClassifierConfig(model=models['second'], device='cpu'))
    monkeypatch.setattr(pipeline, 'adopt_beliefs', lambda other: 1 / 0)
    run.engine.replace_pipeline(pipeline)
    run.put()
    run.wait(results=1)
    assert run.results[0].class_names == ('left', 'right')


def test_settings_that_cannot_be_used_are_refused_and_the_old_hold(run, config, tmp_path):
    with pytest.raises(ConfigError):
        run.engine.configure(with_values(config, {'decision.costs_file': str(tmp_path / 'gone.yaml'),
                                                  'decision.abstain_cost': 0.9}))
    run.put()
    run.wait(results=1)
    assert run.engine.pipeline.abstain_cost != 0.9


def test_a_file_that_goes_away_after_it_was_accepted_ends_nothing(run, config, tmp_path):
    path = tmp_path / 'costs.yaml'
    path.write_text('abstain: 0.25\n')
    run.engine.configure(with_values(config, {'decision.costs_file': str(path)}))
    path.unlink()
    run.put()
    run.wait(results=1)
    assert run.engine.pipeline.abstain_cost == 0.25


def test_an_error_of_the_middleware_is_counted_and_the_thread_goes_on(run):
    run.put(RuntimeError('failed to take raw message'))
    run.wait(drops=1)
    run.put()
    run.wait(results=1)
    assert run.engine.failures == 1 and run.drops == [(TAKE_FAILED, 'RuntimeError: failed to take raw message')]


def test_an_error_of_a_decoder_costs_its_frame(run):
    run.put(parse=lambda buffer: {}['x'])
    run.wait(drops=1)
    run.put()
    run.wait(results=1)
    account = run.engine.account('camera')
    assert (account.received, account.decided, dict(account.dropped)) == (2, 1, {DECODE_FAILED: 1})


def test_what_cannot_be_published_is_counted_also_where_it_cannot_be_logged(run):
    run.refuse_results = run.refuse_logs = True
    run.put()
    run.wait(drops=1)
    run.refuse_results = False
    run.put()
    run.wait(results=1)
    run.engine.stop()
    account = run.engine.account('camera')
    assert (account.received, account.decided, dict(account.dropped)) == (2, 1, {PUBLISH_FAILED: 1})


def test_a_bundle_that_loads_but_cannot_be_run_is_refused_when_it_is_warmed(tmp_path):
    folder = corpus_bundles.good_bundle(tmp_path / 'm')
    text = (folder / 'bundle.json').read_text().replace('32,\n      32', '40,\n      40')
    assert '40' in text
    (folder / 'bundle.json').write_text(text)
    with pytest.raises(BundleError, match='cannot be run on a picture of 40 x 40 pixels'):
        Pipeline.load(ClassifierConfig(model=str(folder), device='cpu'))


def test_beliefs_are_numbers_after_all_of_that(run):
    for _ in range(3):
        run.put()
    run.wait(results=3)
    assert all(np.isfinite(result.posterior).all() for result in run.results)


def test_what_was_accepted_before_a_stop_without_a_frame_goes_on_afterwards(config, models):
    run = Run(config)
    run.engine.configure(with_values(config, {'decision.abstain_cost': 0.125}))
    run.engine.stop()
    assert run.engine.pipeline.abstain_cost == 0.125
    run = Run(config)
    second = Pipeline.load(ClassifierConfig(model=models['second'], device='cpu'))
    run.engine.replace_pipeline(second)
    run.engine.configure(with_values(config, {'decision.abstain_cost': 0.25}))
    run.engine.stop()
    assert run.engine.pipeline is second and second.abstain_cost == 0.25

"""Several forward passes at once: the same bits, in the same order; a failing picture takes no other with it."""
import os
import threading

import pytest
import torch
from evaluation_samples import labelled_bag, small_model

from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.feed import FrameBatch
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions
from robot_vision_dl.evaluation.parallel_inference import ParallelInference
from robot_vision_dl.evaluation.runner import forget_pipelines, load_pipeline

DEPLOYMENT = with_values(ClassifierConfig(), {'device': 'cpu', 'threads': 1, 'decision.abstain_cost': 0.3})


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return str(small_model(tmp_path_factory.mktemp('models') / 'small'))


@pytest.fixture
def cores(monkeypatch):
    """A function that sets how many cores there seem to be."""
    return lambda count: monkeypatch.setattr(os, 'sched_getaffinity', lambda _process: set(range(count)))


def options(**run):
    return EvaluationOptions(DEPLOYMENT, run=RunOptions(**{'draws': 200, 'batch': 4, **run}))


def test_one_lane_and_three_give_the_same_rows(model, tmp_path, cores):
    bag = labelled_bag(tmp_path / 'bag', 60)
    found = []
    for count in (1, 3):
        cores(count)
        found.append(evaluate([bag], [model], options()))
    assert found[0].tables['small'].rows.tobytes() == found[1].tables['small'].rows.tobytes()
    assert found[0].metrics == found[1].metrics
    assert set(found[1].speed()['stage_ms_per_frame']['small']) >= {'forward', 'uncertainty', 'decide'}


def test_batches_overlap_and_come_back_in_order(model, cores):
    cores(3)
    pipeline = Pipeline.load(with_values(DEPLOYMENT, {'model': model}))
    together = threading.Barrier(3, timeout=60)  # breaks if fewer than three passes are under way at once

    def wait(*_):
        together.wait()

    pipeline.network.register_forward_pre_hook(wait)
    with ParallelInference({'small': pipeline}, DEPLOYMENT) as lanes:
        assert lanes.count == 3
        batches = [FrameBatch([], [torch.full((1, 1, 32, 32), float(number))], []) for number in range(6)]
        found = list(lanes.run(batches))
    assert [batch.tensors[0][0, 0, 0, 0].item() for batch, _ in found] == list(range(6))
    assert not any(isinstance(assessed.outcome, Exception) for _, (assessed,) in found)


def test_a_picture_at_which_the_network_fails_is_dropped_alone(model, tmp_path, cores):
    bag = labelled_bag(tmp_path / 'bag', 24)
    forget_pipelines()
    pipeline = load_pipeline(model, DEPLOYMENT)
    seen = []

    def fail(_network, arguments):
        seen.extend(arguments[0])
        if len(seen) > 5 and any(torch.equal(picture, seen[5]) for picture in arguments[0]):
            raise RuntimeError('out of memory')

    handle = pipeline.network.register_forward_pre_hook(fail)
    try:
        for count in (1, 3):
            cores(count)
            seen.clear()
            found = evaluate([bag], [model], options(exact=False))
            assert found.metrics['recordings'][0]['dropped'] == {'inference_failed': 1}
            assert found.metrics['recordings'][0]['decided'] == 23
            assert 'out of memory' in found.outcomes[0].first_drops['inference_failed']
    finally:
        handle.remove()
        forget_pipelines()


def test_one_lane_where_more_would_not_be_safe_or_no_quicker(model, cores):
    cores(4)
    pipeline = load_pipeline(model, DEPLOYMENT)
    for changes, count in (({'threads': 1}, 4), ({'threads': 2}, 2), ({'threads': 0}, 1),
                           ({'dropout_samples': 8}, 1)):
        with ParallelInference({'small': pipeline}, with_values(DEPLOYMENT, changes)) as lanes:
            assert lanes.count == count, changes

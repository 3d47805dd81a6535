"""One recording through models: each thread has a pipeline of its own, and it is that of the files as they are now."""
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from evaluation_samples import STEP_NS, T0_NS, labelled_bag, small_model
from labelled_samples import pattern

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.errors import BundleError
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions
from robot_vision_dl.evaluation.recordings import open_recordings
from robot_vision_dl.evaluation.runner import Job, load_pipeline, run_job

OPTIONS = EvaluationOptions(with_values(ClassifierConfig(), {'device': 'cpu', 'threads': 1}),
                            run=RunOptions(batch=1, draws=100, pictures=0, decode_threads=1))


def job_of(bag, model, **changes):
    recording, = open_recordings([bag], OPTIONS)
    return Job(recording, (str(model),), ('m',), OPTIONS, 10**9, identities=(load_bundle(model).identity,), **changes)


def test_threads_of_one_process_do_not_share_beliefs(tmp_path):
    model = small_model(tmp_path / 'model')
    # Of the same time: a belief that is shared sees the other recording's frames as its own.
    jobs = [job_of(labelled_bag(tmp_path / f'bag_{n}', 120, n, start_ns=T0_NS), model) for n in range(4)]
    alone = [run_job(job).tables['m'].rows for job in jobs]
    together = threading.Barrier(len(jobs))

    def at_once(job):
        together.wait()
        return run_job(job).tables['m'].rows
    for _ in range(3):
        with ThreadPoolExecutor(len(jobs)) as pool:
            found = list(pool.map(at_once, jobs))
        for rows, expected in zip(found, alone):
            assert rows.tobytes() == expected.tobytes()


def test_a_thread_keeps_its_pipeline_and_no_other_has_it(tmp_path):
    model = str(small_model(tmp_path / 'model'))
    mine = load_pipeline(model, OPTIONS.deployment)
    assert load_pipeline(model, OPTIONS.deployment) is mine
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(load_pipeline, model, OPTIONS.deployment).result() is not mine


def test_a_model_that_was_changed_in_its_place_is_read_again(tmp_path):
    model, bag = tmp_path / 'model', labelled_bag(tmp_path / 'bag', 24)
    small_model(model)
    before = run_job(job_of(bag, model)).tables['m'].rows
    other = small_model(tmp_path / 'other', seed=3)
    for path in other.iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    after = run_job(job_of(bag, model)).tables['m'].rows
    expected = run_job(job_of(bag, other)).tables['m'].rows
    assert after.tobytes() == expected.tobytes() != before.tobytes()


def test_costs_that_were_changed_in_their_place_are_read_again(tmp_path):
    costs = tmp_path / 'costs.yaml'
    model, bag = small_model(tmp_path / 'model'), labelled_bag(tmp_path / 'bag', 24)
    deployment = with_values(OPTIONS.deployment, {'decision.costs_file': str(costs)})
    outcomes = []
    for abstain in (0.001, 0.999):
        costs.write_text(f'abstain: {abstain}\n')
        found = evaluate([bag], [str(model)], EvaluationOptions(deployment, run=OPTIONS.run))
        outcomes.append(found.metrics['models']['model']['decisions']['accepted'])
    assert outcomes[0] == 0 < outcomes[1]


def test_another_model_under_the_same_path_is_not_taken_for_this_one(tmp_path):
    job = job_of(labelled_bag(tmp_path / 'bag', 12), small_model(tmp_path / 'model'))
    small_model(tmp_path / 'elsewhere', seed=3)
    for path in (tmp_path / 'elsewhere').iterdir():
        (tmp_path / 'model' / path.name).write_bytes(path.read_bytes())
    with pytest.raises(BundleError, match='is not the model that .* when the evaluation began'):
        run_job(job)


class LateWriter(ImageBagWriter):
    """Some frames have the stamps of nine frames before."""

    def __init__(self, path, late):
        super().__init__(path)
        self._late = {T0_NS + number * STEP_NS for number in late}

    def _header(self, stamp_ns):
        return super()._header(stamp_ns - 9 * STEP_NS if stamp_ns in self._late else stamp_ns)


@pytest.mark.parametrize('batch, late', [(1, [13]), (8, range(16, 24))])
def test_a_batch_of_which_nothing_is_left_costs_nothing_but_itself(tmp_path, batch, late):
    """As where a clock is set back: all frames of a batch are dropped for their stamps, and the others are judged.

    The model has a density-aware calibration, as those that ship.
    """
    with LateWriter(tmp_path / 'bag', late) as writer:
        for number in range(40):
            writer.write_raw('/camera', T0_NS + number * STEP_NS, pattern(number))
    recording, = open_recordings([tmp_path / 'bag'], OPTIONS)
    options = replace(OPTIONS, run=replace(OPTIONS.run, batch=batch))
    found = run_job(Job(recording, ('waste_sorter',), ('m',), options, 10**9,
                        identities=(load_bundle('waste_sorter').identity,)))
    assert not found.failure and len(found.tables['m'].rows) == 40 - len(late)
    assert found.drops == {'/camera': {'stamp_backwards': len(late)}}


def test_rows_do_not_depend_on_how_many_cores_a_recording_gets(tmp_path):
    model, bag = small_model(tmp_path / 'model'), labelled_bag(tmp_path / 'bag', 60)
    rows = [run_job(job_of(bag, model, cores=cores)).tables['m'].rows for cores in (1, 2, 6)]
    for other in rows[1:]:
        assert other.tobytes() == rows[0].tobytes()

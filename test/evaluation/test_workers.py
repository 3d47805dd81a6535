"""Recordings over processes: one that ends its process costs no other, and is named."""
import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from evaluation_samples import Crash, labelled_bag, small_model

from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.errors import ConfigError, ImageError, RobotVisionError
from robot_vision_dl.evaluation import workers as shared_out
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions
from robot_vision_dl.evaluation.process_pool import _portable, how_it_ended
from robot_vision_dl.evaluation.recordings import open_recordings

OPTIONS = EvaluationOptions(with_values(ClassifierConfig(), {'device': 'cpu'}), run=RunOptions(draws=100))


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return str(small_model(tmp_path_factory.mktemp('models') / 'small'))


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bags')
    return [str(labelled_bag(folder / f'bag_{n}', 36, n)) for n in range(4)]


def with_crashes(bags, ways):
    return [replace(recording, labels=Crash(ways[recording.name])) if recording.name in ways else recording
            for recording in open_recordings(bags, OPTIONS)]


def rows_of(found, name):
    table = found.tables['small']
    return table.rows[table['recording'] == table.recordings.index(name)]


def test_the_others_are_kept_and_each_that_crashed_is_named(model, bags, tmp_path):
    whole = evaluate(bags, [model], OPTIONS)
    found = evaluate(bags, [model], OPTIONS, workers=2, write_bag=str(tmp_path / 'decisions'),
                     recordings=with_crashes(bags, {'bag_1': 'kill', 'bag_2': 'segfault'}))
    assert sorted(path.name for path in (tmp_path / 'decisions').iterdir()) == ['bag_0', 'bag_3']  # whole ones only
    assert found.failed == ['bag_1', 'bag_2']
    for name in ('bag_0', 'bag_3'):
        ours, theirs = rows_of(found, name), rows_of(whole, name)
        assert len(ours) == 36 and ours['fused_confidence'].tobytes() == theirs['fused_confidence'].tobytes()
    told = '\n'.join(found.problems)
    assert 'bag_1: not judged: its worker process was ended by SIGKILL (someone killed it, or the system was' in told
    assert 'bag_2: not judged: its worker process was ended by SIGSEGV' in told
    entries = {entry['name']: entry for entry in found.metrics['recordings']}
    assert entries['bag_1']['dropped'] == {'not_judged': 36} and 'SIGKILL' in entries['bag_1']['failure']
    assert entries['bag_0']['failure'] is None
    assert found.metrics['models']['small']['frames']['recordings_failed'] == 2
    assert found.metrics['models']['small']['frames']['missing'] == 72
    found.save(tmp_path / 'out')
    assert 'SIGKILL' in (tmp_path / 'out' / 'report.html').read_text()


@pytest.mark.parametrize('workers', [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize('way,said', [('memory', 'there is not enough memory for it'),
                                      ('fault', r"KeyError: 'a fault of ours' \(evaluation_samples.py:")])
def test_a_fault_is_of_one_recording_alone(model, bags, workers, way, said):
    found = evaluate(bags[:3], [model], OPTIONS, workers=workers, recordings=with_crashes(bags[:3], {'bag_0': way}))
    assert found.failed == ['bag_0'] and len(found.tables['small']) == 72
    assert re.search(said, found.outcomes[0].failure)


@pytest.mark.parametrize('workers', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_machine_that_fails_ends_it_all(model, bags, workers):
    with pytest.raises(RobotVisionError, match='no space left on device at /tmp/x; this is about the machine'):
        evaluate(bags[:2], [model], OPTIONS, workers=workers, recordings=with_crashes(bags[:2], {'bag_1': 'disk'}))


@pytest.mark.slow
def test_where_every_recording_crashes_it_is_an_error(model, bags):
    with pytest.raises(RobotVisionError, match='not one recording could be judged; bag_0: its worker .* code 3; bag_1'):
        evaluate(bags[:2], [model], OPTIONS, workers=2,
                 recordings=with_crashes(bags[:2], {'bag_0': 'exit', 'bag_1': 'exit'}))


@pytest.mark.slow
def test_the_command_names_the_recording_and_does_not_exit_with_0(model, bags, tmp_path, monkeypatch, capsys):
    from robot_vision_dl.cli.main import main
    from robot_vision_dl.evaluation import recordings
    opened = recordings.open_recordings
    monkeypatch.setattr(recordings, 'open_recordings', lambda *args: [
        replace(one, labels=Crash('kill')) if one.name == 'bag_1' else one for one in opened(*args)])
    assert main(['evaluate', *bags[:3], '--model', model, '--out', str(tmp_path / 'out'), '--workers', '2',
                 '--device', 'cpu']) == 2
    assert 'evaluate: bag_1: not judged: its worker process was ended by SIGKILL' in capsys.readouterr().err
    assert (tmp_path / 'out' / 'report.html').is_file()


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_so(model, bags, tmp_path):
    script = tmp_path / 'script.py'
    script.write_text('from robot_vision_dl.evaluation.evaluator import evaluate\n'
                      f'evaluate({bags[:2]!r}, [{model!r}], workers=2)\n')
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1 and 'if __name__ == "__main__"' in ended.stderr.splitlines()[-1]


@pytest.mark.slow
def test_the_errors_of_a_job_come_back_as_they_are(bags, tmp_path):
    named = small_model(tmp_path / 'named', class_names=('a', 'b', 'c'))
    with pytest.raises(ConfigError, match="the label 'cup' is no class of named"):
        evaluate(bags[:2], [str(named)], OPTIONS, workers=2)


@pytest.mark.parametrize('cores,workers,bags_count,asked,threads,share', [
    (16, 1, 4, 0, 15, 16), (16, 4, 4, 0, 4, 4), (16, 8, 4, 0, 4, 4), (2, 4, 4, 0, 1, 1), (16, 4, 4, 6, 6, 4),
    (16, 4, 1, 0, 15, 16)])
def test_workers_share_the_cores(model, bags, monkeypatch, cores, workers, bags_count, asked, threads, share):
    """No more threads in all than there are cores, unless that is asked for; and as many in every worker."""
    seen = []

    class Seen(Exception):
        pass

    def see(jobs, *_):
        seen.extend(jobs)
        raise Seen
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _process: set(range(cores)))
    monkeypatch.setattr(shared_out, 'run_in_processes', see)
    monkeypatch.setattr(shared_out, 'run_here', see)
    options = replace(OPTIONS, deployment=with_values(OPTIONS.deployment, {'threads': asked}))
    with pytest.raises(Seen):
        evaluate(bags[:bags_count], [model], options, workers=workers)
    assert {(job.options.deployment.threads, job.cores) for job in seen} == {(threads, share)}
    assert asked or threads * min(workers, bags_count) <= max(cores, workers)


def test_an_error_that_does_not_survive_a_pipe_says_the_same():
    for error in (ImageError('empty', 'no pixels'), ConfigError('x')):
        found = pickle.loads(pickle.dumps(_portable(error)))
        assert isinstance(found, RobotVisionError) and str(found) == str(error)
    assert type(_portable(ConfigError('x'))) is ConfigError


@pytest.mark.parametrize('code,said', [
    (3, 'ended with exit code 3'), (-9, 'ended by SIGKILL'), (-11, 'ended by SIGSEGV'), (-7, 'SIGBUS'), (-4, 'SIGILL'),
    (-64, 'SIGRTMAX'), (-50, 'signal 50')])
def test_how_a_process_ended(code, said):
    assert said in how_it_ended(code)


@pytest.mark.slow
def test_a_recording_that_ends_dask_workers_costs_no_other(model, bags):
    distributed = pytest.importorskip('dask.distributed', reason='Dask is not installed')
    import dask
    with dask.config.set({'distributed.scheduler.allowed-failures': 1}):
        with distributed.LocalCluster(n_workers=2, threads_per_worker=2, processes=True,
                                      dashboard_address=None) as cluster:
            found = evaluate(bags, [model], OPTIONS, cluster=cluster.scheduler_address,
                             recordings=with_crashes(bags, {'bag_1': 'kill'}))
    assert found.failed == ['bag_1'] and len(found.tables['small']) == 3 * 36
    assert 'KilledWorker' in found.outcomes[1].failure

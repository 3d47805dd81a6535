"""Studies on small pictures: what they try, how they go on, and what they refuse."""
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from robot_vision_dl.core.errors import ConfigError, OutputError
from robot_vision_dl.training.config import OutputConfig, TrainConfig
from robot_vision_dl.training.config_file import load_config, parse_config

sys.path.append(str(Path(__file__).parent))
from test_run import command, finished, wait_for  # noqa: E402
from training_samples import config_text, picture_folders  # noqa: E402

pytest.importorskip('optuna', reason='tuning is an extra: pip install .[tune]')
pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')

SPACE = """
tune:
  trials: 3
  space:
    optimizer.learning_rate: {low: 1e-4, high: 1e-2, log: true}
    loss.smoothing: {choices: [0.0, 0.1]}
    run.batch_size: {low: 8, high: 16, step: 8}
"""


def taken_up(folder, number):
    """The config of a study that a signal ends in its first trial, and what it prints when it goes on."""
    text = config_text(picture_folders(folder / 'pictures'), folder, epochs=3) + SPACE
    process = command(folder, text, name='tune')
    wait_for(folder / 'runs' / 'shapes-tune' / 'trial-0' / 'last.ckpt', process)
    process.send_signal(number)
    process.communicate()
    return text, finished(command(folder, text, name='tune'))


@pytest.mark.slow
def test_study_that_is_killed_goes_on_and_its_best_settings_can_be_trained(tmp_path):
    _, said = taken_up(tmp_path, signal.SIGKILL)
    rows = re.findall(r'^(\d+) +(complete|pruned) +([\d.]+)', said, re.MULTILINE)
    assert len(rows) == 3 and rows[0][1] == 'complete'
    assert [float(row[2]) for row in rows if row[1] == 'complete'] == sorted(
        float(row[2]) for row in rows if row[1] == 'complete')
    assert 'going on with the run in' in said
    best = load_config(tmp_path / 'runs' / 'shapes-tune' / 'best.yaml')
    assert 1e-4 <= best.optimizer.learning_rate <= 1e-2 and best.run.batch_size in (8, 16)
    assert not (tmp_path / 'models').exists()


@pytest.mark.slow
def test_study_that_is_interrupted_goes_on_with_its_trial_and_is_of_its_settings_alone(tmp_path):
    text, said = taken_up(tmp_path, signal.SIGINT)
    assert 'going on with the run in' in said and not (tmp_path / 'runs' / 'shapes-tune' / 'trial-1').exists()
    other = command(tmp_path, text.replace('{low: 8, high: 16, step: 8}', '{low: 8, high: 24, step: 8}'), name='tune')
    assert 'another space' in finished(other, 2)


@pytest.mark.parametrize('space, message', [
    ({'optimizer.learnin_rate': {'low': 0.1, 'high': 1.0}}, "did you mean 'learning_rate'?"),
    ({'optimizer.learning_rate': {'low': 0.1, 'high': 1000.0}}, 'must be at most 100, got 1000.0'),
    ({'optimizer.learning_rate': {'low': 1.0, 'high': 0.1}}, 'not above high'),
    ({'optimizer.learning_rate': {'min': 1.0}}, 'expected low and high'),
    ({'optimizer.name': {'choices': ['adam', 'atom']}}, "got 'atom'"),
    ({'data.split.seed': {'low': 0, 'high': 9}}, 'must be judged on the same pictures'),
    ({'loss.smoothing': {'low': 0.0, 'high': 0.2, 'log': True}}, 'with log: true low must be above 0, got 0.0'),
    ({'loss.smoothing': {'low': 0.0, 'high': 0.2, 'step': 0}}, 'step must be above 0, got 0'),
    ({'run.epochs': {'low': 2, 'high': 9}, 'schedule.warmup_epochs': {'low': 0.5, 'high': 3.0}},
     'run.epochs 2, schedule.warmup_epochs 3.0 is one of the trials that there may be: schedule.warmup_epochs: must'),
    ({}, 'expected settings with bounds'),
])
def test_space_that_cannot_be_is_told(space, message):
    from robot_vision_dl.training.tune import check_space
    with pytest.raises(ConfigError) as caught:
        check_space(TrainConfig(), space)
    assert message in str(caught.value)


def test_a_study_that_another_process_has_is_left_alone(tmp_path):
    """It would take the trials that run for killed, and do them a second time in the same folders."""
    from robot_vision_dl.training.tune import tune
    folder = tmp_path / 'runs' / 'my_model-tune'
    holder = subprocess.Popen([sys.executable, '-c', 'import sys\n'
                               'from pathlib import Path\n'
                               'from robot_vision_dl.core.files.whole_files import locked_folder\n'
                               'with locked_folder(Path(sys.argv[1]), "this study"):\n'
                               '    print("held", flush=True)\n'
                               '    sys.stdin.read()\n', str(folder)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == 'held\n'
        config = TrainConfig(output=OutputConfig(runs=str(tmp_path / 'runs')))
        with pytest.raises(OutputError, match='my_model-tune: another process is writing this study; wait for it'):
            tune(config, {'loss.smoothing': {'choices': [0.0, 0.1]}}, 1)
        assert not (folder / 'study.db').exists()
    finally:
        holder.communicate()


def test_what_to_try_is_no_setting_of_a_run(tmp_path):
    assert parse_config('name: a' + SPACE, 't').name == 'a'

"""``--restart``, and what is refused before the first epoch: the earlier run stays until the new one begins."""
import os
import resource
import shutil
import sys
from pathlib import Path

import pytest

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.files.whole_files import locked_folder

sys.path.append(str(Path(__file__).parent))
from training_samples import config_text, picture_folders  # noqa: E402

pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')


@pytest.fixture(scope='module')
def pictures(tmp_path_factory) -> Path:
    return picture_folders(tmp_path_factory.mktemp('pictures'), each=8)


@pytest.fixture(scope='module')
def finished_run(pictures, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp('finished')
    (work / 'train.yaml').write_text(config_text(pictures, work, epochs=1))
    assert main(['train', str(work / 'train.yaml')]) == 0
    return work


@pytest.fixture
def run(finished_run, tmp_path) -> Path:
    """A copy of a finished run, with the config that gives it."""
    for name in ('runs', 'models', 'cache'):
        shutil.copytree(finished_run / name, tmp_path / name)
    text = (finished_run / 'train.yaml').read_text().replace(str(finished_run), str(tmp_path))
    (tmp_path / 'train.yaml').write_text(text)
    return tmp_path


def train(work: Path, *options: str) -> int:
    return main(['train', str(work / 'train.yaml'), *options])


def files(work: Path):
    folder = work / 'runs' / 'shapes'
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_done_already_without_restart_and_trained_anew_with_it(run, capsys):
    assert train(run) == 0  # its bundle is made again, for the paths in its settings are others now
    capsys.readouterr()
    before, created = files(run), load_bundle(run / 'models' / 'shapes').provenance['created']
    assert train(run) == 0
    assert 'is done already' in capsys.readouterr().out and files(run) == before
    os.utime(run / 'runs/shapes/last.ckpt', (0, 0))
    assert train(run, '--restart') == 0
    said = capsys.readouterr().out
    assert 'is done already' not in said and 'epoch   1/1' in said and 'bundle: ' in said
    after = files(run)
    # The same settings give the same weights; TensorBoard's file has another name.
    assert (run / 'runs/shapes/last.ckpt').stat().st_mtime > 0
    assert after['best.safetensors'] == before['best.safetensors'] and '.restart/split.json' not in after
    assert load_bundle(run / 'models' / 'shapes').provenance['created'] >= created
    assert sum('tfevents' in name for name in after) == 1


@pytest.mark.parametrize('change, said', [
    ('data.bags=[/no/such/bag]', '/no/such/bag'),
    ('data.class_names=[circle, kettle]', 'kettle'),
    ('optimizer.learning_rate=50', None),
    ('run.device=cuda:9', 'cuda:9'),
])
def test_restart_that_cannot_begin_leaves_the_earlier_run(run, change, said, capsys):
    before = files(run)
    bundle = load_bundle(run / 'models' / 'shapes').identity
    code = train(run, '--restart', *(() if said is None else ('--overwrite',)), '--set', change)
    if said is None:  # of another run: the bundle is not replaced unasked
        said = 'is there already and not of this run'
    assert code == 2 and said in capsys.readouterr().err
    kept = files(run)
    assert {name: data for name, data in kept.items() if '.restart' not in name and name != '.lock'} == {
        name: data for name, data in before.items() if name != '.lock'}
    assert load_bundle(run / 'models' / 'shapes').identity == bundle
    assert train(run) == 0


def test_second_trainer_of_a_run_is_refused(run, capsys):
    with locked_folder(run / 'runs' / 'shapes', 'this run'):
        assert train(run) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert 'another process is writing this run; wait for it, or choose another folder' in line


def test_tilde_in_outputs_is_the_home_folder(finished_run, pictures, tmp_path, monkeypatch):
    home = tmp_path / 'home'
    monkeypatch.setenv('HOME', str(home))
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'train.yaml').write_text(config_text(
        pictures, tmp_path, epochs=1, output='{runs: ~/runs, models: ~/models, baselines: false}'))
    assert train(tmp_path, '--set', 'data.cache.folder=~/cache') == 0
    assert sorted(os.listdir(home)) == ['cache', 'models', 'runs'] and not (tmp_path / '~').exists()


@pytest.mark.parametrize('name, said', [
    (b'caf\xe9', 'is not UTF-8'),
    (b'a\x1b[31mb', 'control character'),
    (b'uncertain', 'uncertain'),
    (b'x' * 220, '220 characters'),
])
def test_class_names_that_no_bundle_can_hold_are_told_before_training(pictures, tmp_path, name, said, capsys):
    shutil.copytree(pictures, tmp_path / 'pictures')
    for folder in (tmp_path / 'pictures').iterdir():
        os.rename(os.fsencode(folder / 'circle'), os.fsencode(folder) + b'/' + name)
    (tmp_path / 'train.yaml').write_text(config_text(tmp_path / 'pictures', tmp_path, epochs=1))
    assert train(tmp_path) == 2
    printed = capsys.readouterr()
    assert said in printed.err.strip().splitlines()[-1] and 'epoch' not in printed.out
    assert '\x1b' not in printed.err
    # Nor does a bag take them, which somebody would train on.
    assert main(['bag', 'from-images', str(tmp_path / 'pictures' / 'recording_0'), '--out', str(tmp_path / 'bag')]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / 'bag').exists()


def test_too_little_room_is_told_before_the_first_epoch(pictures, tmp_path, monkeypatch, capsys):
    (tmp_path / 'train.yaml').write_text(config_text(pictures, tmp_path, epochs=1))
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10**9, 10**9, 0))
    assert train(tmp_path) == 1
    printed = capsys.readouterr()
    assert '0 MB are free, and the checkpoints of a network of this size take' in printed.err
    assert 'epoch ' not in printed.out.replace('epochs', '')


def test_disk_that_fills_up_is_one_line_and_the_run_goes_on_from_there(pictures, tmp_path, capsys):
    (tmp_path / 'train.yaml').write_text(config_text(pictures, tmp_path, epochs=1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (950_000, limits[1]))
    try:
        assert train(tmp_path) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    error = capsys.readouterr().err
    assert 'cannot be written (File too large)' in error and 'Traceback' not in error
    assert not list(tmp_path.rglob('*.part'))
    assert train(tmp_path) == 0 and load_bundle(tmp_path / 'models' / 'shapes').calibrated


def test_a_split_that_nothing_was_learned_with_is_made_anew(pictures, tmp_path, capsys):
    """A refusal before the first epoch, a changed setting, and the same command."""
    (tmp_path / 'train.yaml').write_text(config_text(pictures, tmp_path, epochs=1))
    shares = 'data.split={train: 0.7, early_stop: 0.1, calibration: 0.03, test: 0.17, method: time}'
    assert train(tmp_path, '--set', shares) == 2
    printed = capsys.readouterr()
    assert 'calibration' in printed.err and (tmp_path / 'runs/shapes/split.json').exists()
    assert train(tmp_path) == 0
    capsys.readouterr()
    assert train(tmp_path, '--set', 'data.split.seed=5') == 2  # now there is an epoch
    assert '--restart' in capsys.readouterr().err

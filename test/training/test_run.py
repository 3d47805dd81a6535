"""Whole runs on small pictures: bundle, resume, and what ends a run."""
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file

from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle
from robot_vision_dl.core.uncertainty.camera.statistics import look
from robot_vision_dl.core.uncertainty.ood.sensor_faults import spoilt_picture
from robot_vision_dl.data.learned_pictures import fingerprint, learned_pictures
from robot_vision_dl.data.pictures import read_picture
from robot_vision_dl.evaluation.predict import Predictor, assessments

sys.path.append(str(Path(__file__).parent))
from training_samples import CLASSES, command, config_text, finished, picture_folders  # noqa: E402

pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def pictures(tmp_path_factory) -> Path:
    return picture_folders(tmp_path_factory.mktemp('pictures'))


@pytest.fixture(scope='module')
def unbroken(pictures, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp('unbroken')
    (work / 'said.txt').write_text(finished(command(work, config_text(pictures, work))))
    return work


def test_run_gives_a_sound_calibrated_bundle_that_has_learned(unbroken):
    bundle = load_bundle(unbroken / 'models' / 'shapes')
    assert verify_bundle(unbroken / 'models' / 'shapes') == []
    assert bundle.class_names == CLASSES and bundle.calibrated and bundle.ood.scores is not None
    assert bundle.laplace.tau > 0 and bundle.device == 'cpu'
    assert bundle.metrics['test']['accuracy'] > 0.6 > bundle.metrics['baselines']['majority class']
    card = (bundle.folder / 'MODEL_CARD.md').read_text()
    for name in ('curves.png', 'confusion.png', 'reliability.png'):
        assert f'card/{name}' in card
        assert (bundle.folder / 'card' / name).read_bytes().startswith(b'\x89PNG')
    assert (bundle.folder / 'card' / 'train.yaml').read_text() == (unbroken / 'train.yaml').read_text()
    counts = json.loads((bundle.folder / 'card' / 'split.json').read_text())['counts']
    assert sum(counts['test'].values()) == bundle.metrics['test']['pictures']


def test_the_bundle_says_which_pictures_it_has_learned_from(unbroken, pictures, tmp_path, monkeypatch, capsys):
    """Those of its parts, whatever they are called later; what it is trained on from there on knows them, too."""
    from robot_vision_dl.cli.main import main
    monkeypatch.setenv('HOME', str(tmp_path))
    bundle = load_bundle(unbroken / 'models' / 'shapes')
    learned = learned_pictures(bundle)
    recordings = json.loads((bundle.folder / 'card' / 'split.json').read_text())['recordings']
    prints = {part: np.array([fingerprint(read_picture(path)) for name in names
                              for path in sorted((pictures / name).rglob('*.png'))])
              for part, names in recordings.items()}
    fitted = np.concatenate([prints['early_stop'], prints['calibration']])
    assert learned.recognise(prints['train']).trained_on.all() and learned.recognise(fitted).calibrated_on.all()
    assert learned.recognise(fitted).trained_on.mean() < 0.1 and learned.recognise(prints['test']).either.mean() < 0.1
    # A copy under another name, compressed, and the test part.
    for path in sorted((pictures / recordings['train'][0]).rglob('*.png')):
        target = tmp_path / 'copy' / path.parent.name / f'{path.stem}.jpg'
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), cv2.imread(str(path)))
    shutil.copytree(pictures / recordings['test'][0], tmp_path / 'fresh')
    said = {}
    for name in ('copy', 'fresh'):
        report = tmp_path / f'report_{name}'
        assert main(['evaluate', str(tmp_path / name), '--model', str(bundle.folder), '--out', str(report)]) == 0
        said[name] = capsys.readouterr().out
        model = json.loads((report / 'metrics.json').read_text())['models']['shapes']['model']
        found = model['learned_pictures']
        assert found['recordings'] == ({name: [found['frames']] * 2} if name == 'copy' else {}), name
        assert found['others'] == (0 if name == 'copy' else found['frames'])
        assert found['right'] + found['right_others'] <= found['frames']
        given, into = [str(bundle.folder), str(tmp_path / name)], str(tmp_path / f'of_{name}')
        for arguments in (['decide', *given, '--risk', '.3'], ['calibrate', *given, '--into', into]):
            main(arguments)
            told = ' '.join(' '.join(capsys.readouterr()).split())
            assert ('was trained on (perceptual hash)' in told) == (name == 'copy')
    assert 'that it was trained on (perceptual hash)' in said['copy'] and 'not one looks like' in said['fresh']
    assert main(['models', 'show', str(tmp_path / 'of_fresh')]) == 0
    again = learned_pictures(load_bundle(tmp_path / 'of_fresh'))
    assert (f'learned from   {len(again.trained_on)} pictures that it was trained on, {len(again.calibrated_on)} that '
            'its calibration or early stop used') in capsys.readouterr().out
    assert np.array_equal(again.trained_on, learned.trained_on) and len(again.calibrated_on) > len(fitted)


def test_calibrating_again_says_that_the_test_was_before(unbroken, pictures, tmp_path, monkeypatch):
    """Until it is tested again."""
    from robot_vision_dl.cli.calibrate import CALIBRATED_AGAIN
    from robot_vision_dl.cli.main import main
    from robot_vision_dl.cli.model_figures import calibrated_again
    monkeypatch.setenv('HOME', str(tmp_path))
    recording = json.loads((unbroken / 'models/shapes/card/split.json').read_text())['recordings']['test'][0]
    source = str(unbroken / 'models' / 'shapes')
    for target in ('once', 'twice'):
        assert main(['calibrate', source, str(pictures / recording), '--into', str(tmp_path / target)]) == 0
        source = str(tmp_path / target)
        assert (tmp_path / target / 'MODEL_CARD.md').read_text().count(CALIBRATED_AGAIN) == 1
        assert calibrated_again(load_bundle(tmp_path / target))
    assert not calibrated_again(load_bundle(unbroken / 'models' / 'shapes'))
    assert main(['calibrate', source, str(pictures / recording), '--test', str(pictures / recording), '--into',
                 str(tmp_path / 'tested')]) == 0
    assert not calibrated_again(load_bundle(tmp_path / 'tested'))
    assert main(['calibrate', str(tmp_path / 'tested'), str(pictures / recording)]) == 0
    assert calibrated_again(load_bundle(tmp_path / 'tested'))


def test_test_figures_are_those_of_the_bundle_that_was_written(unbroken, pictures):
    import torch

    from robot_vision_dl.core.networks.preprocess import Preprocessor
    bundle = load_bundle(unbroken / 'models' / 'shapes')
    recordings = json.loads((bundle.folder / 'card' / 'split.json').read_text())['recordings']['test']
    network, preprocess = bundle.load_network(), Preprocessor(bundle.preprocessing, 'cpu')
    right = []
    for recording in recordings:
        for path in sorted((pictures / recording).rglob('*.png')):
            with torch.inference_mode():
                called = int(network(preprocess([read_picture(path)])).logits.argmax())
            right.append(CLASSES[called] == path.parent.name)
    assert len(right) == bundle.metrics['test']['pictures']
    assert np.mean(right) == pytest.approx(bundle.metrics['test']['accuracy'], abs=1e-4)


def test_frames_labelled_unknown_choose_the_score_and_are_told_of(tmp_path):
    pictures = picture_folders(tmp_path / 'pictures', unknown=6)
    text = config_text(pictures, tmp_path, output=f'{{runs: "{tmp_path}/runs", models: "{tmp_path}/models"}}')
    said = finished(command(tmp_path, text))
    assert '36 frames are labelled unknown: 18 of the training part are learned from as outliers' in said
    bundle = load_bundle(tmp_path / 'models' / 'shapes')
    assert bundle.class_names == CLASSES
    figures = bundle.metrics['calibration']
    assert figures['foreign_pictures']['unknown'] == 6  # the other half of those outside training and test chose
    assert set(figures['ood_choice']) > {'knn', 'energy'} and bundle.ood.method in figures['ood_choice']
    # 30 calibration frames do not reach .01; the rate is that of the smallest p-value.
    assert figures['unknown_rate_at'] == pytest.approx(1 / 31, abs=1e-6)
    assert figures['unknown_rate']['unknown'] > 0
    assert f'called unknown at false_unknown_rate {1 / 31:.4g}' in said
    assert 'with 30 calibration frames unknown is said at 0.0323' in said  # pictures of folders: of how many objects?
    for text in ('with 30 calibration frames', '99 are needed'):
        assert said.index(text) < said.index('epoch   1/8')
    assert said.count('unknown is said at') == 1 and 'warning: shapes: ' not in said
    card = (bundle.folder / 'MODEL_CARD.md').read_text()
    assert 'What this calibration cannot promise' in card and '99 are needed' in card


def test_stages_of_the_trained_network_tell_faults_of_the_camera(tmp_path):
    pictures = picture_folders(tmp_path / 'pictures', each=16)  # 100 are needed
    network = '{architecture: lenet5, pretrained: "", stages: [s2, s4]}'
    said = finished(command(tmp_path, config_text(pictures, tmp_path, network=network)))
    bundle = load_bundle(tmp_path / 'models' / 'shapes')
    probe = bundle.camera.probe
    assert probe.widths == (6, 16) and 'underexposed' in probe.faults, said
    with_each = [bundle.camera.judge(look(picture), passed=one.fault_sums).fault for picture, one in said_of(
        bundle, [spoilt_picture(picture, 'underexposed', np.random.default_rng(place))
                 for place, picture in enumerate(held_out(bundle, pictures))])]
    assert np.mean([fault is not None for fault in with_each]) > .8
    assert np.mean([bundle.camera.judge(look(picture), passed=one.fault_sums).fault is not None for picture, one in
                    said_of(bundle, held_out(bundle, pictures))]) < .1


def held_out(bundle, pictures):
    recordings = json.loads((bundle.folder / 'card' / 'split.json').read_text())['recordings']['test']
    return [read_picture(path) for name in recordings for path in sorted((pictures / name).rglob('*.png'))]


def said_of(bundle, shown):
    outputs = Predictor.of_bundle(bundle, 'cpu').pictures(shown)
    return list(zip(shown, assessments(bundle, outputs.logits, outputs.features, outputs.stages)))


def wait_for(path: Path, process: subprocess.Popen, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.005)


DROPOUT = '{architecture: lenet5, pretrained: "", dropout: 0.2}'  # draws numbers while it trains


@pytest.fixture(scope='module')
def unbroken_with_dropout(pictures, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp('unbroken_with_dropout')
    finished(command(work, config_text(pictures, work, network=DROPOUT)))
    return work


@pytest.mark.slow
@pytest.mark.parametrize('delay_s', [0.0, 0.15, 0.4])
def test_killed_run_goes_on_to_the_same_bits(unbroken_with_dropout, pictures, tmp_path, delay_s):
    text = config_text(pictures, tmp_path, network=DROPOUT)
    process = command(tmp_path, text)
    wait_for(tmp_path / 'runs' / 'shapes' / 'last.ckpt', process)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    said = finished(command(tmp_path, text))
    assert 'going on with the run' in said and 'epoch   1/8' not in said
    for name in ('runs/shapes/best.safetensors', 'models/shapes/model.safetensors',
                 'models/shapes/uncertainty.safetensors'):
        whole, resumed = load_file(unbroken_with_dropout / name), load_file(tmp_path / name)
        assert whole.keys() == resumed.keys()
        assert all(whole[key].equal(resumed[key]) for key in whole), name


@pytest.mark.slow
def test_finished_run_is_not_done_again(unbroken, pictures):
    before = (unbroken / 'models' / 'shapes' / 'bundle.json').read_bytes()
    said = finished(command(unbroken, config_text(pictures, unbroken)))
    assert 'is done already' in said
    assert (unbroken / 'models' / 'shapes' / 'bundle.json').read_bytes() == before


@pytest.mark.slow
def test_folds_test_every_recording_once(pictures, tmp_path):
    text = config_text(pictures, tmp_path, epochs=2)
    said = finished(command(tmp_path, text, '--folds', '3'))
    tested = []
    for number in (1, 2, 3):
        folder = tmp_path / 'runs' / 'shapes-folds' / f'shapes-fold{number}of3'
        tested += json.loads((folder / 'card' / 'split.json').read_text())['recordings']['test']
    assert sorted(tested) == [f'recording_{number}' for number in range(6)]
    mean = next(line for line in said.splitlines() if line.startswith('mean  '))
    folder = tmp_path / 'runs' / 'shapes-folds'
    accuracies = [load_bundle(folder / f'shapes-fold{number}of3').metrics['test']['accuracy'] for number in (1, 2, 3)]
    assert float(mean.split()[1]) == pytest.approx(np.mean(accuracies), abs=1e-4)
    assert not (tmp_path / 'models').exists()


@pytest.mark.slow
def test_interrupted_run_says_how_to_go_on(pictures, tmp_path):
    process = command(tmp_path, config_text(pictures, tmp_path, epochs=50))
    wait_for(tmp_path / 'runs' / 'shapes' / 'last.ckpt', process)
    process.send_signal(signal.SIGINT)
    assert 'interrupted; the same command goes on' in finished(process, code=130)


@pytest.mark.slow
def test_two_processes_give_what_one_gives(unbroken, pictures, tmp_path):
    torchrun = ('-m', 'torch.distributed.run', '--nproc-per-node', '2', '--standalone')
    said = finished(command(tmp_path, config_text(pictures, tmp_path), launcher=torchrun))
    assert said.count('epoch   1/8') == 1
    one, two = (load_file(work / 'runs' / 'shapes' / 'best.safetensors') for work in (unbroken, tmp_path))
    largest = max(float((one[key] - two[key]).abs().max()) for key in one)
    assert largest < 1e-5


@pytest.mark.slow
def test_another_seed_is_another_run_and_is_not_continued(unbroken, pictures):
    text = config_text(pictures, unbroken)
    said = finished(command(unbroken, text, '--set', 'run.seed=1', '--overwrite'), code=2)
    assert 'is of a run with other settings' in said and '--restart' in said


@pytest.mark.slow
def test_a_bundle_of_another_run_is_not_replaced(pictures, unbroken, tmp_path):
    text = config_text(pictures, tmp_path, output=f'{{runs: "{tmp_path}/runs", models: "{unbroken}/models"}}')
    said = finished(command(tmp_path, text, '--set', 'run.seed=1'), code=2)
    assert 'is there already and not of this run' in said and '--overwrite' in said
    assert not (tmp_path / 'runs' / 'shapes' / 'last.ckpt').exists()


@pytest.mark.slow
def test_a_loss_that_runs_away_ends_the_run(pictures, tmp_path):
    text = config_text(pictures, tmp_path, optimizer='{name: sgd, learning_rate: 100.0, momentum: 0.99}',
                       run='{epochs: 3, batch_size: 16, gradient_clip: 0.0, device: cpu, threads: 1}')
    said = finished(command(tmp_path, text), code=2)
    assert 'the weights have run away' in said and 'Lower optimizer.learning_rate (now 100)' in said
    assert not (tmp_path / 'models' / 'shapes').exists()


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_it_goes_on_when_there_is_room(pictures, tmp_path):
    text = config_text(pictures, tmp_path, epochs=12)
    process = command(tmp_path, text)
    last = tmp_path / 'runs' / 'shapes' / 'last.ckpt'
    wait_for(last, process)
    # As a full disk: from here on no file may become larger than this.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    said = finished(process, code=1)
    assert 'cannot be written (File too large' in said
    assert 'the one written before is kept' in said and 'Make room' in said
    assert not list(last.parent.glob('.*partial'))
    assert 'going on with the run' in finished(command(tmp_path, text))
    assert verify_bundle(tmp_path / 'models' / 'shapes') == []


@pytest.mark.slow
def test_a_full_memory_ends_the_run_and_it_goes_on_when_there_is_room(pictures, tmp_path):
    groups = {'network': '{architecture: squeezenet1_1, pretrained: ""}', 'input': '{resize: 160, crop: 160}'}
    text = config_text(pictures, tmp_path, epochs=1, **groups).replace('batch_size: 16', 'batch_size: 80')
    process = command(tmp_path, text)
    # Enough for the eight pictures of the sanity check, not for ten times as many.
    for line in process.stdout:
        if line.startswith('augmented pictures'):
            break
    status = Path(f'/proc/{process.pid}/status').read_text()
    size = 1024 * int(next(line for line in status.splitlines() if line.startswith('VmSize')).split()[1])
    resource.prlimit(process.pid, resource.RLIMIT_AS, (size + (400 << 20), resource.RLIM_INFINITY))
    said = finished(process, code=2)
    assert 'out of memory with run.batch_size 80' in said and 'no epoch was finished' in said
    assert 'Traceback' not in said and not (tmp_path / 'models' / 'shapes').exists()
    finished(command(tmp_path, text))
    assert verify_bundle(tmp_path / 'models' / 'shapes') == []

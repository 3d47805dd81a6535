"""``robot-vision train``: what it says when it cannot begin; whole runs are in test/training/test_run.py."""
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from robot_vision_dl.cli.main import main
from robot_vision_dl.training.config_file import parse_config

sys.path.append(str(Path(__file__).resolve().parents[1] / 'training'))
from training_samples import config_text, picture_folders  # noqa: E402

pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')


@pytest.fixture(scope='module')
def pictures(tmp_path_factory) -> Path:
    return picture_folders(tmp_path_factory.mktemp('pictures'), recordings=4, each=7)


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path, monkeypatch):
    """Runs and models go to the working folder unless a file says otherwise."""
    monkeypatch.chdir(tmp_path)


def refused(work: Path, text: str, capsys, *options: str) -> str:
    """The one line that the command ends with."""
    (work / 'train.yaml').write_text(text)
    assert main(['train', str(work / 'train.yaml'), *options]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith('robot-vision train: ')
    assert not (work / 'models' / 'shapes').exists()
    return line


def test_defaults_can_be_read_again(capsys):
    assert main(['train', '--defaults']) == 0
    assert parse_config(capsys.readouterr().out, 'defaults').name == 'my_model'


def test_example_in_config_is_a_config():
    path = Path(__file__).resolve().parents[2] / 'config' / 'train.yaml'
    config = parse_config(path.read_text(encoding='utf-8'), str(path))
    assert config.network.architecture == 'efficientnet_lite0' and config.name == 'waste_sorter'


def test_no_config_and_missing_config(tmp_path, capsys):
    assert main(['train']) == 2
    assert '--defaults prints one to start from' in capsys.readouterr().err
    assert main(['train', str(tmp_path / 'none.yaml')]) == 2
    assert 'none.yaml: cannot be read (No such file or directory)' in capsys.readouterr().err


def test_bags_alone_are_enough(pictures, tmp_path, capsys, monkeypatch):
    """Settings that make it quick are given at the command; there is no file."""
    monkeypatch.chdir(tmp_path)
    quick = ['network.architecture=lenet5', "network.pretrained=''", 'input.resize=32', 'input.crop=32', 'run.epochs=1',
             f'data.cache.folder={tmp_path}/cache', 'run.sanity_check=false', 'output.baselines=false']
    bags = sorted(map(str, pictures.glob('recording_*')))
    assert main(['train', '--bags', *bags, '--name', 'shapes', '--set', *quick]) == 0
    assert main(['models', 'show', 'models/shapes']) == 0
    found = parse_config(next((tmp_path / 'models' / 'shapes').rglob('*.yaml')).read_text(), 'kept')
    assert found.name == 'shapes' and list(found.data.bags) == bags


def test_a_folder_in_the_place_of_the_file_is_explained(pictures, capsys):
    assert main(['train', str(pictures)]) == 2
    assert f'is a folder, no YAML file; to learn from what is in it by default settings: robot-vision train --bags ' \
        f'{pictures}' in capsys.readouterr().err


def test_missing_bag(tmp_path, capsys):
    assert '/no/such/bag' in refused(tmp_path, config_text(tmp_path, tmp_path), capsys, '--bags', '/no/such/bag')


def test_pattern_without_match(tmp_path, capsys):
    assert 'nothing matches this pattern' in refused(tmp_path, config_text(tmp_path, tmp_path), capsys)


def test_label_that_is_no_class(pictures, tmp_path, capsys):
    line = refused(tmp_path, config_text(pictures, tmp_path), capsys, '--set',
                   'data.class_names=[circle, crosses, square]')
    assert "the label 'cross' is not among the classes; did you mean 'crosses'?" in line


def test_one_class_only(pictures, tmp_path, capsys):
    line = refused(tmp_path, config_text(pictures, tmp_path), capsys, '--set',
                   'data.labels.ignore=[circle, square]')
    assert 'at least two classes are needed, got cross' in line


def test_empty_split(pictures, tmp_path, capsys):
    line = refused(tmp_path, config_text(pictures, tmp_path), capsys, '--bags', str(pictures / 'recording_0'), '--set',
                   'data.split.block_s=1000', 'data.split.gap_s=1000')
    assert 'split: no frame is left for' in line


def test_no_calibration(pictures, tmp_path, capsys):
    line = refused(tmp_path, config_text(pictures, tmp_path), capsys, '--set', 'data.split.train=0.67',
                   'data.split.calibration=0.0')
    assert 'the calibration split is empty' in line


def test_labels_that_contradict_the_pictures_fail_the_sanity_check(tmp_path, capsys):
    picture = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    for number in range(4):
        for label in ('a', 'b'):
            folder = tmp_path / f'recording_{number}' / label
            folder.mkdir(parents=True)
            for k in range(12):
                cv2.imwrite(str(folder / f'{k}.png'), picture)
    line = refused(tmp_path, config_text(tmp_path, tmp_path), capsys)
    assert 'sanity check' in line and 'could not be learned by heart' in line


def test_half_precision_on_a_cpu(pictures, tmp_path, capsys):
    line = refused(tmp_path, config_text(pictures, tmp_path), capsys, '--set', 'run.precision=float16')
    assert 'run.precision: float16 trains on GPUs only' in line


def test_unknown_layer_and_architecture(pictures, tmp_path, capsys):
    text = config_text(pictures, tmp_path, network='{train_from: fire9}')
    assert "efficientnet_lite0 has no layer 'fire9'" in refused(tmp_path, text, capsys)
    text = config_text(pictures, tmp_path, network='{architecture: resnet_18, pretrained: ""}')
    assert "no architecture 'resnet_18'; did you mean" in refused(tmp_path, text, capsys)
    shutil.rmtree(tmp_path / 'runs', ignore_errors=True)


def test_a_training_file_in_utf_16_is_read(tmp_path, capsys):
    (tmp_path / 'train.yaml').write_bytes(f'data: {{bags: [{tmp_path}/none]}}'.encode('utf-16'))
    assert main(['train', str(tmp_path / 'train.yaml')]) == 2
    assert 'none' in capsys.readouterr().err  # what it names is not there, and that is all that is wrong


def test_too_few_calibration_frames_are_refused_before_the_first_epoch(tmp_path, capsys):
    pictures = picture_folders(tmp_path / 'few', recordings=4, each=3)
    line = refused(tmp_path, config_text(pictures, tmp_path), capsys)
    assert 'calibration needs 20 frames at least that are of a class, and its part of the split has 9' in line
    assert 'raise data.split.calibration' in line
    assert not list((tmp_path / 'runs').rglob('*.ckpt'))


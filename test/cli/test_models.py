"""``robot-vision models`` as a user meets it."""
import json
import re
import shutil

import cv2
import numpy as np
import pytest
import torch
from evaluation_samples import small_model

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.networks.network import build_network

CLASSES = ['dark', 'bright']


@pytest.fixture
def material(tmp_path):
    """Weights, class names and labelled pictures: dark and bright ones."""
    torch.manual_seed(0)
    network = build_network('squeezenet1_1', 2)
    state = {key.replace('backbone.', 'features.').replace('head.0.', 'classifier.1.'): value
             for key, value in network.state_dict().items()}
    torch.save(state, tmp_path / 'weights.pth')
    (tmp_path / 'classes.txt').write_text('\n'.join(CLASSES) + '\n')
    rng = np.random.default_rng(0)
    for name, level in (('dark', 40), ('bright', 210)):
        folder = tmp_path / 'pictures' / name
        folder.mkdir(parents=True)
        for i in range(12):
            picture = np.clip(rng.normal(level, 20, (48, 64, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f'{i:02}.png'), picture)
    return tmp_path


def import_words(material, *more):
    return ['models', 'import', str(material / 'weights.pth'), '--architecture', 'squeezenet1_1', '--classes',
            str(material / 'classes.txt'), '--name', 'lights', '--into', str(material), '--resize', '64', '--crop',
            '64', *more]


def test_import_calibrate_show_verify(material, capsys):
    assert main(import_words(material, '--calibrate', str(material / 'pictures'), '--half', '--license', 'MIT')) == 0
    said = capsys.readouterr().out
    assert 'calibrated     ' in said
    assert re.search(r'24 frames, at float32 on (cpu|cuda), judged by', said)
    bundle = load_bundle(material / 'lights')
    assert bundle.class_names == ('dark', 'bright')
    assert bundle.preprocessing.crop == (64, 64)
    assert bundle.metrics['pictures'] == 24
    assert bundle.laplace is None  # the head is a convolution
    assert 0 < len(bundle.ood.scores) <= 24 and bundle.metrics['ood_choice']
    assert bundle.provenance['license'] == 'MIT'
    assert 'Measured on 24 labelled pictures' in (bundle.folder / 'MODEL_CARD.md').read_text()
    # The recorded command makes the same bundle again.
    import shlex
    words = shlex.split(bundle.provenance['command'])
    first = {name: (bundle.folder / name).read_bytes() for name in ('model.safetensors', 'uncertainty.safetensors')}
    shutil.rmtree(bundle.folder)
    assert words[0] == 'robot-vision'
    assert main(words[1:]) == 0
    again = load_bundle(material / 'lights')
    assert {name: (again.folder / name).read_bytes() for name in first} == first
    assert again.temperature == bundle.temperature
    capsys.readouterr()

    assert main(['models', 'show', str(material / 'lights')]) == 0
    assert f'{bundle.ood.method}, {len(bundle.ood.scores)} calibration scores' in capsys.readouterr().out
    assert main(['models', 'verify', str(material / 'lights')]) == 0
    (material / 'lights' / 'MODEL_CARD.md').write_text('changed')
    assert main(['models', 'verify', str(material / 'lights')]) == 1
    out = capsys.readouterr().out
    assert 'NOT SOUND' in out
    assert 'MODEL_CARD.md: its SHA-256' in out


def test_a_csv_gives_the_same_as_folders(material, capsys):
    with open(material / 'labels.csv', 'w') as file:
        file.write('file,label\n')
        for label, name in ((1, 'bright'), (0, 'dark')):
            for i in range(12):
                file.write(f'{name}/{i:02}.png,{label if i % 2 else name}\n')
    assert main(import_words(material, '--calibrate', str(material / 'pictures'))) == 0
    first = load_bundle(material / 'lights')
    assert main(import_words(material, '--calibrate', str(material / 'labels.csv'), '--pictures',
                             str(material / 'pictures'), '--overwrite')) == 0
    second = load_bundle(material / 'lights')
    assert second.temperature == pytest.approx(first.temperature, rel=1e-6)  # in another order
    assert second.metrics['pictures_by_class'] == first.metrics['pictures_by_class'] == [12, 12]


def test_import_and_calibrate_give_the_same_bundle(material, capsys):
    """With pictures of no class and copies among them, and options that are not the defaults."""
    rng = np.random.default_rng(1)
    (material / 'pictures' / 'unknown').mkdir()
    for i in range(6):
        blocks = rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        cv2.imwrite(str(material / 'pictures' / 'unknown' / f'{i}.png'), blocks)
    for i in range(20):
        level = (40, 210)[i % 2]
        picture = np.clip(rng.normal(level, 20, (48, 64, 3)), 0, 255).astype(np.uint8)
        cv2.imwrite(str(material / 'pictures' / CLASSES[i % 2] / f'more{i:02}.png'), picture)
    shutil.copy(material / 'pictures' / 'dark' / '00.png', material / 'pictures' / 'dark' / 'again.png')
    options = ['--scaling', 'vector', '--conformal', 'aps', '--seed', '3', '--precision', 'bfloat16']
    data = str(material / 'pictures')
    assert main(import_words(material, '--half', '--calibrate', data, *options)) == 0
    imported = load_bundle(material / 'lights')
    imported.folder.rename(material / 'at once')
    assert main(import_words(material, '--half')) == 0
    assert main(['calibrate', str(material / 'lights'), data, *options]) == 0
    assert capsys.readouterr().err.count('1 of 51 frames show pictures') == 2
    first, second = (json.loads((material / name / 'bundle.json').read_text()) for name in ('at once', 'lights'))
    for one in (first, second):
        for key in ('created', 'command', 'calibrated_from', 'calibrated', 'calibrated_by'):
            one['provenance'].pop(key, None)
        one['files'].pop('MODEL_CARD.md')
    assert first == second
    assert first['calibration']['precision'] == 'bfloat16' and first['metrics']['ood_auroc']['unknown'] >= 0
    cards = [(material / name / 'MODEL_CARD.md').read_text().partition('## Provenance')[0] for name in (
        'at once', 'lights')]
    assert cards[0] == cards[1] and 'conformal sets (aps)' in cards[0]


def test_import_without_pictures_is_uncalibrated_and_says_so(material, capsys):
    (material / 'classes.json').write_text(json.dumps(CLASSES))
    assert main([str(w).replace('classes.txt', 'classes.json') for w in import_words(material)]) == 0
    assert 'calibrated     no' in capsys.readouterr().out
    assert not load_bundle(material / 'lights').calibrated


@pytest.mark.parametrize('change, message', [
    (lambda m: ['--calibrate', str(m / 'nothing')], 'nothing: no such file or folder'),
    (lambda m: (m / 'classes.csv').write_text('dark') and ['--calibrate', str(m / 'classes.csv')],
     'the first line must be file,label'),
    (lambda m: (m / 'pictures' / 'dark').rename(m / 'pictures' / 'darkk') and ['--calibrate', str(m / 'pictures')],
     "'darkk' is not among the classes; did you mean 'dark'"),
    (lambda m: [path.unlink() for path in (m / 'pictures').rglob('*[01].png')] and ['--calibrate', str(m / 'pictures')],
     'calibration needs 20 pictures at least, got 16'),
    (lambda m: (m / 'classes.txt').write_text('a\nb\nc\n') and [], 'the head has 2 outputs, but .* names 3 classes'),
    (lambda m: (m / 'classes.txt').write_text('a\nunknown\n') and [], "'unknown' is reserved"),
    (lambda m: ['--mean', '0.5'], 'mean and std need one or three values each'),
    (lambda m: ['--crop', '1', '2', '3'], '--crop takes height and width'),
    (lambda m: ['--architecture', 'squeezenet1_2'], "no architecture 'squeezenet1_2'; did you mean squeezenet1_"),
    (lambda m: (m / 'lights').mkdir() or [], 'is there already'),
    (lambda m: ['--into', str(m / 'no')], '--into: there is no folder'),
    (lambda m: (m / 'weights.pth').write_text('x') and [], 'not a state dict'),
])
def test_mistakes_are_one_clear_line(material, capsys, change, message):
    assert main(import_words(material, *change(material))) == 2
    error = capsys.readouterr().err
    assert error.startswith('robot-vision models: ')
    assert error.count('\n') == 1
    import re
    assert re.search(message, error), error
    assert not (material / 'lights' / 'bundle.json').exists()


def test_list_and_architectures(capsys):
    assert main(['models', 'list']) == 0
    out = capsys.readouterr().out
    assert 'squeezenet1_1_imagenet' in out
    assert 'energy' in out
    assert main(['models', 'architectures', 'CIFAR']) == 0
    assert capsys.readouterr().out.split() == ['resnet20_cifar', 'resnet32_cifar', 'resnet56_cifar']
    assert main(['models', 'architectures', 'nothing']) == 1
    assert main(['models', 'show', 'nothing']) == 2
    assert 'no model bundle' in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(['models', '--help'])
    assert stop.value.code == 0
    assert 'examples:' in capsys.readouterr().out


@pytest.mark.slow
def test_the_shipped_bundle_comes_from_its_recorded_command(shared_data, tmp_path, monkeypatch):
    """Temperature and scores of the shipped bundle are those of the command in its provenance, on the real pictures."""
    import shlex
    from pathlib import Path
    repository = Path(__file__).resolve().parents[2]
    shipped = load_bundle('squeezenet1_1_imagenet')
    words = shlex.split(shipped.provenance['command'].replace('../shared/data', str(shared_data)))
    monkeypatch.chdir(repository)
    assert main([*words[1:], '--into', str(tmp_path)]) == 0
    again = load_bundle(tmp_path / 'squeezenet1_1_imagenet')
    assert again.provenance['calibration_sha256'] == shipped.provenance['calibration_sha256']
    assert (again.folder / 'model.safetensors').read_bytes() == (shipped.folder / 'model.safetensors').read_bytes()
    assert again.temperature == pytest.approx(shipped.temperature, rel=1e-3)
    np.testing.assert_allclose(again.ood.scores, shipped.ood.scores, rtol=1e-3)


def test_bundles_in_the_models_folder_here_are_listed_and_told_by_their_paths(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['models', 'show', 'sorter5']) != 0
    assert 'give its path' not in capsys.readouterr().err
    (tmp_path / 'models').mkdir()
    small_model(tmp_path / 'models' / 'sorter5')
    assert main(['models', 'show', 'sorter5']) != 0
    assert 'but there is models/sorter5: give its path' in capsys.readouterr().err
    assert main(['models', 'list']) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert 'models/sorter5' in names and 'squeezenet1_1_imagenet' in names
    for name in ('models/sorter5', 'squeezenet1_1_imagenet'):
        assert main(['models', 'show', name]) == 0
    # The same model under the same name, as in a checkout, is listed once.
    shutil.copytree(load_bundle('waste_sorter').folder, tmp_path / 'models' / 'waste_sorter')
    assert main(['models', 'list']) == 0
    assert capsys.readouterr().out.count('waste_sorter ') == 1
    # A name of the package means the same model in every folder.
    small_model(tmp_path / 'models' / 'squeezenet1_1_imagenet')
    assert load_bundle('squeezenet1_1_imagenet').architecture.name == 'squeezenet1_1'

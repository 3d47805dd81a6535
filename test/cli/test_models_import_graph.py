"""``robot-vision models import net.onnx`` (or net.pt2), and all that a bundle is good for, as a user meets it."""
import json
import re

import cv2
import numpy as np
import pytest
import torch
from graph_samples import onnx_model, program_file, small_net

from robot_vision_dl import Classifier
from robot_vision_dl.cli.main import main
from robot_vision_dl.core.backends.choice import choose_backend
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.training.config import NetworkConfig
from robot_vision_dl.training.initial_weights import starting_network

CLASSES = ['dark', 'grey', 'bright']
NAMES = {'onnx': ['--logits', 'scores', '--features', 'mean', '--stages', 'early'],
         'torch.export': ['--stages', 'early']}


@pytest.fixture(params=list(NAMES))
def material(request, tmp_path):
    """A network as a file, class names, and labelled pictures."""
    net = small_net()
    if request.param == 'onnx':
        pytest.importorskip('onnxruntime')
        import onnx
        file = tmp_path / 'net.onnx'
        onnx.save(onnx_model(net, batch=1), file)
    else:
        if torch.__version__ < '2.8':
            pytest.skip('programs need torch 2.8')
        file = program_file(tmp_path / 'net.pt2', net)
    (tmp_path / 'classes.txt').write_text('\n'.join(CLASSES) + '\n')
    rng = np.random.default_rng(0)
    for name, level in zip(CLASSES, (40, 120, 210)):
        (tmp_path / 'pictures' / name).mkdir(parents=True)
        for i in range(12):
            picture = np.clip(rng.normal(level, 20, (24, 32, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / 'pictures' / name / f'{i:02}.png'), picture)
    return tmp_path, file, request.param


def words(material, *more, named=True):
    folder, file, kind = material
    return ['models', 'import', str(file), *(NAMES[kind] if named else []), '--classes', str(folder / 'classes.txt'),
            '--name', 'mine', '--into', str(folder), '--resize', '16', '--mean', '.5', '.5', '.5',
            '--std', '.25', '.25', '.25', *more]


def test_it_is_explained_as_far_as_it_can_be(material):
    folder, file, kind = material
    assert main(words(material)) == 0
    page = folder / 'page.html'
    assert main(['explain', str(folder / 'mine'), '--out', str(page)]) == 0
    text = page.read_text(encoding='utf-8')
    assert ('<td class="l">Conv</td><td>2</td>' if kind == 'onnx' else 'aten.conv2d.default</td><td>2</td>') in text
    assert 'need layers that can be looked into' in text and 'Templates' not in text
    picture = folder / 'pictures' / 'dark' / '00.png'
    assert main(['explain', str(folder / 'mine'), str(picture), '--out', str(page)]) == 0
    assert 'is a file of another program: evidence' in page.read_text(encoding='utf-8')


def test_it_is_a_bundle_like_any_other(material, capsys):
    folder, file, kind = material
    assert main(words(material, '--calibrate', str(folder / 'pictures'), '--ood', 'knn')) == 0
    assert '8 features, linear head' in capsys.readouterr().out
    bundle = load_bundle(folder / 'mine')
    assert bundle.architecture.name == kind and bundle.calibrated and bundle.ood.method == 'knn'
    assert bundle.laplace is not None  # the head is linear
    assert bundle.preprocessing.crop == (16, 16) and bundle.architecture.stages == ('early',)
    first = (folder / 'mine' / bundle.graph_file.name).read_bytes()
    assert main(['calibrate', str(folder / 'mine'), str(folder / 'pictures'), '--ood', 'energy']) == 0
    assert bundle.graph_file.read_bytes() == first and load_bundle(folder / 'mine').ood.method == 'energy'
    assert main(['models', 'verify', str(folder / 'mine')]) == 0
    assert main(['models', 'show', str(folder / 'mine')]) == 0
    assert ('ONNX file' if kind == 'onnx' else 'program of torch.export') in capsys.readouterr().out
    assert ('ONNX file' if kind == 'onnx' else 'program') in (folder / 'mine' / 'MODEL_CARD.md').read_text()

    # Its decisions are those of the network.
    picture = cv2.imread(str(next((folder / 'pictures' / 'dark').iterdir())))[..., ::-1]
    found = Classifier(str(folder / 'mine'))(picture)
    from robot_vision_dl.core.networks.preprocess import Preprocessor
    from robot_vision_dl.core.types import ColorOrder, Picture
    pixels = Preprocessor(bundle.preprocessing, 'cpu')([Picture(np.ascontiguousarray(picture), ColorOrder.RGB)])
    with torch.inference_mode():
        logits = small_net()(pixels)['logits'][0]
    assert found.top[0].label == CLASSES[int(logits.argmax())]  # whatever the camera is said to be
    assert main(['predict', str(folder / 'mine'), str(folder / 'pictures'), '--json']) == 0
    capsys.readouterr()
    report = str(folder / 'ev')
    assert main(['evaluate', str(folder / 'pictures'), '--model', str(folder / 'mine'), '--out', report]) == 0
    assert json.loads((folder / 'ev' / 'metrics.json').read_text())


def test_backends_ensembles_dropout_training_and_export(material, capsys):
    folder, file, kind = material
    assert main(words(material, '--calibrate', str(folder / 'pictures'), '--scaling', 'temperature')) == 0
    bundle = load_bundle(folder / 'mine')
    network = bundle.load_network()
    for name in ('torch', 'auto'):
        assert choose_backend(name, bundle, network).name in (
            ('onnxruntime', 'openvino') if kind == 'onnx' else ('torch', 'onnxruntime', 'openvino'))
    twice = load_bundle(f'ensemble:{folder / "mine"},{folder / "mine"}').load_network()
    with torch.inference_mode():
        assert twice(torch.zeros(2, 3, 16, 16)).members.shape == (2, 2, 3)
    with pytest.raises(ConfigError, match='dropout_samples needs layers .* set it to 0'):
        Pipeline.load(ClassifierConfig(model=str(folder / 'mine'), dropout_samples=4))
    with pytest.raises(ConfigError, match='runs but cannot be trained further'):
        starting_network(NetworkConfig(architecture='resnet18', pretrained=str(folder / 'mine')), CLASSES, 3)
    suffix = {'onnx': 'onnx', 'torch.export': 'pt2'}[kind]
    form = {'onnx': 'onnx', 'torch.export': 'torch'}[kind]
    assert main(['export', str(folder / 'mine'), '--format', form, '--out', str(folder / f'out.{suffix}')]) == 0
    if kind == 'onnx':
        import onnx
        copied = onnx.load(folder / 'out.onnx')
        assert copied.graph == onnx.load(bundle.graph_file).graph
        told = {entry.key: json.loads(entry.value) for entry in copied.metadata_props}
    else:
        extra = {'bundle.json': ''}
        program = torch.export.load(folder / 'out.pt2', extra_files=extra).module()
        pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(program(pixels)[0], network(pixels).logits)
        told = json.loads(extra['bundle.json'])
    assert told['class_names'] == list(bundle.class_names) and told['temperature'] == bundle.temperature
    capsys.readouterr()
    if kind == 'onnx':
        assert main(['export', str(folder / 'mine'), '--format', 'torch', '--out', str(folder / 'out.pt2')]) != 0
        assert 'cannot become a program of torch' in capsys.readouterr().err
        half = ('--calibrate', str(folder / 'pictures'), '--precision', 'float16')
        assert main(words(material, '--overwrite', *half)) != 0
        assert 'runs in float32' in capsys.readouterr().err


def test_without_features_only_scores_of_logits_can_be_chosen(material, capsys):
    folder, _, kind = material
    if kind != 'onnx':
        pytest.skip('this program names its features itself')
    more = ('--calibrate', str(folder / 'pictures'))
    assert main(words(material, *more, named=False)) == 0
    assert 'only scores of the logits' in capsys.readouterr().err
    bundle = load_bundle(folder / 'mine')
    assert bundle.ood.method in ('energy', 'max_logit', 'max_softmax') and bundle.laplace is None
    assert set(bundle.metrics['ood_choice']) == {'energy', 'max_logit', 'max_softmax'}
    assert Classifier(str(folder / 'mine'))(np.zeros((20, 20, 3), np.uint8)).top[0].label in CLASSES
    assert main(words(material, *more, '--ood', 'knn', '--overwrite', named=False)) != 0
    assert 'knn: needs features' in capsys.readouterr().err


@pytest.mark.parametrize('change, message', [
    (lambda w: w + ['--architecture', 'resnet18'], '--architecture is for a file of weights'),
    (lambda w: w + ['--half'], 'keeps its weights as they are'),
    (lambda w: w + ['--crop', '32'], 'takes pictures of 16 x 16 pixels'),
    (lambda w: w + ['--features', 'nothing'], "has no tensor 'nothing'"),
    (lambda w: [*w[:2], w[2] + 'x', *w[3:]], 'names a tensor of a network that is a file|weights need --architecture')])
def test_mistakes_end_in_one_line(material, capsys, change, message):
    assert main(change(words(material))) != 0
    said = capsys.readouterr().err.strip()
    assert re.search(message, said) and len(said.splitlines()) <= 2
    assert not (material[0] / 'mine').exists()


def test_a_missing_runtime_is_told_with_the_command(material, capsys, monkeypatch):
    folder, _, kind = material
    if kind != 'onnx':
        pytest.skip('of ONNX files')
    assert main(words(material)) == 0
    import sys
    for module in ('onnxruntime', 'onnx'):
        monkeypatch.setitem(sys.modules, module, None)
        assert main(['models', 'show', str(folder / 'mine')]) == 0  # which needs neither
        assert main(['models', 'verify', str(folder / 'mine')]) == 1
        assert 'pip install "robot_vision_dl[onnx]"' in capsys.readouterr().out

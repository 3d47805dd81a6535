"""Exported networks against the bundle, as another program would run them."""
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.backends.onnx_conversion import facts
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.uncertainty.scaling import vector_scaled
from robot_vision_dl.core.uncertainty.vector import VectorScaling


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    torch.manual_seed(0)
    network = build_network('resnet20_cifar', 3).train()
    for _ in range(3):
        network(torch.randn(8, 3, 32, 32))  # statistics of BatchNorm that are not 0 and 1
    return save_bundle(tmp_path_factory.mktemp('models') / 'three', network.eval(), ['a', 'b', 'c'],
                       Preprocessing(36, (32, 32)), temperature=1.5)


@pytest.mark.parametrize('format_, suffix', [('torch', 'pt2'), ('onnx', 'onnx')])
def test_exported_file_gives_what_the_bundle_gives(bundle, format_, suffix, tmp_path, capsys):
    if format_ == 'onnx':
        onnxruntime = pytest.importorskip('onnxruntime', reason='ONNX is an extra: pip install .[onnx]')
        pytest.importorskip('onnxscript', reason='ONNX is an extra: pip install .[onnx]')
    path = tmp_path / f'three.{suffix}'
    assert main(['export', str(bundle.folder), '--format', format_, '--out', str(path)]) == 0
    assert 'differs from three by at most' in capsys.readouterr().out
    pixels = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = bundle.load_network()(pixels)
    if format_ == 'onnx':
        session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
        logits, features = session.run(['logits', 'features'], {'pixels': pixels.numpy()})
        facts = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    else:
        extra = {'bundle.json': ''}
        logits, features = (out.detach().numpy() for out in torch.export.load(path, extra_files=extra).module()(pixels))
        facts = json.loads(extra['bundle.json'])
    np.testing.assert_allclose(logits, expected.logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(features, expected.features.numpy(), atol=1e-4)
    assert facts['class_names'] == ['a', 'b', 'c'] and facts['temperature'] == 1.5
    assert facts['identity'] == bundle.identity and facts['preprocessing']['crop'] == [32, 32]


def test_what_no_network_alone_has_is_told(bundle, tmp_path, capsys):
    pytest.importorskip('onnxscript', reason='ONNX is an extra: pip install .[onnx]')
    import onnx
    vector = VectorScaling(np.array([1, 2, 3], np.float32), np.array([.5, 0, -.5], np.float32))
    scaled = replace(bundle, vector=vector)
    assert facts(scaled)['vector'] == {'weight': [1, 2, 3], 'bias': [.5, 0, -.5]}
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    numbers = {name: np.array(value) for name, value in facts(scaled)['vector'].items()}
    said = {'logits': logits, 'vector': SimpleNamespace(**numbers), 'mean': lambda z: z.mean(1, keepdims=True),
            'softmax': lambda z: np.exp(z) / np.exp(z).sum(1, keepdims=True)}
    np.testing.assert_allclose(eval(facts(scaled)['probabilities'], said), vector_scaled(logits, vector), rtol=1e-5)
    assert facts(bundle)['probabilities'] == 'softmax(logits / temperature)'
    assert 'not calibrated' in facts(replace(bundle, temperature=None))['probabilities']
    assert main(['export', str(bundle.folder), '--out', str(tmp_path / 'a.onnx')]) == 0
    assert 'probabilities: softmax(logits / temperature)' in capsys.readouterr().out
    # A bundle whose network is a file is exported as a copy, with all of this in it as well.
    assert onnx.load(tmp_path / 'a.onnx').metadata_props
    assert main(['export', 'efficientnet_lite0_imagenet_int8', '--out', str(tmp_path / 'int8.onnx')]) == 0
    model = onnx.load(tmp_path / 'int8.onnx')
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert len(json.loads(found['class_names'])) == 1000 and 'unusual' in json.loads(found['probabilities'])
    source = load_bundle('efficientnet_lite0_imagenet_int8')
    original = onnx.load(source.graph_file)
    assert model.graph == original.graph
    assert {entry.key for entry in original.metadata_props} <= set(found)


def test_wrong_name_of_the_file_is_told(bundle, tmp_path, capsys):
    assert main(['export', str(bundle.folder), '--out', str(tmp_path / 'a.pt')]) == 2
    assert "--out: must end with .onnx, got 'a.pt'" in capsys.readouterr().err
    assert main(['export', str(bundle.folder), '--out', str(tmp_path / 'none' / 'a.onnx')]) == 2
    assert 'there is no folder' in capsys.readouterr().err

"""Bundles whose network is a file, and that lie with right checksums: refused with a reason, or made of numbers."""
import json
import random
import resource
import shutil
import sys
import time
from pathlib import Path

import pytest
import torch
from graph_samples import CLASSES, changed_program, onnx_model, pictures, program_file, small_net

from robot_vision_dl.core.backends.graph_import import Wish, import_graph
from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.errors import RobotVisionError
from robot_vision_dl.core.networks.architectures import list_architectures
from robot_vision_dl.core.networks.preprocess import Preprocessing

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'fuzz'))

import corpus_bundles as corpus  # noqa: E402

MOST_S, MOST_MB = 2.0, 200
FILES = {'onnx': 'model.onnx', 'torch.export': 'model.pt2'}
PREPROCESSING = Preprocessing(resize=16, crop=(16, 16))


@pytest.fixture(scope='module', params=list(FILES))
def good(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp('graph')
    if request.param == 'onnx':
        pytest.importorskip('onnxruntime')
        import onnx
        onnx.save(onnx_model(small_net()), folder / 'net.onnx')
        found = import_graph(folder / 'net.onnx', Wish(CLASSES, features='mean', stages=('early',)))
    else:
        if torch.__version__ < '2.8':
            pytest.skip('programs need torch 2.8')
        found = import_graph(program_file(folder / 'net.pt2', small_net()), Wish(CLASSES, stages=('early',)))
    save_bundle(folder / 'good', found.network, ('cup', 'mug', 'bowl'), PREPROCESSING)
    load_bundle(folder / 'good').load_network()  # imports what takes seconds once
    list_architectures()
    return folder / 'good', FILES[request.param]


def judge(folder: Path) -> str:
    """``refused``, or ``numbers``; anything else raises, or is slow, or takes memory."""
    corpus.resign(folder)
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        network = load_bundle(folder).load_network()
        with torch.inference_mode():
            prediction = network(pictures(2))
        assert torch.isfinite(prediction.logits).all() and prediction.logits.shape == (2, CLASSES)
        verdict = 'numbers'
    except RobotVisionError as error:
        assert '\n' not in str(error)
        verdict = 'refused'
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert time.perf_counter() - began < MOST_S and grown < MOST_MB
    return verdict


def test_the_sound_bundle_is_sound(good):
    folder, file = good
    assert verify_bundle(folder) == []
    written = json.loads((folder / 'bundle.json').read_text())
    assert set(written['files']) == {file, 'head.safetensors', 'MODEL_CARD.md'}
    assert written['graph']['features'] == 8 and written['graph']['stages'] == [4]


def test_damaged_files_are_refused_or_give_numbers(good, tmp_path):
    folder, file = good
    rng, whole = random.Random(0), (folder / file).read_bytes()
    cases = [whole[:int(len(whole) * rng.random())] for _ in range(30)]
    for _ in range(120):
        place = int(len(whole) * rng.random())
        cases.append(whole[:place] + bytes([rng.randrange(256)]) + whole[place + 1:])
    cases += [b'', b'\x80\x04\x95' + bytes(50), bytes(5000), whole + whole, whole[::-1]]
    verdicts = []
    for number, data in enumerate(cases):
        case = tmp_path / str(number)
        shutil.copytree(folder, case)
        (case / file).write_bytes(data)
        verdicts.append(judge(case))
        shutil.rmtree(case)
    assert verdicts[:30].count('refused') == 30 and verdicts[-5:-2] == ['refused'] * 3


@pytest.mark.parametrize('change', [
    lambda v: v['graph'].update(features=9), lambda v: v['graph'].update(features=0),
    lambda v: v['graph'].update(stages=[5]), lambda v: v['graph'].update(stages=[]),
    lambda v: v['graph'].update(stages=[4] * 17), lambda v: v['graph'].update(batch=0),
    lambda v: v['graph'].update(batch=10 ** 9), lambda v: v['graph'].update(batch=True),
    lambda v: v['graph'].update(features=10 ** 12), lambda v: v['graph'].update(sources=[1]),
    lambda v: v['graph'].update(sources='x' * 10), lambda v: v.pop('graph'), lambda v: v.update(graph=None),
    lambda v: v['architecture'].update(name='resnet18'), lambda v: v['architecture'].update(num_classes=4),
    lambda v: v['architecture'].update(in_channels=1), lambda v: v['architecture'].update(stages=['a', 'b']),
    lambda v: v['preprocessing'].update(crop=[17, 16], resize=17), lambda v: v['files'].pop('MODEL_CARD.md'),
    lambda v: v['files'].update({'model.safetensors': '0' * 64}), lambda v: v['graph'].update(more=1),
    lambda v: v['architecture'].update(name='torch.export' if v['architecture']['name'] == 'onnx' else 'onnx')])
def test_a_description_that_does_not_fit_the_file_is_refused(good, tmp_path, change):
    folder, _ = good
    shutil.copytree(folder, tmp_path / 'case')
    values = json.loads((tmp_path / 'case' / 'bundle.json').read_text())
    change(values)
    (tmp_path / 'case' / 'bundle.json').write_text(json.dumps(values))
    began = time.perf_counter()
    problems = verify_bundle(tmp_path / 'case')
    assert problems and time.perf_counter() - began < MOST_S


def test_a_head_that_is_not_the_networks_is_refused(good, tmp_path):
    from safetensors.torch import load_file, save_file
    folder, _ = good
    for number, change in enumerate((lambda t: t.update(weight=t['weight'] + 1), lambda t: t.pop('bias'),
                                     lambda t: t.update(weight=t['weight'][:, :4].clone()),
                                     lambda t: t.update(more=torch.zeros(1)))):
        case = tmp_path / str(number)
        shutil.copytree(folder, case)
        tensors = load_file(case / 'head.safetensors')
        change(tensors)
        save_file(tensors, case / 'head.safetensors')
        assert judge(case) == 'refused'


def test_programs_with_other_operators_in_them_are_refused(good, tmp_path):
    folder, file = good
    if file != 'model.pt2':
        pytest.skip('of a program')
    for number, target in enumerate((
            'torch.ops.aten.from_file.default', 'builtins.eval', 'torch.ops.aten.rand.default')):
        case = tmp_path / str(number)
        shutil.copytree(folder, case)

        def change(values, target=target):
            values['graph_module']['graph']['nodes'][2]['target'] = target
        (case / file).write_bytes(changed_program((case / file).read_bytes(), change))
        assert judge(case) == 'refused'

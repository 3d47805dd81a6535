"""Scores of stages and combined ones through a bundle: what comes back, old bundles, and lies about them."""
import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.errors import BundleError
from robot_vision_dl.core.networks.architecture import Architecture
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.types import UNKNOWN
from robot_vision_dl.core.uncertainty.assess import Assessor
from robot_vision_dl.core.uncertainty.calibrate import calibrate
from robot_vision_dl.core.uncertainty.ood.p_value import OodDetector
from robot_vision_dl.core.uncertainty.ood.part import Part
from robot_vision_dl.core.uncertainty.ood.pictures import Pictures

CLASSES, STAGES = ('a', 'b', 'c'), ('layer1.1', 'layer2.1')
PRE = Preprocessing(resize=32, crop=(32, 32))


def pixels(n, seed):
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Network, its outputs on known pictures, and a bundle whose score combines all stages."""
    torch.manual_seed(0)
    network = build_network(Architecture('resnet20_cifar', 3, stages=STAGES))
    with torch.inference_mode():
        outputs = network(pixels(240, 1))
        known, reference = (Pictures(*(one[part].clone() for one in outputs[:2]), torch.arange(120) % 3,
                                     tuple(one[part].clone() for one in outputs.stages))
                            for part in (slice(120), slice(120, None)))
    z, f, stages = known.arrays()
    found = calibrate(z, f, known.labels.numpy(), ood='+'.join((
        *(f'mahalanobis_normalised@{name}' for name in STAGES), 'mahalanobis_normalised', 'knn', 'energy')),
        stages=stages, stage_names=STAGES, reference=reference)
    folder = tmp_path_factory.mktemp('bundles') / 'combined'
    save_bundle(folder, network, CLASSES, PRE, calibration=found)
    return network, known, found, folder


def test_a_combination_comes_back_as_it_was(made):
    network, known, found, folder = made
    written = json.loads((folder / 'bundle.json').read_text())['ood']
    assert written == {'method': 'combined', 'parts': [
        {'method': 'mahalanobis_normalised', 'of': 'layer1.1'}, {'method': 'mahalanobis_normalised', 'of': 'layer2.1'},
        {'method': 'mahalanobis_normalised'}, {'method': 'knn'}, {'method': 'energy'}]}
    bundle = load_bundle(folder)
    assert bundle.ood.parts[0] == Part('mahalanobis_normalised', 'layer1.1')
    scores = bundle.ood.build_score()(known.logits, known.features, known.stages)
    np.testing.assert_array_equal(np.sort(scores), bundle.ood.scores)
    tensors = load_file(str(folder / 'uncertainty.safetensors'))
    assert {key: str(tensors[key].dtype) for key in ('ood.0.whitening', 'ood.3.bank', 'ood.0.means', 'ood.scale')} == {
        'ood.0.whitening': 'torch.float16', 'ood.3.bank': 'torch.float16', 'ood.0.means': 'torch.float32',
        'ood.scale': 'torch.float32'}
    with torch.inference_mode():
        prediction = bundle.load_network()(pixels(4, 2) * 30)
        assessments = Assessor(bundle)(prediction)
        alone = OodDetector(bundle.ood)(prediction.logits, prediction.features, prediction.stages)
    found = [one.ood for one in assessments]
    assert [one.score for one in found] == pytest.approx([one.score for one in alone], rel=1e-6)
    assert [(one.p_value, one.part) for one in found] == [(one.p_value, one.part) for one in alone]
    assert {one.ood.part for one in assessments} <= {part.words for part in bundle.ood.parts}
    assert UNKNOWN not in CLASSES


def test_members_of_an_ensemble_give_their_stages(made, tmp_path):
    folder = made[3]
    shutil.copytree(folder, tmp_path / 'other')
    bundle = load_bundle(f'ensemble:{folder},{tmp_path / "other"}')
    with torch.inference_mode():
        one, both = (Assessor(model)(model.load_network()(pixels(3, 3)))
                     for model in (load_bundle(folder), bundle))
    for a, b in zip(one, both):
        assert b.ood.p_value == pytest.approx(min(1, 2 * a.ood.p_value))
        assert b.ood.part == a.ood.part


@pytest.mark.parametrize('name', ['knn@layer2.1', 'knn'])
def test_a_single_score_is_described_as_before_or_with_its_stage(made, tmp_path, name):
    network, known, _, _ = made
    z, f, stages = known.arrays()
    found = calibrate(z, f, known.labels.numpy(), ood=name, stages=stages, stage_names=STAGES)
    bundle = save_bundle(tmp_path / 'one', network, CLASSES, PRE, calibration=found)
    method, _, stage = name.partition('@')
    assert json.loads((tmp_path / 'one' / 'bundle.json').read_text())['ood'] == {
        'method': method, **({'of': stage} if stage else {})}
    assert bundle.ood.name == name
    assert load_file(str(tmp_path / 'one' / 'uncertainty.safetensors'))['ood.bank'].dtype is torch.float32


def damaged(folder, target, change=None, tensors=None):
    """A copy with other values in ``bundle.json``, or other tensors, signed again."""
    shutil.copytree(folder, target)
    path = target / 'bundle.json'
    values = json.loads(path.read_text())
    if change is not None:
        change(values)
    if tensors is not None:
        found = load_file(str(target / 'uncertainty.safetensors'))
        tensors(found)
        save_file(found, str(target / 'uncertainty.safetensors'))
        values['files']['uncertainty.safetensors'] = hashlib.sha256(
            (target / 'uncertainty.safetensors').read_bytes()).hexdigest()
    path.write_text(json.dumps(values))
    return target


def part(values, number, **changes):
    values['ood']['parts'][number].update(changes)


@pytest.mark.parametrize('change, reason', [
    (lambda v: v.update(ood=7), 'ood: must be an object'),
    (lambda v: v['ood'].update(method='magic'), 'ood: must be an object with method and perhaps of'),
    (lambda v: v.update(ood={'method': 'magic'}), "ood: no OOD method 'magic'"),
    (lambda v: v['ood'].pop('parts'), 'of combined there must be method and parts'),
    (lambda v: v['ood'].update(of='layer1.1'), 'of combined there must be method and parts'),
    (lambda v: v['ood'].update(parts={}), 'must be a list of 2 to 16 scores'),
    (lambda v: v['ood']['parts'].clear(), 'must be a list of 2 to 16 scores'),
    (lambda v: v['ood'].update(parts=v['ood']['parts'] * 5), 'must be a list of 2 to 16 scores'),
    (lambda v: v['ood']['parts'].append(v['ood']['parts'][0]), 'a score occurs twice'),
    (lambda v: part(v, 0, of='layer3'), r'ood.parts\[0\]: .*gives no such stage, but layer1.1, layer2.1'),
    (lambda v: part(v, 0, of='\x1b[2J'), 'no such stage'),
    (lambda v: part(v, 0, of=''), r'ood.parts\[0\].of: must be a text of 1 to 100'),
    (lambda v: part(v, 1, method=['knn']), r'ood.parts\[1\].method: must be a text'),
    (lambda v: part(v, 1, method='combined'), "no OOD method 'combined'"),
    (lambda v: part(v, 1, method='energy'), 'energy reads logits, which only the head gives'),
    (lambda v: part(v, 1, weight=2), r'ood.parts\[1\]: must be an object with method'),
    (lambda v: part(v, 1, method='knn'), 'combined needs the tensors'),
    (lambda v: v['architecture'].update(stages=[]), 'no such stage, but none at all'),
    (lambda v: v.update(ood={'method': 'knn'}), 'knn needs the tensors'),
])
def test_a_lie_in_the_description_is_refused(made, tmp_path, change, reason):
    with pytest.raises(BundleError, match=reason) as caught:
        load_bundle(damaged(made[3], tmp_path / 'lie', change))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize('name, value, reason', [
    ('ood.scale', lambda t: -t, 'latter two above 0'),
    ('ood.scale', lambda t: 0 * t, 'latter two above 0'),
    ('ood.scale', lambda t: t + 1e9, 'ood.scale must be at most'),
    ('ood.scale', lambda t: t[:2].clone(), '5 numbers each'),
    ('ood.weight', lambda t: 0 * t, 'latter two above 0'),
    ('ood.weight', None, 'needs the tensors'),
    ('ood.location', lambda t: t[None].clone(), 'ood.location: must be a list of float32'),
    ('ood.location', lambda t: t * float('nan'), 'holds NaN'),
    ('ood.location', lambda t: t.double(), 'ood.location: must be a list of float32'),
    ('ood.0.whitening', lambda t: t.float(), 'ood.0.whitening: must be a table of float16'),
    ('ood.0.whitening', lambda t: t * float('inf'), 'holds NaN or an infinity'),
    ('ood.0.whitening', lambda t: t[:, :3].clone(), 'do not fit each other|does not fit a network|must have the shape'),
    ('ood.1.means', lambda t: t[:, :3].clone(), 'do not fit each other|does not fit a network|must have the shape'),
    ('ood.2.whitening', lambda t: torch.eye(7).half(), 'do not fit each other|does not fit|must have the shape'),
    ('ood.3.bank', lambda t: 2 * t, 'rows of the bank must have the length 1'),
    ('ood.3.bank', lambda t: t[:, :3].clone(), 'does not fit a network'),
    ('ood.3.k', lambda t: t + 1000, 'k must be in 1..'),
    ('ood.5.bank', lambda t: torch.eye(3), 'needs the tensors'),
    ('ood.parts.0.score.bank', lambda t: torch.eye(3), 'needs the tensors'),
    ('ood.0.whitening', None, 'needs the tensors'),
])
def test_a_lie_in_the_tensors_is_refused(made, tmp_path, name, value, reason):
    def change(tensors):
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value(tensors.get(name)).contiguous()
    with pytest.raises(BundleError, match=reason):
        load_bundle(damaged(made[3], tmp_path / 'lie', tensors=change))


def test_tables_of_another_width_than_the_networks_stage_are_refused_at_the_first_frame(made, tmp_path):
    network, known, _, _ = made
    wider = tuple(torch.cat([one, one], dim=1) for one in known.stages)
    z, f, stages = Pictures(known.logits, known.features, known.labels, wider).arrays()
    found = calibrate(z, f, known.labels.numpy(), ood='combined', stages=stages, stage_names=STAGES)
    bundle = save_bundle(tmp_path / 'wide', network, CLASSES, PRE, calibration=found)
    with torch.inference_mode(), pytest.raises(BundleError, match='features of layer1.1, and the network gives 16'):
        Assessor(bundle)(network(pixels(1, 4)))

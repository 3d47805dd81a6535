"""Calibration of everything at once on planted data, and its way through a bundle."""
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.bundles.model_card import render_card
from robot_vision_dl.core.errors import BundleError, ConfigError
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.uncertainty.calibrate import Calibration, FittedBefore, FusionTimes, calibrate
from robot_vision_dl.core.uncertainty.laplace import NAMES
from robot_vision_dl.core.uncertainty.ood.base import LinearHead, linear_head
from robot_vision_dl.core.uncertainty.ood.pictures import Pictures
from robot_vision_dl.core.uncertainty.scaling import AS_BEFORE, is_clear, log_likelihoods

C, F = 4, 64
NAMES_OF_CLASSES = ('a', 'b', 'c', 'd')
PRE = Preprocessing(resize=32, crop=(32, 32))


def pictures(n, seed, scale=3.0, shift=0.0):
    """Outputs of an overconfident linear head on clusters of features."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(C, F))
    labels = rng.integers(C, size=n)
    features = centres[labels] * 0.15 + rng.normal(size=(n, F)) + shift
    weight = centres
    logits = scale * 0.3 * features @ weight.T
    return logits.astype(np.float32), features.astype(np.float32), labels, LinearHead(
        torch.from_numpy(0.3 * scale * weight).float(), torch.zeros(C))


def test_a_score_of_before_stays_unless_pictures_show_another_to_be_clearly_better():
    """However few pictures there are, all calibrate it; one that tells nothing is left for one that does."""
    before = calibrate(*pictures(400, 5)[:3], ood='mahalanobis', reference=Pictures.of(*pictures(800, 6)[:3])).ood
    before = replace(before, scores=None)
    outputs, strange = pictures(30, 7), {'moved': as_pictures(pictures(60, 8, shift=1.5))}
    found = calibrate(*outputs[:3], ood='auto', head=outputs[3], before=FittedBefore(before))
    assert found.score_is_kept and found.ood.tensors is before.tensors and len(found.ood.scores) == 30
    np.testing.assert_array_equal(found.ood.scores, np.sort(before.scores_of(as_pictures(outputs))))
    outputs = pictures(300, 9)
    found = calibrate(*outputs[:3], ood='auto', head=outputs[3], before=FittedBefore(before), ood_pictures=strange)
    assert found.score_is_kept and found.ood_reason.startswith('as before: on 30 pictures of no class (moved)')
    assert AS_BEFORE in found.metrics['ood_choice']
    # Pictures of its classes are no reason: by them all scores are no better than chance.
    alike = {'alike': as_pictures(pictures(30, 11))}
    found = calibrate(*outputs[:3], ood='auto', head=outputs[3], before=FittedBefore(before), ood_pictures=alike)
    assert found.score_is_kept
    blind = replace(before, tensors={**before.tensors, 'whitening': 0 * before.tensors['whitening']})
    found = calibrate(*outputs[:3], ood='auto', head=outputs[3], before=FittedBefore(blind), ood_pictures=strange)
    assert not found.score_is_kept and found.metrics['ood_auroc']['moved'] > 0.9
    assert not calibrate(*outputs[:3], ood='energy').score_is_kept


def test_few_pictures_like_those_before_calibrate_a_score_together_with_them():
    """Others, that are further out, calibrate it alone; so do many. The same pictures given again count once."""
    before = calibrate(*pictures(400, 5)[:3], ood='mahalanobis', reference=Pictures.of(*pictures(800, 6)[:3])).ood
    of = {'alike': pictures(40, 7), 'moved': pictures(40, 8, shift=0.4), 'many': pictures(500, 9)}
    found = {name: calibrate(*one[:3], ood='auto', head=one[3], before=FittedBefore(before))
             for name, one in of.items()}
    assert {name: len(one.ood.scores) for name, one in found.items()} == {'alike': 440, 'moved': 40, 'many': 500}
    assert found['alike'].metrics['scores_of_before'] == 400 and found['alike'].metrics['unknown_rate_at'] == 0.01
    assert any('alone: they are further out' in note for note in found['moved'].notes)
    again = calibrate(*of['alike'][:3], ood='auto', head=of['alike'][3], before=FittedBefore(found['alike'].ood))
    np.testing.assert_array_equal(again.ood.scores, found['alike'].ood.scores)
    # So do copies that came otherwise, whose scores differ a little: they are recognised by other means.
    z, f, y, head = of['alike']
    nearly = np.arange(40) < 25
    found['copies'] = calibrate(z, f * np.where(nearly, 1.001, 1)[:, None].astype(np.float32), y, ood='auto', head=head,
                                before=FittedBefore(found['alike'].ood, again=nearly))
    assert len(found['copies'].ood.scores) == 440 and found['copies'].metrics['scores_of_before'] == 425
    assert any('; 25 of these look like ones of before, and count once' in note for note in found['copies'].notes)
    # Pictures that are none the further out are called unknown as often as promised, on average over calibrations.
    others, rates = pictures(4000, 10), []
    for seed in range(20, 40):
        one = pictures(40, seed)
        ood = calibrate(*one[:3], ood='auto', head=one[3], before=FittedBefore(before)).ood
        rates.append(np.mean(ood.p_value(ood.scores_of(as_pictures(others))) <= 0.01))
    assert np.mean(rates) < 0.02


def as_pictures(outputs):
    return Pictures.of(*outputs[:2])


def test_everything_at_once():
    logits, features, labels, head = pictures(600, 0)
    reference = Pictures.of(*pictures(500, 1)[:3])
    ood_pictures = {'moved': as_pictures(pictures(100, 2, shift=1.5))}
    found = calibrate(logits, features, labels, ood='auto', reference=reference, head=head,
                       ood_pictures=ood_pictures, conformal='aps', scaling='auto')
    assert found.temperature > 1.5
    assert found.conformal.method == 'aps'
    assert found.laplace is not None
    assert found.metrics['nll'] < found.metrics['nll_plain']
    assert found.metrics['ood_auroc']['moved'] > 0.9
    assert found.metrics['unknown_rate']['moved'] > 0.3
    assert found.ood.method in found.ood_reason
    assert len(found.ood.scores) == 600
    card = render_card('x', build_network('resnet20_cifar', C).architecture, NAMES_OF_CLASSES, PRE, found, {})
    for text in ('(aps)', 'Laplace', found.ood.method, 'moved', 'AUROC'):
        assert text in card


def test_a_lone_picture_of_no_class_chooses_nothing_and_nothing_is_reported_on_it():
    logits, features, labels, head = pictures(200, 0)
    groups = {'moved': as_pictures(pictures(100, 2, shift=1.5)), 'one': as_pictures(pictures(1, 3, shift=1.5))}
    found = calibrate(logits, features, labels, ood='auto', head=head, ood_pictures=groups)
    assert list(found.metrics['unknown_rate']) == list(found.metrics['ood_auroc']) == ['moved']
    json.dumps(found.metrics, allow_nan=False)
    assert '50 pictures of no class (moved)' in found.ood_reason
    assert 'fewer than 9 pictures of no class (one) choose nothing' in found.ood_reason
    assert 'unknown_rate' not in calibrate(logits, features, labels, head=head, ood_pictures={
        'one': groups['one']}).metrics


def test_laplace_gives_probabilities_only_where_they_are_clearly_better():
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(3), 2000)
    labels = (p.cumsum(1) < rng.random((2000, 1))).sum(1)
    blurred = 0.7 * p + 0.1
    clear, blur = log_likelihoods([p], labels), log_likelihoods([blurred], labels)
    assert is_clear(clear - blur)
    assert not is_clear(blur - clear)
    assert not is_clear(clear - clear)


def test_networks_without_a_linear_head_get_what_is_possible():
    logits, features, labels, _ = pictures(200, 4)
    found = calibrate(logits, features, labels, ood='auto')
    assert found.laplace is None
    assert found.ood.method not in ('vim', 'react')
    assert linear_head(build_network('squeezenet1_1', 3).head) is None
    network = build_network('resnet20_cifar', 3)
    assert torch.equal(linear_head(network.head).weight, network.head.weight)


def test_wrong_wishes_are_refused():
    logits, features, labels, head = pictures(100, 5)
    with pytest.raises(ConfigError, match="scaling must be one of temperature, vector, auto, got 'magic'"):
        calibrate(logits, features, labels, scaling='magic')
    with pytest.raises(ConfigError, match="no conformal method 'magic'"):
        calibrate(logits, features, labels, conformal='magic')


@pytest.fixture(scope='module')
def calibration() -> Calibration:
    logits, features, labels, head = pictures(300, 6)
    found = calibrate(logits, features, labels, ood='vim', head=head, conformal='raps', scaling='vector')
    return replace(found, precision='bfloat16', device='cuda', fusion=FusionTimes(0.8, 4.5))


def test_bundle_keeps_all_of_it(tmp_path, calibration):
    save_bundle(tmp_path / 'b', build_network('resnet20_cifar', C), NAMES_OF_CLASSES, PRE, calibration=calibration)
    bundle = load_bundle(tmp_path / 'b')
    assert bundle.conformal == calibration.conformal
    assert bundle.fusion == FusionTimes(0.8, 4.5)
    assert (bundle.precision, bundle.device) == ('bfloat16', 'cuda')
    for one, other in zip(bundle.vector, calibration.vector):
        np.testing.assert_array_equal(one, other)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(bundle.laplace, name), getattr(calibration.laplace, name))
    assert bundle.laplace.tau == calibration.laplace.tau
    assert bundle.ood.method == 'vim'


@pytest.mark.parametrize('change, message', [
    (('device', 'tpu'), 'calibration.device: must be cpu, cuda or mps'),
    (('vector', 1), 'calibration.vector: must be true'),
    (('laplace', {'tau': -1, 'temperature': 1.0, 'gives_probabilities': False}), r'laplace.tau: must be a number'),
    (('laplace', {'tau': 1.0, 'temperature': 1.0, 'gives_probabilities': 0}), 'gives_probabilities: must be true'),
    (('fusion', {'correlation_time_s': 99.0, 'change_time_s': 1.0}), 'correlation_time_s: must be a number in 0..60'),
    (('conformal', {'method': 'no', 'alpha': 0.1, 'thresholds': [0.5], 'penalty': 0, 'free': 0}), "no method 'no'"),
    (('magic', 1), "the key 'magic' is not known"),
])
def test_bundle_refuses_what_cannot_be(tmp_path, calibration, change, message):
    folder = tmp_path / 'b'
    save_bundle(folder, build_network('resnet20_cifar', C), NAMES_OF_CLASSES, PRE, calibration=calibration)
    values = json.loads((folder / 'bundle.json').read_text())
    values['calibration'][change[0]] = change[1]
    (folder / 'bundle.json').write_text(json.dumps(values))
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)

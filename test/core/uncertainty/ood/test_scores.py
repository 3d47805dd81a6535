"""Fitted OOD scores against pytorch-ood, scikit-learn and dense algebra; signs on a planted shift."""
import numpy as np
import pytest
import torch

from robot_vision_dl.core.errors import RobotVisionError
from robot_vision_dl.core.uncertainty.ood.base import LinearHead
from robot_vision_dl.core.uncertainty.ood.mahalanobis import (
    Mahalanobis,
    RelativeMahalanobis,
    ledoit_wolf_shrinkage,
    whitening_of,
)
from robot_vision_dl.core.uncertainty.ood.p_value import OOD_METHODS, ood_method
from robot_vision_dl.core.uncertainty.ood.react import ReAct
from robot_vision_dl.core.uncertainty.ood.vim import Vim

C, F = 5, 24


def clusters(n, seed, spread=1.0):
    """Features of C classes in a space of C - 1 dimensions with a little noise around it, logits of a fitting head."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(C, F, generator=torch.Generator().manual_seed(99)) * 3
    labels = torch.randint(C, (n,), generator=generator)
    features = (centres[labels] + spread * torch.randn(n, F, generator=generator)).clamp_min(0)
    head = LinearHead(centres * 0.3, -0.15 * centres.square().sum(1))
    return features, labels, head, features @ head.weight.T + head.bias


def auroc(known, ood_pictures):
    """Chance that a OOD picture has the larger score, ties half."""
    order = np.asarray(ood_pictures)[:, None] - np.asarray(known)
    return float(np.mean(order > 0) + 0.5 * np.mean(order == 0))


def test_mahalanobis_agrees_with_pytorch_ood(agrees):
    reference = pytest.importorskip('pytorch_ood.detector').Mahalanobis(None)
    features, labels, head, logits = clusters(400, 0)
    reference.fit_features(features, labels)
    new, _, _, new_logits = clusters(100, 1, spread=3.0)
    # Theirs is half the distance in terms of the sum of outer products, ours of their mean.
    expected = reference.predict_features(new) * 2 * len(features)
    ours = Mahalanobis.fit(logits, features, labels, shrinkage=0.0)(new_logits, new)
    agrees('Mahalanobis', 'pytorch-ood', ours, expected, rtol=2e-4, atol=1e-3)


def test_relative_mahalanobis_agrees_with_pytorch_ood(agrees):
    reference = pytest.importorskip('pytorch_ood.detector').RMD(None)
    features, labels, head, logits = clusters(400, 2)
    reference.fit_features(features, labels)
    new, _, _, new_logits = clusters(100, 3, spread=3.0)
    # Theirs leaves out the factor 1/2 here.
    ours = RelativeMahalanobis.fit(logits, features, labels, shrinkage=0.0)(new_logits, new)
    agrees('relative Mahalanobis', 'pytorch-ood', ours, reference.predict_features(new) * len(features), rtol=2e-4,
           atol=2e-2)


def test_vim_agrees_with_pytorch_ood(agrees):
    features, labels, head, logits = clusters(400, 4)
    reference = pytest.importorskip('pytorch_ood.detector').ViM(None, F // 2, head.weight, head.bias)
    reference.fit_features(features, labels)
    new, _, _, new_logits = clusters(100, 5, spread=3.0)
    ours = Vim.fit(logits, features, labels, head)(new_logits, new)
    agrees('ViM', 'pytorch-ood', ours, reference.predict_features(new), rtol=1e-3, atol=3e-3)


def test_react_agrees_with_pytorch_ood(agrees):
    features, labels, head, logits = clusters(400, 6)
    reference = pytest.importorskip('pytorch_ood.detector').ReAct(
        None, lambda f: f.flatten(1) @ head.weight.T + head.bias)
    reference.fit_feature_maps(features[:, :, None, None], labels)
    new, _, _, new_logits = clusters(100, 7, spread=3.0)
    score = ReAct.fit(logits, features, labels, head)
    assert float(score.threshold) == pytest.approx(reference.threshold, rel=1e-6)
    agrees('ReAct', 'pytorch-ood', score(new_logits, new), reference.predict_feature_maps(new[:, :, None, None]),
           rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize('name, theirs', [('energy', 'EnergyBased'), ('max_logit', 'MaxLogit'),
                                          ('max_softmax', 'MaxSoftmax')])
def test_scores_of_logits_agree_with_pytorch_ood(name, theirs, agrees):
    reference = getattr(pytest.importorskip('pytorch_ood.detector'), theirs)
    features, _, _, logits = clusters(100, 8)
    expected = reference.score(logits)
    agrees(name.replace('_', ' '), 'pytorch-ood', ood_method(name)()(logits, features), expected, rtol=1e-5, atol=1e-5)


def test_knn_agrees_with_pytorch_ood(agrees):
    reference = pytest.importorskip('pytorch_ood.detector').KNN(None, k=5)
    features, labels, _, logits = clusters(300, 9)
    unit = torch.nn.functional.normalize
    reference.fit_features(unit(features), labels)
    new, _, _, new_logits = clusters(50, 10, spread=3.0)
    ours = ood_method('knn').fit(logits, features, k=5)(new_logits, new)
    agrees('kNN', 'pytorch-ood', ours, reference.predict_features(unit(new)).float(), rtol=1e-4, atol=2e-4)


def test_shrinkage_agrees_with_scikit_learn(agrees):
    covariance = pytest.importorskip('sklearn.covariance')
    rng = np.random.default_rng(0)
    for n in (30, 500):
        x = rng.normal(size=(n, 12)) @ rng.normal(size=(12, 12))
        x -= x.mean(0)
        expected, share = covariance.ledoit_wolf(x, assume_centered=True)
        agrees('Ledoit-Wolf shrinkage', 'scikit-learn', ledoit_wolf_shrinkage(torch.from_numpy(x)), share, rtol=1e-9)
        whitening = whitening_of(torch.from_numpy(x))
        np.testing.assert_allclose((whitening @ whitening.T).numpy(), np.linalg.inv(expected), rtol=1e-6)


def test_distance_by_hand():
    features, labels, _, logits = clusters(200, 11)
    new = torch.randn(7, F) * 30 + 5
    score = Mahalanobis.fit(logits, features, labels)
    precision = torch.from_numpy(score.whitening @ score.whitening.T).double()
    means = torch.stack([features[labels == c].double().mean(0) for c in range(C)])
    for one, found in zip(new.double(), score(new, new)):
        expected = min(float((one - mean) @ precision @ (one - mean)) for mean in means)
        assert float(found) == pytest.approx(expected, rel=1e-4)


def test_constant_features_and_missing_classes_do_no_harm():
    features, labels, head, logits = clusters(60, 12)
    features[:, 3] = 0
    keep = labels != 2
    for method in ('mahalanobis', 'relative_mahalanobis', 'vim', 'react'):
        score = ood_method(method).fit(logits[keep], features[keep], labels[keep], head)
        assert np.isfinite(score(logits, features)).all(), method


@pytest.mark.parametrize('method', sorted(OOD_METHODS))
def test_foreign_pictures_score_higher(method):
    features, labels, head, logits = clusters(400, 13)
    known, _, _, known_logits = clusters(200, 14)
    # Classes that were not there: between the known ones, and with something of their own.
    generator = torch.Generator().manual_seed(15)
    ood_pictures = (features[:200] * 0.3 + 2 * torch.randn(200, F, generator=generator)).clamp_min(0)
    score = ood_method(method).fit(logits, features, labels, head)
    assert auroc(score(known_logits, known), score(ood_pictures @ head.weight.T + head.bias, ood_pictures)) > 0.6


@pytest.mark.parametrize('method', sorted(OOD_METHODS))
def test_relabelling_classes_and_the_order_of_a_batch_do_not_matter(method):
    features, labels, head, logits = clusters(200, 16)
    order = torch.tensor([3, 1, 4, 0, 2])
    place = order.argsort()
    one = ood_method(method).fit(logits, features, labels, head)
    other = ood_method(method).fit(logits[:, order], features, place[labels],
                                   LinearHead(head.weight[order], head.bias[order]))
    np.testing.assert_allclose(other(logits[:, order], features), one(logits, features), rtol=1e-3, atol=1e-3)
    turned = one(logits.flip(0), features.flip(0))[::-1]
    np.testing.assert_allclose(turned, one(logits, features), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('method', ['vim', 'react'])
def test_scores_that_need_the_head_say_so(method):
    features, labels, _, logits = clusters(20, 17)
    with pytest.raises(RobotVisionError, match=f'{method}: needs a linear head'):
        ood_method(method).fit(logits, features, labels)

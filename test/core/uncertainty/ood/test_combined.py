"""Scores on stages and their combination: against SciPy and scikit-learn; coverage; what may not be averaged out."""
import numpy as np
import pytest
import torch
from scipy.stats import binom, norm
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

from robot_vision_dl.core.errors import BundleError, ConfigError, RobotVisionError
from robot_vision_dl.core.uncertainty.ood.combined import Combined, FrameScore, fisher, fit_parts, log_upper_tail
from robot_vision_dl.core.uncertainty.ood.energy import Energy
from robot_vision_dl.core.uncertainty.ood.knn import KNearestNeighbours
from robot_vision_dl.core.uncertainty.ood.mahalanobis import MahalanobisNormalised
from robot_vision_dl.core.uncertainty.ood.mahalanobis_low_rank import MahalanobisLowRank
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration, OodDetector
from robot_vision_dl.core.uncertainty.ood.part import Part, parse_parts, usual_parts
from robot_vision_dl.core.uncertainty.ood.pictures import Pictures

C, F, STAGES = 4, 20, {'early': 6, 'late': 10}
NAMES = tuple(STAGES)
PARTS = parse_parts('mahalanobis_normalised@early+mahalanobis_normalised@late+mahalanobis_normalised+knn+energy')


def pictures(n, seed, turned=None):
    """Clusters in the features, none in the stages; those of the stage ``turned`` point the other way."""
    rng = np.random.default_rng(seed)
    centres = 2 * np.random.default_rng(99).normal(size=(C, F))
    labels = rng.integers(C, size=n)
    features = centres[labels] + rng.normal(size=(n, F))
    stages = [1 + 0.05 * rng.normal(size=(n, size)) @ np.random.default_rng(size).normal(size=(size, size))
              for size in STAGES.values()]
    if turned is not None:
        stages[NAMES.index(turned)] *= -1
    return Pictures.of(0.3 * features @ centres.T, features, labels, stages)


def scores_of(score, some):
    return score(some.logits, some.features, some.stages)


def test_tail_of_the_normal_distribution_agrees_with_scipy(agrees):
    z = np.concatenate([np.linspace(-40, 60, 2001), [-1, 20, 300.0, 1e4]])
    agrees('ln(1 - Phi)', 'SciPy', np.array([log_upper_tail(one) for one in z.tolist()]), norm.logsf(z), rtol=1e-9,
           atol=1e-17)
    assert log_upper_tail(float('nan')) == -float('inf')
    table = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(fisher(table, [1, 2, 0.5]), -2 * norm.logsf(table) @ [1, 2, 0.5], rtol=1e-6)


def test_normalised_mahalanobis_agrees_with_scikit_learn(agrees):
    known, new = pictures(300, 0), pictures(40, 1)
    ours = MahalanobisNormalised.fit(known.logits, known.features, known.labels)(new.logits, new.features)
    f, others = (one.features.double().numpy() / one.features.double().norm(dim=1, keepdim=True).numpy()
                 for one in (known, new))
    labels = known.labels.numpy()
    means = np.stack([f[labels == c].mean(axis=0) for c in range(C)])
    precision = LedoitWolf(assume_centered=True).fit(f - means[labels]).precision_
    expected = [min((one - m) @ precision @ (one - m) for m in means) for one in others]
    agrees('Mahalanobis of normalised features', 'scikit-learn', ours, np.array(expected), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('axes', [1, 5, 19])
def test_low_rank_mahalanobis_agrees_with_probabilistic_pca_of_scikit_learn(agrees, axes):
    known, new = pictures(300, 0), pictures(40, 1)
    ours = MahalanobisLowRank.fit(known.logits, known.features, known.labels, axes=axes, shrinkage=0.0)(
        new.logits, new.features)
    f, others = (one.features.double().numpy() / one.features.double().norm(dim=1, keepdim=True).numpy()
                 for one in (known, new))
    labels, n = known.labels.numpy(), len(known)
    means = np.stack([f[labels == c].mean(axis=0) for c in range(C)])
    precision = PCA(axes, svd_solver='full').fit(f - means[labels]).get_precision() * n / (n - 1)
    expected = [min((one - m) @ precision @ (one - m) for m in means) for one in others]
    agrees(f'Mahalanobis with {axes} axes', 'scikit-learn', ours, np.array(expected), rtol=1e-3, atol=1e-3)


def test_low_rank_mahalanobis_of_many_features_is_near_the_whole_one():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(40, 600)) * np.linspace(1, 0.1, 40)[:, None]
    known, new, odd = (
        torch.from_numpy(rng.normal(size=(n, 40)) @ mixing + 0.1 * rng.normal(size=(n, 600)) + shift).float()
        for n, shift in ((800, 3), (200, 3), (200, 3 + 0.3 * rng.normal(size=600))))
    whole, few = (kind.fit(known, known, torch.zeros(800, dtype=torch.int64)) for kind in
                  (MahalanobisNormalised, MahalanobisLowRank))
    assert few.axes.shape == (600, 64)
    for some in (new, odd):
        assert np.corrcoef(np.log(whole(some, some)), np.log(few(some, some)))[0, 1] > 0.8
    assert few(odd, odd).min() > few(new, new).max()


@pytest.mark.parametrize('kind', [MahalanobisNormalised, MahalanobisLowRank])
def test_features_that_are_all_0_are_the_same_to_both(kind):
    known = pictures(300, 0)
    score = kind.fit(known.logits, known.features, known.labels)
    nothing = torch.zeros(1, F)
    f = known.features / known.features.norm(dim=1, keepdim=True)
    means = torch.stack([f[known.labels == c].mean(0) for c in range(C)])
    precision = torch.from_numpy(score.whitening @ score.whitening.T if kind is MahalanobisNormalised else (
        np.eye(F, dtype=np.float32) / score.rest - score.axes @ score.axes.T))
    expected = min(float(mean @ precision @ mean) for mean in means)
    assert float(score(nothing, nothing)[0]) == pytest.approx(expected, rel=1e-3)


def test_features_that_do_not_vary_are_named():
    known = pictures(60, 0)
    known = Pictures(known.logits, known.features, known.labels, (torch.ones(60, 1), known.stages[1]))
    with pytest.raises(RobotVisionError, match='mahalanobis_normalised@early gives no number for some known pictures'):
        fit_parts(parse_parts('mahalanobis_normalised@early+knn+energy'), known, NAMES)


def test_tables_that_do_not_fit_each_other_are_refused():
    with pytest.raises(BundleError, match=r'whitening must have the shape \(F, F\)'):
        MahalanobisNormalised(torch.ones(5, 6), torch.ones(2, 6))
    with pytest.raises(BundleError, match=r'axes must have the shape \(F, K\)'):
        MahalanobisLowRank(torch.ones(5, 2), torch.ones(2, 6), torch.tensor(1.0))


def test_with_few_pictures_a_class_all_are_one_gaussian():
    known = pictures(39, 2)
    one = MahalanobisNormalised.fit(known.logits, known.features, known.labels)
    assert one.means.shape == (1, F)
    assert MahalanobisNormalised.fit(known.logits, known.features, known.labels % 2).means.shape == (2, F)


def test_parts_are_read_as_they_are_written():
    assert parse_parts('knn') == (Part('knn'),)
    assert parse_parts('mahalanobis_normalised@blocks.3+energy') == (
        Part('mahalanobis_normalised', 'blocks.3'), Part('energy'))
    assert str(Part('knn', 'layer3')) == 'knn@layer3'
    assert Part('mahalanobis_normalised', 'blocks.3').words == 'blocks.3 (mahalanobis)'
    assert Part('knn', '4').words == 'layer 4 (knn)'  # as SqueezeNet's are called
    assert [Part('knn').words, Part('energy').words] == ['last features (knn)', 'logits (energy)']
    for text, why in (('energy@blocks.3', 'reads logits, which only the head gives'), ('magic', 'no OOD method'),
                      ('knn+knn', 'different'), ('', 'no OOD method')):
        with pytest.raises(ConfigError, match=why):
            parse_parts(text)
    with pytest.raises(ConfigError, match='gives no such stage, but early, late'):
        Part('knn', 'middle').place(NAMES)


def test_usual_parts_read_four_stages_at_most_and_the_last_of_them():
    assert [part.of for part in usual_parts([f's{i}' for i in range(7)], 0)] == ['s1', 's3', 's5', 's6', '']
    assert usual_parts((), 2048) == (Part('mahalanobis_low_rank'), Part('knn'), Part('energy'))
    assert usual_parts((), 64) == (Part('mahalanobis_normalised'), Part('knn'), Part('energy'))


def test_a_score_of_a_stage_reads_that_stage():
    known, new = pictures(200, 3), pictures(30, 4)
    (part,) = parse_parts('knn@late')
    score = fit_parts([part], known, NAMES)
    expected = KNearestNeighbours.fit(known.logits, known.stages[1])(new.logits, new.stages[1])
    np.testing.assert_array_equal(scores_of(score, new), expected)
    stored = OodCalibration.of_parts([part], score, expected, NAMES)
    assert (stored.method, stored.stage, stored.name) == ('knn', 'late', 'knn@late')
    np.testing.assert_array_equal(scores_of(stored.build_score(), new), expected)
    assert OodDetector(stored)(new.logits, new.features, new.stages)[0].method == 'knn@late'


@pytest.mark.parametrize('turned', ['early', 'late'])
def test_one_part_far_out_is_far_out_and_is_named(turned):
    """However ordinary the others find it."""
    calibration = pictures(300, 6)
    score = fit_parts(PARTS, pictures(300, 5), NAMES)
    found = OodCalibration.of_parts(PARTS, score, scores_of(score, calibration), NAMES)
    strange = pictures(100, 7, turned)
    results = OodDetector(found)(strange.logits, strange.features, strange.stages)
    assert max(one.p_value for one in results) <= 1 / 301 * 1.001
    assert {one.part for one in results} == {f'{turned} (mahalanobis)'}
    z = score.standardised(strange.logits, strange.features, strange.stages)
    ordinary = [place for place, part in enumerate(PARTS) if part.of != turned]
    assert abs(z[:, ordinary].mean()) < 0.5


def test_known_pictures_are_called_unknown_no_more_often_than_promised():
    """Over draws of everything: with optimistic locations, dependent parts and few pictures, too."""
    rng, called, n = np.random.default_rng(8), {0.01: 0, 0.05: 0, 0.2: 0}, 0
    for draw in range(40):
        reference = pictures(int(rng.integers(40, 200)), 1000 + draw)
        # Features of a tuned layer are closer together on training pictures than on all others.
        reference = Pictures(reference.logits, 0.6 * reference.features, reference.labels, reference.stages)
        score = fit_parts((*PARTS, Part('max_softmax'), Part('knn', 'late')), reference, NAMES, seed=draw)
        calibration, others = pictures(99, 2000 + draw), pictures(100, 3000 + draw)
        p = OodCalibration.of_parts((*PARTS, Part('max_softmax'), Part('knn', 'late')), score,
                                    scores_of(score, calibration), NAMES).p_value(scores_of(score, others))
        n += len(p)
        for epsilon in called:
            called[epsilon] += int((p <= epsilon).sum())
    for epsilon, count in called.items():
        # Pictures of a draw share its calibration: the variance is that of 40 draws of Beta quantiles, and binomial.
        spread = np.sqrt(epsilon * (1 - epsilon) * (1 / n + 1 / (40 * 101)))
        assert abs(count / n - epsilon) < 4 * spread, (epsilon, count / n)
    assert binom.cdf(called[0.01], n, 0.02) < 1e-6


def test_parts_of_a_kind_share_its_weight():
    score = fit_parts(PARTS, pictures(60, 16), NAMES)
    assert [(str(part), round(weight, 4)) for part, weight in zip(PARTS, score.weight.tolist())] == [
        ('mahalanobis_normalised@early', 0.25), ('mahalanobis_normalised@late', 0.25),
        ('mahalanobis_normalised', 0.5), ('knn', 0.5), ('energy', 0.5)]


def test_locations_come_from_pictures_that_took_no_part():
    known = pictures(90, 9)
    doubled = Pictures.of(*(np.concatenate([one, one]) for one in (
        known.logits.numpy(), known.features.numpy(), known.labels.numpy())),
        [np.concatenate([one, one]) for one in known.stages], np.tile(np.arange(90), 2))
    new = pictures(500, 10)

    def mean_z(score):
        return score.standardised(new.logits, new.features, new.stages).mean(axis=0)
    honest = mean_z(fit_parts(PARTS, doubled, NAMES))  # copies are in one fold
    naive = mean_z(fit_parts(PARTS, Pictures(doubled.logits, doubled.features, doubled.labels, doubled.stages), NAMES))
    assert np.all(np.abs(honest) < 0.6), honest
    assert np.all(naive[1:4] > honest[1:4] + 0.1)  # of six features 90 pictures tell all; energy was fitted to nothing
    by_others = mean_z(fit_parts(PARTS, known, NAMES, standard=pictures(400, 11)))
    assert np.all(np.abs(by_others) < 0.2), by_others


def test_what_is_stored_is_what_was_calibrated_and_is_small():
    known, new = pictures(800, 12), pictures(50, 13)
    score = fit_parts(PARTS, known, NAMES)
    scores = scores_of(score, new)
    stored = OodCalibration.of_parts(PARTS, score, scores, NAMES)
    assert set(stored.tensors) == {'location', 'scale', 'weight', *(f'{i}.{name}' for i in range(3) for name in (
        'means', 'whitening')), '3.bank', '3.k'}
    assert stored.tensors['3.bank'].dtype == stored.tensors['0.whitening'].dtype == np.float16
    assert stored.tensors['3.bank'].shape == (256, F) and int(stored.tensors['3.k']) == 1
    np.testing.assert_array_equal(scores_of(stored.build_score(), new), scores)
    whole = Combined([FrameScore(type(one.score).fit(known.logits, known.features if one.place is None else
                                                     known.stages[one.place], known.labels), one.place)
                      for one in list(score.parts)[:3]], score.location[:3], score.scale[:3], score.weight[:3])
    rounded = Combined(list(score.parts)[:3], score.location[:3], score.scale[:3], score.weight[:3])
    np.testing.assert_allclose(whole.standardised(new.logits, new.features, new.stages),
                               rounded.standardised(new.logits, new.features, new.stages), atol=0.06)


def test_of_many_features_what_is_stored_is_small():
    rng = np.random.default_rng(0)
    known = Pictures.of(rng.normal(size=(500, C)), rng.normal(size=(500, 1000)), rng.integers(C, size=500), [])
    parts = usual_parts((), 1000)
    score = fit_parts(parts, known)
    stored = OodCalibration.of_parts(parts, score, scores_of(score, known), ())
    assert set(stored.tensors) == {'location', 'scale', 'weight', '0.axes', '0.means', '0.rest', '1.bank', '1.k'}
    assert stored.tensors['0.axes'].dtype == np.float16 and stored.tensors['0.axes'].shape == (1000, 64)
    assert stored.tensors['1.bank'].dtype == np.float16 and stored.tensors['1.bank'].shape == (256, 1000)
    np.testing.assert_array_equal(scores_of(stored.build_score(), known), scores_of(score, known))


def test_what_cannot_be_is_refused():
    known = pictures(29, 14)
    with pytest.raises(RobotVisionError, match='30 known pictures at least are needed to fit it to, got 29'):
        fit_parts(PARTS, known, NAMES)
    with pytest.raises(ConfigError, match='needs features, and this network gives none'):
        fit_parts(parse_parts('knn'), Pictures(known.logits, known.features[:, :0]), NAMES)
    with pytest.raises(BundleError, match='the latter two above 0'):
        Combined([FrameScore(Energy())], torch.zeros(1), torch.zeros(1), torch.ones(1))
    with pytest.raises(BundleError, match='needs 2 to 16 different parts'):
        OodCalibration('combined')
    with pytest.raises(BundleError, match='energy has no parts'):
        OodCalibration('energy', parts=PARTS, stage_names=NAMES)
    known = pictures(60, 15)
    found = OodCalibration.of_parts(PARTS, fit_parts(PARTS, known, NAMES), None, NAMES)
    with pytest.raises(BundleError, match='tables are for 6 features of early, and the network gives 10'):
        OodDetector(found)(known.logits, known.features, known.stages[::-1])
    with pytest.raises(BundleError, match='the network gives 0'):
        OodDetector(found)(known.logits, known.features)

"""What comes after a pass, from one array: the same as each step on its own, for sound and for broken features."""
from math import log

import numpy as np
import pytest
import torch

from robot_vision_dl.core.uncertainty.density_aware import DensityAware
from robot_vision_dl.core.uncertainty.laplace import LaplacePredictive
from robot_vision_dl.core.uncertainty.laplace_fit import fit_factors
from robot_vision_dl.core.uncertainty.ood.combined import Combined, FrameScore, fit_parts
from robot_vision_dl.core.uncertainty.ood.combined_live import CombinedLive
from robot_vision_dl.core.uncertainty.ood.energy import Energy, energy, energy_below
from robot_vision_dl.core.uncertainty.ood.knn import KNearestNeighbours
from robot_vision_dl.core.uncertainty.ood.mahalanobis import MahalanobisNormalised
from robot_vision_dl.core.uncertainty.ood.mahalanobis_low_rank import MahalanobisLowRank
from robot_vision_dl.core.uncertainty.ood.part import parse_parts
from robot_vision_dl.core.uncertainty.ood.pictures import Pictures
from robot_vision_dl.core.uncertainty.pass_products import PassProducts, Table

F, STAGES = 90, {'early': 6, 'late': 10}
PARTS = parse_parts('mahalanobis_normalised@early+mahalanobis_normalised@late+mahalanobis_low_rank+energy+knn@late'
                    '+mahalanobis_normalised')


def pictures(n, classes, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    features = np.random.default_rng(9).normal(size=(classes, F))[labels] + rng.normal(size=(n, F))
    stages = [1 + 0.3 * rng.random((n, size)) for size in STAGES.values()]
    return Pictures.of(features[:, :classes], features, labels, stages)


def on_the_live_way(score, some, extra=()):
    live = CombinedLive(score)
    made = PassProducts([*live.tables, *extra])(*some.arrays())
    below = made.logits - made.logits.max(axis=1, keepdims=True)
    found = live(made.of_tables, energy_below(below, made.logits.max(axis=1).tolist()), *some.arrays())
    return found, made


@pytest.mark.parametrize('classes', [4, 40], ids=['few classes', 'many classes'])
@pytest.mark.parametrize('count', [1, 5])
def test_a_combination_is_the_same_as_in_numpy(classes, count):
    score = fit_parts(PARTS, pictures(800, classes, 0), tuple(STAGES))
    new = pictures(count, classes, 1)
    found, _ = on_the_live_way(score, new)
    np.testing.assert_allclose(found.statistic, score(new.logits, new.features, new.stages), rtol=1e-5)
    z = score.standardised(new.logits, new.features, new.stages)
    assert found.farthest == z.argmax(axis=1).tolist()


def test_a_product_has_the_lengths_and_the_squares_of_its_own_features():
    new, rng = pictures(3, 4, 2), np.random.default_rng(0)
    some = [rng.normal(size=(width, 5)).astype(np.float32) for width in (F, 10, F)]
    addend = np.arange(5, dtype=np.float32)
    made = PassProducts([Table(some[0], 5, addend=addend), Table(some[1], 2, place=1), Table(some[2], 3)])(
        *new.arrays())
    np.testing.assert_array_equal(made.logits, new.logits)
    for product, given, table, squared, more in zip(
            made.of_tables, (new.features, new.stages[1], new.features), some, (5, 2, 3), (addend, 0, 0)):
        values = given.numpy() @ table + more
        np.testing.assert_allclose(product.values, values, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(product.lengths, np.square(given.numpy()).sum(axis=1), rtol=1e-5)
        np.testing.assert_allclose(product.squares, np.square(values[:, :squared]).sum(axis=1), rtol=1e-4)


def test_features_of_zeros_are_as_far_as_in_numpy():
    known, new = pictures(300, 4, 0), pictures(1, 4, 1)
    score = fit_parts(parse_parts('mahalanobis_normalised+mahalanobis_low_rank'), known)
    nothing = Pictures.of(new.logits, torch.zeros_like(new.features), new.labels)
    found, _ = on_the_live_way(score, nothing)
    np.testing.assert_allclose(found.statistic, score(nothing.logits, nothing.features), rtol=1e-5)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_features_that_are_no_numbers_are_farthest_out(value):
    known, new = pictures(300, 4, 0), pictures(2, 4, 1)
    score = fit_parts(parse_parts('mahalanobis_normalised@early+mahalanobis_low_rank+energy'), known, tuple(STAGES))
    new.features[1, 3] = value
    found, _ = on_the_live_way(score, new)
    assert found.statistic[1] == float('inf') and found.farthest[1] == 1
    np.testing.assert_allclose(found.statistic[0], score(new.logits, new.features, new.stages)[0], rtol=1e-5)


def test_every_kind_of_score_is_told_from_products_or_as_in_numpy():
    known = pictures(300, 4, 0)
    kinds = [MahalanobisNormalised, MahalanobisLowRank, Energy, KNearestNeighbours]
    parts = [FrameScore(kind.fit(known.logits, known.features, known.labels)) for kind in kinds]
    for part in parts:
        alone = Combined([part], *np.array([[0], [1], [1]], np.float32))
        values = part(known.logits[:2], known.features[:2])
        z = np.log(values) if part.score.is_distance else values
        np.testing.assert_allclose(alone.standardised(known.logits[:2], known.features[:2])[:, 0], z, rtol=1e-6)
        if part.score.quadratic() is not None:
            found, _ = on_the_live_way(alone, known[np.arange(2)])
            np.testing.assert_allclose(found.statistic, alone.statistic(z[:, None]), rtol=1e-5)
    assert [part.score.quadratic() is not None for part in parts] == [True, True, False, False]


def test_energy_below_the_highest_logit_is_the_energy():
    z = np.random.default_rng(0).normal(scale=30, size=(4, 7)).astype(np.float32)
    top = z.max(axis=1)
    np.testing.assert_allclose(energy_below(z - top[:, None], top.tolist()), energy(z), rtol=1e-6)
    assert energy_below(np.zeros((1, 4), np.float32), [2.0]) == pytest.approx([-2 - log(4)])


@pytest.mark.parametrize('most', [4, 40])
def test_laplace_reads_the_same_of_a_product_beside_others(most):
    known = pictures(300, 40, 0)
    laplace = fit_factors(known.logits.numpy(), known.features.numpy())
    predictive = LaplacePredictive(laplace, most_classes=most)
    score = fit_parts(parse_parts('mahalanobis_low_rank+energy'), known)
    new = pictures(3, 40, 1)
    _, made = on_the_live_way(score, new, [predictive.table])
    np.testing.assert_allclose(predictive.scales_of(made.of_tables[-1]),
                               predictive.scales(new.features), rtol=1e-4)


def test_a_factor_of_one_score_is_that_of_many():
    density = DensityAware(1.0, 2.0, 1.5)
    scores = [-3.0, 1.0, 1.5, 40.0, float('inf'), float('nan')]
    assert [density.tau_of(one) for one in scores] == pytest.approx(density.tau(np.array(scores)).tolist())

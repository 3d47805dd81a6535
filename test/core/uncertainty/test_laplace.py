"""The last-layer Laplace approximation against laplace-torch, dense algebra and brute force."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from robot_vision_dl.core.errors import BundleError, RobotVisionError
from robot_vision_dl.core.uncertainty.entropy import normalised_entropies
from robot_vision_dl.core.uncertainty.laplace import LaplacePredictive, logit_covariance, logit_variances, trimmed
from robot_vision_dl.core.uncertainty.laplace_draws import (
    node_weights,
    orthogonal_draws,
    standard_normal_draws,
    variance_nodes,
)
from robot_vision_dl.core.uncertainty.laplace_fit import fit_factors, log_likelihoods_by_tau, with_tau
from robot_vision_dl.core.uncertainty.temperature import below_highest

N, F, C = 200, 6, 4


def predicted(predictive, logits, features):
    return predictive(below_highest(logits.numpy()), predictive.scales(features))


def covariance_of(laplace, features):
    return torch.from_numpy(logit_covariance(laplace, features.numpy())).double()


def trained_head(seed=0, classes=C):
    torch.manual_seed(seed)
    features, labels = torch.randn(N, F), torch.randint(classes, (N,))
    head = nn.Linear(F + 1, classes, bias=False)
    inputs = torch.cat([features, torch.ones(N, 1)], 1)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=50)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(inputs), labels)
        loss.backward()
        return loss
    optimizer.step(closure)
    with torch.no_grad():
        return head, features, inputs, head(inputs), labels


@pytest.mark.parametrize('tau', [0.05, 0.7, 30.0])
def test_covariance_agrees_with_laplace_torch(tau, agrees):
    laplace_torch = pytest.importorskip('laplace')
    backend = pytest.importorskip('laplace.curvature').CurvlinopsGGN
    head, features, inputs, logits, labels = trained_head()
    reference = laplace_torch.Laplace(
        nn.Sequential(nn.Identity(), head), 'classification', subset_of_weights='last_layer', hessian_structure='kron',
        prior_precision=tau, backend=backend)
    data = torch.utils.data.TensorDataset(inputs, labels)
    reference.fit(torch.utils.data.DataLoader(data, batch_size=N))
    mean, covariance = reference._glm_predictive_distribution(inputs[:20])
    ours = replace(fit_factors(logits.numpy(), features.numpy()), tau=tau)
    torch.testing.assert_close(mean, logits[:20], rtol=0, atol=1e-6)
    agrees('Laplace, covariance of logits', 'laplace-torch', logit_covariance(ours, features[:20].numpy()),
           covariance.detach(), rtol=1e-4, atol=1e-5)
    predictive = LaplacePredictive(ours)  # as it runs
    scales = predictive.scales(features[:20])
    agrees('Laplace, variances as they run', 'laplace-torch', np.square(scales) @ ours.eigenvectors_b.T ** 2,
           covariance.detach().diagonal(dim1=1, dim2=2), rtol=2e-2, atol=1e-5)


def test_covariance_is_that_of_the_dense_posterior():
    """J (N A (x) B + tau I)^-1 J^T, with the Kronecker product written out."""
    _, features, inputs, logits, _ = trained_head(1)
    p = torch.softmax(logits.double(), -1)
    a = inputs.double().T @ inputs.double() / N
    b = torch.diag(p.sum(0)) - p.T @ p
    precision = torch.kron(b, a) + 0.3 * torch.eye((F + 1) * C, dtype=torch.float64)
    jacobian = torch.kron(torch.eye(C, dtype=torch.float64), inputs[7].double()[None])
    expected = jacobian @ torch.linalg.inv(precision) @ jacobian.T
    ours = replace(fit_factors(logits.numpy(), features.numpy()), tau=0.3)
    np.testing.assert_allclose(logit_covariance(ours, features[7:8].numpy())[0], expected, rtol=1e-4, atol=1e-5)


def test_samples_have_the_mean_and_variance_of_the_gaussian():
    _, features, _, logits, _ = trained_head(2)
    laplace = replace(fit_factors(logits.numpy(), features.numpy()), tau=1.0)
    draws = standard_normal_draws(4096, C)
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.square(draws).mean(axis=0), 1, atol=1e-5)
    mean, _ = predicted(LaplacePredictive(laplace, samples=4096), logits[:5], features[:5])
    torch.manual_seed(0)
    normal = torch.distributions.MultivariateNormal(logits[:5].double(),
                                                    covariance_of(laplace, features[:5]))
    expected = torch.softmax(normal.sample((200000,)), -1).mean(0)
    np.testing.assert_allclose(mean, expected, atol=4e-3)


def test_entropies_add_up_and_vanish_without_variance():
    _, features, _, logits, _ = trained_head(3)
    factors = fit_factors(logits.numpy(), features.numpy())
    mean, entropies = predicted(LaplacePredictive(replace(factors, tau=1.0)), logits, features)
    np.testing.assert_allclose(mean.sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(entropies.predictive, entropies.expected + entropies.mutual_information, rtol=1e-6)
    assert entropies.mutual_information.min() >= 0
    mean, entropies = predicted(LaplacePredictive(replace(factors, tau=1e12)), logits, features)
    np.testing.assert_allclose(mean, torch.softmax(logits, -1), atol=1e-5)
    assert entropies.mutual_information.max() < 1e-5


def test_what_lies_far_from_training_is_more_uncertain():
    _, features, _, logits, _ = trained_head(4)
    laplace = replace(fit_factors(logits.numpy(), features.numpy()), tau=1.0)
    near, far = (predicted(LaplacePredictive(laplace), logits, f).entropies for f in (features, features * 10))
    assert far.mutual_information.mean() > 3 * near.mutual_information.mean()


def test_relabelling_classes_and_shifting_logits_change_nothing():
    _, features, _, logits, _ = trained_head(5)
    order = torch.tensor([2, 0, 3, 1])
    one, other, shifted = (
        predicted(LaplacePredictive(replace(fit_factors(z.numpy(), features.numpy()), tau=1.0), samples=8192), z[:9],
                  features[:9])
        for z in (logits, logits[:, order], logits + 100))
    np.testing.assert_allclose(one.probabilities[:, order], other.probabilities, atol=5e-3)
    np.testing.assert_allclose(one.entropies.mutual_information, other.entropies.mutual_information, atol=5e-3)
    np.testing.assert_allclose(one.probabilities, shifted.probabilities, atol=1e-4)


def test_moving_the_likely_classes_only_hardly_differs_where_the_others_are_unlikely():
    generator = torch.Generator().manual_seed(6)
    logits = torch.randn(50, 100, generator=generator) * 4
    features = torch.randn(50, 20, generator=generator)
    laplace = replace(fit_factors(logits.numpy(), features.numpy()), tau=50.0)
    # With so many samples, that they are others does not count.
    whole, some = (predicted(LaplacePredictive(laplace, samples=2048, most_classes=most), logits, features)
                   for most in (100, 32))
    assert whole.entropies.mutual_information.mean() > 0.005
    np.testing.assert_allclose(some.entropies.mutual_information, whole.entropies.mutual_information, atol=2e-3)
    np.testing.assert_allclose(some.probabilities, whole.probabilities, atol=5e-3)


def best_on(factors, logits, features, labels):
    """The posterior under which the labels are likeliest, and its negative log-likelihood."""
    likelihoods = log_likelihoods_by_tau(factors, logits, features, labels).mean(axis=1)
    place = int(likelihoods.argmax())
    return with_tau(factors, place), -likelihoods[place]


def test_prior_precision_is_chosen_on_held_out_pictures():
    _, features, _, logits, _ = trained_head(6)
    rng = np.random.default_rng(0)
    # Logits eight times too large are overconfident; uncertain weights are one way to mend that.
    labels = np.array([rng.choice(C, p=row) for row in torch.softmax(logits.double(), -1).numpy()])
    factors = fit_factors(8 * logits.numpy(), features.numpy())
    chosen, loss = best_on(factors, 8 * logits.numpy(), features.numpy(), labels)
    plain = nn.functional.cross_entropy(8 * logits, torch.from_numpy(labels)).item()
    assert loss < plain - 0.05
    assert logit_variances(chosen, features.numpy()).mean() > 0.1
    factors = fit_factors(logits.numpy(), features.numpy())
    calibrated, loss = best_on(factors, logits.numpy(), features.numpy(), labels)
    assert loss <= nn.functional.cross_entropy(logits, torch.from_numpy(labels)).item() + 1e-4
    assert calibrated.tau > chosen.tau


def test_what_does_not_fit_is_refused():
    _, features, _, logits, _ = trained_head(7)
    with pytest.raises(RobotVisionError, match='as many logits as features'):
        fit_factors(logits.numpy(), features.numpy()[:3])
    with pytest.raises(RobotVisionError, match='must be even and at least 2, got 3'):
        standard_normal_draws(3, 2)
    factors = fit_factors(logits.numpy(), features.numpy())
    with pytest.raises(BundleError, match='tau and temperature must be above 0, got 0'):
        replace(factors, tau=0)
    with pytest.raises(BundleError, match='must have the shapes'):
        replace(factors, eigenvalues_a=np.ones(3, np.float32))


def members_of(predictive, logits, features, most):
    """Probabilities (M, B, C) of the samples, each written out."""
    z, scales = logits.numpy().astype(np.float64) / predictive.laplace.temperature, predictive.scales(features)
    if most == z.shape[1]:
        moving, moved = np.tile(np.arange(most), (len(z), 1)), predictive.moves(scales)
    else:
        moving = np.argsort(z, axis=1)[:, -most:]
        moved = predictive.moves(scales, moving)
    samples = np.repeat(z[None], 2 * moved.shape[2], axis=0)
    for m, sample in enumerate(samples):
        half, sign = m % moved.shape[2], 1 if m < moved.shape[2] else -1
        for row, places, by in zip(sample, moving, moved[:, :, half]):
            row[places] += sign * by
    return torch.softmax(torch.from_numpy(samples), -1).numpy()


@pytest.mark.parametrize('classes, most', [(4, 4), (40, 8), (40, 40)])
@pytest.mark.parametrize('tau', [1e-4, 0.1, 30.0])
def test_summary_is_that_of_the_members(classes, most, tau):
    generator = torch.Generator().manual_seed(8)
    logits = torch.randn(6, classes, generator=generator) * 4
    features = torch.randn(6, 20, generator=generator)
    factors = fit_factors(torch.randn(300, classes, generator=generator).numpy() * 4,
                          torch.randn(300, 20, generator=generator).numpy())
    predictive = LaplacePredictive(replace(factors, tau=tau, temperature=1.5), most_classes=most)
    for chosen in (slice(None), slice(0, 1)):
        members = members_of(predictive, logits[chosen], features[chosen], most)
        mean, entropies = predicted(predictive, logits[chosen], features[chosen])
        np.testing.assert_allclose(mean, members.mean(axis=0), atol=1e-6, rtol=1e-4)
        for one, other in zip(entropies, normalised_entropies(members)):
            np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-4)
        quick = predictive.mutual_information(below_highest(logits[chosen].numpy()),
                                              predictive.scales(features[chosen]))
        assert quick == pytest.approx(entropies.mutual_information.tolist(), abs=1e-5)


@pytest.mark.parametrize('most', [4, 40])
@pytest.mark.parametrize('tau', [1e-30, 1e-6])
def test_logits_that_may_move_any_way_are_still_probabilities(tau, most):
    """With all classes far up or far down in a sample, exp of a logit is infinite or 0."""
    generator = torch.Generator().manual_seed(10)
    logits = torch.randn(5, 40, generator=generator) * 40
    features = torch.rand(5, 20, generator=generator) * 20
    factors = fit_factors(torch.randn(30, 40, generator=generator).numpy() * 40,
                          torch.randn(30, 20, generator=generator).numpy())
    predictive = LaplacePredictive(replace(factors, tau=tau), most_classes=most)
    mean, entropies = predicted(predictive, logits, features)
    np.testing.assert_allclose(mean.sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(mean, members_of(predictive, logits, features, most).mean(axis=0), atol=1e-5, rtol=1e-3)
    assert all(0 < value <= 1 for value in entropies.mutual_information)


def test_directions_taken_together_hardly_change_the_variance():
    generator = torch.Generator().manual_seed(9)
    features = torch.randn(200, 30, generator=generator) * torch.logspace(1, -9, 30)
    logits = torch.randn(200, C, generator=generator)
    laplace = replace(fit_factors(logits.numpy(), features.numpy()), tau=5.0)
    predictive = LaplacePredictive(laplace)
    assert predictive.vectors_a.shape[1] < 15  # and one more: what lies elsewhere
    np.testing.assert_allclose(np.square(predictive.scales(features)), logit_variances(laplace, features.numpy()),
                               rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize('spread', [1e1, 1e3, 1e6])
def test_variances_between_nodes_are_nearly_right(spread):
    a, b, tau = np.geomspace(1e-6 * spread, spread, 200), np.r_[0, np.geomspace(1e-4, 50, 100)], 2.0
    nodes = variance_nodes(a, b, tau, 16)
    weights = node_weights(a, nodes)
    assert len(nodes) <= 16
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    exact = 1 / (np.outer(a, b) + tau)
    found = weights @ (1 / (np.outer(nodes, b) + tau))
    apart = np.log(nodes[2:] / nodes[1:-1]).max() if len(nodes) > 2 else 0
    assert np.abs(found / exact - 1).max() <= apart ** 2 / 16 + 3e-3


def test_draws_at_nodes_have_the_variance_that_they_should_have_whatever_their_shares():
    draws = orthogonal_draws(16, 5, 7)
    shares = np.random.default_rng(1).random(5)
    np.testing.assert_allclose(np.square(draws @ np.sqrt(shares)).mean(axis=1), shares.sum())
    many = orthogonal_draws(16, 1, 20000)
    assert np.abs(many.mean()) < 0.01
    # One of 16 independent directions: kurtosis 3 * 16 / 18 instead of 3.
    assert np.mean(many ** 4) == pytest.approx(3 * 16 / 18, rel=0.03)


def test_information_with_many_classes_is_that_of_the_gaussian():
    """Against 20 000 draws of the full covariance of 60 classes, each of which moves."""
    generator = torch.Generator().manual_seed(11)
    logits, features = torch.randn(20, 60, generator=generator) * 3, torch.randn(20, 25, generator=generator)
    laplace = replace(fit_factors(torch.randn(500, 60, generator=generator).numpy() * 3,
                                  torch.randn(500, 25, generator=generator).numpy()), tau=3.0)
    covariance = covariance_of(laplace, features) + 1e-9 * torch.eye(60, dtype=torch.float64)
    torch.manual_seed(0)
    # MultivariateNormal.sample would repeat the factors for every draw: 12 GB.
    normal = torch.randn(20, 20000, 60, dtype=torch.float64)
    drawn = logits.double() + (normal @ torch.linalg.cholesky(covariance).mT).transpose(0, 1)
    expected = normalised_entropies(torch.softmax(drawn, -1).numpy())
    found = predicted(LaplacePredictive(laplace, samples=1024), logits, features)
    np.testing.assert_allclose(found.entropies.mutual_information, expected.mutual_information, rtol=0.1, atol=1e-3)
    few = predicted(LaplacePredictive(laplace), logits, features)  # as it runs: 32 samples
    assert few.entropies.mutual_information.mean() == pytest.approx(expected.mutual_information.mean(), rel=0.15)


@pytest.mark.parametrize('tau', [1e-3, 1.0, 1e3, 1e6])
def test_what_is_stored_without_directions_that_nothing_is_read_of_gives_the_same(tau):
    _, features, _, logits, _ = trained_head()
    laplace = replace(fit_factors(logits.numpy(), features.numpy()), tau=tau)
    small = trimmed(laplace)
    assert small.eigenvectors_a.shape == (len(laplace.eigenvectors_a), len(small.eigenvalues_a))
    z = below_highest(logits.numpy())
    np.testing.assert_allclose(logit_variances(small, features.numpy()), logit_variances(laplace, features.numpy()),
                               rtol=2e-2, atol=1e-9)
    wanted, given = (LaplacePredictive(one).mutual_information(z, LaplacePredictive(one).scales(features))
                     for one in (laplace, small))
    assert given == pytest.approx(wanted, abs=1e-5)
    if tau == 1e6:
        assert len(small.eigenvalues_a) < len(laplace.eigenvalues_a) / 2

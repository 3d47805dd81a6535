"""The last-layer Laplace approximation against laplace-torch, dense algebra and brute force."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from robot_vision_dl.core.errors import BundleError, RobotVisionError
from robot_vision_dl.core.uncertainty.entropy import normalised_entropies
from robot_vision_dl.core.uncertainty.laplace import (
    LaplacePredictive, choose_tau, fit_factors, logit_covariance, logit_variances, standard_normal_draws,
)

N, F, C = 200, 6, 4


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
    agrees('Laplace, covariance of logits', 'laplace-torch', logit_covariance(ours, features[:20]), covariance.detach(),
           rtol=1e-4, atol=1e-5)
    scales = LaplacePredictive(ours).scales(features[:20])  # as it runs, by factors
    agrees('Laplace, variances as they run', 'laplace-torch', (ours.eigenvectors_b.square() @ scales.square().T).T,
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
    torch.testing.assert_close(logit_covariance(ours, features[7:8])[0].double(), expected, rtol=1e-4, atol=1e-5)


def test_samples_have_the_mean_and_variance_of_the_gaussian():
    _, features, _, logits, _ = trained_head(2)
    laplace = replace(fit_factors(logits.numpy(), features.numpy()), tau=1.0)
    draws = standard_normal_draws(4096, C)
    torch.testing.assert_close(draws.mean(0), torch.zeros(C), atol=1e-6, rtol=0)
    torch.testing.assert_close(draws.square().mean(0), torch.ones(C), atol=1e-5, rtol=0)
    members = LaplacePredictive(laplace, samples=4096).members(logits[:5], features[:5])
    torch.manual_seed(0)
    normal = torch.distributions.MultivariateNormal(logits[:5].double(),
                                                    logit_covariance(laplace, features[:5]).double())
    expected = torch.softmax(normal.sample((200000,)), -1).mean(0)
    torch.testing.assert_close(members.mean(0).double(), expected, atol=4e-3, rtol=0)


def test_entropies_add_up_and_vanish_without_variance():
    _, features, _, logits, _ = trained_head(3)
    factors = fit_factors(logits.numpy(), features.numpy())
    mean, entropies = LaplacePredictive(replace(factors, tau=1.0))(logits, features)
    torch.testing.assert_close(mean.sum(-1), torch.ones(N))
    torch.testing.assert_close(entropies.predictive, entropies.expected + entropies.mutual_information)
    assert entropies.mutual_information.min() >= 0
    mean, entropies = LaplacePredictive(replace(factors, tau=1e12))(logits, features)
    torch.testing.assert_close(mean, torch.softmax(logits, -1), atol=1e-5, rtol=0)
    assert entropies.mutual_information.max() < 1e-5


def test_what_lies_far_from_training_is_more_uncertain():
    _, features, _, logits, _ = trained_head(4)
    laplace = replace(fit_factors(logits.numpy(), features.numpy()), tau=1.0)
    near, far = LaplacePredictive(laplace)(logits, features)[1], LaplacePredictive(laplace)(logits, features * 10)[1]
    assert far.mutual_information.mean() > 3 * near.mutual_information.mean()


def test_relabelling_classes_and_shifting_logits_change_nothing():
    _, features, _, logits, _ = trained_head(5)
    order = torch.tensor([2, 0, 3, 1])
    one, other, shifted = (
        LaplacePredictive(replace(fit_factors(z.numpy(), features.numpy()), tau=1.0), samples=8192)(z[:9], features[:9])
        for z in (logits, logits[:, order], logits + 100))
    torch.testing.assert_close(one[0][:, order], other[0], atol=5e-3, rtol=0)
    torch.testing.assert_close(one[1].mutual_information, other[1].mutual_information, atol=5e-3, rtol=0)
    torch.testing.assert_close(one[0], shifted[0], atol=1e-4, rtol=0)


def test_moving_the_likely_classes_only_hardly_differs_where_the_others_are_unlikely():
    generator = torch.Generator().manual_seed(6)
    logits = torch.randn(50, 100, generator=generator) * 4
    features = torch.randn(50, 20, generator=generator)
    laplace = replace(fit_factors(logits.numpy(), features.numpy()), tau=50.0)
    whole = LaplacePredictive(laplace, most_classes=100)(logits, features)
    some = LaplacePredictive(laplace, most_classes=32)(logits, features)
    assert whole[1].mutual_information.mean() > 0.005
    torch.testing.assert_close(some[1].mutual_information, whole[1].mutual_information, atol=2e-3, rtol=0)
    torch.testing.assert_close(some[0], whole[0], atol=5e-3, rtol=0)


def test_prior_precision_is_chosen_on_held_out_pictures():
    _, features, _, logits, _ = trained_head(6)
    rng = np.random.default_rng(0)
    # Logits eight times too large are overconfident; uncertain weights are one way to mend that.
    labels = np.array([rng.choice(C, p=row) for row in torch.softmax(logits.double(), -1).numpy()])
    factors = fit_factors(8 * logits.numpy(), features.numpy())
    chosen, loss = choose_tau(factors, 8 * logits.numpy(), features.numpy(), labels)
    plain = nn.functional.cross_entropy(8 * logits, torch.from_numpy(labels)).item()
    assert loss < plain - 0.05
    assert logit_variances(chosen, features).mean() > 0.1
    factors = fit_factors(logits.numpy(), features.numpy())
    calibrated, loss = choose_tau(factors, logits.numpy(), features.numpy(), labels)
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
        replace(factors, eigenvalues_a=torch.ones(3))


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
        members = predictive.members(logits[chosen], features[chosen])
        mean, entropies = predictive(logits[chosen], features[chosen])
        torch.testing.assert_close(mean, members.mean(0), atol=1e-6, rtol=1e-4)
        for one, other in zip(entropies, normalised_entropies(members)):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        quick = predictive.mutual_information(logits[chosen], features[chosen])
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
    mean, entropies = predictive(logits, features)
    torch.testing.assert_close(mean.sum(-1), torch.ones(5))
    torch.testing.assert_close(mean, predictive.members(logits, features).mean(0), atol=1e-5, rtol=1e-3)
    information = predictive.mutual_information(logits, features)
    assert all(0 < value <= 1 for value in information)
    assert information == pytest.approx(entropies.mutual_information.tolist(), abs=1e-4)


def test_directions_taken_together_hardly_change_the_variance():
    generator = torch.Generator().manual_seed(9)
    features = torch.randn(200, 30, generator=generator) * torch.logspace(1, -9, 30)
    logits = torch.randn(200, C, generator=generator)
    laplace = replace(fit_factors(logits.numpy(), features.numpy()), tau=5.0)
    predictive = LaplacePredictive(laplace)
    assert predictive._vectors_a.shape[1] < 16
    scale = predictive._scaled_draws(features)[0] / predictive._draws[0]
    torch.testing.assert_close(scale.square(), logit_variances(laplace, features), rtol=1e-2, atol=1e-6)

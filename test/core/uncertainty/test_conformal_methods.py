"""Conformal sets of all kinds against MAPIE, and their promise on data whose truth is known."""
import numpy as np
import pytest

from robot_vision_dl.core.errors import BundleError, ConfigError
from robot_vision_dl.core.uncertainty.adaptive import AdaptiveConformal
from robot_vision_dl.core.uncertainty.conformal import (
    CONFORMAL_METHODS,
    Conformal,
    choose_regularisation,
    class_scores,
    coverage_and_size,
    fit_conformal,
    quantile,
)

C = 6


def draw(n, seed, concentration=0.5):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(C, concentration), n)
    return p, (p.cumsum(1) < rng.random((n, 1))).sum(1).clip(0, C - 1)


def mapie_sets(kind, p, y, new, alphas):
    """MAPIE's conformity score object and its sets (n, C, number of alphas) over given probabilities."""
    classification = pytest.importorskip('mapie.classification')
    scores = pytest.importorskip('mapie.conformity_scores')
    base = pytest.importorskip('sklearn.base')

    class Given(base.ClassifierMixin, base.BaseEstimator):
        classes_ = np.arange(C)

        def fit(self, x, y):
            return self

        def predict_proba(self, x):
            return x

        def predict(self, x):
            return x.argmax(1)

        def __sklearn_is_fitted__(self):
            return True

    score = {'lac': scores.LACConformityScore, 'aps': scores.APSConformityScore, 'raps': scores.RAPSConformityScore
             }[kind]()
    theirs = classification.SplitConformalClassifier(
        Given(), confidence_level=[1 - alpha for alpha in alphas], conformity_score=score, random_state=3)
    theirs.conformalize(p, y)
    options = {} if kind == 'lac' else {'conformity_score_params': {'include_last_label': kind == 'aps'}}
    return score, theirs.predict_set(new, **options)[1], theirs._mapie_classifier.conformity_scores_


def members(conformal, p):
    sets = np.zeros(p.shape, bool)
    for row, one in zip(sets, p):
        row[list(conformal.set_of(one)[0])] = True
    return sets


@pytest.mark.parametrize('kind', ['lac', 'aps', 'raps'])
def test_sets_agree_with_mapie(kind, agrees):
    (p, y), (new, _) = draw(500, 0), draw(300, 1)
    alphas = (0.1, 0.2, 0.05)
    score, sets, scores = mapie_sets(kind, p, y, new, alphas)
    for place, alpha in enumerate(alphas):
        limit = float(score.quantiles_[place])
        if kind == 'raps':  # on theirs, since they draw the pictures that choose it
            ours = Conformal(kind, alpha, (limit,), float(score.lambda_star[place]), int(score.k_star[place]))
        elif kind == 'aps':
            u = np.random.RandomState(3).uniform(size=len(p))
            drawn = class_scores(p, 'aps', draws=u)[np.arange(len(p)), y]
            agrees('conformal scores, APS', 'MAPIE', drawn, scores[:, 0], atol=1e-15)
            assert quantile(drawn, alpha) == pytest.approx(limit, abs=1e-15)
            ours = Conformal(kind, alpha, (limit,))
        else:
            ours = fit_conformal(p, y, alpha)
            agrees('conformal threshold, LAC', 'MAPIE', ours.thresholds[0], limit, atol=1e-15)
        if kind == 'raps':  # without drawing, theirs counts a class's own probability
            found = class_scores(new, kind, ours.penalty, ours.free, draws=np.zeros(len(new))) <= limit
            found[np.arange(len(new)), new.argmax(1)] = True
        else:
            found = members(ours, new)
        agrees(f'conformal sets, {kind.upper()}', 'MAPIE', found, sets[:, :, place])


@pytest.mark.parametrize('method', CONFORMAL_METHODS)
@pytest.mark.parametrize('alpha', [0.05, 0.1, 0.3])
def test_promise_is_kept_within_its_band(method, alpha):
    # Coverage given the calibration pictures is Beta(n + 1 - l, l), l = floor((n + 1) alpha) (Vovk 2012), and the test
    # pictures add a binomial; four standard deviations of both.
    n = m = 3000
    (p, y), (new, labels) = draw(n, 2), draw(m, 3)
    fitted = fit_conformal(p, y, alpha, method)
    coverage, size = coverage_and_size(fitted.inside(new), labels, new)
    used = n * 4 // 5 if method == 'raps' else n
    band = 4 * np.sqrt(alpha * (1 - alpha) * (1 / used + 1 / m))
    assert coverage >= 1 - alpha - band
    if method in ('lac', 'per_class'):  # the others always have the best class, so they may cover more
        assert coverage <= 1 - alpha + band + (0.01 if method == 'per_class' else 0)
    assert 1 <= size <= C
    np.testing.assert_array_equal(members(fitted, new[:200]).sum(1), fitted.inside(new[:200]).sum(1).clip(1))


def test_randomised_scores_are_exact():
    (p, y), (new, labels) = draw(4000, 4), draw(4000, 5)
    rng = np.random.default_rng(0)
    limit = quantile(class_scores(p, 'aps', draws=rng.random(4000))[np.arange(4000), y], 0.1)
    inside = class_scores(new, 'aps', draws=rng.random(4000)) <= limit
    assert inside[np.arange(4000), labels].mean() == pytest.approx(0.9, abs=0.02)


def test_per_class_holds_for_a_class_that_is_often_missed():
    p, y = draw(6000, 6)
    # Class 0 is called class 1 half the time by a network that does not know it.
    p = p.copy()
    p[y == 0, 0] *= 0.1
    p /= p.sum(1, keepdims=True)
    fit, judge = slice(0, 3000), slice(3000, None)
    plain, each = (fit_conformal(p[fit], y[fit], 0.1, method) for method in ('lac', 'per_class'))
    rare = np.flatnonzero(y[judge] == 0)
    assert plain.inside(p[judge])[rare, 0].mean() < 0.8
    assert each.inside(p[judge])[rare, 0].mean() > 0.86


def test_regularisation_cuts_the_largest_sets():
    rng = np.random.default_rng(7)
    classes, n = 100, 4000
    logits = rng.normal(size=(n, classes)) * 0.5
    y = rng.integers(classes, size=n)
    logits[np.arange(n), y] += rng.exponential(4, n)
    p = np.exp(logits)
    p /= p.sum(1, keepdims=True)
    fit, judge = slice(0, 2000), slice(2000, None)
    sizes = {method: coverage_and_size(fit_conformal(p[fit], y[fit], 0.1, method).inside(p[judge]), y[judge], p[judge])
             for method in ('aps', 'raps', 'lac')}
    assert sizes['raps'][1] < 1.3 * sizes['aps'][1]
    assert sizes['raps'][0] > 0.87
    assert 1 <= choose_regularisation(p[fit], y[fit], 0.1)[1] <= classes
    largest = [fit_conformal(p[fit], y[fit], 0.1, 'raps', penalty, 5).inside(p[judge]).sum(1).max()
               for penalty in (0.0, 0.01, 0.1)]
    assert largest[0] > largest[1] > largest[2]


@pytest.mark.parametrize('method', CONFORMAL_METHODS)
def test_relabelling_classes_relabels_the_sets(method):
    (p, y), (new, _) = draw(400, 8), draw(50, 9)
    order = np.array([4, 2, 0, 5, 1, 3])
    one = fit_conformal(p, y, 0.1, method)
    other = fit_conformal(p[:, order], order.argsort()[y], 0.1, method)
    np.testing.assert_array_equal(members(other, new[:, order]), members(one, new)[:, order])


def test_too_few_pictures_promise_every_class():
    p, y = draw(8, 10)
    for method in CONFORMAL_METHODS:
        assert len(fit_conformal(p, y, 0.1, method).set_of(p[0])[0]) == C


@pytest.mark.parametrize('method', ['lac', 'aps'])
def test_adaptive_sets_hold_their_rate_under_drift(method):
    rng = np.random.default_rng(11)
    calibration, stream = draw(500, 12, 0.2), draw(4000, 13, 0.2)
    adaptive = AdaptiveConformal(0.1, gamma=0.02, method=method)
    adaptive.begin_with(*calibration)
    fixed = fit_conformal(*calibration, 0.1, method)
    missed, missed_fixed = [], []
    for t, (p, y) in enumerate(zip(*stream)):
        if t > 500 and rng.random() < 0.3:  # the network is wrong ever more often
            y = rng.integers(C)
        missed_fixed.append(y not in fixed.set_of(p)[0])
        missed.append(not adaptive.learn(p, y))
    assert np.mean(missed_fixed[500:]) > 0.13
    bound = (0.9 + 0.02) / (0.02 * len(missed))
    assert abs(np.mean(missed) - 0.1) <= bound + 1e-12


def test_adaptive_levels_beyond_the_range_are_all_or_nothing():
    adaptive = AdaptiveConformal(0.1)
    p = np.array([0.5, 0.2, 0.3])
    assert adaptive.set_of(p) == (0, 2, 1)  # nothing known yet
    adaptive.level = -0.01
    assert adaptive.set_of(p) == (0, 2, 1)
    adaptive.level = 1.01
    assert adaptive.set_of(p) == ()


def test_what_cannot_be_is_refused():
    with pytest.raises(BundleError, match="no method 'magic'; there are lac"):
        Conformal('magic', 0.1, (0.5,))
    with pytest.raises(BundleError, match=r'one threshold, or one a class for per_class; got 0.1 and 2'):
        Conformal('aps', 0.1, (0.5, 0.5))
    with pytest.raises(ConfigError, match="no conformal method 'magic'"):
        class_scores(np.ones((1, 2)), 'magic')
    with pytest.raises(ConfigError, match='gamma above 0'):
        AdaptiveConformal(0.1, gamma=0)
    with pytest.raises(ConfigError, match='per_class has no stream'):
        AdaptiveConformal(0.1, method='per_class')

"""Calibration from a handful of pictures: never worse by cross-validation, never sure of what it has not seen."""
import numpy as np
import pytest

from robot_vision_dl.core.metrics.proper_scores import negative_log_likelihood
from robot_vision_dl.core.uncertainty.calibrate import calibrate
from robot_vision_dl.core.uncertainty.scaling import (
    AS_BEFORE,
    FITS,
    PLAIN,
    ScalingBefore,
    choose_scaling,
    folds,
    is_clear,
    softmax,
    vector_scaled,
)
from robot_vision_dl.core.uncertainty.temperature import (
    MIN_TEMPERATURE,
    PRIOR_SPREAD,
    fit_temperature,
)
from robot_vision_dl.core.uncertainty.vector import VectorScaling


def loss_of(logits, labels, temperature=1.0):
    return negative_log_likelihood(softmax(logits, temperature), labels)


def outputs(n, seed, sharpness=4.0, temperature=1.0, classes=5):
    """Logits of a network that is calibrated at ``temperature``: the larger the sharpness, the more are right."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (n, classes)) * sharpness
    p = softmax(logits, 1.0)
    return logits * temperature, (p.cumsum(1) < rng.random((n, 1))).sum(1).clip(0, classes - 1)


def sure(n, seed, classes=5):
    """A network that has everything right so far, with a margin: what five gestures from short bags look like."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    logits = rng.normal(0, 1, (n, classes))
    logits[np.arange(n), labels] = logits.max(axis=1) + rng.uniform(1.0, 4.0, n)
    return logits, labels


@pytest.mark.parametrize('n', [10, 22, 53])
def test_pictures_that_are_all_right_do_not_make_a_network_certain(n):
    logits, labels = sure(n, 0)
    assert fit_temperature(logits, labels) == MIN_TEMPERATURE  # what the likelihood alone says
    found = choose_scaling(logits, labels, 'auto')
    assert 0.3 < found.temperature <= 1.0
    # One mistake among what comes next must not cost more than it has to.
    once = logits.copy()
    once[0] = np.roll(once[0], 1)
    assert loss_of(once, labels, found.temperature) < 2 * loss_of(once, labels)
    assert loss_of(once, labels, MIN_TEMPERATURE) > 5 * loss_of(once, labels)


def test_a_network_that_is_sure_already_is_not_made_surer_by_pictures_that_are_all_right():
    logits, labels = sure(22, 1)
    logits[np.arange(22), labels] += 5.0
    found = choose_scaling(logits, labels, 'temperature')
    assert found.log_likelihood['temperature'].mean() > found.log_likelihood[PLAIN].mean()  # so it passes that
    assert found.name == PLAIN and found.temperature == 1.0
    assert 'makes the network surer, and one mistake' in found.note and '22' in found.note


@pytest.mark.parametrize('temperature', [0.3, 1.0, 3.0])
def test_the_prior_is_worth_a_few_pictures(temperature):
    logits, labels = outputs(3000, 1, 2.0, temperature)
    assert fit_temperature(logits, labels, PRIOR_SPREAD) == pytest.approx(fit_temperature(logits, labels), rel=0.01)
    few = fit_temperature(logits[:12], labels[:12], PRIOR_SPREAD)
    assert abs(np.log(few)) <= abs(np.log(fit_temperature(logits[:12], labels[:12]))) + 1e-9
    assert fit_temperature(logits[:12], labels[:12], 1e-3) == pytest.approx(1.0, abs=0.01)


def test_the_most_probable_temperature_is_that_of_a_fine_grid():
    for n, seed, temperature in ((10, 2, 1.0), (25, 3, 4.0), (60, 4, 0.3)):
        logits, labels = outputs(n, seed, 3.0, temperature)
        grid = np.geomspace(0.05, 20, 4000)
        loss = [n * loss_of(logits, labels, t) + 0.5 * (np.log(t) / PRIOR_SPREAD) ** 2 for t in grid]
        assert fit_temperature(logits, labels, PRIOR_SPREAD) == pytest.approx(grid[int(np.argmin(loss))], rel=3e-3)


def test_folds_judge_each_picture_once_and_spread_the_classes():
    labels = np.array([0] * 15 + [1] * 10 + [2] * 5)
    repeats = folds(labels, 3)
    assert len(repeats) == 4
    for division in repeats:
        assert sorted(np.concatenate([judged for _, judged in division])) == list(range(30))
        for fitted, judged in division:
            assert not set(fitted) & set(judged)
            assert np.bincount(labels[judged]).tolist() == [3, 2, 1]
    assert [judged.tolist() for division in folds(labels, 3) for _, judged in division] == [
        judged.tolist() for division in repeats for _, judged in division]
    assert all(len(judged) for division in folds(np.array([0, 1, 1])) for _, judged in division)


@pytest.mark.parametrize('wish, draws, most', [('temperature', 20, 0.1), ('vector', 6, 0.2), ('auto', 6, 0.1)])
def test_over_random_small_sets_nothing_that_is_kept_is_worse_by_cross_validation(wish, draws, most):
    """And on many other pictures, it costs little where it costs anything; the likelihood alone costs a lot."""
    rng = np.random.default_rng(7)
    losses, alone = [], []
    for draw in range(draws):
        n, sharpness, temperature = int(rng.integers(10, 61)), rng.uniform(1, 8), np.exp(rng.uniform(-1, 1))
        logits, labels = outputs(n, 100 + draw, sharpness, temperature)
        found = choose_scaling(logits, labels, wish, draw)
        kept, plain = (found.log_likelihood[name].mean() for name in (found.name, PLAIN))
        assert kept >= plain
        assert (found.name == PLAIN) == (found.temperature == 1.0 and found.vector is None)
        assert bool(found.note) == (found.name == PLAIN or (wish == 'vector' and found.name != 'vector'))
        others, truth = outputs(4000, 500 + draw, sharpness, temperature)
        before = loss_of(others, truth)
        if found.vector is None:
            after = loss_of(others, truth, found.temperature)
        else:
            after = loss_of(found.vector(others), truth)
        losses.append(after - before)
        alone.append(loss_of(others, truth, fit_temperature(logits, labels)) - before)
    assert np.mean(losses) < (0.02 if wish == 'vector' else 0)
    assert max(losses) < most
    assert wish != 'temperature' or max(alone) > 1.3 * max(losses)


def test_what_is_left_out_is_said_with_both_figures():
    for seed in range(40):
        logits, labels = outputs(20, seed, 3.0, 1.0)
        found = choose_scaling(logits, labels, 'temperature', seed)
        if found.name == PLAIN and 'worse' in found.note:
            break
    assert found.temperature == 1.0 and found.vector is None
    assert found.note.startswith('temperature scaling is left out: by cross-validation on 20 pictures')
    before, after = (float(text) for text in found.note.rpartition(', ')[2].split(' -> '))
    assert before < after
    features = np.random.default_rng(0).normal(size=(20, 4))
    whole = calibrate(logits, features, labels, seed=seed, ood=None)
    assert whole.notes == (found.note,) and whole.temperature == 1.0
    assert whole.metrics['nll'] == whole.metrics['nll_plain']


def test_the_figures_of_a_calibration_are_never_worse_than_before():
    for seed in range(4):
        logits, labels = outputs(20 + 10 * seed, seed, 4.0, 1.0)
        m = calibrate(logits, np.zeros((len(labels), 3)), labels, ood=None, seed=seed, scaling='auto').metrics
        assert m['nll'] <= m['nll_plain'] + 1e-9
        assert set(m['nll_by_scaling']) == {PLAIN, *FITS}
        assert sum(m['pictures_by_class']) == m['pictures'] == len(labels)


def test_few_pictures_keep_the_scaling_that_was_fitted_to_others_before():
    """Unless they show it to be clearly wrong: 40 as surely too sure as these do, and then the prior lies around it."""
    rng = np.random.default_rng(0)

    def drawn(n, temperature):
        z = rng.normal(size=(n, 5)) * 3
        p = softmax(z, temperature)
        return z, np.array([rng.choice(5, p=one) for one in p])
    before = ScalingBefore(1.6)
    kept = [choose_scaling(*drawn(40, 1.6), 'auto', seed, before) for seed in range(10)]
    assert sum(one.name == AS_BEFORE and one.temperature == 1.6 for one in kept) >= 8
    assert all('what was fitted before stays, temperature 1.6000' in one.note for one in kept if one.name == AS_BEFORE)
    z, y = drawn(40, 1.6)
    as_before = next(one for one in kept if one.name == AS_BEFORE)
    np.testing.assert_array_equal(as_before.fit(z, y)(z), softmax(z, 1.6))
    z, y = drawn(60, 8.0)
    other = choose_scaling(z, y, 'temperature', 0, before)
    assert other.name == 'temperature' and other.temperature > 3
    assert other.temperature > choose_scaling(z, y, 'temperature', 0).temperature  # the prior is around 1.6, not 1
    many = choose_scaling(*drawn(3000, 1.6), 'temperature', 0, before)
    assert many.temperature == pytest.approx(1.6, rel=0.1)
    vector = ScalingBefore(1.2, VectorScaling(np.full(5, 0.5, np.float32), np.zeros(5, np.float32)))
    stays = choose_scaling(*drawn(40, 2.0), 'auto', 0, vector)
    assert stays.name == AS_BEFORE and stays.vector is vector.vector and stays.temperature == 1.2


def test_folds_keep_objects_whole():
    objects = np.repeat(np.arange(12), 7)
    labels = objects % 3
    for division in folds(labels, 1, objects):
        assert len(division) == 5 and sorted(np.concatenate([judged for _, judged in division])) == list(range(84))
        for fitted, judged in division:
            assert not set(objects[fitted]) & set(objects[judged]) and len(fitted) + len(judged) == 84
    assert len(folds(labels, 1, objects % 2)[0]) == 2  # two objects, two parts
    assert [j.tolist() for _, j in folds(labels, 1, objects * 0)[0]] == [j.tolist() for _, j in folds(labels, 1)[0]]


def test_a_difference_of_few_objects_is_not_clear_however_many_pictures_show_it():
    objects = np.repeat(np.arange(8), 50)
    gain = np.repeat([1.0, -0.6, 0.8, -0.5, 0.9, -0.4, 0.3, -0.2], 50)
    assert is_clear(gain) != is_clear(gain, objects) and not is_clear(gain, objects)
    assert is_clear(gain, np.arange(400)) == is_clear(gain)


@pytest.mark.parametrize('seed', range(4))
def test_a_vector_that_knows_the_objects_of_a_video_by_heart_is_left_out(seed):
    """20 objects in view for 40 frames each: what is fitted to some frames is right on the others, and on no other."""
    rng = np.random.default_rng(seed)
    classes, count, frames = 5, 20, 40

    def drawn(k):
        y = rng.integers(0, classes, k)
        z = rng.normal(0, 1, (k, classes))
        z[np.arange(k), y] += 1.5
        return z, y
    means, y = drawn(count)
    z = np.repeat(means, frames, axis=0) + rng.normal(0, 0.1, (count * frames, classes))
    labels, objects = np.repeat(y, frames), np.repeat(np.arange(count), frames)
    other_z, other_y = drawn(4000)

    def loss(found):
        p = softmax(other_z, found.temperature) if found.vector is None else vector_scaled(other_z, found.vector)
        return -np.log(p[np.arange(4000), other_y]).mean()
    apart, together = choose_scaling(z, labels, 'auto', objects=objects), choose_scaling(z, labels, 'auto')
    assert together.name == 'vector' and apart.name != 'vector'
    assert loss(apart) < loss(together) - 0.02

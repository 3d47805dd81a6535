"""The choice among scores: figures against scikit-learn and by hand, and planted cases with a known best score."""
import numpy as np
import pytest
import torch

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.uncertainty.ood.base import LinearHead
from robot_vision_dl.core.uncertainty.ood.p_value import ood_method
from robot_vision_dl.core.uncertainty.ood.selection import (
    LEFT_OUT,
    Pictures,
    choose_ood,
    split_groups,
)
from robot_vision_dl.core.uncertainty.ood.sensor_faults import sensor_fault_pictures

CLASSES, FEATURES = 4, 16


def network(n, seed, where=None):
    """Known pictures lie in the first eight dimensions, one class each pair; OOD ones as ``where`` says."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (n,), generator=generator)
    features = 0.3 * torch.randn(n, FEATURES, generator=generator)
    features[:, 8:] *= 0.1
    if where is None:
        features[torch.arange(n), 2 * labels] += 4
    elif where == 'outside':  # as confident as known ones, but in other dimensions as well
        features[torch.arange(n), 2 * labels] += 4
        features[:, 8:] += 1
    else:  # weak
        features[torch.arange(n), 2 * labels] += 1
    weight = torch.zeros(CLASSES, FEATURES)
    weight[torch.arange(CLASSES), 2 * torch.arange(CLASSES)] = 2
    head = LinearHead(weight, torch.zeros(CLASSES))
    return Pictures(features @ weight.T, features, labels if where is None else None), head


def test_takes_what_tells_the_foreign_pictures_given():
    fitted, head = network(300, 0)
    held_out, _ = network(200, 1)
    outside = choose_ood(fitted, held_out, {'outside': network(100, 2, 'outside')[0]}, head)
    assert outside.method in ('mahalanobis', 'vim', 'relative_mahalanobis', 'knn')
    assert outside.auroc['energy']['outside'] < 0.7
    assert outside.auroc[outside.method]['outside'] > 0.99
    assert f'{outside.method} had the largest mean AUROC' in outside.reason
    assert '100 pictures of no class (outside)' in outside.reason
    weak = choose_ood(fitted, held_out, {'weak': network(100, 3, 'weak')[0]}, head)
    assert weak.method == 'energy'  # all do: the cheapest


def test_leaves_classes_out_where_there_are_no_foreign_pictures():
    fitted, head = network(300, 4)
    held_out, _ = network(200, 5)
    choice = choose_ood(fitted, held_out, None, head)
    assert set(choice.auroc) == {'energy', 'max_logit', 'max_softmax', 'react', 'vim', 'mahalanobis',
                                 'relative_mahalanobis', 'knn'}
    assert choice.auroc[choice.method][LEFT_OUT] > 0.95
    assert '4 classes, each left out in turn' in choice.reason


def test_pictures_of_a_camera_at_fault_count_as_much_as_the_rest():
    fitted, head = network(300, 10)
    held_out, _ = network(200, 11)
    faulty = {'covered lens': network(50, 12, 'outside')[0]}  # as sure as known ones, for scores of logits
    alone, both = choose_ood(fitted, held_out, None, head), choose_ood(fitted, held_out, None, head, faulty=faulty)
    assert both.auroc[both.method]['covered lens'] > 0.99
    assert both.auroc['energy']['covered lens'] < 0.7
    assert set(alone.auroc['energy']) == {LEFT_OUT}
    assert 'camera at fault (covered lens)' in both.reason
    few = network(4, 13)[0]
    assert choose_ood(fitted, few, None, head, faulty=faulty).auroc['knn'].keys() == {'covered lens'}


def test_of_scores_that_rank_alike_the_one_that_calls_faults_unknown_is_taken():
    fitted, head = network(300, 14)
    held_out, _ = network(400, 15)
    faulty = {'covered lens': network(50, 16, 'weak')[0]}
    choice = choose_ood(fitted, held_out, None, head, faulty=faulty)
    known, ood_pictures = (ood_method(choice.method).fit(fitted.logits, fitted.features, fitted.labels, head)(
        one.logits, one.features) for one in (held_out, faulty['covered lens']))
    assert np.mean(ood_pictures > np.quantile(known, 0.99)) > 0.9
    assert f'{choice.method} had the largest mean of AUROC and share called unknown' in choice.reason


def test_pictures_of_a_camera_at_fault_are_what_they_are_called():
    for channels in (3, 1):
        groups = sensor_fault_pictures((24, 32), channels, count=5, seed=1)
        assert set(groups) == {'covered lens', 'overexposed', 'blank wall', 'noise'}
        for pictures in groups.values():
            for picture in pictures:
                assert picture.pixels.dtype == np.uint8
                assert picture.pixels.shape == ((24, 32, 3) if channels == 3 else (24, 32))
        mean = {name: np.mean([picture.pixels for picture in pictures]) for name, pictures in groups.items()}
        assert mean['covered lens'] < 15
        assert mean['overexposed'] > 240
        assert np.std(groups['noise'][0].pixels) > 60
        assert np.std(groups['blank wall'][0].pixels[..., 0] if channels == 3 else groups['blank wall'][0].pixels) < 30
    again = sensor_fault_pictures((24, 32), 1, count=5, seed=1)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(again['noise'], groups['noise']))


def test_candidates_without_a_linear_head():
    fitted, _ = network(300, 6)
    held_out, _ = network(200, 7)
    assert {'vim', 'react'}.isdisjoint(choose_ood(fitted, held_out).auroc)
    assert choose_ood(fitted, held_out, methods=['knn', 'vim']).method == 'knn'
    with pytest.raises(ConfigError, match='need a linear head'):
        choose_ood(fitted, held_out, methods=['vim'])


def test_too_few_pictures_to_compare():
    fitted, head = network(40, 8)
    choice = choose_ood(fitted, network(4, 9)[0], None, head)
    assert (choice.method, choice.auroc) == ('energy', {})
    assert 'too few pictures' in choice.reason


def test_halves_of_groups_share_nothing():
    group = Pictures.of(np.arange(7)[:, None], np.arange(7)[:, None])
    first, second = split_groups({'a': group}, seed=1)
    assert sorted([*first['a'].logits[:, 0].tolist(), *second['a'].logits[:, 0].tolist()]) == list(range(7))

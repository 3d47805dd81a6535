"""The choice among scores: figures against scikit-learn and by hand, and planted cases with a known best score."""
import numpy as np
import pytest
import torch

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.uncertainty.ood.base import LinearHead
from robot_vision_dl.core.uncertainty.ood.part import Part
from robot_vision_dl.core.uncertainty.ood.pictures import Pictures
from robot_vision_dl.core.uncertainty.ood.selection import (
    CANDIDATES,
    LEFT_OUT,
    _decide,
    _Found,
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
    assert outside.method == 'combined'
    assert outside.parts == (Part('mahalanobis_normalised'), Part('knn'), Part('energy'))
    assert outside.auroc['energy']['outside'] < 0.7
    assert outside.auroc['combined']['outside'] > 0.99
    assert 'on 100 pictures of no class (outside) its mean of AUROC and share called unknown is 1.000' in outside.reason
    assert 'out, for they call far fewer of a group unknown than others do: energy (outside 0.0' in outside.reason
    weak = choose_ood(fitted, held_out, {'weak': network(100, 3, 'weak')[0]}, head,
                      methods=('energy', 'max_logit', 'react'))
    assert weak.method == 'energy'  # all do: the cheapest


def undecided(n, seed):
    """Known features, and logits all alike with the energy of known ones, as no head of them would have it."""
    pictures = network(n, seed)[0]
    alike = (pictures.logits.logsumexp(1) - np.log(CLASSES))[:, None].expand(-1, CLASSES)
    return Pictures(alike.contiguous(), pictures.features)


def test_a_single_score_is_taken_where_it_is_clearly_better():
    fitted, head = network(300, 0)
    held_out, _ = network(200, 1)
    choice = choose_ood(fitted, held_out, {'hidden': undecided(100, 2)}, head)
    assert choice.method in ('max_logit', 'max_softmax') and choice.parts == (Part(choice.method),)
    assert 'combined (hidden 0.0' in choice.reason


def test_the_worst_group_decides_and_not_the_mean():
    found = {'combined': {'a': _Found(0.9, 0.77), 'b': _Found(0.9, 0.7)},
             'energy': {'a': _Found(1, 1), 'b': _Found(0.8, 0.6)}}
    assert _decide(found, ['a, b'], True)[0] == 'combined'
    found['knn'] = {'a': _Found(0.95, 0.76), 'b': _Found(0.95, 0.76)}
    assert _decide(found, ['a, b'], True)[0] == 'knn'
    found['vim'] = {'a': _Found(1, 1), 'b': _Found(1, 1)}
    best, reason = _decide(found, ['a, b'], True)
    assert best == 'vim'
    assert 'combined (b 0.70 of at most 1.00)' in reason


def test_a_score_that_misses_a_fault_is_out_however_well_it_does_else():
    found = {'combined': {name: _Found(0.95, 0.9) for name in ('foreign', 'noise', 'dark')},
             'energy': {'foreign': _Found(1, 1), 'noise': _Found(1, 1), 'dark': _Found(0.99, 0.6)}}
    best, reason = _decide(found, ['all'], True)
    assert best == 'combined'
    assert 'energy (dark 0.60 of at most 0.90)' in reason


def test_without_foreign_pictures_the_combination_is_taken_unless_it_misses_a_fault():
    fitted, head = network(300, 10)
    held_out, _ = network(200, 11)
    alone = choose_ood(fitted, held_out, None, head)
    assert (alone.method, alone.auroc) == ('combined', {})
    faulty = {'covered lens': network(50, 12, 'outside')[0]}  # as sure as known ones, for scores of logits
    both = choose_ood(fitted, held_out, None, head, faulty=faulty)
    assert both.method == 'combined'
    assert both.auroc['combined']['covered lens'] > 0.99
    assert both.auroc['energy']['covered lens'] < 0.7
    assert 'camera at fault (covered lens)' in both.reason
    missed = choose_ood(fitted, held_out, None, head, faulty={**faulty, 'noise': undecided(50, 13)})
    assert 'each score misses a group' in missed.reason
    assert choose_ood(fitted, held_out, None, head, faulty={'noise': undecided(50, 13)}).method == 'max_softmax'


def test_few_pictures_do_not_unseat_the_combination():
    fitted, head = network(300, 20)
    held_out, _ = network(60, 21)
    by_faults = choose_ood(fitted, held_out, None, head, faulty={'noise': undecided(50, 22)})
    assert (by_faults.method, by_faults.auroc) == ('combined', {})
    many, _ = network(200, 23)
    by_one = choose_ood(fitted, many, {'unknown': undecided(1, 24)}, head)
    assert by_one.method == 'combined' and 'fewer than 9 pictures of no class (unknown) choose nothing' in by_one.reason


def test_leaves_classes_out_where_nothing_can_be_combined():
    fitted, head = network(300, 4)
    held_out, _ = network(200, 5)
    choice = choose_ood(fitted, held_out, None, head, methods=CANDIDATES)
    assert set(choice.auroc) == set(CANDIDATES)
    assert choice.auroc[choice.method][LEFT_OUT] > 0.95
    assert '4 classes, each left out in turn' in choice.reason
    few = network(20, 6)[0]
    assert set(choose_ood(few, held_out, None, head).auroc) == set(CANDIDATES)


def test_stages_take_part():
    fitted, head = network(300, 0)
    held_out, _ = network(200, 1)
    generator = torch.Generator().manual_seed(5)

    def staged(pictures, shift):
        stage = torch.rand(len(pictures), 6, generator=generator) + shift * torch.eye(6)[0]
        return Pictures(pictures.logits, pictures.features, pictures.labels, (stage,))
    ood_pictures = {'blue': staged(network(60, 2)[0], 8.0)}  # what only the stage sees
    choice = choose_ood(staged(fitted, 0), staged(held_out, 0), ood_pictures, head, stage_names=('early',))
    assert choice.parts[0] == Part('mahalanobis_normalised', 'early')
    assert choice.auroc['combined']['blue'] > 0.99
    assert choice.auroc['mahalanobis_normalised@early']['blue'] > 0.99
    assert choice.auroc['knn']['blue'] < 0.7


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
    assert {'vim', 'react'}.isdisjoint(choose_ood(fitted, held_out, {'a': network(50, 8, 'outside')[0]}).auroc)
    assert choose_ood(fitted, held_out, methods=['knn', 'vim']).method == 'knn'
    with pytest.raises(ConfigError, match='need a linear head'):
        choose_ood(fitted, held_out, methods=['vim'])


def test_too_few_pictures_to_compare():
    fitted, head = network(40, 8)
    choice = choose_ood(fitted, network(4, 9)[0], None, head, methods=CANDIDATES)
    assert (choice.method, choice.auroc) == ('energy', {})
    assert 'too few pictures' in choice.reason


def test_halves_of_groups_share_nothing():
    group = Pictures.of(np.arange(7)[:, None], np.arange(7)[:, None])
    first, second = split_groups({'a': group}, seed=1)
    assert sorted([*first['a'].logits[:, 0].tolist(), *second['a'].logits[:, 0].tolist()]) == list(range(7))

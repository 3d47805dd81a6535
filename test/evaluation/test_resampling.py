"""Intervals of figures that are not sums: each draw equals the figure of the frames that were drawn."""
from dataclasses import replace

import numpy as np
import pytest
from evaluation_samples import random_probabilities, table_of

from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.decision.decision import Policy
from robot_vision_dl.evaluation.bootstrap import draw_weights, group_frames, verdict
from robot_vision_dl.evaluation.resampling import HIGHER, resample, shaped_differences, shaped_intervals
from robot_vision_dl.evaluation.summary import summarise
from robot_vision_dl.evaluation.table import FrameTable

GAP_S = 1.0


def a_table(seed=0, n=400, tracks=20, better=0.0, foreign=True):
    """Frames of 20 objects, some of them unknown; ``better``: how much of the truth is mixed in."""
    rng = np.random.default_rng(seed)
    track = np.arange(n) * tracks // n
    targets = rng.integers(0, 4, tracks)[track]
    p = random_probabilities(n, 4, seed)
    p = (1 - better) * p + better * np.eye(4)[targets]
    if foreign:
        targets = np.where(track % 5 == 0, -1, targets)
    table = table_of(p, targets, tracks=track)
    table.rows['ood_score'] = rng.normal(size=n) + (targets == -1)
    return table


def judged(table):
    return summarise(table, ClassifierConfig(), Policy(0.5), None, 0, 100)


def sampled(table, draws=60):
    return resample(table, judged(table), GAP_S, draws, 0)


def brute_force(table, draws):
    """The same figures from the drawn frames themselves, by the code of the figures."""
    _, names, groups = group_frames(table, GAP_S)
    found = []
    for chunk in draw_weights(len(names), draws, 0):
        for weights in chunk:
            rows = np.concatenate([np.repeat(table.rows[groups == g], 1 if w else 0) for g, w in enumerate(weights)
                                   for _ in range(w)])
            model = judged(FrameTable(rows, table.recordings, table.topics, table.tracks, table.class_names))
            found.append({'balanced_accuracy': model['frame']['balanced_accuracy'], 'f1': model['frame']['f1']['macro'],
                          'ece': model['frame']['ece'], 'fused.f1': model['fused']['f1']['macro'],
                          'aurc': model['selective']['aurc'],
                          'auroc': model['open_set']['scores']['own']['auroc']})
    return {name: np.array([entry[name] for entry in found], np.float64) for name in found[0]}


def test_a_draw_is_the_figure_of_the_frames_that_were_drawn():
    table, draws = a_table(better=0.3), 20
    found, expected = sampled(table, draws), brute_force(table, draws)
    for name in ('balanced_accuracy', 'f1', 'fused.f1'):
        np.testing.assert_allclose(found[name], expected[name], atol=2e-6, err_msg=name)
    # Rankings go over bins where scores are many; the error that draws add to bins is taken off again.
    np.testing.assert_allclose(found['aurc'], expected['aurc'], atol=2e-3)
    np.testing.assert_allclose(found['auroc'], expected['auroc'], atol=2e-3)
    np.testing.assert_allclose(found['ece'] - found['ece'].mean(), expected['ece'] - expected['ece'].mean(), atol=2e-6)


def test_with_few_distinct_scores_the_ranking_is_exact():
    table, draws = a_table(better=0.3), 10
    table.rows['ood_score'] = np.round(table.rows['ood_score'])
    np.testing.assert_allclose(sampled(table, draws)['auroc'], brute_force(table, draws)['auroc'], atol=2e-6)


def test_intervals_hold_the_value_and_shrink_with_the_number_of_objects():
    few, many = a_table(better=0.3), a_table(n=4000, tracks=200, better=0.3)
    narrow, wide = (shaped_intervals(resample(table, judged(table), GAP_S, 500, 0), judged(table))
                    for table in (many, few))
    assert set(wide) == set(HIGHER)
    for name in wide:
        assert wide[name].low <= wide[name].value <= wide[name].high, name
    for name in ('balanced_accuracy', 'f1', 'auroc', 'aurc'):
        assert narrow[name].high - narrow[name].low < 0.6 * (wide[name].high - wide[name].low), name


def test_a_planted_difference_is_found_and_the_same_model_is_a_tie():
    old, new = a_table(n=2000, tracks=100), a_table(n=2000, tracks=100, better=0.35)
    first, second = judged(old), judged(new)
    drawn = [resample(table, model, GAP_S, 500, 0) for table, model in ((old, first), (new, second))]
    found = shaped_differences(drawn[0], first, drawn[1], second)
    for name in ('balanced_accuracy', 'f1', 'fused.f1', 'aurc'):
        assert verdict(name, found[name], HIGHER[name]) == 'better', (name, found[name])
    assert found['auroc'] == (0, 0, 0)  # the scores are the same
    same = shaped_differences(drawn[0], first, drawn[0], first)
    assert {verdict(name, same[name], HIGHER[name]) for name in same} == {'tie'}


@pytest.mark.parametrize('table', [a_table(tracks=1), table_of(random_probabilities(9, 3), np.full(9, -2))])
def test_one_object_or_no_label_gives_no_interval(table):
    assert set(sampled(table)) <= {'aurc'}  # known where every frame is foreign


def test_what_cannot_be_told_is_left_out():
    assert set(sampled(a_table(foreign=False))) == set(HIGHER) - {'auroc'}
    only_foreign = table_of(random_probabilities(40, 3), np.full(40, -1), tracks=np.arange(40) // 4)
    assert set(sampled(only_foreign)) == {'aurc'}


def grouped(objects, frames):
    """How the frames of so many objects, one after another, are drawn."""
    n = objects * frames
    p = np.tile([0.9, 0.1], (n, 1))
    return group_frames(table_of(p, np.arange(n) // frames % 2), GAP_S)


@pytest.mark.parametrize('objects, by', [(3, 'block'), (5, 'track'), (8, 'track'), (12, 'track')])
def test_objects_are_drawn_and_their_frames_are_not(objects, by):
    found = grouped(objects, 600)
    assert found[0] == by and (by == 'block' or len(found[1]) == objects)


def test_an_object_that_two_cameras_see_is_one():
    tracks = np.repeat(np.arange(12), 40)
    both = table_of(np.tile([0.9, 0.1], (480, 1)), tracks % 2, tracks=tracks)
    both.rows['topic'] = np.arange(480) % 2
    both = replace(both, topics=('/left', '/right'))
    by, names, groups = group_frames(both, GAP_S)
    assert by == 'track' and len(names) == 12 and (groups == tracks).all()

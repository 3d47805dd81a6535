"""What a deployer is told: every sentence and headline is reached, and nothing doubtful is called worth deploying."""
import ast
import copy
import re
from pathlib import Path

import numpy as np
import pytest
from evaluation_samples import table_of

from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.decision.decision import Policy
from robot_vision_dl.evaluation.report import sentences, verdict
from robot_vision_dl.evaluation.report.report_decisions import errors_view
from robot_vision_dl.evaluation.report.sentences import HEADLINES, NOT_WORTH, SENTENCES
from robot_vision_dl.evaluation.report.verdict import verdict_of
from robot_vision_dl.evaluation.report.wording import count_of, percent
from robot_vision_dl.evaluation.summary import summarise

SILENCE = 0.3


def sound(risk=0.02, ood=0.02, recordings=12, labelled=True, unknown=True):
    """Metrics of a good model on real rows: 12 recordings of 400 frames, a fifth of them of none of its classes."""
    rng = np.random.default_rng(0)
    n = 400 * recordings
    objects = np.arange(n) // 20
    targets = objects % 5 if unknown else objects % 4
    targets = np.where(targets == 4, -1, targets)
    confidence = np.full(n, 0.97)
    wrong = rng.random(n) < risk
    called = np.where(wrong | (targets < 0), (np.maximum(targets, 0) + 1) % 4, targets)
    p = np.full((n, 4), 0.01)
    p[np.arange(n), called] = confidence
    outcome = np.zeros(n, int)
    outcome[(targets < 0) & (rng.random(n) >= ood)] = 2
    outcome[(targets >= 0) & (rng.random(n) < 0.05)] = 1
    if not labelled:
        targets = np.full(n, -2)
    table = table_of(p, targets, tracks=objects, outcome=outcome, recording=np.arange(n) // 400)
    table.rows['set_size'], table.rows['set_hit'] = 1, np.where(targets >= 0, called == targets, -1)
    model = summarise(table, ClassifierConfig(), Policy(SILENCE), 0.05, 0, 200)
    model['frames'].update(recordings=recordings, recordings_damaged=0, recordings_failed=0, missing=0)
    model['model'] = {'classes': 4, 'calibrated': True, 'limits': [], 'cost_matrix': False, 'abstain_cost': SILENCE,
                      'false_unknown_rate': 0.01, 'never_unknown': False}
    return model


BASES = {'sound': sound(), 'known only': sound(unknown=False), 'unlabelled': sound(labelled=False)}
GATE = {'passed': True, 'reason': 'm: accuracy is 0.9, and must be at least 0.8'}
FAILED = {'passed': False, 'reason': 'm: ece is 0.9, but must be at most 0.8'}
NO_ERRORS = {'decisions.errors': {'count': 0, 'foreign': 0, 'timed': 0, 'hours': 2.0, 'per_hour': 0.0,
                                  'foreign_per_hour': 0.0},
             'intervals.figures.errors_per_h': {'value': 0, 'low': 0, 'high': 1.84}}
COULD = {'open_set.acted_on_unknown': 0.9, 'open_set.found': 0.0,
         'open_set.scores.own': {'auroc': 1.0, 'fpr95': 0.04}}

LEARNED = {'frames': 720, 'trained_on': 220, 'calibrated_on': 1, 'others': 354, 'right': 365, 'right_others': 318,
           'recordings': {'a': [219, 364], 'b': [1, 356], 'c': [1, 1], 'd': [1, 2]}}
# (base, what is changed, gates, headline, sentences that must be among those said)
CASES = {
    'a sound model': ('sound', {}, [], 'worth', [
        'costs_less', 'foreign', 'errors', 'right', 'coverage', 'tracks', 'forced', 'calibration', 'sets',
        'quickness']),
    'pictures that stand alone': ('sound', {'time.watched_s': 0.0}, [], 'worth', ['alone', 'tracks']),
    'a restless model': ('sound', {'time.changes_per_s': 1.5}, [], 'worth', ['quickness', 'changes']),
    'own frames called unknown': ('sound', {'open_set.false_unknown_rate': 0.1}, [], 'worth', ['false_unknown']),
    'sets that say nothing': ('sound', {'conformal.mean_size': 3.2}, [], 'worth', ['sets_wide']),
    'a score that could': ('sound', COULD, [], 'accepts_foreign', ['foreign', 'threshold']),
    'a score that could, but for few pictures': (
        'sound', {**COULD, 'model.never_unknown': True, 'model.limits': ['m: nothing can be called unknown']}, [],
        'accepts_foreign', ['foreign', 'threshold_few', 'limit']),
    'looks at the background': ('sound', {'background': {
        'wrong': {'frames': 7, 'listed': 5}, 'classes': [{'class': 'class 1', 'right': {'frames': 20, 'listed': 18}}]}},
        [], 'worth', ['background', 'shortcut']),
    'without an error': ('sound', NO_ERRORS, [], 'worth', ['no_errors']),
    'without labels': ('unlabelled', {}, [], 'no_labels', ['unlabelled']),
    'one demand met': ('sound', {}, [GATE], 'gates_met', ['gate']),
    'two demands met': ('sound', {}, [GATE, GATE], 'gates_met', ['gate']),
    'a demand failed': ('sound', {}, [GATE, FAILED], 'gates_failed', ['gate']),
    'a demand met, but OOD frames accepted': (
        'sound', {'open_set.acted_on_unknown': 0.5}, [GATE], 'gates_met_but', ['gate', 'foreign']),
    'nothing known came into view': ('sound', {'frames.known': 0, 'decisions.risk': None}, [], 'no_known',
                                     ['foreign']),
    'never acts': ('sound', {'decisions.risk': None, 'decisions.cost_of_acting': None}, [], 'never_acts',
                   ['never_acts']),
    'costs more than silence': ('sound', {'decisions.cost': 0.31}, [], 'costs_more', ['costs_more']),
    'accepts OOD frames': ('sound', {'open_set.acted_on_unknown': 0.11}, [], 'accepts_foreign', ['foreign']),
    'wrong against the cost of abstaining': ('sound', {'decisions.risk': 0.16}, [], 'wrong_too_often',
                                             ['wrong_too_often']),
    'wrong by any cost': ('sound', {'decisions.risk': 0.37, 'decisions.cost_of_silence': 0.9}, [], 'wrong_too_often',
                          ['wrong_too_often']),
    'acting costs too much': ('sound', {'model.cost_matrix': True, 'decisions.cost_of_acting': 0.2}, [],
                              'wrong_too_often', ['acting_costs']),
    'probabilities of the belief worse than none': ('sound', {'fused.nll': 70.0}, [], 'knows_nothing',
                                                    ['knows_nothing']),
    'probabilities of a frame worse than none': ('sound', {'frame.nll': 1.4}, [], 'knows_nothing', ['knows_nothing']),
    'not calibrated': ('sound', {'model.calibrated': False}, [], 'uncalibrated', ['uncalibrated']),
    'unknown cannot be said': ('sound', {'model.limits': ['m: nothing can be called unknown']}, [], 'limited',
                               ['limit']),
    'a recording crashed': ('sound', {'frames.recordings_failed': 1, 'frames.missing': 10}, [], 'unread',
                            ['failed', 'missing']),
    'a damaged bag': ('sound', {'frames.recordings_damaged': 1}, [], 'unread', ['damaged']),
    'frames unread': ('sound', {'frames.missing': 300}, [], 'unread', ['missing']),
    'objects of images': ('sound', {'frames.of_objects': 4800}, [], 'worth', ['objects', 'errors']),
    'objects that were not looked at': ('sound', {'frames.of_objects': 4800, 'frames.refused': 900}, [], 'worth',
                                        ['objects', 'refused']),
    'few frames': ('sound', {'frames.labelled': 99}, [], 'too_few', ['few_frames']),
    'one recording': ('sound', {'frames.recordings_labelled': 1}, [], 'too_few', ['few_recordings']),
    'few objects': ('sound', {'intervals.few': True, 'intervals.groups': 4, 'intervals.by': 'track'}, [], 'too_few',
                    ['few_groups']),
    'no intervals': ('sound', {'intervals': None}, [], 'too_few', []),
    'could cost more': ('sound', {'intervals.figures.cost': {'value': 0.1, 'low': 0.05, 'high': 0.3}}, [], 'not_sure',
                        ['costs_unsure']),
    'nothing ood seen': ('known only', {}, [], 'foreign_untested', ['foreign_untested']),
    'hardly anything ood seen': ('sound', {'tracks.foreign': 2}, [], 'foreign_untested', ['foreign_few']),
    'badly calibrated': ('sound', {'frame.ece': 0.4}, [], 'care', ['calibration']),
    'trained on what it is judged on': ('sound', {'model.learned_from': ['a', 'b']}, [], 'care', ['learned_from']),
    'trained on some pictures that it is judged on': (
        'sound', {'model.learned_pictures': LEARNED}, [], 'flattered', ['learned_pictures']),
    'trained on a twentieth of what it is judged on': (
        'sound', {'model.learned_pictures': {**LEARNED, 'trained_on': 36, 'calibrated_on': 0, 'others': 684}}, [],
        'care', ['learned_pictures']),
    'demands met on pictures that it was trained on': (
        'sound', {'model.learned_pictures': LEARNED}, [GATE], 'gates_met_but', ['gate', 'learned_pictures']),
    'trained on few pictures that it is judged on': (
        'sound', {'model.learned_pictures': {**LEARNED, 'trained_on': 1, 'calibrated_on': 0, 'others': 719}}, [],
        'worth', ['few_pictures_seen']),
    'on pictures that it never saw': (
        'sound', {'model.learned_pictures': {**LEARNED, 'trained_on': 0, 'calibrated_on': 0, 'others': 720}}, [],
        'worth', ['unseen_pictures']),
    'on pictures that it was not calibrated on': (
        'sound', {'model.learned_pictures': {**LEARNED, 'trained_on': None, 'calibrated_on': 0, 'others': 720},
                  'model.learned_from': ['a']}, [], 'care', ['unseen_pictures', 'learned_from']),
    'a class that goes wrong': ('sound', {'decisions.by_label.1.wrong': 200}, [], 'care', ['worst_class']),
}


def changed(base, changes):
    model = copy.deepcopy(BASES[base])
    for path, value in changes.items():
        *way, last = path.split('.')
        place = model
        for part in way:
            place = place[int(part) if isinstance(place, list) else part]
        place[last] = value
    return model


def found_of(case):
    base, changes, gates, _, _ = CASES[case]
    return verdict_of(changed(base, changes), gates)


@pytest.mark.parametrize('case', CASES)
def test_what_is_said(case):
    found = found_of(case)
    _, _, _, headline, said = CASES[case]
    assert found.key == headline and found.headline.split('{')[0]
    assert set(said) <= {point.key for point in found.points}
    for point in found.points:
        assert point.mood in ('good', 'care', 'bad', 'info') and point.text.endswith('.') and '..' not in point.text
        assert not re.search(r'[{}]|\bNone\b|\bnan\b', point.text), point.text
    if headline not in ('worth', 'gates_met'):
        assert found.mood != 'good'


def test_every_sentence_and_every_headline_is_reached():
    points = {point.key for case in CASES for point in found_of(case).points}
    assert points == set(SENTENCES), set(SENTENCES) ^ points
    assert {found_of(case).key for case in CASES} == set(HEADLINES)


def test_there_is_no_sentence_beside_those_of_the_table():
    """Points and headlines are made in one place each, from the table that the test above goes through."""
    for module in (verdict, sentences):
        tree = ast.parse(Path(module.__file__).read_text())
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            made = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
            assert 'Point' not in made or function.name == 'say', function.name
            assert 'Verdict' not in made or function.name == '_verdict', function.name
    tree = ast.parse(Path(verdict.__file__).read_text())
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if ast.unparse(call.func) == 'say':
            assert isinstance(call.args[1], ast.Constant) and call.args[1].value in SENTENCES, ast.unparse(call)


# What must keep a model from being called worth deploying, whatever else is good about it.
@pytest.mark.parametrize('changes', [
    {'decisions.risk': 0.37}, {'decisions.risk': 0.37, 'decisions.cost_of_silence': 0.5},
    {'fused.nll': 70.0}, {'frame.nll': 70.0}, {'open_set.acted_on_unknown': 1.0}, {'frames.labelled': 20},
    {'frames.recordings_labelled': 2}, {'frames.missing': 4333}, {'frames.recordings_damaged': 1},
    {'frames.recordings_failed': 1}, {'model.limits': ['nothing can be called unknown']}, {'model.calibrated': False},
    {'intervals': None}, {'intervals.few': True}, {'decisions.cost': 0.4}])
def test_it_is_not_called_worth_deploying(changes):
    found = verdict_of(changed('sound', changes))
    assert not found.headline.startswith('worth') and found.mood in ('care', 'bad')
    assert verdict_of(changed('sound', changes), [GATE]).mood != 'good' or set(changes) <= {
        'intervals', 'intervals.few', 'frames.labelled', 'frames.recordings_labelled'}


def test_the_gravest_is_the_headline():
    both = {'open_set.acted_on_unknown': 0.9, 'frames.recordings_damaged': 1, 'frames.labelled': 20}
    assert verdict_of(changed('sound', both)).key == 'accepts_foreign'


def test_the_reason_comes_first():
    for case in CASES:
        found = found_of(case)
        reasons = sentences.REASONS.get(found.key, ())
        said = [point.key in reasons for point in found.points]
        assert said == sorted(said, reverse=True) and (not reasons or said[0] or found.key == 'too_few'), case


def test_all_that_speaks_against_it_comes_right_after_the_headline():
    few = 'm: nothing can be called unknown'
    found = verdict_of(changed('sound', {**COULD, 'decisions.cost': 0.4, 'frame.ece': 0.4, 'model.limits': [few]}))
    assert [point.key for point in found.points][:found.why] == [
        'costs_more', 'foreign', 'threshold', 'limit', 'calibration']
    assert [title for title, _ in found.groups()] == list(sentences.GROUPS)[:3]
    assert sum(len(points) for _, points in found.groups()) == len(found.points)
    assert not [point for point in found.points[found.why:] if point.mood == 'bad']


@pytest.mark.parametrize('changes', [{}, {'open_set.acted_on_unknown': 0.9}, {'frame.ece': 0.4}])
def test_recordings_that_it_was_trained_on_speak_against_it_too(changes):
    found = verdict_of(changed('sound', {**changes, 'model.learned_from': ['bag_0']}))
    assert 'learned_from' in {point.key for point in found.points[:found.why]}


def test_pictures_that_it_has_learned_from_are_told_with_how_it_does_on_others():
    found = verdict_of(changed('sound', {'model.learned_pictures': LEARNED}))
    point = next(point for point in found.points[:found.why] if point.key == 'learned_pictures')
    assert point.text == (
        'Of 720 frames labelled with a class 220 look like ones that it was trained on and 1 looks like one that its '
        'calibration or early stop used (perceptual hash): 219 of 364 of a, 1 of 356 of b, 1 of 1 of c and some of 1 '
        'more. With the rest of recordings of which a twentieth or more do, 99.7 % of them are called rightly, each by '
        'itself, and 90 % of the 354 others. If they are the same, the figures here are flattering: judge it on '
        'others.')


def test_a_verdict_is_short():
    assert max(len(found_of(case).points) for case in CASES) <= 14


@pytest.mark.parametrize('silence,most', [(0.9, '20 %'), (1.0, '20 %'), (0.3, '15 %')])
def test_the_rule_about_wrong_ones_is_said_as_it_is(silence, most):
    found = verdict_of(changed('sound', {'decisions.risk': 0.3, 'decisions.cost_of_silence': silence}))
    text = next(point.text for point in found.points if point.key == 'wrong_too_often')
    assert text.endswith(f'30 % are wrong; at most {most} should be: half of what abstaining costs ({silence:.2f} of a '
                         'wrong label), and never more than 20 %.')


def test_a_score_that_could_tell_is_told_from_a_threshold_that_does_not():
    for case, expected in (('a score that could', 'decision.false_unknown_rate (now 0.01)'),
                           ('a score that could, but for few pictures', 'for want of calibration pictures')):
        text = ' '.join(point.text for point in found_of(case).points)
        assert 'calls 0 % unknown' in text and '(AUROC 1.000)' in text and expected in text
    assert not {'threshold', 'threshold_few'} & {point.key for point in found_of('a sound model').points}


def test_the_time_to_a_decision_says_of_which_objects_it_is():
    spread = {'count': 18, 'median': 0.0, 'p90': 0.0, 'max': 0.0, 'never': 0.28}
    found = verdict_of(changed('sound', {'time.decision_s': spread}))
    text = next(point.text for point in found.points if point.key == 'quickness')
    assert text.startswith('Of 25 objects of its classes 18 are ever acted on rightly; for these that takes a frame or')


@pytest.mark.parametrize('size,mood', [(1.5, 'good'), (2.2, 'info'), (3.2, 'care')])
def test_sets_are_praised_only_if_they_say_something(size, mood):
    found = verdict_of(changed('sound', {'conformal.mean_size': size}))
    point = next(point for point in found.points if point.key.startswith('sets'))
    assert point.mood == mood and f'{size} of 4 classes' in point.text


def test_foreign_frames_come_first_among_the_errors():
    keys = [point.key for point in found_of('a sound model').points]
    assert keys.index('foreign') < keys.index('errors') < keys.index('right') < keys.index('tracks')


def test_what_is_said_of_a_sound_model_word_by_word():
    text = {point.key: point.text for point in found_of('a sound model').points}
    assert re.fullmatch(r'Of 960 frames that are none of its classes it accepts \d\.\d % \(\d\.\d % to \d\.\d %\) and '
                        r'calls 9\d\.\d % unknown\.', text['foreign'])
    assert re.fullmatch(r'It acts on a wrong label \d+ times an hour \(\d+ to \d+\), \d+ of these on what is none of '
                        r'its classes \(\d+ in 8\.0 min of labelled video\)\.', text['errors'])
    assert re.fullmatch(r'Of the \d+ labelled frames that it acts on 9\d\.\d % are right \(9\d\.\d % to 9\d\.\d %\)\.',
                        text['right'])
    no = {point.key: point.text for point in found_of('without an error').points}['no_errors']
    assert no == 'It acts on no wrong label in 2.0 h of labelled video (at most 1.8 an hour).'


def test_an_interval_that_is_a_point_is_left_out():
    """Groups that do not differ give the same figure in every draw, which says nothing about others."""
    alike = {'value': 0.0, 'low': 0.0, 'high': 0.0}
    text = {point.key: point.text for point in verdict_of(changed('sound', {
        'decisions.risk': 0.0, 'intervals.figures.risk': alike})).points}
    assert text['right'].endswith('100 % are right.')
    tile, = (tile for tile in errors_view(changed('sound', {
        'intervals.figures.acted_right': {'value': 1.0, 'low': 1.0, 'high': 1.0}})).tiles if 'rightly' in tile.label)
    assert tile.note == ''


PICTURES = {'time.watched_s': 0.0, 'time.changes_per_s': None, 'frames.of_folders': 4800}


@pytest.mark.parametrize('changes, headline', [
    ({'frames.recordings_labelled': 1}, 'too few pictures, or folders of them, to go by'),
    ({'intervals.figures.cost': {'value': 0.1, 'low': 0.05, 'high': 0.3}}, 'these pictures are too few to be sure'),
    ({'frames.missing': 2000}, 'part of the pictures could not be judged'),
])
def test_pictures_are_not_called_recordings(changes, headline):
    found = verdict_of(changed('sound', {**PICTURES, **changes}))
    assert headline in found.headline
    assert not any('recording' in point.text for point in found.points)


@pytest.mark.parametrize('share,text', [(0, '0 %'), (1, '100 %'), (0.0912, '9.1 %'), (0.42, '42 %'), (0.991, '99.1 %'),
                                        (1e-5, 'less than 0.1 %'), (0.99999, 'more than 99.9 %')])
def test_a_share_is_0_or_100_only_if_it_is(share, text):
    assert percent(share) == text


@pytest.mark.parametrize('number,name,text', [(1, 'frame', '1 frame'), (2, 'frame', '2 frames'),
                                              (1, 'stretch of 10 s', '1 stretch of 10 s'),
                                              (3, 'stretch of 10 s', '3 stretches of 10 s')])
def test_numbers_have_their_plural(number, name, text):
    assert count_of(number, name) == text


@pytest.mark.parametrize('names, text', [
    (['a'], 'trained on a, of 12 recordings judged'), (list('abcd'), 'trained on a, b, c and 1 more, of 12 rec')])
def test_recordings_of_the_training_are_named(names, text):
    point, = [point for point in verdict_of(changed('sound', {'model.learned_from': names})).points
              if point.key == 'learned_from']
    assert text in point.text and 'flattering' in point.text and point.mood == 'care'


def test_demands_are_counted():
    assert verdict_of(BASES['sound'], [GATE]).headline == 'meets the demand'
    assert verdict_of(BASES['sound'], [GATE, GATE]).headline == 'meets all 2 demands'
    assert verdict_of(BASES['sound'], [GATE, FAILED]).headline == 'does not meet 1 of 2 demands'


def test_headlines_that_say_no_are_those_of_a_bad_mood():
    assert NOT_WORTH == {key for key, text in HEADLINES.items() if text.startswith('not ')}

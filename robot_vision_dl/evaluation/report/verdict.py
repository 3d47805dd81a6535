"""Whether a model is worth deploying, and why, in plain words.

Demands that were made (gates) decide. Without any, the deployment's own costs do: decisions must cost less than never
to accept any, and acting must cost clearly less than abstaining does (Chow 1970: whoever accepts from a probability of
1 - c promises no more than a share c of wrong ones among those accepted at the threshold, so far fewer among all).
Beyond that, nothing is called worth deploying whose figures rest on too little, or that accepts what it does not know.
"""
from math import log
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ...core.text.printable import printable
from ...data.learned_pictures import CALIBRATED_ON, TRAINED_ON, like_ones
from ..bootstrap import BLOCK, RECORDING, TRACK
from ..learned import MOST_SEEN
from .sentences import BAD, CARE, GOOD, GROUPS, HEADLINES, INFO, NOT_WORTH, OF_PICTURES, REASONS, Point, say
from .wording import are_pictures, count_of, duration, interval_text, percent, rate

MOST_WRONG = 0.2
"""Share of wrong ones among those acted on beyond which no cost of abstaining makes a model worth deploying."""
MOST_OOD = 0.1
"""Share of the frames of none of its classes that may be accepted."""
MUCH_SEEN = 0.1
"""Share of the frames that the model has learned from at which the others have to tell what it is worth."""
MOST_MISSING = 0.02
"""Share of the frames that may be unread or undecided before the rest says too little about them."""
FEW_FRAMES, FEW_RECORDINGS = 100, 3
FEW_OOD = 5
"""Objects of none of its classes below which it is as good as not known what it makes of them."""
TELLS_APART, FINDS_FEW = 0.9, 0.5
"""From what AUROC on a score tells what is out of distribution; below what share of it found the threshold does not."""
WIDE_SET, NARROW_SET = 0.5, 0.25
"""Share of the other classes that sets hold beside one: beyond the first they say little, up to the second much."""
SHORTCUT, FEW_RIGHT = 0.5, 5
"""Share of a class's right decisions that look at the background from which on it has a shortcut; at least so many."""
_KINDS = {RECORDING: 'recording', TRACK: 'object', BLOCK: 'stretch of 10 s'}


class Verdict(NamedTuple):
    """The answer in one line, its mood, what it rests on.

    Attributes:
        key: which headline it is.
        why: how many of the first points are what was demanded or speaks against it.
    """

    mood: str
    headline: str
    points: List[Point]
    key: str = ''
    why: int = 0

    def groups(self) -> List[Tuple[str, List[Point]]]:
        """(title, points) in the order in which they are shown; none is empty."""
        first, *others, last = GROUPS
        found: Dict[str, List[Point]] = {title: [] for title in GROUPS}
        found[first] = self.points[:self.why]
        for point in self.points[self.why:]:
            found[next((title for title in others if point.key in GROUPS[title]), last)].append(point)
        return [(title, points) for title, points in found.items() if points]


_FLATTERING = ('learned_from', 'learned_pictures')


def verdict_of(model: Mapping[str, Any], gates: Sequence[Mapping[str, Any]] = ()) -> Verdict:
    """The verdict on one model's metrics."""
    points = [*_costs(model), *_errors(model), *_rightness(model), *_sureness(model), *_quickness(model),
              *_ground(model)]
    against = [key for key, holds in _against(model) if holds]
    if gates:
        failed = sum(not gate['passed'] for gate in gates)
        met = 'the demand' if len(gates) == 1 else f'all {len(gates)} demands'
        points = [say(GOOD if gate['passed'] else BAD, 'gate', reason=gate['reason'].partition(': ')[2])
                  for gate in gates] + points
        if failed:
            return _verdict(model, BAD, 'gates_failed', points, against, failed=failed, count=len(gates))
        if any(key in NOT_WORTH or key in ('unread', 'flattered') for key in against):
            return _verdict(model, CARE, 'gates_met_but', points, against, met=met)
        return _verdict(model, GOOD, 'gates_met', points, against, met=met)
    if 'cost' not in model['decisions']:
        return _verdict(model, INFO, 'no_labels', points, against)
    if against:
        return _verdict(model, BAD if against[0] in NOT_WORTH else CARE, against[0], points, against)
    if any(point.mood == BAD or point.key in _FLATTERING for point in points):
        return _verdict(model, CARE, 'care', points, against)
    return _verdict(model, GOOD, 'worth', points, against)


def _verdict(model: Mapping[str, Any], mood: str, key: str, points: List[Point], against: Sequence[str],
             **values: object) -> Verdict:
    """What was demanded and whatever speaks against it come first, the gravest of these foremost."""
    order = ['gate', *(reason for one in (key, *against) for reason in REASONS.get(one, ())), *_FLATTERING]
    first = [point for point in points if point.key in order or point.mood == BAD]
    first.sort(key=lambda point: order.index(point.key) if point.key in order else len(order))
    rest = [point for point in points if point not in first]
    headline = (are_pictures(model) and OF_PICTURES.get(key)) or HEADLINES[key]
    return Verdict(mood, headline.format(**values), first + rest, key, len(first))


def _against(model: Mapping[str, Any]) -> Iterator[Tuple[str, bool]]:
    """(headline, whether it holds) of whatever keeps a model from being worth deploying, the gravest first."""
    decisions, frames = model['decisions'], model['frames']
    if 'cost' in decisions:
        yield 'no_known', not frames['known']
        yield 'never_acts', decisions['risk'] is None
        yield 'costs_more', decisions['cost'] >= decisions['cost_of_silence']
        yield 'accepts_foreign', _accepts_ood(model)
        yield 'wrong_too_often', _wrong_too_often(model) is not None
        yield 'knows_nothing', _worse_than_nothing(model) is not None
    yield 'uncalibrated', not model['model']['calibrated']
    yield 'limited', bool(model['model']['limits'])
    yield 'flattered', _share_learned(model) >= MUCH_SEEN
    yield 'unread', bool(frames['recordings_failed'] or frames['recordings_damaged']
                         or _share_missing(frames) > MOST_MISSING)
    if 'cost' in decisions:
        intervals = model['intervals']
        yield 'too_few', (frames['labelled'] < FEW_FRAMES or frames['recordings_labelled'] < FEW_RECORDINGS
                          or not intervals or intervals['few'])
        cost = _interval(model, 'cost')
        yield 'not_sure', cost is None or cost[1] >= decisions['cost_of_silence']
        yield 'foreign_untested', not frames['unknown'] or model['tracks']['foreign'] < FEW_OOD


def _costs(model: Mapping[str, Any]) -> Iterator[Point]:
    decisions = model['decisions']
    if 'cost' not in decisions:
        return
    cost, silence = decisions['cost'], decisions['cost_of_silence']
    shown = {'cost': f'{cost:.2f}', 'silence': f'{silence:.2f}'}
    if cost >= silence:
        yield say(BAD, 'costs_more', **shown)
        return
    wrong = 'what the cost matrix says' if model['model']['cost_matrix'] else '1'
    yield say(GOOD, 'costs_less', **shown, costs=f'a wrong label costs {wrong}')
    between = _interval(model, 'cost')
    if between and between[1] >= silence:
        yield say(CARE, 'costs_unsure', low=f'{between[0]:.2f}', high=f'{between[1]:.2f}')


def _errors(model: Mapping[str, Any]) -> Iterator[Point]:
    """What goes wrong, what is none of its classes first."""
    frames, decisions, found = model['frames'], model['decisions'], model['open_set']
    if not frames['labelled']:
        return
    if frames['unknown']:
        accepted = found['acted_on_unknown']
        yield say(GOOD if accepted <= MOST_OOD / 2 else CARE if accepted <= MOST_OOD else BAD, 'foreign',
                  frames=count_of(frames['unknown'], 'frame'), accepted=percent(accepted),
                  between=_between(model, 'foreign_accepted'), found=percent(found['found']))
        own = found['scores'].get('own')
        if own and own['auroc'] is not None and own['auroc'] >= TELLS_APART and found['found'] < FINDS_FEW:
            auroc = f'{own["auroc"]:.3f}'
            if model['model'].get('never_unknown'):
                yield say(BAD, 'threshold_few', auroc=auroc)
            else:
                wanted = model['model'].get('false_unknown_rate', 0)
                now = model['model'].get('false_unknown_rate_in_force', wanted)
                yield say(CARE, 'threshold', auroc=auroc, rate=f'{now:.3g}',
                          price=percent(own['fpr95']))
        if model['tracks']['foreign'] < FEW_OOD:
            yield say(CARE, 'foreign_few', objects=count_of(model['tracks']['foreign'], 'object'))
    else:
        yield say(CARE, 'foreign_untested')
    errors = decisions['errors']
    if errors['per_hour'] is not None:
        hours = duration(errors['hours'])
        seen = 'labelled objects in view, summed up' if frames.get('of_objects') else 'labelled video'
        ood = '' if errors['foreign_per_hour'] is None else (
            f', {rate(errors["foreign_per_hour"])} of these on what is none of its classes')
        if errors['timed']:
            yield say(INFO, 'errors', rate=rate(errors['per_hour']),
                      between=_between(model, 'errors_per_h', rate), count=errors['timed'], hours=hours, seen=seen,
                      ood=ood)
        else:
            high = _interval(model, 'errors_per_h')
            yield say(INFO, 'no_errors', hours=hours, seen=seen, high=rate(high[1]) if high else 'any number')


def _rightness(model: Mapping[str, Any]) -> Iterator[Point]:
    decisions, frames = model['decisions'], model['frames']
    if not frames['labelled']:
        n = max(1, frames['decided'])
        yield say(INFO, 'unlabelled', frames=count_of(frames['decided'], 'frame'),
                  accepted=percent(decisions['accepted'] / n), uncertain=percent(decisions['uncertain'] / n),
                  unknown=percent(decisions['unknown'] / n))
        return
    if decisions['risk'] is None:
        yield say(BAD, 'never_acts', labelled=count_of(frames['labelled'], 'labelled frame'))
    else:
        yield _wrong_too_often(model) or say(
            GOOD, 'right', accepted=count_of(_acted(model), 'labelled frame'), right=percent(1 - decisions['risk']),
            between=_between(model, 'risk', turned=True))
    if frames['known']:
        known = [entry for entry in decisions['by_label'] if not entry['is_unknown']]
        share = {key: percent(sum(entry[key] for entry in known) / frames['known'])
                 for key in ('right', 'wrong', 'uncertain', 'unknown')}
        yield say(INFO, 'coverage', between=_between(model, 'acted_right'), **share)
        worst = max(known, key=lambda entry: entry['wrong'] / entry['frames'])
        if worst['wrong'] / worst['frames'] > MOST_WRONG and len(known) > 1:
            yield say(BAD, 'worst_class', label=worst['label'], wrong=percent(worst['wrong'] / worst['frames']),
                      frames=count_of(worst['frames'], 'frame'))
    yield from _background(model)
    if model['tracks']:
        tracks = model['tracks']
        yield say(GOOD if not tracks['acted_wrong'] else CARE, 'tracks', count=count_of(tracks['count'], 'object'),
                  right=tracks['acted_right'], wrong=tracks['acted_wrong'], never=tracks['never_acted'],
                  foreign=f' ({tracks["foreign"]} of no class, on which it should never act)' * bool(tracks['foreign']))
    if model['frame']:
        alone, between = percent(model['frame']['accuracy']), _between(model, 'accuracy')
        if _stand_alone(model):
            yield say(INFO, 'alone', alone=alone, between=between)
        else:
            yield say(INFO, 'forced', alone=alone, between=between, fused=percent(model['fused']['accuracy']))


def _background(model: Mapping[str, Any]) -> Iterator[Point]:
    """Decisions that rest on what lies outside the object, where boxes are known."""
    found = model.get('background')
    if not found:
        return
    wrong = found['wrong']
    if wrong['listed']:
        yield say(CARE, 'background', listed=wrong['listed'], wrong=count_of(wrong['frames'], 'mistake'))
    for one in found['classes']:
        if has_shortcut(one['right']):
            yield say(CARE, 'shortcut', label=one['class'], listed=one['right']['listed'],
                      right=count_of(one['right']['frames'], 'frame'))


def has_shortcut(right: Mapping[str, Any]) -> bool:
    """Whether so many of a class's right decisions look at the background that they are right by it."""
    return bool(right['frames'] >= FEW_RIGHT and right['listed'] >= SHORTCUT * right['frames'])


def _stand_alone(model: Mapping[str, Any]) -> bool:
    """Whether no frame follows another one closely, as the pictures of a folder: time then has nothing to say."""
    return model['time']['watched_s'] == 0


def _sureness(model: Mapping[str, Any]) -> Iterator[Point]:
    """Whether its probabilities, sets and unknowns are what they should be."""
    if not model['model']['calibrated']:
        yield say(BAD, 'uncalibrated')
    for sentence in model['model']['limits']:
        yield say(BAD, 'limit', sentence=sentence.rstrip('.'))
    nothing = _worse_than_nothing(model)
    if nothing:
        yield nothing
    if model['frame']:
        error, floor = model['frame']['ece'], model['frame']['ece_floor']
        alike = model['frame'].get('ece_floor_objects')
        most = floor if alike is None else max(floor, alike)
        mood = GOOD if error <= floor + 0.03 else CARE if error <= most + 0.1 else BAD
        yield say(mood, 'calibration', error=count_of(round(100 * error), 'point'), floor=f'{100 * floor:.0f}',
                  alike='' if alike is None else f', up to {100 * most:.0f} since frames of one object are alike')
    sets = model['conformal']
    if sets and sets['coverage'] is not None and sets['promised'] is not None:
        classes = model['model']['classes']
        share = (sets['mean_size'] - 1) / max(1, classes - 1)
        short = sets['coverage'] < sets['promised'] - 0.03
        shown = {'reached': percent(sets['coverage']), 'promised': f' (promised {percent(sets["promised"])})',
                 'size': f'{sets["mean_size"]:.1f}', 'classes': classes}
        if share > WIDE_SET:
            yield say(CARE, 'sets_wide', **shown)
        else:
            yield say(CARE if short else GOOD if share <= NARROW_SET else INFO, 'sets', **shown)
    found = model['open_set']
    if found and found['false_unknown_rate'] is not None:
        share = found['false_unknown_rate']
        if share > 0.03:  # the share itself is said of what becomes of its classes
            yield say(CARE if share <= 0.15 else BAD, 'false_unknown', rate=percent(share))


def _quickness(model: Mapping[str, Any]) -> Iterator[Point]:
    times = model['time']
    found, changes = times.get('decision_s'), times['changes_per_s']
    quick = bool(found and found['median'] is not None) and not _stand_alone(model)
    much = changes is not None and changes > 1
    if quick:
        every = round(found['count'] / (1 - found['never']))
        yield say(INFO, 'quickness', all=count_of(every, 'object'), count=found['count'],
                  takes=f'{found["median"]:.1f} s' if found['median'] >= 0.05 else 'a frame or two',
                  changes='' if changes is None or much else f'; its decision changes {changes:.2f} times a second')
    if changes is not None and (much or not quick):
        yield say(CARE if much else INFO, 'changes', changes=f'{changes:.2f}')


def _ground(model: Mapping[str, Any]) -> Iterator[Point]:
    """How much these figures rest on."""
    frames, intervals = model['frames'], model['intervals']
    if frames['recordings_failed']:
        yield say(BAD, 'failed', count=_recordings(model, 'recordings_failed'))
    if frames['recordings_damaged']:
        yield say(CARE, 'damaged', count=frames['recordings_damaged'], all=_recordings(model, 'recordings'))
    if frames['missing']:
        yield say(BAD if _share_missing(frames) > MOST_MISSING else CARE, 'missing', missing=frames['missing'],
                  all=count_of(frames['missing'] + frames['decided'], 'frame'))
    pictures, learned = model['model'].get('learned_pictures'), model['model'].get('learned_from')
    if pictures is not None:
        yield from _learned_pictures(pictures)
    if learned and (pictures is None or pictures['trained_on'] is None):
        names = ', '.join(printable(name, 60) for name in learned[:3])
        yield say(CARE, 'learned_from', names=names, more=f' and {len(learned) - 3} more' if len(learned) > 3 else '',
                  all=_recordings(model, 'recordings'))
    if frames.get('of_objects'):
        yield say(INFO, 'objects')
    refused = frames.get('refused', 0)
    if refused:
        yield say(CARE if refused > MOST_MISSING * (refused + frames['decided']) else INFO, 'refused', refused=refused,
                  all=count_of(refused + frames['decided'], 'object'))
    if 0 < frames['labelled'] < FEW_FRAMES:
        yield say(CARE, 'few_frames', frames=count_of(frames['labelled'], 'frame'))
    if frames['labelled'] and frames['recordings_labelled'] < FEW_RECORDINGS:
        yield say(CARE, 'few_recordings', recordings=_recordings(model, 'recordings_labelled'))
    if intervals and intervals['few']:
        yield say(CARE, 'few_groups', groups=count_of(intervals['groups'], _KINDS[intervals['by']]))


def _recordings(model: Mapping[str, Any], which: str) -> str:
    """How many there are of some kind."""
    return count_of(model['frames'][which], 'folder of pictures' if are_pictures(model) else 'recording')


def _accepts_ood(model: Mapping[str, Any]) -> bool:
    found = model['open_set']
    return bool(found and found['acted_on_unknown'] is not None and found['acted_on_unknown'] > MOST_OOD)


def _wrong_too_often(model: Mapping[str, Any]) -> Optional[Point]:
    """Acting must be much better than abstaining, or it gains little and risks much."""
    decisions = model['decisions']
    if decisions['risk'] is None:
        return None
    silence = decisions['cost_of_silence']
    if model['model']['cost_matrix']:
        if decisions['cost_of_acting'] <= silence / 2:
            return None
        return say(BAD, 'acting_costs', cost=f'{decisions["cost_of_acting"]:.2f}', silence=f'{silence:.2f}',
                   most=f'{silence / 2:.2f}')
    most = min(silence / 2, MOST_WRONG)
    if decisions['risk'] <= most:
        return None
    return say(BAD, 'wrong_too_often', accepted=count_of(_acted(model), 'labelled frame'),
               wrong=percent(decisions['risk']), most=percent(most), silence=f'{silence:.2f}',
               never=percent(MOST_WRONG))


def _worse_than_nothing(model: Mapping[str, Any]) -> Optional[Point]:
    """A negative log-likelihood beyond that of the same probability for every class, which needs no camera."""
    if not model['frame']:
        return None
    classes = model['model']['classes']
    chance = log(max(classes, 2))
    parts = (('fused', 'fused over time'), ('frame', 'of single frames'))
    for part, which in parts[are_pictures(model):]:
        nll = model[part]['nll']
        if nll > chance:
            return say(BAD, 'knows_nothing', nll=f'{nll:.2f}', which=which, classes=classes, chance=f'{chance:.2f}')
    return None


def _share_missing(frames: Mapping[str, Any]) -> float:
    return frames['missing'] / max(1, frames['missing'] + frames['decided'])


def _acted(model: Mapping[str, Any]) -> int:
    return model['decisions']['accepted_right'] + model['decisions']['accepted_wrong']


def _interval(model: Mapping[str, Any], name: str) -> Optional[Tuple[float, float]]:
    found = (model['intervals'] or {}).get('figures', {}).get(name)
    return None if not found or found['low'] is None else (found['low'], found['high'])


def _between(model: Mapping[str, Any], name: str, shown: Callable[[float], str] = percent, turned: bool = False
             ) -> str:
    """Its interval in brackets; ``turned``: that of 1 minus the figure."""
    found = _interval(model, name)
    if not found:
        return ''
    low, high = (1 - found[1], 1 - found[0]) if turned else found
    text = interval_text({'low': low, 'high': high}, shown)
    return f' ({text})' if text else ''


def _share_learned(model: Mapping[str, Any]) -> float:
    """Of the frames labelled with a class, with the rest of their recordings; 0 where that is not known."""
    found = model['model'].get('learned_pictures')
    return (found['frames'] - found['others']) / found['frames'] if found and found['frames'] else 0.0


def _learned_pictures(found: Mapping[str, Any]) -> Iterator[Point]:
    """How many frames the model may have learned from, and how it does on the others."""
    frames, trained, calibrated = found['frames'], found['trained_on'] or 0, found['calibrated_on']
    seen = trained + calibrated
    if not frames:
        return
    if not seen:
        what = f'{CALIBRATED_ON}; which it was trained on is not known' if found['trained_on'] is None else (
            f'{TRAINED_ON} or {CALIBRATED_ON}')
        yield say(INFO, 'unseen_pictures', all=count_of(frames, 'frame'), what=what)
        return
    kinds = like_ones((trained, TRAINED_ON), (calibrated, CALIBRATED_ON))
    if seen < MOST_SEEN * frames:
        yield say(INFO, 'few_pictures_seen', all=count_of(frames, 'frame'), seen=kinds)
        return
    most = sorted(found['recordings'].items(), key=lambda item: -item[1][0])
    where = ', '.join(f'{count} of {every} of {printable(name, 60)}' for name, (count, every) in most[:3])
    where += f' and some of {len(most) - 3} more' if len(most) > 3 else ''
    rest = found['others']
    others = '' if not rest else f', and {percent(found["right_others"] / rest)} of the {rest} others'
    whole = '' if frames - rest == seen else 'With the rest of recordings of which a twentieth or more do, '
    yield say(CARE, 'learned_pictures', whole=whole, all=count_of(frames, 'frame'),
              seen=kinds, where=where, right=percent(found['right'] / (frames - rest)), others=others)

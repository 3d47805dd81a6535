"""What the figures mean, in plain words."""
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

GOOD, CARE, BAD, INFO = 'good', 'care', 'bad', 'info'


class Point(NamedTuple):
    """One sentence and how it is to be taken: good, care, bad or info."""

    mood: str
    text: str


class Verdict(NamedTuple):
    """The answer in one line, its mood, and what it rests on."""

    mood: str
    headline: str
    points: List[Point]


def verdict_of(model: Mapping[str, Any], gates: Sequence[Mapping[str, Any]] = ()) -> Verdict:
    """The verdict on one model's metrics.

    Demands that were made (gates) decide. Without any, the deployment's own costs do: a model is worth deploying if its
    decisions cost less than never to accept any, and its wrong acting stays within what a wrong label and an abstention
    cost by those settings (Chow 1970: whoever accepts from 1 - c promises at most a share c of wrong ones).
    """
    points = [*_rightness(model), *_sureness(model), *_foreignness(model), *_quickness(model), *_ground(model)]
    if gates:
        failed = [gate for gate in gates if not gate['passed']]
        points = [Point(GOOD if gate['passed'] else BAD, gate['reason'].partition(': ')[2]) for gate in gates] + points
        if failed:
            return Verdict(BAD, f'does not meet {len(failed)} of {len(gates)} demands', points)
        return Verdict(GOOD, f'meets {"the demand" if len(gates) == 1 else f"all {len(gates)} demands"}', points)
    decisions = model['decisions']
    if 'cost' not in decisions:
        return Verdict(INFO, 'no labels, so it cannot be said whether it is right', points)
    cost, silence, risk = decisions['cost'], decisions['cost_of_silence'], decisions['risk']
    found = (model['intervals'] or {}).get('figures', {}).get('cost')
    if cost >= silence:
        loss = Point(BAD, f'Its decisions cost {cost:.2f} a frame; never accepting any would cost {silence:.2f}.')
        return Verdict(BAD, 'not worth deploying: saying nothing would cost less', [loss, *points])
    benefit = Point(GOOD, f'Its decisions cost {cost:.2f} a frame, where {_costs(model)}; never accepting any would '
                    f'cost {silence:.2f}.')
    if risk is not None and risk > silence:
        return Verdict(CARE, 'more often wrong when it acts than its settings promise', [benefit, *points])
    if found is None or found['high'] is None or found['high'] >= silence:
        return Verdict(CARE, 'looks worth deploying, but these recordings are too few to be sure', [benefit, *points])
    if any(point.mood == BAD for point in points):
        return Verdict(CARE, 'worth deploying by its own costs, but not without care', [benefit, *points])
    return Verdict(GOOD, 'worth deploying by its own costs', [benefit, *points])


def _costs(model: Mapping[str, Any]) -> str:
    wrong = 'what the cost matrix says' if model['model']['cost_matrix'] else '1'
    return f'a wrong label costs {wrong} and abstaining {model["model"]["abstain_cost"]:.2f}'


def _rightness(model: Mapping[str, Any]) -> List[Point]:
    decisions, frames = model['decisions'], model['frames']
    if not frames['labelled']:
        n = max(1, frames['decided'])
        return [Point(INFO, f'Of {count_of(frames["decided"], "frame")} it acts on '
                      f'{_percent(decisions["accepted"] / n)}, says uncertain for '
                      f'{_percent(decisions["uncertain"] / n)} and unknown for {_percent(decisions["unknown"] / n)}.')]
    points = []
    if decisions['risk'] is None:
        points.append(Point(BAD, f'It acts on none of {frames["labelled"]} labelled frames.'))
    else:
        promised = decisions['cost_of_silence']
        mood = GOOD if decisions['risk'] <= promised / 2 else CARE if decisions['risk'] <= promised else BAD
        points.append(Point(mood, f'It acts on {_percent(decisions["coverage"])} of {frames["labelled"]} labelled '
                            f'frames; of these {_percent(1 - decisions["risk"])} are right'
                            f'{_between(model, "risk", lambda v: 1 - v)}.'))
    if model['frame']:
        points.append(Point(INFO, f'Forced to answer, it names {_percent(model["frame"]["accuracy"])} of the single '
                            f'frames rightly{_between(model, "accuracy")}, and '
                            f'{_percent(model["fused"]["accuracy"])} when it fuses them over time.'))
    if model['tracks']:
        tracks = model['tracks']
        points.append(Point(GOOD if not tracks['acted_wrong'] else CARE,
                            f'Of {tracks["count"]} objects it acts rightly on {tracks["acted_right"]}, wrongly on '
                            f'{tracks["acted_wrong"]}, and never on {tracks["never_acted"]}.'))
    return points


def _sureness(model: Mapping[str, Any]) -> List[Point]:
    points = []
    if not model['model']['calibrated']:
        points.append(Point(BAD, 'It is not calibrated: its confidences are no probabilities.'))
    if model['frame']:
        ece, floor = model['frame']['ece'], model['frame']['ece_floor']
        well = ece <= floor + 0.03
        middle = ece <= floor + 0.1
        points.append(Point(GOOD if well else CARE if middle else BAD,
                            f'When it says 80 % it should be right 8 times of 10: on average it is off by '
                            f'{100 * ece:.0f} points (chance alone would give {100 * floor:.0f} with so few frames).'))
    conformal = model['conformal']
    if conformal and conformal['coverage'] is not None and conformal['promised'] is not None:
        kept = conformal['coverage'] >= conformal['promised'] - 0.03
        points.append(Point(GOOD if kept else CARE, f'Its sets of possible classes hold the true one in '
                            f'{_percent(conformal["coverage"])} of the frames (promised '
                            f'{_percent(conformal["promised"])}), with {conformal["mean_size"]:.1f} classes each.'))
    return points


def _foreignness(model: Mapping[str, Any]) -> List[Point]:
    found = model['open_set']
    if not found:
        return []
    points = []
    if found['found'] is not None:
        own = found['scores'].get('own', {}).get('auroc')
        acted = found['acted_on_unknown']
        points.append(Point(GOOD if acted <= 0.05 else CARE if acted <= 0.3 else BAD,
                            f'Of what is none of its classes it calls {_percent(found["found"])} unknown and acts on '
                            f'{_percent(acted)}' + (f' (AUROC {own:.2f})' if own is not None else '') + '.'))
    if found['false_unknown_rate'] is not None:
        rate = found['false_unknown_rate']
        points.append(Point(GOOD if rate <= 0.03 else CARE if rate <= 0.15 else BAD,
                            f'{_percent(rate)} of the frames of known classes are called unknown.'))
    return points


def _quickness(model: Mapping[str, Any]) -> List[Point]:
    times = model['time']
    points = []
    found = times.get('decision_s')
    if found and found['median'] is not None:
        never = f'; {_percent(found["never"])} are never decided rightly' if found['never'] else ''
        takes = f'takes {found["median"]:.1f} s' if found['median'] >= 0.05 else 'takes a frame or two'
        points.append(Point(INFO, f'It {takes} (median) from seeing an object to acting on it rightly{never}.'))
    if times['changes_per_s'] is not None:
        changes = times['changes_per_s']
        points.append(Point(INFO if changes <= 1 else CARE, f'Its decision changes {changes:.2f} times a second.'))
    return points


def _ground(model: Mapping[str, Any]) -> List[Point]:
    """How much these figures rest on."""
    intervals = model['intervals']
    if intervals and intervals['few']:
        kinds = {'recording': 'recordings', 'track': 'objects', 'block': 'stretches of 10 s'}
        return [Point(CARE, f'All this rests on {intervals["groups"]} {kinds[intervals["by"]]}: too few for intervals '
                      'to be trusted.')]
    return []


def count_of(number: int, name: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f'{number} {name}{"" if number == 1 else "s"}'


def _between(model: Mapping[str, Any], name: str, turned=lambda v: v) -> str:
    found: Optional[Mapping[str, Any]] = (model['intervals'] or {}).get('figures', {}).get(name)
    if not found or found['low'] is None:
        return ''
    low, high = sorted((turned(found['low']), turned(found['high'])))
    return f' ({_percent(low)} to {_percent(high)})'


def _percent(share: float) -> str:
    text = f'{100 * share:.1f}' if 0 < share < 0.1 or 0.9 < share < 1 else f'{100 * share:.0f}'
    return f'{text} %'

"""What ``robot-vision bench reliability`` prints."""
from textwrap import fill
from typing import Any, List, Mapping, Optional, Sequence

from ..core.text.table import ruled

_NO_TRACKS = 'the same picture again is no track; give recordings as DATA (bag synth makes some of pictures)'


def show(figures: Mapping[str, Any]) -> str:
    """All tables."""
    parts = [f'{figures["model"]}: {figures["pictures"]} pictures of {figures["classes"]} classes, accuracy '
             f'{figures["accuracy"]:.4f}; calibrations and sets fitted to {figures["fitted_to"]}',
             *([f'warning: {figures["flattering"]}'] if figures['flattering'] else []),
             ruled(('probabilities', 'NLL', 'Brier', 'ECE', 'ECE floor', 'objects alike', 'accuracy'), [
                 (name, *('-' if one[key] is None else f'{one[key]:.4f}' for key in (
                     'nll', 'brier', 'ece', 'ece_floor', 'ece_floor_objects', 'accuracy')))
                 for name, one in figures['probabilities'].items()]),
             'risk-coverage (published): ' + ', '.join(
                 f'{coverage}: {risk:.4f}' for coverage, risk in figures['risk_at_coverage'].items())
             + f'; AURC {figures["aurc"]:.4f}',
             ruled(('sets', 'alpha', 'coverage', 'mean size', 'worst class'), [
                 (one['method'], str(one['alpha']), *(f'{one[key]:.4f}' for key in ('coverage', 'size', 'worst_class')))
                 for one in figures['sets']]),
             *_far(figures)]
    if 'near' in figures:
        parts += _near(figures['near'], figures)
    return '\n\n'.join(parts)


def _far(figures: Mapping[str, Any]) -> List[str]:
    """Scores on the groups of OOD pictures, and what is decided of them and of the known."""
    parts, faults = [], figures['faults']
    first = [group for group in figures['foreign'] if group[0] != '(' and group not in faults]
    if first and figures['scores']:
        parts.append('foreign pictures: AUROC / share of them that pass where 95 % of the known do (FPR95)\n' + ruled(
            ('score', *first), [(name, *(f'{by[group]["auroc"]:.4f} / {by[group]["fpr95"]:.3f}' for group in first))
                                for name, by in figures['scores'].items()]) + '\n* the score of the bundle')
    if faults and figures['scores']:
        scores = figures['scores']
        shown = [group for group in faults if group != 'frozen']  # whose pictures are ordinary ones
        parts.append('pictures of a camera at fault: AUROC of the scores, should nobody look at the camera first\n'
                     + ruled(('fault', *scores), [
                         (group, *(f'{scores[name][group]["auroc"]:.3f}' for name in scores)) for group in shown]))
    over = any(one.get('fused') for one in figures['foreign'].values())
    rows = [(name, str(one['n']), *map(_share, (one['accepted'], one['uncertain'], one['unknown'])),
             *(_fused(one.get('fused')) if over else ())) for name, one in figures['foreign'].items()]
    parts.append(f'what is decided at abstain_cost {figures["abstain_cost"]:g} and false_unknown_rate '
                 f'{figures["false_unknown_rate"]:g}: each frame on its own'
                 + ('; fused over time, in recordings' if over else '') + '\n' + ruled(
                     ('pictures', 'n', 'accepted', 'uncertain', 'unknown',
                      *(('n fused', 'accepted', 'uncertain', 'unknown') if over else ())), rows))
    parts.append(f'of the known {figures["foreign"]["(known)"]["called_faulty"]:.4f} are called pictures of a camera '
                 'at fault (counted as unknown)')
    untested = []
    if not figures['tested']['ood_pictures']:
        untested.append('no pictures of no class were given (--ood-pictures), nor any of a camera at fault made: how '
                        'often things that it never saw are accepted is not known')
    elif 'frozen' not in figures['faults']:
        untested.append('pictures of DATA as a camera at fault would take them: give a folder or a list of pictures as '
                        'DATA')
    if not figures['tested']['recordings']:
        untested.append(f'fused over time: {_NO_TRACKS}')
    if 'near' not in figures:
        untested.append('things like its classes, before the same background: --leave-one-out head, or training')
    if untested:
        parts.append('not tested:\n' + '\n'.join(f'- {text}' for text in untested))
    return parts


def _fused(one: Optional[Mapping[str, Any]]) -> Sequence[str]:
    if not one:
        return '', '-', '-', '-'
    return (str(one['n']), *map(_share, (one['accepted'], one['uncertain'], one['unknown'])))


def _near(near: Mapping[str, Any], figures: Mapping[str, Any]) -> List[str]:
    """The rounds in which classes were left out."""
    rounds, mean = near['rounds'], near['mean']
    if near['mode'] == 'head':
        how = ('its logit taken away, and what was fitted fitted again without its pictures. The network has seen it, '
               'which flatters every score but that on frozen features: --leave-one-out training is what tells')
    else:
        accuracies = near['trained_accuracy']
        how = (f'the network trained without it, from {near["train_from"]} on, {near["epochs"]} epochs of '
               f'{near["views"] + 1} views (right on what it was trained on: {min(accuracies):.3f} to '
               f'{max(accuracies):.3f}); less than a whole training, so that accuracy is less, too')
    parts = [fill(f'one class left out in turn, and met as the unknown; {how}', 120)]
    if not rounds:
        return [*parts, 'not tested: no class has pictures among those that are judged']
    names = list(mean)
    heads = [name.replace('_', ' ') for name in names]
    parts.append('AUROC / FPR95 of the left out against the other classes\n' + _by_round(
        rounds, mean, heads, lambda by: [f'{by[name]["auroc"]:.3f} / {by[name]["fpr95"]:.3f}' for name in names],
        ('n', 'known', 'accuracy'), lambda one: [str(one['n']), str(one['known']), f'{one["accuracy"]:.3f}']))
    parts.append('share of the left out that is accepted, each frame on its own\n' + _by_round(
        rounds, mean, heads, lambda by: [_share(by[name]['left_out']['alone']['accepted']) for name in names]))
    if any(one['methods'][names[0]]['left_out']['fused']['n'] for one in rounds):
        parts.append('the same, fused over time\n' + _by_round(
            rounds, mean, heads, lambda by: [_share(by[name]['left_out']['fused']['accepted']) for name in names],
            ('n',), lambda one: [str(one['methods'][names[0]]['left_out']['fused']['n'])]))
    else:
        parts.append(f'fused over time: not tested, {_NO_TRACKS}')
    parts.append('of the other classes meanwhile, each frame on its own: accepted / called unknown\n' + _by_round(
        rounds, mean, heads, lambda by: [f'{_share(by[name]["known"]["alone"]["accepted"])} / '
                                         f'{_share(by[name]["known"]["alone"]["unknown"])}' for name in names]))
    notes = ['* the score of the bundle, fitted again']
    if near['frozen'] is None:
        notes.append('no kNN on frozen features: the pretrained network is not known (--frozen)')
    elif near['frozen_is_own']:
        notes.append("kNN, frozen: on the bundle's own features, since nobody knows of another start")
    else:
        notes.append(f'kNN, frozen: on the penultimate features of {near["frozen"]}, k = 5')
    short = [one for one in rounds if not one['rate_is_reached']]
    if short:
        notes.append(f'in {len(short)} of {len(rounds)} rounds there are too few calibration pictures '
                     f'({min(one["calibrated_on"] for one in short)}) for false_unknown_rate '
                     f'{figures["false_unknown_rate"]:g}, so nothing is called unknown there')
    return [*parts, '\n'.join(notes)]


def _by_round(rounds: Sequence[Mapping[str, Any]], mean: Mapping[str, Any], heads: Sequence[str], cells: Any,
              more_heads: Sequence[str] = (), more: Any = lambda one: []) -> str:
    rows = [(_named(one['classes']), *more(one), *cells(one['methods'])) for one in rounds]
    return ruled(('left out', *more_heads, *heads), [*rows, ('mean', *('' for _ in more_heads), *cells(mean))])


def _named(classes: Sequence[str]) -> str:
    if len(classes) == 1:
        return classes[0]
    return f'{len(classes)}: {", ".join(classes[:2])}{", ..." if len(classes) > 2 else ""}'


def _share(value: Optional[float]) -> str:
    return '-' if value is None else f'{value:.4f}'



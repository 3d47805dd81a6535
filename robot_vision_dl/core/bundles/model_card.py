"""``MODEL_CARD.md`` of a bundle: what people must know before they trust the model."""
from typing import Any, Mapping, Optional, Sequence, Union

from ..networks.architecture import Architecture
from ..networks.preprocess import Preprocessing
from ..uncertainty.calibrate import Calibration
from ..uncertainty.ood.sensor_faults import FAULTS
from .bundle import Bundle
from .trust_limits import trust_limits

_NAMES = {'onnx': 'ONNX file', 'torch.export': 'program of torch.export'}
TESTED = 'tested'
"""Key of the provenance of a bundle whose test is of its last calibration."""
CALIBRATED_AGAIN = 'Calibrated again since; what is said of probabilities here is of the calibration before.'
"""Of test figures, which are not measured again with a new calibration."""


def render_card(name: str, architecture: Architecture, class_names: Sequence[str], preprocessing: Preprocessing,
                calibration: Optional[Calibration], provenance: Mapping[str, Any], notes: str = '') -> str:
    """The card as Markdown.

    Args:
        notes: Markdown that goes below the summary: what the model is for, where it fails, attribution.
    """
    height, width = preprocessing.crop
    names = ', '.join(class_names[:8]) + (', ...' if len(class_names) > 8 else '')
    colours = 'RGB' if preprocessing.channels == 3 else 'grey'
    resize = f'shorter side to {preprocessing.resize}, centre' if preprocessing.resize else 'resized to'
    filter_name = '' if preprocessing.interpolation == 'bilinear' else f' ({preprocessing.interpolation})'
    lines = [f'# {name}', '',
             f'- Network: {_NAMES.get(architecture.name, architecture.name)}, {architecture.num_classes} classes '
             f'({names})',
             f'- Input: {colours}, {resize} {width}x{height}{filter_name}, mean {preprocessing.mean}, '
             f'std {preprocessing.std}']
    if notes:
        lines += ['', notes.strip()]
    lines += ['', '## Calibration', '']
    if calibration is None:
        lines += ['None: the probabilities are those of the plain softmax, and nothing is called unknown.']
    else:
        lines += _calibration_lines(calibration)
        cautions = [limit.under(name) for limit in trust_limits(Bundle(
            name=name, source='', folder=None, identity='', architecture=architecture, class_names=tuple(class_names),
            preprocessing=preprocessing, temperature=calibration.temperature, conformal=calibration.conformal,
            ood=calibration.ood, vector=calibration.vector, laplace=calibration.laplace, metrics=calibration.metrics,
            provenance=provenance))]
        if cautions:
            lines += ['', 'What this calibration cannot promise:', '', *(f'- {text}.' for text in cautions)]
    lines += ['', '## Provenance', '']
    lines += [f'- {key}: {f"`{value}`" if key == "command" else value}' for key, value in provenance.items()]
    return '\n'.join(lines) + '\n'


def published_by(model: Union[Bundle, Calibration]) -> str:
    """What makes the probabilities that are published of a calibrated model."""
    if model.laplace is not None and model.laplace.gives_probabilities:
        return f'last-layer Laplace approximation with temperature {model.laplace.temperature:.4f}'
    if model.vector is not None:
        return 'vector scaling, a weight and an offset a class'
    return f'temperature {model.temperature:.4f}'


def _calibration_lines(calibration: Calibration) -> Sequence[str]:
    m = calibration.metrics
    sets = calibration.conformal
    scaling = published_by(calibration)
    scaling = scaling[0].upper() + scaling[1:]
    lines = [f'{scaling}, fitted at {calibration.precision} on {calibration.device}; conformal sets ({sets.method}) at '
             f'error rate {sets.alpha:g} (quantile {", ".join(f"{limit:.4f}" for limit in sets.thresholds[:12])}'
             f'{", ..." if len(sets.thresholds) > 12 else ""}).']
    laplace = calibration.laplace
    if laplace is not None:
        use = 'probabilities and mutual information' if laplace.gives_probabilities else 'mutual information'
        lines += [f'Last-layer Laplace approximation for {use}: prior precision {laplace.tau:.4g}, held-out negative '
                  f'log-likelihood {m["nll_laplace"]:.4f}.']
    if calibration.fusion is not None:
        lines += [f'Fusion: correlation time {calibration.fusion.correlation_time_s:.3g} s, mean time between changes '
                  f'{calibration.fusion.change_time_s:.3g} s, from the recordings it was calibrated on.']
    if calibration.ood is not None and calibration.ood.scores is not None:
        n = len(calibration.ood.scores)
        lines += [f'OOD score: {calibration.ood.words}, calibrated on {n} pictures, so the smallest p-value is '
                  f'1/{n + 1} = {1 / (n + 1):.4f}.']
        if calibration.ood.parts:
            lines += ['Its parts are standardised on known pictures that they were not fitted to, and combined as '
                      'Fisher has it; whatever they are, of pictures like those of the calibration at most the share '
                      'epsilon has a p-value of at most epsilon.']
        if calibration.ood_reason:
            reason = calibration.ood_reason.rstrip('.')
            lines += [f'{reason[0].upper()}{reason[1:]}.']
        if 'ood_choice' in m:
            lines += ['', *_choice_table(m['ood_choice'])]
        if 'ood_auroc' in m:
            lines += ['', 'On OOD pictures that did not choose it: ' + '; '.join(
                f'{group} AUROC {value:.3f}, called unknown {m["unknown_rate"][group]:.3f}'
                for group, value in m['ood_auroc'].items()) + f' (at false_unknown_rate {m["unknown_rate_at"]:.4g}).']
    if calibration.density_aware is not None and 'nll_corrupted' in m:
        plain, aware = m['nll_corrupted']
        lines += [
            'The further out a frame is, the less its probabilities claim (density-aware calibration, exponent '
            f'{calibration.density_aware.exponent:.2f}): on {m["corrupted_pictures"]} pictures corrupted by blur, '
            'noise, overexposure or compression, which it was fitted to, the negative log-likelihood falls from '
            f'{plain:.4f} to {aware:.4f}; of those as they were it is {m["nll_aware"][1]:.4f}, without it '
            f'{m["nll_aware"][0]:.4f}.']
    lines += [f'{note[0].upper()}{note[1:]}.' for note in calibration.notes]
    lines += ['', 'Not tested: ' + '; '.join(_untested(calibration)) + '.']
    lines += ['', f'Measured on {m["pictures"]} labelled pictures by cross-validation'
              f'{", before density-aware calibration" if calibration.density_aware is not None else ""}:',
              '',
              '| | plain softmax | calibrated |', '|---|---|---|',
              f'| negative log-likelihood, nats | {m["nll_plain"]:.4f} | {m["nll"]:.4f} |',
              f'| Brier score | {m["brier_plain"]:.4f} | {m["brier"]:.4f} |',
              f'| expected calibration error, 15 bins | {m["ece_plain"]:.4f} | {m["ece"]:.4f} |', '',
              f'Perfectly calibrated predictions would show a calibration error of {m["ece_floor"]:.4f} with so few '
              f'pictures. Top-1 {m["top1"]:.3f}, top-5 {m["top5"]:.3f}; conformal sets hold the true class in '
              f'{m["conformal_coverage"]:.3f} of the pictures, with {m["conformal_mean_size"]:.1f} classes on average.']
    return lines


def _choice_table(choice: Mapping[str, Mapping[str, float]]) -> Sequence[str]:
    """AUROC of each candidate on each group, best first."""
    groups = list(next(iter(choice.values()))) if choice else []
    lines = [f'| AUROC | {" | ".join(groups)} |', '|---' * (len(groups) + 1) + '|']
    for method, values in sorted(choice.items(), key=lambda item: -sum(item[1].values())):
        lines.append(f'| {method} | ' + ' | '.join(f'{values[group]:.3f}' for group in groups) + ' |')
    return lines if groups else []


def _untested(calibration: Calibration) -> Sequence[str]:
    """What a calibration leaves open about unknown things and worse pictures, and the command that measures it."""
    groups = set(calibration.metrics.get('unknown_rate', {})) - set(FAULTS)
    found = [] if groups else ['things of no class (no such pictures were given: how often an unknown thing is '
                               'accepted is not known; `robot-vision bench reliability MODEL DATA --ood-pictures '
                               'FOLDER`)']
    found += ['things like its classes before the same background (`bench reliability MODEL DATA --reference '
              'TRAINED_ON --leave-one-out training`)']
    worse = 'pictures that get worse in ways that nothing was fitted to' if calibration.density_aware else \
        'pictures that get worse'
    return [*found, f'{worse} (`bench shift MODEL DATA`)']

"""``MODEL_CARD.md`` of a bundle: what people must know before they trust the model."""
from typing import Any, Mapping, Optional, Sequence

from .architectures import Architecture
from .preprocess import Preprocessing
from .uncertainty.calibrate import Calibration


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
    lines = [f'# {name}', '',
             f'- Network: {architecture.name}, {architecture.num_classes} classes ({names})',
             f'- Input: {colours}, {resize} {width}x{height}, mean {preprocessing.mean}, std {preprocessing.std}']
    if notes:
        lines += ['', notes.strip()]
    lines += ['', '## Calibration', '']
    if calibration is None:
        lines += ['None: the probabilities are those of the plain softmax, and nothing is called unknown.']
    else:
        lines += _calibration_lines(calibration)
    lines += ['', '## Provenance', '']
    lines += [f'- {key}: {f"`{value}`" if key == "command" else value}' for key, value in provenance.items()]
    return '\n'.join(lines) + '\n'


def _calibration_lines(calibration: Calibration) -> Sequence[str]:
    m = calibration.metrics
    alpha, quantile = calibration.conformal
    lines = [f'Temperature {calibration.temperature:.4f}; conformal sets at error rate {alpha:g} (quantile '
             f'{quantile:.4f}).']
    if calibration.ood is not None and calibration.ood.scores is not None:
        n = len(calibration.ood.scores)
        lines += [f'OOD score: {calibration.ood.method}, calibrated on {n} pictures, so the smallest p-value is '
                  f'1/{n + 1} = {1 / (n + 1):.4f}.']
    lines += ['', f'Measured on {m["pictures"]} labelled pictures, each half judged by what was fitted on the other:',
              '',
              '| | plain softmax | calibrated |', '|---|---|---|',
              f'| negative log-likelihood, nats | {m["nll_plain"]:.4f} | {m["nll"]:.4f} |',
              f'| Brier score | {m["brier_plain"]:.4f} | {m["brier"]:.4f} |',
              f'| expected calibration error, 15 bins | {m["ece_plain"]:.4f} | {m["ece"]:.4f} |', '',
              f'Perfectly calibrated predictions would show a calibration error of {m["ece_floor"]:.4f} with so few '
              f'pictures. Top-1 {m["top1"]:.3f}, top-5 {m["top5"]:.3f}; conformal sets hold the true class in '
              f'{m["conformal_coverage"]:.3f} of the pictures, with {m["conformal_mean_size"]:.1f} classes on average.']
    return lines

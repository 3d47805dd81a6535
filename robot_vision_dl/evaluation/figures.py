"""Figures for people as PNG files: confusion matrix, reliability diagram, curves."""
import io
from typing import TYPE_CHECKING, Any, Sequence, Tuple

import numpy as np

from ..core.errors import ConfigError
from ..core.metrics.calibration import Reliability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _ACCENT, _LIGHT = '#222222', '#1f77b4', '#d62728'
_DPI = 110


def confusion_figure(confusion: np.ndarray, class_names: Sequence[str], title: str = '') -> bytes:
    """Rows: what it is; columns: what it was called; shade: share of the row. PNG."""
    count = len(class_names)
    side = min(3.0 + 0.45 * count, 14.0)
    figure, axes = _new(side + 0.6, side)
    total = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(confusion / total, cmap='Blues', vmin=0, vmax=1)
    axes.set_xticks(range(count), class_names, rotation=45, ha='right')
    axes.set_yticks(range(count), class_names)
    axes.set_xlabel('called')
    axes.set_ylabel('is')
    if count <= 25:
        for i in range(count):
            for j in range(count):
                if confusion[i, j]:
                    dark = confusion[i, j] / total[i, 0] > 0.5
                    axes.text(j, i, str(confusion[i, j]), ha='center', va='center', color='white' if dark else _INK,
                              fontsize=9)
    axes.set_title(title, fontsize=10)
    return _png(figure)


def reliability_figure(lines: Sequence[Tuple[str, Reliability]], title: str = '') -> bytes:
    """Accuracy over confidence, with a bar of how many pictures each bin of the last line has. PNG."""
    figure, (upper, lower) = _new(4.6, 5.2, rows=2, ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color='#999999', linestyle='--', linewidth=1)
    for (name, values), colour, marker in zip(lines, (_LIGHT, _ACCENT, _INK), 'sov'):
        there = values.counts > 0
        upper.plot(values.confidence[there], values.accuracy[there], marker=marker, markersize=4, color=colour,
                   label=name)
    upper.set_ylabel('accuracy')
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    upper.legend(fontsize=8, loc='upper left')
    upper.set_title(title, fontsize=10)
    counts = lines[-1][1].counts
    edges = np.arange(len(counts)) / len(counts)
    lower.bar(edges, counts, width=1 / len(counts), align='edge', color=_ACCENT, edgecolor='white')
    lower.set_xlim(0, 1)
    lower.set_xlabel('confidence')
    lower.set_ylabel('pictures')
    return _png(figure)


def curves_figure(epochs: Sequence[int], loss: Sequence[float], nll: Sequence[float], accuracy: Sequence[float],
                  best: int, title: str = '') -> bytes:
    """Training loss and early-stop NLL, and early-stop accuracy, by epoch; a line at the epoch that was kept. PNG."""
    figure, (left, right) = _new(7.6, 3.2, columns=2)
    left.plot(epochs, loss, color=_LIGHT, marker='.', label='training loss')
    if np.isfinite(nll).any():
        left.plot(epochs, nll, color=_ACCENT, marker='.', label='early-stop NLL')
    left.set_ylabel('nats')
    left.set_ylim(bottom=0)
    left.legend(fontsize=8)
    if np.isfinite(accuracy).any():
        right.plot(epochs, accuracy, color=_ACCENT, marker='.')
    right.set_ylabel('early-stop accuracy')
    for axes in (left, right):
        axes.axvline(best, color='#999999', linestyle='--', linewidth=1)
        axes.set_xlabel('epoch')
    figure.suptitle(title, fontsize=10)
    return _png(figure)


def _new(width: float, height: float, rows: int = 1, columns: int = 1, ratios: Sequence[float] = ()
         ) -> Tuple['Figure', Any]:
    """A figure without pyplot, which would choose a window system and keep every figure."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(f'figures need matplotlib ({error}); install it with `pip install "robot_vision_dl[train]"`'
                          ) from error
    figure = Figure(figsize=(width, height), dpi=_DPI, layout='constrained')
    FigureCanvasAgg(figure)
    options = {'height_ratios': ratios} if ratios else {}
    return figure, figure.subplots(rows, columns, gridspec_kw=options)


def _png(figure: 'Figure') -> bytes:
    buffer = io.BytesIO()
    # Without a date and a version, so that the same figure has the same bytes.
    figure.savefig(buffer, format='png', metadata={'Software': None})
    return buffer.getvalue()

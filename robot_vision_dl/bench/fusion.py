"""``robot-vision bench fusion``: frames fused over time, beside single frames, votes, means and products.

The bags must be labelled and have taken no part in training or calibration. A stretch is what is between two changes
of the label; everything is measured from its beginning, and nothing is told that it began.
"""
import argparse
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..core.config import PRECISIONS
from ..core.text.number_options import real, whole
from ..core.text.table import ruled
from .report import conclude

if TYPE_CHECKING:
    from ..core.bundles.bundle import Bundle
    from ..core.decision.fusion_fit import Stream

HELP = 'frames fused over time, beside single frames, votes and products'
PLACES = (1, 10, 60)
_TINY = 1e-12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, on what."""
    parser.add_argument('bundle', metavar='BUNDLE', help='folder of the bundle, or its name in models/')
    parser.add_argument('data', metavar='BAG', nargs='+', help='labelled bags')
    parser.add_argument('--window', type=whole(1, 10**7), default=10, metavar='N',
                        help='frames that the mean, the vote and the product go over (default: %(default)s)')
    parser.add_argument('--error', type=real(1e-6, 1), default=0.05,
                        help='share of wrong decisions at which the time to a decision is told (default: %(default)s)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: auto)')
    parser.add_argument('--precision', default='float32', choices=PRECISIONS,
                        help='arithmetic of the network (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    figures = measure(args)
    print(f'{figures["model"]}: {figures["frames"]} frames, {figures["stretches"]} stretches of '
          f'{figures["mean_stretch_s"]:.2f} s on average; {figures["times"]}\n')
    print(ruled(('', 'NLL', 'ECE', 'accuracy', *(f'NLL/ECE after {k}' for k in PLACES)), [
        (name, *(f'{one[key]:.4f}' for key in ('nll', 'ece', 'accuracy')),
         *(f'{at["nll"]:.3f}/{at["ece"]:.3f}' if at['n'] else '-' for at in one['after'].values()))
        for name, one in figures['methods'].items()]))
    print('\n' + ruled(
        ('', 'label changes/s', 'right after a change, s', f'decided at {args.error:g} wrong', 'after s (mean)',
         'threshold'),
        [(name, f'{one["changes_per_s"]:.3f}', f'{one["recovery_s"]:.3f}', f'{one["decided"]:.3f}',
          f'{one["decision_s"]:.2f}', f'{one["threshold"]:.4f}') for name, one in figures['methods'].items()]))
    print(f'\nthe label itself changes {figures["true_changes_per_s"]:.3f} times a second; ECE floor of single frames '
          f'{figures["ece_floor"]:.4f}; a stretch without a decision counts with its whole length')
    conclude(figures, args.json)
    return 0


def measure(args: argparse.Namespace) -> Dict[str, Any]:
    """All figures of the report."""
    from ..core.bundles.bundle import load_bundle
    from ..core.errors import DataError
    from ..core.metrics.calibration import calibration_error_floor
    from ..evaluation.predict import run_bundle
    from .published import published
    bundle = load_bundle(args.bundle)
    outputs = run_bundle(bundle, args.data, device=args.device, precision=args.precision)
    streams = outputs.streams(published(bundle, outputs.logits, outputs.features, outputs.stages).probabilities)
    if not streams:
        raise DataError(f'{", ".join(args.data)}: holds no labelled frames with a time; give bags')
    stretches = [stretches_of(one.times_ns, one.labels) for one in streams]
    all_stretches = [(a, b) for one in stretches for a, b in one]
    lengths = [(s.times_ns[b - 1] - s.times_ns[a]) * 1e-9 for s, one in zip(streams, stretches) for a, b in one]
    methods = {name: judged(streams, stretches, [method(one) for one in streams], args.error)
               for name, method in rivals(bundle, args.window).items()}
    watched = sum((one.times_ns[-1] - one.times_ns[0]) * 1e-9 for one in streams)
    times = bundle.fusion
    return {
        'model': bundle.name, 'frames': sum(len(one.labels) for one in streams), 'stretches': len(all_stretches),
        'mean_stretch_s': float(np.mean(lengths)), 'window': args.window,
        'times': 'times of the fallback, the bundle has none' if times is None else
        f'correlation time {times.correlation_time_s:g} s, change time {times.change_time_s:g} s, of the bundle',
        'true_changes_per_s': sum(int((np.diff(one.labels) != 0).sum()) for one in streams) / max(watched, 1e-9),
        'ece_floor': calibration_error_floor(np.concatenate([one.probabilities.max(axis=1) for one in streams])),
        'methods': methods}


def rivals(bundle: 'Bundle', window: int) -> Dict[str, Callable[['Stream'], np.ndarray]]:
    """Name -> what makes posteriors (n, C) of a stream; ours is the last."""
    from ..core.config import FusionConfig
    from ..core.decision.fusion import FALLBACK_TIMES
    from ..core.decision.fusion_fit import fused
    times = bundle.fusion or FALLBACK_TIMES
    config = FusionConfig().resolved(times.correlation_time_s, times.change_time_s)
    naive = FusionConfig(correlation_time_s=0.0, change_time_s=config.change_time_s)
    return {
        'single frame': lambda stream: stream.probabilities,
        f'mean of logits, {window} frames': lambda stream: over_window(stream.probabilities, window, mean_of_logits),
        f'majority vote, {window} frames': lambda stream: over_window(stream.probabilities, window, majority_vote),
        f'naive product, {window} frames': lambda stream: over_window(stream.probabilities, window, naive_product),
        'naive filter (independent frames)': lambda stream: fused(stream, naive),
        'robot_vision_dl': lambda stream: fused(stream, config, times)}


def over_window(p: np.ndarray, window: int, combine: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """``combine`` of the last ``window`` frames up to each, shape (n, C)."""
    return np.array([combine(p[max(0, i + 1 - window):i + 1]) for i in range(len(p))])


def mean_of_logits(p: np.ndarray) -> np.ndarray:
    """Softmax of the mean of calibrated logits (k, C)."""
    return _normalised(np.log(np.maximum(p, _TINY)).mean(axis=0))


def naive_product(p: np.ndarray) -> np.ndarray:
    """Bayes' rule as if frames were independent, from equal priors."""
    return _normalised(np.log(np.maximum(p, _TINY)).sum(axis=0))


def majority_vote(p: np.ndarray) -> np.ndarray:
    """Share of votes, with one vote spread over all classes so that none is ruled out."""
    classes = p.shape[1]
    votes = np.bincount(p.argmax(axis=1), minlength=classes) + 1 / classes
    return votes / votes.sum()


def stretches_of(times_ns: np.ndarray, labels: np.ndarray, gap_s: float = 1.0) -> List[Tuple[int, int]]:
    """[begin, end) of frames with one label and without a gap."""
    cuts = np.flatnonzero((np.diff(labels) != 0) | (np.diff(times_ns) * 1e-9 > gap_s)) + 1
    edges = [0, *cuts.tolist(), len(labels)]
    return list(zip(edges, edges[1:]))


class _Decision(NamedTuple):
    decided: float
    mean_s: float
    threshold: float


def judged(streams: Sequence['Stream'], stretches: Sequence[Sequence[Tuple[int, int]]],
           posteriors: Sequence[np.ndarray], error: float) -> Dict[str, Any]:
    """Figures of one method, from its posteriors (n, C) of each stream."""
    from ..core.metrics.calibration import expected_calibration_error, top_label
    from ..core.metrics.classification import accuracy
    from ..core.metrics.proper_scores import negative_log_likelihood
    p, y = np.concatenate(posteriors), np.concatenate([one.labels for one in streams])
    p = np.asarray(p, np.float64) / p.sum(axis=1, keepdims=True)

    def figures(q: np.ndarray, labels: np.ndarray) -> Dict[str, float]:
        return {'n': len(labels), 'nll': negative_log_likelihood(q, labels),
                'ece': expected_calibration_error(*top_label(q, labels)),
                'accuracy': accuracy(q, labels)} if len(labels) else {'n': 0}
    after, flips, watched, recovery, tracks = {}, 0, 0.0, [], []
    offsets = np.cumsum([0, *(len(one.labels) for one in streams)])
    for k in PLACES:
        places = [offset + a + k - 1 for offset, one in zip(offsets, stretches) for a, b in one if a + k <= b]
        after[str(k)] = figures(p[places], y[places])
    for stream, q, own in zip(streams, posteriors, stretches):
        best = q.argmax(axis=1)
        flips += int((np.diff(best) != 0).sum())
        watched += (stream.times_ns[-1] - stream.times_ns[0]) * 1e-9
        for place, (a, b) in enumerate(own):
            since = (stream.times_ns[a:b] - stream.times_ns[a]) * 1e-9
            right = best[a:b] == stream.labels[a:b]
            tracks.append((since, q[a:b].max(axis=1), right))
            if place and stream.times_ns[a] - stream.times_ns[a - 1] <= 1e9:
                recovery.append(float(since[right.argmax()]) if right.any() else float(since[-1]))
    decision = time_to_decision(tracks, error)
    return {**figures(p, y), 'after': after, 'changes_per_s': flips / max(watched, 1e-9),
            'recovery_s': float(np.mean(recovery)) if recovery else float('nan'),
            'decided': decision.decided, 'decision_s': decision.mean_s, 'threshold': decision.threshold}


def time_to_decision(tracks: Sequence[Tuple[np.ndarray, np.ndarray, np.ndarray]], error: float) -> _Decision:
    """When a robot that acts once on each stretch, as soon as the confidence allows, may act.

    The threshold is the one under which most stretches are decided with at most ``error`` of the decisions wrong; a
    method that cannot hold that decides nothing.

    Args:
        tracks: of each stretch: seconds since its beginning, confidence, whether the label is right; shapes (k,).
    """
    lengths = np.array([since[-1] for since, _, _ in tracks])
    best = _Decision(0.0, float(lengths.mean()), 1.0)
    for threshold in np.unique(np.quantile(np.concatenate([c for _, c, _ in tracks]), np.linspace(0, 1, 400))):
        first = [(since[hit[0]], right[hit[0]]) if len(hit := np.flatnonzero(c >= threshold)) else (since[-1], None)
                 for since, c, right in tracks]
        outcomes = [right for _, right in first if right is not None]
        if outcomes and 1 - np.mean(outcomes) <= error:
            found = _Decision(len(outcomes) / len(first), float(np.mean([s for s, _ in first])), float(threshold))
            if (found.decided, -found.mean_s) > (best.decided, -best.mean_s):
                best = found
    return best


def _normalised(logarithms: np.ndarray) -> np.ndarray:
    e = np.exp(logarithms - logarithms.max())
    return e / e.sum()

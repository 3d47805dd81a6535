"""``robot-vision bench trust``: what each method of trust costs beside the bare forward pass.

Each method runs right after a forward pass, as it does for a frame, so that its data are not in the caches; and so does
the whole. The bare forward pass is timed in turn with them. What is held against the limit is a whole frame (forward
pass and everything) over the mean of the bare passes before and after it, the median over rounds.
"""
import argparse
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Tuple

import numpy as np

from ..core.metrics.percentiles import percentiles
from ..core.text.number_options import whole
from ..core.text.table import ruled
from .report import conclude

if TYPE_CHECKING:
    from ..core.bundles.bundle import Bundle
    from ..core.networks.network import Network, Prediction
    from ..core.types import Assessment, Picture
    from ..core.uncertainty.ood.p_value import OodCalibration

HELP = 'each method of trust, beside the bare forward pass'
LIMIT = 1.05
_MEMBERS = 3


Method = Callable[['Prediction'], object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what."""
    parser.add_argument('--model', help='a bundle with what it carries; without, all that one can carry, fitted to '
                        'random features of a network of random weights')
    parser.add_argument('--architecture', default='resnet18', help='network (default: %(default)s)')
    parser.add_argument('--classes', type=whole(2, 10**5), default=1000,
                        help='number of classes (default: %(default)s)')
    parser.add_argument('--size', type=whole(8, 8192), default=224,
                        help='side of the input in pixels (default: %(default)s)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: %(default)s)')
    parser.add_argument('--threads', type=whole(0, 4096), default=0, help='CPU threads; 0: all cores (default)')
    parser.add_argument('--bank', type=whole(1, 10**7), default=1000,
                        help='pictures that kNN keeps (default: %(default)s)')
    parser.add_argument('--rounds', type=whole(1, 10**7), default=100,
                        help='times that everything is run (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Measure and print; exit code 1 if the whole costs more than 1.05 forward passes."""
    figures = measure(args)
    floor = figures['forward_ms']['p50']
    print(f'{figures["architecture"]}, {figures["size"]}x{figures["size"]}, batch 1, {figures["classes"]} classes, '
          f'{figures["device"]}, {figures["threads"]} thread(s); {args.rounds} rounds\n'
          f'stages beside the features: {", ".join(figures["stages"]) or "none"}; score: '
          f'{", ".join(figures["parts"])}\n')
    rows = [('bare forward', floor, figures['forward_ms']['p95'], '')]
    rows += [(name, value['p50'], value['p95'], f'{1 + value["p50"] / floor:.4f}')
             for name, value in figures['methods_ms'].items()]
    print(ruled(('', 'p50 ms', 'p95 ms', 'x forward'), rows))
    print(f'\neverything ({figures["everything"]}): whole frames take {figures["paired_ratio"]:.4f} x bare ones, in '
          f'turn (limit {LIMIT}); what comes after the forward pass alone: {figures["everything_ms"]["p50"]:.3f} ms, '
          f'{figures["ratio"] - 1:.4f} x')
    conclude(figures, args.json)
    return 0 if figures['paired_ratio'] <= LIMIT else 1


def measure(args: argparse.Namespace) -> Dict[str, Any]:
    """Times in ms: of the bare forward pass, of each method after one, of everything together."""
    import torch

    from ..core.bundles.bundle import load_bundle
    from ..core.config import FusionConfig
    from ..core.decision.decision import Policy, decide
    from ..core.decision.fusion import FALLBACK_TIMES, BayesFilter
    from ..core.errors import ConfigError
    from ..core.networks.architecture import Architecture
    from ..core.networks.device import resolve_device
    from ..core.networks.network import Network, build_network, restore_network
    from ..core.networks.stages import usual_stages
    from ..core.uncertainty.assess import Assessor
    from ..core.uncertainty.camera.bounds import default_bounds
    from ..core.uncertainty.camera.statistics import look
    from ..core.uncertainty.camera.watch import CameraWatch
    from ..core.uncertainty.conformal import CONFORMAL_METHODS, Conformal, fit_conformal
    from ..core.uncertainty.dropout import DropoutSampler
    from ..core.uncertainty.ensemble import EnsembleNetwork
    from ..core.uncertainty.entropy import normalised_entropy
    from ..core.uncertainty.laplace import LaplacePredictive
    from ..core.uncertainty.ood.base import on_host
    from ..core.uncertainty.ood.p_value import OodDetector
    from ..core.uncertainty.ood.part import COMBINED
    from ..core.uncertainty.temperature import below_highest, calibrated_softmax
    device = resolve_device(args.device)
    torch.manual_seed(0)
    if device.type == 'cpu':
        import os
        torch.set_num_threads(args.threads or len(os.sched_getaffinity(0)))
    if args.model:
        bundle = load_bundle(args.model)
        network = bundle.load_single_network()
        if bundle.ood is None or not isinstance(network, Network):
            raise ConfigError(f'--model {args.model}: must hold a network, and a calibrated score of it')
        scores, size = {bundle.ood.name: bundle.ood}, bundle.preprocessing.crop[0]
    else:
        network, size = build_network(Architecture(args.architecture, args.classes, dropout=0.2, stages=usual_stages(
            args.architecture))), args.size
        bundle, scores = _bundle(network, args)
    network = network.to(device=device).to(memory_format=torch.channels_last)
    score = scores[COMBINED] if COMBINED in scores else scores[next(iter(scores))]
    # The bare pass gives no stages; it has the same weights in the same place.
    plain = restore_network(replace(network.architecture, stages=()), network.state_dict())
    names, classes = bundle.class_names, len(bundle.class_names)
    pixels = torch.randn(1, network.architecture.in_channels, size, size, device=device).contiguous(
        memory_format=torch.channels_last)
    wait = torch.cuda.synchronize if device.type == 'cuda' else lambda: None
    filters = [BayesFilter(classes, FusionConfig(), times=FALLBACK_TIMES)]
    frames = [_picture(number) for number in range(2)]
    bounds, watch = bundle.camera or default_bounds(), CameraWatch()
    passed = None if bounds.probe is None else bounds.probe.offsets
    shown = [frames[0]]

    def show() -> None:
        """The next frame, read as the preprocessing reads it before the camera is checked."""
        shown[0] = frames[1] if shown[0] is frames[0] else frames[0]
        shown[0].pixels.max()

    def check() -> None:
        picture = shown[0]
        watch.check(look(picture, bounds.needs_colours), picture, next(clock), bounds, 1.0, 1.0, passed)

    policy, clock = Policy(0.3, 0.01, 0.1), iter(range(0, 10 ** 18, 33_000_000))
    drawn, labels = _draws(classes)
    p = drawn[0].astype(np.float32)
    sets = {name: fit_conformal(drawn, labels, 0.1, name, 0.01 if name == 'raps' else None,
                                3 if name == 'raps' else None) for name in CONFORMAL_METHODS}

    def fuse(assessment: 'Assessment') -> None:
        now, belief = next(clock), filters[0]
        unknown = 0.0
        if assessment.ood is not None and assessment.ood.p_value is not None:
            belief.update_ood(assessment.ood.p_value, now)
            unknown = belief.unknown_probability(0.01)
        decide(belief.update(assessment.probabilities, now), names, policy, assessment.ood, unknown)

    detectors = {name: OodDetector(score) for name, score in scores.items()}
    methods: Dict[str, Method] = {
        'temperature': lambda out: calibrated_softmax(on_host(out.logits), 1.5),
        'entropy': lambda out: normalised_entropy(p),
    }
    if bundle.laplace is not None:
        laplace = LaplacePredictive(bundle.laplace)
        methods['Laplace mutual information'] = lambda out: laplace.mutual_information(
            below_highest(on_host(out.logits)), laplace.scales(out.features))

    def score_of(detector: OodDetector) -> Method:
        return lambda out: detector(out.logits, out.features, out.stages)

    def set_of(conformal: Conformal) -> Method:
        return lambda out: conformal.set_of(p)
    methods.update({f'OOD {name}': score_of(detector) for name, detector in detectors.items()})
    methods.update({f'conformal {name}': set_of(sets[name]) for name in CONFORMAL_METHODS})
    alone = Assessor(replace(bundle, ood=None, laplace=None, conformal=None))
    with torch.inference_mode():
        one = alone(network(pixels))[0]
        methods['fusion and decision'] = lambda out: fuse(one)
        found = _rounds(args.rounds, lambda: network(pixels), methods, wait)
        checked = _rounds(args.rounds, lambda: network(pixels), {'check of the camera, 640x480': lambda out: check()},
                          wait, show)
        checked.pop('forward')
        everything = Assessor(replace(bundle, ood=score))

        whole = _rounds(args.rounds, lambda: network(pixels), {'all': lambda out: fuse(everything(out)[0])}, wait)
        bare = _rounds(args.rounds, lambda: plain(pixels), {'nothing': lambda out: None}, wait)

        def frame() -> None:
            check()
            fuse(everything(network(pixels))[0])
        paired = _paired(args.rounds, lambda: plain(pixels), frame, wait, show)
        dropout = DropoutSampler(network, 8)
        ensemble = EnsembleNetwork([network] * _MEMBERS, [1.0] * _MEMBERS)
        slow = _rounds(max(args.rounds // 10, 3), lambda: network(pixels), {
            'MC dropout, 8 samples, backbone once (the whole pass)': lambda out: dropout(pixels),
            f'ensemble of {_MEMBERS} (the whole pass)': lambda out: ensemble(pixels)}, wait)
    floor = percentiles(bare['forward'])
    found.pop('forward')
    slow.pop('forward')
    cost = percentiles(whole['all'])
    return {
        'architecture': network.architecture.name, 'size': size, 'classes': classes, 'device': str(device),
        'threads': torch.get_num_threads(), 'forward_ms': floor,
        'methods_ms': {name: percentiles(values) for name, values in {**checked, **found, **slow}.items()},
        'stages': list(network.architecture.stages), 'parts': [str(part) for part in score.all_parts],
        'everything': 'check of the camera, stages, temperature, entropy' + ', Laplace' * (bundle.laplace is not None)
        + f', {score.name} OOD score' + ', conformal set' * (bundle.conformal is not None) + ', fusion, decision',
        'everything_ms': cost, 'ratio': 1 + cost['p50'] / floor['p50'], 'paired_ratio': paired}


def _picture(seed: int) -> 'Picture':
    """Shapes, coarse and fine, with a sensor's noise, 640x480."""
    import cv2

    from ..core.types import ColorOrder, Picture
    rng = np.random.default_rng(seed)
    pixels = 120 + rng.normal(0, 2, (480, 640, 3))
    for side in (8, 40, 160):
        pixels += cv2.resize(rng.normal(0, 30, (side * 3 // 4, side, 3)), (640, 480), interpolation=cv2.INTER_CUBIC)
    return Picture(pixels.clip(0, 255).astype(np.uint8), ColorOrder.BGR)


def _rounds(count: int, forward: Callable[[], 'Prediction'], methods: Dict[str, Method], wait: Callable[[], None],
            between: Callable[[], None] = lambda: None) -> Dict[str, List[float]]:
    """Times in ms of a forward pass and then of one method after it, methods in turn; ``between`` is not timed."""
    times: Dict[str, List[float]] = {'forward': [], **{name: [] for name in methods}}
    for turn in range(-3, count):
        for name, method in methods.items():
            started = time.perf_counter()
            out = forward()
            wait()
            ended = time.perf_counter()
            between()
            began = time.perf_counter()
            method(out)
            wait()
            if turn >= 0:  # the first allocate
                times['forward'].append((ended - started) * 1e3)
                times[name].append((time.perf_counter() - began) * 1e3)
    return times


def _paired(count: int, bare: Callable[[], object], whole: Callable[[], object], wait: Callable[[], None],
            before: Callable[[], None]) -> float:
    """Median over rounds of the ratio of a whole frame to the mean of the bare passes before and after it.

    ``before`` runs before each of the three and is not timed.
    """
    ratios = []
    for _ in range(count):
        took = []
        for one in (bare, whole, bare):
            before()
            started = time.perf_counter()
            one()
            wait()
            took.append(time.perf_counter() - started)
        ratios.append(2 * took[1] / (took[0] + took[2]))
    return float(np.median(ratios))


def _draws(classes: int) -> Tuple[np.ndarray, np.ndarray]:
    """Predictions that mean what they say, so that sets are as large as those of a calibrated network."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(classes, 0.05), 500)
    labels = (p.cumsum(axis=1) < rng.random((500, 1))).sum(axis=1).clip(max=classes - 1)
    return p, labels


def _bundle(network: 'Network', args: argparse.Namespace) -> Tuple['Bundle', Dict[str, 'OodCalibration']]:
    """Everything that a bundle can carry, fitted to random features.

    What it costs hardly depends on what it says; but a real posterior has fewer directions than this one.
    """
    import torch

    from ..core.bundles.bundle import Bundle
    from ..core.networks.preprocess import Preprocessing
    from ..core.uncertainty.conformal import Conformal
    from ..core.uncertainty.laplace import trimmed
    from ..core.uncertainty.laplace_fit import fit_factors
    from ..core.uncertainty.ood.base import linear_head
    from ..core.uncertainty.ood.combined import fit_parts
    from ..core.uncertainty.ood.p_value import OodCalibration
    from ..core.uncertainty.ood.part import COMBINED, OOD_METHODS, Part, usual_parts
    from ..core.uncertainty.ood.pictures import Pictures
    generator = torch.Generator().manual_seed(0)
    head = linear_head(network.head)
    assert head is not None
    with torch.inference_mode():
        widths = [one.shape[1] for one in network(torch.zeros(
            1, 3, args.size, args.size, device=next(network.parameters()).device)).stages]
    features, *stages = (torch.rand(args.bank, width, generator=generator) for width in (network.num_features, *widths))
    logits = features @ head.weight.T + head.bias
    known = Pictures(logits, features, torch.arange(args.bank) % args.classes, tuple(stages))
    scores, names = {}, network.architecture.stages
    for name, parts in (*((name, (Part(name),)) for name in OOD_METHODS),
                        (COMBINED, usual_parts(names, network.num_features))):
        score = fit_parts(parts, known, names, head)
        with torch.inference_mode():
            scores[name] = OodCalibration.of_parts(parts, score, score(logits, features, stages), names)
    laplace = trimmed(replace(fit_factors(logits.numpy(), features.numpy()), tau=10.0))
    bundle = Bundle(
        'random', 'random', None, '', network.architecture, tuple(f'class {i}' for i in range(args.classes)),
        Preprocessing(0, (args.size, args.size)), temperature=1.5, precision='float32',
        conformal=Conformal('lac', 0.1, (0.9,)), ood=scores['energy'], laplace=laplace)
    return bundle, scores

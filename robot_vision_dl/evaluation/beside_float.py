"""Two bundles on the same held-out pictures: an int8 network beside the float32 one that it was made of."""
import time
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch

from ..core.backends.onnx_model import batch_of
from ..core.bundles.bundle import Bundle
from ..core.bundles.trust_limits import p_value_grid
from ..core.config import DecisionConfig
from ..core.metrics.calibration import calibration_error_floor, expected_calibration_error, top_label
from ..core.metrics.classification import accuracy
from ..core.metrics.proper_scores import negative_log_likelihood
from ..core.metrics.ranking import fpr_at_tpr, two_groups
from ..core.networks.graph_network import runner
from ..core.uncertainty.attainable_rates import deciding_rate
from .labelled_outputs import LabelledOutputs
from .predict import Outputs, assessments

ROUNDS, PASSES = 12, 10
_95 = 1.645  # one-sided


@dataclass(frozen=True)
class Told:
    """What a bundle says of n pictures.

    Attributes:
        probabilities: calibrated, (n, C).
        scores: of being out of distribution, (n,); empty where there is no such score.
        accepted: which are given a class, bool (n,), each picture on its own.
    """

    probabilities: np.ndarray
    scores: np.ndarray
    accepted: np.ndarray


@dataclass(frozen=True)
class Loss:
    """Accuracy that int8 loses on n pictures, which both networks saw.

    Attributes:
        accuracy: float32's less int8's.
        lost, won: pictures that only float32, and only int8, has right.
        at_least, at_most: what it could be with 95 % confidence on either side, from those pictures.
        expected: of the class that int8 names, how much less probable it is by the calibrated float32 network than the
            one that that names, on average; 0 where both name the same. It is what is lost if those probabilities are
            right, and says so without labels, of far fewer pictures than whether answers were right.
        pictures: n.
        needed: pictures that could tell a loss of the margin, by a rule of thumb.
    """

    accuracy: float
    lost: int
    won: int
    at_least: float
    at_most: float
    expected: float
    pictures: int
    needed: int


def told(bundle: Bundle, outputs: Outputs) -> Told:
    """What the bundle makes of outputs, with the settings that a deployment has if it says nothing."""
    found = list(assessments(bundle, outputs.logits, outputs.features, outputs.stages))
    rate = deciding_rate(p_value_grid(bundle), DecisionConfig().false_unknown_rate)
    probabilities = np.array([one.probabilities for one in found])
    sure = probabilities.max(axis=1) >= 1 - bundle.abstain_cost
    unknown = np.array([one.ood is not None and one.ood.p_value is not None and one.ood.p_value < rate
                        for one in found], bool)
    scores = np.array([one.ood.score for one in found if one.ood is not None])
    return Told(probabilities, scores, sure & ~unknown)


def figures(bundle: Bundle, outputs: LabelledOutputs, foreign: Mapping[str, Outputs]) -> Tuple[Dict[str, Any], Told]:
    """Figures of a bundle on held-out pictures, as ``metrics`` keep them; and what it says of those of a class.

    Args:
        outputs: of its network; those of no class are left out.
        foreign: of pictures of no class, by groups.
    """
    known = outputs.known
    said = told(bundle, Outputs(outputs.logits[known], outputs.features[known],
                                tuple(one[known] for one in outputs.stages)))
    labels = outputs.labels[known]
    confidence, right = top_label(said.probabilities, labels)
    found: Dict[str, Any] = {
        'pictures': len(known), 'accuracy': accuracy(said.probabilities, labels),
        'nll': negative_log_likelihood(said.probabilities, labels),
        'ece': expected_calibration_error(confidence, right), 'ece_floor': calibration_error_floor(confidence),
        'accepted': float(said.accepted.mean())}
    for name, pictures in foreign.items():
        strange = told(bundle, pictures)
        if len(said.scores) and len(strange.scores):
            # Positive are the known, by a score that is higher for them.
            values, is_strange = two_groups(said.scores, strange.scores)
            found.setdefault('fpr95', {})[name] = round(fpr_at_tpr(-values, ~is_strange), 4)
        found.setdefault('accepted_foreign', {})[name] = round(float(strange.accepted.mean()), 4)
        found.setdefault('foreign_pictures', {})[name] = len(strange.accepted)
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in found.items()}, said


def loss(float32: Told, int8: Told, labels: np.ndarray, margin: float) -> Loss:
    """What int8 loses; n pictures are paired, so only those count of which one network is right and the other not."""
    right, still = (said.probabilities.argmax(1) == labels for said in (float32, int8))
    n, lost, won = len(labels), int((right & ~still).sum()), int((~right & still).sum())
    # Agresti and Min 2005: half a picture more in each of the four cells, so that none that differ say something, too.
    total, apart = n + 2, (lost - won) / (n + 2)
    spread = sqrt(max((lost + won + 1) / total - apart**2, 0) / total)
    needed = ceil((_95 / margin)**2 * (lost + won + 1) / total) if margin > 0 else n
    low, high = max(apart - _95 * spread, -1.0), min(apart + _95 * spread, 1.0)
    rows = np.arange(n)
    believed = float32.probabilities[rows, float32.probabilities.argmax(1)]
    expected = float((believed - float32.probabilities[rows, int8.probabilities.argmax(1)]).mean())
    return Loss((lost - won) / n, lost, won, low, high, expected, n, needed)


def times_ms(models: Sequence[Tuple[bytes, Optional[str]]], outputs: Sequence[str], bundle: Bundle, threads: int = 1
             ) -> List[float]:
    """Median time of a pass of each model, in ms, by turns, so that a busy machine is fair to all.

    Args:
        models: serialized ONNX with the input of the bundle, and what runs each
            (:attr:`~..core.networks.graph_network.GraphFacts.runtime`).
        outputs: of the models.
        threads: that share a pass.
    """
    shape = (batch_of(bundle) or 1, bundle.architecture.in_channels, *bundle.preprocessing.crop)
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)  # which the runtimes take, too
    try:
        runs = [runner(runtime)(model, outputs, bundle.name) for model, runtime in models]
        for run in runs:
            run(pixels)
    finally:
        torch.set_num_threads(before)
    found: List[List[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, times in zip(runs, found):
            passes = []
            for _ in range(PASSES):
                started = time.perf_counter()
                run(pixels)
                passes.append(time.perf_counter() - started)
            times.append(float(np.median(passes)))
    return [float(np.median(times)) * 1e3 for times in found]


def megabytes(bundle: Bundle) -> float:
    """Size of a bundle's files; 0 where it has no folder."""
    return 0.0 if bundle.folder is None else folder_megabytes(bundle.folder)


def folder_megabytes(folder: Path) -> float:
    """Size of the files below a folder, in 10^6 bytes."""
    return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6

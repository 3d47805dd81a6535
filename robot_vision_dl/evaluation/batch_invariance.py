"""Whether a decision that was made in a batch is the one that would be made frame by frame.

A convolution of eight pictures may round otherwise than one of a single picture, by some units in the last place, and
that difference goes on into the belief. How much it is depends on network, library and processor, so it is measured on
the first batch of a recording. A decision that stays the same when the belief is moved by far more than that is the
same either way; the few that do not are found here.
"""
from math import exp
from typing import Dict, Iterator, Optional, Sequence, Tuple

import numpy as np
import torch

from ..core.config import ClassifierConfig
from ..core.decision.decision import decide
from ..core.runtime.pipeline import Pipeline
from ..core.types import Decision, Frame, Result

# The belief of a recording gathers the errors of its frames, those of some ten seconds, as a random walk.
_GATHERED = 20.0
_SMALLEST = 1e-6  # float32's own rounding of a probability, in its logarithm
# A score next to a calibration score may get the neighbouring p-value; an e-value changes by a factor of 2 at most.
_JUMP = 2.0
_JUMP_LASTS = 10.0  # times fusion.unknown_time_s


class BatchInvariance:
    """Watches the decisions of one recording by one model.

    Attributes:
        noise: largest difference of ln p between the batch and single frames; 0 where they are equal bit by bit.
    """

    def __init__(self, pipeline: Pipeline, config: ClassifierConfig) -> None:
        self._pipeline, self._config = pipeline, config
        self._policy = pipeline.policy(config)
        self._before: Dict[str, Decision] = {}
        self._jumped_ns: Dict[str, int] = {}
        self._score_noise = 0.0
        self.noise = 0.0

    def measure(self, frames: Sequence[Frame], batch: torch.Tensor) -> None:
        """Compare the frames of a batch with each of them alone; remembers nothing about the frames."""
        together = self._pipeline.assess(frames, batch)
        for place, frame in enumerate(frames):
            single = batch[place:place + 1].clone(memory_format=torch.preserve_format)
            alone = self._pipeline.assess([frame], single)[0]
            p, q = (np.maximum(a.probabilities.astype(np.float64), 1e-6) for a in (together[place], alone))
            self.noise = max(self.noise, float(np.abs(np.log(p) - np.log(q)).max()))
            beside = together[place].ood
            if alone.ood is not None and beside is not None:
                self._score_noise = max(self._score_noise, abs(beside.score - alone.ood.score))

    def is_doubtful(self, result: Result) -> bool:
        """Whether rounding might turn a decision; they are to be given in the order in which they were made."""
        camera, decision = result.frame.camera, result.decision
        before = self._before.get(camera)
        self._before[camera] = decision
        if self.noise == 0 and self._score_noise == 0:
            return False
        return self._may_change_side(result) or any(
            decide(posterior, result.class_names, self._policy, result.assessment.ood, unknown, before).label
            != decision.label for posterior, unknown in self._moved(result))

    def _moved(self, result: Result) -> Iterator[Tuple[np.ndarray, float]]:
        """(posterior, probability of the unknown) as far off as rounding can make them, and farther."""
        posterior = result.posterior.astype(np.float64)
        best = result.decision.class_index
        shift = exp(_SMALLEST + _GATHERED * self.noise)
        for up, down in _pairs(posterior, best):
            moved = posterior.copy()
            moved[up] *= shift
            moved[down] /= shift
            yield moved / moved.sum(), result.unknown_probability
        jumped = self._jumped_ns.get(result.frame.camera)
        lasts_ns = _JUMP_LASTS * self._config.fusion.unknown_time_s * 1e9
        if jumped is not None and result.frame.time_ns - jumped <= lasts_ns:
            odds = result.unknown_probability / max(1 - result.unknown_probability, 1e-12)
            for factor in (_JUMP, 1 / _JUMP):
                yield posterior, odds * factor / (1 + odds * factor)

    def _may_change_side(self, result: Result) -> bool:
        """Whether noise could make an unknown of a known frame, or the other way; notes p-values that may jump."""
        ood, calibration = result.assessment.ood, self._pipeline.bundle.ood
        if ood is None or ood.p_value is None or calibration is None or self._score_noise == 0:
            return False
        reach = 4 * self._score_noise
        low, high = float(calibration.p_value(ood.score - reach)), float(calibration.p_value(ood.score + reach))
        if low != high:
            self._jumped_ns[result.frame.camera] = result.frame.time_ns
        epsilon = self._policy.false_unknown_rate
        return (low < epsilon) != (high < epsilon)


def _pairs(posterior: np.ndarray, best: int) -> Iterator[Tuple[Sequence[int], Sequence[int]]]:
    """(indices moved up, moved down): the best class alone, and against its strongest rival."""
    nothing: Sequence[int] = []
    yield [best], nothing
    yield nothing, [best]
    rival = _rival(posterior, best)
    if rival is not None:
        yield [rival], [best]


def _rival(posterior: np.ndarray, best: int) -> Optional[int]:
    if len(posterior) < 2:
        return None
    first, second = np.argpartition(posterior, -2)[-2:].tolist()
    return first if second == best else second

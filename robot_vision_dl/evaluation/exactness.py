"""Whether a decision that was made in a batch is the one that would be made frame by frame.

A convolution of eight pictures may round otherwise than one of a single picture, by some units in the last place, and
that difference goes on into the belief. How much it is depends on network, library and processor, so it is measured on
the first batch of a recording. A decision that lies further from every threshold than that can move it is the same
either way; the few that do not are found here.
"""
from typing import Dict, Optional, Sequence

import numpy as np
import torch

from ..core.decision import needed_probability
from ..core.pipeline import Pipeline
from ..core.types import Frame, Outcome, Result

# The belief of a recording gathers the errors of its frames: those of some ten seconds, as a random walk. Measured on
# 300 frames of the demo bag, the log-odds of the belief were off by 1.6 times the largest error of a frame.
_GATHERED = 20.0
_SMALLEST = 1e-7  # float32's own rounding of a probability


class Exactness:
    """Watches the decisions of one recording by one model.

    Attributes:
        noise: largest difference of ln p between the batch and single frames; 0 where they are equal bit by bit.
        closest: smallest distance in probability of a decision from one that would be different; inf before the first.
        doubtful: decisions that rounding might turn.
    """

    def __init__(self, pipeline: Pipeline, hysteresis: float, false_unknown_rate: float):
        self._pipeline = pipeline
        self._hysteresis, self._epsilon = hysteresis, false_unknown_rate
        self._accepted: Dict[str, Optional[int]] = {}
        self._score_noise = 0.0
        self.noise = 0.0
        self.closest = float('inf')
        self.doubtful = 0

    def measure(self, frames: Sequence[Frame], batch: torch.Tensor) -> None:
        """Compare the frames of a batch with each of them alone; remembers nothing about the frames."""
        together = self._pipeline.assess(frames, batch)
        for place, frame in enumerate(frames):
            single = batch[place:place + 1].clone(memory_format=torch.preserve_format)
            alone = self._pipeline.assess([frame], single)[0]
            p, q = (np.maximum(a.probabilities.astype(np.float64), 1e-6) for a in (together[place], alone))
            self.noise = max(self.noise, float(np.abs(np.log(p) - np.log(q)).max()))
            if alone.ood is not None:
                self._score_noise = max(self._score_noise, abs(together[place].ood.score - alone.ood.score))

    def watch(self, result: Result) -> None:
        """Look at one decision; they are to come in the order in which they were made."""
        decision, posterior = result.decision, result.posterior
        camera = result.frame.camera
        before = self._accepted.get(camera)
        self._accepted[camera] = decision.class_index if decision.outcome is Outcome.ACCEPTED else None
        foreign = self._may_change_side(result)
        if decision.outcome is Outcome.UNKNOWN and not foreign:
            return
        best = float(posterior[decision.class_index])
        cost = self._pipeline.abstain_cost
        distance = abs(best - needed_probability(cost, self._hysteresis if decision.class_index == before else 0.0))
        if len(posterior) > 1 and best >= needed_probability(cost, self._hysteresis) - distance:
            second = float(np.partition(posterior, -2)[-2])
            distance = min(distance, best - second)
        self.closest = min(self.closest, distance)
        reach = _SMALLEST + _GATHERED * self.noise * max(best * (1.0 - best), 1e-4)
        if foreign or (self.noise > 0 and distance <= reach):
            self.doubtful += 1

    def _may_change_side(self, result: Result) -> bool:
        """Whether noise could make an unknown of a known frame, or the other way."""
        ood = result.assessment.ood
        if ood is None or ood.p_value is None or self._epsilon <= 0 or self._score_noise == 0:
            return False
        reach = 4 * self._score_noise
        calibration = self._pipeline.bundle.ood
        low, high = calibration.p_value(ood.score - reach), calibration.p_value(ood.score + reach)
        return bool((low < self._epsilon) != (high < self._epsilon))

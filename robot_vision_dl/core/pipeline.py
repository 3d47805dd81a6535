"""Frames -> results: the one way that the live node and the evaluation of a bag both take."""
import os
import time
from contextlib import contextmanager
from types import MappingProxyType
from typing import Dict, Iterator, List, Optional, Sequence

import numpy as np
import torch

from .bundle import Bundle, load_bundle
from .config import ClassifierConfig
from .decision import decide
from .device import resolve_device
from .errors import RobotVisionError
from .fusion import BayesFilter
from .preprocess import Preprocessor, visible_region
from .types import Assessment, ColorOrder, Frame, Outcome, Picture, Result
from .uncertainty.entropy import normalised_entropies
from .uncertainty.ood import OodDetector
from .uncertainty.temperature import calibrated_softmax


class Pipeline:
    """A loaded model with everything that turns its output into decisions.

    Not thread-safe: one thread runs it. It keeps a belief and the last accepted class for each camera.

    Args:
        bundle: the model and what is known about its errors.
        config: the deployment's choices.
    """

    def __init__(self, bundle: Bundle, config: ClassifierConfig):
        self.bundle = bundle
        self.device = resolve_device(config.device)
        if self.device.type == 'cpu':
            torch.set_num_threads(config.threads or max(1, len(os.sched_getaffinity(0)) - 1))
        self._dtype = getattr(torch, config.precision)
        # Convolutions of the CPU and of tensor cores are two to three times as fast with channels last.
        self.network = bundle.load_network(self.device, self._dtype).to(memory_format=torch.channels_last)
        self.preprocess = Preprocessor(bundle.preprocessing, self.device, self._dtype)
        self._ood = OodDetector(bundle.ood) if bundle.ood is not None else None
        self._filters: Dict[str, BayesFilter] = {}
        self._accepted: Dict[str, Optional[int]] = {}
        self.configure(config)

    @property
    def warnings(self) -> List[str]:
        """What keeps the confidences from being probabilities, a sentence each; empty if nothing does."""
        bundle = self.bundle
        if not bundle.calibrated:
            return [f'{bundle.name} is not calibrated: its confidences are not probabilities, and nothing is called '
                    'unknown']
        if bundle.precision != self._config.precision:
            return [f'{bundle.name} was calibrated at {bundle.precision} but runs at {self._config.precision}: its '
                    'confidences may be off']
        return []

    @classmethod
    def load(cls, config: ClassifierConfig) -> 'Pipeline':
        """Load and verify ``config.model`` and run it once, so that the first frame is not slower than the others."""
        pipeline = cls(load_bundle(config.model), config)
        pipeline.warm_up()
        return pipeline

    def configure(self, config: ClassifierConfig) -> None:
        """Take over the settings that may change while running."""
        self._config = config
        cost = config.decision.abstain_cost
        self._abstain_cost = self.bundle.abstain_cost if cost < 0 else cost
        for belief in self._filters.values():
            belief.config = config.fusion

    def adopt_beliefs(self, other: 'Pipeline') -> None:
        """Carry on with the beliefs of the pipeline that this one replaces, where both mean the same classes."""
        if other.bundle.class_names == self.bundle.class_names:
            self._filters, self._accepted = other._filters, other._accepted
            self.configure(self._config)

    def warm_up(self, batch_sizes: Sequence[int] = (1,)) -> None:
        """Run the network on grey pictures: the first runs of a size allocate and choose algorithms."""
        height, width = self.bundle.preprocessing.crop
        grey = Picture(np.full((height, width, 3), 128, np.uint8), ColorOrder.RGB)
        for size in batch_sizes:
            for _ in range(2):
                with torch.inference_mode():
                    self.network(self.preprocess([grey] * size))

    def reset(self) -> None:
        """Forget what all cameras saw, as if just loaded."""
        self._filters.clear()
        self._accepted.clear()

    @property
    def abstain_cost(self) -> float:
        """Cost of saying ``uncertain``, where a wrong label costs 1: the deployment's, or else the bundle's."""
        return self._abstain_cost

    @torch.inference_mode()
    def process(self, frames: Sequence[Frame], batch: Optional[torch.Tensor] = None) -> List[Result]:
        """Assess frames in one forward pass, then fuse and decide each in the order given.

        Args:
            frames: at least one; frames of one camera in the order of their stamps.
            batch: what ``preprocess`` made of their pictures, where that was done ahead, on another thread.
        """
        watch = _StopWatch(self.device)
        assessments = self._assessments(frames, batch, watch)
        results = []
        with watch.stage('decide'):
            decisions = [self._fuse_and_decide(frame, a) for frame, a in zip(frames, assessments)]
        stage_ms = MappingProxyType(watch.elapsed_ms)
        for frame, assessment, (posterior, decision) in zip(frames, assessments, decisions):
            region = visible_region(self.bundle.preprocessing, frame.picture.height, frame.picture.width)
            results.append(Result(frame, assessment, posterior, decision, self.bundle.class_names, region, stage_ms,
                                  len(frames)))
        return results

    @torch.inference_mode()
    def assess(self, frames: Sequence[Frame], batch: Optional[torch.Tensor] = None) -> List[Assessment]:
        """What each frame says on its own; nothing is fused or remembered. Arguments as for :meth:`process`."""
        return self._assessments(frames, batch, _StopWatch(self.device))

    def _assessments(self, frames: Sequence[Frame], batch: Optional[torch.Tensor],
                     watch: '_StopWatch') -> List[Assessment]:
        with watch.stage('preprocess'):
            if batch is None:
                batch = self.preprocess([frame.picture for frame in frames])
        with watch.stage('forward'):
            prediction = self.network(batch)
        with watch.stage('uncertainty'):
            return self._assess(prediction)

    def _assess(self, prediction) -> List[Assessment]:
        """What each frame of a batch says on its own; everything after the network is float32."""
        logits = prediction.logits.float()
        if not torch.isfinite(logits).all():
            raise RobotVisionError(f'{self.bundle.name} gave logits that are not numbers at {self._config.precision}; '
                                   'its weights may not suit this precision')
        probabilities = calibrated_softmax(logits, self.bundle.temperature)
        entropy = normalised_entropies(probabilities).predictive
        ood = self._ood(logits, prediction.features.float()) if self._ood else [None] * len(logits)
        assessments = []
        for z, p, h, o in zip(logits.cpu().numpy(), probabilities.cpu().numpy(), entropy.tolist(), ood):
            conformal: Optional[Sequence[int]] = None
            was_empty = False
            if self.bundle.conformal is not None:
                conformal, was_empty = self.bundle.conformal.set_of(p)
            assessments.append(Assessment(z, p, h, ood=o, conformal_set=conformal, conformal_set_was_empty=was_empty))
        return assessments

    def _fuse_and_decide(self, frame: Frame, assessment: Assessment):
        belief = self._filters.get(frame.camera)
        if belief is None:
            belief = self._filters[frame.camera] = BayesFilter(len(self.bundle.class_names), self._config.fusion)
        epsilon = self._config.decision.false_unknown_rate
        ood = assessment.ood
        if ood is not None and ood.p_value is not None and ood.p_value < epsilon:
            # What is none of the classes says nothing about which class it is.
            posterior = belief.at(frame.time_ns)
        else:
            posterior = belief.update(assessment.probabilities, frame.time_ns)
        decision = decide(posterior, self.bundle.class_names, self._abstain_cost, ood, epsilon,
                          self._config.decision.hysteresis, self._accepted.get(frame.camera))
        self._accepted[frame.camera] = decision.class_index if decision.outcome is Outcome.ACCEPTED else None
        return posterior, decision


class _StopWatch:
    """Wall time of each stage; waits for the device at the end of a stage, since GPU calls return early."""

    def __init__(self, device: torch.device):
        self._device = device
        self.elapsed_ms: Dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
        self.elapsed_ms[name] = (time.perf_counter() - start) * 1e3

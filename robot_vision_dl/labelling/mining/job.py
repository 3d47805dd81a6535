"""One recording looked at once: its frames go by, and its intervals are written to a part. What a worker does."""
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from ...core.config import ClassifierConfig, with_values
from ...core.errors import RobotVisionError
from ...core.runtime.engine_thread import INFERENCE_FAILED
from ...core.runtime.frame_counters import RATE_LIMITED
from ...core.runtime.pipeline import Pipeline
from ...core.types import Assessment, CameraCheck, Result
from ...core.uncertainty.assess import AnyPrediction
from ...core.uncertainty.camera.statistics import look
from ...core.uncertainty.camera.watch import CameraWatch, frozen_after_s
from ...data.bags.reader import BagReader
from ...data.labels.labels import IGNORE, Finding
from ...evaluation.feed import FedFrame, Feed, FrameBatch
from ...evaluation.parallel_inference import Assessed, ParallelInference, assess_or_fail
from ...evaluation.predict import as_arrays
from ...evaluation.recordings import Recording
from ...evaluation.runner import load_pipeline
from ...evaluation.work import Progress
from .cutting import Cutter
from .intervals import Seen
from .parts import PartHead, PartWriter, part_path, writing_part

_BATCH = 8
_AHEAD_BYTES = 128_000_000
_STAGES = 0.5
"""Weight of all stages together beside the features. On TrashNet the nearest neighbour is of the same class in .891
instead of .874 (weights of ImageNet) and .948 instead of .947 (the waste sorter); what the network was not trained to
tell apart is in its stages."""
SURPRISING = 10.0
"""Times the rate of false unknowns: p-values below are surprising. Of what is known, a tenth is so at the default."""


@dataclass(frozen=True)
class Mined:
    """What became of a recording.

    Attributes:
        failure: why there is no part of it; empty: there is one.
    """

    recording: str
    failure: str = ''


@dataclass(frozen=True)
class MiningJob:
    """What one recording needs to be looked at, anywhere that sees bag, model and queue under the same paths.

    Attributes:
        model: bundle, as it was named.
        identity: of the bundle, which another process must find there as well.
        deployment: of :func:`deployment_of`.
        every_s, longest_s: see :class:`~.options.MiningOptions`.
        folder: of the queue.
        key: of its part.
        cores: that it may use.
    """

    recording: Recording
    model: str
    identity: str
    deployment: ClassifierConfig
    every_s: float
    longest_s: float
    folder: str
    key: str
    cores: int = 0

    def run(self, progress: Progress) -> Mined:
        """Look at it and write its part."""
        with writing_part(part_path(Path(self.folder), self.key)) as writer:
            _Pass(self, writer).run(progress)
        return Mined(self.recording.name)

    def failed(self, failure: str) -> Mined:
        """That of a recording of which nothing came back."""
        return Mined(self.recording.name, failure)


def deployment_of(config: ClassifierConfig, every_s: float, backend: str) -> ClassifierConfig:
    """A deployment that looks at some frames and decides each alone, with one thread, so that all machines agree.

    Forward passes of several batches run beside each other instead (:mod:`...evaluation.parallel_inference`).
    """
    return with_values(config, {
        'threads': config.threads or 1, 'backend': backend, 'max_rate_hz': 1 / every_s if every_s else 0.0,
        'max_rates_hz': '', 'fusion.enabled': False, 'decision.hysteresis': 0.0, 'detection_topics': ()})


def embedding(prediction: AnyPrediction) -> np.ndarray:
    """What frames are compared by: :func:`embedding_of` a pass."""
    _, features, *stages = as_arrays(prediction)
    return embedding_of(features, stages)


def embedding_of(features: np.ndarray, stages: Sequence[np.ndarray]) -> np.ndarray:
    """Features (n, F) and stages (n, F_s) of passes side by side, weighted, float32, each row of length 1."""
    parts = [_unit(features), *(_unit(one) * (_STAGES / len(stages) ** 0.5) for one in stages)]
    return _unit(np.concatenate(parts, axis=1))


def _unit(rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return found.astype(np.float32)


class _Pass:
    def __init__(self, job: MiningJob, writer: PartWriter) -> None:
        self._job, self._writer = job, writer
        self._pipeline: Pipeline = load_pipeline(job.model, job.deployment, job.identity)
        self._pipeline.reset()
        self._reference_p = min(1.0, SURPRISING * self._pipeline.unknown_rate)
        self._cutters: Dict[str, Cutter] = {}
        self._watches: Dict[str, CameraWatch] = {}
        # Exchanged colours are a property of a camera, which all of its frames tell together: none is `unknown` for it.
        self._bounds = self._pipeline.camera_bounds.without_exchanged()
        self._looked_at, self._left_out = 0, 0
        self._unusable: Counter[str] = Counter()
        self._first: List[str] = []
        self._times_ns: Dict[str, int] = {}  # of the last frame of each topic
        self._same: Counter[str] = Counter()

    def run(self, progress: Progress) -> None:
        job, deployment = self._job, self._job.deployment
        cores = job.cores or len(os.sched_getaffinity(0))
        done = 0
        with BagReader(job.recording.files) as reader:
            start_ns = reader.start_ns or 0
        with Feed(job.recording, [self._pipeline.preprocess], deployment, _BATCH, min(4, max(1, cores - 1)),
                  _AHEAD_BYTES) as feed, ParallelInference({'': self._pipeline}, deployment, cores, True) as lanes:
            for batch, assessed in lanes.run(self._noted(feed)):
                if batch.frames:
                    self._take(batch, assessed[0])
                done += len(batch.frames) + len(batch.drops)
                progress(job.recording.name, done)
            unread = max(0, job.recording.frames - feed.messages)
            same = [f'{topic}: {count} frames have the stamp of the frame before; a label is of a time, they share it'
                    for topic, count in sorted(self._same.items())]
            problems = tuple(dict.fromkeys((*job.recording.problems, *feed.problems, *feed.notes, *self._first, *same)))
        for cutter in self._cutters.values():
            self._writer.add(cutter.end())
        if unread:
            self._unusable['unread'] = unread
        self._writer.end(PartHead(start_ns, self._looked_at, self._left_out, dict(sorted(self._unusable.items())),
                                  problems))

    def _noted(self, feed: Feed) -> Iterator[FrameBatch]:
        """The batches, of which drops are counted; the network is not asked about none."""
        for batch in feed:
            for drop in batch.drops:
                if drop.reason == RATE_LIMITED:
                    self._left_out += 1
                else:
                    self._unusable_frame(drop.topic, drop.reason, drop.sentence)
            yield batch

    def _unusable_frame(self, topic: str, reason: str, sentence: str) -> None:
        if not self._unusable[reason]:
            self._first.append(f'{topic}: {sentence}')
        self._unusable[reason] += 1

    def _take(self, batch: FrameBatch, assessed: Assessed) -> None:
        if isinstance(assessed.outcome, Exception):
            if len(batch.frames) == 1:
                self._unusable_frame(batch.frames[0].topic, INFERENCE_FAILED,
                                     f'{type(assessed.outcome).__name__}: {assessed.outcome}')
                return
            for place, fed in enumerate(batch.frames):  # one by one, for the others to go through
                tensor = batch.tensors[0][place:place + 1]
                alone = assess_or_fail(self._pipeline, [fed.frame], tensor, features=True)
                self._take(FrameBatch([fed], [tensor], []), alone)
            return
        assert assessed.prediction is not None
        features = embedding(assessed.prediction)
        for fed, feature, assessment in zip(batch.frames, features, assessed.outcome):
            if self._times_ns.get(fed.topic) == fed.frame.time_ns:
                self._same[fed.topic] += 1
                continue
            self._times_ns[fed.topic] = fed.frame.time_ns
            check, exchanged = self._check_camera(fed, assessment.fault_sums)
            result = self._decided(fed, assessment, check)
            if result is not None:
                self._looked_at += 1
                self._writer.add(self._cutter(fed.topic).add(self._seen(fed, feature, result, exchanged)))

    def _cutter(self, topic: str) -> Cutter:
        if topic not in self._cutters:
            self._cutters[topic] = Cutter(topic, self._job.every_s, self._job.longest_s, self._reference_p)
        return self._cutters[topic]

    def _check_camera(self, fed: FedFrame, passed: Optional[np.ndarray]) -> Tuple[Optional[CameraCheck], bool]:
        """What is wrong with the camera, and whether red and blue look exchanged; None: that is not asked."""
        deployment, frame = self._job.deployment, fed.frame
        if not deployment.camera_faults.enabled:
            return None, False
        bounds = self._pipeline.camera_bounds
        found = look(frame.seen, bounds.needs_colours)
        watch = self._watches.setdefault(fed.topic, CameraWatch())
        check = watch.check(found, frame.seen, frame.time_ns, self._bounds,
                            frozen_after_s(deployment.camera_faults, bounds), deployment.fusion.reset_gap_s, passed)
        return check, bounds.swapped(found, passed) > 1

    def _decided(self, fed: FedFrame, assessment: Assessment, check: Optional[CameraCheck]) -> Optional[Result]:
        try:
            return self._pipeline.conclude([fed.frame], [assessment], cameras=[check])[0]
        except (RuntimeError, RobotVisionError) as error:
            self._unusable_frame(fed.topic, INFERENCE_FAILED, f'{type(error).__name__}: {error}')
            return None

    def _seen(self, fed: FedFrame, feature: np.ndarray, result: Result, exchanged: bool) -> Seen:
        assessment, camera = result.assessment, result.camera
        found = self._job.recording.verdict(fed.topic, fed.frame.time_ns, fed.frame.received_ns)
        given = {Finding.LABELLED: found.label, Finding.IGNORED: IGNORE}.get(found.finding, '')
        return Seen(fed.frame, feature, assessment.probabilities, result.decision.label,
                    None if assessment.ood is None else assessment.ood.p_value,
                    '' if camera is None or camera.fault is None else camera.reason, given, exchanged)


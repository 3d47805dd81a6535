"""One recording through one or several models: rows, drops, pictures, times. What a worker process does."""
import os
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from typing import Dict, Iterator, List, Optional, Sequence, Set, Tuple, Union

import numpy as np
import torch

from ..core.bundles.bundle import load_bundle
from ..core.config import ClassifierConfig, with_values
from ..core.decision.decision import Policy
from ..core.errors import BundleError, RobotVisionError
from ..core.networks.threads import network_threads
from ..core.runtime.engine_thread import INFERENCE_FAILED
from ..core.runtime.pipeline import Pipeline
from ..core.types import Assessment, CameraCheck, Result
from ..core.uncertainty.camera.bounds import default_bounds
from ..core.uncertainty.camera.watch import CameraWatch, frozen_after_s
from ..data.bag_objects import ObjectCounts
from ..data.labels.labels import Finding, FrameLabel
from ..data.learned_pictures import Recognised, as_table, learned_pictures
from ..data.pictures import listed
from .batch_invariance import BatchInvariance
from .decision_bag import DecisionBag
from .example_frames import Choice, ExampleFrames, Key
from .feed import Drop, FedFrame, Feed, FrameBatch
from .options import EvaluationOptions
from .parallel_inference import Assessed, ParallelInference, assess_or_fail
from .recordings import Recording, Targets
from .table import FrameTable, TableWriter
from .work import Progress


@dataclass(frozen=True)
class Job:
    """What one recording needs to be judged, anywhere.

    Attributes:
        models: bundles, as they were named.
        names: of the models, for people; as many.
        strip_every_ns: a picture of each topic so often.
        bag_out: where the decisions go as a bag; None: nowhere.
        copy_topics: the recording's own messages go there too.
        overlay: so do pictures with the decisions drawn in.
        identities: of the bundles, which another process must find under these paths as well; empty: not checked.
        cores: that this job may use; 0: all.
    """

    recording: Recording
    models: Tuple[str, ...]
    names: Tuple[str, ...]
    options: EvaluationOptions
    strip_every_ns: int
    bag_out: Optional[str] = None
    copy_topics: bool = False
    overlay: bool = False
    identities: Tuple[str, ...] = ()
    cores: int = 0

    def run(self, progress: Progress) -> 'RecordingResult':
        """As :func:`run_job`."""
        return run_job(self, progress)

    def failed(self, failure: str) -> 'RecordingResult':
        """The result of a recording of which nothing came back."""
        return RecordingResult(self.recording.name, problems=(*self.recording.problems, f'not judged: {failure}'),
                               failure=failure)


@dataclass
class RecordingResult:
    """What became of one recording.

    Attributes:
        tables: by model, its rows.
        drops: by topic, frames that were not decided, by reason.
        first_drops: by reason, a sentence about the first.
        findings: by topic, what the labels say, counted.
        problems: sentences about the bag and its labels.
        strips: by topic, (stamp, JPEG).
        choices, pictures: see :class:`~.example_frames.ExampleFrames`.
        one_by_one: by model, whether the recording was run frame by frame since rounding might have mattered.
        noise: by model, see :class:`~.batch_invariance.BatchInvariance`; None where it was not measured.
        policies: by model, what acting and abstaining cost.
        stage_ms: by model, milliseconds of each stage summed up.
        seconds: wall time.
        damaged: something of the bag is missing or could not be read; ``problems`` tell.
        unread: frames that the bag's index has and that could not be read.
        digests: of the picture of each decided frame, by topic, number of the message, and number of the object (-1:
            the whole picture).
        objects: by image topic, where images, detections and labelled objects went; empty where whole pictures are
            judged.
        recognised: by model that says what it has learned from, which of its rows look like a picture of that.
        failure: why the recording could not be judged, where its process died or ran into a fault of this package or
            of a library; then there is nothing else. Empty: it was judged.
    """

    recording: str
    tables: Dict[str, FrameTable] = field(default_factory=dict)
    drops: Dict[str, Counter[str]] = field(default_factory=dict)
    first_drops: Dict[str, str] = field(default_factory=dict)
    findings: Dict[str, Counter[str]] = field(default_factory=dict)
    problems: Tuple[str, ...] = ()
    strips: Dict[str, List[Tuple[int, bytes]]] = field(default_factory=dict)
    choices: Dict[str, Choice] = field(default_factory=dict)
    pictures: Dict[Key, bytes] = field(default_factory=dict)
    one_by_one: Dict[str, bool] = field(default_factory=dict)
    noise: Dict[str, Optional[float]] = field(default_factory=dict)
    policies: Dict[str, Policy] = field(default_factory=dict)
    stage_ms: Dict[str, Counter[str]] = field(default_factory=dict)
    seconds: float = 0.0
    damaged: bool = False
    unread: int = 0
    failure: str = ''
    digests: Dict[Tuple[str, int, int], bytes] = field(default_factory=dict)
    objects: Dict[str, ObjectCounts] = field(default_factory=dict)
    recognised: Dict[str, Recognised] = field(default_factory=dict)


class _TooClose(Exception):
    """A decision that rounding might turn."""


_kept = threading.local()
_MOST_KEPT = 8


def load_pipeline(model: str, deployment: ClassifierConfig, identity: str = '') -> Pipeline:
    """A loaded model; a thread keeps those that it has used last, for itself alone, since a pipeline has beliefs.

    The files are read and verified each time, so a model or a matrix of costs that was changed in its place is noticed.

    Raises:
        BundleError, DeviceError: it cannot be used, or is not the one of ``identity`` (empty: not checked).
    """
    bundle = load_bundle(model)
    if identity and bundle.identity != identity:
        raise BundleError(f'{model}: is not the model that was there when the evaluation began ({bundle.identity}, not '
                          f'{identity}); it was changed, or another machine has another one under this name')
    config = with_values(deployment, {'model': model})
    pipelines = _kept.__dict__.setdefault('pipelines', OrderedDict())
    key = (model, bundle.identity, deployment)
    pipeline = pipelines.pop(key, None)
    if pipeline is None:
        pipeline = Pipeline.load(config, bundle)
    else:
        pipeline.configure(config)
        pipeline.claim_thread()
    pipelines[key] = pipeline
    while len(pipelines) > _MOST_KEPT:
        pipelines.popitem(last=False)
    return pipeline


def forget_pipelines() -> None:
    """Forget the models that the calling thread keeps."""
    _kept.__dict__.clear()


def run_job(job: Job, progress: Progress = lambda _name, _done: None) -> RecordingResult:
    """Run one recording.

    Raises:
        BagError, ConfigError, RobotVisionError: as described for each of its parts.
    """
    started = time.perf_counter()
    size = job.options.run.batch
    try:
        outcome = _Run(job, size, size > 1 and job.options.run.exact).run(progress)
    except _TooClose:
        outcome = _Run(job, 1, False).run(progress)
        outcome.one_by_one = dict.fromkeys(job.names, True)
    outcome.seconds = time.perf_counter() - started
    return outcome


class _Run:
    def __init__(self, job: Job, size: int, certain: bool) -> None:
        self._job, self._size, self._certain = job, size, certain
        options, name = job.options, job.recording.name
        identities = job.identities or ('',) * len(job.models)
        self._pipelines = {label: load_pipeline(model, options.deployment, identity)
                           for model, label, identity in zip(job.models, job.names, identities)}
        self._writers, self._targets, self._watches = {}, {}, {}
        classes = {each for pipeline in self._pipelines.values() for each in pipeline.bundle.class_names}
        for label, pipeline in self._pipelines.items():
            pipeline.reset()
            self._writers[label] = TableWriter(name, pipeline.bundle.class_names)
            self._targets[label] = Targets(pipeline.bundle.class_names, dict(options.label_map), label,
                                           classes if options.absent_is_unknown else ())
            self._watches[label] = BatchInvariance(pipeline, options.deployment)
        self._gallery = ExampleFrames(name, list(job.names), job.strip_every_ns) if options.run.pictures else None
        self._left_out: List[str] = []
        # Those that a bundle was fitted with are of what was cut out, and not of whole pictures.
        self._bounds = default_bounds()
        self._camera_watches: Dict[str, CameraWatch] = {}
        self._checked: Dict[str, Tuple[int, CameraCheck]] = {}
        known = {label: learned_pictures(pipeline.bundle) for label, pipeline in self._pipelines.items()}
        self._learned = {label: pictures for label, pictures in known.items() if pictures is not None}
        self._fingerprints: Dict[str, List[np.ndarray]] = {label: [] for label in self._learned}
        self._outcome = RecordingResult(name, stage_ms={label: Counter() for label in job.names})

    def run(self, progress: Progress) -> RecordingResult:
        job, run = self._job, self._job.options.run
        outcome, done = self._outcome, 0
        preprocessors = [pipeline.preprocess for pipeline in self._pipelines.values()]
        top_k = job.options.deployment.top_k
        bag = DecisionBag(job.bag_out, job.recording, job.names, top_k, job.copy_topics, job.overlay) \
            if job.bag_out else None
        deployment = job.options.deployment
        cores = job.cores or len(os.sched_getaffinity(0))
        threads = run.decode_threads or min(4, max(1, cores - network_threads(deployment.threads)))
        try:
            with Feed(job.recording, preprocessors, deployment, self._size, threads, run.ahead_mb * 1_000_000,
                      bool(self._learned)) as feed, ParallelInference(self._pipelines, deployment, cores) as lanes:
                for batch, assessed in lanes.run(self._noted(feed)):
                    if batch.frames:
                        self._judge(batch, assessed, bag)
                    done += len(batch.frames) + len(batch.drops)
                    progress(job.recording.name, feed.messages if job.recording.objects else done)
                outcome.damaged = bool(feed.problems)
                outcome.unread = max(0, job.recording.frames - feed.messages)
                outcome.objects = feed.object_counts
                outcome.problems = tuple(dict.fromkeys((*job.recording.problems, *feed.problems, *feed.notes)))
            if bag is not None:
                outcome.problems = tuple(dict.fromkeys((*outcome.problems, *bag.close())))
        except BaseException as error:
            if bag is not None:
                bag.discard(error)
            raise
        for label, writer in self._writers.items():
            watch = self._watches[label]
            outcome.tables[label] = writer.table()
            outcome.noise[label] = watch.noise if self._certain else None
            outcome.policies[label] = self._pipelines[label].policy(job.options.deployment)
            outcome.one_by_one[label] = self._size == 1
            if label in self._learned:
                outcome.recognised[label] = self._learned[label].recognise(as_table(self._fingerprints[label]))
        table = outcome.tables[job.names[0]]
        outcome.problems = tuple(dict.fromkeys((*outcome.problems, *job.recording.without_frames(table))))
        if self._left_out:
            outcome.problems = (*outcome.problems, f'not decided: {listed(self._left_out, ", ")}')
        if self._gallery is not None:
            outcome.strips, outcome.choices = self._gallery.strips, self._gallery.choices
            outcome.pictures = self._gallery.pictures()
        return outcome

    def _noted(self, feed: Feed) -> Iterator[FrameBatch]:
        """The batches, their drops written down; the first is looked at for rounding."""
        for number, batch in enumerate(feed):
            for drop in batch.drops:
                self._drop(drop)
            if number == 0 and self._certain and batch.frames:
                for watch, tensor in zip(self._watches.values(), batch.tensors):
                    watch.measure([fed.frame for fed in batch.frames], tensor)
            yield batch

    def _judge(self, batch: FrameBatch, assessed: Sequence[Assessed], bag: Optional[DecisionBag]) -> None:
        frames = [fed.frame for fed in batch.frames]
        verdicts = [self._verdict(fed) for fed in batch.frames]
        for fed, verdict in zip(batch.frames, verdicts):
            self._outcome.digests[fed.topic, fed.number, fed.object_number] = fed.digest
            self._outcome.findings.setdefault(fed.topic, Counter())[verdict.finding.value] += 1
        checks = [self._check_camera(fed) for fed in batch.frames]
        failed: Set[Tuple[str, int, int]] = set()
        for (label, pipeline), tensor, found in zip(self._pipelines.items(), batch.tensors, assessed):
            watch = self._watches[label]
            started = time.perf_counter()
            results = self._process(pipeline, batch.frames, tensor, found.outcome, failed, checks)
            found.stage_ms['decide'] = (time.perf_counter() - started) * 1e3
            for fed, verdict, result in zip(batch.frames, verdicts, results):
                if result is None:
                    continue
                if self._certain and watch.is_doubtful(result):
                    raise _TooClose
                where = f'{self._job.recording.name} {fed.topic}'
                target = self._targets[label].of(verdict, where)
                if self._job.recording.pictures:
                    # The belief about a picture that is called unknown is what is left of the pictures before it.
                    result = replace(result, posterior=result.assessment.probabilities)
                row = self._writers[label].add(result, fed.topic, fed.number, target, fed.track(verdict),
                                               fed.object_number)
                if fed.fingerprint is not None and label in self._fingerprints:
                    self._fingerprints[label].append(fed.fingerprint)
                if self._gallery is not None:
                    self._gallery.offer(label, fed.frame, row, fed.topic)
                if bag is not None:
                    bag.write(label, result)
            self._outcome.stage_ms[label].update(found.stage_ms)
        if self._gallery is not None and not self._job.recording.objects:
            for frame in frames:
                self._gallery.strip(frame)

        for fed in batch.frames:
            if fed.found is not None and fed.found.ends:
                for pipeline in self._pipelines.values():
                    pipeline.forget(fed.frame.camera)

    def _check_camera(self, fed: FedFrame) -> Optional[CameraCheck]:
        """What a whole picture says of its camera, for its objects; None where they are not what is judged."""
        if fed.whole is None or fed.whole.look is None:
            return None
        frame, config = fed.whole.frame, self._job.options.deployment
        before = self._checked.get(fed.topic)
        if before is not None and before[0] == fed.number:
            return before[1]
        watch = self._camera_watches.setdefault(fed.topic, CameraWatch())
        # One check is all models'.
        frozen_s = max(frozen_after_s(config.camera_faults, one.camera_bounds) for one in self._pipelines.values())
        found = watch.check(fed.whole.look, frame.picture, frame.time_ns, self._bounds, frozen_s,
                            config.fusion.reset_gap_s)
        self._checked[fed.topic] = fed.number, found
        return found

    def _verdict(self, fed: FedFrame) -> FrameLabel:
        if fed.found is not None:
            return fed.found.label
        return self._job.recording.verdict(fed.topic, fed.frame.time_ns, fed.frame.received_ns)

    def _process(self, pipeline: Pipeline, feds: Sequence[FedFrame], tensor: torch.Tensor,
                 assessed: Union[List[Assessment], Exception], failed: Set[Tuple[str, int, int]],
                 checks: Sequence[Optional[CameraCheck]]) -> List[Optional[Result]]:
        """Results of a batch; where the network fails, frame by frame, as the live node would meet them."""
        results: List[Optional[Result]] = []
        if not isinstance(assessed, Exception):
            for fed, assessment, check in zip(feds, assessed, checks):
                try:
                    # What is cut out of a picture tells little about the camera: the whole one was looked at.
                    results += pipeline.conclude([fed.frame], [assessment],
                                                 cameras=None if fed.found is None else [check])
                except (RuntimeError, RobotVisionError) as error:
                    self._failed(fed, error, failed)
                    results.append(None)
            return results
        if len(feds) == 1:
            self._failed(feds[0], assessed, failed)
            return [None]
        for place, fed in enumerate(feds):
            alone = assess_or_fail(pipeline, [fed.frame], tensor[place:place + 1])
            results += self._process(pipeline, [fed], tensor, alone.outcome, failed, checks[place:place + 1])
        return results

    def _failed(self, fed: FedFrame, error: Exception, failed: Set[Tuple[str, int, int]]) -> None:
        key = (fed.topic, fed.number, fed.object_number)
        if key not in failed:
            failed.add(key)
            self._drop(Drop(fed.topic, fed.number, fed.frame.received_ns, INFERENCE_FAILED,
                            f'{type(error).__name__}: {error}'))

    def _drop(self, drop: Drop) -> None:
        self._outcome.drops.setdefault(drop.topic, Counter())[drop.reason] += 1
        if self._job.recording.pictures:
            self._left_out.append(self._job.recording.file(drop.index))
        self._outcome.first_drops.setdefault(drop.reason, f'{self._job.recording.name} {drop.topic}: {drop.sentence}')
        if drop.label is not None:
            if drop.label.finding is Finding.LABELLED:
                self._outcome.findings.setdefault(drop.topic, Counter())['labelled_but_dropped'] += 1
        elif drop.receive_ns:
            verdict = self._job.recording.verdict(drop.topic, drop.receive_ns, drop.receive_ns)
            if verdict.finding is Finding.LABELLED:
                self._outcome.findings.setdefault(drop.topic, Counter())['labelled_but_dropped'] += 1

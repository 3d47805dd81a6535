"""One recording through one or several models: rows, drops, pictures, times. What a worker process does."""
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from ..core.config import ClassifierConfig, with_values
from ..core.decision import Policy
from ..core.engine import INFERENCE_FAILED
from ..core.errors import RobotVisionError
from ..core.pipeline import Pipeline
from ..core.types import Assessment, Result
from ..data.labels import Finding
from .decision_bag import DecisionBag
from .exactness import Exactness
from .feed import Batch, Drop, FedFrame, Feed
from .gallery import Choice, Gallery, Key
from .lanes import Assessed, Lanes, assess_or_fail
from .options import EvaluationOptions
from .recordings import Recording, Targets
from .table import FrameTable, TableWriter

Progress = Callable[[str, int], None]
"""Called with a recording's name and the frames of it that are done."""


@dataclass(frozen=True)
class Job:
    """What one recording needs to be judged, anywhere.

    Attributes:
        models: bundles, as they were named.
        names: of the models, for people; as many.
        strip_every_ns: a picture of each topic so often.
        bag_out: where the decisions go as a bag; None: nowhere.
        copy_topics: the recording's own messages go there too.
    """

    recording: Recording
    models: Tuple[str, ...]
    names: Tuple[str, ...]
    options: EvaluationOptions
    strip_every_ns: int
    bag_out: Optional[str] = None
    copy_topics: bool = False


@dataclass
class Outcome:
    """What became of one recording.

    Attributes:
        tables: by model, its rows.
        drops: by topic, frames that were not decided, by reason.
        first_drops: by reason, a sentence about the first.
        findings: by topic, what the labels say, counted.
        problems: sentences about the bag and its labels.
        strips: by topic, (stamp, JPEG).
        choices, pictures: see :class:`~.gallery.Gallery`.
        one_by_one: by model, whether the recording was run frame by frame since rounding might have mattered.
        noise: by model, see :class:`~.exactness.Exactness`; None where it was not measured.
        policies: by model, what acting and abstaining cost.
        stage_ms: by model, milliseconds of each stage summed up.
        seconds: wall time.
    """

    recording: str
    tables: Dict[str, FrameTable] = field(default_factory=dict)
    drops: Dict[str, Counter] = field(default_factory=dict)
    first_drops: Dict[str, str] = field(default_factory=dict)
    findings: Dict[str, Counter] = field(default_factory=dict)
    problems: Tuple[str, ...] = ()
    strips: Dict[str, List[Tuple[int, bytes]]] = field(default_factory=dict)
    choices: Dict[str, Choice] = field(default_factory=dict)
    pictures: Dict[Key, bytes] = field(default_factory=dict)
    one_by_one: Dict[str, bool] = field(default_factory=dict)
    noise: Dict[str, Optional[float]] = field(default_factory=dict)
    policies: Dict[str, Policy] = field(default_factory=dict)
    stage_ms: Dict[str, Counter] = field(default_factory=dict)
    seconds: float = 0.0


class _TooClose(Exception):
    """A decision that rounding might turn."""


@lru_cache(maxsize=8)
def load_pipeline(model: str, deployment: ClassifierConfig) -> Pipeline:
    """A loaded model; a process keeps those that it has used.

    Raises:
        BundleError, DeviceError: it cannot be used.
    """
    return Pipeline.load(with_values(deployment, {'model': model}))


def run_job(job: Job, progress: Progress = lambda _name, _done: None) -> Outcome:
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
    def __init__(self, job: Job, size: int, certain: bool):
        self._job, self._size, self._certain = job, size, certain
        options, name = job.options, job.recording.name
        self._pipelines = {label: load_pipeline(model, options.deployment)
                           for model, label in zip(job.models, job.names)}
        self._writers, self._targets, self._watches = {}, {}, {}
        for label, pipeline in self._pipelines.items():
            pipeline.reset()
            self._writers[label] = TableWriter(name, pipeline.bundle.class_names)
            self._targets[label] = Targets(pipeline.bundle.class_names, dict(options.label_map), label)
            self._watches[label] = Exactness(pipeline, options.deployment)
        self._gallery = Gallery(name, list(job.names), job.strip_every_ns) if options.run.pictures else None
        self._outcome = Outcome(name, stage_ms={label: Counter() for label in job.names})

    def run(self, progress: Progress) -> Outcome:
        job, run = self._job, self._job.options.run
        outcome, done = self._outcome, 0
        preprocessors = [pipeline.preprocess for pipeline in self._pipelines.values()]
        top_k = job.options.deployment.top_k
        bag = DecisionBag(job.bag_out, job.recording, job.names, top_k, job.copy_topics) if job.bag_out else None
        threads = run.decode_threads or min(4, max(1, len(os.sched_getaffinity(0)) - job.options.deployment.threads))
        try:
            with Feed(job.recording, preprocessors, job.options.deployment, self._size, threads,
                      run.ahead_mb * 1_000_000) as feed, Lanes(self._pipelines, job.options.deployment) as lanes:
                for batch, assessed in lanes.run(self._noted(feed)):
                    if batch.frames:
                        self._judge(batch, assessed, bag)
                    done += len(batch.frames) + len(batch.drops)
                    progress(job.recording.name, done)
                outcome.problems = tuple(dict.fromkeys((*job.recording.problems, *feed.problems)))
            if bag is not None:
                bag.close()
        except BaseException:
            if bag is not None:
                bag.discard()
            raise
        for label, writer in self._writers.items():
            watch = self._watches[label]
            outcome.tables[label] = writer.table()
            outcome.noise[label] = watch.noise if self._certain else None
            outcome.policies[label] = self._pipelines[label].policy(job.options.deployment)
            outcome.one_by_one[label] = self._size == 1
        if self._gallery is not None:
            outcome.strips, outcome.choices = self._gallery.strips, self._gallery.choices
            outcome.pictures = self._gallery.pictures()
        return outcome

    def _noted(self, feed: Feed) -> Iterator[Batch]:
        """The batches, their drops written down; the first is looked at for rounding."""
        for number, batch in enumerate(feed):
            for drop in batch.drops:
                self._drop(drop)
            if number == 0 and self._certain and batch.frames:
                for watch, tensor in zip(self._watches.values(), batch.tensors):
                    watch.measure([fed.frame for fed in batch.frames], tensor)
            yield batch

    def _judge(self, batch: Batch, assessed: Sequence[Assessed], bag: Optional[DecisionBag]) -> None:
        frames = [fed.frame for fed in batch.frames]
        verdicts = [self._job.recording.verdict(fed.frame.camera, fed.frame.time_ns, fed.frame.received_ns)
                    for fed in batch.frames]
        for fed, verdict in zip(batch.frames, verdicts):
            self._outcome.findings.setdefault(fed.frame.camera, Counter())[verdict.finding.value] += 1
        failed: set = set()
        for (label, pipeline), tensor, found in zip(self._pipelines.items(), batch.tensors, assessed):
            watch = self._watches[label]
            started = time.perf_counter()
            results = self._process(pipeline, batch.frames, tensor, found.outcome, failed)
            found.stage_ms['decide'] = (time.perf_counter() - started) * 1e3
            for fed, verdict, result in zip(batch.frames, verdicts, results):
                if result is None:
                    continue
                if self._certain and watch.is_doubtful(result):
                    raise _TooClose
                where = f'{self._job.recording.name} {fed.frame.camera}'
                target = self._targets[label].of(verdict, where)
                row = self._writers[label].add(result, fed.frame.camera, fed.index, target, verdict.track or '')
                if self._gallery is not None:
                    self._gallery.offer(label, fed.frame, row)
                if bag is not None:
                    bag.write(label, result)
            self._outcome.stage_ms[label].update(found.stage_ms)
        if self._gallery is not None:
            for frame in frames:
                self._gallery.strip(frame)

    def _process(self, pipeline: Pipeline, feds: Sequence[FedFrame], tensor,
                 assessed: Union[List[Assessment], Exception], failed: set) -> List[Optional[Result]]:
        """Results of a batch; where the network fails, frame by frame, as the live node would meet them."""
        results: List[Optional[Result]] = []
        if not isinstance(assessed, Exception):
            for fed, assessment in zip(feds, assessed):
                try:
                    results += pipeline.conclude([fed.frame], [assessment])
                except (RuntimeError, RobotVisionError) as error:
                    self._failed(fed, error, failed)
                    results.append(None)
            return results
        if len(feds) == 1:
            self._failed(feds[0], assessed, failed)
            return [None]
        for place, fed in enumerate(feds):
            alone = assess_or_fail(pipeline, [fed.frame], tensor[place:place + 1])
            results += self._process(pipeline, [fed], tensor, alone.outcome, failed)
        return results

    def _failed(self, fed: FedFrame, error: Exception, failed: set) -> None:
        key = (fed.frame.camera, fed.index)
        if key not in failed:
            failed.add(key)
            self._drop(Drop(fed.frame.camera, fed.index, fed.frame.received_ns, INFERENCE_FAILED,
                            f'{type(error).__name__}: {error}'))

    def _drop(self, drop: Drop) -> None:
        self._outcome.drops.setdefault(drop.topic, Counter())[drop.reason] += 1
        self._outcome.first_drops.setdefault(drop.reason, f'{self._job.recording.name} {drop.topic}: {drop.sentence}')
        if drop.receive_ns:
            verdict = self._job.recording.verdict(drop.topic, drop.receive_ns, drop.receive_ns)
            if verdict.finding is Finding.LABELLED:
                self._outcome.findings.setdefault(drop.topic, Counter())['labelled_but_dropped'] += 1

"""Judge models on bags: the API behind ``robot-vision evaluate``.

>>> evaluation = evaluate(['monday/', 'tuesday.bag'], ['models/new', 'models/old'])
>>> evaluation.metrics['models']['new']['fused']['accuracy']
>>> evaluation.metrics['comparisons'][0]['differences']['risk']
>>> evaluation.save('report/')
"""
import hashlib
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np

from .. import __version__
from ..core.backends.int8_choice import deployed_bundle
from ..core.bundles.bundle import Bundle, load_bundle
from ..core.bundles.bundle_search import ENSEMBLE
from ..core.bundles.trust_limits import MEASURED, p_value_grid, trust_limits
from ..core.config import flat_options, with_values
from ..core.errors import ConfigError, RobotVisionError
from ..core.networks.threads import network_threads
from ..core.regions.crop import BOX_REASONS
from ..core.regions.results import OBJECT_REASONS
from ..core.runtime.frame_counters import RATE_LIMITED, REPLACED
from ..core.uncertainty.attainable_rates import rate_in_force
from ..data.bag_objects import ObjectCounts
from ..data.folders import shown
from ..data.labels.labels import Clock
from . import output
from .bootstrap import RATIOS, Interval, differences, verdict
from .compare import groups_from_json
from .copies import judge_once
from .decision_bag import whole_decisions
from .evidence import ModelEvidence
from .example_frames import Choice, Key, joined
from .explained import explained
from .learned import learned_figures, learned_from
from .object_boxes import Boxes, boxes_of
from .options import EvaluationOptions
from .recordings import Recording, open_recordings
from .resampling import HIGHER, resample, shaped_differences, shaped_intervals
from .runner import Job, RecordingResult
from .summary import interval, number, summarise
from .table import NO_LABEL, FrameTable, join
from .work import Progress
from .workers import Cluster, cores_of_a_worker, share_out

STRIP_PICTURES = (6, 28)
NOT_JUDGED = 'not_judged'
"""Why the frames of a recording whose process died were not decided."""
# Frames that a deployment leaves out on purpose or for want of time; what else is not decided could not be.
_BY_CHOICE = (RATE_LIMITED, REPLACED, 'lost_in_transport', *OBJECT_REASONS, *BOX_REASONS)
DEFAULTS = EvaluationOptions()
_NOT_DECIDING = ('model', 'cameras', 'image_topics', 'image_transport', 'max_batch', 'top_k', 'class_id_as_index',
                 'autostart', 'stale_after_s')


@dataclass
class Evaluation:
    """What was found out.

    Attributes:
        metrics: as in ``metrics.json``; see :data:`.summary.SCHEMA`.
        tables: by model, one row a decided frame.
        recordings: what was read.
        outcomes: by recording, drops, pictures and times.
        choices: by model, the pictures worth showing.
        bundles: by model.
        seconds: wall time of running the recordings.
        live_speed: milliseconds that frames took over DDS, where they went that way.
        evidence: by model, for frames that are shown; a model that was not asked is missing.
    """

    metrics: Dict[str, Any]
    tables: Dict[str, FrameTable]
    recordings: List[Recording]
    outcomes: List[RecordingResult]
    choices: Dict[str, Choice]
    bundles: Dict[str, Bundle]
    options: EvaluationOptions
    seconds: float = 0.0
    live_speed: Optional[Dict[str, Any]] = None
    evidence: Dict[str, ModelEvidence] = field(default_factory=dict)

    @property
    def pictures(self) -> Dict[Key, bytes]:
        """JPEG of every frame that was chosen to be shown."""
        return {key: jpeg for outcome in self.outcomes for key, jpeg in outcome.pictures.items()}

    @property
    def failed(self) -> List[str]:
        """Names of the recordings of which nothing came back: their processes died, or ran into a fault."""
        return [outcome.recording for outcome in self.outcomes if outcome.failure]

    @property
    def problems(self) -> List[str]:
        """Sentences about damage in bags and labels, and about models whose confidences are no probabilities."""
        places = tuple({shown(recording.path) for recording in self.recordings} | {
            recording.name for recording in self.recordings})
        # Some begin with the bag's path already, which may be nothing but its name.
        return [problem if problem.partition(':')[0].startswith(places) else f'{outcome.recording}: {problem}'
                for outcome in self.outcomes for problem in outcome.problems]

    def speed(self) -> Dict[str, Any]:
        """How quick it was on this machine; not part of the metrics, which are the same everywhere."""
        frames = sum(len(table) for table in self.tables.values())
        stages = {}
        for model, table in self.tables.items():
            total: Dict[str, float] = {}
            for outcome in self.outcomes:
                for stage, milliseconds in outcome.stage_ms.get(model, {}).items():
                    total[stage] = total.get(stage, 0.0) + milliseconds
            stages[model] = {stage: number(ms / max(1, len(table))) for stage, ms in total.items()}
        return {'seconds': number(self.seconds), 'frames_per_s': number(frames / self.seconds if self.seconds else 0),
                'stage_ms_per_frame': stages, **({'live_ms': self.live_speed} if self.live_speed else {}),
                **({'evidence_s': {model: number(found.seconds) for model, found in self.evidence.items()}}
                   if self.evidence else {})}

    def save(self, folder: Union[str, Path]) -> None:
        """Write ``metrics.json``, ``frames.csv``, ``report.html``, ``summary.md`` and ``speed.json``, all or none.

        Raises:
            DataError: the folder cannot be written or holds other files.
        """
        with output.OutputFolder(folder) as out:
            self.write(out.work)
            out.commit()

    def write(self, folder: Path) -> None:
        """The same into a folder that exists."""
        from .report.markdown import markdown
        from .report.report import report_html
        output.write_json(folder / output.METRICS, self.metrics)
        output.write_frames(folder / output.FRAMES, self.tables, self.recordings)
        output.write_json(folder / output.SPEED, self.speed())
        output.write_text(folder / output.REPORT, report_html(self))
        output.write_text(folder / output.SUMMARY, markdown(self.metrics))


def evaluate(bags: Sequence[Union[str, Path]], models: Sequence[str], options: EvaluationOptions = DEFAULTS, *,
             workers: int = 1, cluster: str = '', write_bag: str = '', copy_topics: bool = False, overlay: bool = False,
             progress: Progress = lambda _name, _done: None,
             recordings: Optional[List[Recording]] = None, names: Sequence[str] = ()) -> Evaluation:
    """Run every frame of the bags through the models, as the live node would, and judge what comes out.

    Args:
        bags: files, folders, globs; folders of pictures, one folder a class, which are decided one by one.
        models: bundles: folders, names in ``models/``, or ``torchvision:<architecture>``.
        options: labels, topics, the deployment's settings, batch size and so on.
        workers: processes that share the recordings.
        cluster: address of a Dask scheduler that shares them instead.
        write_bag: decisions as a bag: ``X.mcap`` for one recording, else a folder with a bag for each.
        copy_topics: the recordings' own messages beside the decisions.
        overlay: pictures with the decisions drawn in beside them.
        progress: called with (recording, frames done) while it runs.
        recordings: of :func:`~.recordings.open_recordings`, where they were opened already.
        names: what the models are called in all that comes of it; empty: by their own names.

    Raises:
        BagError, ConfigError, BundleError, DeviceError: something cannot be used; each says what and what to do.
        RobotVisionError: not one frame could be decided.
    """
    if recordings is None:
        recordings = open_recordings(bags, options)
    bundles = {name: load_bundle(model) for name, model in zip(names or model_names(models), models)}
    boxes = _boxes(recordings, options)
    cameras = sum(len(recording.topics) for recording in recordings)
    workers = min(workers, len(recordings))
    started = time.perf_counter()
    with whole_decisions(write_bag, recordings) as places, Cluster(cluster) if cluster else nullcontext() as pool:
        cores = pool.cores_of_a_job() if pool else cores_of_a_worker(max(1, workers))
        # As the live node chooses them, within a worker's share, and the same for all jobs: with another number results
        # are rounded otherwise.
        threads = options.deployment.threads or min(network_threads(0), cores)
        options = replace(options, deployment=with_values(options.deployment, {'threads': threads}))
        jobs = [Job(recording, tuple(models), tuple(bundles), options, _strip_every_ns(recording, cameras, options),
                    place, copy_topics, overlay,
                    tuple(bundle.identity for bundle in bundles.values()), cores)
                for recording, place in zip(recordings, places)]
        outcomes: Dict[int, RecordingResult] = {}
        share_out(jobs, progress, outcomes.__setitem__, workers, pool)
    in_order = [outcomes[number] for number in range(len(jobs))]
    found = assemble(recordings, in_order, bundles, options, time.perf_counter() - started)
    if options.run.evidence and options.run.pictures or boxes:
        explain_evaluation(found, boxes)
    return found


def explain_evaluation(found: Evaluation, boxes: Mapping[str, Boxes]) -> None:
    """Add evidence for the frames that are shown, and what ``boxes``, by recording, tell about it."""
    for name, bundle in found.bundles.items():
        evidence = found.evidence[name] = explained(bundle, found.tables[name], found.choices[name], found.recordings,
                                                    found.outcomes, boxes, found.options)
        if evidence.background is not None:
            found.metrics['models'][name]['background'] = evidence.background


def _boxes(recordings: Sequence[Recording], options: EvaluationOptions) -> Dict[str, Boxes]:
    """By recording, where objects are; before hours are spent."""
    if not options.boxes:
        return {}
    if options.detections:
        raise ConfigError('--boxes: is of whole pictures; with --detections a frame is an object. Leave one out')
    return {recording.name: boxes_of(recording, options.boxes, options.deployment) for recording in recordings}


def assemble(recordings: List[Recording], outcomes: List[RecordingResult], bundles: Dict[str, Bundle],
             options: EvaluationOptions, seconds: float) -> Evaluation:
    """Outcomes of all recordings -> figures.

    Raises:
        RobotVisionError: not one frame was decided.
        ConfigError: there are labels, and they cover nothing.
    """
    judged = [outcome for outcome in outcomes if not outcome.failure]
    if not judged:
        raise RobotVisionError('not one recording could be judged; ' + '; '.join(
            f'{outcome.recording}: {outcome.failure}' for outcome in outcomes))
    judge_once(judged)
    tables = {name: join([outcome.tables[name] for outcome in judged], bundle.class_names)
              for name, bundle in bundles.items()}
    _check_decided(tables, outcomes)
    _check_labels(recordings, tables, outcomes)
    run = options.run
    metrics: Dict[str, Any] = {
        'schema_version': 1, 'package_version': __version__, 'options': _options_json(options),
        'recordings': [_recording_json(recording, outcome, next(iter(tables.values())))
                       for recording, outcome in zip(recordings, outcomes)],
        'models': {}, 'comparisons': [], 'gates': []}
    samples: Dict[str, Dict[str, np.ndarray]] = {}
    for name, bundle in bundles.items():
        alpha = None if bundle.conformal is None else bundle.conformal.alpha
        policy = judged[0].policies[name]
        summary = summarise(tables[name], options.deployment, policy, alpha, run.seed, run.draws)
        ran = deployed_bundle(bundle, options.deployment, options.deployment.largest_batch)  # as each job found
        wish = options.deployment.decision
        limits = trust_limits(ran.bundle, wish)
        metrics['models'][name] = {
            'model': {'name': bundle.name, 'identity': bundle.identity, 'ran': ran.bundle.identity,
                      'precision': ran.precision, 'classes': len(bundle.class_names),
                      'calibrated': bundle.calibrated, 'abstain_cost': number(policy.abstain_cost),
                      'cost_matrix': policy.costs is not None,
                      'false_unknown_rate': number(wish.false_unknown_rate),
                      'false_unknown_rate_in_force': number(rate_in_force(
                          p_value_grid(ran.bundle), wish.false_unknown_rate, wish.smallest_reachable_rate)),
                      'never_unknown': any(limit.what == 'unknown' for limit in limits),
                      'limits': [limit.sentence for limit in limits if limit.what not in MEASURED],
                      'learned_from': learned_from(bundle, [outcome.recording for outcome in judged]),
                      'learned_pictures': _learned_pictures(judged, name)},
            **summary, 'exactness': _exactness(judged, name)}
        summary['frames'].update(_ground(metrics['recordings']))
        samples[name] = resample(tables[name], summary, options.deployment.fusion.reset_gap_s, run.draws, run.seed)
        if summary['intervals']:
            summary['intervals']['figures'].update(
                {figure: interval(found) for figure, found in shaped_intervals(samples[name], summary).items()})
    names = list(bundles)
    for other in names[1:]:
        first, second = metrics['models'][names[0]], metrics['models'][other]
        found = compare_models(first, second, run.draws, run.seed)
        if found and not _differ(first, second):
            shaped = shaped_differences(samples[names[0]], first, samples[other], second)
            found.update({figure: {**interval(difference), 'verdict': verdict(figure, difference, HIGHER[figure])}
                          for figure, difference in shaped.items()})
        metrics['comparisons'].append({'first': names[0], 'second': other, 'differences': found})
    choices = {name: joined([outcome.choices[name] for outcome in outcomes if name in outcome.choices])
               for name in names}
    return Evaluation(metrics, tables, recordings, outcomes, choices, bundles, options, seconds)


def _learned_pictures(judged: Sequence[RecordingResult], name: str) -> Optional[Dict[str, Any]]:
    """See :func:`~.learned.learned_figures`; None: the model does not say what it has learned from."""
    if not all(name in outcome.recognised for outcome in judged):
        return None
    return learned_figures({outcome.recording: outcome.tables[name] for outcome in judged},
                           {outcome.recording: outcome.recognised[name] for outcome in judged})


def compare_models(first: Mapping[str, Any], second: Mapping[str, Any], draws: int,
                   seed: int) -> Optional[Dict[str, Any]]:
    """Second minus first, paired; None where they were not judged on the same labelled frames.

    Where a label is a class of one model and unknown to the other, figures of known or of foreign frames would be of
    other frames in each, and are left out; :mod:`.no_worse` has those of what both know.
    """
    a, b = groups_from_json(first['groups']), groups_from_json(second['groups'])
    if a.names != b.names or not a.names or (a.sums['labelled'] != b.sums['labelled']).any():
        return None
    left_out = ('known', 'foreign', 'foreign_hours') if _differ(first, second) else ()
    found: Dict[str, Interval] = differences(a, b, draws, seed)
    return {name: {**interval(difference), 'verdict': verdict(name, difference)}
            for name, difference in found.items()
            if difference.value == difference.value and RATIOS[name].below not in left_out}


def _differ(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether the frames of known classes are others in one model's metrics than in the other's."""
    a, b = (groups_from_json(model['groups']).sums.get('known') for model in (first, second))
    return a is not None and b is not None and (a.shape != b.shape or bool((a != b).any()))


def model_names(models: Sequence[str]) -> List[str]:
    """Short names of models, each once."""
    if not models:
        raise ConfigError('no model given; name a bundle with --model')
    names = [' + '.join(Path(one.strip()).name for one in model[len(ENSEMBLE):].split(','))
             if model.startswith(ENSEMBLE) else Path(model).name or model for model in models]
    for place, name in enumerate(names):
        if names.count(name) > 1 and models[place] not in names:
            names[place] = models[place]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ConfigError(f'--model: {sorted(repeated)[0]!r} is named more than once')
    return names


def _strip_every_ns(recording: Recording, cameras: int, options: EvaluationOptions) -> int:
    """So that all strips together stay within half of the pictures a report may hold."""
    low, high = STRIP_PICTURES
    count = min(high, max(low, options.run.pictures // 2 // max(1, cameras)))
    return max(1, recording.duration_ns // count + 1)


def _check_decided(tables: Mapping[str, FrameTable], outcomes: Sequence[RecordingResult]) -> None:
    if any(len(table) for table in tables.values()):
        return
    reasons: Dict[str, int] = {}
    for outcome in outcomes:
        for dropped in outcome.drops.values():
            for reason, count in dropped.items():
                reasons[reason] = reasons.get(reason, 0) + count
    first = next((text for outcome in outcomes for text in outcome.first_drops.values()), '')
    problems = next((text for outcome in outcomes for text in outcome.problems), '')
    why = ', '.join(f'{count} {reason}' for reason, count in reasons.items()) or 'the bags hold no image'
    raise RobotVisionError(f'not one frame could be decided: {why}; {first or problems}'.rstrip('; '))


def _check_labels(recordings: Sequence[Recording], tables: Mapping[str, FrameTable],
                  outcomes: Sequence[RecordingResult]) -> None:
    table = next(iter(tables.values()))
    if (table.known | table.unknown).any():
        return
    objects = next((each for recording in recordings for each in recording.objects if each.labels), None)
    if objects:
        raise ConfigError(f'the labels ({objects.labels}) say nothing about one detection of {objects.detections}: '
                          'no array has the stamp of an image, or all are ignored. Mend the stamps, or give --labels '
                          'none')
    if not any(recording.labels is not None for recording in recordings):
        return
    recording, labels = next((one, one.labels) for one in recordings if one.labels is not None)
    first = int(table.rows['stamp_ns'][0])
    spans = '; '.join(f'by the {clock.value} clock they reach from {span[0] / 1e9:.3f} s to {span[1] / 1e9:.3f} s'
                      for clock, span in ((clock, labels.span(clock)) for clock in Clock) if span)
    why = '; '.join(labels.not_there(recording.images) if spans else recording.problems) or spans or 'none'
    raise ConfigError(f'the labels ({", ".join(recording.label_sources)}) cover not one frame: {why}; the '
                      f'first frame is of {first / 1e9:.3f} s. Mend the times, or give --labels none')


def _options_json(options: EvaluationOptions) -> Dict[str, Any]:
    deployment = {}
    for flat in flat_options():
        if flat.name in _NOT_DECIDING:
            continue
        value: Any = options.deployment
        for part in flat.name.split('.'):
            value = getattr(value, part)
        deployment[flat.name] = value
    return {'labels': {'sources': list(options.labels.sources), 'hold_s': options.labels.hold_s,
                       'ignore': list(options.labels.ignore), 'map': dict(sorted(options.label_map.items()))},
            'topics': list(options.topics), **({'detections': list(options.detections)} if options.detections else {}),
            **({'boxes': options.boxes} if options.boxes else {}),
            'deployment': deployment,
            'seed': options.run.seed, 'draws': options.run.draws}


def _recording_json(recording: Recording, outcome: RecordingResult, table: FrameTable) -> Dict[str, Any]:
    dropped: Dict[str, int] = {}
    labels: Dict[str, int] = {}
    for counts, into in ((outcome.drops, dropped), (outcome.findings, labels)):
        for counter in counts.values():
            for key, count in counter.items():
                into[key] = into.get(key, 0) + count
    decided = int((table.rows['recording'] == table.recordings.index(recording.name)).sum()) if (
        recording.name in table.recordings) else 0
    if outcome.failure:
        dropped = {NOT_JUDGED: recording.frames}
    frames = decided + sum(dropped.values())
    return {'name': recording.name, 'topics': list(recording.topics), **_objects_json(recording, outcome),
            'frames': frames, 'decided': decided, 'dropped': dict(sorted(dropped.items())),
            'unread': outcome.unread, 'damaged': outcome.damaged, 'failure': outcome.failure or None,
            'labels': dict(sorted(labels.items())), 'label_sources': len(recording.label_sources),
            'labelled_pictures': _labelled_pictures(outcome, table), 'problems': list(outcome.problems)}


def _labelled_pictures(outcome: RecordingResult, table: FrameTable) -> Optional[str]:
    """Hash of the pictures of a recording by which a model is judged; None: there are none, or they are not known."""
    if outcome.recording not in table.recordings or not outcome.digests:
        return None
    rows = table.rows[(table.rows['recording'] == table.recordings.index(outcome.recording))
                      & (table.rows['target'] != NO_LABEL)]
    if not len(rows):
        return None
    found = hashlib.sha256()
    for topic, index, thing in zip(*(rows[column].tolist() for column in ('topic', 'index', 'object'))):
        found.update(outcome.digests[table.topics[topic], index, thing])
    return found.hexdigest()[:16]


def _objects_json(recording: Recording, outcome: RecordingResult) -> Dict[str, Any]:
    if not recording.objects:
        return {}
    found = []
    for topics in recording.objects:
        counts = outcome.objects.get(topics.images, ObjectCounts())
        found.append({**asdict(topics), **asdict(counts), 'images_alone': dict(sorted(counts.images_alone.items())),
                      'arrays_alone': dict(sorted(counts.arrays_alone.items()))})
    return {'objects': found}


def _ground(recordings: Sequence[Mapping[str, Any]]) -> Dict[str, int]:
    """What the frames of all models come from, and what of it is missing."""
    missing = sum(recording['unread'] + sum(count for reason, count in recording['dropped'].items()
                                            if reason not in _BY_CHOICE) for recording in recordings)
    refused = sum(recording['dropped'].get(reason, 0) for recording in recordings
                  for reason in (*OBJECT_REASONS, *BOX_REASONS))
    return {**({'refused': refused} if refused else {}),
            'recordings': len(recordings), 'recordings_damaged': sum(r['damaged'] for r in recordings),
            'recordings_failed': sum(r['failure'] is not None for r in recordings), 'missing': missing}


def _exactness(outcomes: Sequence[RecordingResult], name: str) -> Dict[str, Any]:
    measured = [noise for noise in (outcome.noise[name] for outcome in outcomes) if noise is not None]
    return {'noise': number(max(measured)) if measured else None,
            'one_by_one': [outcome.recording for outcome in outcomes if outcome.one_by_one[name]]}

"""From bags to a queue: the API behind ``robot-vision mine``.

>>> report = mine(['monday/', 'tuesday/'], 'models/sorter', 'queue')
>>> report.by_reason['unknown'].chosen

Each recording is looked at once, by whoever has time (:mod:`...evaluation.workers`), and gives a part; what is compared
over recordings follows from the parts, in this process. So the queue has the same bytes however the work was shared,
and a mining that was killed goes on with the recordings that have no part yet.
"""
import os
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple, Union

import cv2
import numpy as np

from ...core.bundles.bundle import Bundle, load_bundle
from ...core.config import ClassifierConfig, flat_options, with_values
from ...core.errors import BundleError, ConfigError, OutputError, RobotVisionError
from ...core.files.user_path import user_path
from ...core.files.whole_files import check_writable, locked_folder
from ...core.networks.device import choose_device
from ...core.networks.threads import on_a_thread
from ...core.runtime.pipeline import Pipeline
from ...core.types import ColorOrder, Picture
from ...data.learned_pictures import LearnedPictures, as_table, fingerprint, learned_pictures
from ...evaluation.options import EvaluationOptions
from ...evaluation.recordings import Recording, check_are_bags, open_recordings
from ...evaluation.work import Progress
from ...evaluation.workers import Cluster, cores_of_a_worker, share_out
from ..queue_file import REASONS, QueueFrame, QueueInterval, QueueRecording, write_queue
from .candidates import Doubt, doubt_of, label_verdicts
from .gather import Gathered, Strips, gather
from .job import Mined, MiningJob, deployment_of
from .near_duplicates import stand_ins
from .options import MiningOptions
from .parts import PARTS, SUFFIX, part_key, part_path
from .queue_folder import check_is_queue, former_recordings, labelled_by_people, queue_names
from .selection import select

DEFAULTS = MiningOptions()
_NOT_SEEN = ('threads', 'cameras', 'image_topics', 'image_transport', 'max_batch', 'top_k', 'class_id_as_index',
             'autostart', 'stale_after_s', 'model', 'record_doubts')
_REST, _ALIKE, _LABELLED, _FAULT = range(4)

Tell = Callable[[str], None]


@dataclass
class ReasonCount:
    """Intervals that are in the queue for one reason.

    Attributes:
        intervals: how many.
        seconds: how long they are together.
        chosen: how many of them are to be labelled.
    """

    intervals: int = 0
    seconds: float = 0.0
    chosen: int = 0


@dataclass
class MiningReport:
    """What was found.

    Attributes:
        by_reason: see :data:`~..queue_file.REASONS`.
        recordings: that are in the queue.
        resumed: those of them that a mining before this one had looked at.
        looked_at, left_out: frames; the latter came too soon after another.
        unusable: frames that could not be read or decided, by reason.
        alike: intervals that another one stands for.
        labelled: intervals that have a label already, and are not chosen for that.
        random: intervals drawn at random, ``drawn_from`` from how many.
        learned: those of them that the model has learned from, of which its accuracy is not told.
        problems: sentences.
        failures: why recordings are not in the queue.
        unreadable: how many bags were left out, since nothing can be read of them or they have no images; ``tell`` got
            a sentence about each.
    """

    by_reason: Dict[str, ReasonCount] = field(default_factory=dict)
    recordings: int = 0
    resumed: int = 0
    looked_at: int = 0
    left_out: int = 0
    unusable: Dict[str, int] = field(default_factory=dict)
    alike: int = 0
    labelled: int = 0
    random: int = 0
    drawn_from: int = 0
    learned: int = 0
    problems: Tuple[str, ...] = ()
    failures: Tuple[str, ...] = ()
    unreadable: int = 0


def mine(bags: Sequence[Union[str, Path]], model: str, out: Union[str, Path], options: MiningOptions = DEFAULTS, *,
         workers: int = 1, cluster: str = '', progress: Progress = lambda _name, _done: None,
         tell: Tell = lambda _sentence: None, opened: Callable[[List[Recording]], None] = lambda _found: None
         ) -> MiningReport:
    """Cut bags into intervals, and put those first that are most worth labelling.

    Args:
        bags: files, folders, globs.
        model: bundle: a folder, a name in ``models/``, or ``torchvision:<architecture>``.
        out: folder of the queue. One that is there is mined anew; its labels stay.
        workers: processes that share the recordings.
        cluster: address of a Dask scheduler that shares them instead; its workers must see bags, model and queue under
            the same paths.
        progress: called with (recording, frames done) while it runs.
        tell: takes sentences for people before anything is run.
        opened: called with the recordings that are about to be looked at.

    Raises:
        BagError, ConfigError, BundleError, DeviceError: something cannot be used; each says what and what to do.
        OutputError: the queue cannot be written.
        RobotVisionError: nothing could be looked at.
    """
    folder = user_path(out)
    check_is_queue(folder)
    left_out: List[str] = []
    recordings = open_recordings(bags, EvaluationOptions(options.deployment, options.labels, options.topics),
                                 left_out.append)
    for sentence in left_out:
        tell(sentence)
    check_are_bags(recordings, 'robot-vision mine')
    bundle = load_bundle(model)
    pictures = learned_pictures(bundle)  # now, since a file of them that is damaged would end it after hours
    deployment = _deployment(bundle, options, tell)
    recordings = [replace(recording, name=name) for recording, name in zip(recordings,
                                                                            queue_names(folder, recordings))]
    check_writable(folder)
    with locked_folder(folder / PARTS, 'this queue'):
        settings = _settings(bundle, deployment, options)
        keys = [part_key(recording, settings) for recording in recordings]
        failures, resumed = _look_at(recordings, keys, model, bundle, deployment, options, folder, workers, cluster,
                                     progress, opened)
        kept = [place for place, key in enumerate(keys) if part_path(folder, key).is_file()]
        if not kept:
            raise RobotVisionError('not one recording could be looked at; ' + '; '.join(failures))
        report = _write(folder, [recordings[place] for place in kept],
                        [part_path(folder, keys[place]) for place in kept], model, bundle, pictures, options)
        report.resumed, report.failures, report.unreadable = resumed, tuple(failures), len(left_out)
        if not failures:
            for path in (folder / PARTS).glob(f'*{SUFFIX}'):
                if path.name[:-len(SUFFIX)] not in keys:
                    path.unlink(missing_ok=True)
    return report


def _deployment(bundle: Bundle, options: MiningOptions, tell: Tell) -> ClassifierConfig:
    """Settings with a backend that no measurement of this machine chooses; loads the model to see that it can run."""
    config, wished = options.deployment, options.deployment.backend
    kind = choose_device(config.device).device.type
    config = with_values(config, {'device': config.device if config.device != 'auto' else kind})
    for backend in [wished] if wished != 'auto' else ['onnxruntime', 'torch'] if kind == 'cpu' else ['torch']:
        deployment = deployment_of(config, options.every_s, backend)
        try:
            pipeline = on_a_thread(Pipeline, bundle, deployment)
        except (ConfigError, BundleError):
            if backend in (wished, 'torch'):
                raise
            continue
        for sentence in pipeline.warnings:
            tell(sentence)
        return deployment
    raise AssertionError('torch is always there')


def _settings(bundle: Bundle, deployment: ClassifierConfig, options: MiningOptions) -> Dict[str, Any]:
    """All that the pass over a recording follows from, besides the recording."""
    values: Dict[str, Any] = {}
    for flat in flat_options():
        if flat.name.split('.')[0] not in _NOT_SEEN:
            value: Any = deployment
            for part in flat.name.split('.'):
                value = getattr(value, part)
            values[flat.name] = value
    return {'model': bundle.identity, 'every_s': options.every_s, 'longest_s': options.longest_s,
            'labels': asdict(options.labels), 'deployment': values}


def _look_at(recordings: Sequence[Recording], keys: Sequence[str], model: str, bundle: Bundle,
             deployment: ClassifierConfig, options: MiningOptions, folder: Path, workers: int, cluster: str,
             progress: Progress, opened: Callable[[List[Recording]], None]) -> Tuple[List[str], int]:
    """Have all parts made that are not there; why some could not be, and how many were there."""
    new = {key: recording for recording, key in zip(recordings, keys) if not part_path(folder, key).is_file()}
    resumed = sum(key not in new for key in keys)
    opened(list(new.values()))
    if not new:
        return [], resumed
    workers = min(workers, len(new))
    outcomes: List[Mined] = []
    with Cluster(cluster) if cluster else nullcontext() as pool:
        cores = pool.cores_of_a_job() if pool else cores_of_a_worker(max(1, workers))
        jobs = [MiningJob(recording, model, bundle.identity, deployment, options.every_s, options.longest_s,
                          str(folder.absolute()), key, cores) for key, recording in new.items()]
        share_out(jobs, progress, lambda _number, outcome: outcomes.append(outcome), workers, pool)
    failures = [f'{one.recording}: {one.failure}' for one in outcomes if one.failure]
    missing = [recording.name for key, recording in new.items() if not part_path(folder, key).is_file()]
    if len(missing) > len(failures):
        raise OutputError(f'{folder}: what was found in {missing[0]} is not there; the workers of --cluster must see '
                          'the queue under the same path: put it on a shared drive')
    return sorted(failures), resumed


def _write(folder: Path, recordings: Sequence[Recording], paths: Sequence[Path], model: str, bundle: Bundle,
           pictures: Optional[LearnedPictures], options: MiningOptions) -> MiningReport:
    """Compare, judge, choose, put in order, write."""
    found = gather(paths)
    # Absolute, or another working folder would have other bags there; links stay as they were given.
    entries = [QueueRecording(place + 1, one.name, os.path.abspath(one.path), head.start_ns)
               for place, (one, head) in enumerate(zip(recordings, found.heads))]
    given = [one.given for one in found.intervals]
    verdicts, notes = label_verdicts(found.features, given, found.recordings, bundle.class_names, options.seed)
    exchanged = _exchanged(found)
    doubts = [doubt_of(one, bundle.class_names, verdicts.get(place), (recording, one.topic) in exchanged)
              for place, (one, recording) in enumerate(zip(found.intervals, found.recordings.tolist()))]
    doubt = np.array([one.doubt for one in doubts])
    at_fault = np.array([one.reason == 'camera_fault' for one in doubts], bool)
    looks_wrong = np.array([one.reason == 'label' for one in doubts], bool)
    by_people = labelled_by_people(folder, entries, found.intervals, found.recordings)
    has_label = by_people.copy()
    if not options.labelled:
        has_label |= np.array([bool(one) for one in given], bool) & ~looks_wrong
    # What people have labelled stands for what looks nearly the same, then what is doubted most.
    order = np.lexsort((np.arange(len(doubt)), -doubt, ~by_people))
    alike = stand_ins(found.features, np.array([one.hash for one in found.intervals], np.uint64),
                      order[~at_fault[order]], given)
    shown = np.flatnonzero(~at_fault)
    chosen = select(found.features[shown], doubt[shown], options.count, options.seed, options.random_share,
                    ((alike < 0) & ~has_label)[shown])
    first = shown[chosen.chosen]
    drawn = np.zeros(len(doubt), bool)
    drawn[first[chosen.random]] = True
    kind = np.where(at_fault, _FAULT, np.where(has_label, _LABELLED, np.where(alike >= 0, _ALIKE, _REST)))
    rest = np.lexsort((np.arange(len(doubt)), -doubt, kind))
    places = np.concatenate([first, rest[~np.isin(rest, first)]])
    report = _report(found, doubts, drawn, set(first.tolist()))
    report.alike, report.labelled, report.drawn_from = int((alike >= 0).sum()), int(has_label.sum()), len(shown)
    report.problems = tuple(f'{one.name}: {problem}' for one, head in zip(recordings, found.heads)
                            for problem in head.problems) + notes
    meta = {'class_names': list(bundle.class_names), 'model': model, 'model_name': bundle.name,
            'model_hash': bundle.identity,
            'options': {name: getattr(options, name) for name in ('every_s', 'longest_s', 'count', 'random_share',
                                                                  'seed', 'labelled')}
            | {'topics': list(options.topics), 'labels': list(options.labels.sources)},
            'former': former_recordings(folder, entries),
            'frames': {'looked_at': report.looked_at, 'left_out': report.left_out, 'unusable': report.unusable}}
    with Strips(paths) as strips:
        learned = _learned(found, drawn, pictures, strips)
        report.learned = int(learned.sum())
        counts = {'drawn': report.random, 'of': report.drawn_from, 'learned': report.learned}
        write_queue(folder, {**meta, 'random': counts}, entries,
                    _rows(found, doubts, places, alike, drawn, learned, len(first), strips))
    return report


def _learned(found: Gathered, drawn: np.ndarray, pictures: Optional[LearnedPictures], strips: Strips) -> np.ndarray:
    """Which intervals that were drawn at random show what the model has learned from, bool (n,).

    After a round of the loop the model that mines was trained on labels of the same recordings, and would be judged by
    its own answers.
    """
    learned = np.zeros(len(drawn), bool)
    if pictures is None:
        return learned
    for place in np.flatnonzero(drawn):
        strip = strips.of(int(found.recordings[place]), int(found.numbers[place]))
        shown = [cv2.imdecode(np.frombuffer(one.jpeg, np.uint8), cv2.IMREAD_COLOR) for one in strip if one.jpeg]
        prints = [fingerprint(Picture(one, ColorOrder.BGR)) for one in shown if one is not None]
        learned[place] = pictures.recognise(as_table(prints)).either.any()
    return learned


def _exchanged(found: Gathered) -> Set[Tuple[int, str]]:
    """Recordings and topics of which most frames are as if red and blue were exchanged."""
    balance: Counter[Tuple[int, str]] = Counter()
    for one, recording in zip(found.intervals, found.recordings.tolist()):
        balance[recording, one.topic] += 2 * one.exchanged - one.frames
    return {camera for camera, more in balance.items() if more > 0}


def _rows(found: Gathered, doubts: Sequence[Doubt], places: np.ndarray, alike: np.ndarray, drawn: np.ndarray,
          learned: np.ndarray, chosen: int, strips: Strips) -> Iterator[Tuple[QueueInterval, Sequence[QueueFrame]]]:
    """Intervals with their film strips in the order of the queue, one after another."""
    ids = np.zeros(len(places), np.int64)
    ids[places] = np.arange(1, len(places) + 1)
    for place in places.tolist():
        one, doubt, recording = found.intervals[place], doubts[place], int(found.recordings[place])
        yield QueueInterval(
            int(ids[place]), recording + 1, one.topic, one.start_ns, one.end_ns, one.frames,
            _reason(doubt, bool(drawn[place])), doubt.doubt, bool(drawn[place] and not learned[place]),
            bool(ids[place] <= chosen),
            doubt.proposals, doubt.explanation, one.given, int(ids[alike[place]]) if alike[place] >= 0 else None,
            found.features[place]), strips.of(recording, int(found.numbers[place]))


def _reason(doubt: Doubt, is_drawn: bool) -> str:
    return 'random' if is_drawn and doubt.reason == 'sure' else doubt.reason


def _report(found: Gathered, doubts: Sequence[Doubt], drawn: np.ndarray, chosen: 'set[int]') -> MiningReport:
    report = MiningReport({reason: ReasonCount() for reason in REASONS}, len(found.heads))
    for place, (one, doubt) in enumerate(zip(found.intervals, doubts)):
        count = report.by_reason[_reason(doubt, bool(drawn[place]))]
        count.intervals += 1
        count.seconds += (one.end_ns - one.start_ns) * 1e-9
        count.chosen += place in chosen
    unusable: Counter[str] = Counter()
    for head in found.heads:
        report.looked_at += head.looked_at
        report.left_out += head.left_out
        unusable.update(head.unusable)
    report.unusable, report.random = dict(sorted(unusable.items())), int(drawn.sum())
    return report

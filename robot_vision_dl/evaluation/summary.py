"""Rows -> figures of one model, as they stand in ``metrics.json``.

The schema is described in :data:`SCHEMA`. Every number is plain JSON with six significant digits; what cannot be told
is null. Nothing in it depends on the time of day or on how quick the machine is: the same input gives the same bytes.
"""
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from ..core.config import ClassifierConfig
from ..core.decision.decision import Policy
from ..core.metrics.calibration import (
    calibration_error_floor,
    equal_mass,
    expected_calibration_error,
    floor_of_objects,
    reliability,
)
from ..core.metrics.classification import class_figures, confusion_matrix
from ..core.metrics.proper_scores import log_probability
from ..core.metrics.ranking import auroc, average_precision, fpr_at_tpr
from ..core.metrics.selective import accuracy_at_coverage, aurc, coverage_at_risk, excess_aurc
from .bootstrap import BLOCK, FEW_GROUPS, Groups, Interval, brier_of, frame_costs, group_sums, intervals
from .picture_messages import TOPIC as PICTURES
from .table import (
    ACCEPTED,
    CAMERA_FAULTS,
    OUT_OF_DISTRIBUTION,
    OUTCOMES,
    SAID_UNCERTAIN,
    SAID_UNKNOWN,
    UNCERTAIN,
    UNKNOWN_TARGET,
    Columns,
    FrameTable,
    decided,
    sureness,
)
from .tracks import Track, error_starts, steadiness, timed, tracks_of, watched_s

TOP_K = (1, 2, 3, 5)
COVERAGES = (0.5, 0.8, 0.9, 0.95)
RISKS = (0.01, 0.02, 0.05, 0.1)

SCHEMA = """metrics.json, version 1:
  schema_version, package_version
  options        what was asked for: labels, topics, deployment, seed, draws
  recordings     one each: name, topics, frames, decided, dropped (by reason), unread (that the bag's index has beside
                 these), damaged, failure (why nothing of it was judged), labels (what they say of its frames),
                 labelled_pictures (hash of those that are judged by labels; `compare` compares no others);
                 with --detections, where a frame is an object of an image everywhere else, objects, one each camera:
                 topics; images that are paired with their detections, of these nearest (by stamps that are not
                 equal); images_alone and arrays_alone by reason; detections in the pairs, and tracks of them;
                 labelled_images, labelled objects in them, those that the detector missed, detections that are of an
                 object again, and false_alarms (of none: they are labelled unknown)
  models         by name:
    model          name, identity (of the bundle), ran (identity of what decided: of the int8 bundle beside it, where
                   that is quicker on this machine), precision, classes, calibrated, abstain_cost, false_unknown_rate
                   (as set), false_unknown_rate_in_force (0: never), never_unknown (too few calibration pictures for
                   it), limits: sentences about what its calibration cannot do; learned_from: recordings judged here
                   that have the name of one that it was trained on; learned_pictures (null: it does not say what it
                   has learned from): frames labelled with a class; trained_on and calibrated_on: those that look like
                   (256 bit perceptual hash) one that it was trained on (null: not known), or else calibrated on;
                   others: but these, and but all of recordings of which a twentieth are such; right of what is not
                   among others, and right_others of the others, each frame alone; recordings: [such, all] of each that
                   has any
    frames         decided, labelled, known (labelled with a class), unknown (labelled unknown), unlabelled, of_folders
                   (pictures of folders, each decided alone; only where there are some), of_objects (objects of
                   images, each a frame here; likewise); recordings, how many of them
                   are labelled, damaged or failed, and missing: frames that could not be read or decided; refused:
                   objects that were too small, outside, blurred or without a usable box, which the node calls
                   uncertain and no figure counts (only where there are some)
    frame          of each frame alone: accuracy, top_k, balanced_accuracy, precision, recall, f1 (macro and weighted),
                   nll (nats), brier (0..2), ece (15 bins of equal width), ece_mass (equal mass), ece_floor (what
                   perfectly calibrated confidences would show with so few frames) and ece_floor_objects (if frames of
                   one object are right or wrong together; null: each is of another), reliability, per_class, confusion
                   (rows [is, called, frames]; per_class and confusion name what occurs)
    fused          the same of the belief over time
    selective      of all labelled frames, surest belief first, those called unknown last, those labelled unknown
                   always wrong: aurc, excess_aurc, accuracy_at_coverage, coverage_at_risk
    conformal      promised and reached coverage, mean size of the sets; per recording
    open_set       unknown against known frames: auroc, aupr (unknown and known as positives), fpr95 for the model's
                   own score, and for entropy and 1 - max probability beside it; false_unknown_rate: share of known
                   frames that are called unknown; found: share of unknown frames that are
    decisions      accepted, accepted_right, accepted_wrong, uncertain, unknown (frames); coverage: accepted / labelled;
                   risk: accepted_wrong / accepted; foreign_accepted: frames labelled unknown among accepted_wrong,
                   confused: the others; acted_right: accepted_right / known; acted_wrong: accepted_wrong / labelled;
                   cost of a frame (of the confusion, usually 1, or of abstaining), cost_of_acting (of the accepted
                   ones) and cost_of_silence (of never accepting); by_label: what became of the frames of each label;
                   confusion: rows [is, decided, frames], of unknown and uncertain too; errors: wrong labels that were
                   acted on, each once however many frames it lasts, in all and an hour, and those of them about
                   frames labelled unknown; timed: of those of frames that have a time, which those an hour are of
                   (pictures of folders have none); camera_faults: frames called unknown since the camera was at
                   fault, by fault
    background     where boxes are known (--boxes), of decisions that are acted on and labelled: frames that were looked
                   at, boxes (counted: labels of those that count; by_name: they are called as the label or as
                   what was said, after --map; else none is called as a class and all count; unboxed: classes of which
                   none is), without_box, without_evidence (nothing speaks for what was said, or its file has changed),
                   left_out (beyond 400 mistakes and 60 right ones a class); right, wrong and, by what was said,
                   classes: frames, mean share of the evidence (for what was said rather than for what it is; of right
                   ones rather than for the runner-up) inside the boxes and of the picture's area that they take, and
                   how many are listed: less evidence inside than by chance, and its highest place outside; listed:
                   each of them
    time           decision_s: from a track's first frame to the first that is accepted rightly (median, p90 of those
                   that are; share that never is); changes_per_s of the decision; recovery_s: how long wrong acting
                   lasts; null or not there for pictures of folders, which have no times
    tracks         count, is_ood (those labelled unknown), accuracy (by the majority of its frames), acted_right,
                   acted_wrong, never_acted (of tracks, by the majority of the frames acted on), balanced_accuracy
    intervals      95 % intervals of figures, sums and others (f1, ece, aurc, auroc, ...); by: what was drawn with
                   replacement; groups: how many; few: fewer than ten
    groups         sums over the groups, from which differences between two models follow
    exactness      noise: how far a batch's ln p is from single frames'; one_by_one: recordings run frame by frame,
                   since that might have turned a decision
  comparisons    second model minus the first, paired by group: figure -> value, low, high, verdict (better, worse, tie,
                 unclear; of the coverage, which is neither by itself, more or less); where a label is a class of one
                 and unknown to the other, only figures of all labelled frames
  gates          what was demanded and whether it holds
  live           with --live, where the models' figures are those of the live node: by recording, frames sent, decided,
                 not decided, and decisions unlike those from the bag; the same figures from the bag and over DDS
"""


def number(value: Any) -> Optional[float]:
    """A finite number with six significant digits, else None."""
    value = float(value)
    return float(f'{value:.6g}') if np.isfinite(value) else None


def summarise(table: FrameTable, config: ClassifierConfig, policy: Policy, conformal_alpha: Optional[float],
              seed: int, draws: int) -> Dict[str, Any]:
    """All figures of one model's rows; those that need labels are None without."""
    gap_s = config.fusion.reset_gap_s
    known, unknown = table.known, table.unknown
    labelled = known | unknown
    rows = table.rows
    tracks = tracks_of(table, gap_s)
    groups = group_sums(table, gap_s, policy)
    result: Dict[str, Any] = {
        'frames': {'decided': len(table), 'labelled': int(labelled.sum()), 'known': int(known.sum()),
                   'unknown': int(unknown.sum()), 'unlabelled': int((~labelled).sum()),
                   'recordings_labelled': len(np.unique(rows['recording'][labelled]))},
        'frame': None, 'fused': None, 'selective': None, 'open_set': None,
    }
    of_folders = int(_of_folders(table).sum())
    if of_folders:
        result['frames']['of_folders'] = of_folders
    of_objects = int((rows['object'] >= 0).sum())
    if of_objects:
        result['frames']['of_objects'] = of_objects
    if known.any():
        result['frame'] = answers(Columns(rows, known), table.class_names, '', seed)
        result['fused'] = answers(Columns(rows, known), table.class_names, 'fused_', seed)
    if labelled.any():
        judged = Columns(rows, labelled)
        result['selective'] = selective(sureness(judged), judged['fused_predicted'] != judged['target'])
    result['conformal'] = conformal(table, conformal_alpha)
    result['open_set'] = open_set(table)
    result['decisions'] = decisions(table, labelled, policy)
    if labelled.any():
        result['decisions']['errors'] = errors(table, labelled, gap_s)
    result['time'] = timing(table, tracks, gap_s)
    result['tracks'] = of_tracks(tracks, len(table.class_names)) if tracks else None
    result['intervals'] = {
        'by': groups.by, 'groups': len(groups.names), 'few': groups.by == BLOCK or len(groups.names) < FEW_GROUPS,
        'figures': {name: interval(found) for name, found in intervals(groups, draws, seed).items()
                    if np.isfinite(found.value)}} if groups.names else None
    result['groups'] = groups_json(groups)
    return result


def interval(found: Interval) -> Dict[str, Optional[float]]:
    """As it stands in JSON."""
    return {'value': number(found.value), 'low': number(found.low), 'high': number(found.high)}


def groups_json(groups: Groups) -> Dict[str, Any]:
    """As it stands in JSON; sums keep all their digits, since differences are computed from them."""
    return {'by': groups.by, 'names': list(groups.names),
            'sums': {name: [float(f'{value:.12g}') for value in values] for name, values in groups.sums.items()}}


def answers(rows: Columns, class_names: Sequence[str], prefix: str, seed: int) -> Dict[str, Any]:
    """How good the answers to labelled frames of known classes are; at least one row."""
    target, predicted = rows['target'].astype(np.int64), rows[f'{prefix}predicted'].astype(np.int64)
    confidence, rank = rows[f'{prefix}confidence'], rows[f'{prefix}rank']
    right = predicted == target
    confusion = confusion_matrix(target, predicted, len(class_names))
    figures = class_figures(confusion)
    occurs = figures.support > 0
    weights = figures.support / figures.support.sum()
    bins, alike = reliability(confidence, right), floor_of_objects(confidence, _objects(rows), seed)

    def macro(values: np.ndarray) -> Optional[float]:
        return number(np.nan_to_num(values[occurs]).mean())

    def weighted(values: np.ndarray) -> Optional[float]:
        return number((np.nan_to_num(values) * weights).sum())

    shown = np.flatnonzero(occurs | (confusion.sum(axis=0) > 0)).tolist()
    return {
        'accuracy': number(right.mean()),
        'top_k': {str(k): number((rank < k).mean()) for k in TOP_K if k <= len(class_names)},
        'balanced_accuracy': number(figures.recall[occurs].mean()),
        'precision': {'macro': macro(figures.precision), 'weighted': weighted(figures.precision)},
        'recall': {'macro': macro(figures.recall), 'weighted': weighted(figures.recall)},
        'f1': {'macro': macro(figures.f1), 'weighted': weighted(figures.f1)},
        'nll': number(-log_probability(rows[f'{prefix}p_target']).mean()),
        'brier': number(brier_of(rows, prefix).mean()),
        'ece': number(expected_calibration_error(confidence, right)),
        'ece_mass': number(expected_calibration_error(confidence, right, binning=equal_mass)),
        'ece_floor': number(calibration_error_floor(confidence, seed)),
        'ece_floor_objects': number(np.nan if alike is None else alike),
        'reliability': [{'confidence': number(c), 'accuracy': number(a), 'frames': int(n)}
                        for c, a, n in zip(bins.confidence, bins.accuracy, bins.counts)],
        'per_class': [{'class': class_names[c], 'precision': number(figures.precision[c]),
                       'recall': number(figures.recall[c]), 'f1': number(figures.f1[c]),
                       'frames': int(figures.support[c])} for c in shown],
        'confusion': [[class_names[i], class_names[j], int(confusion[i, j])]
                      for i, j in np.argwhere(confusion).tolist()],
    }


def _objects(rows: Columns) -> np.ndarray:
    """A number for each row, int (n,), the same for those of one object: of a track, or followed through the images."""
    track, thing = rows['track'].astype(np.int64), rows['object'].astype(np.int64)
    alone = np.where((track < 0) & (thing < 0), np.arange(len(track)), -1)
    columns = np.stack([rows['recording'], rows['topic'], track, np.where(track < 0, thing, -1), alone], axis=1)
    found: np.ndarray = np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1)
    return found


def selective(confidence: np.ndarray, wrong: np.ndarray) -> Dict[str, Any]:
    """Risk against coverage."""
    return {
        'aurc': number(aurc(confidence, wrong)), 'excess_aurc': number(excess_aurc(confidence, wrong)),
        'accuracy_at_coverage': {f'{c:g}': number(accuracy_at_coverage(confidence, wrong, c)) for c in COVERAGES},
        'coverage_at_risk': {f'{r:g}': number(coverage_at_risk(confidence, wrong, r)) for r in RISKS},
    }


def conformal(table: FrameTable, alpha: Optional[float]) -> Optional[Dict[str, Any]]:
    """Whether the conformal sets keep their promise; None where the model makes none."""
    rows = table.rows
    there = rows['set_size'] > 0
    if not there.any():
        return None
    judged = there & table.known

    def figures(mask: np.ndarray) -> Dict[str, Any]:
        reached = (rows['set_hit'][mask & judged] == 1).mean() if (mask & judged).any() else np.nan
        return {'frames': int((mask & judged).sum()), 'coverage': number(reached),
                'mean_size': number(rows['set_size'][mask & there].mean() if (mask & there).any() else np.nan)}

    everything = np.ones(len(rows), bool)
    return {'promised': None if alpha is None else number(1 - alpha), **figures(everything),
            'recordings': {name: figures(rows['recording'] == code) for code, name in enumerate(table.recordings)}}


def open_set(table: FrameTable) -> Optional[Dict[str, Any]]:
    """How well what is none of the classes is told from what is; None without labels."""
    rows, known, unknown = table.rows, table.known, table.unknown
    if not (known | unknown).any():
        return None
    both = known | unknown
    is_ood = unknown[both]
    result: Dict[str, Any] = {
        'false_unknown_rate': number((rows['outcome'][known] == OUT_OF_DISTRIBUTION).mean() if known.any() else np.nan),
        'found': number((rows['outcome'][unknown] == OUT_OF_DISTRIBUTION).mean() if unknown.any() else np.nan),
        'acted_on_unknown': number((rows['outcome'][unknown] == ACCEPTED).mean() if unknown.any() else np.nan),
        'scores': {}}
    scores = {'entropy': rows['entropy'][both], '1 - max probability': 1 - rows['confidence'][both]}
    if np.isfinite(rows['ood_score'][both]).all():
        scores = {'own': rows['ood_score'][both], **scores}
    for name, values in scores.items():
        result['scores'][name] = {
            'auroc': number(auroc(values, is_ood)), 'aupr_unknown': number(average_precision(values, is_ood)),
            'aupr_known': number(average_precision(-values, ~is_ood)), 'fpr95': number(fpr_at_tpr(values, is_ood))}
    return result


def decisions(table: FrameTable, labelled: np.ndarray, policy: Policy) -> Dict[str, Any]:
    """What the robot was told."""
    rows = table.rows
    outcome = rows['outcome']
    accepted = outcome == ACCEPTED
    right = accepted & (rows['fused_predicted'] == rows['target'])
    result: Dict[str, Any] = {
        'accepted': int(accepted.sum()), 'uncertain': int((outcome == UNCERTAIN).sum()),
        'unknown': int((outcome == OUT_OF_DISTRIBUTION).sum())}
    faults = rows['camera_fault']
    if (faults >= 0).any():
        result['camera_faults'] = {CAMERA_FAULTS[place].value: int((faults == place).sum())
                                   for place in np.unique(faults[faults >= 0]).tolist()}
    n = int(labelled.sum())
    if n:
        wrong = int((accepted & labelled & ~right).sum())
        acted = int((accepted & labelled).sum())
        is_ood = int((accepted & table.unknown).sum())
        known = int(table.known.sum())
        costs = frame_costs(Columns(rows, labelled), policy)
        acting = accepted[labelled]
        result.update({
            'foreign_accepted': is_ood, 'confused': wrong - is_ood,
            'accepted_right': int((right & labelled).sum()), 'accepted_wrong': wrong, 'abstained': n - acted,
            'acted_right': number(int((right & table.known).sum()) / known) if known else None,
            'acted_wrong': number(wrong / n),
            'coverage': number(acted / n), 'risk': number(wrong / acted) if acted else None,
            'cost': number(costs.mean()), 'cost_of_acting': number(costs[acting].mean()) if acted else None,
            'cost_of_silence': number(policy.abstain_cost),
            'by_label': by_label(table), 'confusion': said_of(table)})
    return result


def by_label(table: FrameTable) -> List[Dict[str, Any]]:
    """What became of the frames of each label, ``unknown`` first: its frames that are accepted are the worst errors."""
    rows, found = table.rows, []
    accepted = rows['outcome'] == ACCEPTED
    right = accepted & (rows['fused_predicted'] == rows['target'])
    for target in np.unique(rows['target'][rows['target'] >= UNKNOWN_TARGET]).tolist():
        own = rows['target'] == target
        found.append({'label': table.label(target), 'is_unknown': target == UNKNOWN_TARGET, 'frames': int(own.sum()),
                      'right': int((own & right).sum()), 'wrong': int((own & accepted & ~right).sum()),
                      'uncertain': int((own & (rows['outcome'] == UNCERTAIN)).sum()),
                      'unknown': int((own & (rows['outcome'] == OUT_OF_DISTRIBUTION)).sum())})
    return found


def said_of(table: FrameTable) -> List[List[Any]]:
    """[what it is, what was decided, frames] of the labelled frames, of ``unknown`` and ``uncertain`` too."""
    rows = table.rows[table.known | table.unknown]
    said = decided(rows)
    cells, counts = np.unique(np.stack([rows['target'].astype(np.int64), said]), axis=1, return_counts=True)
    names = {SAID_UNCERTAIN: OUTCOMES[UNCERTAIN].value, SAID_UNKNOWN: OUTCOMES[OUT_OF_DISTRIBUTION].value}
    return [[table.label(target), names.get(called) or table.class_names[called], count]
            for target, called, count in zip(*cells.tolist(), counts.tolist())]


def errors(table: FrameTable, labelled: np.ndarray, gap_s: float) -> Dict[str, Any]:
    """Wrong labels that were acted on, each counted once however long it lasted; ``hours``: of labelled frames.

    ``timed`` are those of frames that have a time, of which alone there are any an hour.
    """
    starts, has_time = error_starts(table, gap_s), timed(table, gap_s)
    hours, count = float(watched_s(table, gap_s)[labelled].sum()) / 3600, int((starts & has_time).sum())
    foreign = table.unknown & has_time
    return {'count': int(starts.sum()), 'foreign': int((starts & table.unknown).sum()), 'timed': count,
            'hours': number(hours), 'per_hour': number(count / hours) if hours else None,
            'foreign_per_hour': number((starts & foreign).sum() / hours) if hours and foreign.any() else None}


def timing(table: FrameTable, tracks: List[Track], gap_s: float) -> Dict[str, Any]:
    """How quickly it decides, and how steadily; pictures of folders, which have no times, are left out."""
    of_folders = _of_folders(table)
    tracks = [track for track in tracks if not of_folders[track.places[0]]]
    found = steadiness(table.where(~of_folders) if of_folders.any() else table, gap_s)
    result: Dict[str, Any] = {'watched_s': number(found.seconds), 'changes_per_s': number(found.changes_per_s)}
    of_classes = [track for track in tracks if track.target >= 0]
    if of_classes:
        times = np.array([track.first_right_s for track in of_classes])
        result['decision_s'] = {**_spread(times[np.isfinite(times)]),
                                'never': number(1 - np.isfinite(times).mean())}
    if tracks:
        result['recovery_s'] = _spread(found.recoveries_s)
    return result


def _of_folders(table: FrameTable) -> np.ndarray:
    """Which rows are pictures of folders, bool (n,)."""
    codes = [code for code, name in enumerate(table.topics) if name == PICTURES]
    return np.isin(table.rows['topic'], codes)


def _spread(values: np.ndarray) -> Dict[str, Any]:
    if not len(values):
        return {'count': 0, 'median': None, 'p90': None, 'max': None}
    median, p90 = np.percentile(values, (50, 90))
    return {'count': len(values), 'median': number(median), 'p90': number(p90), 'max': number(values.max())}


def of_tracks(tracks: List[Track], classes: int) -> Dict[str, Any]:
    """Figures that count every object once, however long it was in view."""
    right = np.array([track.right for track in tracks])
    acted = np.array([track.acted for track in tracks])
    mostly = np.array([track.acted_right * 2 > track.acted for track in tracks])
    known = [track for track in tracks if track.target >= 0]
    per_class = [np.mean([track.right for track in known if track.target == c])
                 for c in sorted({track.target for track in known})]
    return {'count': len(tracks), 'foreign': len(tracks) - len(known), 'accuracy': number(right.mean()),
            'balanced_accuracy': number(np.mean(per_class)) if per_class else None,
            'acted_right': int((mostly & (acted > 0)).sum()), 'acted_wrong': int((~mostly & (acted > 0)).sum()),
            'never_acted': int((acted == 0).sum())}

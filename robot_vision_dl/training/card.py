"""The model card of a trained network: how good it is on which pictures, and where it fails."""
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import cv2
import numpy as np

from ..core.metrics.classification import ClassificationMetrics, wilson_interval
from ..core.metrics.proper_scores import log_probability
from ..core.networks.preprocess import Preprocessing
from ..core.text.table import aligned
from ..data.cache import FrameStore
from ..data.contact_sheet import contact_sheet
from ..data.division import PARTS
from ..data.leakage import Leakage
from ..data.split import Split
from ..evaluation.figures import confusion_figure, curves_figure, reliability_figure
from .history import EpochRecord, kept_epoch

_MISTAKES, _COLUMNS = 24, 6


@dataclass(frozen=True)
class Tested:
    """What the test split showed.

    Attributes:
        calibrated, plain: with and without the temperature.
        baselines: accuracy by name.
        by_track: accuracy and number of tracks, see :func:`track_accuracy`; None where nobody says what is a track.
        unknown_rate: share of the frames, all of known classes, whose OOD p-value is below a rate, and that rate; None
            without an OOD score.
        mistakes: a sheet of frames that were called wrongly, JPEG; None if there are none.
    """

    calibrated: ClassificationMetrics
    plain: ClassificationMetrics
    baselines: Mapping[str, float]
    by_track: Optional[Tuple[float, int]]
    unknown_rate: Optional[Tuple[float, float]]
    mistakes: Optional[bytes]


@dataclass(frozen=True)
class Findings:
    """What a card reports beside the calibration.

    Attributes:
        split, leakage: of the data.
        recordings: number of recordings.
        history: epochs; keep: whose weights were kept, as ``run.keep`` has it.
        tested: None without a test split.
        notes: Markdown of the user.
        doubts: sentences of :func:`~.doubts.doubts`.
    """

    split: Split
    leakage: Leakage
    recordings: int
    history: Sequence[EpochRecord]
    tested: Optional[Tested]
    notes: str
    doubts: Sequence[str] = ()
    keep: str = 'best'


def card_notes(found: Findings) -> str:
    """Markdown between the summary of the card and its calibration."""
    lines: List[str] = [found.notes.strip(), ''] if found.notes.strip() else []
    lines += [f'**Warning: {text}.**  ' for text in found.doubts] + [''] * bool(found.doubts)
    lines += _test_lines(found.tested)
    lines += ['## Data', '', f'{len(found.split.parts)} frames of {found.recordings} recording(s), split by '
              f'{found.split.method}.', '', *_split_table(found.split), '']
    lines += [f'{item.leaked} of {item.frames} frames of {item.part.value} have a near-duplicate (perceptual hash '
              f'within {found.leakage.distance} of 64 bits) in {item.other.value}.  ' for item in found.leakage.parts]
    lines += [f'Warning: {text}  ' for text in found.split.warnings]
    lines += ['', '## Training', '', '![Loss and accuracy by epoch](card/curves.png)', '', *_history_lines(found)]
    return '\n'.join(lines)


def card_files(found: Findings) -> Dict[str, bytes]:
    """Pictures that the card refers to, by name."""
    history = found.history
    kept = kept_epoch(history, found.keep)
    files = {'curves.png': curves_figure(
        [record.epoch + 1 for record in history], [record.loss for record in history],
        [record.nll for record in history], [record.accuracy for record in history], kept.epoch + 1)}
    tested = found.tested
    if tested is not None:
        title = f'test split, {tested.calibrated.pictures} pictures'
        files['confusion.png'] = confusion_figure(tested.calibrated.confusion, tested.calibrated.class_names, title)
        files['reliability.png'] = reliability_figure(
            [('plain softmax', tested.plain.reliability), ('calibrated', tested.calibrated.reliability)], title)
        if tested.mistakes is not None:
            files['mistakes.jpg'] = tested.mistakes
    return files


def _test_lines(tested: Optional[Tested]) -> List[str]:
    if tested is None:
        return ['## Test', '', 'Not tested: no frames were kept for it (data.split.test is 0).', '']
    test, plain = tested.calibrated, tested.plain
    low, high = wilson_interval(round(test.accuracy * test.pictures), test.pictures)
    lines = ['## Test', '',
             f'Looked at once, after everything was chosen: {test.pictures} frames that training never saw. Accuracy '
             f'**{test.accuracy:.3f}** (95 % interval {low:.3f} to {high:.3f} if frames were independent; frames of a '
             'track are not, so it is wider), balanced '
             f'{test.balanced_accuracy:.3f}, macro F1 {test.macro_f1:.3f}.', '',
             '| class | frames | precision | recall | F1 |', '|---|---|---|---|---|']
    lines += [f'| {name} | {n} | {_number(p)} | {_number(r)} | {_number(f)} |'
              for name, p, r, f, n in zip(test.class_names, *test.by_class)]
    lines += ['', '| | plain softmax | calibrated |', '|---|---|---|',
              f'| negative log-likelihood, nats | {plain.nll:.4f} | {test.nll:.4f} |',
              f'| Brier score | {plain.brier:.4f} | {test.brier:.4f} |',
              f'| expected calibration error, 15 bins | {plain.ece:.4f} | {test.ece:.4f} |',
              f'| the same of perfectly calibrated predictions | {plain.ece_floor:.4f} | {test.ece_floor:.4f} |', '']
    if tested.unknown_rate is not None:
        rate, epsilon = tested.unknown_rate
        lines += [f'Called unknown though of a known class, at false_unknown_rate {epsilon:.4g}: {rate:.4f}.', '']
    if tested.by_track is not None:
        accuracy, count = tested.by_track
        lines += [f'By track (one object before the camera each, {count} of them), called by the mean log-probability '
                  f'of its frames: accuracy **{accuracy:.3f}**.', '']
    lines += ['| the same test frames | accuracy |', '|---|---|']
    lines += [f'| {name} | {value:.3f} |' for name, value in tested.baselines.items()]
    lines += [f'| this model | **{test.accuracy:.3f}** |', '', '![Confusion matrix](card/confusion.png) '
              '![Reliability diagram](card/reliability.png)', '']
    if tested.mistakes is not None:
        lines += ['What it called wrongly, most confident first (is > called, confidence):', '',
                  '![Mistakes](card/mistakes.jpg)', '']
    return lines


def _number(value: float) -> str:
    return '-' if value != value else f'{value:.3f}'


def _split_table(split: Split) -> List[str]:
    labels = sorted(set(split.labels))
    lines = ['| | frames | ' + ' | '.join(labels) + ' |', '|---' * (len(labels) + 2) + '|']
    for part in (*PARTS, None):
        counts = split.counts(part)
        if part is not None or counts:
            name = part.value if part else 'left out, between parts'
            lines.append(f'| {name} | {sum(counts.values())} | '
                         + ' | '.join(str(counts.get(label, 0)) for label in labels) + ' |')
    return lines


def _history_lines(found: Findings) -> List[str]:
    kept = kept_epoch(found.history, found.keep)
    rows: List[Sequence[object]] = [['epoch', 'loss', 'early-stop NLL', 'accuracy']]
    rows += [[record.epoch + 1, f'{record.loss:.4f}', f'{record.nll:.4f}', f'{record.accuracy:.4f}']
             for record in found.history]
    return [f'Epoch {kept.epoch + 1} of {len(found.history)} was kept; '
            f'{sum(record.seconds for record in found.history):.0f} s in all.', '', '```', *aligned(rows), '```']


def track_accuracy(store: FrameStore, indices: np.ndarray, probabilities: np.ndarray, targets: np.ndarray
                   ) -> Optional[Tuple[float, int]]:
    """Share of tracks whose frames together are called rightly, and the number of tracks.

    The class of a track is the one with the largest mean log-probability over its frames.

    Returns:
        None if some frame belongs to no track.
    """
    members: Dict[Tuple[str, str, str], List[int]] = {}
    for place, index in enumerate(indices):
        frame = store.frames[int(index)]
        if frame.track is None:
            return None
        members.setdefault((frame.recording, frame.topic, frame.track), []).append(place)
    log_p = log_probability(probabilities)
    right = [log_p[places].mean(axis=0).argmax() == targets[places[0]] for places in members.values()]
    return float(np.mean(right)), len(right)


def mistakes_sheet(store: FrameStore, indices: np.ndarray, probabilities: np.ndarray, targets: np.ndarray,
                   class_names: Sequence[str], preprocessing: Preprocessing) -> Optional[bytes]:
    """The most confident mistakes as one JPEG, one a track; None if everything was right."""
    called = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(called != targets)
    wrong = wrong[np.argsort(-probabilities[wrong, called[wrong]], kind='stable')]
    pictures, captions, seen = [], [], set()
    height, width = preprocessing.crop
    for place in wrong:
        frame = store.frames[int(indices[place])]
        track = (frame.recording, frame.track or frame.index)
        if track in seen:
            continue
        seen.add(track)
        pixels = store.pixels(int(indices[place]))
        top, left = (max(0, round((have - want) / 2)) for have, want in zip(pixels.shape, (height, width)))
        pixels = pixels[top:top + height, left:left + width]
        pictures.append(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
        captions.append(f'{frame.label[:8]} > {class_names[called[place]][:8]} '
                        f'{probabilities[place, called[place]]:.2f}'.replace('0.', '.'))
        if len(pictures) == _MISTAKES:
            break
    if not pictures:
        return None
    sheet = contact_sheet(pictures, captions, _COLUMNS, side=160)
    return cv2.imencode('.jpg', cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, 85))[1].tobytes()

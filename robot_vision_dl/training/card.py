"""The model card of a trained network: how good it is on which pictures, and where it fails."""
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import cv2
import numpy as np

from ..core.preprocess import Preprocessing
from ..data.cache import FrameStore
from ..data.contact_sheet import contact_sheet
from ..data.labels import table
from ..data.leakage import Leakage
from ..data.split import PARTS, Split
from ..evaluation.figures import confusion_figure, curves_figure, reliability_figure
from ..evaluation.metrics import Judgement, wilson_interval
from .history import EpochRecord, best_epoch

_MISTAKES, _COLUMNS = 24, 6


@dataclass(frozen=True)
class Findings:
    """What a card reports beside the calibration.

    Attributes:
        split, leakage: of the data.
        recordings: number of recordings.
        history: epochs.
        test, test_plain: calibrated and plain predictions on the test split; None without one.
        baselines: accuracy on the test split by name.
        unknown_rate: share of the test pictures whose OOD p-value is below the rate, and that rate; None without.
        mistakes: a sheet of test pictures that were called wrongly, JPEG; None if there are none.
        notes: Markdown of the user.
    """

    split: Split
    leakage: Leakage
    recordings: int
    history: Sequence[EpochRecord]
    test: Optional[Judgement]
    test_plain: Optional[Judgement]
    baselines: Mapping[str, float]
    unknown_rate: Optional[Tuple[float, float]]
    mistakes: Optional[bytes]
    notes: str


def card_notes(found: Findings) -> str:
    """Markdown between the summary of the card and its calibration."""
    lines: List[str] = [found.notes.strip(), ''] if found.notes.strip() else []
    lines += _test_lines(found)
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
    best = best_epoch(history)
    files = {'curves.png': curves_figure(
        [record.epoch + 1 for record in history], [record.loss for record in history],
        [record.nll for record in history], [record.accuracy for record in history], best.epoch + 1)}
    if found.test is not None:
        files['confusion.png'] = confusion_figure(found.test.confusion, found.test.class_names,
                                                  f'test split, {found.test.pictures} pictures')
        files['reliability.png'] = reliability_figure(
            [('plain softmax', found.test_plain.reliability), ('calibrated', found.test.reliability)],
            f'test split, {found.test.pictures} pictures')
    if found.mistakes is not None:
        files['mistakes.jpg'] = found.mistakes
    return files


def _test_lines(found: Findings) -> List[str]:
    test = found.test
    if test is None:
        return ['## Test', '', 'Not tested: no frames were kept for it (data.split.test is 0).', '']
    low, high = wilson_interval(round(test.accuracy * test.pictures), test.pictures)
    lines = ['## Test', '',
             f'Looked at once, after everything was chosen: {test.pictures} frames that training never saw. Accuracy '
             f'**{test.accuracy:.3f}** (95 % interval {low:.3f} to {high:.3f} if frames were independent; frames of a '
             'track are not, so it is wider), balanced '
             f'{test.balanced_accuracy:.3f}, macro F1 {test.macro_f1:.3f}.', '',
             '| class | frames | precision | recall | F1 |', '|---|---|---|---|---|']
    lines += [f'| {name} | {n} | {_number(p)} | {_number(r)} | {_number(f)} |'
              for name, p, r, f, n in zip(test.class_names, *test.by_class)]
    plain = found.test_plain
    lines += ['', '| | plain softmax | calibrated |', '|---|---|---|',
              f'| negative log-likelihood, nats | {plain.nll:.4f} | {test.nll:.4f} |',
              f'| Brier score | {plain.brier:.4f} | {test.brier:.4f} |',
              f'| expected calibration error, 15 bins | {plain.ece:.4f} | {test.ece:.4f} |',
              f'| the same of perfectly calibrated predictions | {plain.ece_floor:.4f} | {test.ece_floor:.4f} |', '']
    if found.unknown_rate is not None:
        rate, epsilon = found.unknown_rate
        lines += [f'Called unknown though of a known class, at false_unknown_rate {epsilon:g}: {rate:.4f}.', '']
    lines += ['| the same test frames | accuracy |', '|---|---|']
    lines += [f'| {name} | {value:.3f} |' for name, value in found.baselines.items()]
    lines += [f'| this model | **{test.accuracy:.3f}** |', '', '![Confusion matrix](card/confusion.png) '
              '![Reliability diagram](card/reliability.png)', '']
    if found.mistakes is not None:
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
    best = best_epoch(found.history)
    rows: List[Sequence[object]] = [['epoch', 'loss', 'early-stop NLL', 'accuracy']]
    rows += [[record.epoch + 1, f'{record.loss:.4f}', f'{record.nll:.4f}', f'{record.accuracy:.4f}']
             for record in found.history]
    return [f'Epoch {best.epoch + 1} of {len(found.history)} was kept; '
            f'{sum(record.seconds for record in found.history):.0f} s in all.', '', '```', *table(rows), '```']


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

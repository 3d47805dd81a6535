"""The model card of a trained network: how good it is on which pictures, and where it fails."""
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence

from ..core.text.table import aligned
from ..data.division import PARTS
from ..data.leakage import Leakage
from ..data.split import Split
from ..evaluation.figures import curves_figure
from ..evaluation.tested import Tested, test_files, test_lines
from .history import EpochRecord, kept_epoch


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
    if found.tested is None:
        lines += ['## Test', '', 'Not tested: no frames were kept for it (data.split.test is 0).', '']
    else:
        count = found.tested.calibrated.pictures
        lines += test_lines(found.tested, f'looked at once, after everything was chosen: {count} frames that training '
                            'never saw')
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
    if found.tested is not None:
        files.update(test_files(found.tested))
    return files


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

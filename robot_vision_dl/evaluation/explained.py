"""Evidence for the frames that a report shows, and what boxes tell about it: the last step of an evaluation."""
import time
from typing import Dict, List, Mapping, Sequence, Set, Tuple

from ..core.bundles.bundle import Bundle
from .background import Judgeable, background_json, judgeable, key_of
from .evidence import Answer, EvidenceMaker, ModelEvidence, Question
from .example_frames import Choice, Key
from .frames_again import Wanted, frames_again
from .object_boxes import Boxes
from .options import EvaluationOptions
from .recordings import Recording
from .runner import RecordingResult
from .table import FrameTable

MOST_SHOWN = 200
"""Frames of one model that are shown with evidence, beside those of the list."""
MOST_LISTED = 24
"""Mistakes, and right decisions, of the list that are shown."""


def explained(bundle: Bundle, table: FrameTable, choice: Choice, recordings: Sequence[Recording],
              outcomes: Sequence[RecordingResult], boxes: Mapping[str, Boxes], options: EvaluationOptions
              ) -> ModelEvidence:
    """Evidence of one model.

    Args:
        table: its rows.
        choice: the frames that a report shows.
        outcomes: of the recordings, in their order.
        boxes: by recording; empty: nobody said where objects are.
        options: as the recordings were judged.
    """
    started = time.perf_counter()
    rows = _rows(table)
    shown = _shown(choice, rows)
    judged = judgeable(table, boxes, options.label_map) if boxes else Judgeable([], 0, 0)
    questions = {one.key: _question(table, rows[one.key], one.corners, False) for one in judged.chosen}
    for key in shown[:MOST_SHOWN]:
        known = questions.get(key)
        questions[key] = _question(table, rows[key], known.corners if known else (), True)
    maker = EvidenceMaker(bundle, options.deployment)
    answers: Dict[Key, Answer] = {}
    if not maker.without:
        for recording, outcome in zip(recordings, outcomes):
            wanted = [Wanted(key, int(table.rows['receive_ns'][rows[key]]), digest)
                      for (topic, number, found), digest in outcome.digests.items()
                      for key in [Key(recording.name, topic, number, found)] if key in questions]
            answers.update(maker.answers(frames_again(recording, wanted, options.deployment), questions))
    found = ModelEvidence(answers, max(0, len(shown) - MOST_SHOWN), maker.without, maker.exact)
    if boxes and not maker.without:
        by_name = {recording.name: recording for recording in recordings}
        files = {key: by_name[key.recording].file(key.number) for key in questions}
        found.background = background_json(table, judged, answers,
                                           {key: file for key, file in files.items() if file})
        _forget(found, set(shown))
    found.seconds = time.perf_counter() - started
    return found


def _rows(table: FrameTable) -> Dict[Key, int]:
    columns = [table.rows[name].tolist() for name in ('recording', 'topic', 'index', 'object')]
    return {Key(table.recordings[recording], table.topics[topic], index, number): place
            for place, (recording, topic, index, number) in enumerate(zip(*columns))}


def _shown(choice: Choice, rows: Mapping[Key, int]) -> List[Key]:
    """Worst mistakes, then wrong cells of the confusion matrix, its others, and last what is most uncertain."""
    cells = sorted(choice.cells.items(), key=lambda item: (item[0][0] == item[0][1], item[0][1] < 0))
    shots = (*choice.ood, *choice.worst, *(shot for _, some in cells for shot in some), *choice.doubtful)
    return [key for key in dict.fromkeys(shot.key for shot in shots) if key in rows]


def _question(table: FrameTable, place: int, corners: Tuple[Tuple[float, float, float, float], ...],
              is_shown: bool) -> Question:
    said, target = (int(table.rows[column][place]) for column in ('fused_predicted', 'target'))
    return Question(said, target if target >= 0 and target != said else None, corners, is_shown)


def _forget(found: ModelEvidence, shown: Set[Key]) -> None:
    """Pictures of what is listed and has no room are not kept."""
    assert found.background is not None
    kept = set(shown)
    for is_right in (False, True):
        kept |= {key_of(entry) for entry in
                 [entry for entry in found.background['listed'] if entry['right'] == is_right][:MOST_LISTED]}
    found.answers = {key: answer for key, answer in found.answers.items() if key in kept}

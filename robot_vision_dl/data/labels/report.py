"""What became of the frames of recordings: which label they have, or why none."""
from collections import Counter
from dataclasses import dataclass
from typing import Dict, Optional, Sequence, Tuple

from ...core.text.table import aligned
from .labels import Finding, FrameLabel


@dataclass(frozen=True)
class TopicLabels:
    """What became of the frames of one image topic.

    Attributes:
        recording, topic: whose frames.
        labels: (label, frames) in alphabetical order, ``unknown`` among them.
        ignored, conflicts, gaps: frames that have no label because they are to be ignored, because sources or
            intervals disagree, because no interval covers them.
        first_conflict: stamp in ns and the labels that disagree; None without a conflict.
        hint: why nothing at all was labelled, as far as can be told.
    """

    recording: str
    topic: str
    labels: Tuple[Tuple[str, int], ...]
    ignored: int
    conflicts: int
    gaps: int
    first_conflict: Optional[Tuple[int, str]] = None
    hint: str = ''

    @property
    def labelled(self) -> int:
        """Frames with a label."""
        return sum(count for _, count in self.labels)

    @property
    def frames(self) -> int:
        """All frames."""
        return self.labelled + self.ignored + self.conflicts + self.gaps


@dataclass(frozen=True)
class LabelReport:
    """Labels of all recordings; ``str()`` gives a table.

    Attributes:
        topics: what became of the frames.
        problems: sentences about what is missing or damaged.
        notes: sentences about what was chosen, and what is not used and why.
    """

    topics: Tuple[TopicLabels, ...]
    problems: Tuple[str, ...] = ()
    notes: Tuple[str, ...] = ()

    @property
    def counts(self) -> Dict[str, int]:
        """Frames of each label over all recordings."""
        total: Counter[str] = Counter()
        for topic in self.topics:
            total.update(dict(topic.labels))
        return dict(sorted(total.items()))

    def __str__(self) -> str:
        rows = [['recording', 'topic', 'frames', 'labelled', 'ignored', 'conflicts', 'gaps', 'labels']]
        for topic in self.topics:
            numbers = (topic.frames, topic.labelled, topic.ignored, topic.conflicts, topic.gaps)
            rows.append([topic.recording, topic.topic or '-', *map(str, numbers),
                         ', '.join(f'{name} {count}' for name, count in topic.labels)])
        lines = aligned(rows)
        for topic in self.topics:
            if topic.first_conflict:
                stamp_ns, names = topic.first_conflict
                lines.append(f'conflict: {topic.recording} {topic.topic}, first at {stamp_ns / 1e9:.3f} s: {names}')
            if topic.hint:
                lines.append(f'hint: {topic.recording} {topic.topic}: {topic.hint}')
        return '\n'.join([*lines, *(f'note: {note}' for note in self.notes),
                          *(f'problem: {problem}' for problem in self.problems)])


class LabelCounter:
    """Counts verdicts while frames go by, and makes the report."""

    def __init__(self) -> None:
        self._findings: Dict[Tuple[str, str], Counter[Finding]] = {}
        self._labels: Dict[Tuple[str, str], Counter[str]] = {}
        self._first_conflict: Dict[Tuple[str, str], Tuple[int, str]] = {}
        self._hints: Dict[Tuple[str, str], str] = {}

    def add(self, recording: str, topic: str, stamp_ns: int, verdict: FrameLabel) -> None:
        """Count one frame."""
        key = (recording, topic)
        self._findings.setdefault(key, Counter())[verdict.finding] += 1
        if verdict.finding is Finding.LABELLED:
            self._labels.setdefault(key, Counter())[verdict.label] += 1
        elif verdict.finding is Finding.CONFLICT:
            self._first_conflict.setdefault(key, (stamp_ns, verdict.label))

    def hint(self, recording: str, topic: str, text: str) -> None:
        """Say why frames of a topic may have no label; shown if none has."""
        self._hints[(recording, topic)] = text

    def report(self, problems: Sequence[str] = (), notes: Sequence[str] = ()) -> LabelReport:
        """Everything counted so far."""
        topics = []
        for key, findings in self._findings.items():
            labels = self._labels.get(key, Counter())
            only_gaps = findings[Finding.GAP] == sum(findings.values())
            topics.append(TopicLabels(
                *key, tuple(sorted(labels.items())), findings[Finding.IGNORED], findings[Finding.CONFLICT],
                findings[Finding.GAP], self._first_conflict.get(key), self._hints.get(key, '') if only_gaps else ''))
        return LabelReport(tuple(topics), tuple(problems), tuple(notes))

"""Recordings and frames that occur more than once: they are no further evidence and are judged once."""
from collections import Counter
from dataclasses import replace
from typing import Dict, Sequence, Tuple

import numpy as np

from .runner import RecordingResult
from .table import NO_LABEL, FrameTable

COPY_SHARE = 0.5
"""Share of a recording's frames that are those of others from which on all of it is a copy: cut, or put together."""


def judge_once(outcomes: Sequence[RecordingResult]) -> None:
    """Take the labels off frames that another recording has, too, bit by bit and whenever it was; say so.

    The longest recordings keep theirs. What was decided stays; what is said of right and wrong, of how many
    recordings there are and how sure that makes, then rests on each picture once.
    """
    seen: Dict[bytes, str] = {}
    for outcome in sorted(outcomes, key=lambda outcome: -len(outcome.digests)):
        own = outcome.digests
        others = Counter(seen[digest] for digest in own.values() if digest in seen)
        count = sum(others.values())
        whole = count >= COPY_SHARE * len(own)
        if count:
            outcome.tables = {model: _without_labels(table, own, seen, whole)
                              for model, table in outcome.tables.items()}
            what = 'it is a copy and counts as no recording of its own' if whole else 'they count once'
            told = (f'{count} of its {len(own)} frames are, bit by bit, those of {others.most_common(1)[0][0]}: {what} '
                    'where labels are judged')
            outcome.problems = tuple(dict.fromkeys((*outcome.problems, told)))
        if not whole:
            for digest in own.values():
                seen.setdefault(digest, outcome.recording)


def _without_labels(table: FrameTable, own: Dict[Tuple[str, int, int], bytes], seen: Dict[bytes, str],
                    whole: bool) -> FrameTable:
    rows = table.rows.copy()
    places = zip(*(rows[column].tolist() for column in ('topic', 'index', 'object')))
    copied = np.array([whole or own.get((table.topics[topic], index, number)) in seen
                       for topic, index, number in places], bool)
    rows['target'][copied] = NO_LABEL
    return replace(table, rows=rows)

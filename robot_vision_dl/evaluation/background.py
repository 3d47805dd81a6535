"""Which decisions rest on what lies outside the object: the list "looks at the background".

What decided is held against the boxes of the object: what speaks for the class that was said rather than for the one
that it is; of a right answer, rather than for the runner-up. A decision looks at the background if less of it lies
inside than would by chance, which is the share of the picture that the boxes take, and the highest place of the map is
outside them, too. That a mistake does is a reason to look at it; that right answers of a
class do is a shortcut: something beside the object tells the class here, and may not elsewhere (Geirhos et al. 2020,
"Shortcut learning in deep neural networks").
"""
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np

from ..core.networks.evidence_place import Box
from ..data.labels.labels import IGNORE
from .evidence import Answer
from .example_frames import Key
from .object_boxes import Boxes, LabelledBox, labels_in
from .summary import number
from .table import ACCEPTED, NO_LABEL, UNKNOWN_TARGET, FrameTable

MOST_WRONG, MOST_RIGHT = 400, 60
"""Mistakes, and right decisions of a class, whose evidence is looked at."""


class Judged(NamedTuple):
    """A decision whose object's boxes are known: where it is in the table, and the boxes."""

    place: int
    key: Key
    corners: Tuple[Box, ...]


class Judgeable(NamedTuple):
    """What is looked at, and what is not.

    Attributes:
        chosen: mistakes, the surest first, and right decisions, evenly spread over each class.
        left_out: that are acted on, have boxes, and are too many.
        without_box: that are acted on and labelled, with no box of the object.
        counted: labels of the boxes that count.
        by_name: those are called as classes are; else no box is, and all count, whatever they are of.
        unboxed: classes of labelled frames of which no box anywhere is; only where others have some.
    """

    chosen: List[Judged]
    left_out: int
    without_box: int
    counted: Tuple[str, ...] = ()
    by_name: bool = True
    unboxed: Tuple[str, ...] = ()


def judgeable(table: FrameTable, boxes: Mapping[str, Boxes], label_map: Mapping[str, str]) -> Judgeable:
    """The decisions that can be looked at.

    Of a frame's boxes those count that are called as the frame is labelled, or as what was said of it: a mistake that
    looks at another object looks at no background. Where no box anywhere is called as a class, as those of a detector
    of objects of any kind, all do, and the report says so. Boxes are translated as labels are; ``ignore`` never counts.

    Args:
        boxes: by recording.
        label_map: names in the labels -> class names.
    """
    rows = table.rows
    there_are = [label for label in labels_in(list(boxes.values())) if label_map.get(label, label) != IGNORE]
    names = {label_map.get(label, label) for label in there_are}
    speak = bool(names & set(table.class_names))
    counted: Set[str] = set()
    acted = np.flatnonzero((rows['outcome'] == ACCEPTED) & (rows['target'] != NO_LABEL))
    wrong: List[Judged] = []
    right: Dict[int, List[Judged]] = {}
    without = 0
    for place in acted.tolist():
        row = rows[place]
        recording, topic = table.recordings[row['recording']], table.topics[row['topic']]
        there = boxes.get(recording, {}).get((topic, int(row['index'])), ())
        target, said = int(row['target']), int(row['fused_predicted'])
        of_it = [box for box in there if label_map.get(box.label, box.label) != IGNORE
                 and (not speak or _is_of(box, target, said, table.class_names, label_map))]
        counted.update(box.label for box in of_it)
        corners = tuple(box.corners for box in of_it)
        if not corners:
            without += 1
            continue
        one = Judged(place, Key(recording, topic, int(row['index']), int(row['object'])), corners)
        if target == said:
            right.setdefault(target, []).append(one)
        else:
            wrong.append(one)
    wrong.sort(key=lambda one: -float(rows['trust'][one.place]))
    chosen = wrong[:MOST_WRONG]
    for target in sorted(right):
        chosen += _spread(right[target], MOST_RIGHT)
    targets = np.unique(rows['target'][acted])
    unboxed = [table.class_names[target] for target in targets[targets >= 0].tolist()
               if speak and table.class_names[target] not in names]
    return Judgeable(chosen, len(acted) - without - len(chosen), without, tuple(sorted(counted)), speak, tuple(unboxed))


def _is_of(box: LabelledBox, target: int, said: int, class_names: Sequence[str], label_map: Mapping[str, str]) -> bool:
    label = label_map.get(box.label, box.label)
    if target == UNKNOWN_TARGET and label not in class_names:
        return True  # of what is none of the classes, whatever it is called
    return label in (class_names[said], class_names[target] if target >= 0 else '')


def _spread(found: List[Judged], most: int) -> List[Judged]:
    if len(found) <= most:
        return found
    return [found[place] for place in np.linspace(0, len(found) - 1, most).round().astype(int)]


def background_json(table: FrameTable, judged: Judgeable, answers: Mapping[Key, Answer], files: Mapping[Key, str]
                    ) -> Dict[str, Any]:
    """As it stands in ``metrics.json``; see :data:`.summary.SCHEMA`.

    Args:
        answers: of the frames that are judged; those that could not be read again are missing.
        files: of pictures of folders.
    """
    rows = table.rows
    listed: List[Dict[str, Any]] = []
    parts: Dict[int, Dict[bool, List[Tuple[float, float, bool]]]] = {}
    without = 0
    for one in judged.chosen:
        place = answers[one.key].place if one.key in answers else None
        if place is None:
            without += 1
            continue
        row = rows[one.place]
        target, said = int(row['target']), int(row['fused_predicted'])
        parts.setdefault(said, {True: [], False: []})[target == said].append(
            (place.inside, place.area, place.is_outside))
        if place.is_outside:
            listed.append({'recording': one.key.recording, 'topic': one.key.topic, 'index': one.key.number,
                           'object': one.key.object if one.key.object >= 0 else None, 'file': files.get(one.key),
                           'label': table.label(target), 'said': table.class_names[said],
                           'trust': number(float(row['trust'])), 'inside': number(place.inside),
                           'area': number(place.area), 'right': target == said})
    listed.sort(key=lambda entry: (entry['right'], -entry['trust']))
    classes = [{'class': table.class_names[said], 'right': _figures(kinds[True]), 'wrong': _figures(kinds[False])}
               for said, kinds in sorted(parts.items())]
    return {'frames': sum(len(found) for kinds in parts.values() for found in kinds.values()),
            'boxes': {'counted': list(judged.counted), 'by_name': judged.by_name, 'unboxed': list(judged.unboxed)},
            'without_box': judged.without_box, 'without_evidence': without, 'left_out': judged.left_out,
            'right': _figures([each for kinds in parts.values() for each in kinds[True]]),
            'wrong': _figures([each for kinds in parts.values() for each in kinds[False]]),
            'classes': classes, 'listed': listed}


def _figures(found: Sequence[Tuple[float, float, bool]]) -> Dict[str, Optional[float]]:
    """Of n decisions: mean shares of evidence inside the boxes and of the area, and how many are listed."""
    if not found:
        return {'frames': 0, 'inside': None, 'area': None, 'listed': 0}
    inside, area, outside = zip(*found)
    return {'frames': len(found), 'inside': number(float(np.mean(inside))), 'area': number(float(np.mean(area))),
            'listed': sum(outside)}


def key_of(entry: Mapping[str, Any]) -> Key:
    """Which frame an entry of the list is."""
    return Key(entry['recording'], entry['topic'], entry['index'], -1 if entry['object'] is None else entry['object'])

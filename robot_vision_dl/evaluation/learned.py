"""Which of the frames that judge a model it has learned from: by its list of pictures, or else by recordings' names.

A bundle that was trained or calibrated here carries fingerprints of its pictures (:mod:`~..data.learned_pictures`). One
without lists the recordings of its training, and in its card the parts that they were in: those of the test part alone
taught it nothing. By these two that share a name count as one.
"""
from typing import Any, Dict, List, Mapping, Sequence, Set

import numpy as np

from ..core.bundles.bundle import Bundle
from ..core.errors import RobotVisionError
from ..core.text.json_text import parse_json
from ..core.text.text_file import read_text
from ..data.learned_pictures import Recognised, is_learned, learned_pictures
from .picture_messages import TOPIC as PICTURES
from .table import FrameTable

_SPLIT = 'card/split.json'
_NOT_LEARNED = 'test'
MOST_SEEN = 0.02
"""Share of the pictures that a model has learned from up to which figures are hardly flattered."""


def learned_figures(tables: Mapping[str, FrameTable], recognised: Mapping[str, Recognised]) -> Dict[str, Any]:
    """How many of the frames labelled with a class look like pictures that the model has learned from.

    Of a recording that :func:`~..data.learned_pictures.is_learned` calls so, all count as learned from.

    Args:
        tables: of one model, by recording.
        recognised: for each of these, which of its rows are recognised.

    Returns:
        ``frames`` that are labelled with a class; those that look like one that it was ``trained_on`` (None: the model
        does not say what it was trained on), or else ``calibrated_on``; ``others``: those that count as learned from
        neither by themselves nor with their recording; ``right`` and ``right_others``: how many of those that do, and
        of the others, are called rightly, each alone;
        ``recordings``: by name, where there are any, how many are recognised of how many.
    """
    keys = ('frames', 'trained_on', 'calibrated_on', 'others', 'right', 'right_others')
    figures: Dict[str, Any] = dict.fromkeys(keys, 0)
    by_recording: Dict[str, List[int]] = {}
    for recording, table in tables.items():
        known, found = table.known, recognised[recording]
        right, seen = known & (table['predicted'] == table['target']), known & found.either
        count = int(np.count_nonzero(seen))
        if count:
            by_recording[recording] = [count, int(np.count_nonzero(known))]
        is_whole = is_learned(count, int(np.count_nonzero(known))) and table.topics != (PICTURES,)
        learned = known if is_whole else seen
        for name, mask in zip(keys, (known, known & found.trained_on, seen & ~found.trained_on, known & ~learned,
                                     right & learned, right & ~learned)):
            figures[name] += int(np.count_nonzero(mask))
    if not all(found.training_is_known for found in recognised.values()):
        figures['trained_on'] = None
    return {**figures, 'recordings': by_recording}


def told(bundle: Bundle, prints: np.ndarray) -> str:
    """A sentence about pictures to judge by that the model has learned from, by their fingerprints; empty for none."""
    learned = learned_pictures(bundle)
    found = None if learned is None else learned.recognise(prints)
    words = '' if found is None or found.either.sum() < MOST_SEEN * len(prints) else found.words()
    return f'{words}: on these a model does better than on others, so the figures are flattering' if words else ''


def learned_from(bundle: Bundle, recordings: Sequence[str]) -> List[str]:
    """Those of ``recordings`` that have the name of one that the model, or a member of it, was trained on."""
    known = _names(bundle).union(*map(_names, bundle.members))
    return [name for name in recordings if any(same_name(name, other) for other in known)]


def _names(bundle: Bundle) -> Set[str]:
    parts = _parts(bundle)
    if isinstance(parts, dict):
        return {name for part, names in parts.items() if part != _NOT_LEARNED and isinstance(names, list)
                for name in names if isinstance(name, str)}
    said = bundle.provenance.get('recordings')
    return set(said.split(', ')) - {''} if isinstance(said, str) else set()


def _parts(bundle: Bundle) -> Any:
    if bundle.folder is None:
        return None
    path = bundle.folder / _SPLIT
    try:
        found = parse_json(read_text(path), str(path))
    except RobotVisionError:  # the card is for people; a bundle without one is as good
        return None
    return found.get('recordings') if isinstance(found, dict) else None


def same_name(one: str, other: str) -> bool:
    """Whether two names may be of one recording.

    As many folders are part of a name as made the names differ among those that were read together.
    """
    return f'/{one}'.endswith(f'/{other}') or f'/{other}'.endswith(f'/{one}')

"""Which of the recordings that judge a model it has learned from, as far as their names tell.

A bundle lists the recordings of its training, and in its card the parts that they were in: those of the test part alone
taught it nothing. There is no fingerprint of a recording's frames in a bundle, so two that share a name count as one.
"""
from typing import Any, List, Sequence, Set

from ..core.bundles.bundle import Bundle
from ..core.errors import RobotVisionError
from ..core.text.json_text import parse_json
from ..core.text.text_file import read_text

_SPLIT = 'card/split.json'
_NOT_LEARNED = 'test'


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

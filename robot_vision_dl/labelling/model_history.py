"""The history of a model: what it was trained on, by whom that was labelled, and how it did against the one before.

``history.jsonl`` in the folder of a bundle, one JSON object a line, the oldest first. Lines are only ever added, and
the file is written whole. It is none of the files that the bundle's identity follows from, and it moves on with the
bundle: an installed model has the lines of those that it took the place of.
"""
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from ..core.bundles.bundle import Bundle, load_bundle
from ..core.errors import BundleError
from ..core.files.whole_files import write_whole
from ..core.text.json_text import parse_json
from ..core.text.printable import printable

HISTORY = 'history.jsonl'
_MOST_BYTES = 64 << 20
TRAINED, INSTALLED, REFUSED, ROLLED_BACK = 'trained', 'installed', 'refused', 'rolled back'


@dataclass(frozen=True)
class Entry:
    """What happened to a model.

    Attributes:
        what: one of the names above.
        model: identity of the bundle that this is about.
        before: identity of the bundle that was installed then; empty: none.
        time: in UTC, ISO 8601.
        round: digest of all that the training and the comparison followed from; empty: not of a comparison.
        recordings: that were learned from, calibrated or tested on.
        frames: how many of them.
        classes: by name, in the order of the outputs.
        new_classes: those that the bundle before did not have.
        labelled_by: by name of a person, labels that stand.
        frozen: recordings that old and new were compared on.
        gates: how that went, see :meth:`~..evaluation.no_worse.GateResult.as_json`.
        test: accuracy on the test part of the training; None: there was none.
    """

    what: str
    model: str
    before: str = ''
    time: str = ''
    round: str = ''
    recordings: Tuple[str, ...] = ()
    frames: int = 0
    classes: Tuple[str, ...] = ()
    new_classes: Tuple[str, ...] = ()
    labelled_by: Mapping[str, int] = field(default_factory=dict)
    frozen: Tuple[str, ...] = ()
    gates: Tuple[Mapping[str, Any], ...] = ()
    test: Any = None


def trained(bundle: Bundle) -> Entry:
    """What a bundle says of its own training."""
    said = bundle.provenance
    recordings = said.get('recordings')
    frames = said.get('frames')
    test = bundle.metrics.get('test')
    return Entry(
        TRAINED, bundle.identity, time=str(said.get('created', '')), classes=bundle.class_names,
        recordings=tuple(recordings.split(', ')) if isinstance(recordings, str) and recordings else (),
        frames=int(frames) if isinstance(frames, str) and frames.isdigit() else 0,
        test=test.get('accuracy') if isinstance(test, Mapping) else None)


def read_history(folder: Path) -> List[Entry]:
    """All entries of the bundle in ``folder``, the oldest first; where none is written, what it says of its training.

    Raises:
        BundleError: there is no bundle, or its history cannot be read.
    """
    path = folder / HISTORY
    if not path.is_file():
        return [trained(load_bundle(folder.absolute()))]
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f'has more than {_MOST_BYTES} bytes')
        return [_entry(line, number) for number, line in enumerate(path.read_bytes().splitlines(), 1) if line.strip()]
    except (OSError, ValueError) as error:
        raise BundleError(f'{printable(path)}: cannot be read as the history of a model ({printable(error)}); mend it, '
                          'or move it away to begin anew') from error


def _entry(line: bytes, number: int) -> Entry:
    values = parse_json(line, f'line {number}')
    if not isinstance(values, dict):
        raise ValueError(f'line {number} is no JSON object')
    known: Dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value
                             for name, value in values.items() if name in Entry.__dataclass_fields__}
    for name, kind in (('what', str), ('model', str), ('before', str), ('time', str), ('round', str), ('frames', int),
                       ('recordings', tuple), ('classes', tuple), ('new_classes', tuple), ('labelled_by', dict),
                       ('frozen', tuple), ('gates', tuple)):
        if name in known and not isinstance(known[name], kind):
            raise ValueError(f'line {number}: {name} is not what it should be')
    texts = [text for name in ('recordings', 'classes', 'new_classes', 'frozen') for text in known.get(name, ())]
    if not (all(isinstance(text, str) for text in texts)
            and all(isinstance(gate, dict) for gate in known.get('gates', ()))
            and isinstance(known.get('test'), (int, float, type(None)))):
        raise ValueError(f'line {number}: has values that are not what they should be')
    if 'what' not in known or 'model' not in known:
        raise ValueError(f'line {number}: says neither what nor of which model')
    return Entry(**known)


def text_of(entries: List[Entry]) -> str:
    """The content of the file."""
    return ''.join(json.dumps(asdict(entry), allow_nan=False) + '\n' for entry in entries)


def add(folder: Path, entry: Entry) -> None:
    """Add an entry to the history of the bundle in ``folder``, unless it is the last one already.

    Raises:
        BundleError: the history that is there cannot be read.
        OutputError: it cannot be written.
    """
    entries = read_history(folder)
    last = entries[-1]
    if (last.what, last.model, last.round, last.gates) != (entry.what, entry.model, entry.round, entry.gates):
        write_whole(folder / HISTORY, text_of([*entries, entry]))


def describe(entries: List[Entry]) -> List[str]:
    """Lines for people, the newest last."""
    lines: List[str] = []
    for number, entry in enumerate(entries, 1):
        lines.append(f'{number:>3}  {printable(entry.time[:16].replace("T", " "), 20):<16}  '
                     f'{printable(entry.what, 20):<11}  {printable(entry.model, 20)}')
        lines += [f'     {line}' for line in _details(entry)]
    return lines


def _details(entry: Entry) -> List[str]:
    found = []
    if entry.recordings:
        shown = ', '.join(entry.recordings[:6]) + (f' and {len(entry.recordings) - 6} more'
                                                   if len(entry.recordings) > 6 else '')
        found.append(f'learned from   {entry.frames} frames of {len(entry.recordings)} recordings: '
                     f'{printable(shown, 200)}')
    if entry.labelled_by:
        found.append('labelled by    ' + ', '.join(f'{printable(name, 60)} ({count})'
                                                   for name, count in entry.labelled_by.items()))
    if entry.classes:
        found.append(f'classes        {len(entry.classes)}' + (
            f', new: {printable(", ".join(entry.new_classes), 200)}' if entry.new_classes else ''))
    if entry.gates:
        found.append(f'compared       with {entry.before} on {len(entry.frozen)} frozen recordings')
        found += [f'  {gate.get("decided", ""):<9} {gate.get("figure", ""):<16} {_number(gate.get("old"))} -> '
                  f'{_number(gate.get("new"))}   {_number(gate.get("difference"), "+")} '
                  f'({_number(gate.get("low"), "+")} .. {_number(gate.get("high"), "+")})'
                  for gate in entry.gates if isinstance(gate, Mapping)]
    elif entry.before:
        found.append(f'in place of    {entry.before}')
    if entry.test is not None:
        found.append(f'own test part  accuracy {entry.test:.4f}; other versions were tested on other frames')
    return found


def _number(value: Any, sign: str = '') -> str:
    return f'{value:{sign}.4f}' if isinstance(value, (int, float)) else '-'

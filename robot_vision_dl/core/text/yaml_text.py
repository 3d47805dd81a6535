"""YAML of whoever wrote it -> plain values: the only place that reads YAML, with bounds, and one error.

Scalars are read by YAML 1.2's core schema, narrowed to what can mean one thing only: ``true``, ``null``, ``12``,
``1e-3`` and ``.inf`` are what they look like; ``off``, ``no``, ``010``, ``0x1f``, ``1_0``, ``12:30`` and
``2001-01-01``, which YAML 1.1 turns into other things, are the texts that were written, and so is ``+7``: ``str()``
of a whole number is what was written. Keys are always texts. An alias gives a copy of what it names; ``<<`` is a key
as any other.

Built from the parser's events and not from PyYAML's own loader, which recurses, resolves by YAML 1.1, and raises
ValueError, TypeError, AttributeError, IndexError or RecursionError for texts that are made for it.
"""
import math
import re
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple, Union

import yaml

from ..errors import ConfigError
from .printable import printable
from .text_file import read_text

MOST_BYTES = 1 << 20
"""Largest document unless a caller says otherwise."""
MOST_DEPTH = 50
"""Deepest nesting."""
MOST_COPIED = 10_000
"""Values that all aliases of a document may add to it."""
MOST_DIGITS = 100
"""Longest number, in characters."""

_PARSER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
_CORE = 'tag:yaml.org,2002:'
_KINDS = ('null', 'bool', 'int', 'float', 'str')
_INT = re.compile(r'0|-?[1-9][0-9]*')
_FLOAT = re.compile(r'[-+]?((\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)')
_WORDS = {'': None, '~': None, 'null': None, 'Null': None, 'NULL': None,
          'true': True, 'True': True, 'TRUE': True, 'false': False, 'False': False, 'FALSE': False,
          **{sign + word: float(sign + 'inf') for sign in ('', '-', '+') for word in ('.inf', '.Inf', '.INF')},
          **dict.fromkeys(('.nan', '.NaN', '.NAN'), math.nan)}
# What YAML allows, https://yaml.org/spec/1.2.2/#51-character-set; lone surrogates, as of a name that is not UTF-8, not.
_NO_CHARACTER = re.compile('[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')
_SURROGATE = re.compile('[\ud800-\udfff]')
# Error texts of PyYAML's parser in Python quote the document, which may be a file that its reader must not see.
_QUOTED = re.compile(r"""(["'])(?![],}:?]\1|<[a-z ]+>\1).*?\1""", re.DOTALL)


class Place(NamedTuple):
    """Line and column, from 1, of a key or of an item of a list."""

    line: int
    column: int

    def __str__(self) -> str:
        return f'line {self.line}, column {self.column}'


Places = Dict[Tuple[Union[str, int], ...], Place]
"""Where things stand: of ``a: [x, {b: y}]`` there are ``('a',)``, ``('a', 0)``, ``('a', 1)`` and ``('a', 1, 'b')``."""


def read_yaml(path: Union[str, Path], *, as_text: bool = False, most_bytes: int = MOST_BYTES,
              places: Optional[Places] = None) -> Any:
    """The content of a file; see :func:`~.text_file.read_text` and :func:`parse_yaml`.

    Raises:
        ConfigError: it is no regular file, cannot be read, is not UTF-8, or is not YAML within the bounds.
    """
    text = read_text(path, most_bytes=most_bytes, quote=False)
    return parse_yaml(text, printable(path), as_text=as_text, most_bytes=most_bytes, places=places)


def parse_yaml(text: str, what: str, *, as_text: bool = False, most_bytes: int = MOST_BYTES,
               places: Optional[Places] = None, value_of: Optional[Callable[[str, bool], Any]] = None) -> Any:
    """The one document in ``text``: dict with texts as keys, list, str, int, float, bool, or None where it is empty.

    Args:
        text: the document.
        what: begins the error, e.g. the file's name.
        as_text: leave every scalar as it is written, without its quotes.
        most_bytes: refuse a longer text.
        places: takes up where each key and item stands, for the caller's own errors; not of what aliases copy.
        value_of: another rule for values (no keys): called with the text of a scalar and whether it is in quotes. Lists
            may then have the tag that ``ros2 launch`` gives them in the files it writes, ``!!python/tuple``.

    Raises:
        ConfigError: one line with line and column of what is wrong, and nothing of the text itself, which may be of a
            file that the reader of the error must not see: no YAML, a key that occurs twice, or beyond a bound
            (:data:`MOST_DEPTH`, :data:`MOST_COPIED`, :data:`MOST_DIGITS`).
    """
    if len(text) > most_bytes:
        raise ConfigError(f'{what}: is larger than {_size(most_bytes)}, the most that is read')
    text = text.removeprefix('\ufeff')
    try:
        odd = _NO_CHARACTER.search(text)
        if odd:
            before = text[:odd.start()]
            raise _Refused('a character that cannot be in YAML', before.count('\n'),
                           len(before) - before.rfind('\n') - 1)
        return _build(text, as_text, places, value_of)
    except _Refused as error:
        raise ConfigError(f'{what}: is not YAML that can be read (line {error.line + 1}, column {error.column + 1}: '
                          f'{error.reason})') from None


class _Refused(Exception):
    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(reason)
        self.reason, self.line, self.column = reason, line, column


class _Open(NamedTuple):
    """A list or mapping whose end has not come; ``key`` waits for its value."""

    values: Union[List[Any], Dict[str, Any]]
    anchor: Optional[str]
    key: List[str]
    seen: Set[str]
    path: Tuple[Union[str, int], ...]

    def at(self) -> Tuple[Union[str, int], ...]:
        """The path of the value that comes next."""
        return (*self.path, self.key[0] if isinstance(self.values, dict) else len(self.values))


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_PARSER)
    except MemoryError:
        raise
    except Exception as error:  # noqa: B902 - the parser in Python has others than YAMLError for some texts
        mark = getattr(error, 'problem_mark', None) or getattr(error, 'context_mark', None)
        reason = getattr(error, 'problem', None) or 'it cannot be parsed'
        raise _Refused(_QUOTED.sub('something else', str(reason)), mark.line if mark else 0,
                       mark.column if mark else 0) from None


def _build(text: str, as_text: bool, places: Optional[Places],
           value_of: Optional[Callable[[str, bool], Any]]) -> Any:
    stack: List[_Open] = []
    anchors: Dict[str, Any] = {}
    documents: List[Any] = []
    spare = MOST_COPIED
    for event in _events(text):
        if isinstance(event, yaml.DocumentStartEvent):
            if documents:
                raise _refused('there are several documents; one is expected', event)
            documents.append(None)
            continue
        if isinstance(event, yaml.CollectionStartEvent):
            if len(stack) >= MOST_DEPTH:
                raise _refused(f'nested more than {MOST_DEPTH} deep', event)
            mapping = isinstance(event, yaml.MappingStartEvent)
            if event.tag not in (None, '!', _CORE + ('map' if mapping else 'seq')) and (
                    mapping or value_of is None or event.tag != _CORE + 'python/tuple'):
                raise _refused('a tag that is not known; leave it out', event)
            if stack and isinstance(stack[-1].values, dict) and not stack[-1].key:
                raise _refused('a key must be a single value', event)
            if event.anchor:
                anchors[event.anchor] = _Open
            path = stack[-1].at() if stack else ()
            if stack and isinstance(stack[-1].values, list):
                _note(places, path, event)
            stack.append(_Open({} if mapping else [], event.anchor, [], set(), path))
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            value, anchor = stack[-1].values, stack.pop().anchor
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise _refused('an alias of what is not there', event)
            if anchors[event.anchor] is _Open:
                raise _refused('an alias within what it names', event)
            value, anchor = anchors[event.anchor], None
            spare -= _count(value, spare)
            if spare < 0:
                raise _refused(f'aliases copy more than {MOST_COPIED} values', event)
            value = _copied(value, len(stack), event)
        elif isinstance(event, yaml.ScalarEvent):
            is_key = bool(stack) and isinstance(stack[-1].values, dict) and not stack[-1].key
            value, anchor = _scalar(event, as_text or is_key, value_of), event.anchor
        else:
            continue
        if anchor:
            anchors[anchor] = value
        if not stack:
            documents[0] = value
        elif isinstance(stack[-1].values, list):
            if not isinstance(event, yaml.CollectionEndEvent):
                _note(places, stack[-1].at(), event)
            stack[-1].values.append(value)
        elif stack[-1].key:
            stack[-1].values[stack[-1].key.pop()] = value
        elif not isinstance(value, str):
            raise _refused('a key must be a text', event)
        elif value in stack[-1].seen:
            raise _refused('a key that stands there already', event)
        else:
            stack[-1].seen.add(value)
            stack[-1].key.append(value)
            _note(places, stack[-1].at(), event)
    return documents[0] if documents else None


def _note(places: Optional[Places], path: Tuple[Union[str, int], ...], event: Any) -> None:
    if places is not None:
        places[path] = Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _refused(reason: str, event: Any) -> _Refused:
    return _Refused(reason, event.start_mark.line, event.start_mark.column)


def _count(value: Any, most: int) -> int:
    """How many values there are within one, itself among them, counted no further than just above ``most``."""
    count, waiting = 0, [value]
    while waiting and count <= most:
        count += 1
        item = waiting.pop()
        waiting += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return count


def _copied(value: Any, depth: int, event: Any) -> Any:
    if isinstance(value, (dict, list)) and depth >= MOST_DEPTH:
        raise _refused(f'nested more than {MOST_DEPTH} deep by aliases', event)
    if isinstance(value, dict):
        return {key: _copied(item, depth + 1, event) for key, item in value.items()}
    return [_copied(item, depth + 1, event) for item in value] if isinstance(value, list) else value


def _scalar(event: Any, as_text: bool, value_of: Optional[Callable[[str, bool], Any]]) -> Any:
    text, tag = event.value, event.tag
    if _SURROGATE.search(text):
        raise _refused('an escape of what is no character', event)
    kind = 'str' if tag == '!' else tag[len(_CORE):] if tag and tag.startswith(_CORE) else tag
    if kind is not None and kind not in _KINDS:
        raise _refused('a tag that is not known; leave it out', event)
    if as_text or kind == 'str':
        return text
    quoted = event.style in ("'", '"')
    if value_of is not None:
        if kind is not None:
            raise _refused('a tag other than !!str; leave it out', event)
        return value_of(text, quoted)
    if kind is None and (quoted or not event.implicit[0]):
        return text
    value = core_value(text)
    if isinstance(value, ArithmeticError):
        raise _refused(str(value), event)
    if kind == 'float' and type(value) is int:
        value = float(value)
    if kind is not None and type(value).__name__ != {'null': 'NoneType'}.get(kind, kind):
        raise _refused(f'what is no value of the tag !!{kind}', event)
    return value


def core_value(text: str) -> Any:
    """What a plain scalar means; an ArithmeticError, given back, for a number that is too long or too large."""
    if text in _WORDS:
        return _WORDS[text]
    is_int = _INT.fullmatch(text)
    if not is_int and not _FLOAT.fullmatch(text):
        return text
    if len(text) > MOST_DIGITS:
        return ArithmeticError(f'a number of more than {MOST_DIGITS} digits')
    value = int(text) if is_int else float(text)
    return ArithmeticError('a number that is too large') if math.isinf(value) else value


def _size(count: int) -> str:
    return f'{count / (1 << 20):g} MiB' if count >= 1 << 20 else f'{count} bytes'

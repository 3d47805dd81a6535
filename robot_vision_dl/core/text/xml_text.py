"""XML of whoever wrote it -> its elements, within bounds, and one error; as :mod:`.json_text` for JSON.

A document type is refused, and with it every entity but XML's own five: nothing grows (billion laughs), and no other
file or address is read, whatever version of expat there is.
"""
from typing import Dict, Iterator, List, NamedTuple, NoReturn, Tuple
from xml.parsers import expat

from ..errors import ConfigError
from .printable import printable

MOST_DEPTH = 50
"""Deepest nesting."""
TEXT = '#text'
"""Name of an :class:`Element` that is text within another one; the text is its attribute of this name."""
_CHUNK = 1 << 16


class Element(NamedTuple):
    """The start of an element.

    Attributes:
        name: its own.
        attributes: as written, entities resolved.
        line: that it begins in, counted from 1.
        path: names of the elements around it, the outermost first.
    """

    name: str
    attributes: Dict[str, str]
    line: int
    path: Tuple[str, ...]


class _Refused(Exception):
    """What is well-formed and not read."""


def xml_elements(text: str, what: str, with_text: bool = False) -> Iterator[Element]:
    """Elements in the order in which they begin.

    Args:
        text: the document; what it says of its encoding does not count.
        what: begins the error, e.g. the file's name.
        with_text: text that is no white space comes as elements of the name :data:`TEXT`, a long one in parts.

    Raises:
        ConfigError: one line: no XML, a document type, or nested more than :data:`MOST_DEPTH` deep.
    """
    found: List[Element] = []
    around: List[str] = []
    parser = expat.ParserCreate('utf-8')

    def start(name: str, attributes: Dict[str, str]) -> None:
        if len(around) >= MOST_DEPTH:
            raise _Refused(f'nested more than {MOST_DEPTH} deep')
        found.append(Element(name, attributes, parser.CurrentLineNumber, tuple(around)))
        around.append(name)

    def end(name: str) -> None:
        around.pop()

    def characters(data: str) -> None:
        if data.strip():
            found.append(Element(TEXT, {TEXT: data}, parser.CurrentLineNumber, tuple(around)))

    def document_type(*_: object) -> NoReturn:
        raise _Refused('a document type (<!DOCTYPE ...>), which is not read; remove it')
    parser.StartElementHandler, parser.EndElementHandler = start, end
    if with_text:
        parser.CharacterDataHandler, parser.buffer_text = characters, True
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = document_type
    data = text.encode('utf-8', 'surrogatepass')
    try:
        for begin in range(0, len(data), _CHUNK):
            parser.Parse(data[begin:begin + _CHUNK], False)
            yield from found
            found.clear()
        parser.Parse(b'', True)
    except expat.ExpatError as error:
        raise ConfigError(f'{what}: is not XML that can be read (line {error.lineno}, column {error.offset + 1}: '
                          f'{printable(expat.ErrorString(error.code), 100)})') from None
    except _Refused as refused:
        raise ConfigError(f'{what}: is not XML that can be read (line {parser.CurrentLineNumber}: {refused})') from None
    yield from found

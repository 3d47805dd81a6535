"""Small pieces of Markdown."""
import re
from pathlib import Path
from typing import Iterable, Sequence

_CODE = re.compile(r'``?[^`]+``?')
_PAGE = re.compile(r'\bdocs/([\w/-]+\.md)\b')
_DOCS = Path(__file__).resolve().parents[2]
_SPECIAL = re.compile(r'([\\*_<>\[\]#|~$])')


def escaped(text: str) -> str:
    """Plain text as Markdown that shows the same; what stands between backticks is code, a page's path leads there."""
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [_SPECIAL.sub(r'\\\1', text[end:code.start()]), '`' + code.group().strip('`') + '`']
        end = code.end()
    whole = ''.join(parts) + _SPECIAL.sub(r'\\\1', text[end:])
    return _PAGE.sub(lambda page: f'[{page[0]}](../{page[1]})' if (_DOCS / page[1]).is_file() else page[0], whole)


def capital(text: str) -> str:
    """With a capital where the first word is an ordinary one, and not a name of something."""
    return text[0].upper() + text[1:] if re.match(r'[a-z]+[ ,:]', text) else text


def code(text: str) -> str:
    """Text as code, whatever is in it."""
    ticks = '``' if '`' in text else '`'
    return f'{ticks}{text}{ticks}'


def definition(term: str, *paragraphs: str) -> str:
    """One entry of a definition list; the arguments are Markdown."""
    lines = [term]
    for place, paragraph in enumerate(paragraph for paragraph in paragraphs if paragraph):
        indented = paragraph.replace('\n', '\n  ')
        lines.append(f': {indented}' if place == 0 else f'\n  {indented}')
    return '\n'.join(lines) + '\n'


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown, of one line each."""
    lines = ['| ' + ' | '.join(header) + ' |', '|' + '---|' * len(header)]
    lines += ['| ' + ' | '.join(row) + ' |' for row in rows]
    return '\n'.join(lines) + '\n'


def fenced(text: str, language: str = 'text') -> str:
    """A block of code."""
    return f'```{language}\n{text.rstrip()}\n```\n'

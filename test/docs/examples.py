"""The examples of README and documentation: which there are, and how they are run.

A block of ``console`` has commands after ``$ ``, whose lines go on where one ends with a backslash; other lines are
output, which must be printed in this order, but for numbers and spacing; other lines may come between. It is run, all
commands of a page one after another in a folder of their own, those of README by ``make test`` and the others by
``make test-all``, unless the line before it says otherwise:

``<!-- example: slow -->``           of README, only by ``make test-all``
``<!-- example: skipped, WHY -->``   not at all; WHY says what is needed, as ``needs a camera``
``<!-- example: runs -->``           for a block of ``python``, which is not run without

In the folder lie ``photo.jpg``, ``photos/`` (a folder a class), ``recording/`` (a labelled bag), ``drive.mp4``,
``videos/`` (fourteen takes of five things, ``<class>_<n>.mp4``) and ``new_take.mp4`` (another of one of them).
"""
import re
from pathlib import Path
from typing import Iterator, List, NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / 'README.md', REPOSITORY / 'CONTRIBUTING.md',
         *sorted(path for path in (REPOSITORY / 'docs').rglob('*.md') if '_build' not in path.parts)]
_BLOCK = re.compile(r'(?:^<!-- example: (?P<how>[^>]*?) -->\n\n?)?'
                    r'^(?P<indent> *)```(?P<language>console|python)\n(?P<text>.*?)^(?P=indent)```$', re.M | re.S)


class Example(NamedTuple):
    """A block of a page.

    Attributes:
        page: where it is, relative to the repository.
        line: of its first line.
        language: console or python.
        how: runs, slow or skipped.
        why: it is skipped.
        text: what is in it.
    """

    page: str
    line: int
    language: str
    how: str
    why: str
    text: str

    @property
    def commands(self) -> List[str]:
        """Of a console block."""
        found: List[str] = []
        goes_on = False
        for line in self.text.splitlines():
            if goes_on:
                found[-1] += '\n' + line
            elif line.startswith('$ '):
                found.append(line[2:])
            else:
                continue
            goes_on = line.endswith('\\')
        return found

    @property
    def output(self) -> List[str]:
        """Lines that a console block says are printed."""
        if self.language != 'console':
            return []
        commands = {line for command in self.commands for line in command.split('\n')}
        return [line for line in self.text.splitlines()
                if line.strip() not in ('', '...') and not line.startswith('$ ') and line not in commands]


def examples(page: Path) -> Iterator[Example]:
    """All of a page, in order."""
    text = page.read_text(encoding='utf-8')
    for match in _BLOCK.finditer(text):
        given = match['how'] or ('runs' if match['language'] == 'console' else 'skipped, not marked')
        how, _, why = given.partition(', ')
        indent = match['indent']
        body = ''.join(line.removeprefix(indent) for line in match['text'].splitlines(True))
        yield Example(page.relative_to(REPOSITORY).as_posix(), text.count('\n', 0, match.start('text')),
                      match['language'], how, why, body)

"""Text files that people write, whatever program they used: one reader for names, tables, labels and notes."""
import csv
import os
import re
import stat
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence, Type, Union

from ..errors import ConfigError, RobotVisionError
from .printable import printable

MOST_BYTES = 256 * 2**20
_UTF16 = (b'\xff\xfe', b'\xfe\xff')
# The line by which Excel is told what separates cells.
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?[,;\t ]*[\r\n]*', re.IGNORECASE)


class Row(NamedTuple):
    """A row of a table: the line that it begins in, counted from 1, and its cells without space around them."""

    line: int
    cells: List[str]


def read_text(path: Union[str, Path], error: Type[RobotVisionError] = ConfigError, most_bytes: int = MOST_BYTES,
              quote: bool = True) -> str:
    """The text of a UTF-8 file, without the byte order mark that Windows programs begin it with; UTF-16 with one too.

    Args:
        error: what is raised.
        most_bytes: a larger file is refused.
        quote: whether the error may tell what stands in a line that is no text.

    Raises:
        RobotVisionError: of the kind ``error``: there is no such file, it cannot be read, or is no such text.
    """
    where = printable(str(path))
    try:
        # A pipe would be waited for, and a device may never end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as problem:  # a NUL in the name
        raise error(f'{where}: cannot be the name of a file') from problem
    except OSError as problem:
        raise error(f'{where}: cannot be read ({problem.strerror or problem})') from problem
    try:
        found = os.fstat(descriptor)
        mode = found.st_mode
        if not stat.S_ISREG(mode):
            raise error(f'{where}: is {"a folder" if stat.S_ISDIR(mode) else "no regular file"}; a text file is '
                        'needed')
        with open(descriptor, 'rb', closefd=False) as file:
            data = b'' if found.st_size > most_bytes else file.read(most_bytes + 1)
    except OSError as problem:
        raise error(f'{where}: cannot be read ({problem.strerror or problem})') from problem
    finally:
        os.close(descriptor)
    if max(found.st_size, len(data)) > most_bytes:
        raise error(f'{where}: larger than any such file ({most_bytes / 2**20:g} MiB); is it the right one?')
    return decode_text(data, where, error, quote)


def decode_text(data: bytes, where: str, error: Type[RobotVisionError] = ConfigError, quote: bool = True) -> str:
    """As :func:`read_text`, for the bytes themselves."""
    try:
        text = data.decode('utf-16' if data[:2] in _UTF16 else 'utf-8-sig')
    except UnicodeDecodeError as problem:
        number = data[:problem.start].count(b'\n')
        line = data.split(b'\n')[number][:60]
        there = f'line {number + 1} is {line!r}' if quote else f'see line {number + 1}'
        raise error(f'{where}: is no UTF-8 text; {there}. Save it as UTF-8, e.g. with '
                    '`iconv -f latin1 -t utf-8`') from problem
    if '\0' in text:
        number = text[:text.index('\0')].count('\n')
        raise error(f'{where}: is no text; line {number + 1} holds a NUL character')
    return text


def table_rows(text: str, where: str, error: Type[RobotVisionError] = ConfigError) -> Iterator[Row]:
    """Rows of a CSV text that are neither empty nor comments (``#``), separated as :func:`separator_of` says.

    Raises:
        RobotVisionError: of the kind ``error``: a quote that is not closed, or such.
    """
    lines = text.splitlines(keepends=True)
    place = _first_row(lines)
    if place is not None and _SEPARATOR_LINE.fullmatch(lines[place]):
        lines[place] = '\n'
    reader = csv.reader(lines, skipinitialspace=True, delimiter=separator_of(text), strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            raise error(f'{where}, line {line}: is no row of a CSV file: {problem}') from problem
        begin, line = line, reader.line_num + 1
        if any(cell.strip() for cell in cells) and not cells[0].lstrip().startswith('#'):
            yield Row(begin, [cell.strip() for cell in cells])


def separator_of(text: str) -> str:
    """What separates the cells of a CSV text: a comma, or what its first line says (``sep=;``, as for Excel).

    Where the first row has semicolons or tabs, which spreadsheets write, it is these: a comma beside them may be that
    of a number.
    """
    lines = text.splitlines(keepends=True)
    place = _first_row(lines)
    first = '' if place is None else lines[place]
    said = _SEPARATOR_LINE.fullmatch(first)
    return said[1] if said else next((one for one in ';\t' if one in first), ',')


def _first_row(lines: Sequence[str]) -> Optional[int]:
    """Place of the first line that is neither empty nor a comment."""
    return next((place for place, line in enumerate(lines) if line.strip() and not line.lstrip().startswith('#')), None)

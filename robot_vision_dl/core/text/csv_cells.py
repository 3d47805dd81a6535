"""Texts as cells of a CSV file that no spreadsheet takes for a formula; names in bags and labels are anybody's.

A spreadsheet computes what begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break, and a formula may send what
else is in the sheet to a server or start a program (OWASP, *CSV Injection*). Such a text gets an apostrophe before it,
which spreadsheets take for "this is text"; so does one that begins with an apostrophe, so that :func:`plain_cell` gives
back every text as it was. Numbers are not touched: they are written by ourselves.
"""
import csv
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _csv import Writer

_FORMULA = '=+-@\t\r\n\uff1d\uff0b\uff0d\uff20'  # the last four: the full-width forms, which some take as well
_MARK = "'"


def safe_cell(text: str) -> str:
    """``text`` as it is written."""
    # Spaces before a formula do not keep every spreadsheet from it.
    first = text.lstrip(' ')[:1]
    return _MARK + text if first and first in _FORMULA + _MARK else text


def plain_cell(cell: str) -> str:
    """The text that :func:`safe_cell` was given; a cell that was never marked stays as it is."""
    text = cell[len(_MARK):]
    return text if cell.startswith(_MARK) and safe_cell(text) == cell else cell


def csv_writer(file: TextIO) -> 'Writer':
    """A ``csv.writer`` whose lines end with a line feed; ``file`` must be opened with ``newline=''``."""
    return csv.writer(_Lines(file), lineterminator='\r\n')


class _Lines:
    """Ends rows with a line feed alone.

    csv quotes what holds a character of its line end. Were that the line feed, a carriage return in a text would stand
    bare and cut the row in two.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str) -> None:
        self._file.write(row[:-2] + '\n')

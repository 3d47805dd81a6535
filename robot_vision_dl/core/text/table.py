"""Text in aligned columns."""
from typing import Any, List, Sequence


def aligned(rows: Sequence[Sequence[object]]) -> List[str]:
    """Lines with aligned columns, columns of numbers to the right; the first row is the head."""
    columns = range(len(rows[0]))
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in columns]
    numeric = [len(rows) > 1 and all(isinstance(row[column], (int, float)) for row in rows[1:]) for column in columns]
    return ['  '.join(cell.rjust(width) if right else cell.ljust(width)
                      for cell, width, right in zip(row, widths, numeric)).rstrip() for row in texts]


class _TwoDecimals(float):
    def __str__(self) -> str:
        return f'{float(self):.2f}'


def ruled(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """:func:`aligned` with a line under the head; floats have two decimals."""
    cells = [[_TwoDecimals(cell) if isinstance(cell, float) else cell for cell in row] for row in rows]
    widths = [max(len(str(row[column])) for row in [headings, *cells]) for column in range(len(headings))]
    head, *lines = aligned([headings, *cells])
    return '\n'.join([head, '  '.join('-' * width for width in widths), *lines])

"""Cells that are no formulas, and come back as they were."""
import csv
import io

import pytest

from robot_vision_dl.core.text.csv_cells import csv_writer, plain_cell, safe_cell

FORMULAS = ('=1+1', '+1', '-1', '@SUM(A1)', '\tx', '\rx', '\nx', '=cmd|"/c calc"!A1', '  =1', '\uff1d1', '=', '@', '-')
TEXTS = ('', 'cup', ' cup', 'a=b', "it's", "'", "''", "'=1", "''=1", " 'x", 'Caf\u00e9', '1e3', 'a,b', 'a"b', 'a\nb')


@pytest.mark.parametrize('text', FORMULAS)
def test_a_formula_is_marked_as_text(text):
    assert safe_cell(text) == "'" + text


@pytest.mark.parametrize('text', FORMULAS + TEXTS)
def test_every_text_comes_back_from_a_file(text):
    file = io.StringIO(newline='')
    csv_writer(file).writerow((safe_cell(text), 'end', -0.5))
    assert file.getvalue().endswith(',end,-0.5\n')
    row, = csv.reader(io.StringIO(file.getvalue(), newline=''))
    assert row[0].lstrip(' ')[:1] not in tuple('=+-@\t\r\n\uff1d')
    assert plain_cell(row[0]) == text


def test_a_cell_that_was_never_marked_stays():
    for cell in ('cup', "'cup'", "'", '=1'):
        assert plain_cell(cell) == cell or safe_cell(plain_cell(cell)) == cell
    assert plain_cell("'cup") == "'cup"

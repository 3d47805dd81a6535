"""Text files as people's programs write them: marks, encodings, separators, and what is no text."""
import json
import os

import pytest

from robot_vision_dl.cli.models_import import read_class_names
from robot_vision_dl.core.errors import BagError, BundleError, ConfigError
from robot_vision_dl.core.text.text_file import read_text, table_rows


@pytest.mark.parametrize('encoding', ('utf-8', 'utf-8-sig', 'utf-16'))
def test_marks_are_no_part_of_the_text(encoding, tmp_path):
    path = tmp_path / 'names.txt'
    path.write_bytes('bolt\nMütter\n'.encode(encoding))
    assert read_text(path) == 'bolt\nMütter\n'
    assert read_class_names(str(path)) == ['bolt', 'Mütter']
    (tmp_path / 'names.json').write_bytes(json.dumps(['bolt', 'nut']).encode(encoding))
    assert read_class_names(str(tmp_path / 'names.json')) == ['bolt', 'nut']


@pytest.mark.parametrize('make, message', [
    (lambda path: path.write_bytes('a\nMütter\n'.encode('latin-1')), r"no UTF-8 text; line 2 is b'M\\xfctter'.*iconv"),
    (lambda path: path.write_bytes(b'a\nb\0c'), 'is no text; line 2 holds a NUL'),
    (lambda path: path.write_bytes(b'\xff\xfea'), 'is no UTF-8 text'),
    (lambda path: path.mkdir(), 'is a folder; a text file is needed'),
    (os.mkfifo, 'is no regular file'),
    (lambda path: None, 'cannot be read .No such file'),
    (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 300 * 2**20), 'larger than any such file'),
])
def test_what_is_no_text(make, message, tmp_path):
    make(tmp_path / 'x')
    for error in (ConfigError, BundleError, BagError):
        with pytest.raises(error, match=f'x: .*{message}|x: {message}'):
            read_text(tmp_path / 'x', error)
    with pytest.raises(BundleError, match=message):
        read_class_names(str(tmp_path / 'x'))


@pytest.mark.parametrize('text', (
    'a,b\n1,"x, y"\n', '# told\n\na;b\n1;x, y\n', 'a\tb\r\n1\tx, y\r\n', 'a, b\n1, "x, y"',
    'sep=;\r\na;b\r\n1;x, y\r\n', '"sep=,"\na,b\n1,"x, y"\n', '# told\nsep=\t\na\tb\n1\tx, y\n'))
def test_tables_of_every_spreadsheet(text):
    rows = list(table_rows(text, 't.csv'))
    assert [row.cells for row in rows] == [['a', 'b'], ['1', 'x, y']]


def test_lines_of_rows():
    rows = list(table_rows('# one\na,b\n\n"two\nlines",2\n , \n3,4\n', 't.csv'))
    assert [(row.line, row.cells) for row in rows] == [(2, ['a', 'b']), (4, ['two\nlines', '2']), (7, ['3', '4'])]
    assert list(table_rows('', 't.csv')) == []

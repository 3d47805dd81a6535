"""What is shown of foreign names, by hand and as properties of any text."""
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_vision_dl.core.text.printable import escaped, printable


@pytest.mark.parametrize('text, shown', (
    ('cup', 'cup'), ('Maßkrug 杯 🍵', 'Maßkrug 杯 🍵'), ('\x1b[31mred', r'\x1b[31mred'), ('a\nb\r\t', r'a\nb\r\t'),
    ('\x9b2J', r'\x9b2J'), ('\x7f', r'\x7f'), ('gnp\u202e.exe', r'gnp\u202e.exe'), ('\u200bcup', r'\u200bcup'),
    ('\ufeffbolt', r'\ufeffbolt'), ('\udcff', r'\udcff'), ('a\u2028b', r'a\u2028b'), ('a\u00a0b', 'a\u00a0b'),
    (b'\x1b', r"b'\x1b'"), (7, '7'), (r'C:\x', r'C:\x')))
def test_what_is_shown(text, shown):
    assert printable(text) == shown


def test_long_texts_lose_their_middle():
    assert printable('a' * 30 + 'b' * 30, 20) == 'aaaaaaaaaa ... bbbbb'
    assert printable('a' * 200) == 'a' * 200
    assert len(printable('\x1b' * 10**7)) == 200


@given(st.text(), st.integers(20, 60))
def test_any_text_fits_and_has_no_control_character(text, most):
    shown = printable(text, most)
    assert len(shown) <= most
    assert not any(unicodedata.category(c) in ('Cc', 'Cf', 'Cs', 'Zl', 'Zp') for c in shown)
    shown.encode('utf-8')


def test_lines_may_be_kept():
    assert escaped('a\n\tb\x1b', '\n\t') == 'a\n\tb' + r'\x1b'

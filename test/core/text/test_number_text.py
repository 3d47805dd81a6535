"""Numbers in text from outside."""
from decimal import Decimal

import pytest

from robot_vision_dl.core.text.number_text import plain_decimal, plain_float, plain_int


@pytest.mark.parametrize('text', ['1_0', '١٢', ' 1', '1 ', 'inf', 'infinity', 'nan', '', '+', '.', '1e', '0x1', '1,5',
                                  '²', '1' * 101, '1\n'])
def test_only_plain_ascii_numbers_are_numbers(text):
    assert plain_int(text) is None and plain_float(text) is None and plain_decimal(text) is None


def test_values():
    assert (plain_int('-07'), plain_int('1.0')) == (-7, None)
    assert (plain_float('1e-3'), plain_float('.5'), plain_float('5.'), plain_float('1e999')) == (1e-3, .5, 5.0, None)
    assert plain_decimal('1700000000.123456789') == Decimal('1700000000.123456789')
    assert plain_decimal('1e99999999999999999999') is None

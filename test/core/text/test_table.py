"""Columns of text."""
from robot_vision_dl.core.text.table import aligned, ruled


def test_numbers_are_to_the_right_and_words_to_the_left():
    assert aligned([('name', 'n', 'share'), ('cup', 5, 0.25), ('saucer', 120, 1)]) == [
        'name      n  share', 'cup       5   0.25', 'saucer  120      1']
    assert aligned([('name', 'n')]) == ['name  n']


def test_under_a_line_floats_have_two_decimals():
    assert ruled(('what', 'ms'), [('decode', 1.0), ('all of it', 123.456), ('frames', 7)]).splitlines() == [
        'what           ms', '---------  ------', 'decode       1.00', 'all of it  123.46', 'frames          7']
    assert ruled(('a', 'bc'), []) == 'a  bc\n-  --'
    # One word among numbers makes a column of words.
    assert ruled(('n',), [(10,), ('-',)]).splitlines() == ['n', '--', '10', '-']

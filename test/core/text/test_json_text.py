"""The reader of JSON against texts that are made to break it."""
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.text.json_text import parse_json


@pytest.mark.parametrize('text, reason', (
    ('[' * 10_000 + ']' * 10_000, 'nested more than 50 deep'), ('[' * 10_000, 'nested more than 50 deep|line 1'),
    ('[' * 51 + ']' * 51, 'nested more than 50 deep'), ('{"a":' * 60 + '1' + '}' * 60, 'nested more than 50 deep'),
    ('[NaN]', 'NaN is not a number of JSON'), ('-Infinity', '-Infinity is not a number'),
    ('1e999', 'a number that is too large'), ('9' * 5000, 'a number of more than 400 digits'),
    ('{"a\\u001b": 1, "b": 1, "a\\u001b": 2}', "the key 'a.{1,3}x1b' occurs twice in one object"),
    ('{"a": }', 'line 1, column 7: Expecting value'), ('', 'line 1, column 1'),
    (b'"\xff"', 'it is not UTF-8'), (b'\xff\xfe[\x00', 'it is not UTF-8'), ("{'a': 1}", 'line 1, column 2')))
def test_whatever_is_wrong_is_one_error(text, reason):
    with pytest.raises(ConfigError, match=f'^a.json: is not JSON that can be read.*({reason})') as caught:
        parse_json(text, 'a.json')
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 150


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
                              st.text()),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))
def test_what_json_writes_is_read(value):
    assert parse_json(json.dumps(value), 'it') == value
    if '\ud800' <= max(str(value), default='') <= '\udfff':
        return
    text = json.dumps(value, ensure_ascii=False)
    assert parse_json(text.encode('utf-8', 'surrogatepass') if text.isprintable() else text, 'it') == value


def test_fifty_deep_is_read():
    assert parse_json('[' * 50 + ']' * 50, 'it')

"""The one reader of YAML against YAML 1.2.2, against PyYAML's writer, and against texts that are made to break it."""
import math
import os
import re
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.text import yaml_text
from robot_vision_dl.core.text.yaml_text import parse_yaml, read_yaml

PARSERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if yaml.__with_libyaml__ else [])]


@pytest.fixture(params=PARSERS, ids=lambda parser: parser.__name__)
def parser(request, monkeypatch):
    monkeypatch.setattr(yaml_text, '_PARSER', request.param)


@pytest.mark.parametrize('text, value', (
    # YAML 1.2.2, 10.3.2: the core schema
    ('null', None), ('~', None), ('', None), ('true', True), ('FALSE', False), ('0', 0), ('-7', -7), ('1e-3', 1e-3),
    ('.5', .5), ('1.', 1.0), ('-0.0', -0.0), ('+12e03', 12000.0), ('.inf', math.inf), ('-.INF', -math.inf),
    # what YAML 1.1 makes something else of: booleans, octal, digits with _, sexagesimal, a date
    *((text, text) for text in ('off', 'no', 'Yes', 'on', 'y', '010', '-010', '1_0', '0x1f', '0o17', '0b1', '12:30',
                                '2001-01-01', '2001-99-99', '=', '<<', '+7', '-0', 'nan', 'inf', '1e', '.', 'tRue')),
    ("'7'", '7'), ('"true"', 'true'), ('!!str 7', '7'), ('! 7', '7'), ('!!float 7', 7.0), ('!!int 7', 7),
    ('\ufeffcup', 'cup'), ('!!null ""', None), ('!!bool "true"', True)))
def test_scalars_are_what_was_meant(text, value, parser):
    found = parse_yaml(text, 'file')
    assert type(found) is type(value) and found == value
    quoted = text[:1] in ('"', "'")
    assert parse_yaml(f'[{text}]' if text.strip() and text[0] != '\ufeff' else text, 'file') in ([value], value)
    if text[:1] not in ('!', '\ufeff'):
        assert parse_yaml(f'- {text}', 'file', as_text=True) == [text[1:-1] if quoted else text]
    if text and text[:1] not in ('!', '\ufeff', '?'):
        assert parse_yaml(f'{text}: x', 'file') == {text[1:-1] if quoted else text: 'x'}


def test_nan(parser):
    assert math.isnan(parse_yaml('.NaN', 'file'))


def test_aliases_are_copies(parser):
    found = parse_yaml('a: &x [1, {b: 2}]\nc: *x\nd: &k key\ne: {*k : *x}', 'file')
    assert found == {'a': [1, {'b': 2}], 'c': [1, {'b': 2}], 'd': 'key', 'e': {'key': [1, {'b': 2}]}}
    found['a'][1]['b'] = 3
    assert found['c'][1]['b'] == 2


NINE = '\n'.join([f'a0: &a0 [{"x," * 9}]'] + [f'a{i}: &a{i} [{f"*a{i - 1}," * 9}]' for i in range(1, 10)])


@pytest.mark.parametrize('text, reason', (
    ('a: 1\nb: 2\na: 3', 'line 3, column 1: a key that stands there already'),
    ("{a: 1, 'a': 2}", 'line 1, column 8: a key that stands there already'),
    ('x: {a: {b: 1, b: 1}}', 'line 1, column 15: a key that stands there already'),
    ('a: *b', 'line 1, column 4: an alias of what is not there'),
    ('a: &b [*b]', 'line 1, column 8: an alias within what it names'),
    ('&b {a: *b}', 'an alias within what it names'),
    (NINE, r'line 5, column \d+: aliases copy more than 10000 values'),
    ('[' * 51 + ']' * 51, 'line 1, column 51: nested more than 50 deep'),
    ('{a: ' * 51 + '}' * 51, 'nested more than 50 deep'),
    ('\n'.join(' ' * i + 'a:' for i in range(60)), 'line 51, column 51: nested more than 50 deep'),
    ('[' * 500_000, 'line 1, column .* (nested more than 50 deep|exceeded maximum nesting depth)'),
    ('- ' * 100_000, 'nested more than 50 deep|exceeded maximum nesting depth'),
    ('a: &a ' + '[' * 40 + ']' * 40 + '\nb: ' + '[' * 20 + '*a' + ']' * 20, 'nested more than 50 deep by aliases'),
    ('a: ' + '9' * 5000, 'line 1, column 4: a number of more than 100 digits'),
    ('1.' + '9' * 5000, 'a number of more than 100 digits'),
    ('1e400', 'a number that is too large'), ('-1e400', 'a number that is too large'),
    ('!!int ""', 'what is no value of the tag !!int'), ('!!int x', 'what is no value of the tag !!int'),
    ('!!float "x"', 'what is no value of the tag !!float'), ('!!bool off', 'what is no value of the tag !!bool'),
    ('!!null x', 'what is no value of the tag !!null'),
    ('!!timestamp "x"', 'a tag that is not known'), ('!!binary "x"', 'a tag that is not known'),
    ('!!python/object/apply:os.system [ls]', 'a tag that is not known'), ('!own {a: 1}', 'a tag that is not known'),
    ('!!set {a}', 'a tag that is not known'), ('!!map [a]', 'a tag that is not known'),
    ('? [a]\n: b', 'a key must be a single value'), ('? &a {b: c}\n: d', 'a key must be a single value'),
    ('a: &a [1]\n*a : b', 'a key must be a text'),
    ('--- a\n--- b', 'line 2, column 1: there are several documents'),
    ('a: b: c', 'line 1, column 5: mapping values are not allowed'),
    ('a: [1, 2', 'line 1, column|line 2, column'), ('a: "x', 'line'), ('\t- a', 'line 1'),
    ('a: @x', 'line 1, column 4'),
    ('%YAML ' + '9' * 5000 + '.1\n---\na', 'line 1'), ('"\\U00110000"', 'line 1'), ('"\\ud800"', 'line 1'),
    ('%TAG ! !\n---\n!x a', ''), ('!<', 'line 1'), ('a: &', 'line 1'), ('&a', ''),
    ('a\nb\x00', 'line 2, column 2: a character that cannot be in YAML'),
    ('a: \udcff', 'line 1, column 4: a character that cannot be in YAML'),
    ('x' * 2_000_000, '^file: is larger than 1 MiB'),
), ids=range(47))
def test_whatever_is_wrong_is_one_error_in_one_short_line(text, reason, parser):
    started = time.perf_counter()
    if not reason:
        parse_or_refuse(text)
        return
    with pytest.raises(ConfigError, match=reason) as caught:
        parse_yaml(text, 'file')
    assert time.perf_counter() - started < 2
    assert str(caught.value).startswith('file: ') and '\n' not in str(caught.value) and len(str(caught.value)) < 200
    assert caught.value.__cause__ is None


def parse_or_refuse(text):
    try:
        return parse_yaml(text, 'file')
    except ConfigError as error:
        return str(error)


def test_the_error_tells_nothing_of_the_text(parser):
    secrets = ('correct-horse', 'battery')
    for text in ('{s}\n{t}: x: y', '{s}: 1\n{s}: 2', 'a: *{s}', '!{s} x', '!!int {s}', '%TAG {s} x\n---\n{t}',
                 '[{s}, {t}', '"{s}\n{t}', '@{s}', '{s}: |x{t}', '"\\q{s}"', 'a: &{s} [*{s}]', '? [{s}]\n: {t}'):
        said = parse_or_refuse(text.format(s=secrets[0], t=secrets[1]))
        assert isinstance(said, str) and 'is not YAML that can be read' in said, text
        assert not any(secret in said for secret in secrets)


@settings(deadline=None, max_examples=300)
@given(st.one_of(
    st.text(), st.text('[]{}:,-?&*!|>\'"%@#~ \n\tab01.e_<', max_size=60),
    st.binary(max_size=60).map(lambda data: data.decode('utf-8', 'surrogateescape'))))
def test_any_text_is_read_or_refused(text):
    for kind in PARSERS:
        yaml_text._PARSER = kind
        parse_or_refuse(text)
    yaml_text._PARSER = PARSERS[-1]


# Numbers of YAML 1.2 that PyYAML, which keeps to 1.1, takes for texts and writes without quotes: 1e3.
ONLY_IN_1_2 = re.compile(r'[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+')
TEXTS = st.text().filter(lambda text: not ONLY_IN_1_2.fullmatch(text))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)), max_leaves=12)


@settings(deadline=None, max_examples=200)
@given(VALUES)
def test_what_pyyaml_writes_is_read_as_it_was(value):
    assert parse_yaml(yaml.safe_dump(value), 'file') == value
    assert parse_yaml(yaml.safe_dump(value, default_flow_style=True), 'file') == value


def test_files(tmp_path, parser):
    path = tmp_path / 'a.yaml'
    path.write_bytes(b'\xef\xbb\xbfbolt: M\xc3\xa4\r\n')
    assert read_yaml(path) == read_yaml(str(path)) == {'bolt': 'Mä'}
    path.write_bytes(b'a: 1\nb: M\xe4')
    with pytest.raises(ConfigError, match='a.yaml: is no UTF-8 text; see line 2. Save it as UTF-8'):
        read_yaml(path)
    path.write_bytes(b'# ' + b'x' * (1 << 20))
    with pytest.raises(ConfigError, match=r'a.yaml: larger than any such file \(1 MiB\)'):
        read_yaml(path)
    assert read_yaml(path, most_bytes=1 << 21) is None
    path.write_text('a: [')
    with pytest.raises(ConfigError, match=f'^{re.escape(str(path))}: is not YAML that can be read'):
        read_yaml(path)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'fifo')
    for path, reason in ((tmp_path / 'fifo', 'is no regular file'), ('/dev/zero', 'is no regular file'),
                         (tmp_path, 'is a folder'),
                         (tmp_path / 'none', r'cannot be read \(No such file'),
                         ('a\0b', r'a\\x00b: cannot be the name'),
                         ('x' * 300, r'cannot be read \(File name too long')):
        with pytest.raises(ConfigError, match=reason) as caught:
            read_yaml(path)
        assert '\n' not in str(caught.value) and len(str(caught.value)) < 300

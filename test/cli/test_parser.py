"""Options of every command: what is given twice adds up."""
import argparse
import importlib
import sys

import pytest

from robot_vision_dl.cli.bench import MEASUREMENTS
from robot_vision_dl.cli.main import COMMANDS, main, parser_of
from robot_vision_dl.cli.parser import Parser
from robot_vision_dl.core.text.number_options import LARGEST_SEED, Range


def parsers_in(parser):
    """The parser and those of its subcommands, with what leads to each."""
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in {id(sub): sub for sub in action.choices.values()}.values():
                yield from parsers_in(sub)


def every_parser(monkeypatch):
    """Of every command, subcommand and measurement."""
    for name in COMMANDS:
        command = importlib.import_module(f'robot_vision_dl.cli.{name.replace("-", "_")}')
        # A measurement's arguments are added only where it stands in the command line.
        for measurement in MEASUREMENTS if name == 'bench' else ('',):
            monkeypatch.setattr(sys, 'argv', ['robot-vision', name, measurement])
            yield from parsers_in(parser_of(name, command))


def takes_several(action):
    return bool(action.option_strings) and (action.nargs in ('+', '*') or isinstance(action.nargs, int)
                                            and action.nargs > 1)


def test_every_option_of_several_values_adds_up(monkeypatch):
    seen = []
    for prog, parser in every_parser(monkeypatch):
        assert isinstance(parser, Parser), prog
        for action in parser._actions:
            if not takes_several(action):
                continue
            # Of the right type, whatever that is, and told apart.
            first, second = (list(action.choices or ())[:1], list(action.choices or ())[-1:]) if action.choices else (
                (['2'], ['3']))
            if isinstance(action.type, Range) and action.type.most < 2:
                first, second = ['0.2'], ['0.3']
            count = action.nargs if isinstance(action.nargs, int) else 1
            namespace = argparse.Namespace(**{action.dest: action.default})
            for values in (first, second):
                texts = values * count
                action(parser, namespace, [parser._get_value(action, text) for text in texts],
                       action.option_strings[0])
            held = getattr(namespace, action.dest)
            seen.append((prog, action.option_strings[0]))
            assert len(held) in (2, 2 * count), (prog, action.option_strings, held)
            assert str(first[0]) in str(held) and str(second[0]) in str(held), (prog, action.option_strings, held)
    names = {name for _, name in seen}
    assert {'--fail-under', '--fail-over', '--fail-if-worse', '--set', '--labels', '--ignore', '--map', '--topics',
            '--bags', '--reference', '--ood-pictures', '--risk', '--remap', '--sizes', '--backend'} <= names
    assert len(seen) >= 30


def test_the_default_is_replaced_and_not_changed():
    parser = Parser()
    default = ['auto']
    parser.add_argument('--labels', nargs='+', default=default)
    group = parser.add_argument_group('more')
    group.add_argument('--set', nargs='+', action='store')
    group.add_argument('--one')
    group.add_argument('bags', nargs='*')
    sub = parser.parse_args([])
    assert sub.labels == ['auto'] and sub.set is None and sub.bags == []
    args = parser.parse_args(['a', 'b', '--labels', 'x', '--one', '1', '--labels', 'y', 'z', '--set', 'p', '--set', 'q',
                              '--one', '2'])
    assert (args.labels, args.set, args.one, args.bags) == (['x', 'y', 'z'], ['p', 'q'], '2', ['a', 'b'])
    assert default == ['auto'] and parser.parse_args([]).labels == ['auto']


def test_subcommands_have_the_rule_as_well():
    parser = Parser()
    sub = parser.add_subparsers().add_parser('sub')
    sub.add_argument('--set', nargs='+', default=[])
    assert parser.parse_args(['sub', '--set', 'a', '--set', 'b']).set == ['a', 'b']


@pytest.mark.parametrize('models', [['--models', 'a', 'b', '--models', 'c', 'd']])
def test_two_models_are_two(models, tmp_path, capsys):
    from robot_vision_dl.evaluation.output import write_json
    for name in ('a.json', 'b.json'):
        write_json(tmp_path / name, {'schema_version': 1, 'models': {'a': {}}, 'options': {}})
    assert main(['compare', str(tmp_path / 'a.json'), str(tmp_path / 'b.json'), *models]) == 2
    assert '--models takes one model of each, so two names, got 4' in capsys.readouterr().err


EXTREMES = ('-5', '0', '1e-300', '1e300', 'nan', 'inf', '-inf', '1_0', '٣', ' 3', '', '9' * 400,
            '0x10', '1e-999999999999')


def test_every_number_has_a_range_and_what_is_outside_is_told(monkeypatch):
    seen = []
    for prog, parser in every_parser(monkeypatch):
        for action in parser._actions:
            assert action.type not in (int, float), f'{prog} {action.option_strings}: a number without a range'
            if not isinstance(action.type, Range):
                continue
            name = action.option_strings[0]
            seen.append(name)
            assert not name.endswith('seed') or (action.type.least, action.type.most) == (0, LARGEST_SEED), (prog, name)
            for text in EXTREMES:
                try:
                    value = parser._get_value(action, text)
                except argparse.ArgumentError as error:
                    assert 'must be ' in error.message and len(error.message) < 200, error.message
                else:
                    inside = action.type.least <= value <= action.type.most
                    assert inside and text in ('-5', '0', '1e-300', '1e-999999999999'), (prog, name)
            if action.default is not None and action.default is not argparse.SUPPRESS and not action.nargs:
                assert action.type(str(action.default)) == action.default, (prog, name)
    assert {'--seed', '--rate', '--alpha', '--delta', '--risk', '--every', '--folds', '--trials', '--batch', '--clock',
            '--motion', '--quality', '--crop', '--hold', '--seconds', '--threads'} <= set(seen)
    assert len(seen) >= 80


@pytest.mark.parametrize('words, said', [
    (['calibrate', 'm', 'd', '--seed=-5'], 'calibrate: --seed: must be 0 to 4294967295, got -5'),
    (['calibrate', 'm', 'd', '--alpha', '1e-300'], 'calibrate: --alpha: must be 1e-06 to 0.999999, got 1e-300'),
    (['decide', 'm', 'd', '--risk', '.1', '1e-300'], 'decide: --risk: must be 1e-06 to 0.999999, got 1e-300'),
    (['decide', 'm', 'd', '--risk', '.1', '--delta', '1e-320'], 'decide: --delta: must be 1e-06 to 0.999999'),
    (['bag', 'synth', 'p', '--out', 'x', '--recordings', '1_0'],
     "--recordings: must be a whole number, 1 to 10000, got '1"),
    (['bag', 'from-video', 'v', '--out', 'x', '--append-black', 'inf'], '--append-black: seconds must be a number'),
])
def test_a_number_outside_is_one_line(words, said, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count('\n') == 1, error

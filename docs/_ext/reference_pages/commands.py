"""``robot-vision``: every command, from the parsers that it has."""
import argparse
import importlib
import re
import sys
from typing import Dict, Iterator, List, Tuple

from robot_vision_dl.cli.bench import MEASUREMENTS
from robot_vision_dl.cli.main import COMMANDS, parser_of

from .markdown import capital, code, definition, escaped, fenced


def parsers() -> Iterator[Tuple[argparse.ArgumentParser, str, int]]:
    """(parser, its one line, depth: 0 a command, 1 what stands behind it) of all commands."""
    for name, line in COMMANDS.items():
        parser = _parser(name)
        yield parser, line, 0
        for inner, (sub, text) in _inner(parser).items():
            if name == 'bench':
                sub = _inner(_parser('bench', inner))[inner][0]
            yield sub, text, 1


def _parser(name: str, *words: str) -> argparse.ArgumentParser:
    """The parser of a command; that of bench knows the arguments only of the measurement that was asked for."""
    earlier, sys.argv = sys.argv, ['robot-vision', name, *words]
    try:
        return parser_of(name, importlib.import_module(f'robot_vision_dl.cli.{name.replace("-", "_")}'))
    finally:
        sys.argv = earlier


def _inner(parser: argparse.ArgumentParser) -> Dict[str, Tuple[argparse.ArgumentParser, str]]:
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            lines = {choice.dest: choice.help for choice in action._choices_actions}
            found.update({name: (sub, lines[name]) for name, sub in action.choices.items()})
    return found


def invocation(action: argparse.Action) -> str:
    """An argument as it is typed: ``--out DIR``, ``BAG ...``."""
    value = ''
    if action.nargs != 0:
        metavar = action.metavar or (f'{{{",".join(map(str, action.choices))}}}' if action.choices else
                                     action.dest.upper() if action.option_strings else action.dest)
        word = metavar if isinstance(metavar, str) else ' '.join(metavar)
        value = {'*': f'[{word} ...]', '+': f'{word} [{word} ...]', '?': f'[{word}]'}.get(
            action.nargs, ' '.join([word] * action.nargs) if isinstance(action.nargs, int) and isinstance(metavar, str)
            else word)
    return ', '.join(action.option_strings) + (' ' if action.option_strings and value else '') + value


def arguments(parser: argparse.ArgumentParser) -> List[argparse.Action]:
    """What a command takes, without ``--help`` and sub-commands."""
    return [action for action in parser._actions
            if not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))]


def _section(parser: argparse.ArgumentParser, line: str, depth: int) -> str:
    head = '##' + '#' * depth
    description = parser.description if parser.description and depth == 0 else line
    text = [f'{head} {parser.prog}\n', escaped(capital(description)).rstrip('.') + '.\n']
    inner = _inner(parser)
    taken = arguments(parser)
    formatter = parser._get_formatter()
    if inner:
        text.append(fenced(f'{parser.prog} {{{",".join(inner)}}} ...', 'text'))
    elif taken:
        usage = re.sub(r'\s+', ' ', parser.format_usage()).strip()
        text.append(fenced('\n'.join(_folded(usage.replace('usage: ', '').replace(' [-h]', ''))), 'text'))
    for action in taken:
        required = '*Required.* ' if action.option_strings and action.required else ''
        text.append(definition(code(invocation(action)), required + escaped(_sentence(formatter, action))))
    if parser.epilog and parser.epilog.strip():
        text += _epilog(parser.epilog, bool(inner))
    return '\n'.join(text)


def _sentence(formatter: argparse.HelpFormatter, action: argparse.Action) -> str:
    return re.sub(r'\s+', ' ', formatter._expand_help(action)).strip() if action.help else ''


def _folded(usage: str, width: int = 88) -> Iterator[str]:
    """A usage over several lines, broken between arguments."""
    line = ''
    for word in re.findall(r'\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]|\S+', usage):
        if line and len(line) + len(word) + 1 > width:
            yield line
            line = '   '
        line = f'{line} {word}' if line.strip() else f'{line}{word}' if not line else f'{line} {word}'
    yield line


def _epilog(text: str, has_inner: bool) -> Iterator[str]:
    """Blocks with indented lines as they are, others as text; without a list of sub-commands, which have sections."""
    for block in re.split(r'\n\n+', text.strip('\n')):
        lines = block.splitlines()
        if has_inner and lines[0] == 'measurements:':
            continue
        if not any(line.startswith('  ') for line in lines):
            yield escaped(' '.join(line.strip() for line in lines)) + '\n'
            continue
        if lines[0].endswith(':') and all(line.startswith('  ') for line in lines[1:]):
            yield escaped(capital(lines.pop(0).strip() + ' ').strip()) + '\n'
            lines = [line[2:] for line in lines]
        yield fenced('\n'.join(lines))


def all_commands() -> str:
    """A section a command."""
    return '\n'.join(_section(*each) for each in parsers())


def named() -> List[str]:
    """Everything that the page must show: commands, measurements, options."""
    names: List[str] = []
    for parser, _, _ in parsers():
        names.append(parser.prog)
        names += [option for action in arguments(parser) for option in action.option_strings]
    assert set(MEASUREMENTS) <= {name.rpartition(' ')[2] for name in names}
    return names

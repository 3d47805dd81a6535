"""The parser of every command: an option that takes several values and is given again takes the new ones as well."""
import argparse
import sys
from dataclasses import fields
from typing import Any, Callable, NoReturn, Optional

from ..core.config import Option
from ..core.errors import ConfigError
from ..core.text.number_options import OutOfRange, real, whole
from ..core.text.printable import printable


class Parser(argparse.ArgumentParser):
    """As argparse's, but no value that was given is ever dropped for one that comes later.

    argparse keeps the last use of an option only, so of ``--fail-under a=.9 --fail-under b=.5`` the first demand would
    be lost without a word. The rule is that of the parser and not of its options: one that is added later has it too.
    Options of one value keep their last use, as everywhere.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register('action', None, AddUp)
        self.register('action', 'store', AddUp)

    def error(self, message: str) -> NoReturn:
        """As argparse does, but what was given is not repeated at length.

        Raises:
            ConfigError: a number is outside of what its option takes; that is said in one line.
        """
        fault = sys.exc_info()[1]  # argparse calls from where it has caught it
        if isinstance(fault, argparse.ArgumentError) and isinstance(fault.__context__, OutOfRange):
            raise ConfigError(f'{fault.argument_name}: {fault.message}') from None
        super().error(printable(message, 500))


class AddUp(argparse.Action):
    """Stores one value as argparse does, several (``nargs`` of ``+``, ``*`` or a number) beside the earlier ones."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: Optional[str] = None) -> None:
        """Take over ``values``; the first ones replace the default."""
        earlier = getattr(namespace, self.dest, None)
        if isinstance(values, list) and isinstance(earlier, list) and earlier is not self.default:
            values = earlier + values
        setattr(namespace, self.dest, values)


def add_setting(parser: 'argparse._ActionsContainer', config: type, name: str, metavar: Optional[str] = None,
                flag: str = '', required: bool = False) -> None:
    """An option for the field ``name`` of the dataclass ``config``, whose range, meaning and default it has.

    Args:
        metavar: of its value; None: the choices that there are.
        flag: what the option is called; empty: as the field.
        required: it has no default.
    """
    setting = next(one for one in fields(config) if one.name == name)
    limits: Option = setting.metadata['option']
    kind: Callable[[str], object] = str
    if isinstance(setting.default, (int, float)):
        least, most = limits.minimum, limits.maximum
        assert least is not None and most is not None
        kind = real(least, most) if isinstance(setting.default, float) else whole(int(least), int(most))
    parser.add_argument(
        flag or f'--{name.replace("_", "-")}', type=kind, metavar=metavar, required=required,
        default=None if required else setting.default, choices=limits.choices or None,
        help=limits.description + ('' if required else '; default: %(default)s'))

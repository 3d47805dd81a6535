"""``bundle.json`` as text: strict JSON within the bounds of a bundle, so that what reads its values need not check."""
from typing import Any

from ..errors import BundleError, ConfigError
from ..text.json_text import parse_json as parse
from ..text.printable import printable
from .bundle_files import COPY_AGAIN

MOST_BYTES = 2 << 20
MOST_DEPTH = 32
MOST_VALUES = 1_000_000
_INT64 = 1 << 63


def parse_json(text: bytes, where: str) -> Any:
    """The value of a JSON text in UTF-8.

    Refused are, beside what :func:`~..text.json_text.parse_json` refuses: integers beyond 64 bits, lone surrogates, and
    more depth or values than a bundle can need.

    Args:
        text: at most :data:`MOST_BYTES`.
        where: the file, for the message.

    Raises:
        BundleError: it is refused.
    """
    try:
        values = parse(text, printable(where))
        _check(values)
    except ConfigError as error:
        raise BundleError(f'{error}; {COPY_AGAIN}') from error
    except ValueError as error:
        raise BundleError(f'{printable(where)}: is not JSON of a bundle: {printable(error)}; {COPY_AGAIN}') from error
    return values


def _check(values: Any) -> None:
    waiting, seen = [(values, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > MOST_DEPTH:
            raise ValueError(f'nested more than {MOST_DEPTH} deep')
        if seen > MOST_VALUES:
            raise ValueError(f'more than {MOST_VALUES} values')
        if isinstance(value, dict):
            waiting.extend((key, depth) for key in value)
            waiting.extend((item, depth + 1) for item in value.values())
        elif isinstance(value, list):
            waiting.extend((item, depth + 1) for item in value)
        elif isinstance(value, str):
            value.encode('utf-8')  # UnicodeEncodeError is a ValueError
        elif type(value) is int and not -_INT64 <= value < _INT64:
            raise ValueError('an integer beyond 64 bits')

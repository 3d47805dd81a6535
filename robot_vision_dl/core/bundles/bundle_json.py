"""``bundle.json`` as text: strict JSON within bounds, so that what reads its values need not look for such things."""
import json
from typing import Any, Dict, Optional, Sequence, Tuple

from ..errors import BundleError
from ..text.printable import printable

MOST_BYTES = 2 << 20
MOST_DEPTH = 32
MOST_VALUES = 1_000_000
_INT64 = 1 << 63


def parse_json(text: bytes, where: str) -> Any:
    """The value of a JSON text in UTF-8.

    Refused are, beside what is no JSON: keys that occur twice, NaN and infinities, integers beyond 64 bits, lone
    surrogates, and more depth or values than a bundle can need.

    Args:
        text: at most :data:`MOST_BYTES`.
        where: the file, for the message.

    Raises:
        BundleError: it is refused.
    """
    try:
        values = json.loads(text.decode('utf-8'), parse_constant=_refuse_constant, parse_float=_finite,
                            object_pairs_hook=_refuse_duplicates)
        _check(values)
    except RecursionError:
        raise BundleError(f'{printable(where)}: is not valid JSON of a bundle (nested too deeply)') from None
    except ValueError as error:
        raise BundleError(f'{printable(where)}: is not valid JSON ({printable(error)})') from error
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


def _finite(text: str) -> float:
    value = float(text)
    if value in (float('inf'), float('-inf')):
        raise ValueError(f'{printable(text, 40)} is beyond what a number can hold')
    return value


def _refuse_constant(text: str) -> Optional[float]:
    raise ValueError(f'{text} is not a number of JSON')


def _refuse_duplicates(pairs: Sequence[Tuple[str, Any]]) -> Dict[str, Any]:
    values: Dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f'the key {printable(repr(key), 60)} occurs twice')
        values[key] = value
    return values

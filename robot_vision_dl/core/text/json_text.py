"""JSON of whoever wrote it -> plain values, within bounds, and one error; as :mod:`.yaml_text` for YAML."""
import json
import math
from typing import Any, Dict, Optional, Sequence, Set, Tuple, Union

from ..errors import ConfigError
from .printable import printable

MOST_DEPTH = 50
"""Deepest nesting."""
MOST_DIGITS = 400
"""Longest number, in characters; a whole number that is exact as a float has up to 309."""


def parse_json(text: Union[str, bytes], what: str) -> Any:
    """The value in ``text``, which is UTF-8 if it is bytes.

    Args:
        text: the document.
        what: begins the error, e.g. the file's name.

    Raises:
        ConfigError: one line: no JSON, NaN or an infinity, a number that is too long or too large, a key that occurs
            twice, or nested more than :data:`MOST_DEPTH` deep.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode('utf-8-sig')
        values = json.loads(text, parse_constant=_refuse_constant, parse_int=_int, parse_float=_float,
                            object_pairs_hook=_object)
        _check_depth(values)
    except RecursionError:
        raise ConfigError(f'{what}: is not JSON that can be read: nested more than {MOST_DEPTH} deep') from None
    except json.JSONDecodeError as error:
        raise ConfigError(f'{what}: is not JSON that can be read (line {error.lineno}, column {error.colno}: '
                          f'{error.msg})') from None
    except UnicodeDecodeError:
        raise ConfigError(f'{what}: is not JSON that can be read: it is not UTF-8') from None
    except ValueError as error:
        raise ConfigError(f'{what}: is not JSON that can be read: {error}') from None
    return values


def _check_depth(values: Any) -> None:
    """Deeper values would meet the limit of Python later, in whatever looks at them."""
    level = [values]
    for _ in range(MOST_DEPTH):
        level = [item for value in level if isinstance(value, (list, dict))
                 for item in (value.values() if isinstance(value, dict) else value) if isinstance(item, (list, dict))]
        if not level:
            return
    raise RecursionError


def _refuse_constant(text: str) -> Optional[float]:
    raise ValueError(f'{text} is not a number of JSON')


def _int(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f'a number of more than {MOST_DIGITS} digits')
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError('a number that is too large')
    return value


def _object(pairs: Sequence[Tuple[str, Any]]) -> Dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: Set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f'the key {printable(repr(key), 60)} occurs twice in one object')
            seen.add(key)
    return values

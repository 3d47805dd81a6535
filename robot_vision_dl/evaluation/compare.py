"""Two ``metrics.json``: what differs, and whether that is more than chance."""
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np

from ..core.errors import ConfigError, DataError
from ..core.files.user_path import user_path
from ..core.text.json_text import parse_json
from ..core.text.printable import printable
from ..core.text.table import aligned
from ..data.pictures import listed
from .bootstrap import Groups
from .options import RunOptions


def groups_from_json(content: Mapping[str, Any]) -> Groups:
    """The sums over groups of a model's metrics."""
    return Groups(content.get('by', ''), tuple(content['names']),
                  {name: np.array(values, np.float64) for name, values in content['sums'].items()})


def read_metrics(path: Union[str, Path]) -> Dict[str, Any]:
    """A ``metrics.json``, or the one in a folder.

    Raises:
        DataError: there is none, or it is of another version.
    """
    path = user_path(path)
    if path.is_dir():
        path = path / 'metrics.json'
    try:
        content = parse_json(path.read_bytes(), 'it')
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror}); give a metrics.json of `robot-vision evaluate`'
                        ) from error
    except ValueError as error:
        raise DataError(f'{path}: {error}; give a metrics.json of `robot-vision evaluate`') from error
    if not isinstance(content, dict) or content.get('schema_version') != 1 or not content.get('models'):
        raise DataError(f'{path}: is not a metrics.json that this version reads (schema_version 1)')
    wrong = _what_is_wrong(content)
    if wrong:
        raise DataError(f'{path}: is no whole metrics.json: {wrong}; make it again with `robot-vision evaluate`')
    return content


def _what_is_wrong(content: Mapping[str, Any]) -> str:
    """About what a comparison needs; empty: nothing."""
    options: Any = content.get('options')
    models = content['models']
    try:
        RunOptions(draws=options['draws'], seed=options['seed'])
    except (TypeError, KeyError):
        return 'options.draws and options.seed must be numbers'
    except ConfigError as error:
        return str(error)
    if not isinstance(models, dict):
        return 'models must be a mapping'
    for name, model in models.items():
        groups = model.get('groups') if isinstance(model, dict) else None
        names, sums = (groups.get(key) for key in ('names', 'sums')) if isinstance(groups, dict) else (None, None)
        if not (isinstance(names, list) and isinstance(sums, dict) and 'labelled' in sums and all(
                isinstance(values, list) and len(values) == len(names) and
                all(type(value) in (int, float) for value in values) for values in sums.values())
                and all(isinstance(group, str) for group in names)):
            return f'models.{printable(name)}.groups must have names, and sums with a number for each'
    return ''


def other_pictures(first: Mapping[str, Any], second: Mapping[str, Any]) -> List[str]:
    """Recordings of the same name whose labelled pictures are others in the second ``metrics.json``.

    One of an earlier version does not tell them.
    """
    known = [{one.get('name'): one.get('labelled_pictures') for one in metrics.get('recordings', ())
              if isinstance(one, dict)} for metrics in (first, second)]
    return sorted(str(name) for name, pictures in known[0].items()
                  if pictures and known[1].get(name) and pictures != known[1][name])


def model_of(metrics: Mapping[str, Any], path: str, name: Optional[str] = None) -> str:
    """The name of the model that is meant.

    Raises:
        DataError: there is no such model, or several and none was named.
    """
    models = list(metrics['models'])
    if name is None:
        if len(models) > 1:
            raise DataError(f'{path}: holds {len(models)} models; name one: {", ".join(models)}')
        return models[0]
    if name not in models:
        raise DataError(f'{path}: holds no model {name!r}; there are {", ".join(models)}')
    return name


WORDS = {'better': 'better', 'worse': 'worse', 'tie': 'no difference shown', 'unclear': 'cannot be told',
         'more': 'more often acting', 'less': 'less often acting'}


def difference_lines(differences: Optional[Mapping[str, Any]], others: Sequence[str] = ()) -> List[str]:
    """A table of paired differences.

    Args:
        others: recordings of which other pictures were judged.
    """
    if not differences:
        where = f' ({listed([printable(name) for name in others], ", ")}: other pictures)' if others else ''
        return [f'They were not judged on the same labelled frames{where}, so their difference has no interval.']
    rows: List[List[str]] = [['figure', 'difference', '95 % interval', 'the second is']]
    for name, found in differences.items():
        between = '-' if found['low'] is None else f'{found["low"]:+.4f} .. {found["high"]:+.4f}'
        rows.append([name, f'{found["value"]:+.4f}', between, WORDS[found['verdict']]])
    return aligned(rows)

"""Files of labels: ``labels.yaml``, a list of intervals; CSV files, a row a moment, an interval or a frame.

::

    times: stamp                  # of the pictures' headers, in seconds; or from_start: seconds from the bag's start
    intervals:
    - {topic: /camera/image_raw, start: 1700000000.5, end: 1700000012.5, label: cup, track: cup_1}
    - {start: 1700000020.25, label: ignore}

``topic``, ``end``, ``track`` and ``bag`` may be left out (all image topics, the end of the recording, no track, all
bags that the file is used for); ``bag`` is the end of a path, with as many folders as tell it from the others that
are read with it. The list alone will do where the times can mean one thing only, see
:mod:`~.labels.times`.

A CSV file has the columns ``stamp`` (or ``start``), ``label`` and optionally ``end``, ``track``, ``topic`` and ``bag``,
and a first row with their names. It may be left out only where every row is a stamp and a label that is no number. A
row without an end holds until the next of its topic.
``# times: stamp`` or ``# times: from_start`` in a line before says what the times are; so do the names of
columns ``stamp_ns`` and ``from_start``. In ``index.csv`` of ``bag extract`` and ``frames.csv`` of a report each row is
a frame.
"""
import re
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ...core.errors import ConfigError
from ...core.suggestions import did_you_mean
from ...core.text.csv_cells import plain_cell
from ...core.text.printable import printable
from ...core.text.text_file import Row, read_text, separator_of, table_rows
from ...core.text.yaml_text import parse_yaml
from ..bags.reader import BagReader, normal_topic
from ..folders import shown
from .bag_names import BagNames
from .held import Held, held
from .labels import FOREVER_NS, Clock, LabelInterval, check_label
from .times import BagTimes, Moment, TimeReader, Times, bag_times, check_order, seconds_text, stated

MOST_LABEL_BYTES = 64 << 20
"""Largest file of labels, a million intervals."""
_SHOWN = '`robot-vision bag extract --help` shows the formats'
SUFFIXES = ('.yaml', '.yml', '.csv')
_KEYS = ('topic', 'start', 'end', 'label', 'track', 'bag')
_UNNAMED = ('stamp', 'label')
_STARTS = ('stamp', 'start', 'stamp_ns', 'from_start')
_COLUMNS = (*_STARTS, 'end', 'label', 'track', 'topic', 'bag')
# Other names for what would change the meaning if it were not read.
_ENDS = ('stop', 'until', 'to', 'till', 'finish', 'end_time', 'end_stamp', 'end_ns', 'end_s', 't_end', 'stamp_end',
         'duration', 'length')
# A time, or a number with either decimal sign: as a label without a name over its column it may be an end.
_NUMBER = re.compile(r'[-+]?([0-9]+(:[0-9]+)*[.,]?[0-9]*|[.,][0-9]+)(e[-+]?[0-9]+)?', re.IGNORECASE)
_DIRECTIVE = re.compile(r'\s*#\s*times\s*[:=]\s*(.*?)\s*', re.IGNORECASE)


class FileLabels(NamedTuple):
    """What a file says of one bag, and sentences about what of it is not used."""

    intervals: Tuple[LabelInterval, ...]
    notes: Tuple[str, ...] = ()


def labels_of_file(path: Path, reader: BagReader, recording: str, hold_s: float) -> FileLabels:
    """The labels of one bag in a file.

    Raises:
        ConfigError: it cannot be read, is no file of labels, or leaves open what it means.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f'labels.sources: {shown(path)!r} is no label source; give auto, topic:<name>, or the '
                          'path of a .yaml or .csv file')
    text = read_text(path, most_bytes=MOST_LABEL_BYTES)
    names = BagNames(reader.path, recording, path.absolute().parent)
    if path.suffix.lower() == '.csv':
        return _CsvFile(text, shown(path), bag_times(reader), names).read(hold_s)
    others: Dict[str, int] = {}
    found = tuple(_from_yaml(text, shown(path), bag_times(reader), names, others))
    return FileLabels(found, _about_others(shown(path), 'interval', names, others, bool(found)))


def labels_text(intervals: Sequence[LabelInterval], bags: Sequence[str] = ()) -> str:
    """Intervals by the header's clock as ``labels.yaml``: reading it gives the same, to the nanosecond.

    Args:
        bags: name of the bag that each interval is of, for a file of several; empty: the file is of one.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    class Seconds(str):
        pass

    def seconds(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
        return dumper.represent_scalar(f'tag:yaml.org,2002:{"float" if "." in text else "int"}', text)
    Dumper.add_representer(Seconds, seconds)
    lines = [f'times: {Times.STAMP.value}', 'intervals:' if intervals else 'intervals: []']
    for interval, bag in zip_longest(intervals, bags):
        end = None if interval.end_ns >= FOREVER_NS else Seconds(seconds_text(interval.end_ns))
        item = {'bag': bag, 'topic': interval.topic, 'start': Seconds(seconds_text(interval.start_ns)), 'end': end,
                'label': interval.label, 'track': interval.track}
        lines.append('- ' + yaml.dump({key: value for key, value in item.items() if value is not None}, Dumper=Dumper,
                                      default_flow_style=True, sort_keys=False, allow_unicode=True,
                                      width=10**9).strip())
    return '\n'.join(lines) + '\n'


def _about_others(name: str, unit: str, bag: BagNames, others: Mapping[str, int], has_own: bool) -> Tuple[str, ...]:
    """A sentence where a file is about other bags only, or about one whose name is this one's but for its case."""
    names = bag.shown
    meant = [other for other in others if other.casefold() in {own.casefold() for own in names}]
    if not others or (has_own and not meant):
        return ()
    first = f'{name}: {sum(others[other] for other in meant)} {unit}s are not' if has_own else f'{name}: no {unit} is'
    close = [best for other in meant or others for best in get_close_matches(other, names, 1)] or [
        own for own in names if meant and own.casefold() == meant[0].casefold()]
    hint = f'; did you mean bag: {printable(close[0], 60)}?' if close else ''
    return (f'{first} about this bag ({printable(", ".join(names))}), but about '
            f'{printable(", ".join((meant or list(others))[:5]))}{hint}',)


def _from_yaml(text: str, name: str, bag: BagTimes, names: BagNames, others: Dict[str, int]
               ) -> Iterator[LabelInterval]:
    # Scalars stay text: labels such as `no` or 7 keep their spelling, and times all their digits.
    content = parse_yaml(text, name, as_text=True, most_bytes=MOST_LABEL_BYTES)
    said = None
    if isinstance(content, dict) and 'intervals' in content:
        for key in content:
            if key not in ('times', 'intervals'):
                raise ConfigError(f'{name}: no key {printable(key, 60)!r}; {did_you_mean(key, ("times", "intervals"))}')
        if 'times' in content:
            said = stated(str(content['times']), name)
        content = content['intervals']
    if not isinstance(content, list):
        raise ConfigError(f'{name}: must be a list of intervals such as "- {{start: 0, end: 12.5, label: cup}}", by '
                          f'itself or as "intervals:" after "times: stamp", got {type(content).__name__}; {_SHOWN}')
    times = TimeReader(bag, name, said, 'times')
    for number, item in enumerate(content, 1):
        where = f'{name}, interval {number}'
        _check_item(item, where)
        label = check_label(item['label'], where)
        if not label:
            raise ConfigError(f'{where}: the label is empty; leave the interval out, or use "ignore"')
        if item.get('bag') and not names.has(item['bag'], where):
            others[item['bag']] = others.get(item['bag'], 0) + 1
            continue
        start = times.read(item['start'], f'{where}, start')
        end = times.read(item['end'], f'{where}, end') if item.get('end') else None
        if end is not None:
            check_order(start, end, where, (item['start'], item['end']))
        yield LabelInterval(start.ns, FOREVER_NS if end is None else end.ns, label,
                            normal_topic(item['topic']) if item.get('topic') else None, item.get('track') or None,
                            start.clock, where)
    times.check_units()


def _check_item(item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise ConfigError(f'{where}: must have start, end and label, got {printable(item, 80)!r}')
    for key, value in item.items():
        if key not in _KEYS:
            hint = ('numbers have a decimal point, as in 0.5' if re.fullmatch('[0-9]+', str(key))
                    else did_you_mean(key, _KEYS))
            raise ConfigError(f'{where}: no key {printable(key, 60)!r}; {hint}')
        if not isinstance(value, str):
            raise ConfigError(f'{where}: {key} must be a single value, got {printable(value, 80)}')
    for key in ('start', 'label'):
        if key not in item:
            raise ConfigError(f'{where}: {key} is missing')


def _names_for(cells: Sequence[str]) -> List[str]:
    """Names that a row without any could have over its cells."""
    free = {'number': ['start', 'end'], 'topic': ['topic'], 'text': ['label', 'track']}
    names: List[str] = []
    for cell in cells:
        kind = 'number' if _NUMBER.fullmatch(cell) else 'topic' if cell.startswith('/') else 'text'
        names.append(free[kind].pop(0) if free[kind] else f'other{len(names)}')
    if 'label' not in names:
        names[-1] = 'label'
    return names


class _CsvFile:
    """One file of rows, about one bag."""

    def __init__(self, text: str, name: str, bag: BagTimes, names: BagNames) -> None:
        self._text, self._name, self._bag, self._names = text, name, bag, names
        self._columns: Sequence[str] = _UNNAMED
        self._named = False
        self._others: Dict[str, int] = {}
        self._notes: List[str] = []

    def read(self, hold_s: float) -> FileLabels:
        """All rows of the bag as intervals."""
        rows = list(table_rows(self._text, self._name))
        if rows and 'label' in [cell.lower() for cell in rows[0].cells]:
            self._columns = [cell.lower() for cell in rows.pop(0).cells]
            self._named = True
            self._check_columns()
        else:
            self._check_unnamed(rows)
        times = TimeReader(self._bag, self._name, self._said(), '# times')
        moments: Dict[Tuple[Optional[str], Clock], List[Held]] = {}
        labelled = False
        for row in rows:
            item, where = self._item(row), f'{self._name}, line {row.line}'
            if self._of_frames and (item.get('object') or item.get('picture')):
                raise ConfigError(f'{where}: is of one object in an image, and labels here are of whole images; '
                                  'objects of a bag are labelled by a topic of boxes, see --detections')
            label = check_label(item.get('label', ''), where)
            labelled = labelled or bool(label)
            bag = item.get('bag') or item.get('recording')
            if bag and not self._names.has(bag, where):
                self._others[bag] = self._others.get(bag, 0) + 1
                continue
            start, end = self._times(item, times, where)
            topic = normal_topic(item['topic']) if item.get('topic') else None
            moments.setdefault((topic, start.clock), []).append(
                Held(start.ns, label, item.get('track') or None, end, where))
        if rows and not labelled:
            raise ConfigError(f'{self._name}: not one row has a label'
                              + ('; it is the table of an evaluation without labels, and what a model has predicted is '
                                 'no label' if self._of_frames and 'decision' in self._columns else ''))
        times.check_units()
        self._notes += _about_others(self._name, 'row', self._names, self._others, bool(moments))
        found = [interval for (topic, clock), known in moments.items()
                 for interval in held(list(dict.fromkeys(known)) if self._of_frames else known, hold_s, topic, clock)]
        return FileLabels(tuple(found), tuple(self._notes))

    @property
    def _of_frames(self) -> bool:
        """Whether a row is a frame: a table that this package has written."""
        return self._named and {'stamp_ns', 'receive_ns', 'index'} <= set(self._columns)

    def _said(self) -> Optional[Times]:
        found = None
        for line in self._text.splitlines():
            match = _DIRECTIVE.fullmatch(line)
            if match:
                said = stated(match[1].strip(' "\',').lower(), self._name)
                if found not in (None, said):
                    raise ConfigError(f'{self._name}: says both # times: {found.value} and # times: {said.value}; '
                                      'leave one of the lines, with what the times are')
                found = said
        if 'from_start' in self._columns:
            if found is Times.STAMP:
                raise ConfigError(f'{self._name}: has the column from_start, but says that its times are stamps')
            return Times.FROM_START
        if 'stamp_ns' in self._columns and found is Times.FROM_START:
            raise ConfigError(f'{self._name}: has the column stamp_ns, but says that its times are from the start')
        return found

    def _check_columns(self) -> None:
        where, names = f'{self._name}, first row', list(self._columns)
        twice = sorted({name for name in names if name and names.count(name) > 1})
        if twice:
            raise ConfigError(f'{where}: the column {printable(twice[0], 60)!r} is there twice')
        starts = [name for name in _STARTS if name in names]
        if len(starts) != 1:
            raise ConfigError(f'{where}: the columns stamp and label are needed, got {printable(", ".join(names))}'
                              + (f'; only one of {" and ".join(starts)} can be the time' if starts else f'; {_SHOWN}'))
        if self._of_frames:
            return
        for name in names:
            if name in _ENDS and 'end' not in names:
                raise ConfigError(f'{where}: {printable(name, 60)!r} is not read; call the column end, in the unit of '
                                  f'{starts[0]}, or leave it out if rows hold until the next')
        others = [name for name in names if name not in _COLUMNS and name != 'recording']
        if others:
            self._notes.append(f'{self._name}: columns that are not read: {printable(", ".join(others))}')

    def _check_unnamed(self, rows: Sequence[Row]) -> None:
        """Without names over the columns only one thing is clear: a stamp, and a label that cannot be a time."""
        if rows and not re.search('[0-9]', rows[0].cells[0]):
            raise ConfigError(f'{self._name}, line {rows[0].line}: the first row must name the columns, stamp and '
                              f'label among them, got {printable(rows[0].cells, 80)}; {_SHOWN}')
        for row in rows:
            if len(row.cells) == 1 or (len(row.cells) == 2 and not _NUMBER.fullmatch(row.cells[1])):
                continue
            names = _names_for(row.cells)
            would_be = ', '.join(f'{name} {printable(cell, 40) or "empty"}' for name, cell in zip(names, row.cells))
            raise ConfigError(
                f'{self._name}, line {row.line}: {printable(row.cells, 80)} could mean several things, for no first '
                f'row names the columns. Put one first, e.g. {separator_of(self._text).join(names)!r} (this row '
                f'would be {would_be}); numbers have a decimal point. Without it a row is a stamp and a '
                'label that is no number')

    def _item(self, row: Row) -> Dict[str, str]:
        where = f'{self._name}, line {row.line}'
        if len(row.cells) < 2:
            raise ConfigError(f'{where}: stamp and label are needed, got {printable(row.cells, 80)}')
        if len(row.cells) > len(self._columns):
            raise ConfigError(f'{where}: {len(row.cells)} cells for {len(self._columns)} columns '
                              f'({printable(", ".join(self._columns))}), got {printable(row.cells, 80)}; a cell with a '
                              'comma must be in quotes, and numbers have a decimal point')
        if self._named and len(row.cells) <= self._columns.index('label'):
            raise ConfigError(f'{where}: the label is missing, got {printable(row.cells, 80)}')
        item = dict(zip(self._columns, row.cells))
        return {key: plain_cell(cell) for key, cell in item.items()} if self._of_frames else item

    def _times(self, item: Dict[str, str], times: TimeReader, where: str) -> Tuple[Moment, Optional[int]]:
        name = next(name for name in _STARTS if name in self._columns)
        unit_ns = 1 if name == 'stamp_ns' else 10**9
        start = times.read(item.get(name, ''), f'{where}, {name}', unit_ns)
        if self._of_frames:
            return start, start.ns + 1
        if not item.get('end'):
            return start, None
        end = times.read(item['end'], f'{where}, end', unit_ns)
        check_order(start, end, where, (item[name], item['end']))
        return start, end.ns

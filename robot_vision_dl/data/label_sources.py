"""Where labels are written down: a topic of the bag, a YAML file of intervals, a CSV file of moments.

``labels.yaml`` is a list; ``topic``, ``end``, ``track`` and ``bag`` may be left out (all image topics, the end of the
recording, no track, all bags that the file is used for)::

    - {topic: /camera/image_raw, start: 0.0, end: 12.5, label: cup, track: cup_1}
    - {start: 1700000020.25, end: 1700000031, label: ignore}

A time is in seconds: from the bag's start by the clock of the recording, or, above 1e8, absolute by the pictures'
header stamps; integers above 1e17 are absolute nanoseconds. A CSV file has the columns stamp, label and optionally
track and topic, in this order or under these names; a label holds until the next of its topic.
"""
import csv
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import yaml

from ..core.errors import BagError, ConfigError
from ..core.spelling import did_you_mean
from ..core.text_file import read_text
from ..core.yaml_text import parse_yaml
from .bag_files import BagFiles
from .bag_parts import stem
from .bags import BagReader, normal_topic
from .folders import shown
from .label_messages import LABEL_TYPES, decode_label
from .labels import FOREVER_NS, UNLABELLED, Clock, LabelConfig, LabelInterval, Labels, check_label

DEFAULTS = LabelConfig()
_KEYS = ('topic', 'start', 'end', 'label', 'track', 'bag')
_SUFFIXES = ('.yaml', '.yml', '.csv')
_COLUMNS = ('stamp', 'label', 'track', 'topic')
MOST_LABEL_BYTES = 64 << 20
"""Largest file of labels, a million intervals."""
_ABSOLUTE_S, _ABSOLUTE_NS = Decimal(10)**8, Decimal(10)**17


class BagLabels(NamedTuple):
    """Labels of one bag.

    Attributes:
        labels: what holds when.
        used: the sources that were read, for reports and provenance.
        files: label files among them.
        problems: sentences about what could not be read.
        notes: sentences about what was decided, and what is not used.
    """

    labels: Labels
    used: Tuple[str, ...]
    files: Tuple[Path, ...] = ()
    problems: Tuple[str, ...] = ()
    notes: Tuple[str, ...] = ()


class _Time(NamedTuple):
    ns: int
    relative: bool


def labels_of_bag(reader: BagReader, recording: str, config: LabelConfig = DEFAULTS) -> BagLabels:
    """Read all label sources of one bag.

    Raises:
        ConfigError: a source or its content cannot be used, or ``auto`` finds none.
    """
    intervals: List[LabelInterval] = []
    used, files, problems, notes = [], [], [], []
    for source in config.sources:
        if source == 'auto':
            notes += _not_read(reader.files)
        for name in _find(reader) if source == 'auto' else (source,):
            kind, _, topic = name.partition(':')
            found: Sequence[LabelInterval]
            if name == 'none':
                found = [LabelInterval(0, FOREVER_NS, UNLABELLED, clock=Clock.RECEIVE)]
            elif kind == 'topic':
                found, said = _from_topic(reader, topic, config.hold_s)
                problems += said
            else:
                path = Path(name).expanduser()
                files.append(path)
                found = list(_from_file(path, reader, recording, config.hold_s))
            intervals += found
            used.append(name)
    return BagLabels(Labels(intervals, config.ignore), tuple(used), tuple(files), tuple(problems), tuple(notes))


def label_files_beside(bag: BagFiles) -> List[Path]:
    """Label files of a bag, of which the first is the one to read.

    They are ``labels.yaml`` or ``.csv`` in its folder, ``<bag>.labels.yaml`` beside it, ``<file>.labels.yaml`` beside
    its only file, or ``labels.yaml`` beside it, for all bags there.
    """
    path = bag.path
    places = [path.parent / f'{path.name if path.is_dir() else stem(path)}.labels', path.parent / 'labels']
    if path.is_dir():
        places.insert(0, path / 'labels')
    if len(bag.files) == 1:
        places.insert(-1, bag.files[0].with_name(f'{stem(bag.files[0])}.labels'))
    files = [place.with_name(place.name + suffix) for place in dict.fromkeys(places) for suffix in _SUFFIXES]
    return [file for file in files if file.is_file()]


def _not_read(bag: BagFiles) -> List[str]:
    first, *others = label_files_beside(bag) or [None]
    for_all = bag.path.parent / 'labels'
    # A bag with labels of its own among others that share a file is as it should be.
    return [f'{shown(other)} is not read: {shown(first)} has the labels' for other in others
            if other.with_suffix('') != for_all or first.with_suffix('') == for_all]


def write_labels_yaml(path: Path, intervals: Sequence[LabelInterval]) -> None:
    """Write intervals by the header's clock so that reading them gives the same, to the nanosecond."""
    lines = []
    for interval in intervals:
        item = {'topic': interval.topic, 'start': interval.start_ns,
                'end': None if interval.end_ns >= FOREVER_NS else interval.end_ns, 'label': interval.label,
                'track': interval.track}
        item = {key: value for key, value in item.items() if value is not None}
        lines.append('- ' + yaml.safe_dump(item, default_flow_style=True, sort_keys=False, width=10**6).strip())
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')


def label_topics(reader: BagReader) -> List[str]:
    """Topics of a label type whose last name is ``label``."""
    return [name for name, topic in reader.topics.items() if topic.msgtype in LABEL_TYPES and topic.count
            and name.rsplit('/', 1)[-1] == 'label']


def _find(reader: BagReader) -> Sequence[str]:
    files = label_files_beside(reader.files)
    if files:
        return [str(files[0])]
    for part in reader.files.files if len(reader.files.files) > 1 else ():
        own = [part.with_name(f'{stem(part)}.labels{suffix}') for suffix in _SUFFIXES]
        if any(file.is_file() for file in own):
            raise ConfigError(f'{shown(reader.path)}: {shown(part.name)} is one of {len(reader.files.files)} parts of '
                              'a recording, but has labels of its own beside it; put the labels of all parts into '
                              f'{shown(reader.path if reader.path.is_dir() else part.parent)}/labels.yaml')
    topics = label_topics(reader)
    if topics:
        return [f'topic:{name}' for name in topics]
    others = [name for name, topic in reader.topics.items() if topic.msgtype in LABEL_TYPES]
    there = f'; topics that could carry labels: {", ".join(others)} (name one as topic:<name>)' if others else ''
    raise ConfigError(f'{reader.path}: no labels: there is no labels.yaml or labels.csv beside it and no topic that '
                      f'ends with /label{there}')


def _from_topic(reader: BagReader, topic: str, hold_s: float) -> Tuple[List[LabelInterval], List[str]]:
    name = normal_topic(topic)
    info = reader.topics.get(name)
    if info is None:
        raise ConfigError(f'{reader.path}: no label topic {name!r}; {did_you_mean(name, reader.topics)}')
    if info.msgtype not in LABEL_TYPES:
        raise ConfigError(f'{reader.path}: {name} is of type {info.msgtype}; labels are {" or ".join(LABEL_TYPES)}')
    moments: Dict[Clock, List[Tuple[int, str, None]]] = {clock: [] for clock in Clock}
    failed, first_error = 0, ''
    for message in reader.messages([name]):
        try:
            stamp_ns, text = decode_label(message.msgtype, message.cdr)
        except BagError as error:
            failed, first_error = failed + 1, first_error or str(error)
            continue
        label = check_label(text, f'{reader.path}, {name}')
        clock = Clock.RECEIVE if stamp_ns is None else Clock.HEADER
        # Classifiers repeat their label with every frame; only changes and what hold_s needs are kept.
        known = moments[clock]
        if hold_s or not known or known[-1][1] != label:
            known.append((message.receive_ns if stamp_ns is None else stamp_ns, label, None))
    problems = [f'{reader.path}, {name}: {failed} label message(s) left out, the first because: {first_error}'
                ] if failed else []
    found = [interval for clock, known in moments.items() for interval in _held(known, hold_s, None, clock)]
    return found, problems


def _held(moments: List[Tuple[int, str, Optional[str]]], hold_s: float, topic: Optional[str],
          clock: Clock) -> Iterator[LabelInterval]:
    """Intervals from moments (ns, label, track): each holds until the next, at most ``hold_s`` if that is not 0."""
    moments = sorted(moments, key=lambda moment: moment[0])
    hold_ns = round(hold_s * 1e9) if hold_s else FOREVER_NS
    begin = None
    for place, (start, label, track) in enumerate(moments):
        following = moments[place + 1] if place + 1 < len(moments) else None
        end = min(start + hold_ns, following[0] if following else FOREVER_NS, FOREVER_NS)
        begin = start if begin is None else begin
        if following and end == following[0] and following[1:] == (label, track):
            continue
        if label and end > begin:
            yield LabelInterval(begin, end, label, topic, track, clock)
        begin = None


def _from_file(path: Path, reader: BagReader, recording: str, hold_s: float) -> Iterator[LabelInterval]:
    if path.suffix not in ('.yaml', '.yml', '.csv'):
        raise ConfigError(f'labels.sources: {str(path)!r} is no label source; give auto, topic:<name>, or the path of '
                          'a .yaml or .csv file')
    text = read_text(path, most_bytes=MOST_LABEL_BYTES)
    start_ns = reader.start_ns or 0
    if path.suffix == '.csv':
        yield from _from_csv(text, path, start_ns, hold_s)
    else:
        yield from _from_yaml(text, path, start_ns, {recording, reader.path.name, reader.path.stem})


def _from_yaml(text: str, path: Path, start_ns: int, names: set) -> Iterator[LabelInterval]:
    # Scalars stay text: labels such as `no` or 7 keep their spelling, and times all their digits.
    content = parse_yaml(text, str(path), as_text=True, most_bytes=MOST_LABEL_BYTES)
    if not isinstance(content, list):
        raise ConfigError(f'{path}: must be a list of intervals such as '
                          f'"- {{start: 0, end: 12.5, label: cup}}", got {type(content).__name__}')
    for number, item in enumerate(content, 1):
        where = f'{path}, interval {number}'
        if not isinstance(item, dict):
            raise ConfigError(f'{where}: must have start, end and label, got {item!r:.80}')
        for key, value in item.items():
            if key not in _KEYS:
                raise ConfigError(f'{where}: no key {key!r}; {did_you_mean(key, _KEYS)}')
            if not isinstance(value, str):
                raise ConfigError(f'{where}: {key} must be a single value, got {value!r:.80}')
        for key in ('start', 'label'):
            if key not in item:
                raise ConfigError(f'{where}: {key} is missing')
        label = check_label(item['label'], where)
        if not label:
            raise ConfigError(f'{where}: the label is empty; leave the interval out, or use "ignore"')
        interval = _interval(item, label, start_ns, where)
        if item.get('bag') is None or item['bag'] in names:
            yield interval


def _interval(item: Dict[str, Any], label: str, bag_start_ns: int, where: str) -> LabelInterval:
    start = _time(item['start'], f'{where}, start')
    end = _time(item['end'], f'{where}, end') if item.get('end') else None
    if end is not None and end.relative != start.relative:
        raise ConfigError(f"{where}: start and end must both be seconds from the bag's start or both absolute, got "
                          f'{item["start"]} and {item["end"]}')
    if end is not None and end.ns <= start.ns:
        raise ConfigError(f'{where}: end must be after start, got {item["start"]} and {item["end"]}')
    shift = bag_start_ns if start.relative else 0
    return LabelInterval(
        start.ns + shift, FOREVER_NS if end is None else end.ns + shift, label,
        normal_topic(item['topic']) if item.get('topic') else None, item.get('track') or None,
        Clock.RECEIVE if start.relative else Clock.HEADER)


def _from_csv(text: str, path: Path, bag_start_ns: int, hold_s: float) -> Iterator[LabelInterval]:
    columns: Sequence[str] = _COLUMNS
    moments: Dict[Tuple[Optional[str], Clock], List[Tuple[int, str, Optional[str]]]] = {}
    for number, row in enumerate(csv.reader(text.splitlines(), skipinitialspace=True), 1):
        if not row or row[0].lstrip().startswith('#'):
            continue
        names = [cell.strip().lower() for cell in row]
        if not moments and 'label' in names:
            if 'stamp' not in names:
                raise ConfigError(f'{path}, line {number}: the columns stamp and label are needed, got '
                                  f'{", ".join(names)}')
            columns = names
            continue
        where = f'{path}, line {number}'
        if len(row) < 2:
            raise ConfigError(f'{where}: stamp and label are needed, got {row!r:.80}')
        item = dict(zip(columns, (cell.strip() for cell in row)))
        time = _time(item.get('stamp', ''), f'{where}, stamp')
        label = check_label(item.get('label', ''), where)
        key = (normal_topic(item['topic']) if item.get('topic') else None,
               Clock.RECEIVE if time.relative else Clock.HEADER)
        shift = bag_start_ns if time.relative else 0
        moments.setdefault(key, []).append((time.ns + shift, label, item.get('track') or None))
    for (topic, clock), known in moments.items():
        yield from _held(known, hold_s, topic, clock)


def _time(text: str, where: str) -> _Time:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal('NaN')
    if not value.is_finite() or value < 0 or value >= FOREVER_NS:
        raise ConfigError(f"{where}: must be seconds from the bag's start, or absolute seconds, got {text!r}")
    if value > _ABSOLUTE_NS:
        return _Time(int(value), False)
    return _Time(int((value * 10**9).to_integral_value()), value <= _ABSOLUTE_S)

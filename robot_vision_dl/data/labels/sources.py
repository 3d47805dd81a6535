"""Where labels are: topics of the bag, or a file beside it or elsewhere (see :mod:`~.labels.files`)."""
from array import array
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ...core.errors import BagError, ConfigError
from ...core.files.user_path import user_path
from ...core.suggestions import did_you_mean
from ..bags.files import BagFiles
from ..bags.parts import part_stem, stem
from ..bags.reader import BagReader, normal_topic
from ..folders import shown
from .files import SUFFIXES, labels_of_file, labels_text
from .held import Held, held
from .labels import FOREVER_NS, UNLABELLED, Clock, LabelConfig, LabelInterval, Labels, camera_topic, check_label
from .messages import LABEL_TYPES, decode_label

DEFAULTS = LabelConfig()


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
        names = _find(reader) if source == 'auto' else (source,)
        cameras = _cameras_of(reader, [name.partition(':')[2] for name in names]) if len(names) > 1 else {}
        notes += [f'{shown(reader.path)}: {shown(name)} labels {", ".join(map(shown, images))}'
                  for name, images in cameras.items()]
        alone = [name for name, topic in reader.topics.items() if topic.is_image and cameras
                 and not any(name in images for images in cameras.values())]
        if alone:
            notes.append(f'{shown(reader.path)}: {", ".join(map(shown, alone))} has no label topic in its namespace, '
                         'and so no labels')
        for name in names:
            kind, _, topic = name.partition(':')
            found: Sequence[LabelInterval]
            if name == 'none':
                found = [LabelInterval(0, FOREVER_NS, UNLABELLED, clock=Clock.RECEIVE)]
            elif kind == 'topic':
                found, said = _from_topic(reader, topic, config.hold_s, cameras.get(topic, (None,)))
                problems += said
            else:
                path = user_path(name)
                files.append(path)
                found, told = labels_of_file(path, reader, recording, config.hold_s)
                notes += told
            intervals += found
            used.append(name)
    labels = Labels(intervals, config.ignore)
    notes += labels.not_there([name for name, topic in reader.topics.items() if topic.is_image])
    return BagLabels(labels, tuple(used), tuple(files), tuple(problems), tuple(notes))


def label_files_beside(bag: BagFiles) -> List[Path]:
    """Label files of a bag, of which the first is the one to read.

    They are ``labels.yaml`` or ``.csv`` in its folder, ``<bag>.labels.yaml`` beside it, ``<file>.labels.yaml`` beside
    its only file or its parts (without their numbers), or ``labels.yaml`` beside it, for all bags there.
    """
    path = bag.path
    places = [path.parent / f'{path.name if path.is_dir() else stem(path)}.labels', path.parent / 'labels']
    if path.is_dir():
        places.insert(0, path / 'labels')
    if len(bag.files) == 1:
        places.insert(-1, bag.files[0].with_name(f'{stem(bag.files[0])}.labels'))
    elif len({part_stem(file) for file in bag.files}) == 1:
        places.insert(-1, bag.files[0].with_name(f'{part_stem(bag.files[0])}.labels'))
    files = [place.with_name(place.name + suffix) for place in dict.fromkeys(places) for suffix in SUFFIXES]
    return [file for file in files if file.is_file()]


def _not_read(bag: BagFiles) -> List[str]:
    files = label_files_beside(bag)
    if not files:
        return []
    first, *others = files
    for_all = bag.path.parent / 'labels'
    # A bag with labels of its own among others that share a file is as it should be.
    return [f'{shown(other)} is not read: {shown(first)} has the labels' for other in others
            if other.with_suffix('') != for_all or first.with_suffix('') == for_all]


def write_labels_yaml(path: Path, intervals: Sequence[LabelInterval]) -> None:
    """Write intervals by the header's clock so that reading them gives the same, to the nanosecond."""
    path.write_text(labels_text(intervals), encoding='utf-8')


def label_topics(reader: BagReader) -> List[str]:
    """Topics of a label type whose last name is ``label``."""
    return [name for name, topic in reader.topics.items() if topic.msgtype in LABEL_TYPES and topic.count
            and name.rsplit('/', 1)[-1] == 'label']


def _find(reader: BagReader) -> Sequence[str]:
    files = label_files_beside(reader.files)
    if files:
        return [str(files[0])]
    for part in reader.files.files if len(reader.files.files) > 1 else ():
        own = [part.with_name(f'{stem(part)}.labels{suffix}') for suffix in SUFFIXES]
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


def _cameras_of(reader: BagReader, topics: Sequence[str]) -> Dict[str, List[str]]:
    """Which image topics each of several label topics is about: those in its namespace, the nearest one's.

    Empty where there is one camera: then all are about it.

    Raises:
        ConfigError: that leaves a label topic without a camera.
    """
    images = [name for name, topic in reader.topics.items() if topic.is_image]
    if len({camera_topic(name) for name in images}) < 2:
        return {}
    found: Dict[str, List[str]] = {topic: [] for topic in topics}
    for name in images:
        around = [topic for topic in topics if name.startswith(f'{topic.rpartition("/")[0]}/')]
        if around:
            found[max(around, key=lambda topic: topic.count('/'))].append(name)
    lost = next((topic for topic, names in found.items() if not names), '')
    if lost:
        raise ConfigError(f'{shown(reader.path)}: which camera do the label topics {", ".join(map(shown, topics))} '
                          f'label? {shown(lost)} has no camera in its namespace that no other is nearer to; name the '
                          f'one to read as topic:{topics[0]}, or write a labels.yaml beside the bag that names the '
                          f'topic of each interval (image topics: {", ".join(map(shown, images))})')
    return found


def _from_topic(reader: BagReader, topic: str, hold_s: float, cameras: Sequence[Optional[str]]
                ) -> Tuple[List[LabelInterval], List[str]]:
    """Labels of a topic for each of ``cameras``; None: for all."""
    name = normal_topic(topic)
    info = reader.topics.get(name)
    if info is None:
        raise ConfigError(f'{reader.path}: no label topic {name!r}; {did_you_mean(name, reader.topics)}')
    if info.msgtype not in LABEL_TYPES:
        raise ConfigError(f'{reader.path}: {name} is of type {info.msgtype}; labels are {" or ".join(LABEL_TYPES)}')
    said: Dict[Clock, Tuple['array[int]', List[str]]] = {clock: (array('q'), []) for clock in Clock}
    names: Dict[str, str] = {}
    failed, first_error = 0, ''
    for message in reader.messages([name]):
        try:
            stamp_ns, text = decode_label(message.msgtype, message.cdr)
        except BagError as error:
            failed, first_error = failed + 1, first_error or str(error)
            continue
        label = check_label(text, f'{reader.path}, {name}')
        stamps, labels = said[Clock.RECEIVE if stamp_ns is None else Clock.HEADER]
        stamps.append(message.receive_ns if stamp_ns is None else stamp_ns)
        labels.append(names.setdefault(label, label))
    problems = [f'{reader.path}, {name}: {failed} label message(s) left out, the first because: {first_error}'
                ] if failed else []
    moments = {clock: _changes(*both, hold_s, f'{name} in the bag') for clock, both in said.items()}
    found = [interval for clock, known in moments.items() for camera in cameras
             for interval in held(known, hold_s, camera, clock)]
    return found, problems


def _changes(stamps: Sequence[int], labels: Sequence[str], hold_s: float, where: str) -> List[Held]:
    """Labels by stamp, whenever they were received, without repeats where those say nothing new."""
    known: List[Held] = []
    for place in np.argsort(np.asarray(stamps, np.int64), kind='stable').tolist():
        # Classifiers repeat their label with every frame; only changes and what hold_s needs are kept.
        in_conflict = len(known) > 1 and known[-2].start_ns == known[-1].start_ns
        if hold_s or not known or known[-1].label != labels[place] or in_conflict:
            known.append(Held(stamps[place], labels[place], where=where))
    return known

"""What people said of a queue, as labels of the bags: ``labels.yaml`` beside each, or intervals for a training.

Pieces that are ``unsure`` get no label, and lose an earlier one; ``ignore`` and ``unknown`` are written as they are.
What a bag was labelled before, beside it or in a topic, holds wherever the queue says nothing; for frames between
intervals see :mod:`.between`.
"""
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ..core.errors import BagError, ConfigError, OutputError
from ..core.files.user_path import user_path
from ..core.files.whole_files import write_whole
from ..core.text.printable import printable
from ..core.text.text_file import read_text
from ..data.bags.parts import stem
from ..data.bags.reader import BagReader
from ..data.folders import shown
from ..data.labels.bag_names import exact_name
from ..data.labels.files import MOST_LABEL_BYTES, labels_of_file, labels_text
from ..data.labels.labels import LabelInterval, check_label
from ..data.labels.sources import label_files_beside
from ..data.recording_paths import recording_names
from .between import Between, filled, gaps, silenced
from .earlier import EarlierLabels, earlier_labels, image_topics, with_frames
from .events import UNSURE, read_events
from .queue_file import QueueFile, QueueRecording
from .state import LabelledPiece, fold
from .stretches import TopicStretch, inside, joined, outside, with_tracks
from .written import Record, digest, read_records, write_records

LABELS_FILE = 'labels.yaml'
_REMEDY = 'the folder of the bag cannot be written: give --out FOLDER, and --labels FOLDER/labels.yaml to what reads it'


@dataclass(frozen=True)
class BagLabelling:
    """What a queue says of one bag.

    Attributes:
        recording: its name in the queue.
        path: the bag.
        intervals: labels by the header's clock (receive time where a stamp is 0), by topic and time; those of one
            label that adjoin are one. Classes, ``unknown`` and ``ignore``.
        unsure: where people were not sure, so that there is to be no label.
        between: what lies between intervals of which one at least was labelled.
    """

    recording: str
    path: Path
    intervals: Tuple[LabelInterval, ...]
    unsure: Tuple[TopicStretch, ...] = ()
    between: Tuple[Between, ...] = ()

    @property
    def stretches(self) -> List[TopicStretch]:
        """Where the queue has something to say."""
        return [*(TopicStretch(one.topic or '', one.start_ns, one.end_ns) for one in self.intervals), *self.unsure]


@dataclass(frozen=True)
class WrittenLabels:
    """What became of one bag's labels.

    Attributes:
        recording: its name in the queue.
        path: the file; it is gone where nothing is labelled any more.
        counts: intervals of the queue by label.
        kept: intervals of earlier labels that are in the file, too.
        changed: the file is another one than before.
        backup: where the file is that was there before; None: there was none, or the queue had written it.
        notes: sentences about what was decided.
    """

    recording: str
    path: Path
    counts: Dict[str, int]
    kept: int
    changed: bool
    backup: Optional[Path] = None
    notes: Tuple[str, ...] = ()


def queue_labels(folder: Path) -> List[BagLabelling]:
    """What the labels of a queue say of each bag, by recording; bags of which nothing is said are left out.

    Raises:
        ConfigError: the folder is no queue, or its labels cannot be read.
    """
    return _said(folder).labellings


class _Said(NamedTuple):
    """What is in a queue.

    Attributes:
        labellings: of the bags of which something is said.
        recordings: of the present mining and of those before, by name.
        touched: path of each recording of which something was ever said, by name.
    """

    labellings: List[BagLabelling]
    recordings: Dict[str, QueueRecording]
    touched: Dict[str, str]


def _said(folder: Path) -> _Said:
    with QueueFile(folder) as queue:
        state = fold(queue, read_events(folder))
        pieces = state.labelled(unsure=True)
        between = gaps(queue, pieces, state.bare())
        recordings = {one.name: one for one in (*queue.former, *queue.recordings)}
    return _Said([_with_gaps(one, [gap for (recording, _), members in sorted(between.items())
                                   if recording == one.recording for gap in members])
                  for one in bag_labellings(pieces)], recordings, state.touched)


def bag_labellings(pieces: Iterable[LabelledPiece]) -> List[BagLabelling]:
    """Labelled pieces by bag, as they are: without what lies between them.

    Raises:
        ConfigError: a label is no name of a class.
    """
    grouped: Dict[Tuple[str, str], List[LabelledPiece]] = {}
    for piece in pieces:
        grouped.setdefault((piece.recording, piece.path), []).append(piece)
    return [BagLabelling(
        recording, Path(path),
        tuple(joined(LabelInterval(one.start_ns, one.end_ns, _checked(one), one.topic)
                     for one in members if one.label != UNSURE)),
        tuple(TopicStretch(one.topic, one.start_ns, one.end_ns) for one in members if one.label == UNSURE))
        for (recording, path), members in sorted(grouped.items())]


def _with_gaps(labelling: BagLabelling, between: Sequence[Between]) -> BagLabelling:
    """With the labels that hold between two intervals, since both have them."""
    labels = {(one.topic, one.end_ns): one.label for one in labelling.intervals}
    same = [LabelInterval(stretch.start_ns, stretch.end_ns, labels[stretch.topic, stretch.start_ns], stretch.topic)
            for stretch in filled(between) if (stretch.topic, stretch.start_ns) in labels]
    return replace(labelling, intervals=tuple(joined([*labelling.intervals, *same])), between=tuple(between))


def with_earlier(labelling: BagLabelling, earlier: Sequence[LabelInterval], kept: Iterable[LabelInterval]
                 ) -> List[LabelInterval]:
    """The queue's labels of a bag, and what is kept of earlier ones; a track stays where the label is the same.

    Args:
        earlier: by the header's clock.
        kept: of them, where the queue says nothing.
    """
    own = [part for one in labelling.intervals for part in with_tracks(one, earlier)]
    return joined([*own, *kept])


def _without_doubt(labelling: BagLabelling, earlier: Sequence[LabelInterval]) -> BagLabelling:
    """With what is to have no label, since an earlier one lost its ground there."""
    return replace(labelling, unsure=(*labelling.unsure, *silenced(labelling.between, earlier)), between=())


def write_labels(folder: Path, out: Optional[Path] = None) -> List[WrittenLabels]:
    """Write the labels of a queue: beside each bag, or those of all bags to ``out``/labels.yaml.

    The same labels give the same bytes. A file that somebody else wrote is kept as ``labels.yaml.bak`` (``.bak2``, ...)
    before it is replaced.

    Raises:
        ConfigError: the folder is no queue; or a bag is not there or is another one than was mined, or its labels
            cannot be read. Files of other bags are written, and the error names the recordings whose are not; with
            ``out`` nothing is.
        OutputError: a file cannot be written; those of other bags are, and the error names them.
    """
    said = _said(folder)
    if out is not None:
        return _write_one(said, user_path(out) / LABELS_FILE)
    records = read_records(folder)
    plans: List[_Plan] = []
    refused: Dict[str, ConfigError] = {}
    known = set()
    for one in said.labellings:
        try:
            plans.append(_plan(one, said.recordings, records))
            known.add(str(plans[-1].path))
        except ConfigError as error:
            refused[one.recording] = error
            known.add(str(_place(one.path)))
    others = {name: record for name, record in records.items() if name not in known}
    taken_back = _taken_back(said, others)
    plans += [_plan_of_none(Path(name), record) for name, record in taken_back.items()]
    undecided = _undecided(said, {name: one for name, one in others.items() if name not in taken_back}, records)
    done, failed = [], []
    for plan in plans:
        try:
            done.append(_carry_out(folder, plan, records))
        except OutputError as error:
            failed.append(str(error))
    if failed:
        names = f'; refused are {_list(refused)}' if refused else ''
        raise OutputError(f'{len(failed)} of {len(plans)} files of labels are not written, the others are{names}; the '
                          f'first: {failed[0]}')
    if refused:
        first = next(iter(refused.values()))
        raise first if len(said.labellings) == 1 else ConfigError(
            f'{len(refused)} of {len(said.labellings)} recordings are refused, {_list(refused)}; files of the others '
            f'are written; the first: {first}') from first
    return done + undecided


def _list(names: Iterable[str]) -> str:
    return ', '.join(printable(name, 100) for name in names)


class _Plan(NamedTuple):
    """What is to be in the file of one bag.

    Attributes:
        path: the file, resolved.
        old: text of the file now; None: there is none.
        text: of what is to be there; None: nothing.
        record: as it is once that is written.
        has_own: the queue wrote what is there now.
    """

    labelling: BagLabelling
    path: Path
    old: Optional[str]
    text: Optional[str]
    record: Record
    kept: int
    has_own: bool
    notes: Tuple[str, ...]


def _gone(said: _Said) -> Dict[str, str]:
    """Paths of the recordings that were labelled once, as the events say, and are no more, by name."""
    labelled = {one.recording for one in said.labellings}
    return {name: path for name, path in said.touched.items() if name not in labelled}


def _taken_back(said: _Said, records: Dict[str, Record]) -> Dict[str, Record]:
    """Records of the files whose recordings were labelled once and are no more."""
    gone = _gone(said)
    # Before they had the name of their recording. A path that is relative may lead elsewhere from here, but not to the
    # file of another record.
    places = {str(_place(Path(path))) for path in gone.values()}
    return {name: record for name, record in records.items()
            if (record.recording in gone if record.recording else name in places)}


def _undecided(said: _Said, others: Dict[str, Record], records: Dict[str, Record]) -> List[WrittenLabels]:
    """Files that the queue wrote and that nothing leads to, while labels were taken back that may be in them."""
    named = {one.recording for one in records.values()}
    lost = [name for name, path in _gone(said).items() if name not in named and str(_place(Path(path))) not in records]
    found = []
    for name, record in others.items() if lost else ():
        path = Path(name)
        if not record.recording and path.is_file() and digest(
                read_text(path, most_bytes=MOST_LABEL_BYTES)) == record.digest:
            found.append(WrittenLabels(path.parent.name, path, {}, 0, False, notes=(
                f'{shown(path)}: stays as the queue wrote it, which does not tell of which recording it is; all labels '
                f'of {_list(lost)} were taken back: if they are in it, run the command in the folder in which '
                '`robot-vision mine` was run, or remove the file',)))
    return found


def _record_of(path: Path, old: Optional[str], records: Dict[str, Record]) -> Record:
    """What was written to a file; where it came here with its bag, what was written to it there."""
    found = records.get(str(path))
    if found is None and old is not None:
        found = next((one for one in records.values() if one.digest == digest(old)), None)
    return found or Record()


def _plan(labelling: BagLabelling, recordings: Dict[str, QueueRecording], records: Dict[str, Record]) -> _Plan:
    with _open(labelling, recordings) as reader:
        path = place_of_labels(reader)
        earlier = earlier_labels(reader, labelling.recording)
        topics = image_topics(reader)
        old = read_text(path, most_bytes=MOST_LABEL_BYTES) if path.is_file() else None
        record = _record_of(path, old, records)
        before = _without_own(earlier.intervals, record, topics)
        labelling = _without_doubt(labelling, before)
        kept = with_frames(reader, outside(before, labelling.stretches, topics), before)
        intervals = with_earlier(labelling, before, kept)
        text = labels_text(intervals) if intervals else None
        if text is not None:
            _check_reads(text, intervals, reader, labelling.recording)
        notes = [*earlier.notes, *_where_from(reader, earlier, path)]
    wrote = (*labelling.intervals, *(LabelInterval(one.start_ns, one.end_ns, UNSURE, one.topic)
                                     for one in labelling.unsure))
    written = Record('' if text is None else digest(text), wrote, tuple(before), labelling.recording)
    return _Plan(labelling, path, old, text, written, len(kept), old is not None and digest(old) == record.digest,
                 tuple(notes))


def _plan_of_none(path: Path, record: Record) -> _Plan:
    """For a bag whose labels were all taken back."""
    old = read_text(path, most_bytes=MOST_LABEL_BYTES) if path.is_file() else None
    has_own = old is not None and digest(old) == record.digest
    before = joined(record.before)
    text = (labels_text(before) if before else None) if has_own else old
    notes = () if has_own or old is None else (
        f'{shown(path)}: the labels of its bag were taken back, but it was changed since it was written, and stays',)
    none = BagLabelling(path.parent.name, path.parent, ())
    return _Plan(none, path, old, text, Record(), len(before), has_own, notes)


def _carry_out(folder: Path, plan: _Plan, records: Dict[str, Record]) -> WrittenLabels:
    name, backup = str(plan.path), None
    if plan.text != plan.old:
        last = records.get(name, Record())
        # Whoever is killed in between leaves a record that knows both files for the queue's own.
        records[name] = Record(last.digest, (*last.wrote, *plan.record.wrote), plan.record.before,
                               plan.record.recording or last.recording)
        write_records(folder, records)
        if plan.old is not None and not plan.has_own:
            backup = _free_backup(plan.path, plan.old)
            write_whole(backup, plan.old, _REMEDY)
        if plan.text is None:
            plan.path.unlink(missing_ok=True)
        else:
            write_whole(plan.path, plan.text, _REMEDY)
    if records.get(name, Record()) != plan.record:
        records[name] = plan.record
        write_records(folder, {key: one for key, one in records.items() if one.wrote})
    counts = Counter(one.label for one in plan.labelling.intervals)
    return WrittenLabels(plan.labelling.recording, plan.path, dict(sorted(counts.items())), plan.kept,
                         plan.text != plan.old, backup, plan.notes)


def _write_one(said: _Said, path: Path) -> List[WrittenLabels]:
    """One file for all bags, which names them."""
    intervals: List[LabelInterval] = []
    bags: List[str] = []
    done = []
    # Among all of the queue, also those without labels: they must not get the labels of one of the same name.
    bags_there = list(dict.fromkeys([*(one.path for one in said.labellings),
                                     *(Path(one.path) for one in said.recordings.values())]))
    for labelling, name in zip(said.labellings, recording_names(bags_there)):
        with _open(labelling, said.recordings) as reader:
            earlier = earlier_labels(reader, labelling.recording)
            labelling = _without_doubt(labelling, earlier.intervals)
            kept = with_frames(reader, outside(earlier.intervals, labelling.stretches, image_topics(reader)),
                               earlier.intervals)
            own = with_earlier(labelling, earlier.intervals, kept)
            _check_reads(labels_text(own), own, reader, labelling.recording)
        intervals += own
        bags += [exact_name(labelling.path, name)] * len(own)
        counts = Counter(one.label for one in labelling.intervals)
        done.append(WrittenLabels(labelling.recording, path, dict(sorted(counts.items())), len(kept), True,
                                  notes=earlier.notes))
    text = labels_text(intervals, bags)
    old = read_text(path, most_bytes=MOST_LABEL_BYTES) if path.is_file() else None
    if old == text:
        return [replace(one, changed=False) for one in done]
    backup = None if old is None else _free_backup(path, old)
    if backup is not None:
        write_whole(backup, old or '')
    write_whole(path, text)
    return [replace(one, backup=backup) for one in done]


def place_of_labels(reader: BagReader) -> Path:
    """Where labels of a bag alone are read first: in its folder, or beside its file; resolved."""
    return _place(reader.path)


def _place(bag: Path) -> Path:
    path = bag.resolve()
    return path / LABELS_FILE if path.is_dir() else path.with_name(f'{stem(path)}.{LABELS_FILE}')


def _where_from(reader: BagReader, earlier: EarlierLabels, path: Path) -> List[str]:
    files = label_files_beside(reader.files)
    if not earlier.source or (files and files[0].resolve() == path):
        return []
    return [f'{shown(path)}: also holds what {earlier.source} says of this bag, which is not read any more']


def _without_own(intervals: Sequence[LabelInterval], record: Record, topics: Sequence[str]) -> List[LabelInterval]:
    """What was there before the queue, and what others have changed since."""
    own: List[TopicStretch] = []
    for one in record.wrote:
        there = inside(intervals, TopicStretch(one.topic or '', one.start_ns, one.end_ns))
        parts: Iterable[LabelInterval] = (part for part in there if part.label == one.label)
        if one.label == UNSURE:  # the queue took away what was there
            parts = outside([one], [TopicStretch(part.topic or '', part.start_ns, part.end_ns) for part in there], ())
        own += [TopicStretch(part.topic or '', part.start_ns, part.end_ns) for part in parts]
    return joined([*outside(intervals, own, topics), *(part for one in own for part in inside(record.before, one))])


def _open(labelling: BagLabelling, recordings: Dict[str, QueueRecording]) -> BagReader:
    """The bag, if it is the one that was mined: another one may lie at its path, seen from another folder, say."""
    mined = recordings.get(labelling.recording)
    if mined is None and not labelling.path.is_absolute():
        raise ConfigError(f'{shown(labelling.path)}: the queue has labels of it but does not tell which bag it is, for '
                          'the present mining is without it and the path is relative; mine into the queue again with '
                          'it among the bags')
    try:
        reader = BagReader(labelling.path)
    except BagError as error:
        raise ConfigError(f'{error}; the queue has labels of it: mine into the queue again with the bag where it lies '
                          'now, or run the command where the bag can be found by the path that was given to '
                          '`robot-vision mine`') from error
    start_ns = reader.start_ns or 0
    if mined is not None and start_ns != mined.start_ns:
        reader.close()
        raise ConfigError(f'{shown(labelling.path)}: is not the bag that was mined as '
                          f'{printable(labelling.recording)}: its first message was received '
                          f'at {start_ns} ns, and of that one at {mined.start_ns} ns; '
                          'run the command in the folder in which `robot-vision mine` was run, or mine into the queue '
                          'again with the bag where it lies now')
    return reader


def _check_reads(text: str, intervals: Sequence[LabelInterval], reader: BagReader, recording: str) -> None:
    """Raise :class:`ConfigError` unless reading the text gives the intervals."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / LABELS_FILE
        path.write_text(text, encoding='utf-8', errors='surrogatepass')
        try:
            read = labels_of_file(path, reader, recording, 0).intervals if intervals else ()
        except ConfigError as error:
            raise ConfigError(f'{shown(reader.path)}: its labels cannot be written as {LABELS_FILE}: '
                              f'{str(error).replace(str(path), "it")}') from error
    assert [replace(one, where='') for one in read] == list(intervals)


def _checked(piece: LabelledPiece) -> str:
    label = check_label(piece.label, f'{printable(piece.recording)} {printable(piece.topic)} at {piece.start_ns} ns')
    if not label:
        raise ConfigError(f'{printable(piece.recording)} {printable(piece.topic)} at {piece.start_ns} ns: the label is '
                          'empty')
    return label


def _free_backup(path: Path, text: str) -> Path:
    """Where to keep a file: a name that is free, or that has the same content already."""
    number = 1
    while True:
        found = path.with_name(f'{path.name}.bak{number if number > 1 else ""}')
        if not found.exists() or found.read_bytes() == text.encode('utf-8'):
            return found
        number += 1

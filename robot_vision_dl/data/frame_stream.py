"""The frames of some sources that are labelled and selected, one after another, with bounded memory."""
from collections import Counter
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..core.errors import ConfigError, ImageError
from ..core.suggestions import did_you_mean
from ..core.types import UNKNOWN, ImageMessage, Picture
from .frame_sources import Source
from .labels.labels import IGNORE, Finding, LabelledFrame
from .labels.report import LabelCounter, LabelReport
from .repeats import Repeats
from .selection import Pace, SelectionConfig, SelectionReport, Selector, perceptual_hash


class Sample(NamedTuple):
    """A selected frame with its picture, which is valid until the next one is asked for.

    Attributes:
        frame: label and whereabouts.
        picture: decoded pixels.
        picture_hash: its perceptual hash.
        message: the image message it came in; None for a picture of a folder.
    """

    frame: LabelledFrame
    picture: Picture
    picture_hash: int
    message: Optional[ImageMessage]


class FrameStream:
    """The frames of ``sources`` that are labelled and selected, with their pictures; for iterating over once.

    Attributes:
        label_report, selection_report: of what has been iterated over so far.
    """

    def __init__(self, sources: Sequence[Source], selection: SelectionConfig, class_names: Sequence[str] = ()
                 ) -> None:
        """``class_names``: what labels may be, beside ``unknown``; empty allows all."""
        self._sources = sources
        self._selection = selection
        self._class_names = class_names
        self._counter = LabelCounter()
        self._counts: Counter[str] = Counter()
        self._problems: Dict[Tuple[str, str, str], str] = {}  # the first of each kind
        self._unreadable: Counter[Tuple[str, str, str]] = Counter()
        self._selectors: List[Selector] = []
        self._repeats = Repeats()

    def __iter__(self) -> Iterator[Sample]:
        """Raises :class:`ConfigError` for a label that is no class."""
        expected: Counter[str] = Counter()
        for source in self._sources:
            expected.update(source.expected)
        pace = Pace(self._selection.least, expected)
        for source in self._sources:
            selector = Selector(self._selection, pace)
            self._selectors.append(selector)
            for frame, verdict, load in source.candidates(self._counter):
                self._counter.add(frame.recording, frame.topic, frame.stamp_ns, verdict)
                if verdict.finding is not Finding.LABELLED:
                    continue
                self._check_class(frame)
                if not selector.is_due(frame.recording, frame.topic, frame.stamp_ns, frame.label, frame.track):
                    self._counts['too_soon'] += 1
                    continue
                try:
                    picture, message = load()
                except ImageError as error:
                    kind = frame.recording, frame.topic, str(error.reason)
                    self._unreadable[kind] += 1
                    self._problems.setdefault(kind, f'{" ".join(filter(None, kind[:2]))}: {error}')
                    continue
                self._repeats.see((frame.recording, frame.topic), frame.stamp_ns, picture)
                picture_hash = perceptual_hash(picture)
                if not selector.is_new(frame.recording, frame.topic, frame.label, picture_hash):
                    self._counts['duplicates'] += 1
                    continue
                self._counts['kept'] += 1
                yield Sample(frame, picture, picture_hash, message)

    def _check_class(self, frame: LabelledFrame) -> None:
        if self._class_names and frame.label not in self._class_names and frame.label != UNKNOWN:
            where = ' '.join(filter(None, (frame.recording, frame.topic)))  # pictures of a folder have no topic
            hint = did_you_mean(frame.label, self._class_names)
            raise ConfigError(f'{where}: the label {frame.label!r} is not among the classes; {hint}'
                              f'{"" if hint.endswith("?") else "."} If it is none of them, label it {UNKNOWN!r}; '
                              f'{IGNORE!r} leaves it out')

    @property
    def label_report(self) -> LabelReport:
        """Labels of the frames seen so far."""
        return self._counter.report([problem for source in self._sources for problem in source.problems],
                                    [note for source in self._sources for note in source.notes])

    def _told(self) -> Tuple[str, ...]:
        """The first unreadable frame of each kind, and how many there are."""
        return tuple(first + (f' ({self._unreadable[kind]} such pictures are left out)'
                              if self._unreadable[kind] > 1 else ' (left out)')
                     for kind, first in self._problems.items())

    @property
    def selection_report(self) -> SelectionReport:
        """Frames kept and left out so far."""
        counts = self._counts
        closer: Counter[str] = sum((selector.closer for selector in self._selectors), Counter())
        alike: Counter[str] = sum((selector.alike for selector in self._selectors), Counter())
        return SelectionReport(counts['kept'], counts['too_soon'], counts['duplicates'], self._unreadable.total(),
                               self._told(), closer.total(), alike.total(),
                               tuple(sorted(closer | alike)), self._selection.least, self._repeats.longest_s)

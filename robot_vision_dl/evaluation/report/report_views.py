"""What several parts of the report are made of, as its templates take it."""
from dataclasses import dataclass
from typing import List, Tuple


@dataclass(frozen=True)
class Tile:
    """A figure with what it is and a note.

    Attributes:
        mood: good, care or bad; empty for neither.
    """

    value: str
    label: str
    note: str = ''
    mood: str = ''


@dataclass(frozen=True)
class EvidenceView:
    """What speaks for the class ``name``, laid over the picture; JPEG in base64."""

    name: str
    jpeg: str


@dataclass(frozen=True)
class Example:
    """A frame that is shown.

    Attributes:
        jpeg: in base64.
        alt: what is read where the picture cannot be seen.
        label: what it is; empty where nobody says.
        said: the decision, and how sure it was.
        alone: the same of this frame by itself; empty for a picture, which always is.
        where: recording, topic and time; of a picture its file.
        command: that explains a mistake; empty for what is none.
        evidence: for what was said and for what it is; may be empty.
        place: shares of the evidence inside the object's boxes and of the area that they take; empty: not known.
    """

    jpeg: str
    alt: str
    label: str
    said: str
    alone: str
    where: str
    evidence: Tuple[EvidenceView, ...] = ()
    place: Tuple[float, ...] = ()
    command: str = ''


@dataclass(frozen=True)
class Gallery:
    """Frames of one kind.

    Attributes:
        part: what its id ends with.
        order: which come first.
        count: how many there are.
        examples: those that are shown.
    """

    part: str
    title: str
    order: str
    count: int
    examples: List[Example]

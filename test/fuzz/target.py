"""What a fuzzed reader is to the campaign: a maker of inputs, and a call that may only refuse in the documented way."""
import json
import random
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Dict, Tuple, Type

ACCEPTED = 'accepted'


class Finding(AssertionError):
    """The reader accepted what it must not accept; the message says what."""


class Target(ABC):
    """One kind of input.

    Attributes:
        name: on the command line and in the table.
        documented: the exceptions that the reader's docstring names; anything else that is raised is a failure.
        cases: how many inputs the whole campaign has.
    """

    name: str
    documented: Tuple[Type[Exception], ...]
    cases: int

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Make the corpus in an empty folder of this worker's own."""

    @abstractmethod
    def case(self, rng: random.Random) -> bytes:
        """An input, by ``rng`` alone; whole in itself, so that it can be saved, made smaller and tried again."""

    def lay_out(self, data: bytes) -> None:  # noqa: B027 most have nothing to lay out
        """Write files that :meth:`run` then reads; neither time nor memory of it count."""

    @abstractmethod
    def run(self, data: bytes) -> str:
        """Read it; returns :data:`ACCEPTED`, or a word for what was found (damage that was told, say).

        Raises:
            Finding: it was accepted and must not be.
        """


def pack(about: Dict[str, Any], content: bytes) -> bytes:
    """An input with a line of JSON before it that says what it is."""
    return json.dumps(about, sort_keys=True).encode() + b'\n' + content


def unpack(data: bytes) -> Tuple[Dict[str, Any], bytes]:
    """The opposite of :func:`pack`."""
    about, _, content = data.partition(b'\n')
    return json.loads(about), content

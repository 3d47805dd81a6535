"""What is done with one recording, whatever it is: the unit that is shared out, and that fails alone."""
import traceback
from pathlib import Path
from typing import Callable, Protocol, TypeVar

from ..core.errors import RobotVisionError, raise_about_machine
from .recordings import Recording

Outcome = TypeVar('Outcome')
Gives = TypeVar('Gives', covariant=True)

Progress = Callable[[str, int], None]
"""Called with a recording's name and the frames of it that are done."""
Settle = Callable[[int, Outcome], None]
"""Called with the number of a work and its outcome, as soon as it is there."""


class Work(Protocol[Gives]):
    """Something to do with a recording, anywhere: it goes to other processes and machines by pickle."""

    @property
    def recording(self) -> Recording:
        """What it is done with."""

    def run(self, progress: Progress) -> Gives:
        """Do it; raises :class:`RobotVisionError` for wrong use, bad input, or a machine that fails."""

    def failed(self, failure: str) -> Gives:
        """The outcome of what ran into a fault, or whose process died, and why."""


def run_or_fail(work: Work[Outcome], progress: Progress = lambda _name, _done: None) -> Outcome:
    """Do it; a fault in it is an outcome, so that it does not cost those of the others.

    Raises:
        RobotVisionError: wrong use, bad input, or a machine that fails (a full disk, no permission).
    """
    try:
        return work.run(progress)
    except RobotVisionError:
        raise
    except MemoryError:
        return work.failed('there is not enough memory for it')
    except Exception as error:
        raise_about_machine(error, work.recording.path)
        place = traceback.extract_tb(error.__traceback__)[-1]
        return work.failed(f'{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})')

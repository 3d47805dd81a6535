"""Export labels of a queue, import them."""
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from ...core.errors import OutputError
from ...core.files.user_path import user_path
from ...core.files.whole_files import is_free, whole_folder
from ..events import RESERVED, EventStore, read_events
from ..queue_file import QueueFile
from ..state import fold
from . import foxglove
from .formats import AUTO, FORMATS, FOXGLOVE, format_of
from .image_folder import with_classes
from .merging import Merged, merged
from .picture_files import save_from_bags, save_from_queue
from .pictures import class_list, export_pictures


class Exported(NamedTuple):
    """What was written.

    Attributes:
        pictures: how many.
        stretches: that they are of, or that events are of.
        without: labelled stretches that are left out, since the queue has no picture of them.
    """

    pictures: int
    stretches: int
    without: int


class Imported(NamedTuple):
    """What was read and stored.

    Attributes:
        form: name of the format.
        merged: what it meant.
        stored: events that are new.
    """

    form: str
    merged: Merged
    stored: int


def export_labels(folder: Path, out: Path, form: str, what: str = 'labelled', most: int = 0, full: bool = False,
                  progress: Optional[Callable[[int], None]] = None) -> Exported:
    """Write labels and pictures to a new folder; all of it is there at the end, or nothing.

    Args:
        folder: of the queue.
        form: one of :data:`FORMATS`, or ``foxglove``, which has no pictures.
        what: one of :data:`..exchange.pictures.WHAT`.
        most: pictures of a stretch; 0: all that the queue has.
        full: frames of the bags, not the small pictures of the queue.
        progress: is called with the number of pictures so far.

    Raises:
        ConfigError: the folder is no queue, a bag cannot be read, or a label cannot be written so.
        OutputError: it cannot be written, or ``out`` is there already.
    """
    out = user_path(out)
    if not is_free(out):
        raise OutputError(f'{out}: is there already, and nothing in it is replaced; choose another name')
    with QueueFile(folder) as queue, whole_folder(out) as work:
        state = fold(queue, read_events(folder))
        if form == FOXGLOVE:
            pieces = state.labelled(unsure=True)
            foxglove.write(work, pieces)
            return Exported(0, len(pieces), 0)
        found = export_pictures(queue, state, what, most)
        files = [f'{place}.jpg' for place in FORMATS[form].places(found.pictures)]
        for parent in sorted({(work / name).parent for name in files}):
            parent.mkdir(parents=True, exist_ok=True)
        save = save_from_bags if full else save_from_queue
        save(queue, found.pictures, [work / name for name in files], progress)
        FORMATS[form].write(work, found.pictures, files, class_list(state, found.pictures))
    return Exported(len(found.pictures), found.stretches, found.without)


def import_labels(folder: Path, path: Path, form: str = AUTO, clear: bool = False) -> Imported:
    """Take over what another program says of the pictures of an export; a second time changes nothing.

    Args:
        folder: of the queue.
        path: what the program has exported: a folder, or its file of labels.
        form: one of :data:`FORMATS`, or ``auto``.
        clear: pictures without a label take the label away.

    Raises:
        ConfigError: something in it cannot be read or is no label; nothing is stored then.
        OutputError: the labels cannot be stored.
    """
    path = user_path(path)
    form = format_of(path, form)
    with QueueFile(folder) as queue:
        said = list(FORMATS[form].read(path))
        with EventStore(folder) as store, store.writing() as write:  # nobody labels in between
            state = fold(queue, store.events())
            names = dict.fromkeys((*state.class_names, *RESERVED, *sorted({one.label for one in state.labelled()})))
            result = merged(state, with_classes(said, list(names)), clear, form)
            stored = [write('import', f'import:{form}', action) for action in result.actions]
    return Imported(form, result, sum(one.is_new for one in stored))

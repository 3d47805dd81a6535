"""Objects of labelled pictures as pictures of their own, one folder a class, cut out as the live node cuts them out.

Written without loss: what a network gets from the file is what it would get from the whole picture, bit for bit.
``index.csv`` says which recording and which picture each is from, ``crops.json`` how it was cut out.
"""
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

import cv2
import numpy as np

from .. import __version__
from ..core.config import DetectionsConfig, check_values, option
from ..core.errors import BagError, ConfigError, ImageError
from ..core.files.user_path import user_path
from ..core.files.whole_files import is_free, whole_folder
from ..core.networks.preprocess import Preprocessing
from ..core.regions.crop import BoxError, check_box, crop
from ..core.regions.detections import Box
from ..core.suggestions import did_you_mean
from ..core.text.csv_cells import csv_writer, safe_cell
from ..core.text.json_text import parse_json
from ..core.text.number_options import LARGEST_SEED
from ..core.types import UNKNOWN, Picture
from .background import background_boxes
from .class_folders import FACTS, class_folder, end_of
from .folders import LeftOut, shown
from .labels.labels import IGNORE
from .labels.objects.labelled_picture import UNREADABLE, LabelledObject, LabelledPicture, bounds
from .picture_index import INDEX, INDEX_COLUMNS, PICTURE
from .pictures import as_bgr, read_picture

SCHEMA_VERSION = 1
_PERIOD_NS = 1_000_000_000  # as of any folder of pictures
_MOST_NAME_BYTES = 150
_NOT_IN_A_NAME = re.compile(r'[<>:"/\\|?*\0-\x1f]|^\.')
_OF_BOXES = {'box_not_finite': 'boxes that are not finite numbers', 'box_without_area': 'boxes without area',
             'box_outside': 'boxes of which nothing is in the picture'}
_TOO_SMALL = 'objects that are smaller in the picture than --least-side'


@dataclass(frozen=True)
class CropConfig:
    """What is cut out."""

    margin: float = option(
        DetectionsConfig.margin, "around each box, as a share of its longer side; the node's detections.margin must "
        'be the same', minimum=0.0, maximum=10.0)
    background: int = option(
        0, 'boxes a picture of no labelled object, of sizes as the labelled ones have, labelled unknown', minimum=0,
        maximum=1000)
    classes: Tuple[str, ...] = option((), 'classes that are cut out; default: all')
    unknown_classes: Tuple[str, ...] = option((), 'classes whose objects are labelled unknown: things of no class')
    least_side: float = option(
        1.0, 'objects of which less than so many pixels are in the picture, in width or height, are left out',
        minimum=0.0, maximum=1e6)
    depth: int = option(
        1, 'folders below the source that name a recording, which is kept in one part of a split: 1, the outermost '
        'ones; 0: all of it is one recording', minimum=0, maximum=100)
    seed: int = option(0, 'of the background boxes', minimum=0, maximum=LARGEST_SEED)

    def __post_init__(self) -> None:
        check_values(self, 'crop.')


class CropCounts(NamedTuple):
    """What was written: pictures a label, of how many whole pictures, and sentences about what was left out."""

    counts: Dict[str, int]
    pictures: int
    notes: Tuple[str, ...]


def cut_out(pictures: Sequence[LabelledPicture], source: Union[str, Path], out: Union[str, Path], spec: Preprocessing,
            config: CropConfig, labels: str = '', progress: Optional[Callable[[int], None]] = None) -> CropCounts:
    """Write each object to ``<out>/<class>/<recording>__<picture>__<number>.png``; all is there at the end, or nothing.

    A recording is named after ``source`` and the outermost folders in it that lead to the picture, ``config.depth`` of
    them.

    Args:
        spec: of the network that is to see them; the shape of its input counts.
        labels: the format that they were read from, for ``crops.json``.
        progress: is called with the number of whole pictures that are done.

    Raises:
        BagError: ``out`` has files in it, or is within ``source``; or nothing is left to cut out.
        ConfigError: a class that is named is not in the labels, or one cannot have a folder.
        OutputError: it cannot be written.
    """
    source, out = user_path(source), user_path(out)
    if not is_free(out):
        raise BagError(f'{shown(out)}: is not empty, and nothing in it is replaced; choose another folder')
    if source.resolve() in (out.resolve(), *out.resolve().parents):
        raise BagError(f'{shown(out)}: is within {shown(source)}, whose pictures would be joined by it; choose a '
                       'folder outside')
    _check_classes(pictures, config)
    left_out = LeftOut()
    with whole_folder(out) as work:
        writer = CropWriter(work, source, spec, config, left_out)
        sizes = [(item.box.width, item.box.height) for picture in pictures for item in picture.objects]
        rng = np.random.default_rng(config.seed)
        for number, picture in enumerate(pictures, 1):
            items = _items(picture, config, left_out, source)
            # Drawn before anything can be left out, so that one box less does not change all others.
            drawn = background_boxes(
                (picture.width, picture.height),
                [*(bounds(item.box) for item in picture.objects), *map(bounds, picture.crowds)], sizes,
                config.background, config.margin, rng)
            if len(drawn) < config.background:
                left_out.add('background boxes for which there is no room', picture.path, source,
                             config.background - len(drawn))
            writer.write(picture, items, drawn)
            if progress is not None:
                progress(number)
        notes = left_out.notes(source)
        if not writer.rows:
            raise BagError(f'{shown(source)}: nothing is left to cut out: '
                           f'{"; ".join(notes) or "no object is labelled"}')
        writer.finish({'source': source.resolve().name, 'labels': labels, 'left_out': list(notes)})
    return CropCounts(dict(sorted(writer.counts.items())), len(pictures), notes)


def margin_of(folders: Sequence[Union[str, Path]]) -> Optional[float]:
    """The margin of what was cut out to ``folders``; None where none is of crops, or they differ in it."""
    found: Set[float] = set()
    for folder in folders:
        path = user_path(folder) / FACTS
        if path.is_file():
            facts = parse_json(path.read_bytes(), shown(path))
            margin = facts.get('margin') if isinstance(facts, dict) else None
            if isinstance(margin, (int, float)) and not isinstance(margin, bool):
                found.add(float(margin))
    return found.pop() if len(found) == 1 else None


class Origin(NamedTuple):
    """What a crop is from.

    Attributes:
        recording: its name.
        picture: name of the whole picture, unique within the recording; crops of one stay together.
        file: what the crop's file is called after, beside the recording.
        path: of the picture or bag, for messages.
        topic, stamp_ns, receive_ns, place: of an image of a bag; of a picture file there are none.
    """

    recording: str
    picture: str
    file: str
    path: Path
    topic: str = ''
    stamp_ns: int = 0
    receive_ns: int = 0
    place: int = 0


class CropWriter:
    """Crops of one picture after another."""

    def __init__(self, work: Path, source: Path, spec: Preprocessing, config: CropConfig, left_out: LeftOut) -> None:
        self.rows: List[List[object]] = []
        self.counts: Counter[str] = Counter()
        self._work, self._source, self._spec, self._config = work, source, spec, config
        self._left_out = left_out
        self._name = source.resolve().name or 'pictures'
        self._used: Set[str] = set()

    def write(self, picture: LabelledPicture, items: Sequence[Tuple[int, LabelledObject]], background: Sequence[Box]
              ) -> None:
        """Write the objects of a picture file, and its background."""
        if not items and not background:
            return
        try:
            whole = read_picture(picture.path)
        except ImageError:
            self._left_out.add(UNREADABLE, picture.path, self._source)
            return
        parts = PurePosixPath(picture.name).parts
        folders = parts[:-1][:self._config.depth]
        below = '_'.join(PurePosixPath(picture.name).with_suffix('').parts[len(folders):])
        origin = Origin('/'.join((self._name, *folders)), picture.name, below, picture.path)
        for number, item in items:
            self.one(whole, item, origin, f'{number:02d}')
        for number, box in enumerate(background):
            self.one(whole, LabelledObject(box, UNKNOWN), origin, f'background{number:02d}')

    def one(self, whole: Picture, item: LabelledObject, origin: Origin, number: str) -> None:
        """Write one object of a picture, or note why not; ``number`` tells it from others of the picture."""
        try:
            cut = crop(whole, item.box, self._spec, self._config.margin)
        except BoxError as error:
            self._left_out.add(_OF_BOXES[error.reason], origin.path, self._source)
            return
        if cut.shortest_side < self._config.least_side:
            self._left_out.add(_TOO_SMALL, origin.path, self._source)
            return
        path = self._place(item.label, origin, number)
        done, data = cv2.imencode('.png', np.ascontiguousarray(as_bgr(cut.picture)))
        if not done:
            raise BagError(f'{shown(origin.path)}: a part of {cut.picture.width}x{cut.picture.height} pixels cannot '
                           'be written as PNG')
        path.write_bytes(data.tobytes())
        stamp_ns = receive_ns = (len(self.rows) + 1) * _PERIOD_NS
        index = len(self.rows)
        if origin.topic:
            stamp_ns, receive_ns, index = origin.stamp_ns, origin.receive_ns, origin.place
        self.rows.append([safe_cell(str(path.relative_to(self._work))), safe_cell(item.label),
                          safe_cell(origin.recording), safe_cell(origin.topic), stamp_ns, receive_ns,
                          safe_cell(item.track or ''), index, safe_cell(origin.picture)])
        self.counts[item.label] += 1

    def _place(self, label: str, origin: Origin, number: str) -> Path:
        folder = self._work / _folder_of(label)
        folder.mkdir(exist_ok=True)
        names = (re.sub(r'[^\w.+-]+', '_', text) for text in (origin.recording, origin.file))
        base = end_of('__'.join(names), _MOST_NAME_BYTES).lstrip('.')
        name, more = f'{base}__{number}.png', 1
        while f'{folder.name}/{name}'.casefold() in self._used:
            more += 1
            name = f'{base}__{number}_{more}.png'
        self._used.add(f'{folder.name}/{name}'.casefold())
        return folder / name

    def finish(self, facts: Dict[str, Any]) -> None:
        """Write ``index.csv`` and ``crops.json``."""
        with open(self._work / INDEX, 'w', encoding='utf-8', errors='surrogateescape', newline='') as file:
            rows = csv_writer(file)
            rows.writerow((*INDEX_COLUMNS, PICTURE))
            rows.writerows(self.rows)
        config = self._config
        (self._work / FACTS).write_text(json.dumps({
            'schema': SCHEMA_VERSION, 'made_by': f'robot_vision_dl {__version__}', 'margin': config.margin,
            'input': {'crop': list(self._spec.crop), 'resize': self._spec.resize}, 'background': config.background,
            'unknown_classes': list(config.unknown_classes), 'depth': config.depth, 'least_side': config.least_side,
            'seed': config.seed,
            'counts': dict(sorted(self.counts.items())), **facts}, indent=1) + '\n', encoding='utf-8')


def unusable(box: Box) -> str:
    """What is left out where a box is none in any picture; empty where it is one."""
    try:
        check_box(box)
    except BoxError as error:
        return _OF_BOXES[error.reason]
    return ''


def _folder_of(label: str) -> str:
    return class_folder(_NOT_IN_A_NAME.sub('_', label), label)


def _items(picture: LabelledPicture, config: CropConfig, left_out: LeftOut, source: Path
           ) -> List[Tuple[int, LabelledObject]]:
    """The objects that are cut out, with their labels, and their numbers in the picture."""
    found = []
    for number, item in enumerate(picture.objects):
        if item.label == IGNORE:
            left_out.add('objects that are labelled ignore', picture.path, source)
        elif item.label in config.unknown_classes:
            found.append((number, LabelledObject(item.box, UNKNOWN, item.track)))
        elif item.label == UNKNOWN or not config.classes or item.label in config.classes:
            found.append((number, item))
        else:
            left_out.add(f'objects of classes that are not named: {shown(item.label)}', picture.path, source)
    return found


def _check_classes(pictures: Sequence[LabelledPicture], config: CropConfig) -> None:
    there = sorted({item.label for picture in pictures for item in picture.objects})
    for option_name, names in (('--classes', config.classes), ('--unknown-classes', config.unknown_classes)):
        for name in names:
            if name not in there:
                raise ConfigError(f'{option_name}: no object is labelled {name!r:.80}; {did_you_mean(name, there)}')
    both = set(config.classes) & set(config.unknown_classes)
    if both:
        raise ConfigError(f'--classes and --unknown-classes both name {", ".join(sorted(both))}; name each once')
    for name in there:
        if name not in (IGNORE, *config.unknown_classes) and (not config.classes or name in config.classes):
            _folder_of(name)

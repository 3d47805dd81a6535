"""A split on disk: for people which recordings are in which part, for programs the part of each frame."""
import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Union

import numpy as np

from ..core.errors import DataError, is_about_machine
from ..core.files.whole_files import write_whole
from ..core.text.json_text import parse_json
from .division import PARTS, Part, SplitConfig
from .labels.labels import LabelledFrame
from .split import SCHEMA_VERSION, Split, inputs_hash, make_split


def load_or_make_split(path: Union[str, Path], frames: Sequence[LabelledFrame], config: SplitConfig,
                       in_use: bool = True, named: Optional[Mapping[str, Part]] = None,
                       learned: Optional[np.ndarray] = None) -> Split:
    """The split in the file ``path``; made and written there if there is none.

    Args:
        in_use: something was learned with the split in the file, so that another one may not take its place.
        named, learned: as for :func:`~.split.make_split`.

    Raises:
        DataError: the file is in use and of other frames or settings, or damaged, or no split can be made.
    """
    path = Path(path)
    if path.exists():
        try:
            return read_split(path, frames, config, named, learned)
        except DataError:
            if in_use:
                raise
    split = make_split(frames, config, named, learned)
    write_split(path, split, frames, config)
    return split


def write_split(path: Union[str, Path], split: Split, frames: Sequence[LabelledFrame], config: SplitConfig) -> None:
    """Write a split as JSON: for people which recordings are in which part, for programs each frame's."""
    names = [part.value if part else None for part in split.parts]
    by_part: Dict[str, List[str]] = {}
    for frame, name in zip(frames, names):
        known = by_part.setdefault(name or 'gap', [])
        if frame.recording not in known:
            known.append(frame.recording)
    content = {
        'schema': SCHEMA_VERSION, 'inputs_hash': split.inputs_hash, 'method': split.method, 'config': asdict(config),
        'recordings': by_part, 'counts': {part.value: split.counts(part) for part in PARTS},
        'warnings': list(split.warnings),
        # Part and how many frames in a row are in it, in the order of the frames.
        'runs': [[name, len(list(run))] for name, run in groupby(names)]}
    write_whole(path, json.dumps(content, indent=1) + '\n')


def read_split(path: Union[str, Path], frames: Sequence[LabelledFrame], config: SplitConfig,
               named: Optional[Mapping[str, Part]] = None, learned: Optional[np.ndarray] = None) -> Split:
    """The split of ``frames`` in a file.

    Raises:
        DataError: it cannot be read, or is of other frames or settings.
    """
    try:
        content = parse_json(Path(path).read_bytes(), 'its text')
        parts = [None if name is None else Part(name) for name, count in content['runs'] for _ in range(count)]
        found, schema = content['inputs_hash'], content['schema']
        method, warnings = content['method'], tuple(content['warnings'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, OSError) and is_about_machine(error):
            raise
        raise DataError(f'{path}: the split cannot be read ({error}); `robot-vision train` with --restart makes a '
                        'new one and trains anew') from error
    if schema != SCHEMA_VERSION or found != inputs_hash(frames, config, named, learned) or len(parts) != len(frames):
        raise DataError(f'{path}: this split was made of other frames, labels or settings. Test frames of then may be '
                        'training frames of now. `robot-vision train` with --restart forgets the earlier run and makes '
                        'a new split; or choose another name for this run')
    return Split(method, tuple(parts), tuple(frame.label for frame in frames), found, warnings)

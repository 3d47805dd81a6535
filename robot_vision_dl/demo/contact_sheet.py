"""The pictures that the demo leaves: chosen, saved, and all of them on one sheet."""
from pathlib import Path
from typing import Callable, List, Sequence, Tuple

import cv2
import numpy as np

from ..core.files.whole_files import write_whole
from .watcher import Seen

MOST_PICTURES = 12
COLUMNS = 3
ContactSheet = List[Tuple[Seen, bytes]]


def _evenly(entries: ContactSheet, most: int) -> ContactSheet:
    if len(entries) <= most:
        return entries
    return [entries[round(i)] for i in np.linspace(0, len(entries) - 1, most)]


def choose_pictures(pictures: ContactSheet, changes: Sequence[Seen]) -> ContactSheet:
    """Changes first, then stills, evenly chosen if there are many; in the order of time."""
    changed = _evenly([entry for entry in pictures if entry[0] in changes], MOST_PICTURES)
    stills = [entry for entry in pictures if entry[0] not in changes]
    return sorted(changed + _evenly(stills, MOST_PICTURES - len(changed)), key=lambda entry: entry[0].stamp_ns)


def save_pictures(folder: Path, album: ContactSheet, seconds: Callable[[Seen], float]) -> List[Path]:
    """Save each, and ``overview.jpg`` with all of them."""
    paths, tiles = [], []
    for frame, jpeg in album:
        path = folder / f'overlay_{seconds(frame):05.1f}s_{frame.label.replace(" ", "_").replace("/", "_")}.jpg'
        write_whole(path, jpeg)
        paths.append(path)
        tile = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert tile is not None
        tiles.append(tile)
    if tiles:
        height, width = tiles[0].shape[:2]
        tiles = [cv2.resize(tile, (width, height)) for tile in tiles]
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
        rows = [np.hstack(tiles[i:i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
        sheet = cv2.imencode('.jpg', np.vstack(rows), (cv2.IMWRITE_JPEG_QUALITY, 88))[1]
        write_whole(folder / 'overview.jpg', sheet.tobytes())
    return paths


def summary(title: str, lines: Sequence[str], album: ContactSheet, paths: Sequence[Path]) -> str:
    """The summary in Markdown."""
    text = [f'# Demo: {title}', '', '```', *lines, '```', '', '![overview](overview.jpg)', '', '| overlay | file |',
            '|---|---|']
    text += [f'| {frame.label}, {frame.confidence:.2f}: {frame.reason} | {path.name} |'
             for (frame, _), path in zip(album, paths)]
    return '\n'.join(text) + '\n'

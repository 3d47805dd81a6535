"""A sheet of small pictures with captions, for looking at what a network is shown."""
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import torch

from ..core.files.whole_files import write_whole
from ..core.networks.preprocess import Preprocessing
from ..core.types import Picture
from .dataset import FrameDataset

_CAPTION_PX = 16
_BORDER_PX = 2


def to_pixels(picture: torch.Tensor, preprocessing: Preprocessing) -> np.ndarray:
    """A normalised picture (C, H, W) as it looks: uint8, shape (H, W, 3) RGB."""
    mean = torch.tensor(preprocessing.mean)[:, None, None]
    std = torch.tensor(preprocessing.std)[:, None, None]
    values = (picture.float().cpu() * std + mean).mul(255).round().clamp(0, 255).to(torch.uint8)
    return values.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()


def contact_sheet(pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int, side: int = 128) -> np.ndarray:
    """Pictures (uint8 (H, W, 3) RGB) in rows of ``columns``, each fitted into ``side`` pixels, as one such picture."""
    rows: List[np.ndarray] = []
    cells = [_cell(picture, caption, side) for picture, caption in zip(pictures, captions)]
    for begin in range(0, len(cells), columns):
        row = cells[begin:begin + columns]
        row += [np.full_like(cells[0], 255)] * (columns - len(row))
        rows.append(np.hstack(row))
    return np.vstack(rows)


def _cell(picture: np.ndarray, caption: str, side: int) -> np.ndarray:
    scale = side / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    cell = np.full((side + _CAPTION_PX + 2 * _BORDER_PX, side + 2 * _BORDER_PX, 3), 255, np.uint8)
    top, left = _BORDER_PX + (side - size[1]) // 2, _BORDER_PX + (side - size[0]) // 2
    cell[top:top + size[1], left:left + size[0]] = small
    text = caption if len(caption) <= side // 7 else caption[:side // 7 - 1] + '~'
    # OpenCV's fonts are ASCII only.
    text = text.encode('ascii', 'replace').decode()
    cv2.putText(cell, text, (_BORDER_PX, cell.shape[0] - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return cell


def write_sheet(path: Union[str, Path], sheet: np.ndarray) -> None:
    """Write a sheet (RGB) as PNG.

    Raises:
        OutputError: it cannot be written.
    """
    write_whole(path, cv2.imencode('.png', cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())


def augmented_sheet(dataset: FrameDataset, preprocessing: Preprocessing, rows: int = 6, columns: int = 8,
                    plain: Optional[Callable[[Picture], torch.Tensor]] = None) -> np.ndarray:
    """A row a frame, classes in turn: the frame as ``plain`` (if given) transforms it, then as in epochs 0, 1...

    Returns:
        uint8, shape (H, W, 3) RGB.
    """
    pictures, captions = [], []
    for place in _in_turn(dataset.targets, rows):
        frame = dataset.store.frames[int(dataset.indices[place])]
        if plain is not None:
            pictures.append(to_pixels(plain(dataset.store.picture(int(dataset.indices[place]))), preprocessing))
            captions.append(frame.label)
        for epoch in range(columns - (plain is not None)):
            dataset.set_epoch(epoch)
            pictures.append(to_pixels(dataset[place].picture, preprocessing))
            captions.append(f'{frame.label} {epoch}')
    dataset.set_epoch(0)
    return contact_sheet(pictures, captions, columns)


def _in_turn(targets: np.ndarray, count: int) -> Tuple[int, ...]:
    """Places of ``count`` items: of each class in turn, spread over the set."""
    by_class = [np.flatnonzero(targets == target) for target in np.unique(targets)]
    rounds = -(-count // max(1, len(by_class)))
    picked = []
    for number in range(rounds):
        for places in by_class:
            if number < len(places):
                picked.append(int(places[(number * len(places)) // rounds]))
    return tuple(picked[:count])

"""The training patches that a channel answers to most: what it has come to stand for.

Of each channel the strongest place of each frame is noted, and of all frames the few strongest; frames are looked at
one batch after another, and nothing is kept of them but these numbers. A patch is what the place depends on, its
receptive field, cut off at the picture's edge. Late layers see nearly the whole picture from each place.
"""
from dataclasses import dataclass
from typing import AbstractSet, Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

import numpy as np
import torch

from ..core.bundles.any_pixels import any_pixels
from ..core.bundles.bundle import Bundle
from ..core.errors import ConfigError
from ..core.networks.hooks import forward_hooks
from ..core.networks.network import Network
from ..core.networks.preprocess import Preprocessor
from ..core.runtime.overlay import to_bgr
from ..core.text.progress import Progress
from ..core.types import ColorOrder, Picture
from ..data.cache import FrameStore
from .activations import stages_of
from .frame_address import Address, FrameAddresses, things
from .network_table import network_table
from .receptive_field import Field

_BATCH = 4  # maps of so few stay in the cache of a core
_Place = Tuple[float, int, int, int]  # value of a channel, frame, row, column


@dataclass(frozen=True)
class Patch:
    """A piece of a training frame.

    Attributes:
        label: of the frame.
        where: it can be seen again.
        value: of the channel there.
        pixels: uint8 (h, w, 3), BGR.
    """

    label: str
    where: Address
    value: float
    pixels: np.ndarray


@dataclass(frozen=True)
class ChannelPatches:
    """A channel.

    Attributes:
        layer: dotted name of the module.
        channel: its number.
        value: the largest in the picture that is explained.
        own: uint8 (h, w, 3), BGR: the picture's own patch, where that is.
        patches: of training frames, the strongest first, each of another thing.
    """

    layer: str
    channel: int
    value: float
    own: np.ndarray
    patches: Tuple[Patch, ...]


class StrongestPatches:
    """Looks for the strongest patches of channels in training frames, in one pass over them for all pictures.

    Args:
        bundle: of the model.
        network: its own.
        fields: of the layers that are looked at, by dotted name.
    """

    def __init__(self, bundle: Bundle, network: Network, fields: Dict[str, Field]) -> None:
        self._preprocess = Preprocessor(bundle.preprocessing, 'cpu')
        self._network, self._fields = network, fields
        modules = dict(network.backbone.named_modules())
        self._modules = {modules[name]: name for name in fields}
        self._addresses = FrameAddresses()

    def of(self, pictures: Sequence[Picture], store: FrameStore, most: int = 5,
           progress: Optional[Callable[[int], None]] = None, without: AbstractSet[int] = frozenset()
           ) -> List[List[ChannelPatches]]:
        """For each picture its most active channels with their strongest patches.

        Args:
            pictures: that are explained.
            store: training frames.
            most: patches of a channel.
            progress: is called with the number of frames so far.
            without: frames that are left out, for they are the pictures themselves.
        """
        own = [self._maps(self._preprocess([picture])) for picture in pictures]
        wanted = [_most_active(maps) for maps in own]
        best = self._best({one for each in wanted for one in each}, store, most, progress, without)
        return [[self._shown(picture, maps[layer][0, channel], layer, channel, best[layer, channel], store)
                 for layer, channel in each] for picture, maps, each in zip(pictures, own, wanted)]

    def _maps(self, pixels: torch.Tensor) -> Dict[str, torch.Tensor]:
        kept: Dict[str, torch.Tensor] = {}

        def keep(module: Any, inputs: Any, output: torch.Tensor) -> None:
            kept[self._modules[module]] = output.detach().clone()
        with forward_hooks(self._modules, keep), torch.no_grad():
            self._network(pixels)
        return {name: maps for name, maps in kept.items() if maps.ndim == 4}

    def _best(self, channels: Any, store: FrameStore, most: int, progress: Optional[Callable[[int], None]],
              without: AbstractSet[int]) -> Dict[Tuple[str, int], List[_Place]]:
        """The strongest frames of each channel, one of each thing."""
        shows = things(store.frames)
        best: Dict[Tuple[str, int], List[_Place]] = {one: [] for one in channels}
        for begin in range(0, len(store), _BATCH):
            places = range(begin, min(begin + _BATCH, len(store)))
            maps = self._maps(self._preprocess([store.picture(place) for place in places]))
            for layer, channel in best:
                values, at = maps[layer][:, channel].flatten(1).max(1)
                wide = maps[layer].shape[3]
                rows = [(value, place, where // wide, where % wide)
                        for value, where, place in zip(values.tolist(), at.tolist(), places) if place not in without]
                best[layer, channel] = _one_of_each(best[layer, channel] + rows, shows, most)
            if progress is not None:
                progress(places.stop)
        return best

    def _shown(self, picture: Picture, values: torch.Tensor, layer: str, channel: int, best: Sequence[_Place],
               store: FrameStore) -> ChannelPatches:
        place = int(values.argmax())
        patches = []
        for value, number, row, column in best:
            frame = store.frames[number]
            patches.append(Patch(frame.label, self._addresses.of(frame), value,
                                 self._cut(store.picture(number), layer, row, column)))
        return ChannelPatches(layer, channel, float(values.max()),
                              self._cut(picture, layer, place // values.shape[1], place % values.shape[1]),
                              tuple(patches))

    def _cut(self, picture: Picture, layer: str, row: int, column: int) -> np.ndarray:
        """The field of a place, of the picture as the network is shown it."""
        levels = self._preprocess.levels(picture)
        order = ColorOrder.RGB if levels.shape[2] == 3 else ColorOrder.MONO
        shown = to_bgr(Picture(levels if levels.shape[2] == 3 else levels[..., 0], order))
        top, left, bottom, right = self._fields[layer].of_place(row, column)
        high, wide = shown.shape[:2]
        top, left = min(max(top, 0), high - 1), min(max(left, 0), wide - 1)
        return np.ascontiguousarray(shown[top:max(bottom, top + 1), left:max(right, left + 1)])


def _most_active(maps: Dict[str, torch.Tensor], most: int = 2) -> List[Tuple[str, int]]:
    """Channels of each layer that answer most to a picture, against how they answer over the whole of it."""
    found = []
    for layer, given in maps.items():
        values = given[0].flatten(1)
        strength = values.amax(1) - values.mean(1)
        found += [(layer, int(channel)) for channel in strength.topk(min(most, len(strength))).indices]
    return found


def _one_of_each(rows: Sequence[_Place], shows: Sequence[int], most: int) -> List[_Place]:
    """The strongest rows, the strongest first, one of each thing; ``shows``: number of the thing of each frame."""
    seen: Set[int] = set()
    kept: List[_Place] = []
    for row in sorted(rows, key=lambda row: (-row[0], row[1])):
        if shows[row[1]] not in seen and len(kept) < most:
            seen.add(shows[row[1]])
            kept.append(row)
    return kept


def patches_of(bundle: Bundle, network: Network, pictures: Sequence[Picture], store: FrameStore,
               without: AbstractSet[int] = frozenset()) -> List[List[ChannelPatches]]:
    """The patches of the most active channels of each picture, after the stages whose receptive field is known."""
    try:
        table = network_table(network, any_pixels(bundle))
    except ConfigError:
        return []
    fields = {name: field for name in stages_of(network)[1:] for field in [table.field_of(f'backbone.{name}')]
              if field is not None}
    if not fields:
        return []
    with Progress('looking for strong patches', 'frames', len(store)) as done:
        return StrongestPatches(bundle, network, fields).of(pictures, store, progress=done, without=without)

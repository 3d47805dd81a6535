"""The part of a page about a network's weights: filters of the first layer, and how far training moved each layer."""
from typing import List, NamedTuple

from markupsafe import Markup

from ..core.bundles.bundle import Bundle
from ..core.networks.architectures import first_convolution
from ..core.networks.network import Network
from ..evaluation.report.svg import bar
from .drawing import filter_tiles
from .page_parts import card, png
from .weight_distance import WeightDistances, distances_to_start

_MOST_FILTERS = 256


class _Row(NamedTuple):
    """A layer; ``bar`` is a drawing of its distance."""

    name: str
    numbers: int
    distance: float
    is_same: bool
    bar: Markup


def weights_card(bundle: Bundle, network: Network, frozen: str = '') -> Markup:
    """The part.

    Args:
        bundle: of the model.
        network: its own.
        frozen: name of the bundle that it was trained from; empty: as the provenance has it.

    Raises:
        BundleError, ConfigError: of ``frozen``.
    """
    path, convolution = first_convolution(network.backbone)
    weights = convolution.weight.detach().float().numpy()
    found = distances_to_start(bundle, network, frozen)
    rows = _rows(found)
    moved = [row for row in rows if not row.is_same]
    return card('weights.html', filters=png(filter_tiles(weights[:_MOST_FILTERS], across=16)), first=path,
                count=len(weights), sides=weights.shape[2:], found=found, rows=rows, moved=len(moved),
                farthest=max(moved, key=lambda row: row.distance, default=None))


def _rows(found: WeightDistances) -> List[_Row]:
    most = max((one.distance for one in found.layers), default=0.0)
    return [_Row(one.name, one.numbers, one.distance, one.is_same, Markup(bar(one.distance / max(most, 1e-12))))
            for one in found.layers]

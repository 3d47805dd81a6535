"""The page about decisions: one HTML file without scripts."""
import shlex
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from markupsafe import Markup

from ..core.bundles.bundle import Bundle
from ..core.networks.evidence_picture import laid_over, of_width
from ..core.text.printable import printable
from .drawing import map_tile, side_by_side
from .explanation import ClassMap, Explanation
from .frame_address import Address
from .neighbours import Neighbour, Neighbourhood, TrainingFrames
from .page_parts import card, jpeg, whole_page
from .patches import ChannelPatches
from .scatter import scatter
from .sources import Named
from .unknown_score import score_plot

_PATCH = _SMALL = 96  # pixels
_WIDE, _NARROW = 280, 180  # pixels: of pictures with maps; narrow where there are many, or the page gets too large
_MANY = 80  # maps of classes


class Shown(NamedTuple):
    """A class with its pictures.

    Attributes:
        name: of the class.
        probability: in [0, 1]; None for a difference.
        evidence, cost: data addresses of pictures; None where there is none.
    """

    name: str
    probability: Optional[float]
    evidence: Optional[str]
    cost: str


class _Entry(NamedTuple):
    """A line of the contents; ``tile`` is a data address."""

    number: int
    name: str
    one: Explanation
    tile: str


class ShownStage(NamedTuple):
    """The maps after a stage."""

    name: str
    shape: str
    mean: str
    maps: str
    channels: str
    silent: float


class ShownNeighbour(NamedTuple):
    """A training frame; ``tile`` is a data address."""

    label: str
    where: Address
    closeness: float
    tile: str


class ShownPatch(NamedTuple):
    """A piece of a training frame; ``tile`` is a data address."""

    label: str
    where: Address
    value: float
    tile: str


class ShownChannel(NamedTuple):
    """A channel and its patches; ``own`` is a data address."""

    layer: str
    channel: int
    value: float
    own: str
    patches: Tuple[ShownPatch, ...]


def page_of_pictures(bundle: Bundle, explanations: Sequence[Explanation], named: Sequence[Named],
                     frames: Optional[TrainingFrames] = None, around: Sequence[Neighbourhood] = (),
                     patches: Sequence[Sequence[ChannelPatches]] = (), below: Sequence[Markup] = (),
                     model: str = '') -> str:
    """The page about decisions.

    Args:
        bundle: of the model.
        explanations: one for each picture.
        named: the pictures.
        frames: that pictures are held against, or None.
        around: the neighbourhood of each picture; empty where there are no frames.
        patches: the most active channels of each picture; empty where there are no frames.
        below: what is told of the model, whatever the pictures.
        model: as a command names it; empty: by its name.
    """
    cards: List[Markup] = []
    command = f'robot-vision explain {shlex.quote(printable(model or bundle.name))}'
    if len(named) > 1:
        cards.append(card('contents.html', rows=[
            _Entry(place, each.name, one, jpeg(of_width(one.seen, _SMALL)))
            for place, (one, each) in enumerate(zip(explanations, named), 1)]))
    width = _WIDE if sum(len(one.classes) for one in explanations) <= _MANY else _NARROW
    for place, (one, each) in enumerate(zip(explanations, named)):
        near = around[place] if around else None
        cards.append(card('decision.html', number=place + 1 if len(named) > 1 else 0, name=each.name,
                          words=each.words, one=one))
        picture = of_width(one.seen, width)
        cards.append(card('evidence.html', one=one, classes=_classes(one, picture), seen=jpeg(picture)))
        cards.append(card('grounds.html', grounds=one.grounds))
        if one.unknown is not None:
            cards.append(card('unknown.html', one=one.unknown, plot=Markup(score_plot(one.unknown))))
        if near:
            cards.append(card('neighbours.html', by_features=_shown(near.by_features), itself=near.itself,
                              by_pixels=_shown(near.by_pixels), command=command))
        if patches and patches[place]:
            cards.append(card('patches.html', channels=[_channel(found) for found in patches[place]]))
        if one.stages:
            cards.append(card('stages.html', stages=_stages(one)))
    if frames is not None and not patches:
        cards.append(card('notes.html', notes=['What channels answer to most in the data is not shown: the layers of '
                                               'this model cannot be seen, or their places depend on the whole of the '
                                               'picture']))
    if frames is not None:
        plot = scatter(frames.places, frames.labels, [one.place for one in around])
        cards.append(card('frames.html', plot=plot, svg=Markup(plot.svg), explained=frames.explained,
                          count=len(frames.labels)))
    title = f'Why did {bundle.name} say that?'
    return whole_page(title, f'{len(named)} pictures' if len(named) != 1 else bundle.architecture.name,
                      [*cards, *below])


def _classes(one: Explanation, picture: np.ndarray) -> List[Shown]:
    evidence = [float(np.abs(row.evidence).max()) for row in one.classes if row.evidence is not None]
    most, cost = max(evidence, default=0.0), max(float(np.abs(row.cost).max()) for row in one.classes)

    def shown(row: ClassMap) -> Shown:
        return Shown(row.name, row.probability,
                     None if row.evidence is None else jpeg(laid_over(picture, row.evidence, most)),
                     jpeg(laid_over(picture, row.cost, cost)))
    return [shown(row) for row in one.classes]


def _stages(one: Explanation) -> List[ShownStage]:
    return [ShownStage(stage.name, ' x '.join(map(str, stage.shape)), jpeg(map_tile(stage.mean)),
                       jpeg(side_by_side([map_tile(values) for values in stage.maps])),
                       ', '.join(map(str, stage.channels)), stage.silent) for stage in one.stages]


def _shown(neighbours: Sequence[Neighbour]) -> List[ShownNeighbour]:
    return [ShownNeighbour(one.label, one.where, one.closeness, jpeg(one.tile)) for one in neighbours]


def _channel(found: ChannelPatches) -> ShownChannel:
    return ShownChannel(found.layer, found.channel, found.value, jpeg(of_width(found.own, _PATCH)), tuple(
        ShownPatch(one.label, one.where, one.value, jpeg(of_width(one.pixels, _PATCH))) for one in found.patches))

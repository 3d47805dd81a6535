"""An explanation as one HTML file without scripts."""
import base64
from typing import List, NamedTuple, Optional, Sequence

import cv2
import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..core.bundles.bundle import Bundle
from ..core.errors import ConfigError
from ..core.networks.architectures import first_convolution
from ..core.networks.evidence_picture import laid_over
from ..core.networks.network import Network
from ..evaluation.report.report_style import STYLE
from .drawing import filter_tiles, map_tile, side_by_side
from .explanation import ClassMap, Explanation
from .neighbours import Neighbour, Neighbourhood, TrainingFrames
from .network_table import network_table
from .scatter import scatter

_WIDTH = 280  # of a picture on the page, in pixels
_JPEG_QUALITY = 85
_ENVIRONMENT = Environment(loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined,
                           trim_blocks=True, lstrip_blocks=True)


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
    where: str
    closeness: float
    tile: str


def page_of_pictures(bundle: Bundle, explanations: Sequence[Explanation], names: Sequence[str],
                     frames: Optional[TrainingFrames] = None, around: Sequence[Neighbourhood] = ()) -> str:
    """The page about decisions.

    Args:
        bundle: of the model.
        explanations: one for each picture.
        names: of the pictures, as they are to be shown.
        frames: that pictures are held against, or None.
        around: the neighbourhood of each picture; empty where there are no frames.
    """
    cards = []
    for place, (one, name) in enumerate(zip(explanations, names)):
        near = around[place] if around else None
        cards.append(_ENVIRONMENT.get_template('picture.html').render(
            number=place + 1 if len(names) > 1 else 0, name=name, one=one, classes=_classes(one),
            seen=_jpeg(_sized(one.seen)), stages=_stages(one), by_features=_shown(near.by_features) if near else [],
            by_pixels=_shown(near.by_pixels) if near else []))
    if frames is not None:
        cards.append(_ENVIRONMENT.get_template('frames.html').render(
            plot=Markup(scatter(frames.places, frames.labels, [one.place for one in around])),
            explained=frames.explained, count=len(frames.labels)))
    title = f'Why did {bundle.name} say that?'
    return _whole(title, f'{len(names)} pictures' if len(names) != 1 else names[0], [Markup(card) for card in cards])


def page_of_network(bundle: Bundle) -> str:
    """The page about a network.

    Raises:
        ConfigError: it is an ensemble or a file of another program, whose layers cannot be seen.
    """
    network = bundle.load_network()
    if not isinstance(network, Network):
        what = ('an ensemble: name one of its members' if bundle.members else
                'a file of another program, whose layers cannot be seen')
        raise ConfigError(f'{bundle.name} is {what}')
    table = network_table(network, torch.zeros(1, bundle.architecture.in_channels, *bundle.preprocessing.crop))
    path, convolution = first_convolution(network.backbone)
    weights = convolution.weight.detach().float().numpy()
    body = _ENVIRONMENT.get_template('network.html').render(
        bundle=bundle, table=table, rows=[row for row in table.rows if row.kind not in ('addition', 'normalisation')],
        filters=_png(filter_tiles(weights, across=16)), first=path, count=len(weights), sides=weights.shape[2:])
    return _whole(f'What is {bundle.name}?', bundle.architecture.name, [Markup(body)])


def _whole(title: str, subtitle: str, cards: Sequence[Markup]) -> str:
    return _ENVIRONMENT.get_template('page.html').render(
        title=title, subtitle=subtitle, cards=cards, style=Markup(STYLE))


def _classes(one: Explanation) -> List[Shown]:
    picture = _sized(one.seen)
    evidence = [float(np.abs(row.evidence).max()) for row in one.classes if row.evidence is not None]
    most, cost = max(evidence, default=0.0), max(float(np.abs(row.cost).max()) for row in one.classes)

    def shown(row: ClassMap) -> Shown:
        return Shown(row.name, row.probability,
                     None if row.evidence is None else _jpeg(laid_over(picture, row.evidence, most)),
                     _jpeg(laid_over(picture, row.cost, cost)))
    return [shown(row) for row in one.classes]


def _stages(one: Explanation) -> List[ShownStage]:
    return [ShownStage(stage.name, ' x '.join(map(str, stage.shape)), _jpeg(map_tile(stage.mean)),
                       _jpeg(side_by_side([map_tile(values) for values in stage.maps])),
                       ', '.join(map(str, stage.channels)), stage.silent) for stage in one.stages]


def _shown(neighbours: Sequence[Neighbour]) -> List[ShownNeighbour]:
    return [ShownNeighbour(one.label, one.where, one.closeness, _jpeg(one.tile)) for one in neighbours]


def _sized(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    how = cv2.INTER_AREA if width > _WIDTH else cv2.INTER_LINEAR
    return cv2.resize(picture, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=how)


def _jpeg(picture: np.ndarray) -> str:
    _, data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return f'data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}'


def _png(picture: np.ndarray) -> str:
    _, data = cv2.imencode('.png', picture)
    return f'data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}'

"""What every page of an explanation is made of: templates, pictures as data addresses, the frame around all."""
import base64
from typing import Any, Sequence

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..evaluation.report.report_style import STYLE

_JPEG_QUALITY = 85
_ENVIRONMENT = Environment(loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined,
                           trim_blocks=True, lstrip_blocks=True)


def card(template: str, **values: Any) -> Markup:
    """A part of the page; what is no Markup is escaped."""
    return Markup(_ENVIRONMENT.get_template(template).render(**values))


def whole_page(title: str, subtitle: str, cards: Sequence[Markup]) -> str:
    """The page: one HTML file without scripts, which loads nothing."""
    return _ENVIRONMENT.get_template('page.html').render(title=title, subtitle=subtitle, cards=cards,
                                                         style=Markup(STYLE))


def jpeg(picture: np.ndarray) -> str:
    """A data address, for photographs; uint8 (H, W, 3), BGR."""
    _, data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return f'data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}'


def png(picture: np.ndarray) -> str:
    """A data address, for what has sharp edges; uint8 (H, W, 3), BGR."""
    _, data = cv2.imencode('.png', picture)
    return f'data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}'

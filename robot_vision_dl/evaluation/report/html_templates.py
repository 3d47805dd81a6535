"""Jinja templates of the report, all of them with automatic escaping: what comes from bags, labels or bundles is text.

What is HTML already, such as a plot, has to say so by being ``markupsafe.Markup``.
"""
from pathlib import Path
from typing import Any, Mapping

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .objects import objects_sentence
from .wording import count_of, duration, percent

FOLDER = Path(__file__).with_name('templates')


def render(template: str, **values: Any) -> Markup:
    """A template of :data:`FOLDER`, filled in."""
    return Markup(_ENVIRONMENT.get_template(template).render(values))


def unbroken(text: str) -> str:
    """A number and its percent sign stay on one line."""
    return text.replace(' %', '\N{NO-BREAK SPACE}%')


def counted(counts: Mapping[str, int]) -> str:
    """``3 cup, 4 mug``; empty for none."""
    return ', '.join(f'{count} {what}' for what, count in counts.items())


_ENVIRONMENT = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined,
                           trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters.update(count_of=count_of, counted=counted, duration=duration, percent=percent, unbroken=unbroken,
                            objects=objects_sentence)

"""Sphinx extension: ``<!-- generated: commands -->`` in a page is replaced by what the code says.

The parts are those of :data:`reference_pages.PARTS`. Where one cannot be made, the page says so in its place,
and Sphinx warns.
"""
import re

from absent import absent_modules
from sphinx.ext.autodoc.mock import mock
from sphinx.util import logging

LOG = logging.getLogger(__name__)
MARKER = re.compile(r'^<!-- generated: (.+) -->$', re.MULTILINE)


def fill_in(app, docname: str, source: list) -> None:
    """Replace the markers of a page."""
    if not MARKER.search(source[0]):
        return

    def part(match: 're.Match') -> str:
        try:
            with mock(absent_modules()):
                from reference_pages import PARTS
                return PARTS[match.group(1)]()
        except Exception as error:
            LOG.warning('%s: %r cannot be made: %s: %s', docname, match.group(1), type(error).__name__, error)
            return ('```{warning}\nThis part is made from the code, which could not be imported where this page was '
                    f'built ({type(error).__name__}).\n```')

    source[0] = MARKER.sub(part, source[0])
    app.env.note_reread()  # the code may have changed though the page has not


def setup(app) -> dict:
    """Called by Sphinx."""
    app.connect('source-read', fill_in)
    return {'version': '1', 'parallel_read_safe': True, 'parallel_write_safe': True}

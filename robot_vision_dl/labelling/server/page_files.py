"""Files of the page, read once: nothing that a browser asks for is ever looked for on the disk."""
from importlib.resources import files
from typing import Dict, NamedTuple

_KINDS = {'.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8',
          '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.png': 'image/png', '.ico': 'image/x-icon'}


class PageFile(NamedTuple):
    """Content of a file, and its type."""

    content: bytes
    kind: str


def page_files() -> Dict[str, PageFile]:
    """All files of the page by name; ``index.html`` is what ``/`` shows."""
    found = {}
    for one in sorted(files(__package__).joinpath('page').iterdir(), key=lambda file: file.name):
        stem, dot, suffix = one.name.rpartition('.')
        kind = _KINDS.get(dot + suffix)
        if kind is not None and stem and one.is_file():
            found[one.name] = PageFile(one.read_bytes(), kind)
    return found

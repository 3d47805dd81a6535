"""Sphinx extension: whole files of the repository as pages, and links to files beside the documentation.

``<!-- file: ARCHITECTURE.md -->`` in a page (``.. file: CHANGELOG.rst`` in one of reStructuredText) is replaced by that
file. Links are written as they work on the repository's own pages, relative to the file that they stand in. A link to a
file that is a page here goes to the page; one to another file of the repository becomes a download.

rosdoc2 builds from a copy of ``docs/``: the repository is then found by the package that is imported.
"""
import os
import re
from pathlib import Path
from typing import Dict

import robot_vision_dl

PAGES = {
    'README.md': 'index.rst',
    'ARCHITECTURE.md': 'explanation/architecture.md',
    'CONTRIBUTING.md': 'project/contributing.md',
    'SECURITY.md': 'project/security.md',
    'CHANGELOG.rst': 'project/changelog.rst',
}
MARKER = re.compile(r'^(?:<!-- file: (\S+) -->|\.\. file: (\S+))$', re.MULTILINE)
LINK = re.compile(r'(!?\[[^\]]*\]\()(?!\w+:|#|/)([^)\s#]+)(#[^)\s]*)?\)')
FENCED = re.compile(r'^(`{3,}|~{3,}).*?^\1\s*$', re.MULTILINE | re.DOTALL)


def repository_of(srcdir: Path) -> Path:
    """The folder with package.xml that the documentation of ``srcdir`` belongs to."""
    for place in (srcdir.parent, Path(robot_vision_dl.__file__).resolve().parents[1]):
        if (place / 'package.xml').is_file() and (place / 'docs' / 'conf.py').is_file():
            return place
    raise FileNotFoundError(f'no repository of robot_vision_dl beside {srcdir} nor around the imported package; build '
                            'the documentation from a checkout')


def with_links(text: str, folder: str, page: str, repository: Path, srcdir: Path) -> str:
    """Markdown ``text`` with its links as Sphinx finds them.

    Args:
        text: of a file of the repository.
        folder: that file's folder, relative to the repository ('.' for its root).
        page: the page that the text is shown on, relative to ``docs/``.
        repository: the checkout.
        srcdir: ``docs/`` or a copy of it.
    """
    def replaced(match: 're.Match') -> str:
        opening, path, anchor = match.group(1), match.group(2), match.group(3) or ''
        target = os.path.normpath(os.path.join(folder, path))
        if target in PAGES:
            target = f'docs/{PAGES[target]}'
        if target.startswith('docs/'):
            return f'{opening}{os.path.relpath(target[5:], os.path.dirname(page) or ".")}{anchor})'
        scheme = '' if opening.startswith('!') else 'path:'
        return f'{opening}{scheme}/{os.path.relpath(repository / target, srcdir)})'

    parts, end = [], 0
    for block in FENCED.finditer(text):  # what stands in a block of code is no link
        parts += [LINK.sub(replaced, text[end:block.start()]), block.group()]
        end = block.end()
    return ''.join(parts) + LINK.sub(replaced, text[end:])


def read_page(app, docname: str, source: list) -> None:
    """Put in the files that a page asks for, and lead its links on."""
    repository, srcdir = repository_of(Path(app.srcdir)), Path(app.srcdir)
    path = os.path.relpath(app.env.doc2path(docname), app.srcdir)
    markdown = path.endswith('.md')
    inserted: Dict[str, str] = {}

    def insert(match: 're.Match') -> str:
        name = match.group(1) or match.group(2)
        app.env.note_dependency(str(repository / name))
        text = (repository / name).read_text(encoding='utf-8')
        key = f'\0{len(inserted)}\0'
        inserted[key] = with_links(text, os.path.dirname(name) or '.', path, repository, srcdir) if markdown else text
        return key

    text = MARKER.sub(insert, source[0])
    if markdown:
        text = with_links(text, os.path.join('docs', os.path.dirname(path)), path, repository, srcdir)
    for key, value in inserted.items():
        text = text.replace(key, value)
    source[0] = text


def setup(app) -> dict:
    """Called by Sphinx."""
    app.connect('source-read', read_page)
    return {'version': '1', 'parallel_read_safe': True, 'parallel_write_safe': True}

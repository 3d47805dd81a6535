"""Pages and README: links that lead somewhere, a README that is short, and a build without a warning."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / 'docs'
PAGES = sorted(path for path in (*REPOSITORY.glob('*.md'), *DOCS.rglob('*.md'), *(REPOSITORY / 'models').rglob('*.md'),
                                 *(REPOSITORY / 'config').rglob('*.md'))
               if '_build' not in path.parts)
LINK = re.compile(r'!?\[[^\]]*\]\(([^)\s]+)[^)]*\)|<(?:img|a|source)[^>]* (?:src|href|srcset)="([^"]+)"')


def without_code(text):
    """What is shown as it is has no links."""
    text = re.sub(r'^(`{3,}|~{3,}).*?^\1\s*$', '', text, flags=re.M | re.S)
    return re.sub(r'``.+?``|`[^`]*`', '', text, flags=re.S)


def links(path):
    return [one or other for one, other in LINK.findall(without_code(path.read_text(encoding='utf-8')))]


def anchors(path):
    """Anchors of a page's headings, as GitHub and MyST make them."""
    text = re.sub(r'^(`{3,}|~{3,}).*?^\1\s*$', '', path.read_text(encoding='utf-8'), flags=re.M | re.S)
    found = set(re.findall(r'^\(([\w.-]+)\)=$', text, re.M))
    for title in re.findall(r'^#+ (.*)$', text, re.M):
        slug = re.sub(r'[^\w\- ]', '', re.sub(r'[`*]', '', title).strip().lower()).replace(' ', '-')
        found.add(slug)
    return found


@pytest.mark.parametrize('page', PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_within_the_repository_lead_somewhere(page):
    for link in links(page):
        if re.match(r'[a-z]+:', link):
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f'{page.relative_to(REPOSITORY)}: {link}'
        assert REPOSITORY in (target, *target.parents), f'{link} leads out of the repository'
        if anchor and target.suffix == '.md' and '<!-- generated' not in target.read_text(encoding='utf-8'):
            assert anchor in anchors(target), f'{page.relative_to(REPOSITORY)}: {link}'


def test_links_to_elsewhere_are_whole():
    """They cannot be followed here; the test lists them with -s."""
    found = sorted({(link, str(page.relative_to(REPOSITORY))) for page in PAGES for link in links(page)
                    if re.match(r'[a-z]+:', link)})
    for link, page in found:
        print(f'{link}  ({page})')
        assert re.fullmatch(r'https?://[\w.-]+\.[a-z]{2,}(?:/[^\s<>]*)?|mailto:\S+@\S+', link), f'{page}: {link}'


def test_files_that_the_pages_name_exist():
    """Paths of the repository in code: of the package, of launch, config, docs and test."""
    for page in (path for path in PAGES if path.parent != REPOSITORY / 'models'):
        for name in re.findall(r'`((?:robot_vision_dl|launch|config|docs|test|\.ci)/[\w./-]+)`',
                               page.read_text(encoding='utf-8')):
            made = name.startswith('docs/_build')  # by `make docs`
            assert made or (REPOSITORY / name).exists(), f'{page.relative_to(REPOSITORY)}: {name}'


def test_pages_that_the_code_names_exist():
    """``docs/how-to/python.md`` in a help text, a launch file or an error leads somewhere."""
    seen = 0
    for folder in ('robot_vision_dl', 'launch', 'config'):
        for path in (REPOSITORY / folder).rglob('*'):
            if path.suffix in ('.py', '.yaml', '.xml'):
                for name in re.findall(r'\bdocs/(?:[\w-]+/)?[\w-]+\.md\b', path.read_text(encoding='utf-8')):
                    if 'github.com' not in path.read_text(encoding='utf-8').split(name)[0].splitlines()[-1]:
                        assert (REPOSITORY / name).is_file(), f'{path.relative_to(REPOSITORY)}: {name}'
                        seen += 1
    assert seen


def test_the_readme_is_short():
    assert len((REPOSITORY / 'README.md').read_bytes()) <= 7_000


@pytest.mark.parametrize('section', sorted(path.parent.name for path in DOCS.glob('*/index.md')))
def test_every_page_is_in_the_contents_of_its_section(section):
    """As Sphinx demands; an entry ``*`` takes what is not named, and must find something."""
    index = (DOCS / section / 'index.md').read_text(encoding='utf-8')
    entries = re.search(r'```\{toctree\}\n(.*?)```', index, re.S).group(1).split()
    named = {entry for entry in entries if not entry.startswith(':') and entry not in ('1', '*')}
    pages = {path.stem for path in (DOCS / section).iterdir() if path.suffix in ('.md', '.rst')} - {'index'}
    assert named <= pages
    assert (pages - named) if '*' in entries else named == pages, 'name the page in index.md'


@pytest.mark.slow
def test_the_documentation_is_built_without_a_warning(tmp_path):
    for module in ('sphinx', 'myst_parser', 'furo', 'sphinx_copybutton'):
        pytest.importorskip(module, reason=f'{module} is not installed; `make docs` installs it')
    done = subprocess.run([sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-n', '-q', '-b', 'html', '-d',
                           tmp_path / 'trees', DOCS, tmp_path / 'html'], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    dead = []
    pages = {path: path.read_text(encoding='utf-8') for path in (tmp_path / 'html').rglob('*.html')}
    for page, text in pages.items():
        for link in re.findall(r'(?:href|src)="([^"#:]*(?:#[^"]*)?)"', text):
            path, _, anchor = link.partition('#')
            target = (page.parent / path.partition('?')[0]).resolve() if path else page
            if not target.exists() or (anchor and target in pages and f'id="{anchor}"' not in pages[target]):
                dead.append(f'{page.name}: {link}')
    assert not dead, dead

"""What the pages tell people to type works: the blocks are run, and every command and option is one that there is."""
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[2] / 'docs' / '_ext')]

from examples import PAGES, REPOSITORY, examples  # noqa: E402
from recorded_videos import write_videos  # noqa: E402
from reference_pages import commands  # noqa: E402

from robot_vision_dl.core.processes import isolated_environment  # noqa: E402
from robot_vision_dl.data.bags.reader import BagReader  # noqa: E402

ALL = [example for page in PAGES for example in examples(page)]
# Those of the first page that people read are run with every change, the others among the slow tests.
QUICK = sorted({example.page for example in ALL if example.how == 'runs' and example.page == 'README.md'})
SLOW = sorted({example.page for example in ALL if example.how != 'skipped' and example.page != 'README.md'}
              | {example.page for example in ALL if example.how == 'slow'})
TIMEOUT_S = 1800
# Options of commands that are no options of ours: what follows belongs to another program.
_OTHERS = re.compile(r'--ros-args|[|&;>]')


@pytest.fixture(scope='session')
def materials(tmp_path_factory):
    """What the examples find in their folder."""
    folder = tmp_path_factory.mktemp('materials')
    bags = REPOSITORY / 'config' / 'demo'
    shutil.copytree(bags / 'waste', folder / 'recording')
    with BagReader(bags / 'bottles') as reader:
        jpegs = [bytes(message.decode().data) for message in reader.image_messages()]
    (folder / 'photo.jpg').write_bytes(jpegs[50])  # a bottle is being put down
    frames = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in jpegs[30:90:2]]
    video = cv2.VideoWriter(str(folder / 'drive.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 6,
                            (frames[0].shape[1], frames[0].shape[0]))
    for frame in frames:
        video.write(frame)
    video.release()
    subprocess.run([sys.executable, '-m', 'robot_vision_dl.cli.main', 'bag', 'extract', bags / 'waste', '--out',
                    folder / 'photos', '--every', '0.3'], check=True, capture_output=True)
    (folder / 'photos' / 'index.csv').unlink()
    write_videos(folder / 'videos', folder / 'photos')
    other, = write_videos(folder / 'other', folder / 'photos', {'metal': 1}, seed=1)
    other.rename(folder / 'new_take.mp4')
    (folder / 'other').rmdir()
    return folder


def shape(line):
    """A line without its numbers: they depend on the machine, and change with every model."""
    return re.sub(r'\d+', '#', ' '.join(line.split()))


def run_page(page, hows, materials, folder, domain):
    """Run the blocks of a page in order; what is said of one that fails is where it stands and what it printed."""
    shutil.copytree(materials, folder, dirs_exist_ok=True)
    home = folder.parent / 'home'
    home.mkdir()
    environment = {**isolated_environment(), 'ROS_DOMAIN_ID': str(domain), 'HOME': str(home),
                   'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'}
    environment.pop('PYTHONPATH', None)
    count = 0
    for example in (example for example in ALL if example.page == page and example.how in hows):
        if example.language == 'python':
            command = [sys.executable, '-c', example.text]
        else:
            assert example.commands, f'{page}, line {example.line}: no line begins with "$ "'
            command = ['bash', '-euo', 'pipefail', '-c', '\n'.join(example.commands)]
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, text=True, timeout=TIMEOUT_S)
        assert done.returncode == 0, f'{page}, line {example.line}:\n{example.text}\n{done.stdout[-4000:]}'
        printed = iter(shape(line) for line in done.stdout.splitlines())
        for line in example.output:
            assert shape(line) in printed, f'{page}, line {example.line}: not printed: {line}\n{done.stdout[-4000:]}'
        count += 1
    return count


@pytest.mark.parametrize('page', QUICK)
def test_examples_of_a_page_run(page, materials, tmp_path, ros_domain):
    assert run_page(page, ('runs',), materials, tmp_path / 'work', ros_domain)


@pytest.mark.slow
@pytest.mark.parametrize('page', SLOW)
def test_all_examples_of_a_page_run(page, materials, tmp_path, ros_domain):
    assert run_page(page, ('runs', 'slow'), materials, tmp_path / 'work', ros_domain)


def test_every_block_is_run_or_says_why_not():
    """Counted with -s. What is skipped names what it lacks, and no page is all skipped for want of a marker."""
    console = [example for example in ALL if example.language == 'console']
    counts = {how: sum(example.how == how for example in ALL) for how in ('runs', 'slow', 'skipped')}
    print(f'\nexamples: {counts}, of them console: {len(console)}')
    for example in ALL:
        where = f'{example.page}, line {example.line}'
        assert example.how in ('runs', 'slow', 'skipped'), f'{where}: {example.how!r}'
        assert example.how != 'skipped' or example.why, f'{where}: skipped, and why?'
        if example.how == 'skipped' and example.language == 'console':
            print(f'  skipped: {where}: {example.why}')
    assert counts['runs'] + counts['slow'] >= len(console) / 3


def test_blocks_of_other_languages_hold_no_commands_that_are_not_run():
    """A command of ours stands in a block that the tests know."""
    for page in PAGES:
        text = page.read_text(encoding='utf-8')
        for language, block in re.findall(r'^ *```(\S*)\n(.*?)^ *```$', text, re.M | re.S):
            if language not in ('console', 'python', 'yaml', 'xml', 'cpp', 'cmake', 'dockerfile'):
                found = re.search(r'^\s*(?:\$ )?robot-vision .*$', block, re.M)
                assert not found, f'{page.relative_to(REPOSITORY)}: {found.group()}: mark the block as console'


@pytest.fixture(scope='module')
def options():
    """What each command takes, by what it is called with."""
    return {parser.prog: set(parser._option_string_actions) for parser, _, _ in commands.parsers()}


def called(text):
    """(words, options) of each call of ``robot-vision`` in a text."""
    for call in re.findall(r'robot-vision ((?:[^\n`\\]|\\\n?)*)', text):
        call = _OTHERS.split(call)[0].replace('\\\n', ' ')
        try:
            words = shlex.split(call, comments=True)
        except ValueError:  # a quote that another line ends
            words = call.split()
        yield words


@pytest.mark.parametrize('page', PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_option_that_a_page_names_is_one_of_its_command(page, options):
    text = page.read_text(encoding='utf-8')
    code = [block for _, block in re.findall(r'^ *```(console|text|)\n(.*?)^ *```$', text, re.M | re.S)]
    prose = re.sub(r'^ *```.*?^ *```$', '', text, flags=re.M | re.S)
    inline = [span.replace('\n', ' ') for span in re.findall(r'`([^`]+)`', prose) if span.startswith('robot-vision ')]
    for piece in (*code, *inline):
        for words in called(piece):
            name = f'robot-vision {words[0]}' if words else ''
            if name not in options:
                assert not words or not re.fullmatch(r'[a-z][a-z-]+', words[0]), f'{page}: no command {words[0]}'
                continue
            inner = f'{name} {words[1]}' if len(words) > 1 else ''
            known = options.get(inner, options[name]) | {'--help'}
            for word in words[1:]:
                if word.startswith('--'):
                    assert word.split('=')[0].rstrip('.,)') in known, f'{page.name}: {inner or name} {word}'

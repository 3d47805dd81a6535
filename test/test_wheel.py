"""The wheel and the source archive that a release hands out, and the wheel at work in an environment of its own."""
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
INSTALLED = ('launch', 'config', 'models')
TOP = ('robot_vision_dl', 'launch', 'config', 'models', 'resource', 'setup.py', 'setup.cfg', 'pyproject.toml',
       'MANIFEST.in', 'package.xml', 'README.md', 'LICENSE', 'CHANGELOG.rst', 'CONTRIBUTING.md', 'SECURITY.md',
       'CITATION.cff', 'Makefile', 'rosdoc2.yaml', '.ci', 'docs', 'test')


@pytest.fixture(scope='module')
def checkout(tmp_path_factory) -> Path:
    """A copy of the checkout, since building leaves folders behind."""
    folder = tmp_path_factory.mktemp('release') / 'checkout'
    folder.mkdir()
    for name in TOP:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns('__pycache__', '_build'))
        else:
            shutil.copy2(source, folder / name)
    return folder


@pytest.fixture(scope='module')
def wheel_file(checkout) -> Path:
    """The wheel that pip makes."""
    done = subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation', '-q', '-w',
                           str(checkout.parent), str(checkout)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [path] = checkout.parent.glob('*.whl')
    return path


@pytest.fixture(scope='module')
def wheel(wheel_file) -> zipfile.ZipFile:
    """The same, opened."""
    with zipfile.ZipFile(wheel_file) as archive:
        yield archive


def test_wheel_has_every_module(wheel):
    expected = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / 'robot_vision_dl').rglob('*.py')}
    assert expected - set(wheel.namelist()) == set()
    assert not [name for name in wheel.namelist() if name.startswith('test')]


def test_wheel_has_the_messages_to_build(wheel):
    folder = 'robot_vision_dl/ros/interfaces'
    assert {f'{folder}/vision_msgs/CMakeLists.txt', f'{folder}/vision_msgs/package.xml',
            f'{folder}/vision_msgs/msg/Classification.msg', f'{folder}/drop_missing_includes.cmake'} \
        <= set(wheel.namelist())


def test_wheel_has_launch_config_and_models_where_ros_looks(wheel):
    data = {name.split('.data/data/')[1] for name in wheel.namelist() if '.data/data/' in name}
    expected = {f'share/robot_vision_dl/{path.relative_to(REPOSITORY)}'
                for folder in INSTALLED for path in (REPOSITORY / folder).rglob('*')
                if path.is_file() and '__pycache__' not in path.parts}
    expected |= {'share/ament_index/resource_index/packages/robot_vision_dl', 'share/robot_vision_dl/package.xml'}
    assert expected - data == set()


def test_wheel_has_an_executable_of_every_node(wheel):
    nodes = {path.stem for path in (REPOSITORY / 'robot_vision_dl' / 'ros').glob('*_node.py')}
    members = {Path(info.filename).name: info for info in wheel.infolist()
               if '.data/data/lib/robot_vision_dl/' in info.filename}
    assert set(members) == nodes
    assert all(info.external_attr >> 16 & 0o111 == 0o111 for info in members.values())


def test_wheel_says_that_it_is_typed_and_what_it_is(wheel):
    assert 'robot_vision_dl/py.typed' in wheel.namelist()
    [name] = [name for name in wheel.namelist() if name.endswith('.dist-info/METADATA')]
    text = wheel.read(name).decode()
    assert 'Description-Content-Type: text/markdown' in text and '\n# robot_vision_dl' in text
    assert any(name.endswith('LICENSE') for name in wheel.namelist())


@pytest.mark.slow
def test_source_archive_has_what_a_packager_needs(checkout):
    code = f'import setuptools.build_meta as backend; backend.build_sdist({str(checkout.parent)!r})'
    done = subprocess.run([sys.executable, '-c', code], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [path] = checkout.parent.glob('*.tar.gz')
    with tarfile.open(path) as archive:
        found = {member.name.partition('/')[2] for member in archive if member.isfile()}
    files = [file for name in TOP for file in [checkout / name, *(checkout / name).rglob('*')]]
    expected = {str(file.relative_to(checkout)) for file in files if file.is_file() and '__pycache__' not in file.parts}
    assert expected - found == set()
    assert not [name for name in found if name.startswith(('build/', '.venv/', 'runs/')) or '__pycache__' in name]


@pytest.fixture(scope='module')
def environment(wheel_file) -> Path:
    """A virtual environment with nothing of its own but the wheel; it borrows the packages of this one."""
    folder = wheel_file.parent / 'environment'
    here = Path(sys.prefix, 'pyvenv.cfg')
    on_top = here.is_file() and 'include-system-site-packages = true' in here.read_text()  # of a sourced ROS 2
    options = ['--system-site-packages'] if on_top else []
    subprocess.run([sys.executable, '-m', 'venv', *options, str(folder)], check=True)
    python = folder / 'bin' / 'python'
    done = subprocess.run([str(python), '-m', 'pip', 'install', '-q', '--no-deps', '--no-index', '--ignore-installed',
                           str(wheel_file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    own = Path(subprocess.run([python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))'], check=True,
                              capture_output=True, text=True).stdout.strip())
    # As a folder of packages with .pth files of its own, which is how the ROS 2 wheels find their libraries.
    (own / 'borrowed.pth').write_text(f'import site; site.addsitedir({sysconfig.get_path("purelib")!r})\n')
    return folder


def run(environment: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """``robot-vision`` of the environment, started in another folder."""
    variables = {key: value for key, value in os.environ.items()
                 if key not in ('_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'VIRTUAL_ENV')}
    return subprocess.run([str(environment / 'bin' / 'robot-vision'), *arguments], cwd=folder, env=variables,
                          capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_installed_wheel_finds_its_models_from_anywhere(environment, tmp_path):
    done = run(environment, tmp_path, 'models', 'verify')
    share = environment / 'share' / 'robot_vision_dl'
    shipped = len(list((REPOSITORY / 'models').glob('*/bundle.json')))
    assert done.returncode == 0 and done.stdout.count(f'{share}/models/') == shipped, done.stdout + done.stderr
    assert (share / 'launch' / 'classifier.launch.py').is_file() and (share / 'config' / 'classifier.yaml').is_file()


@pytest.mark.slow
def test_installed_wheel_runs_the_demo_from_anywhere(environment, tmp_path, ros_domain):
    pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')
    done = run(environment, tmp_path, 'demo', '--bag', str(environment / 'share/robot_vision_dl/config/demo/bottles'))
    assert done.returncode == 0, done.stdout + done.stderr
    # A busy machine drops frames; none is lost without a reason.
    decided = re.search(r'300 sent, \d+ arrived, (\d+) decided; .* unexplained: 0\n', done.stdout)
    assert decided and int(decided[1]) > 0, done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ['demo_output']
    assert list((tmp_path / 'demo_output').rglob('*.jpg'))

"""What is declared as needed, in both worlds: pip's setup.py and rosdep's package.xml; what `make setup` installed."""
import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import robot_vision_dl
from robot_vision_dl.core.requirements import _DEBIAN, DISTRIBUTIONS

REPOSITORY = Path(__file__).resolve().parents[1]
# What pip calls it, the rosdep key (None where none stands for a package of the distribution), what Python
# calls it.
NAMES = {
    'jinja2': ('python3-jinja2', 'jinja2'),
    'numpy': ('python3-numpy', 'numpy'),
    'opencv-python': ('python3-opencv', 'cv2'),
    'pillow': ('python3-pil', 'PIL'),
    'pyyaml': ('python3-yaml', 'yaml'),
    'rosbags': (None, 'rosbags'),
    'safetensors': (None, 'safetensors'),
    'matplotlib': ('python3-matplotlib', 'matplotlib'),
    'torch': ('python3-torch', 'torch'),
    'torchvision': ('python3-torchvision', 'torchvision'),
    'tqdm': ('python3-tqdm', 'tqdm'),
}
# Brought by rosbags, which needs them for the same bags (`compression` is what backports.zstd is called from 3.14 on).
BY_ROSBAGS = {'lz4', 'backports', 'compression'}
# Brought by Jinja2, whose strings of HTML they are.
BY_JINJA2 = {'markupsafe'}
# Extras of pip for which rosdep has no key (it has one for uvicorn, of no use without Starlette); what needs them
# says how to install them.
PIP_ONLY = {'cykooz_resizer', 'dask', 'distributed', 'lightning', 'onnx', 'onnxscript', 'onnxruntime', 'openvino',
            'optuna', 'timm', 'huggingface_hub', 'starlette', 'uvicorn', 'playwright'}
# Used where it is installed, never required.
OPTIONAL = {'cv_bridge', 'ament_index_python'}


def setup_py() -> dict:
    """REQUIREMENTS and EXTRAS."""
    tree = ast.parse((REPOSITORY / 'setup.py').read_text())
    return {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body
            if isinstance(node, ast.Assign) and node.targets[0].id in ('REQUIREMENTS', 'EXTRAS')}


def bare(requirement: str) -> str:
    return re.split(r'[\[<>=~!; ]', requirement)[0]


def manifest() -> ElementTree.Element:
    return ElementTree.parse(REPOSITORY / 'package.xml').getroot()


def rosdep_keys(*kinds: str) -> set:
    return {element.text for kind in kinds for element in manifest().findall(kind)}


def dependencies(ros_distro: str) -> set:
    """The keys that hold for a distribution, by the conditions of REP 149, of which we use one kind."""
    def holds(element: ElementTree.Element) -> bool:
        condition = element.get('condition')
        return condition is None or ros_distro > re.fullmatch(r'\$ROS_DISTRO > (\w+)', condition)[1]
    return {element.text for element in manifest() if element.tag.endswith('_depend') and holds(element)}


def imported_by_the_package() -> set:
    """Top-level names of all modules that some file of the package imports."""
    found = set()
    for path in (REPOSITORY / 'robot_vision_dl').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split('.')[0])
    return found - set(sys.stdlib_module_names) - {'robot_vision_dl'}


def test_version_is_the_same_everywhere():
    version = robot_vision_dl.__version__
    assert manifest().findtext('version') == version
    citation = yaml.safe_load((REPOSITORY / 'CITATION.cff').read_text(encoding='utf-8'))
    # Headings as catkin_prepare_release writes them; `Forthcoming`, where there is one, is above them.
    [newest, date], *_ = re.findall(r'^(\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)\n-+$',
                                    (REPOSITORY / 'CHANGELOG.rst').read_text(encoding='utf-8'), re.MULTILINE)
    assert (citation['version'], newest) == (version, version)
    assert str(citation['date-released']) == date


def test_every_import_is_declared_for_pip_and_for_rosdep():
    declared = setup_py()
    by_pip = {NAMES[bare(item)][1] for item in declared['REQUIREMENTS']}
    by_pip |= {bare(item)[len('ros-'):].replace('-', '_') for item in declared['EXTRAS']['ros']}
    by_pip |= {bare(item).replace('.', '_') for item in sum((declared['EXTRAS'][extra] for extra in (
        'train', 'tune', 'onnx', 'openvino', 'cluster', 'timm', 'label')), [])}
    # By `robot-vision build-msgs`, with timm, and by dask[distributed].
    by_pip |= {'vision_msgs', 'huggingface_hub', 'distributed'}
    by_pip |= {'launch'}  # by no wheel: only `ros2 launch` imports what needs it
    by_pip |= {'playwright'}  # of the tests; `bench loop --through-page` says that it is needed
    by_rosdep = rosdep_keys('depend', 'exec_depend')
    by_rosdep |= {module for key, module in NAMES.values() if key in by_rosdep}
    imported = imported_by_the_package() - OPTIONAL - BY_ROSBAGS - BY_JINJA2
    assert {'torch', 'rclpy', 'vision_msgs'} <= imported
    assert imported - by_pip == set()
    assert imported - by_rosdep - PIP_ONLY == {module for key, module in NAMES.values() if key is None}


def test_every_requirement_of_pip_has_its_rosdep_key_or_is_asked_for_at_the_start():
    keys = rosdep_keys('exec_depend')
    for requirement in setup_py()['REQUIREMENTS']:
        key, module = NAMES[bare(requirement)]
        assert key in keys or key is None
        assert DISTRIBUTIONS[module] == bare(requirement)
        # rosdep calls these as Debian and Ubuntu do. PyTorch is not in all of them, and torchvision goes with it.
        assert _DEBIAN.get(module) == (None if module in ('torch', 'torchvision') else key)


def test_no_key_is_resolved_by_pip():
    """The build farm releases no package that depends on such keys; all of them end in -pip by convention."""
    assert [key for key in dependencies('rolling') if key.endswith('-pip')] == []


def test_dockerfile_installs_by_pip_what_rosdep_does_not():
    installed = set(re.findall(r"'([a-z]+>=[\d.]+)'", (REPOSITORY / 'Dockerfile').read_text()))
    assert installed == {item for item in setup_py()['REQUIREMENTS']
                         if NAMES[bare(item)][0] not in dependencies('jazzy')}


def test_torch_is_asked_of_distributions_that_have_one_that_is_new_enough():
    """Ubuntu 22.04 (Humble) has 1.8.1, 24.04 (Jazzy, Kilted) none, 26.04 (Lyrical, Rolling) 2.6."""
    for name in ('humble', 'jazzy', 'kilted'):
        assert not {'python3-torch', 'python3-torchvision'} & dependencies(name)
        assert 'python3-numpy' in dependencies(name)
    for name in ('lyrical', 'rolling'):
        assert {'python3-torch', 'python3-torchvision'} <= dependencies(name)


def installed_executable(name: str) -> Path:
    path = Path(sys.prefix) / 'lib' / 'robot_vision_dl' / name
    if not path.is_file():
        pytest.skip(f'the package is not installed in {sys.prefix}: make setup')
    return path


def test_installed_node_runs_with_the_python_of_its_environment(tmp_path):
    # As `ros2 run` does it: the file itself, from anywhere, with no environment activated.
    pytest.importorskip('rclpy', reason='ROS 2 is not here')
    environment = {key: value for key, value in os.environ.items() if key != '_ROS_WHEELS_BOOTSTRAP_COMPLETE'}
    environment.update(PATH='/usr/bin:/bin', ROS_DOMAIN_ID=str(100 + os.getpid() % 100))
    done = subprocess.run([str(installed_executable('classifier_node')), '--ros-args', '-p', 'no_such:='],
                          cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert "Couldn't parse" in done.stdout + done.stderr or 'no_such' in done.stdout + done.stderr


def test_installed_command_knows_its_version(tmp_path):
    installed_executable('classifier_node')
    done = subprocess.run([str(Path(sys.executable).parent / 'robot-vision'), '--version'], cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert done.stdout == f'robot-vision {robot_vision_dl.__version__}\n'


def test_the_command_that_colcon_installs_takes_the_python_of_the_shell(tmp_path):
    """colcon runs setup.py with its own Python, and an environment that it ran in may be gone afterwards."""
    pytest.importorskip('setuptools')
    subprocess.run([sys.executable, 'setup.py', '-q', 'egg_info', '-e', str(tmp_path), 'build', '-b',
                    str(tmp_path / 'build'), 'install_scripts', '--skip-build', '--install-dir', str(tmp_path / 'bin')],
                   cwd=REPOSITORY, check=True, capture_output=True, timeout=120)
    assert (tmp_path / 'bin' / 'robot-vision').read_text().splitlines()[0] == '#!/usr/bin/env python3'

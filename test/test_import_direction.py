"""Imports point one way: read from the import statements, wherever in a file they stand."""
import ast
from pathlib import Path
from typing import Iterator, Sequence, Tuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = 'robot_vision_dl'

# What each room of core may import of the others, and of itself. The files of core/ itself are the first two.
CORE = {
    'base': set(),
    'settings': {'base', 'text'},
    'text': {'base'},
    'files': {'base', 'text'},
    'metrics': {'base'},
    'images': {'base', 'text', 'files', 'settings'},
    'networks': {'base', 'text', 'files', 'settings'},
    'uncertainty': {'base', 'text', 'settings', 'metrics', 'networks'},
    'bundles': {'base', 'text', 'files', 'settings', 'networks', 'uncertainty'},
    'decision': {'base', 'text', 'files', 'settings', 'metrics', 'uncertainty'},
    'backends': {'base', 'text', 'files', 'settings', 'networks', 'uncertainty', 'bundles'},
    'regions': {'base', 'text', 'files', 'settings', 'images', 'networks', 'uncertainty', 'decision'},
    'recording': {'base', 'text', 'files', 'settings'},
    'runtime': {'base', 'text', 'files', 'settings', 'images', 'networks', 'uncertainty', 'bundles', 'decision',
                'backends', 'regions'},
}
BASE = {'types', 'errors', 'class_name'}
# What each part may import of the others; those that are no folders are the files of the package itself.
ALLOWED = {
    '__init__': {'core', 'classification', 'classifier'},
    'classification': {'core'},
    'classifier': {'core', 'data', 'classification'},
    'core': {'core'},
    'data': {'core', 'data'},
    'evaluation': {'core', 'data', 'evaluation'},
    'training': {'core', 'data', 'evaluation', 'training'},  # a card tells how the result was judged
    'labelling': {'core', 'data', 'evaluation', 'training', 'labelling'},
    'explain': {'core', 'data', 'evaluation', 'training', 'explain', 'classification'},
    'ros': {'core', 'ros'},
    'doctor': {'core', 'ros', 'doctor'},
    'bench': {'core', 'data', 'evaluation', 'training', 'labelling', 'explain', 'ros', 'bench'},
    'demo': {'core', 'data', 'ros', 'bench', 'demo'},
    'cli': {'core', 'data', 'evaluation', 'training', 'labelling', 'explain', 'ros', 'doctor', 'bench', 'demo', 'cli',
            'classification', 'classifier'},
    'examples': {'core', 'data', 'evaluation', 'training', 'examples', 'classifier'},
}
# A node that replays bags reads them, one that trains needs training, and a replay that is judged the evaluation.
ALLOWED_FILES = {
    'ros/player.py': {'core', 'data', 'ros'},
    'ros/trainer_node.py': {'core', 'ros', 'training'},
    'ros/live_replay.py': {'core', 'data', 'evaluation', 'ros'},
    'ros/live_evaluation.py': {'core', 'data', 'evaluation', 'ros'},
}
# Known to some parts only; `_msgs` and `_interfaces` stand for every package of messages.
ROS_MODULES = ('rclpy', 'ament_index_python', 'launch', 'launch_ros')
PARTS_WITHOUT_ROS = ('core', 'data', 'training', 'evaluation', 'labelling', 'explain')


def imports_of(source: str, module: Tuple[str, ...]) -> Iterator[Tuple[str, int]]:
    """Absolute name of everything that the module ``module`` (a tuple of names) imports, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = list(module[:-node.level]) if node.level else []
            base += node.module.split('.') if node.module else []
            for alias in node.names:  # of `from .. import data`, data may be a part
                yield '.'.join([*base, alias.name]), node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ('importlib.import_module', 'import_module',
                                                                       '__import__'):
            if node.args and isinstance(node.args[0], ast.Constant) and not node.args[0].value.startswith('.'):
                yield node.args[0].value, node.lineno


def violations(relative: str, source: str) -> list:
    """What the file ``relative`` (to the package) imports and must not."""
    path = Path(relative)
    names = path.with_suffix('').parts
    part = names[0]
    allowed = ALLOWED_FILES.get(relative, ALLOWED[part])
    found = []
    for name, line in imports_of(source, (PACKAGE, *names)):
        top, *rest = name.split('.')
        if top == PACKAGE:
            if rest and rest[0] in ALLOWED and rest[0] not in allowed:
                found.append(f'{relative}:{line}: {part} must not import {name}')
            elif part == 'core' and rest[:1] == ['core'] and len(rest) > 1:
                here, there = room_of_core(names), room_of_core(rest)
                if here != there and there not in CORE[here]:
                    found.append(f'{relative}:{line}: core/{here} must not import {name}')
        elif part in PARTS_WITHOUT_ROS and (top in ROS_MODULES or top.endswith(('_msgs', '_interfaces'))):
            found.append(f'{relative}:{line}: {part} must not import {name}, which is of ROS')
        elif part in ('core', 'ros') and top == 'rosbags':
            found.append(f'{relative}:{line}: {part} must not import {name}, which is for bags')
    return found


def room_of_core(names: Sequence[str]) -> str:
    """The room that a module, given as its names from ``core`` on, lies in."""
    return names[1] if names[1] in CORE else 'base' if names[1] in BASE else 'settings'


def modules() -> list:
    folder = REPOSITORY / PACKAGE
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*.py'))


def test_every_part_has_a_rule():
    parts = {path.parent.name for path in (REPOSITORY / PACKAGE).glob('*/__init__.py')}
    assert {'core', 'data', 'ros', 'cli'} <= parts
    assert parts <= set(ALLOWED)
    rooms = {path.parent.name for path in (REPOSITORY / PACKAGE / 'core').glob('*/__init__.py')}
    assert rooms == set(CORE) - {'base', 'settings'}


def test_no_arrow_points_both_ways():
    """What a part or a room may import may not import it: neither directly nor by way of others."""
    for table in (ALLOWED, CORE):
        for name, allowed in table.items():
            reached, waiting = set(), [*(allowed - {name})]
            while waiting:
                other = waiting.pop()
                if other not in reached:
                    reached.add(other)
                    waiting += table[other] - {other}
            assert name not in reached, name


@pytest.mark.parametrize('relative', modules())
def test_imports_point_one_way(relative):
    assert violations(relative, (REPOSITORY / PACKAGE / relative).read_text(encoding='utf-8')) == []


@pytest.mark.parametrize('relative, source', [
    ('core/a.py', 'import rclpy'),
    ('core/a.py', 'from std_msgs.msg import Header'),
    ('core/a.py', 'def lazily():\n    import rosbags.highlevel'),
    ('core/a.py', 'from ..data import bags'),
    ('core/a.py', 'from .. import data'),
    ('core/uncertainty/a.py', 'from ...ros.dds import apply_profile'),
    ('core/a.py', 'import importlib\nimportlib.import_module("robot_vision_dl.ros.dds")'),
    ('core/config.py', 'from .images.limits import check_size'),
    ('core/text/a.py', 'from ..config import ImageConfig'),
    ('core/images/a.py', 'from ..networks.network import Network'),
    ('core/uncertainty/ood/a.py', 'from ...bundles.bundle import Bundle'),
    ('core/metrics/a.py', 'from ..uncertainty.calibrate import calibrate'),
    ('data/a.py', 'from robot_vision_dl.ros import dds'),
    ('core/a.py', 'from ..classifier import Classifier'),
    ('ros/a.py', 'from ..classifier import Classifier'),
    ('classifier.py', 'from .evaluation.predict import run_bundle'),
    ('__init__.py', 'from .data.bags import reader'),
    ('bench/a.py', 'from ..cli.main import main'),
    ('data/a.py', 'from ..evaluation.summary import number'),
    ('ros/classifier_node.py', 'from ..data.bags import read'),
    ('ros/classifier_node.py', 'from rosbags.highlevel import AnyReader'),
    ('evaluation/a.py', 'from ..training.fit import fit'),
])
def test_a_wrong_import_is_seen(relative, source):
    assert len(violations(relative, source)) == 1


@pytest.mark.parametrize('relative, source', [
    ('core/uncertainty/a.py', 'from ..types import Frame\nfrom ...core.errors import ConfigError'),
    ('core/uncertainty/ood/a.py', 'from ..temperature import softmax\nfrom ...networks.network import Prediction'),
    ('data/a.py', 'from rosbags.highlevel import AnyReader\nfrom ..core.types import Frame'),
    ('ros/player.py', 'from ..data.bags import read\nimport rclpy'),
    ('ros/a.py', 'from vision_msgs.msg import Classification\nfrom ..core import config'),
    ('cli/demo.py', 'from ..ros import dds\nfrom ..data import bags\nfrom .. import __version__'),
])
def test_a_right_import_is_let_through(relative, source):
    assert violations(relative, source) == []

"""YAML and JSON that others may have written are read in one place each."""
import ast
from pathlib import Path

import pytest

import robot_vision_dl

PACKAGE = Path(robot_vision_dl.__file__).parent
READERS = {'yaml': ('load', 'safe_load', 'full_load', 'unsafe_load', 'load_all', 'safe_load_all', 'full_load_all',
                    'parse', 'scan', 'compose', 'compose_all', 'SafeLoader', 'BaseLoader', 'FullLoader', 'Loader',
                    'CSafeLoader', 'CLoader', 'UnsafeLoader'),
           'json': ('load', 'loads', 'JSONDecoder'),
           'pickle': ('load', 'loads', 'Unpickler'), 'marshal': ('load', 'loads')}
OWN_OUTPUT = {  # what another process of this package has just printed, or a file that was checked before
    'doctor/round_trip.py', 'ros/interfaces/build.py',
    'doctor/ros.py', 'doctor/python.py', 'cli/decide.py', 'cli/calibrate.py'}
HOMES = {'yaml': {'core/text/yaml_text.py'}, 'json': {'core/text/json_text.py', *OWN_OUTPUT}, 'pickle': set(),
         'marshal': set()}


def uses(tree, module):
    """Names of readers that a file takes from a module, however it imports it."""
    called = {module}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            called |= {name.asname for name in node.names if name.name == module and name.asname}
        if isinstance(node, ast.ImportFrom) and node.module == module:
            yield from (name.name for name in node.names if name.name in READERS[module])
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in called:
            if node.attr in READERS[module]:
                yield node.attr


@pytest.mark.parametrize('module', READERS)
def test_nobody_else_reads(module):
    found = {}
    for path in PACKAGE.rglob('*.py'):
        names = sorted(set(uses(ast.parse(path.read_text(encoding='utf-8')), module)))
        if names and not path.is_relative_to(PACKAGE / 'bench'):  # whose children print results for it
            found[path.relative_to(PACKAGE).as_posix()] = names
    homes = HOMES[module] | ({'core/bundles/bundle_json.py'} if module == 'json' else set())
    assert set(found) <= homes, f'read {module} through core/{module}_text.py: {found}'


def test_the_test_sees_readers():
    tree = ast.parse('import yaml as y, json\nfrom yaml import safe_load\ny.load(1)\njson.loads(2)')
    assert sorted(uses(tree, 'yaml')) == ['load', 'safe_load'] and list(uses(tree, 'json')) == ['loads']


def test_paths_of_users_are_expanded_in_one_place():
    """``Path.expanduser`` raises RuntimeError for a user that there is not."""
    homes = {'core/files/user_path.py', 'core/bundles/bundle_search.py'}  # the latter catches it
    found = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob('*.py')
             if '.expanduser()' in path.read_text(encoding='utf-8')}
    assert found <= homes

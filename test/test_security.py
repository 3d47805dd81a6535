"""What SECURITY.md promises of the code itself: nothing in it runs what a file or a message says."""
import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = sorted((REPOSITORY / 'robot_vision_dl').rglob('*.py')) + sorted((REPOSITORY / 'launch').glob('*.py'))
UNSAFE_CALLS = {
    'eval': 'runs text', 'exec': 'runs text', 'compile': 'makes code of text', '__import__': 'imports by name',
    'os.system': 'a shell',
    'os.popen': 'a shell',
    'subprocess.getoutput': 'a shell',
    'subprocess.getstatusoutput': 'a shell',
    'pickle.load': 'runs what the file says', 'pickle.loads': 'runs what the bytes say', 'pickle.Unpickler': 'the same',
    'marshal.load': 'the same', 'marshal.loads': 'the same', 'shelve.open': 'a pickle', 'joblib.load': 'a pickle',
    'yaml.load': 'builds objects', 'yaml.unsafe_load': 'builds objects', 'yaml.full_load': 'builds objects',
    'yaml.load_all': 'builds objects', 'tempfile.mktemp': 'a name that another may take first',
    'extractall': 'writes where the archive says', 'torch.jit.load': 'runs what the file says',
    'torch.hub.load': 'fetches and runs code'}
NEEDED = {'torch.load': ('weights_only', True),
          'np.load': ('allow_pickle', False), 'numpy.load': ('allow_pickle', False)}


def objections(source: str) -> list:
    """(line, sentence) of every call in ``source`` that would run what it is given."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        for unsafe, why in UNSAFE_CALLS.items():
            if name == unsafe or (unsafe == 'extractall' and name.endswith('.extractall')):
                found.append((node.lineno, f'{name}: {why}'))
        if name in NEEDED:
            key, value = NEEDED[name]
            given = keywords.get(key)
            if not (isinstance(given, ast.Constant) and given.value is value):
                found.append((node.lineno, f'{name} without {key}={value}'))
        shell = keywords.get('shell')
        if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
            found.append((node.lineno, f'{name} with a shell'))
    return found


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_nothing_runs_what_a_file_says(path):
    assert not objections(path.read_text(encoding='utf-8'))


@pytest.mark.parametrize('source', [
    'eval("1")', 'import os\nos.system("x")', 'subprocess.run("ls", shell=True)', 'subprocess.run("ls", shell=flag)',
    'torch.load(path)', 'torch.load(path, weights_only=False)', 'np.load(path, allow_pickle=True)', 'np.load(path)',
    'yaml.load(text, Loader=yaml.Loader)', 'pickle.loads(data)', 'tarfile.open(x).extractall()', 'tempfile.mktemp()'])
def test_the_check_sees_what_it_is_for(source):
    assert objections(source)


@pytest.mark.parametrize('source', [
    'model.eval()', 're.compile("x")', 'subprocess.run(["ls"])', 'torch.load(path, weights_only=True)',
    'np.load(path, allow_pickle=False)', 'subprocess.run(["ls"], shell=False)'])
def test_the_check_lets_the_harmless_pass(source):
    assert not objections(source)

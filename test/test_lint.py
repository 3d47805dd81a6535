"""Style of code and docstrings; the rules are in pyproject.toml."""
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def ruff(*arguments: str, **options) -> subprocess.CompletedProcess:
    pytest.importorskip('ruff', reason='ruff is not installed: pip install ruff')
    command = [sys.executable, '-m', 'ruff', 'check', '--no-cache', '--output-format', 'concise', *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, **options)


def test_style():
    done = ruff('.')
    assert done.returncode == 0, f'\n{done.stdout}{done.stderr}'


def test_the_rules_are_in_force():
    source = 'import os\n\n\ndef f():\n    return "' + 'x' * 120 + '"\n'
    done = ruff('--stdin-filename', 'robot_vision_dl/core/example.py', '-', input=source)
    found = {line.split()[1] for line in done.stdout.splitlines() if line.startswith('robot_vision_dl')}
    assert found >= {'F401', 'D100', 'D103', 'Q000', 'E501'}

"""An environment `.venv-oldest` with the oldest versions that setup.py allows, on the oldest Python that it allows.

`make test-oldest` runs the quick tests in it: the lower bounds are what was run, not what is hoped. It shares nothing
with `.venv`, and takes about as much: 6 GB.
"""
import os
import re
import shutil

from environment import Environment, SetUpError, python_version, say

PYTHON = (3, 10)
# Of what is built and imported, but is no requirement: lightning and tensorboard of that time import pkg_resources.
BUILD_BACKEND = 'setuptools==70.1.0'
EXTRAS = ('train', 'test', 'tune', 'cluster')
# They require a numpy of their own that is newer than the oldest one; with BACKENDS=1 they and it are taken.
BACKENDS = ('onnx', 'openvino')
# What judges the sources' text, not what runs.
LINTERS = re.compile('mypy|ruff|types-')


def lowest(requirement: str) -> str:
    """``name[extra]>=1.2`` as ``name[extra]==1.2``; what has no lower bound as it is."""
    return requirement if LINTERS.match(requirement) else requirement.replace('>=', '==')


def oldest_requirements(required: list, extras: dict, backends: bool) -> list:
    """Each requirement of the package and of what its tests import, at its lower bound, once."""
    names = EXTRAS + (BACKENDS if backends else ())
    found = sorted(set(map(lowest, required + [item for name in names for item in extras[name]])))
    if backends:
        found = ['numpy>=1.21.6,<1.22' if item.startswith('numpy==') else item for item in found]
    return found


def choose_python() -> str:
    """PYTHON=..., or the one on PATH.

    Raises:
        SetUpError: it is not the oldest that is supported, which the oldest versions have wheels for.
    """
    wished = os.environ.get('PYTHON', '')
    for name in [wished, 'python%d.%d' % PYTHON, 'python3']:
        path = shutil.which(name) if name else None
        if path and python_version(path) == PYTHON:
            return path
    raise SetUpError('the oldest versions need Python %d.%d, which they have wheels for: make test-oldest '
                     'PYTHON=/path/to/python%d.%d' % (PYTHON + PYTHON))


def set_up_oldest(env: Environment, required: list, extras: dict, backends: bool) -> None:
    """Bring `.venv-oldest` up to date."""
    if env.get('environment') is None or python_version(str(env.python)) != PYTHON:
        python = choose_python()
        say('[1/4] virtual environment %s with Python %d.%d' % ((env.name,) + PYTHON))
        env.create(python)
        env.set('environment', list(PYTHON))
    state = [BUILD_BACKEND, *oldest_requirements(required, extras, backends), *extras['ros']]
    if env.get('requirements') != state:
        say('[2/4] the oldest versions that setup.py allows: 6 GB')
        constraints = env.folder / 'constraints.txt'
        constraints.write_text('cython<3\n')  # PyYAML of that time is built here, and Cython 3 cannot
        # The old PyYAML asks for its constraints by the variable alone; those of the machine would forbid old versions.
        environment = dict(os.environ, PIP_CONSTRAINT=str(constraints))
        env.run(env.pip('install', *state), 'the oldest versions could not be installed', environment)
        env.set('requirements', state)
    env.install_package('3/4')
    env.build_messages('4/4')

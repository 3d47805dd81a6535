"""Children are found where they are installed, whatever the folder has that somebody works in."""
import os
import re
import subprocess
import sys
from pathlib import Path

import robot_vision_dl
from robot_vision_dl.core.processes import module_command

PACKAGE = Path(robot_vision_dl.__file__).parent


def test_a_file_of_the_working_directory_that_is_named_as_a_module_is_not_run(tmp_path):
    for name in ('random', 'json', 'numpy', 'runpy', 'argparse', 'robot_vision_dl'):
        (tmp_path / f'{name}.py').write_text(f'open("{name} was run", "w").close()\n')
    done = subprocess.run(module_command('robot_vision_dl.cli.main', 'models', 'list', '--help'), cwd=tmp_path,
                          env={**os.environ, 'PYTHONPATH': str(PACKAGE.parent)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'robot-vision models list' in done.stdout
    assert not list(tmp_path.glob('* was run'))


def test_nothing_is_started_that_looks_into_the_working_directory():
    started = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob('*.py')
               if re.search(r"sys\.executable, '-m'", path.read_text())}
    assert started == {'ros/interfaces/build.py'}, 'which runs pip, and pip takes the working directory off the path'


def test_arguments_and_exit_codes_are_those_of_the_module(tmp_path):
    (tmp_path / 'told.py').write_text('import sys\nprint(__name__, sys.argv[1:])\nsys.exit(3)\n')
    done = subprocess.run([sys.executable, '-c', f'import sys; sys.path.append({str(tmp_path)!r}); '
                           + module_command('told')[2], *module_command('told', '-c', '', 'a b')[3:]],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (3, "__main__ ['-c', '', 'a b']"), done.stderr

"""Make the virtual environment `.venv` of this checkout and install the package in it; `make setup` runs this.

Each step leaves a stamp with a digest of what it was made from, written only after the step has succeeded: a set-up
that was interrupted goes on where it stopped, and one that is up to date takes a fraction of a second.

Needs nothing but Python's standard library, and runs under any Python 3.6+ to be able to say that it is too old.
"""
import argparse
import ast
import fcntl
import os
import shutil
import sys
import time

from distribution import DISTRIBUTIONS, set_up_distribution
from environment import BUILD_BACKEND, ROOT, Environment, SetUpError, probe, python_version, say
from oldest import set_up_oldest

SUPPORTED = ((3, 10), (3, 13))
# Requirements that are imported by another name than they are installed by.
IMPORT_NAMES = {'opencv-python': 'cv2', 'pytest-xdist': 'xdist', 'pyyaml': 'yaml'}


def sourced_ros() -> str:
    """Name of the ROS 2 distribution that this shell has sourced, or ''."""
    if not os.environ.get('AMENT_PREFIX_PATH'):
        return ''
    return os.environ.get('ROS_DISTRO', '')


def choose_python(ros: str) -> str:
    """The Python to make the environment with: PYTHON=... if given, else the first supported one on PATH."""
    wished = os.environ.get('PYTHON')
    names = ['python3', '/usr/bin/python3'] if ros else ['python3'] + ['python3.%d' % n for n in (12, 13, 11, 10)]
    seen = []
    for name in [wished] if wished else names:
        path = shutil.which(name)
        version = python_version(path) if path else ()
        if not version:
            continue
        seen.append('%s is %d.%d' % ((path,) + version))
        if not SUPPORTED[0] <= version <= SUPPORTED[1]:
            continue
        if ros and not probe(path, 'import rclpy; print("yes")'):
            seen[-1] += ' and cannot import rclpy'
            continue
        return path
    what = 'Python 3.%d to 3.%d' % (SUPPORTED[0][1], SUPPORTED[1][1])
    if ros:
        what += ' that can import the rclpy of the sourced ROS 2 (%s)' % ros
    raise SetUpError('needs %s; %s. Install one, or name it: make setup PYTHON=/path/to/python3'
                     % (what, '; '.join(seen) or ('%s is not there' % (wished or 'python3'))))


def requirements() -> tuple:
    """REQUIREMENTS and EXTRAS of setup.py, read without running it."""
    values = {}
    for node in ast.parse((ROOT / 'setup.py').read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id in ('REQUIREMENTS', 'EXTRAS'):
            values[node.targets[0].id] = ast.literal_eval(node.value)
    return values['REQUIREMENTS'], values['EXTRAS']


def _ros_name(ros: str) -> str:
    return 'a sourced ROS 2 %s' % ros if ros else 'no sourced ROS 2'


def make_environment(env: Environment, ros: str) -> None:
    """Make `.venv`, unless it is there and runs."""
    if env.get('environment') is not None and python_version(str(env.python)):
        made_with = env.get('environment')['ros']
        if made_with != ros:
            raise SetUpError('.venv was made with %s, and in this shell there is %s. Use a shell of the same kind, or '
                             'begin anew with `make distclean`' % (_ros_name(made_with), _ros_name(ros)))
        return
    python = choose_python(ros)
    say('[1/4] virtual environment .venv with Python %d.%d%s'
        % (python_version(python) + (', on top of ROS 2 %s' % ros if ros else '',)))
    env.create(python, *(['--system-site-packages'] if ros else []))
    env.set('environment', {'ros': ros})


def install_requirements(env: Environment, ros: str) -> None:
    """Install what the package needs; beside a sourced ROS 2 only what that lacks."""
    required, extras = requirements()
    wanted = required + extras['train'] + extras['test'] + ([] if ros else extras['ros'])
    state = [*wanted, *extras['onnx'], *extras['openvino'], BUILD_BACKEND]
    if env.get('requirements') == state:
        return
    options = []
    if ros:
        # cv_bridge and the distribution's OpenCV are compiled for the distribution's numpy: it must stay.
        wanted_now = lacking(env, wanted)
        numpy = probe(str(env.python), 'import numpy; print(numpy.__version__)')
        if numpy:
            constraints = env.folder / 'constraints.txt'
            constraints.write_text('numpy==%s\n' % numpy)
            options = ['-c', str(constraints)]
        say('[2/4] what ROS 2 %s lacks: %s' % (ros, ', '.join(wanted_now) or 'nothing'))
    else:
        wanted_now = wanted
        say('[2/4] ROS 2 Kilted, torch, torchvision, ONNX Runtime, Lightning, OpenCV, test tools: 6 GB, 2 minutes on a '
            'fast line')
    env.run(env.pip('install', *options, *wanted_now, BUILD_BACKEND), 'the requirements could not be installed')
    for name, without in (('onnx', 'networks will run in torch alone'), ('openvino', 'its tests will be skipped')):
        runtime = lacking(env, extras[name])
        try:
            if runtime:
                env.run(env.pip('install', *options, *runtime), 'no wheels')
        except SetUpError:
            say('      what the extra %s needs cannot be had for this machine or its numpy: %s' % (name, without))
    env.set('requirements', state)


def lacking(env: Environment, wanted: list) -> list:
    """Those requirements of which nothing can be imported yet."""
    return [item for item in wanted if not probe(str(env.python), 'import %s; print("yes")' % _import_name(item))]


def install_extras(env: Environment, names: list) -> None:
    """Install extras of setup.py that only some commands need; once each."""
    extras = requirements()[1]
    for name in names:
        if name not in extras:
            raise SetUpError('setup.py has no extra %r; there are %s' % (name, ', '.join(sorted(extras))))
        if env.get('extra ' + name) != extras[name]:
            say('      for %s: %s' % (name, ', '.join(extras[name])))
            env.run(env.pip('install', *extras[name]), 'what %r needs could not be installed' % name)
            env.set('extra ' + name, extras[name])


def _import_name(requirement: str) -> str:
    name = requirement.split('[')[0].split('>')[0]
    return IMPORT_NAMES.get(name, name.replace('-', '_'))


def set_up(extras: list, distribution: str) -> None:
    """Do the steps that are not done yet.

    Args:
        extras: of setup.py, to be installed as well.
        distribution: that of the wheels, for an environment of its own beside `.venv`; '' for `.venv` alone.
    """
    ros = sourced_ros()
    if distribution and distribution not in DISTRIBUTIONS:
        raise SetUpError('ROS=%s is none of the distributions that have wheels: %s'
                         % (distribution, ', '.join(sorted(DISTRIBUTIONS))))
    if distribution and ros:
        raise SetUpError('ROS=%s takes ROS 2 from wheels, and in this shell ROS 2 %s is sourced, which `make test` '
                         'uses as it is. Use a shell without it, or leave out ROS=' % (distribution, ros))
    env = Environment(ROOT / '.venv')
    make_environment(env, ros)
    install_requirements(env, ros)
    install_extras(env, extras)
    if distribution:
        set_up_distribution(env, distribution, requirements()[1]['ros'])
    else:
        env.install_package('3/4')
        env.build_messages('4/4', ros)


def main() -> int:
    """Parse the command line, lock the checkout and set up."""
    start = time.time()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('extras', nargs='*', help='extras of setup.py to install as well')
    others = parser.add_mutually_exclusive_group()
    others.add_argument('--ros', default='', help='the environment of the wheels of this distribution')
    others.add_argument('--oldest', choices=('core', 'backends'), help='the environment of the oldest versions')
    args = parser.parse_args()
    # Two of `make test` and `make demo` at a time: the second waits for the first. The kernel unlocks when we end.
    fcntl.flock(os.open(str(ROOT), os.O_RDONLY), fcntl.LOCK_EX)
    try:
        if args.oldest:
            set_up_oldest(Environment(ROOT / '.venv-oldest'), *requirements(), args.oldest == 'backends')
        else:
            set_up(args.extras, args.ros)
    except SetUpError as error:
        print('set-up: %s' % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nset-up: interrupted; `make setup` goes on where it stopped', file=sys.stderr)
        return 130
    if time.time() - start > 2:
        say('set-up done in %.0f s' % (time.time() - start))
    return 0


if __name__ == '__main__':
    sys.exit(main())

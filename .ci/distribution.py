"""An environment `.venv-NAME` with the ROS 2 wheels of one distribution; all else it shares with `.venv`.

`.venv` keeps a folder of links to its packages but those of ROS 2, and a .pth file of the other environment names that
folder. The links lie outside of the other environment: pip takes what it finds there as given, and does not touch it.
"""
import json
import shutil
import subprocess
from pathlib import Path

from environment import BUILD_BACKEND, Environment, python_version, say

# What the packages of a distribution require of each other leaves one version of each, once rclpy is chosen.
DISTRIBUTIONS = {'jazzy': 'ros-rclpy==7.1.*', 'kilted': 'ros-rclpy==9.1.*'}

# Prints what to share: the entries of site-packages, but what an environment has to have itself: ROS 2, the package,
# what installs packages, and what is found by the place of its program.
_LIST = """
import json, sysconfig
from importlib.metadata import distributions
from pathlib import Path
OWN = {'pip', 'setuptools', 'robot_vision_dl', 'robot-vision-dl', 'vision_msgs', 'vision-msgs', 'ruff'}
folder = Path(sysconfig.get_path('purelib'))
own = {'pip', 'setuptools', 'pkg_resources', '_distutils_hack', 'robot_vision_dl', 'vision_msgs', 'ruff', '__pycache__'}
for found in distributions(path=[str(folder)]):
    name = found.metadata['Name'] or ''
    if name in OWN or name.startswith('ros-'):
        own |= {file.parts[0] for file in found.files or ()}
        own |= {Path(str(found._path)).name}
print(json.dumps(sorted(entry.name for entry in folder.iterdir() if entry.name not in own
                        and not entry.name.endswith('.pth'))))
"""


def share(base: Environment) -> Path:
    """The folder of links in ``base``, brought up to date."""
    shared = base.folder / 'shared'
    done = subprocess.run([str(base.python), '-c', _LIST], stdout=subprocess.PIPE, universal_newlines=True, check=True)
    names = json.loads(done.stdout)
    packages = shared.parent / 'lib' / ('python%d.%d' % python_version(str(base.python))) / 'site-packages'
    wanted = {name: str(packages / name) for name in names}
    if shared.is_dir() and {link.name: str(link.resolve()) for link in shared.iterdir()} == wanted:
        return shared
    if shared.is_dir():
        shutil.rmtree(str(shared))
    shared.mkdir()
    for name, target in wanted.items():
        (shared / name).symlink_to(target)
    return shared


def set_up_distribution(base: Environment, name: str, ros_packages: list) -> None:
    """Bring `.venv-NAME` up to date.

    Args:
        base: `.venv`, with all requirements installed.
        name: of the distribution.
        ros_packages: the requirements of ROS 2, without versions.
    """
    env = Environment(base.folder.with_name('.venv-' + name))
    version = list(python_version(str(base.python)))
    if env.get('environment') != version or list(python_version(str(env.python))) != version:
        say('[1/4] virtual environment %s, which shares all but ROS 2 with .venv' % env.name)
        env.create(str(base.python))
        env.set('environment', version)
    shared = share(base)
    packages = env.folder / 'lib' / ('python%d.%d' % tuple(version)) / 'site-packages'
    (packages / 'shared_with_venv.pth').write_text('%s\n' % shared)
    state = [DISTRIBUTIONS[name], *ros_packages, BUILD_BACKEND]
    if env.get('requirements') != state:
        say('[2/4] ROS 2 %s, 40 MB' % name.capitalize())
        env.run(env.pip('install', DISTRIBUTIONS[name], *ros_packages, BUILD_BACKEND, 'ruff'),
                'ROS 2 %s could not be installed' % name.capitalize())
        env.set('requirements', state)
        env.set('messages', None)
    env.install_package('3/4')
    env.build_messages('4/4')

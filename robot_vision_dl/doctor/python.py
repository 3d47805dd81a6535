"""Python, its packages, the processor and the model bundles."""
import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from ..core.requirements import DISTRIBUTIONS, pip_install, requirements, too_old
from .check import Check, fail, last_line, ok, run_python, warn

OLDEST, NEWEST = (3, 10), (3, 13)

# A line of JSON for each module, so that it is known which one ended the process. Last come torchvision's compiled
# operators, and the GPU as torch sees it.
_PROBE = """
import importlib, importlib.metadata, json, sys

def say(name, **facts):
    print(json.dumps([name, facts]), flush=True)

for pair in sys.argv[1:]:
    name, _, distribution = pair.partition('=')
    try:
        module = importlib.import_module(name)
        version = getattr(module, '__version__', None) or importlib.metadata.version(distribution)
        say(name, version=str(version))
    except Exception as error:
        say(name, error=f'{type(error).__name__}: {error}')
try:
    import torch, torchvision
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    say('nms')
except Exception as error:
    say('nms', error=f'{type(error).__name__}: {error}')
try:
    import torch
    say('gpu_build', cuda=torch.version.cuda, hip=torch.version.hip, mps=torch.backends.mps.is_available())
    devices, architectures, unusable = [], [], []
    if torch.version.cuda or torch.version.hip:
        torch.cuda.init()
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            float((torch.ones(8, device=f'cuda:{index}') * 2).sum())
            devices.append([torch.cuda.get_device_name(index), free, total])
            architectures.append('.'.join(map(str, torch.cuda.get_device_capability(index))))
        from robot_vision_dl.core.networks.cuda import why_unusable  # what auto asks, too
        unusable = [why_unusable(index) for index in range(len(devices))]
    try:
        import onnxruntime
        say('onnx_providers', names=onnxruntime.get_available_providers())
    except ImportError:
        pass
    say('gpu', devices=devices, architectures=architectures, unusable=unusable)
except Exception as error:
    say('gpu', error=f'{type(error).__name__}: {error}')
"""


def probe() -> Dict[str, Dict[str, Any]]:
    """What each package says when it is imported: ``{'numpy': {'version': ...}, 'cv2': {'error': ...}, ...}``.

    Beside the packages there are ``nms``, ``gpu_build``, ``onnx_providers`` (with a GPU) and ``gpu``. A name is missing
    if nothing came so far.
    """
    done = run_python(_PROBE, [f'{name}={distribution}' for name, distribution in DISTRIBUTIONS.items()])
    found: Dict[str, Dict[str, Any]] = {}
    for line in done.stdout.splitlines():
        if line.startswith('['):
            name, facts = json.loads(line)
            found[name] = facts
    if done.returncode < 0:
        victim = next((name for name in (*DISTRIBUTIONS, 'nms', 'gpu_build', 'gpu') if name not in found), None)
        if victim:
            found[victim] = {'error': f'ends Python with {signal.Signals(-done.returncode).name}'}
    return found


def python_check() -> Check:
    """Version and place of the Python that runs this."""
    version = sys.version_info
    text = f'{version.major}.{version.minor}.{version.micro}, {sys.executable}'
    if tuple(version[:2]) > NEWEST:
        return warn('Python', text, f'not tried with more than {NEWEST[0]}.{NEWEST[1]}')
    return ok('Python', text)


def package_checks(found: Dict[str, Dict[str, Any]]) -> Iterator[Check]:
    """Packages that are imported everywhere; ``found`` is from :func:`probe`."""
    good = [f'{name} {found[name]["version"]}' for name in DISTRIBUTIONS if 'version' in found.get(name, {})]
    if good:
        yield ok('packages', ', '.join(good))
    for name, distribution in DISTRIBUTIONS.items():
        facts = found.get(name, {})
        if 'version' not in facts:
            error = facts.get('error', 'was not reached, because an earlier one ended Python')
            yield fail(name, f'cannot be imported: {error}', _package_remedy(name, distribution, error))
    for name, version, requirement in too_old():
        yield fail(name, f'{version} is too old', f'`{pip_install([requirement])}`')
    if 'version' in found.get('torch', {}) and 'version' in found.get('torchvision', {}):
        error = found.get('nms', {}).get('error')
        if error:
            yield fail('torchvision', f'does not fit torch {found["torch"]["version"]}: {error}', _TORCH_PAIR)


_TORCH_PAIR = ('torch and torchvision fit together in pairs, from one place: `pip install --force-reinstall torch '
               'torchvision` in one go, with the same --index-url if one was used (on a Jetson: both from NVIDIA)')


def _package_remedy(name: str, distribution: str, error: str) -> str:
    if 'torchvision::nms' in error:
        return _TORCH_PAIR
    if name == 'cv2' and 'libGL' in error:
        return '`sudo apt install libgl1`, or opencv-python-headless in place of opencv-python'
    if 'numpy' in error.lower() and name != 'numpy' and ('ABI' in error or 'multiarray' in error or 'NumPy 1' in error):
        return f'{distribution} was built for another NumPy: `pip install --upgrade --force-reinstall {distribution}`'
    if 'ModuleNotFoundError' in error:
        return f'`{pip_install([requirements()[distribution]])}`, or `pip install .` in the checkout for all of them'
    return f'`pip install --force-reinstall {distribution}`'


def cv_bridge_check() -> Check:
    """We do not call cv_bridge, but nodes beside ours do, and PyPI has a trap of that name."""
    try:
        spec = importlib.util.find_spec('cv_bridge')
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return ok('cv_bridge', 'not installed, and not needed')
    try:
        version = importlib.metadata.version('cv-bridge')
    except importlib.metadata.PackageNotFoundError:
        version = ''
    place = Path(spec.origin).parent if spec.origin else 'a namespace package'
    if version.startswith('1.'):
        return warn('cv_bridge', f'{version} at {place}: a port of ROS 1 from PyPI, which ignores step and reads 16UC1 '
                    'as 8 bit; other nodes in this environment would use it',
                    '`pip uninstall cv-bridge`, then `sudo apt install ros-$ROS_DISTRO-cv-bridge` where one is needed')
    return ok('cv_bridge', f'{version or "of the distribution"} at {place}; not called by us')


def cpu_quota(file: Path = Path('/sys/fs/cgroup/cpu.max')) -> Optional[float]:
    """Cores that the control group (a container, say) may use; None without a limit."""
    try:
        quota, period = file.read_text().split()
        return None if quota == 'max' else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def cpu_check() -> Check:
    """Cores for this process, and how busy they are."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1)
    cores = min(cores, cpu_quota() or cores)
    load = os.getloadavg()[0]
    text = f'{cores:g} cores, {load:.1f} processes running on average over the last minute'
    if load > cores:
        return warn('processor', text, 'other programs take time away from the classifier: stop some, or set its '
                    'parameter threads so that they share')
    return ok('processor', text)


def model_checks() -> Iterator[Check]:
    """Bundles in ``models/``: every file against its checksum."""
    from ..core.bundles.bundle import verify_bundle
    from ..core.bundles.bundle_search import list_bundles
    from ..core.config import ClassifierConfig
    from ..core.errors import RobotVisionError
    from ..core.resources import share_directory
    try:
        folders = list(list_bundles())
        place = share_directory() / 'models'
    except RobotVisionError as error:
        yield fail('models', str(error), 'install the package whole: `pip install .` or `colcon build`')
        return
    good: List[str] = []
    for folder in folders:
        problems = verify_bundle(folder)
        if problems:
            yield fail('models', f'{folder.name}: {"; ".join(problems)}', f'get {folder} anew; a bundle that does not '
                       'verify is not loaded')
        else:
            good.append(folder.name)
    if good:
        yield ok('models', f'{", ".join(good)} verified, in {place}')
    default = ClassifierConfig().model
    if default not in [folder.name for folder in folders]:
        yield warn('models', f'the default model {default} is not in {place}',
                   'name another with --model, for instance torchvision:resnet18, or see `robot-vision models --help`')


def ended_badly(done: 'subprocess.CompletedProcess[str]') -> str:
    """Why a probe ended."""
    if done.returncode < 0:
        return f'Python ended with {signal.Signals(-done.returncode).name}'
    return last_line(done.stderr)

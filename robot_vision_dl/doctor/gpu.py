"""The GPU: what the machine has, what torch sees of it, and why these differ."""
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .check import Check, ok, warn

NVIDIA_PCI_VENDOR = '0x10de'
DISPLAY_CLASSES = ('0x0300', '0x0302')  # VGA and 3D controllers
_MIG = re.compile(r'MIG (\S+)\s+Device')


@dataclass(frozen=True)
class MachineGpu:
    """What the machine itself says, without torch.

    Attributes:
        driver: version of NVIDIA's kernel driver; None if it is not loaded or not visible.
        names: as ``nvidia-smi`` lists them.
        has_device_files: there is a /dev/nvidia0, or a Jetson's.
        is_jetson: an integrated GPU.
        on_bus: an NVIDIA GPU is on the PCI bus, with a driver or without.
        mig: its instances where MIG divides a GPU, e.g. ``1g.10gb``; empty: none.
        mig_is_on: on any GPU.
        power_mode: of a Jetson, as ``nvpmodel`` calls it; empty where it does not say.
    """

    driver: Optional[str] = None
    names: Tuple[str, ...] = ()
    has_device_files: bool = False
    is_jetson: bool = False
    on_bus: bool = False
    mig: Tuple[str, ...] = ()
    mig_is_on: bool = False
    power_mode: str = ''

    @property
    def seen(self) -> bool:
        """There is a GPU that could be used as it is."""
        return bool(self.names) or self.has_device_files


def _read(path: Path) -> str:
    try:
        return path.read_text(errors='replace').strip()
    except OSError:
        return ''


def look_at_machine(root: Path = Path('/')) -> MachineGpu:
    """Read /dev, /proc and /sys below ``root``, and ask ``nvidia-smi``."""
    names: Tuple[str, ...] = ()
    mig: Tuple[str, ...] = ()
    driver, mig_is_on = None, False
    version = _read(root / 'proc/driver/nvidia/version')
    for word in version.partition('\n')[0].split():
        if word[0].isdigit() and '.' in word:
            driver = word
            break
    rows = [line.rsplit(',', 1) for line in _lines('nvidia-smi', '--query-gpu=name,driver_version',
                                                   '--format=csv,noheader') if ',' in line]
    if rows:
        names, driver = tuple(name.strip() for name, _ in rows), rows[0][1].strip()
        mig_is_on = 'Enabled' in _lines('nvidia-smi', '--query-gpu=mig.mode.current', '--format=csv,noheader')
        mig = tuple(found[1] for found in map(_MIG.match, _lines('nvidia-smi', '-L')) if found) if mig_is_on else ()
    is_jetson = (root / 'etc/nv_tegra_release').exists() or (root / 'dev/nvhost-gpu').exists()
    has_files = (root / 'dev/nvidia0').exists() or (root / 'dev/nvhost-gpu').exists() or (root / 'dev/nvgpu').exists()
    on_bus = any(_read(device / 'vendor') == NVIDIA_PCI_VENDOR and _read(device / 'class')[:6] in DISPLAY_CLASSES
                 for device in (root / 'sys/bus/pci/devices').glob('*'))
    mode = next((line.partition(':')[2].strip() for line in (_lines('nvpmodel', '-q') if is_jetson else ())
                 if line.startswith('NV Power Mode')), '')
    return MachineGpu(driver, names, has_files, is_jetson, on_bus, mig, mig_is_on, mode)


def _lines(*command: str) -> List[str]:
    """What a command prints, where there is one and it ends well."""
    if not shutil.which(command[0]):
        return []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines()] if done.returncode == 0 else []


def gpu_check(machine: MachineGpu, found: Dict[str, Dict[str, Any]]) -> Check:
    """Compare the machine's GPU with what torch says; ``found`` is from :func:`~.doctor.python.probe`."""
    if 'version' not in found.get('torch', {}):
        return warn('GPU', 'cannot be told without torch', 'see torch above')
    build, facts = found.get('gpu_build', {}), found.get('gpu', {})
    torch_version = found['torch']['version']
    devices = facts.get('devices') or []
    if devices:
        architectures = facts.get('architectures') or [''] * len(devices)
        listed = ', '.join(f'cuda:{index} {name}{f", architecture {kind}" if kind else ""} '
                           f'({free / 2 ** 30:.1f} of {total / 2 ** 30:.1f} GiB free)'
                           for index, ((name, free, total), kind) in enumerate(zip(devices, architectures)))
        driver = f', driver {machine.driver}' if machine.driver else ''
        runtime = _onnx_runtime(found.get('onnx_providers', {}).get('names'))
        text = f'{listed}{driver}, CUDA {build.get("cuda") or build.get("hip")}{_circumstances(machine)}{runtime}'
        failing = [reason for reason in facts.get('unusable') or () if reason]
        if failing:
            return warn('GPU', f'{text}; {"; ".join(failing)}',
                        'install a torch that is built for this GPU (an older card: one for an older CUDA), and see '
                        'that the driver fits it; until then the CPU is used')
        return ok('GPU', text)
    if build.get('mps'):
        return ok('GPU', 'mps (Metal)')
    if not machine.seen:
        if machine.on_bus:
            return warn('GPU', 'an NVIDIA GPU is in this machine, but its driver is not to be seen; the CPU is used',
                        'in a container start it with `--gpus all` (or `--runtime nvidia`); else install the driver: '
                        '`sudo ubuntu-drivers install`')
        built = f' (torch is built for CUDA {build["cuda"]}, which does no harm)' if build.get('cuda') else ''
        return ok('GPU', f'none; the CPU is used{built}')
    there = ', '.join(machine.names) or 'an NVIDIA GPU'
    if not (build.get('cuda') or build.get('hip')):
        where = ("NVIDIA's wheels for your JetPack (the registry's are for the CPU)" if machine.is_jetson else
                 'the CUDA build of torch and torchvision: `pip install --force-reinstall torch torchvision`')
        return warn('GPU', f'{there} is there, but torch {torch_version} is built without CUDA; the CPU is used',
                    f'install {where}')
    if os.environ.get('CUDA_VISIBLE_DEVICES') in ('', '-1'):
        return warn('GPU', f'{there} is there, but CUDA_VISIBLE_DEVICES={os.environ["CUDA_VISIBLE_DEVICES"]!r} hides '
                    'it; the CPU is used', '`unset CUDA_VISIBLE_DEVICES`')
    if machine.mig_is_on and not machine.mig:
        return warn('GPU', f'{there} is there, but MIG is on and has no instance; the CPU is used',
                    '`sudo nvidia-smi mig -lgip` lists what instances there can be, `sudo nvidia-smi mig -cgi <ID> '
                    '-C` makes one; or turn it off: `sudo nvidia-smi -mig 0`')
    driver = f'driver {machine.driver}' if machine.driver else 'no driver that answers'
    return warn('GPU', f'{there} is there ({driver}), but torch {torch_version} for CUDA {build.get("cuda")} cannot '
                f'use it: {facts.get("error", "it finds no device")}{_circumstances(machine)}; the CPU is used',
                'check that `nvidia-smi` works; too old a driver: update it, or install torch and torchvision for an '
                'older CUDA; "no kernel image": this torch does not support the GPU; in a container: `--gpus all`')


def _onnx_runtime(providers: Optional[Sequence[str]]) -> str:
    """What ONNX Runtime has for GPUs; nothing where it is not installed."""
    if providers is None:
        return ''
    has = [name for name in providers if name in ('CUDAExecutionProvider', 'TensorrtExecutionProvider')]
    return f'; ONNX Runtime has {", ".join(has) or "no provider for it, which onnxruntime-gpu has"}'


def _circumstances(machine: MachineGpu) -> str:
    """What decides which GPU is seen, and how quick it is, as it stands."""
    found = []
    if machine.mig_is_on:
        found.append(f'MIG is on ({", ".join(machine.mig) or "no instance"})')
    if 'CUDA_VISIBLE_DEVICES' in os.environ:
        found.append(f'CUDA_VISIBLE_DEVICES={os.environ["CUDA_VISIBLE_DEVICES"]!r}')
    if machine.power_mode:
        found.append(f'power mode {machine.power_mode} (`sudo nvpmodel -p --verbose` lists the others)')
    return ''.join(f'; {text}' for text in found)

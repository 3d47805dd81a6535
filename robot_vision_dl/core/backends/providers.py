"""What ONNX Runtime computes with: the providers that it has, and the one that a session really runs.

On a GPU only its CUDA provider is used, in float32: its TensorRT provider multiplies float32 in TF32 without being
asked. ONNX Runtime's CUDA provider has never been run by us.
"""
from typing import TYPE_CHECKING, Any, List, Tuple, Union

from ..errors import ConfigError
from ..networks.torch_use import HostDevice

if TYPE_CHECKING:
    import torch

Device = Union['torch.device', HostDevice]
HOST = HostDevice()
CPU, CUDA, TENSORRT = 'CPUExecutionProvider', 'CUDAExecutionProvider', 'TensorrtExecutionProvider'
Provider = Union[str, Tuple[str, Any]]


def available() -> List[str]:
    """Names of the providers that the installed ONNX Runtime is built with; empty: it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return []
    names: List[str] = onnxruntime.get_available_providers()
    return names


def providers_for(device: Device) -> List[Provider]:
    """What a session on a device is made with, the one that is to run it first.

    Raises:
        ConfigError: there is none for a GPU.
    """
    if isinstance(device, HostDevice) or device.type != 'cuda':
        return [CPU]
    names = available()
    if CUDA not in names:
        raise ConfigError(f'ONNX Runtime has no provider for {device} (it has {", ".join(names) or "none"}): install '
                          'onnxruntime-gpu in the place of onnxruntime, or set device to cpu')
    # CPU for what CUDA does not have, shapes above all. TF32 is on unless it is turned off. By default all algorithms
    # of each convolution are tried whenever a batch of another size comes, in the midst of the frames.
    return [(CUDA, {'device_id': device.index or 0, 'use_tf32': 0, 'cudnn_conv_algo_search': 'HEURISTIC'}), CPU]


def running(session: Any, device: Device) -> str:
    """The provider that a session really runs.

    Raises:
        ConfigError: a GPU was wanted, and ONNX Runtime took the CPU.
    """
    name: str = session.get_providers()[0]
    if device.type == 'cuda' and name != CUDA:
        raise ConfigError(f'ONNX Runtime lists {CUDA} and runs {name}: its libraries of CUDA or cuDNN cannot be '
                          'loaded. Install the versions that onnxruntime-gpu names, or set device to cpu, or '
                          'backend to torch')
    return name


def said_of(name: str) -> str:
    """For the log: what runs, and what is there and does not."""
    return name + ('; TensorRT is there, too, and not used: it takes TF32 for float32'
                   if name == CUDA and TENSORRT in available() else '')

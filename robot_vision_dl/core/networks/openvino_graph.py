"""An ONNX model run by OpenVINO on the CPU."""
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any, List, Sequence, cast

from ..errors import BundleError, ConfigError
from ..text.printable import printable
from .onnx_graph import INPUT

if TYPE_CHECKING:
    import torch


def import_openvino() -> ModuleType:
    """The package openvino.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(f'the backend openvino is not installed ({error}); install it with `pip install '
                          '"robot_vision_dl[openvino]"`') from error
    return cast(ModuleType, openvino)


def compile_openvino(data: bytes, threads: int, what: str) -> Any:
    """An ``openvino.CompiledModel`` for the CPU.

    Raises:
        ConfigError: OpenVINO is not installed, or refuses the model.
    """
    openvino = import_openvino()
    try:
        core = openvino.Core()
        # Left to itself it takes bfloat16 where the processor has it, which calibration has not seen.
        return core.compile_model(core.read_model(data), 'CPU', {
            'INFERENCE_NUM_THREADS': threads, 'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': 'f32'})
    except Exception as error:  # noqa: B902 - its exceptions have no base class of their own
        raise ConfigError(f'OpenVINO refuses {what}: {printable(error, 400)}') from error


class OpenVinoRunner:
    """Runs a checked model with OpenVINO on the CPU; any thread may call it.

    Args:
        data: the file.
        outputs: names of what is wanted.
        where: for messages.

    Raises:
        ConfigError: OpenVINO is not installed.
        BundleError: it refuses the model.
    """

    def __init__(self, data: bytes, outputs: Sequence[str], where: str) -> None:
        import torch
        self._where, self._outputs, self._requests = where, list(outputs), threading.local()
        import_openvino()
        try:
            self._compiled = compile_openvino(data, torch.get_num_threads(), where)
        except ConfigError as error:
            raise BundleError(str(error)) from error

    def __call__(self, pixels: 'torch.Tensor') -> 'List[torch.Tensor]':
        """The outputs for float32 pixels (B, channels, H, W), on the device that they are on."""
        import torch
        if not hasattr(self._requests, 'own'):
            self._requests.own = self._compiled.create_infer_request()
        request = self._requests.own
        array = pixels.detach().to('cpu', torch.float32).contiguous().numpy()
        try:
            request.infer({INPUT: array})
            # Copies: the request's own memory is overwritten by its next pass.
            found = [request.get_tensor(name).data.copy() for name in self._outputs]
        except Exception as error:  # noqa: B902 - its exceptions have no base class of their own
            raise BundleError(f'{self._where}: OpenVINO fails: {printable(error, 300)}') from error
        return [torch.from_numpy(one).to(pixels.device) for one in found]

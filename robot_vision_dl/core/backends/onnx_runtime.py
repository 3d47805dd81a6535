"""ONNX Runtime on the CPU."""
import torch

from ..bundles.bundle import Bundle
from ..errors import ConfigError
from ..networks.network import Prediction
from .onnx_model import INPUT, cached_onnx, cached_path, output_names


class OnnxRuntimeNetwork:
    """Runs a bundle's network with ONNX Runtime, in float32; called as the network itself is.

    Args:
        bundle: one model, not an ensemble.
        threads: that share a pass.

    Raises:
        ConfigError: ONNX Runtime or the exporter is not installed, or one of them refuses the network.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(f'the backend onnxruntime is not installed ({error}); install it with `pip install '
                              '"robot_vision_dl[export]"`, or set backend to torch') from error
        self._outputs = output_names(bundle)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Threads that spin between frames would take a core from the rest of the robot.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(cached_onnx(bundle), options,
                                                         providers=['CPUExecutionProvider'])
        except ConfigError:
            raise
        except Exception as error:  # noqa: B902 - its exceptions have no base class of their own
            raise ConfigError(f'ONNX Runtime refuses {bundle.name}: {error}; remove {cached_path(bundle)} if that '
                              'is damaged, or set backend to torch') from error

    def __call__(self, pixels: torch.Tensor) -> Prediction:
        """Logits (B, C), features (B, F) and stages of preprocessed float32 pixels (B, channels, H, W) on the CPU."""
        # It wants planes; our pictures come with channels last. Turning one of 224 pixels takes .06 ms.
        found = self._session.run(self._outputs, {INPUT: pixels.contiguous().numpy()})
        logits, features, *stages = map(torch.from_numpy, found)
        return Prediction(logits, features, tuple(stages))

"""What runs a network, and the runtimes that there are beside torch."""
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Sequence

from ..bundles.bundle import Bundle
from .onnx_runtime import OnnxRuntimeNetwork
from .openvino_runtime import OpenVinoNetwork

Forward = Callable[[Any], Any]
"""Preprocessed pixels (B, channels, H, W) -> a prediction; tensors of a tensor, and of a runtime arrays of an array."""
RUNTIMES: Dict[str, Callable[[Bundle, int], Forward]] = {
    'onnxruntime': OnnxRuntimeNetwork, 'openvino': OpenVinoNetwork}
LEAST_GAIN = 1.1
"""What is not this much faster than torch is not worth a second runtime."""


@dataclass(frozen=True)
class Backend:
    """What runs the network.

    Attributes:
        name: torch, onnxruntime or openvino.
        forward: preprocessed pixels (B, channels, H, W) -> prediction.
        reason: why this one, a sentence for the log and the diagnostics.
        difference: largest difference of logits and features from torch's, relative to the largest of them; 0: torch.
        device: kind of the device that it computes on, where that is not the network's; else empty.
    """

    name: str
    forward: Forward
    reason: str
    difference: float = 0.0
    device: str = ''


def quickest(times_ms: Mapping[str, float], own: str) -> str:
    """Of what was measured; ``own``, which runs the network as it was loaded, unless another is clearly quicker."""
    return min(times_ms, key=lambda name: times_ms[name] * (1 if name == own else LEAST_GAIN))


def reason_of(times_ms: Mapping[str, float], batch: int, left_out: Sequence[str]) -> str:
    """Why that is taken, a sentence."""
    measured = ', '.join(f'{name} {ms:.1f} ms' for name, ms in times_ms.items())
    return f'a batch of {batch} takes {measured}' + ''.join(f'; {text}' for text in left_out)

"""Whether a GPU says of photographs what the CPU says: done whenever one is taken into use."""
from typing import Callable, List

import numpy as np
import torch

from ..errors import DeviceError
from ..networks.preprocess import HostPixels
from ..resources import share_directory
from ..types import ColorOrder, Picture
from .packed_runner import PackedRunner

LIMITS = {'float32': 1e-3, 'tf32': 0.02, 'float16': 0.02, 'bfloat16': 0.25}
"""Of the largest difference of a logit from the CPU's at float32, relative to the largest logit. By rounding alone it
is up to .003 in tf32 and float16, and .12 in bfloat16, on photographs and with the networks that are shipped."""
_PHOTOGRAPH = ('config', 'demo', 'unknown_object.jpg')


def photographs() -> List[Picture]:
    """Three different pictures, parts of a photograph that comes with the package."""
    from ..images.picture_file import decode_picture  # which a node on a CPU does not import
    path = share_directory().joinpath(*_PHOTOGRAPH)
    pixels = decode_picture(np.fromfile(path, np.uint8), path.name)
    height, width = pixels.shape[:2]
    return [Picture(pixels, ColorOrder.BGR), Picture(pixels[:, :width // 2], ColorOrder.BGR),
            Picture(pixels[height // 3:, ::-1], ColorOrder.RGB)]


@torch.inference_mode()
def check_against_cpu(run: Callable[[torch.Tensor], np.ndarray], normalised: Callable[[torch.Tensor], torch.Tensor],
                      cpu: PackedRunner, classes: int, most: int, precision: str, device: str) -> float:
    """The largest relative difference of the logits over batches of 1 to ``most``.

    Args:
        run: levels (B, H, W, C) -> packed array (B, K) by way of the device, its first ``classes`` columns the logits.
        normalised: levels -> the network's input as the device makes it, on the host.
        cpu: the same in float32 on the CPU.
        device: for messages.

    Raises:
        DeviceError: inputs differ at all, or logits more than the precision explains.
    """
    levels = HostPixels(cpu.preprocessing)(photographs())
    own = normalised(levels)
    if not torch.equal(own, cpu.normalised(levels).to(own.dtype)):
        raise DeviceError(f'{device}: the self-check fails: it normalises pictures to other values than the CPU. '
                          f'{_REMEDY}')
    expected = cpu(levels).numpy()[:, :classes]
    largest, worst = float(np.abs(expected).max()), 0.0
    for count in range(most, 0, -1):
        places = [(count + place) % len(levels) for place in range(count)]
        given = run(levels[places])[:, :classes]
        difference = float(np.abs(given - expected[places]).max()) / max(largest, 1e-12)
        worst = max(worst, difference if difference == difference else float('inf'))
        if not worst <= LIMITS[precision]:
            raise DeviceError(f'{device}: the self-check fails: logits of a batch of {count} differ from those of the '
                              f'CPU by {worst:.2g} of the largest, and at {precision} by {LIMITS[precision]:g} at most '
                              f'they may. {_remedy(precision)}')
    return worst


_REMEDY = ('Set device to cpu; update the driver, or torch; if other programs on this GPU go wrong, too, its memory '
           'may be damaged (`nvidia-smi -q -d ECC`)')


def _remedy(precision: str) -> str:
    return _REMEDY if precision == 'float32' else f'Set precision to float32, which tells if it is that. {_REMEDY}'



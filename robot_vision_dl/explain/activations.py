"""What a network makes of a picture layer by layer: the maps after its stages."""
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import torch
from torch import nn

from ..core.networks.architectures import first_convolution
from ..core.networks.hooks import forward_hooks
from ..core.networks.network import Network
from ..core.networks.stages import has_channels_last, usual_stages


@dataclass(frozen=True)
class StageMaps:
    """The maps after a stage.

    Attributes:
        name: dotted name of the module.
        shape: (F, h, w).
        mean: float32 (h, w), the mean over all channels of the sizes of their values.
        channels: indices of the channels with the largest share of their sum at one place, strongest first.
        maps: float32 (n, h, w) of these.
        silent: share of the channels that are the same everywhere.
    """

    name: str
    shape: Tuple[int, int, int]
    mean: np.ndarray
    channels: Tuple[int, ...]
    maps: np.ndarray
    silent: float


def stages_of(network: Network) -> List[str]:
    """Modules worth looking behind: the first convolution, the stages that are usual for the architecture, the end."""
    name = network.architecture.name
    modules = dict(network.backbone.named_modules())
    found = [first_convolution(network.backbone)[0], *usual_stages(name)]
    if len(found) == 1:  # of an architecture without usual stages: the convolutions, evenly
        convolutions = [path for path, module in modules.items() if isinstance(module, nn.Conv2d)]
        places = np.linspace(0, len(convolutions) - 1, min(5, len(convolutions)))
        found = [convolutions[round(place)] for place in places]
    return [one for one in dict.fromkeys(found) if one in modules]


def stage_maps(network: Network, pixels: torch.Tensor, names: Sequence[str], most: int = 6) -> List[StageMaps]:
    """Maps after some modules.

    Args:
        network: in evaluation mode.
        pixels: float32 (1, C, H, W), preprocessed.
        names: dotted names of modules of the backbone; those that give no maps are left out.
        most: channels of each that are kept.
    """
    modules = dict(network.backbone.named_modules())
    paths = {modules[name]: name for name in names}
    outputs: Dict[str, torch.Tensor] = {}
    channels_last = has_channels_last(network.backbone, network.architecture.name)

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4:
            # A convolution gives (B, F, h, w) wherever it is.
            turned = channels_last and not isinstance(module, nn.Conv2d)
            planes = output[0].permute(2, 0, 1) if turned else output[0]
            outputs[paths[module]] = planes.detach().float().clone()
    with forward_hooks(paths, keep), torch.no_grad():
        network(pixels)
    return [_kept(name, outputs[name], most) for name in names if name in outputs]


def _kept(name: str, output: torch.Tensor, most: int) -> StageMaps:
    maps = output.cpu().numpy()
    spread = maps.std(axis=(1, 2))
    order = np.argsort(-spread, kind='stable')[:most]
    silent = float((spread <= 1e-6 * max(float(np.abs(maps).max()), 1e-12)).mean())
    return StageMaps(name, (maps.shape[0], maps.shape[1], maps.shape[2]), np.abs(maps).mean(0),
                     tuple(int(one) for one in order), maps[order], silent)

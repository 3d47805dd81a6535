"""An input for a look at a network, where it does not matter what is to be seen in it."""
import torch

from .bundle import Bundle


def any_pixels(bundle: Bundle, count: int = 1) -> torch.Tensor:
    """Noise of the shape that the network is run at, (count, C, H, W), always the same."""
    return torch.randn((count, bundle.architecture.in_channels, *bundle.preprocessing.crop),
                       generator=torch.Generator().manual_seed(0))

"""Monte Carlo dropout: predictions of many mc_logits networks (Gal and Ghahramani 2016)."""
from contextlib import contextmanager
from typing import Iterator, List, Tuple

import torch
from torch import nn

from ..errors import ConfigError
from ..networks.network import Network, Prediction

_KINDS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def dropout_layers(network: Network) -> Tuple[List[nn.Module], List[nn.Module]]:
    """Layers that drop anything: before the head, and in the backbone."""
    def active(module: nn.Module) -> List[nn.Module]:
        return [one for one in module.modules() if isinstance(one, _KINDS) and one.p > 0]
    return active(network.dropout), active(network.backbone)


class DropoutSampler:
    """Runs a network with dropout on.

    Where only the layer before the head drops, the backbone runs once and the head on M mc_logits copies of its output.
    Else the whole network runs on M copies of the batch, as one batch. All other layers, BatchNorm above all, stay in
    evaluation.

    Args:
        network: in evaluation mode.
        samples: M, at least 2.
        seed: the same mc_logits networks are drawn for every batch of a size, so that equal frames give equal figures.

    Raises:
        ConfigError: the network has no dropout.
    """

    def __init__(self, network: Network, samples: int, seed: int = 0) -> None:
        before_head, in_backbone = dropout_layers(network)
        if not before_head + in_backbone:
            raise ConfigError(f'dropout samples: {network.architecture.name} has no dropout layer that drops anything; '
                              'set them to 0')
        if samples < 2:
            raise ConfigError(f'dropout samples: two at least are needed, got {samples}')
        self.network, self.samples, self._seed = network, samples, seed
        self._layers = before_head + in_backbone
        self.is_head_only = not in_backbone

    def __call__(self, pixels: torch.Tensor) -> Tuple[Prediction, torch.Tensor]:
        """The plain prediction, and the logits of the mc_logits networks, shape (M, B, C), of pixels (B, c, H, W)."""
        network, count = self.network, len(pixels)
        if self.is_head_only:
            maps, features, stages = network.features_of(pixels)
            given = maps if network.head_takes_maps else features
            plain = Prediction(network.head(given), features, stages)
            with self._dropping():
                mc_logits = network.head(network.dropout(_repeated(given, self.samples)))
        else:
            plain = network(pixels)
            with self._dropping():
                mc_logits = network(_repeated(pixels, self.samples)).logits
        return plain, mc_logits.view(self.samples, count, -1)

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        devices = {p.device for p in self.network.parameters() if p.device.type == 'cuda'}
        with torch.random.fork_rng(devices=list(devices)):
            torch.manual_seed(self._seed)
            for layer in self._layers:
                layer.train()
            try:
                yield
            finally:
                for layer in self._layers:
                    layer.eval()


def _repeated(values: torch.Tensor, times: int) -> torch.Tensor:
    repeated = values.repeat(times, *[1] * (values.ndim - 1))
    return repeated.contiguous(memory_format=torch.channels_last) if values.ndim == 4 else repeated

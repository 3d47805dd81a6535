"""SqueezeNet, with torchvision's names of layers and weights.

torchvision has it too, but importing torchvision takes over a second, and the bundle that comes with the package needs
nothing else of it.
"""
from typing import List

import torch
from torch import nn

# (squeeze, expand) of the eight fire modules, the same in both versions (Iandola et al. 2016, table 1).
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
# Version -> outputs and side of the first convolution, and the modules before which maps are halved.
_VERSIONS = {'1_0': (96, 7, (0, 3, 7)), '1_1': (64, 3, (0, 2, 4))}


class SqueezeNet(nn.Module):
    """SqueezeNet 1.0 (Iandola et al. 2016) or 1.1 (its authors' later version, 2.4 times cheaper)."""

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, version: str = '1_1') -> None:
        super().__init__()
        maps, side, halved_before = _VERSIONS[version]
        layers: List[nn.Module] = [nn.Conv2d(in_channels, maps, side, stride=2), nn.ReLU(inplace=True)]
        for index, (squeeze, expand) in enumerate(_FIRES):
            if index in halved_before:
                layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
            layers.append(Fire(maps, squeeze, expand))
            maps = 2 * expand
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(maps, num_classes, 1)
        self.classifier = nn.Sequential(nn.Dropout(0.5), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(last.weight, std=0.01)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of pixels (B, in_channels, H, W)."""
        logits: torch.Tensor = self.classifier(self.features(pixels))
        return logits.flatten(1)


class Fire(nn.Module):
    """1x1 convolution to few maps, then 1x1 and 3x3 side by side: (B, maps, H, W) -> (B, 2 * expand, H, W)."""

    def __init__(self, maps: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(maps, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Expanded maps."""
        few = torch.relu_(self.squeeze(maps))
        return torch.cat([torch.relu_(self.expand1x1(few)), torch.relu_(self.expand3x3(few))], 1)

"""Residual networks for 32x32 pictures."""
import torch
from torch import nn
from torch.nn import functional


class SmallResNet(nn.Module):
    """The network of He et al. 2016 ("Deep residual learning", section 4.2) for CIFAR: 6n+2 layers.

    A 3x3 convolution, three stages of ``blocks`` basic blocks with 16, 32 and 64 maps of 32, 16 and 8 pixels, global
    mean, linear. Shortcuts between stages take every second pixel and pad with zero maps, without weights (option A).
    Other sizes of input work, because the mean is global.

    Args:
        blocks: n; 3 is ResNet-20, 5 ResNet-32, 9 ResNet-56.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, blocks: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*[BasicBlock(16, 16) for _ in range(blocks)])
        self.layer2 = nn.Sequential(*[BasicBlock(16 if i == 0 else 32, 32) for i in range(blocks)])
        self.layer3 = nn.Sequential(*[BasicBlock(32 if i == 0 else 64, 64) for i in range(blocks)])
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of pixels (B, in_channels, 32, 32)."""
        maps = functional.relu(self.bn1(self.conv1(pixels)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        logits: torch.Tensor = self.fc(maps.mean((2, 3)))
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; halves the picture where the number of maps grows."""

    def __init__(self, maps_in: int, maps: int) -> None:
        super().__init__()
        self.stride = 1 if maps == maps_in else 2
        self.grown = maps - maps_in
        self.conv1 = nn.Conv2d(maps_in, maps, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(maps)
        self.conv2 = nn.Conv2d(maps, maps, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(maps)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (B, maps_in, H, W) -> (B, maps, H/stride, W/stride)."""
        shortcut = maps
        if self.grown:
            shortcut = functional.pad(maps[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.grown))
        out = functional.relu(self.bn1(self.conv1(maps)))
        return functional.relu(self.bn2(self.conv2(out)) + shortcut)

"""LeNet-5 for 32x32 pictures."""
import torch
from torch import nn


class LeNet5(nn.Module):
    """LeNet-5 (LeCun et al. 1998, section II.B), for input of shape (B, in_channels, 32, 32).

    As in the paper: 5x5 convolutions to 6, 16 and 120 maps, subsampling by two with a trainable gain and bias per map,
    tanh, 84 units. Two things are as everyone builds it today: every map of C3 sees all maps of S2 instead of the
    subsets of table I, and the output is linear (for a softmax) instead of radial basis functions.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(in_channels, 6, 5)
        self.s2 = Subsample(6)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.s4 = Subsample(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.fc = nn.Linear(84, num_classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of pixels (B, in_channels, 32, 32)."""
        maps = self.s2(torch.tanh(self.c1(pixels)))
        maps = self.s4(torch.tanh(self.c3(maps)))
        units = torch.tanh(self.c5(maps)).flatten(1)
        logits: torch.Tensor = self.fc(torch.tanh(self.f6(units)))
        return logits


class Subsample(nn.Module):
    """Mean over 2x2 with a trainable gain and bias per map: (B, C, H, W) -> (B, C, H/2, W/2)."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(maps, 1, 1))
        self.bias = nn.Parameter(torch.zeros(maps, 1, 1))
        self.pool = nn.AvgPool2d(2)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Subsampled maps."""
        halved: torch.Tensor = self.pool(maps)
        return halved * self.gain + self.bias

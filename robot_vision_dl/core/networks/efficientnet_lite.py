"""EfficientNet-Lite, with timm's names of layers and weights (``tf_efficientnet_lite0`` to ``4``).

It is EfficientNet (Tan and Le 2019) without squeeze-and-excitation, with ReLU6, and with a stem and a head that do not
grow, so that it runs well on small machines and in int8. Written down in
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. timm has it too; the bundle that comes
with the package needs nothing else of timm.
"""
import math
from typing import List, Tuple

import torch
from torch import nn
from torch.nn import functional

# (repeats, side of the kernel, stride, expansion, maps) of the seven stages of Lite0.
_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
           (1, 3, 1, 6, 320))
_STEM, _HEAD = 32, 1280
# Version -> how many times as many maps and layers as Lite0, and dropout before the last layer.
_VERSIONS = {0: (1.0, 1.0, 0.2), 1: (1.0, 1.1, 0.2), 2: (1.1, 1.2, 0.3), 3: (1.2, 1.4, 0.3), 4: (1.4, 1.8, 0.3)}
# Version -> (shorter side, side of the crop) that its weights were evaluated at, in pixels.
INPUT_SIZES = {0: (256, 224), 1: (272, 240), 2: (292, 260), 3: (332, 300), 4: (413, 380)}
_EPSILON = 1e-3  # of batch normalisation, as TensorFlow has it


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite.

    Args:
        num_classes: outputs of the last layer.
        in_channels: 1 or 3.
        version: 0 to 4, from 4.7 to 13 million weights.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, version: int = 0) -> None:
        super().__init__()
        width, depth, dropout = _VERSIONS[version]
        self.conv_stem = SameConv2d(in_channels, _STEM, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM, _EPSILON)
        stages: List[nn.Module] = []
        maps_in = _STEM
        for index, (repeats, side, stride, expansion, maps) in enumerate(_STAGES):
            maps = _rounded(maps * width)
            if 0 < index < len(_STAGES) - 1:
                repeats = math.ceil(repeats * depth)
            blocks: List[nn.Module] = []
            for number in range(repeats):
                blocks.append(_block(maps_in, maps, side, stride if number == 0 else 1, expansion))
                maps_in = maps
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = nn.Conv2d(maps_in, _HEAD, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(_HEAD, _EPSILON)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(_HEAD, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.out_channels * math.prod(module.kernel_size) // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of pixels (B, in_channels, H, W)."""
        maps = functional.relu6(self.bn1(self.conv_stem(pixels)), inplace=True)
        maps = functional.relu6(self.bn2(self.conv_head(self.blocks(maps))), inplace=True)
        logits: torch.Tensor = self.classifier(self.dropout(maps.mean((2, 3))))
        return logits


class DepthwiseBlock(nn.Module):
    """A convolution map by map, then 1x1: (B, maps_in, H, W) -> (B, maps, H, W)."""

    def __init__(self, maps_in: int, maps: int, side: int, stride: int) -> None:
        super().__init__()
        self.has_shortcut = maps_in == maps and stride == 1
        self.conv_dw = SameConv2d(maps_in, maps_in, side, stride=stride, groups=maps_in, bias=False)
        self.bn1 = nn.BatchNorm2d(maps_in, _EPSILON)
        self.conv_pw = nn.Conv2d(maps_in, maps, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(maps, _EPSILON)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps of the next layer."""
        wide = functional.relu6(self.bn1(self.conv_dw(maps)), inplace=True)
        out: torch.Tensor = self.bn2(self.conv_pw(wide))
        return out + maps if self.has_shortcut else out


class InvertedResidual(nn.Module):
    """1x1 to many maps, a convolution map by map, 1x1 to few (Sandler et al. 2018).

    (B, maps_in, H, W) -> (B, maps, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, maps_in: int, maps: int, side: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = maps_in * expansion
        self.has_shortcut = maps_in == maps and stride == 1
        self.conv_pw = nn.Conv2d(maps_in, wide, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wide, _EPSILON)
        self.conv_dw = SameConv2d(wide, wide, side, stride=stride, groups=wide, bias=False)
        self.bn2 = nn.BatchNorm2d(wide, _EPSILON)
        self.conv_pwl = nn.Conv2d(wide, maps, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(maps, _EPSILON)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps of the next layer."""
        wide = functional.relu6(self.bn1(self.conv_pw(maps)), inplace=True)
        wide = functional.relu6(self.bn2(self.conv_dw(wide)), inplace=True)
        out: torch.Tensor = self.bn3(self.conv_pwl(wide))
        return out + maps if self.has_shortcut else out


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's padding ``SAME``: ceil(size / stride) outputs, what is odd is put after.

    With stride 1 that is the convolution's own padding. With stride 2 it depends on the size: an even one gets one row
    more after than before. Sizes are plain numbers where the network is traced, so an exported program holds a
    constant padding, which ONNX Runtime, OpenVINO and TensorRT take into the convolution.
    """

    def __init__(self, maps_in: int, maps: int, side: int, stride: int = 1, groups: int = 1, bias: bool = True) -> None:
        super().__init__(maps_in, maps, side, stride, side // 2 if stride == 1 else 0, groups=groups, bias=bias)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, maps_in, H, W) -> (B, maps, ceil(H / stride), ceil(W / stride))."""
        (side, _), (stride, _) = self.kernel_size, self.stride
        if stride > 1:
            above, below = _same_padding(maps.shape[2], side, stride)
            left, right = _same_padding(maps.shape[3], side, stride)
            maps = functional.pad(maps, (left, right, above, below))
        return super().forward(maps)


def _same_padding(size: int, side: int, stride: int) -> Tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + side - size, 0)
    return total // 2, total - total // 2


def _block(maps_in: int, maps: int, side: int, stride: int, expansion: int) -> nn.Module:
    if expansion == 1:
        return DepthwiseBlock(maps_in, maps, side, stride)
    return InvertedResidual(maps_in, maps, side, stride, expansion)


def _rounded(maps: float) -> int:
    """To a multiple of eight, and never below nine tenths (Tan and Le's reference)."""
    rounded = max(8, int(maps + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * maps else rounded

"""What a class or a channel answers to most: a picture made for it by gradient ascent.

The picture is kept as a spectrum with decorrelated colours, in which all frequencies move equally fast, and is moved,
turned and enlarged a little at random before each step, so that no pattern of single pixels can win (Olah, Mordvintsev
and Schubert 2017, "Feature Visualization"; jitter is from Mordvintsev et al. 2015). A class is followed by its logit,
before any softmax (Simonyan et al. 2013), a channel by the mean of its map.

Such a picture shows what drives a number up. It is far from every photograph, so it does not show what the network does
with photographs.
"""
import time
from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..core.errors import ConfigError
from ..core.networks.hooks import forward_hooks
from ..core.networks.network import Network
from ..core.networks.preprocess import Preprocessing

STEPS = 96
_LARGEST = 128  # pixels: where the network takes any size, half the side costs a quarter
_RATE = 0.06
_MOVE, _TURN, _SCALE = 0.08, 0.09, 0.12  # share of the side, radians, share: the most of each
_TOGETHER = 8
_MAGIC = 4.0  # of Lucid: so much a spectrum is damped before the sigmoid
# Square root of the covariance of the colours of ImageNet's pixels, by its largest column: of Lucid
# (github.com/tensorflow/lucid, optvis.param.color).
_COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
_COLOURS = _COLOURS / _COLOURS.norm(dim=0).max()


@dataclass(frozen=True)
class Target:
    """What is driven up.

    Attributes:
        name: for people.
        index: of the class, or of the channel.
        layer: dotted name of a module of the backbone, for a channel; empty: a class.
        why: it was chosen, for people; empty: it was asked for.
    """

    name: str
    index: int
    layer: str = ''
    why: str = ''


@dataclass(frozen=True)
class Visualisation:
    """A picture that was made.

    Attributes:
        target: what for.
        picture: uint8 (H, W, 3), BGR.
        start, end: what was driven up, for the random start and for the picture, without any jitter.
        best: index of the class with the highest logit for the picture.
        seconds: that it took, a share of what was made together.
    """

    target: Target
    picture: np.ndarray
    start: float
    end: float
    best: int
    seconds: float


def visualise(network: Network, preprocessing: Preprocessing, targets: Sequence[Target], steps: int = STEPS,
              seed: int = 0, progress: Optional[Callable[[int], None]] = None) -> List[Visualisation]:
    """Make a picture for each target; the same arguments give the same pictures.

    Args:
        network: in evaluation mode, on the CPU; its weights are told to need no gradient.
        preprocessing: that it expects.
        targets: classes and channels.
        steps: of Adam.
        seed: of the start and of the jitter.
        progress: is called with the number of steps so far, over all targets.

    Raises:
        ConfigError: a layer gives no maps, or has not so many.
    """
    network.requires_grad_(False)
    size = _size(network, preprocessing)
    found: List[Visualisation] = []
    for begin in range(0, len(targets), _TOGETHER):
        some = targets[begin:begin + _TOGETHER]

        def done(step: int, before: int = begin, count: int = len(some)) -> None:
            if progress is not None:
                progress(before * steps + step * count)
        found += _together(network, preprocessing, some, size, steps, seed + begin, done)
    return found


def _together(network: Network, preprocessing: Preprocessing, targets: Sequence[Target], size: Tuple[int, int],
              steps: int, seed: int, progress: Callable[[int], None]) -> List[Visualisation]:
    begin = time.perf_counter()
    random = torch.Generator().manual_seed(seed)
    canvas = Canvas(len(targets), preprocessing.channels, size, random)
    mean, std = (torch.tensor(one).view(-1, 1, 1) for one in (preprocessing.mean, preprocessing.std))
    measure = _Measure(network, targets)
    with torch.no_grad():
        start, _ = measure((canvas() - mean) / std)
    optimizer = torch.optim.Adam([canvas.spectrum], _RATE)
    for step in range(steps):
        optimizer.zero_grad()
        values, _ = measure((jittered(canvas(), random) - mean) / std)
        (-values.sum()).backward()
        optimizer.step()
        progress(step + 1)
    with torch.no_grad():
        pictures = canvas()
        end, logits = measure((pictures - mean) / std)
    levels = (pictures.expand(-1, 3, -1, -1) * 255).round().byte().permute(0, 2, 3, 1).numpy()[..., ::-1]
    seconds = (time.perf_counter() - begin) / len(targets)
    return [Visualisation(target, np.ascontiguousarray(levels[place]), float(start[place]), float(end[place]),
                          int(logits[place].argmax()), seconds) for place, target in enumerate(targets)]


class Canvas:
    """Pictures as spectra: (N, C, H, W) in 0..1 of ``spectrum``, a leaf of the graph."""

    def __init__(self, count: int, channels: int, size: Tuple[int, int], random: torch.Generator) -> None:
        height, width = size
        frequency = torch.sqrt(torch.fft.fftfreq(height)[:, None] ** 2 + torch.fft.rfftfreq(width)[None] ** 2)
        self._scale = 1 / frequency.clamp_min(1 / max(size))
        self._size, self._channels = size, channels
        start = 0.01 * torch.randn((count, channels, *frequency.shape, 2), generator=random)
        self.spectrum = start.requires_grad_()

    def __call__(self) -> torch.Tensor:
        """The pictures."""
        waves = torch.view_as_complex(self.spectrum) * self._scale
        plain = torch.fft.irfft2(waves, s=self._size, norm='ortho') / _MAGIC
        if self._channels == 3:
            plain = torch.einsum('nchw,dc->ndhw', plain, _COLOURS)
        return torch.sigmoid(plain)


def jittered(pictures: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Each moved, turned and enlarged by a little; what comes in at the edge is mirrored."""
    draws = 2 * torch.rand((4, len(pictures)), generator=random) - 1
    angle, scale = _TURN * draws[0], 1 + _SCALE * draws[1]
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = torch.stack([torch.stack([cosine, -sine, 2 * _MOVE * draws[2]], 1),
                        torch.stack([sine, cosine, 2 * _MOVE * draws[3]], 1)], 1)
    grid = functional.affine_grid(rows, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode='reflection', align_corners=False)


class _Measure:
    """Pixels -> what each target is to be driven up by (N,), and the logits."""

    def __init__(self, network: Network, targets: Sequence[Target]) -> None:
        self._network, self._targets = network, targets
        modules = dict(network.backbone.named_modules())
        self._modules = {target.layer: modules[target.layer] for target in targets if target.layer}
        if network.head_takes_maps and isinstance(network.head, nn.Sequential):
            self._modules[''] = network.head[0]  # a class is a map there, and the ReLU after it may hide it

    def __call__(self, pixels: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        maps = {}

        def keep(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            maps[module] = output
            return output.clone()  # what follows may write into it
        with forward_hooks(set(self._modules.values()), keep):
            logits = self._network(pixels).logits
        values = []
        for place, target in enumerate(self._targets):
            module = self._modules.get(target.layer)
            if module is None:
                values.append(logits[place, target.index])
                continue
            found = maps.get(module)
            if not isinstance(found, torch.Tensor) or found.ndim != 4:
                raise ConfigError(f'{target.layer}: gives no maps, so that none of its channels can be visualised')
            if target.index >= found.shape[1]:
                raise ConfigError(f'{target.layer}: has the channels 0 to {found.shape[1] - 1}, got {target.index}')
            values.append(found[place, target.index].mean())
        return torch.stack(values), logits.detach()


def _size(network: Network, preprocessing: Preprocessing) -> Tuple[int, int]:
    """(height, width) of the pictures: smaller ones where the network takes them."""
    height, width = preprocessing.crop
    share = _LARGEST / max(height, width)
    if share >= 1:
        return height, width
    small = max(32, round(height * share)), max(32, round(width * share))
    try:
        with torch.no_grad():
            network(torch.zeros(1, preprocessing.channels, *small))
    except Exception:  # noqa: B902 - a network of fixed size refuses others in its own way
        return height, width
    return small

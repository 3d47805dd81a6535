"""A batch of pictures -> the tensor that the network was trained on."""
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from ..errors import ConfigError
from ..text.printable import printable
from ..types import ColorOrder, Picture
from . import torch_use
from .resize import Part, resize

if TYPE_CHECKING:
    import torch

MOST_SIDE = 2048  # of what the network sees, in pixels; a picture of more would be gigabytes within the network
INTERPOLATIONS = ('bilinear', 'bicubic')
_MOST, _LEAST_STD = 1e3, 1e-6


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return printable(repr(value), 100)


@dataclass(frozen=True)
class Preprocessing:
    """What the weights expect of a picture; stored in the bundle, never chosen by a deployment.

    The shorter side is resized to ``resize`` pixels (antialiased), the centre of ``crop`` (height, width)
    is cut out, values are scaled to 0..1 and normalised by ``mean`` and ``std`` per channel. This is torchvision's
    ``ImageClassification`` transform.

    Attributes:
        resize: shorter side in pixels; 0 resizes to ``crop`` directly, without keeping the aspect ratio.
        crop: (height, width) in pixels.
        mean, std: one value a channel; three channels are RGB, one is grey.
        interpolation: of the resize, one of :data:`INTERPOLATIONS`.
    """

    resize: int = 256
    crop: Tuple[int, int] = (224, 224)
    mean: Tuple[float, ...] = (0.485, 0.456, 0.406)
    std: Tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = 'bilinear'

    def __post_init__(self) -> None:
        for name in ('crop', 'mean', 'std'):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)):
                raise ConfigError(f'preprocessing: {name} must be a list of numbers, got {_shown(value)}')
            object.__setattr__(self, name, tuple(value))
        if len(self.mean) not in (1, 3) or len(self.std) != len(self.mean):
            raise ConfigError('preprocessing: mean and std need one or three values each, '
                              f'got {_shown(self.mean)} and {_shown(self.std)}')
        for name, low, high in (('mean', -_MOST, _MOST), ('std', _LEAST_STD, _MOST)):
            for value in getattr(self, name):
                if not _is_number(value) or not low <= value <= high:
                    what = 'positive, ' if name == 'std' else ''
                    raise ConfigError(f'preprocessing: {name} must be {what}in {low:g}..{high:g}, got '
                                      f'{_shown(getattr(self, name))}')
        if len(self.crop) != 2 or not all(type(side) is int and 1 <= side <= MOST_SIDE for side in self.crop):
            raise ConfigError(f'preprocessing: crop must be (height, width), both at least 1 and at most {MOST_SIDE}, '
                              f'got {_shown(self.crop)}')
        if type(self.resize) is not int or not 0 <= self.resize <= MOST_SIDE:
            raise ConfigError(f'preprocessing: resize must be a whole number in 0..{MOST_SIDE}, got '
                              f'{_shown(self.resize)}')
        if self.resize and self.resize < max(self.crop):
            raise ConfigError(f'preprocessing: resize ({self.resize}) must be at least the crop {self.crop}, or 0')

        if self.interpolation not in INTERPOLATIONS:
            raise ConfigError(f'preprocessing: interpolation must be one of {", ".join(INTERPOLATIONS)}, got '
                              f'{_shown(self.interpolation)}')

    @property
    def channels(self) -> int:
        """3 for RGB, 1 for grey."""
        return len(self.mean)


class Preprocessor:
    """Pictures of any size and colour order -> what the network takes.

    Resize and crop are torchvision's v2 ``Resize`` and ``CenterCrop`` on a uint8 tensor, bit for bit on the CPU; a
    network of one channel gets ``rgb_to_grayscale`` of that; the rest differs by float32 rounding. (torchvision's
    ``ImageClassification`` preset resizes in float32 and rounds, which is up to one of 255 levels away, as is PIL.)
    Pictures are resized as they lie in the message, without a copy and before their colours are put in order, and on
    the host whatever the device is: a GPU gets the same levels to the last bit, and only those that the network sees.

    Args:
        spec: what the weights expect.
        device: where the tensor is to be, ``torch.device`` or its name.
        dtype: floating type of the tensor; the arithmetic is float32 whatever it is.
    """

    def __init__(self, spec: Preprocessing, device: 'Union[str, torch.device]' = 'cpu',
                 dtype: 'Optional[torch.dtype]' = None) -> None:
        self.spec, self._device, self._dtype = spec, device, dtype
        # (x / 255 - mean) / std as one multiplication and one addition.
        std, mean = np.array(spec.std), np.array(spec.mean)
        self._scale, self._offset = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
        # On the CPU what becomes of each level is looked up, which is one pass over the pixels instead of three.
        self._levels = np.arange(256, dtype=np.float32)[None, :, None] * self._scale + self._offset

    def __call__(self, pictures: Sequence[Picture]) -> 'torch.Tensor':
        """Make a batch.

        Args:
            pictures: B pictures, which may differ in size and colour order.

        Returns:
            Tensor of shape (B, C, crop height, crop width) in ``torch.channels_last`` on the device.
        """
        import torch
        device = torch.device(self._device)
        batch = torch.from_numpy(self.arrays(pictures)) if device.type == 'cpu' else self._computed(pictures, device)
        return batch.to(self.dtype)

    @property
    def dtype(self) -> 'torch.dtype':
        """Of the tensor."""
        import torch
        return self._dtype or torch.float32

    def arrays(self, pictures: Sequence[Picture]) -> np.ndarray:
        """The same on the host, float32 (B, C, crop height, crop width), the channels last in memory; without torch."""
        batch = np.empty((len(pictures), *self.spec.crop, self.spec.channels), np.float32)
        for into, picture in zip(batch, pictures):
            cv2.LUT(self.levels(picture), self._levels, dst=into)
        return batch.transpose(0, 3, 1, 2)

    def _computed(self, pictures: Sequence[Picture], device: 'torch.device') -> 'torch.Tensor':
        import torch
        levels = torch.empty((len(pictures), *self.spec.crop, self.spec.channels), dtype=torch.uint8)
        for into, picture in zip(levels, pictures):
            into.copy_(torch_use.tensor_of(self.levels(picture)))
        batch = levels.to(device).float()
        # A whole row at a time: broadcasting over an innermost axis of three is ten times slower.
        scale, offset = (torch.from_numpy(one).repeat(self.spec.crop[1]).to(device)
                         for one in (self._scale, self._offset))
        batch.view(-1, len(scale)).mul_(scale).add_(offset)
        return batch.permute(0, 3, 1, 2)

    def levels(self, picture: Picture) -> np.ndarray:
        """uint8 (crop height, crop width, C) on the host, RGB or grey: all but the normalisation."""
        pixels = picture.pixels
        return self._in_order(self._resize_and_crop(pixels[..., None] if pixels.ndim == 2 else pixels), picture.order)

    def _resize_and_crop(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (height, width, channels) -> uint8 (crop height, crop width, channels)."""
        height, width, _ = pixels.shape
        crop_height, crop_width = self.spec.crop
        new_height, new_width = resized_size(self.spec, height, width)
        middle = Part(int(round((new_height - crop_height) / 2)), int(round((new_width - crop_width) / 2)),
                      crop_height, crop_width)
        if (new_height, new_width) == (height, width):
            return middle.of(pixels)
        return resize(pixels, new_height, new_width, self.spec.interpolation, middle)

    def _in_order(self, pixels: np.ndarray, order: ColorOrder) -> np.ndarray:
        """uint8 (height, width, channels of ``order``) -> (height, width, channels of the network), RGB or grey."""
        if order is ColorOrder.MONO:
            return pixels if self.spec.channels == 1 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
        swapped = order in (ColorOrder.BGR, ColorOrder.BGRA)
        if self.spec.channels == 1:
            return _grey(pixels[..., [2, 1, 0] if swapped else [0, 1, 2]])
        if not swapped:
            return pixels[..., :3]
        # twenty times faster than turning an axis of three round
        code = cv2.COLOR_BGR2RGB if order is ColorOrder.BGR else cv2.COLOR_BGRA2RGB
        found: np.ndarray = cv2.cvtColor(pixels, code)
        return found


def _grey(pixels: np.ndarray) -> np.ndarray:
    """torchvision's ``rgb_to_grayscale``: weights of ITU-R BT.601, and uint8 by cutting off; RGB -> (h, w, 1).

    Each addition is of a product that is not rounded before, as fused multiply-add has it.
    """
    red, green, blue = (pixels[..., channel].astype(np.float64) for channel in range(3))
    weights = np.array([0.2989, 0.587, 0.114], np.float32).astype(np.float64)
    grey = (red * weights[0]).astype(np.float32)
    for channel, weight in ((green, weights[1]), (blue, weights[2])):
        grey = (grey + channel * weight).astype(np.float32)
    found: np.ndarray = grey.astype(np.uint8)[..., None]
    return found


class HostPixels:
    """Pictures -> uint8 (B, height, width, C) on the host, resized, cut and in the network's order of channels.

    What :class:`Preprocessor` does but for the normalisation, for a GPU that does that itself.

    Args:
        spec: what the weights expect.
    """

    def __init__(self, spec: Preprocessing) -> None:
        self.spec = spec
        self._preprocessor = Preprocessor(spec, 'cpu')

    @property
    def dtype(self) -> 'torch.dtype':
        """Of the tensor."""
        import torch
        return torch.uint8

    def __call__(self, pictures: Sequence[Picture], into: 'Optional[torch.Tensor]' = None) -> 'torch.Tensor':
        """Make a batch.

        Args:
            pictures: B pictures, which may differ in size and colour order.
            into: where to write it, of the shape of the result; None: into new memory.
        """
        import torch
        if into is None:
            into = torch.empty((len(pictures), *self.spec.crop, self.spec.channels), dtype=torch.uint8)
        for one, picture in zip(into, pictures):
            one.copy_(torch_use.tensor_of(self._preprocessor.levels(picture)))
        return into


def resized_size(spec: Preprocessing, height: int, width: int) -> Tuple[int, int]:
    """(height, width) before the crop: shorter side to ``spec.resize``, the longer one cut to whole pixels."""
    if spec.resize == 0:
        return spec.crop
    if height <= width:
        return spec.resize, int(spec.resize * width / height)
    return int(spec.resize * height / width), spec.resize


def visible_region(spec: Preprocessing, height: int, width: int) -> Tuple[int, int, int, int]:
    """What the network sees of a picture: (top, left, bottom, right) in its pixels, the rest is cropped away.

    Never nothing: of pictures of a few pixels one at least.
    """
    new_height, new_width = resized_size(spec, height, width)
    crop_height, crop_width = spec.crop
    tall, wide = crop_height / new_height * height, crop_width / new_width * width
    top, left = (height - tall) / 2, (width - wide) / 2
    first, start = round(top), round(left)
    return first, start, max(round(top + tall), first + 1), max(round(left + wide), start + 1)


def as_tensor(picture: Picture) -> 'torch.Tensor':
    """The pixels as a uint8 tensor (height, width, channels) that shares their memory; it must not be written to."""
    tensor = torch_use.tensor_of(picture.pixels)
    return tensor[..., None] if tensor.ndim == 2 else tensor

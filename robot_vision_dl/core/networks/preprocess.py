"""A batch of pictures -> the tensor that the network was trained on."""
import warnings
from dataclasses import dataclass
from typing import Any, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import torch

from ..errors import ConfigError
from ..text.printable import printable
from ..types import ColorOrder, Picture

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

    def __init__(self, spec: Preprocessing, device: Union[str, torch.device],
                 dtype: torch.dtype = torch.float32) -> None:
        self.spec = spec
        self.device = torch.device(device)
        self.dtype = dtype
        # (x / 255 - mean) / std as one multiplication and one addition.
        std, mean = np.array(spec.std), np.array(spec.mean)
        scale, offset = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
        # On the CPU what becomes of each level is looked up, which is one pass over the pixels instead of three.
        self._levels = np.arange(256, dtype=np.float32)[None, :, None] * scale + offset
        self._scale = torch.from_numpy(scale).repeat(spec.crop[1]).to(self.device)
        self._offset = torch.from_numpy(offset).repeat(spec.crop[1]).to(self.device)

    def __call__(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """Make a batch.

        Args:
            pictures: B pictures, which may differ in size and colour order.

        Returns:
            Tensor of shape (B, C, crop height, crop width) in ``torch.channels_last`` on the device.
        """
        shape = (len(pictures), *self.spec.crop, self.spec.channels)
        batch = self._looked_up(pictures, shape) if self.device.type == 'cpu' else self._computed(pictures, shape)
        return batch.permute(0, 3, 1, 2).to(self.dtype)

    def _looked_up(self, pictures: Sequence[Picture], shape: Tuple[int, ...]) -> torch.Tensor:
        batch = np.empty(shape, np.float32)
        for into, picture in zip(batch, pictures):
            cv2.LUT(self.levels(picture).numpy(), self._levels, dst=into)
        return torch.from_numpy(batch)

    def _computed(self, pictures: Sequence[Picture], shape: Tuple[int, ...]) -> torch.Tensor:
        levels = torch.empty(shape, dtype=torch.uint8)
        for into, picture in zip(levels, pictures):
            into.copy_(self.levels(picture))
        batch = levels.to(self.device).float()
        # A whole row at a time: broadcasting over an innermost axis of three is ten times slower.
        batch.view(-1, len(self._scale)).mul_(self._scale).add_(self._offset)
        return batch

    def levels(self, picture: Picture) -> torch.Tensor:
        """uint8 (crop height, crop width, C) on the host, RGB or grey: all but the normalisation."""
        return self._in_order(self._resize_and_crop(as_tensor(picture)), picture.order)

    def _resize_and_crop(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (height, width, channels) -> uint8 (crop height, crop width, channels)."""
        height, width, _ = pixels.shape
        crop_height, crop_width = self.spec.crop
        new_height, new_width = resized_size(self.spec, height, width)
        if (new_height, new_width) != (height, width):
            pixels = resize(pixels, new_height, new_width, self.spec.interpolation)
        top = int(round((new_height - crop_height) / 2))
        left = int(round((new_width - crop_width) / 2))
        return pixels[top:top + crop_height, left:left + crop_width]

    def _in_order(self, pixels: torch.Tensor, order: ColorOrder) -> torch.Tensor:
        """uint8 (height, width, channels of ``order``) -> (height, width, channels of the network), RGB or grey."""
        if order is ColorOrder.MONO:
            return pixels if self.spec.channels == 1 else pixels.expand(-1, -1, 3)
        swapped = order in (ColorOrder.BGR, ColorOrder.BGRA)
        if self.spec.channels == 1:
            # torchvision's rgb_to_grayscale: weights of ITU-R BT.601, and uint8 by cutting off
            red, green, blue = pixels[..., :3].unbind(-1)[::-1 if swapped else 1]
            grey = red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)
            return grey.to(torch.uint8)[..., None]
        if not swapped:
            return pixels[..., :3]
        # twenty times faster than flip() for an axis of three
        code = cv2.COLOR_BGR2RGB if order is ColorOrder.BGR else cv2.COLOR_BGRA2RGB
        return torch.from_numpy(cv2.cvtColor(pixels.numpy(), code))


class HostPixels:
    """Pictures -> uint8 (B, height, width, C) on the host, resized, cut and in the network's order of channels.

    What :class:`Preprocessor` does but for the normalisation, for a GPU that does that itself.

    Args:
        spec: what the weights expect.
    """

    dtype = torch.uint8

    def __init__(self, spec: Preprocessing) -> None:
        self.spec = spec
        self._preprocessor = Preprocessor(spec, 'cpu')

    def __call__(self, pictures: Sequence[Picture], into: Optional[torch.Tensor] = None) -> torch.Tensor:
        """Make a batch.

        Args:
            pictures: B pictures, which may differ in size and colour order.
            into: where to write it, of the shape of the result; None: into new memory.
        """
        if into is None:
            into = torch.empty((len(pictures), *self.spec.crop, self.spec.channels), dtype=torch.uint8)
        for one, picture in zip(into, pictures):
            one.copy_(self._preprocessor.levels(picture))
        return into


def resize(pixels: torch.Tensor, height: int, width: int, interpolation: str = 'bilinear') -> torch.Tensor:
    """Antialiased, on the host; uint8 (H, W, channels) -> uint8 (height, width, channels)."""
    # A part of a picture would be repacked channel by channel, and the result would lie so, too: for what is cut out
    # around an object that takes three times as long as a copy of its rows.
    image = pixels.contiguous().permute(2, 0, 1)[None]
    # A batch of one whose first stride is not the picture's size is not recognised as channels_last, and is then
    # repacked (PyTorch issue 68430).
    image = image.as_strided(image.shape, (image.numel(), *image.stride()[1:]))
    image = torch.nn.functional.interpolate(image, (height, width), mode=interpolation, align_corners=False,
                                            antialias=True)
    return image[0].permute(1, 2, 0)


def resized_size(spec: Preprocessing, height: int, width: int) -> Tuple[int, int]:
    """(height, width) before the crop: shorter side to ``spec.resize``, the longer one cut to whole pixels."""
    if spec.resize == 0:
        return spec.crop
    if height <= width:
        return spec.resize, int(spec.resize * width / height)
    return int(spec.resize * height / width), spec.resize


def visible_region(spec: Preprocessing, height: int, width: int) -> Tuple[int, int, int, int]:
    """What the network sees of a picture: (top, left, bottom, right) in its pixels, the rest is cropped away."""
    new_height, new_width = resized_size(spec, height, width)
    crop_height, crop_width = spec.crop
    tall, wide = crop_height / new_height * height, crop_width / new_width * width
    top, left = (height - tall) / 2, (width - wide) / 2
    return round(top), round(left), round(top + tall), round(left + wide)


def _accept_read_only_arrays() -> None:
    """PyTorch warns once in a process of read-only memory in a tensor, which we do not write to; this is that once."""
    array = np.zeros(1, np.uint8)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.from_numpy(array)


_accept_read_only_arrays()


def as_tensor(picture: Picture) -> torch.Tensor:
    """The pixels as a uint8 tensor (height, width, channels) that shares their memory; it must not be written to."""
    pixels = picture.pixels
    try:
        tensor = torch.from_numpy(pixels)
    except ValueError:  # a mirrored view
        tensor = torch.from_numpy(np.ascontiguousarray(pixels))
    return tensor[..., None] if pixels.ndim == 2 else tensor

"""``robot-vision bench resize``: the network's input, pixel by pixel, beside those of torchvision and of PIL.

Differences are in levels of the 0..255 of a picture, before mean and standard deviation. torchvision: ``v2.Resize``
with antialiasing of a uint8 tensor, as networks are deployed. PIL: ``Image.resize``, as they are mostly trained.
"""
import argparse
from typing import TYPE_CHECKING, Dict, List, Sequence, Tuple

import numpy as np

from ..core.config import ClassifierConfig
from ..core.text.table import ruled
from ..core.types import ColorOrder, Picture
from .publisher import moving_scene
from .report import conclude

if TYPE_CHECKING:
    import torch

HELP = "the network's input beside those of torchvision and PIL, pixel by pixel"
SIZES = ('640x480', '1280x720', '1920x1080', '641x479', '256x256', '300x225', '160x120', '37x51', '5x1')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what."""
    parser.add_argument('--model', default=ClassifierConfig().model, help='whose input (default: %(default)s)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: %(default)s)')
    parser.add_argument('--sizes', nargs='+', default=SIZES, metavar='WxH', help='of the pictures')


def run(args: argparse.Namespace) -> int:
    """Compare and print."""
    from ..core.networks.device import resolve_device
    device = resolve_device(args.device)
    figures = measure(args.model, device, args.sizes)
    alike: Dict[Tuple[str, str, Tuple[str, ...]], List[str]] = {}
    for (size, scale, order), values in figures.items():
        shown = tuple(f'{value:.5f}' for value in values.values())
        alike.setdefault((size, scale, shown), []).append(order)
    print(ruled(('size', 'scale', 'colour orders', 'torchvision, largest', 'mean', 'PIL, largest', 'mean'),
                [(size, scale, ' '.join(orders), *shown) for (size, scale, shown), orders in alike.items()]))
    conclude({'resize': [{'size': size, 'scale': scale, 'order': order, **values}
                         for (size, scale, order), values in figures.items()]},
             args.json, f'levels of 255, on {device}; ')
    return 0


def measure(model: str, device: 'torch.device', sizes: Sequence[str]) -> Dict[Tuple[str, str, str], Dict[str, float]]:
    """By (size, scale, colour order): largest and mean difference from each."""
    import torch
    from PIL import Image
    from torchvision.transforms import v2

    from ..core.bundles.bundle import load_bundle
    from ..core.networks.preprocess import Preprocessor, resized_size
    spec = load_bundle(model).preprocessing
    ours = Preprocessor(spec, device)
    mean, std = (np.array(values)[:, None, None] for values in (spec.mean, spec.std))
    theirs = v2.Compose([v2.Resize(spec.resize or spec.crop, antialias=True), v2.CenterCrop(spec.crop)])
    found = {}
    for size in sizes:
        width, height = map(int, size.split('x'))
        rgb = moving_scene(width, height, 0)
        to_size = resized_size(spec, height, width)
        top, left = (round((whole - crop) / 2) for whole, crop in zip(to_size, spec.crop))
        for order in ColorOrder:
            # A grey picture has three equal channels for the others.
            seen = rgb[..., 1:2].repeat(3, 2) if order is ColorOrder.MONO else rgb
            levels = (ours([_picture(rgb, order)])[0].float().cpu().numpy() * std + mean) * 255
            torchs = theirs(torch.from_numpy(seen.copy()).permute(2, 0, 1)).numpy()
            pils = np.asarray(Image.fromarray(seen).resize(to_size[::-1], getattr(Image, 'Resampling', Image).BILINEAR))
            pils = pils[top:top + spec.crop[0], left:left + spec.crop[1]].transpose(2, 0, 1)
            if spec.channels == 1 and order is ColorOrder.MONO:
                torchs, pils = torchs[:1], pils[:1]
            elif spec.channels == 1:
                torchs = v2.functional.rgb_to_grayscale(torch.from_numpy(torchs)).numpy()
                pils = v2.functional.rgb_to_grayscale(torch.from_numpy(pils.copy())).numpy()
            differences = [np.abs(levels - other) for other in (torchs, pils)]
            found[size, f'x {to_size[0] / height:.2f}', order.value] = {
                f'{name} {figure}': float(value) for name, difference in zip(('torchvision', 'pil'), differences)
                for figure, value in (('largest', difference.max()), ('mean', difference.mean()))}
    return found


def _picture(rgb: np.ndarray, order: ColorOrder) -> Picture:
    alpha = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    pixels = {
        ColorOrder.RGB: rgb, ColorOrder.BGR: bgr, ColorOrder.RGBA: np.concatenate((rgb, alpha), 2),
        ColorOrder.BGRA: np.concatenate((bgr, alpha), 2), ColorOrder.MONO: rgb[..., 1].copy()}
    return Picture(pixels[order], order)

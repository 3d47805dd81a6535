"""``robot-vision bench preprocess``: from serialized message to tensor, beside copying the same bytes."""
import argparse
from typing import TYPE_CHECKING, Sequence

import numpy as np

from ..core.config import ClassifierConfig
from ..core.text.number_options import real
from ..core.text.table import ruled
from .publisher import serialized_pictures
from .report import conclude
from .timing import times_ms

if TYPE_CHECKING:
    import torch

    from ..core.types import Picture

HELP = 'message to tensor, stage by stage, beside copying the bytes'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what."""
    parser.add_argument('--model', default=ClassifierConfig().model, help='bundle (default: %(default)s)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: %(default)s)')
    parser.add_argument('--sizes', nargs='+', default=['640x480', '1280x720', '1920x1080'], metavar='WxH',
                        help='of the pictures')
    parser.add_argument('--seconds', type=real(0.01, 10**6), default=2.0, help='of each stage (default: 2)')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    import torch

    from ..core.bundles.bundle import load_bundle
    from ..core.images.cdr import decode_compressed_image, decode_image
    from ..core.images.image import decode
    from ..core.networks.device import resolve_device
    from ..core.networks.preprocess import Preprocessor
    device = resolve_device(args.device)
    torch.set_num_threads(1)
    preprocess = Preprocessor(load_bundle(args.model).preprocessing, device)

    def on_device(pictures: Sequence['Picture']) -> 'torch.Tensor':
        tensor = preprocess(pictures)
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        return tensor
    rows, figures = [], {}
    for size in args.sizes:
        width, height = map(int, size.split('x'))
        for kind, compressed, parse in (('bgr8', False, decode_image), ('jpeg', True, decode_compressed_image)):
            message = bytes(serialized_pictures(width, height, compressed)[0])
            source, target = np.frombuffer(message, np.uint8), np.empty(len(message), np.uint8)
            picture = decode(parse(message))
            for stage, function in (
                    ('floor: memcpy of the message', lambda s=source, t=target: np.copyto(t, s)),
                    ('message to picture', lambda p=parse, m=message: decode(p(m))),
                    ('picture to tensor', lambda p=picture: on_device([p]))):
                times = times_ms(function, args.seconds)
                figures[f'{size} {kind} {stage}'] = times
                rows.append((size, kind, stage, *times.values()))
    print(ruled(('size', 'encoding', 'stage', 'n', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms'), rows))
    conclude({'preprocess': figures}, args.json, f'on {device}, one thread; ')
    return 0

"""A bundle's network for other runtimes: ONNX, or a program of torch.export; checked against the bundle."""
import io
import json
import zipfile
from pathlib import Path
from typing import Callable, Sequence, Tuple

import numpy as np
import torch

from ..core.backends.onnx_conversion import PlainNetwork, add_metadata, facts, to_onnx
from ..core.bundles.bundle import Bundle
from ..core.errors import ConfigError
from ..core.files.whole_files import write_whole
from ..core.networks.graph_facts import GRAPHS, ONNX
from ..core.networks.onnx_graph import import_onnx
from .errors import TrainingError

FORMATS = ('onnx', 'torch')
MAX_DIFFERENCE = 1e-3
"""Of logits and features from those of the bundle, relative to the largest of them."""
_CHECKED_BATCHES = (1, 2, 5)
_FACTS = 'bundle.json'


def export_bundle(bundle: Bundle, kind: str, path: Path) -> float:
    """Write the network of a bundle, for batches of any size, and compare what it gives with the bundle.

    The file takes preprocessed pixels ``pixels`` float32 (B, channels, height, width) and gives ``logits`` (B, C) and
    ``features`` (B, F). What belongs to the weights (class names, preprocessing, temperature, identity, and how
    probabilities are made of logits) is in the metadata of the ONNX model; in the file ``bundle.json`` within a
    ``.pt2`` program. A network that is such a file already is copied.

    Args:
        kind: ``onnx`` or ``torch``.

    Returns:
        The largest difference of logits and features over random pictures, relative to the largest value.

    Raises:
        ConfigError: an ONNX file is to become a program; the exporter is not installed, or there is no such kind.
        TrainingError: the network does not give what the bundle gives; nothing is written.
        OutputError: the file cannot be written.
    """
    if bundle.graph is not None and FORMATS.index(kind) == GRAPHS.index(bundle.architecture.name):
        bundle.load_single_network()  # which checks it
        write_whole(path, _with_facts(bundle))
        return 0.0
    if bundle.graph is not None and bundle.architecture.name == ONNX:
        raise ConfigError(f'{bundle.name}: its network is an ONNX file, which cannot become a program of torch; choose '
                          '--format onnx, which copies it')
    network = bundle.load_single_network().to(memory_format=torch.contiguous_format)
    module = PlainNetwork(network).eval()
    shape = (bundle.architecture.in_channels, *bundle.preprocessing.crop)
    example = torch.zeros(2, *shape)
    if kind == 'onnx':
        data = to_onnx(bundle)
        run = _onnx_runner(data)
    elif kind == 'torch':
        if not hasattr(torch.export, 'Dim'):
            raise ConfigError(f'export to torch needs torch 2.2 or newer, got {torch.__version__}: choose onnx, or '
                              'install a newer one')
        program = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim('batch')},))
        # In memory first: torch reports a full disk as a damaged archive.
        buffer = io.BytesIO()
        torch.export.save(program, buffer, extra_files={_FACTS: json.dumps(facts(bundle))})
        data = buffer.getvalue()
        loaded = torch.export.load(io.BytesIO(data)).module()

        def run(pixels: torch.Tensor) -> Tuple[np.ndarray, ...]:
            return tuple(output.detach().numpy() for output in loaded(pixels))
    else:
        raise ConfigError(f'no format {kind!r} to export to; there are {", ".join(FORMATS)}')
    difference = _difference(module, run, shape)
    if not difference <= MAX_DIFFERENCE:
        raise TrainingError(f'{path}: gives other results than the bundle {bundle.name} (relative difference '
                            f'{difference:.2g}, allowed {MAX_DIFFERENCE:g}); it is not written')
    write_whole(path, data)
    return difference


def _with_facts(bundle: Bundle) -> bytes:
    """The file that is a bundle's network, with what belongs to it in its metadata."""
    data = bundle.graph_file.read_bytes()
    if bundle.architecture.name == ONNX:
        model = import_onnx().load_from_string(data)
        add_metadata(model, facts(bundle))
        written: bytes = model.SerializeToString()
        return written
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, 'a') as archive:
        names = archive.namelist()
        name = f'{names[0].partition("/")[0]}/extra/{_FACTS}'
        if name not in names:
            archive.writestr(name, json.dumps(facts(bundle)))
    return buffer.getvalue()


_Run = Callable[[torch.Tensor], Sequence[np.ndarray]]


def _onnx_runner(model: bytes) -> _Run:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(f'checking the ONNX file needs onnxruntime ({error}); install it with `pip install '
                          '"robot_vision_dl[onnx]"`') from error
    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
    return lambda pixels: tuple(session.run(None, {'pixels': pixels.numpy()}))


def _difference(module: PlainNetwork, run: _Run, shape: Tuple[int, ...]) -> float:
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for batch in _CHECKED_BATCHES:
        pixels = torch.randn(batch, *shape, generator=generator)
        with torch.inference_mode():
            expected = [output.numpy() for output in module(pixels)]
        for ours, theirs in zip(expected, run(pixels)):
            if ours.shape != theirs.shape or not np.isfinite(theirs).all():
                return float('inf')
            worst = max(worst, float(np.abs(ours - theirs).max() / max(np.abs(ours).max(), 1e-12)))
    return worst

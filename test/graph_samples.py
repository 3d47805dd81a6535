"""Small networks as files: ONNX models made by hand, programs of torch.export, and bundles of both."""
import io
import json
import zipfile
from pathlib import Path
from typing import Callable, Dict, Optional, Sequence

import numpy as np
import pytest
import torch
from torch import nn

CLASSES, FEATURES, SIDE = 3, 8, 16


class SmallNet(nn.Module):
    """Two convolutions, a mean over the picture, and a linear head; gives a dictionary."""

    def __init__(self, seed: int = 0, plain: bool = False, softmax: bool = False, channels_last: bool = False,
                 sigmoid: bool = False, classes: int = CLASSES) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.early = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.late = nn.Conv2d(4, FEATURES, 3, stride=2)
        self.head = nn.Linear(FEATURES, classes)
        self.plain, self.softmax, self.channels_last, self.sigmoid = plain, softmax, channels_last, sigmoid

    def forward(self, pixels):
        if self.channels_last:
            pixels = pixels.permute(0, 3, 1, 2)
        features = self.late(self.early(pixels)).relu().mean((2, 3))
        logits = self.head(features)
        if self.softmax:
            logits = logits.softmax(1)
        if self.sigmoid:
            logits = logits.sigmoid()
        return logits if self.plain else {'logits': logits, 'features': features}


def small_net(**options) -> SmallNet:
    return SmallNet(**options).eval()


def program_file(path: Path, net: nn.Module, batch: Optional[int] = None, channels_last: bool = False) -> Path:
    """``torch.export.save`` of a network; ``batch`` None: of any size."""
    shape = (batch or 2, SIDE, SIDE, 3) if channels_last else (batch or 2, 3, SIDE, SIDE)
    dynamic = ({0: torch.export.Dim('batch')},) if batch is None else None
    torch.export.save(torch.export.export(net, (torch.zeros(shape),), dynamic_shapes=dynamic), path)
    return path


def onnx_model(net: SmallNet, batch: Optional[int] = None, channels_last: bool = False, half: bool = False,
               softmax: bool = False, declared: Sequence[str] = ('scores',)):
    """The same network written with onnx's own tools, its tensors named ``early``, ``maps``, ``mean``, ``scores``."""
    onnx = pytest.importorskip('onnx')
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    state = {name: value.numpy() for name, value in net.state_dict().items() if value.is_floating_point()}
    tensors = [onnx.numpy_helper.from_array(value.astype(np.float16 if half else np.float32), name)
               for name, value in state.items()]
    norm = [f'early.1.{name}' for name in ('weight', 'bias', 'running_mean', 'running_var')]
    nodes = [
        helper.make_node('Conv', ['turned', 'early.0.weight', 'early.0.bias'], ['c1'], pads=[1, 1, 1, 1]),
        helper.make_node('BatchNormalization', ['c1', *norm], ['n1']), helper.make_node('Relu', ['n1'], ['early']),
        helper.make_node('Conv', ['early', 'late.weight', 'late.bias'], ['c2'], strides=[2, 2]),
        helper.make_node('Relu', ['c2'], ['maps']), helper.make_node('GlobalAveragePool', ['maps'], ['pooled']),
        helper.make_node('Flatten', ['pooled'], ['mean']),
        helper.make_node('Gemm', ['mean', 'head.weight', 'head.bias'], ['scores'], transB=1)]
    first = helper.make_node('Transpose', ['image'], ['turned'], perm=[0, 3, 1, 2]) if channels_last else \
        helper.make_node('Identity', ['image'], ['turned'])
    if softmax:
        nodes.append(helper.make_node('Softmax', ['scores'], ['probabilities'], axis=1))
    sides = [SIDE, SIDE, 3] if channels_last else [3, SIDE, SIDE]
    graph = helper.make_graph(
        [first, *nodes], 'small', [helper.make_tensor_value_info('image', kind, [batch or 'N', *sides])],
        [helper.make_tensor_value_info(name, kind, None) for name in declared], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)


def changed_zip(data: bytes, change: Callable[[str, bytes], Optional[bytes]], kind: int = zipfile.ZIP_STORED) -> bytes:
    """The same archive with each entry as ``change(name, content)`` has it; None: left out."""
    into = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(into, 'w', kind) as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return into.getvalue()


def changed_program(data: bytes, change: Callable[[Dict], None]) -> bytes:
    """The same program with ``models/model.json`` changed in place."""
    def edit(name: str, content: bytes) -> bytes:
        if not name.endswith('models/model.json'):
            return content
        values = json.loads(content)
        change(values)
        return json.dumps(values).encode()
    return changed_zip(data, edit)


def pictures(count: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))

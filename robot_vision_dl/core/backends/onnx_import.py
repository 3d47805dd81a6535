"""A user's ONNX file -> the form of a bundle's (see :mod:`~..networks.onnx_graph`).

Only the graph is rewritten, by onnx's own tools: named tensors become outputs, maps are averaged, NHWC pictures are
turned, weights in other files are packed in.
"""
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

import torch

from ..errors import BundleError, first_line
from ..networks.graph_facts import GraphFacts
from ..networks.onnx_graph import INPUT, MOST_BYTES, Sizes, check_onnx, import_onnx
from ..text.printable import printable
from .graph_import import Named, Normal, Wish, picture_axes, resolve, shown

_FLOAT, _HALF = 1, 10
_LEAST_IR = 4  # from which on a weight need not be an input as well
_MOST_HEAD = 1 << 28  # numbers of a matrix that is looked at as a head


def normal_onnx(path: Path, wish: Wish, where: str) -> List[Normal]:
    """The file in a bundle's form: with a batch of any size, and as it is where it is fixed to one.

    Raises:
        BundleError, ConfigError: it cannot be used.
    """
    onnx = import_onnx()
    model = _read(path, where)
    crop, is_nhwc = _set_input(model, wish, where)
    sizes = check_onnx(model, where)
    outputs = [output.name for output in model.graph.output]
    known = sizes.shapes

    def hint() -> str:
        return shown(_useful(model, sizes))
    logits = resolve(wish.logits, 'logits', outputs, known, hint, where)
    features = resolve(wish.features, 'features', outputs, known, hint, where)
    stages = [resolve(name, 'stages', outputs, known, hint, where) for name in wish.stages]
    assert logits is not None
    names = [name for name in (logits, features, *stages) if name is not None]
    made = {INPUT: INPUT, 'logits': logits}
    if features is not None:
        made['features'] = features
    made.update((f'stage_{number}', name) for number, name in enumerate(stages) if name is not None)
    widths = [_width(known[name], name, is_nhwc, where) for name in names]
    before, is_sigmoid = _squashed(model, logits)
    _write_form(model, made, known, is_nhwc)
    facts = GraphFacts(widths[1] if features else 0, tuple(widths[2 if features else 1:]), sizes.batch, tuple(names))
    weights = list(model.graph.initializer)
    weights += [one.t for node in model.graph.node if node.op_type == 'Constant' for one in node.attribute
                if one.name == 'value']
    matrices = [tensor for tensor in weights if len(tensor.dims) >= 2 and tensor.data_type in (_FLOAT, _HALF)
                and widths[0] in tensor.dims and features and widths[1] in tensor.dims]
    vectors = [tensor for tensor in weights if list(tensor.dims) in ([widths[0]], [1, widths[0]])
               and tensor.data_type in (_FLOAT, _HALF)]
    parts: Dict[str, Any] = {'matrices': _arrays(matrices), 'vectors': _arrays(vectors), 'classes': widths[0],
                             'before': before, 'is_sigmoid': is_sigmoid}
    forms = []
    for batch in ([None] if sizes.batch is None else [None, sizes.batch]):
        dim = next(one for one in model.graph.input if one.name == INPUT).type.tensor_type.shape.dim[0]
        if batch is None:
            dim.dim_param = 'batch'
        else:
            dim.dim_value = batch
        for output in model.graph.output:
            first = output.type.tensor_type.shape.dim[0]
            if batch is None:
                first.dim_param = 'batch'
            else:
                first.dim_value = batch
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            raise BundleError(f'{where}: the installed onnx {onnx.__version__} refuses it '
                              f'({printable(first_line(error), 200)}); update onnx, or export it for an earlier version'
                              ) from error
        forms.append(Normal(model.SerializeToString(), crop, GraphFacts(
            facts.features, facts.stages, batch, facts.sources), **parts))
    return forms


def onnx_tensors(path: Path, wish: Wish, where: str) -> List[Named]:
    """Tensors of the file that could be named, in the order in which they are made."""
    model = _read(path, where)
    _set_input(model, wish, where)
    return _useful(model, check_onnx(model, where))


def _useful(model: Any, sizes: Sizes) -> List[Named]:
    """Results of a number a feature, or of maps, that are not all the same as the input's or constant."""
    batch = sizes.batch or 1
    passed = {'Relu', 'Clip', 'BatchNormalization', 'Identity', 'Dropout', 'Cast', 'Shape', 'Constant', 'Softmax'}
    return [Named(name, sizes.shapes[name], node.op_type) for node in model.graph.node for name in node.output
            if name in sizes.shapes and len(sizes.shapes[name]) in (2, 3, 4) and sizes.shapes[name][0] == batch
            and node.op_type not in passed - {'Relu'}]


def _read(path: Path, where: str) -> Any:
    """The model with all its weights, functions written out."""
    onnx = import_onnx()
    try:
        model = onnx.load(str(path))  # with weights that lie beside it; onnx holds them within the folder
    except Exception as error:  # noqa: B902 - protobuf's and onnx's exceptions have no common base
        raise BundleError(f'{where}: is not an ONNX file that can be read ({printable(error, 200)})') from error
    if model.ByteSize() > MOST_BYTES:
        raise BundleError(f'{where}: has {model.ByteSize()} bytes with its weights; at most {MOST_BYTES} can be')
    if model.functions:
        try:
            from onnx.inliner import inline_local_functions
            model = inline_local_functions(model)
        except Exception as error:  # noqa: B902 - as above
            raise BundleError(f'{where}: its functions cannot be written out ({printable(error, 200)}); update onnx'
                              ) from error
    del model.metadata_props[:]
    model.doc_string = ''
    return model


def _set_input(model: Any, wish: Wish, where: str) -> Tuple[Tuple[int, int], bool]:
    """(height, width) that the model takes, which is written into it, and whether colours are the last axis."""
    constants = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in constants]
    if len(inputs) != 1:
        names = printable(', '.join(one.name for one in inputs[:8]), 200)
        raise BundleError(f'{where}: takes {len(inputs)} inputs ({names}); a network takes one tensor, the pictures')
    kind = inputs[0].type.tensor_type
    if kind.elem_type not in (_FLOAT, _HALF):
        name = import_onnx().TensorProto.DataType.Name(kind.elem_type)
        raise BundleError(f'{where}: {printable(inputs[0].name, 60)} takes {name}; the pictures come as float32, '
                          'normalised with --mean and --std. Export the network without its own preprocessing')
    dims: List[Optional[int]] = [dim.dim_value if dim.HasField('dim_value') and dim.dim_value > 0 else None
                                 for dim in kind.shape.dim]
    crop, is_nhwc = picture_axes(dims, wish, where, printable(inputs[0].name, 60))
    sides = (*crop, wish.channels) if is_nhwc else (wish.channels, *crop)
    for dim, size in zip(kind.shape.dim[1:], sides):
        dim.dim_value = size
    return crop, is_nhwc


def _width(shape: Sequence[int], name: str, is_nhwc: bool, where: str) -> int:
    """How many numbers a picture has of a tensor, once maps are averaged."""
    if len(shape) not in (2, 3, 4):
        raise BundleError(f'{where}: {printable(name, 60)} has the shape {list(shape)}; logits and features are '
                          '(batch, number), or (batch, number, height, width), which is averaged')
    return shape[1] if len(shape) == 2 or len(shape) == 4 and not _last_is_feature(shape, is_nhwc) else shape[-1]


def _last_is_feature(shape: Sequence[int], is_nhwc: bool) -> bool:
    """Whether maps are (batch, height, width, number), by which two sides are equal; else as the pictures are."""
    if shape[2] == shape[3] != shape[1]:
        return False
    return is_nhwc or (shape[1] == shape[2] != shape[3] and shape[1] > 1)


def _write_form(model: Any, made: Dict[str, str], shapes: Dict[str, Tuple[int, ...]], is_nhwc: bool) -> None:
    """Replace input and outputs; ``made`` are the new names, and the tensors that they are made of."""
    onnx = import_onnx()
    graph, helper = model.graph, onnx.helper
    constants = {one.name for one in graph.initializer}
    given = next(one for one in graph.input if one.name not in constants)
    has_half, takes_half = _has_half(model), given.type.tensor_type.elem_type == _HALF
    batch, sides = given.type.tensor_type.shape.dim[0], [dim.dim_value for dim in given.type.tensor_type.shape.dim[1:]]
    # Everything of the file gets other names, so that none is in the way.
    def own(name: str) -> str:
        return f'f_{name}' if name else ''
    for node in graph.node:
        node.input[:], node.output[:] = [own(name) for name in node.input], [own(name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = own(tensor.name)
    steps, last = [], INPUT
    if is_nhwc:
        steps.append(helper.make_node('Transpose', [last], ['i_turned'], perm=[0, 2, 3, 1]))
        last, sides = 'i_turned', [sides[2], sides[0], sides[1]]
    if takes_half:
        steps.append(helper.make_node('Cast', [last], ['i_half'], to=_HALF))
        last = 'i_half'
    steps.append(helper.make_node('Identity', [last], [own(given.name)]))
    ends, results = [], []
    for name, source in made.items():
        if name == INPUT:
            continue
        shape, last = shapes[source], own(source)
        number = _width(shape, source, is_nhwc, '')
        if has_half:  # of a file whose input is float32, too; of tensors that are float32 it changes nothing
            ends.append(helper.make_node('Cast', [last], [f'o_{name}_float'], to=_FLOAT))
            last = f'o_{name}_float'
        if len(shape) == 3 or len(shape) == 4 and _last_is_feature(shape, is_nhwc):
            perm = [0, 2, 1] if len(shape) == 3 else [0, 3, 1, 2]
            ends.append(helper.make_node('Transpose', [last], [f'o_{name}_turned'], perm=perm))
            last = f'o_{name}_turned'
        if len(shape) > 2:
            ends += [helper.make_node('GlobalAveragePool', [last], [f'o_{name}_mean']),
                     helper.make_node('Flatten', [f'o_{name}_mean'], [name], axis=1)]
        else:
            ends.append(helper.make_node('Identity', [last], [name]))
        results.append(helper.make_tensor_value_info(name, _FLOAT, [batch.dim_value or 'batch', number]))
    nodes = _needed([*steps, *graph.node, *ends], set(made) - {INPUT})
    used = {name for node in nodes for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    pixels = helper.make_tensor_value_info(INPUT, _FLOAT, [batch.dim_value or 'batch', *sides])
    form = helper.make_graph(nodes, 'network', [pixels], results, tensors)
    model.graph.CopyFrom(form)
    model.ir_version = max(model.ir_version, _LEAST_IR)


def _has_half(model: Any) -> bool:
    """Whether anything in a file is float16."""
    graph = model.graph
    casts = [one.i for node in graph.node if node.op_type == 'Cast' for one in node.attribute if one.name == 'to']
    return _HALF in casts or any(tensor.data_type == _HALF for tensor in graph.initializer) or any(
        one.type.tensor_type.elem_type == _HALF for one in (*graph.input, *graph.output))


def _needed(nodes: Sequence[Any], wanted: Set[str]) -> List[Any]:
    """The nodes that the wanted tensors are made of, in their order."""
    wanted, kept = set(wanted), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]


def _squashed(model: Any, logits: str) -> Tuple[Optional[str], bool]:
    """What the softmax or sigmoid is made of that gives the tensor ``logits``, and whether it is a sigmoid.

    None: it is of neither.
    """
    made = {name: node for node in model.graph.node for name in node.output}
    node = made.get(logits)
    while node is not None and node.op_type in ('Identity', 'Cast', 'Reshape', 'Flatten', 'Squeeze'):
        node = made.get(node.input[0])
    if node is None or node.op_type not in ('Softmax', 'LogSoftmax', 'Sigmoid'):
        return None, False
    return str(node.input[0]), node.op_type == 'Sigmoid'


def _arrays(tensors: Sequence[Any]) -> List[torch.Tensor]:
    onnx = import_onnx()
    small = [tensor for tensor in tensors if tensor.ByteSize() < _MOST_HEAD]
    return [torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()).float() for tensor in small]

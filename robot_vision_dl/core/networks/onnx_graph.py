"""An ONNX model of a bundle, held against what a network may be before ONNX Runtime does what the file asks for.

The form is that of ``robot-vision export``: one input ``pixels`` float32 (B, channels, H, W), outputs ``logits``
(B, C), and where they are there ``features`` (B, F), ``stage_0`` (B, F0), ``stage_1``, ...; B is free or fixed.
"""
import contextlib
from math import prod
from types import ModuleType
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, cast

from ..errors import BundleError, ConfigError
from ..text.printable import printable

if TYPE_CHECKING:
    import torch

INPUT = 'pixels'
MOST_BYTES = (1 << 31) - 1  # of one message of protobuf
MOST_NODES = 20_000
MOST_ELEMENTS, MOST_ELEMENTS_IN_ALL = 1 << 27, 1 << 31
"""Of one tensor, and of all that a pass makes, for one picture."""
_RANDOM = ('RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike', 'Multinomial', 'Bernoulli')
_INSTALL = 'install them with `pip install "robot_vision_dl[onnx]"`'
# onnx.TensorProto.DataType -> bits of a number
_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16, 21: 4, 22: 4}


class Sizes(NamedTuple):
    """What is known of a model's tensors.

    Attributes:
        shapes: of each tensor, for its own batch, or one picture where that is free.
        batch: that the model is fixed to; None: any.
    """

    shapes: Dict[str, Tuple[int, ...]]
    batch: Optional[int]


def import_onnx() -> ModuleType:
    """The package onnx.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import onnx
        import onnx.shape_inference
    except ImportError as error:
        raise ConfigError(f'a network that is an ONNX file needs onnx and onnxruntime ({error}); {_INSTALL}') from error
    return cast(ModuleType, onnx)


def parse_onnx(data: bytes, where: str) -> Any:
    """The model (``onnx.ModelProto``) in a file's bytes.

    Raises:
        BundleError: it is none.
        ConfigError: onnx is not installed.
    """
    onnx = import_onnx()
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # noqa: B902 - protobuf's DecodeError, and what else it makes of bytes
        raise BundleError(f'{where}: is not a whole ONNX file ({printable(error, 100)})') from error


def check_onnx(model: Any, where: str) -> Sizes:
    """Refuse what is not plain arithmetic on tensors of a sound size.

    Only operators of the ONNX standard; no control flow, functions, random numbers or weights in other files; each
    tensor has a size that can be told from the file. Nothing is computed.

    Raises:
        BundleError: the first thing that is wrong, and what to do.
    """
    onnx = import_onnx()
    graph = model.graph
    if len(graph.node) > MOST_NODES:
        raise BundleError(f'{where}: has {len(graph.node)} operators, more than {MOST_NODES}')
    if model.functions:
        raise BundleError(f'{where}: has functions of its own; import it again, which writes them out')
    for domain in model.opset_import:
        if domain.domain in ('', 'ai.onnx') and domain.version > onnx.defs.onnx_opset_version():
            raise BundleError(f'{where}: is of ONNX opset {domain.version}, the installed onnx knows '
                              f'{onnx.defs.onnx_opset_version()}; update onnx and onnxruntime')
    tensors = list(graph.initializer)
    for node in graph.node:
        _check_node(node, where)
        tensors += [one.t for one in node.attribute if one.HasField('t')]
        tensors += [tensor for one in node.attribute for tensor in one.tensors]
    if graph.sparse_initializer or any(one.HasField('sparse_tensor') or one.sparse_tensors
                                       for node in graph.node for one in node.attribute):
        raise BundleError(f'{where}: has sparse tensors, which are not supported')
    for tensor in tensors:
        _check_tensor(tensor, where)
    return _sizes(model, where)


def _check_node(node: Any, where: str) -> None:
    shown = printable(f'{node.domain}.{node.op_type}'.lstrip('.'), 80)
    if node.domain not in ('', 'ai.onnx'):
        raise BundleError(f'{where}: the operator {shown} is not of the ONNX standard; export the network without '
                          'custom operators, and without optimisations of a runtime')
    if any(one.HasField('g') or one.graphs for one in node.attribute):
        raise BundleError(f'{where}: the operator {shown} is control flow, which may go on without end; export the '
                          'network without it')
    if node.op_type in _RANDOM:
        raise BundleError(f'{where}: the operator {shown} draws random numbers; export the network in evaluation mode')


def _check_tensor(tensor: Any, where: str) -> None:
    """Weights within the file, as many as their shape says."""
    shown = printable(tensor.name or 'a constant', 80)
    if tensor.data_location == 1 or tensor.external_data:
        raise BundleError(f'{where}: {shown} lies in another file; import the model again, which packs it in')
    bits = _BITS.get(tensor.data_type)
    if tensor.data_type == 8:  # texts
        raise BundleError(f'{where}: {shown} holds texts; a network computes with numbers')
    if bits is None or len(tensor.dims) > 16 or any(not 0 <= size < 1 << 40 for size in tensor.dims):
        raise BundleError(f'{where}: {shown} holds numbers of a kind that is not supported, or has no sound shape')
    count = prod(tensor.dims)
    there = len(tensor.raw_data) * 8 // bits if tensor.raw_data else max(
        len(tensor.float_data), len(tensor.int32_data), len(tensor.int64_data), len(tensor.double_data),
        len(tensor.uint64_data)) * (2 if bits == 4 else 1)
    if count > there:
        raise BundleError(f'{where}: {shown} has {there} numbers, its shape {printable(tuple(tensor.dims), 60)} says '
                          f'{count}')


def _sizes(model: Any, where: str) -> Sizes:
    """Shape of every tensor for one picture; the batch is put in where it is free."""
    onnx = import_onnx()
    constants = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in constants]
    if len(inputs) != 1:
        names = printable(', '.join(one.name for one in inputs[:8]), 200)
        raise BundleError(f'{where}: takes {len(inputs)} inputs ({names}); a network takes one tensor, the pictures')
    one = onnx.ModelProto()
    one.CopyFrom(model)
    del one.graph.value_info[:]
    first = next(value for value in one.graph.input if value.name == inputs[0].name)
    dims = first.type.tensor_type.shape.dim
    batch = None
    if dims:
        batch = dims[0].dim_value if dims[0].HasField('dim_value') and dims[0].dim_value > 0 else None
        dims[0].dim_value = batch or 1
    for output in one.graph.output:  # of another batch, maybe
        output.type.tensor_type.ClearField('shape')
    try:
        one = onnx.shape_inference.infer_shapes(one, data_prop=True)
    except Exception as error:  # noqa: B902 - exceptions of C++, which have no common base
        raise BundleError(f'{where}: its shapes do not fit each other ({printable(error, 200)})') from error
    shapes: Dict[str, Tuple[int, ...]] = {}
    for value in (*one.graph.value_info, *one.graph.output, *one.graph.input):
        kind = value.type.tensor_type
        if kind.HasField('shape') and all(dim.HasField('dim_value') for dim in kind.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    shapes.update((tensor.name, tuple(tensor.dims)) for tensor in one.graph.initializer)
    made = 0
    for node in one.graph.node:
        for name in filter(None, node.output):
            if name not in shapes:
                raise BundleError(f'{where}: how large {printable(name, 80)} gets (of {printable(node.op_type, 40)}) '
                                  'cannot be told from the file; export the network for a fixed size of pictures, or '
                                  'simplify the file with `onnxsim`')
            size = prod(shapes[name])
            made += size
            if size > MOST_ELEMENTS or made > MOST_ELEMENTS_IN_ALL:
                raise BundleError(f'{where}: {printable(name, 80)} has {size} numbers for a batch of {batch or 1}, or '
                                  f'all together more than {MOST_ELEMENTS_IN_ALL}: more than a network may have')
    return Sizes(shapes, batch)


def make_session(data: bytes, threads: int, what: str, providers: Sequence[Any] = ('CPUExecutionProvider',)) -> Any:
    """An ``onnxruntime.InferenceSession``, on the CPU unless other providers are named.

    Raises:
        ConfigError: ONNX Runtime is not installed, or refuses the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(f'a network that is an ONNX file needs onnx and onnxruntime ({error}); {_INSTALL}') from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads that spin between frames would take a core from the rest of the robot.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    try:
        # Its fallback would try the same again and print that.
        return onnxruntime.InferenceSession(data, options, providers=list(providers), enable_fallback=0)
    except Exception as error:  # noqa: B902 - its exceptions have no base class of their own
        raise ConfigError(f'ONNX Runtime refuses {what}: {printable(error, 400)}') from error


class OnnxRunner:
    """Runs a checked model with ONNX Runtime on the CPU.

    Args:
        data: the file.
        outputs: names of what is wanted.
        where: for messages.
    """

    def __init__(self, data: bytes, outputs: Sequence[str], where: str) -> None:
        import torch
        self._where, self._outputs = where, list(outputs)
        try:
            self._session = make_session(data, torch.get_num_threads(), where)
        except ConfigError as error:
            if isinstance(error.__cause__, ImportError):
                raise
            raise BundleError(str(error)) from error

    def __call__(self, pixels: 'torch.Tensor') -> 'List[torch.Tensor]':
        """The outputs for float32 pixels (B, channels, H, W), on the device that they are on."""
        import torch
        array = pixels.detach().to('cpu', torch.float32).contiguous().numpy()
        try:
            found = self._session.run(self._outputs, {INPUT: array})
        except Exception as error:  # noqa: B902 - its exceptions have no base class of their own
            raise BundleError(f'{self._where}: ONNX Runtime fails: {printable(error, 300)}') from error
        return [torch.from_numpy(one).to(pixels.device) for one in found]


def is_installed() -> bool:
    """Whether ONNX files can be run here."""
    with contextlib.suppress(ImportError, ValueError):
        from importlib.util import find_spec
        return find_spec('onnx') is not None and find_spec('onnxruntime') is not None
    return False

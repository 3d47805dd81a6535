"""Operators that a program of torch.export may use: those of ATen that compute a tensor from tensors, and nothing else.

A name in a file is looked up in this list before it is looked up in torch. Left out are operators that read or write
files (``from_file``), draw random numbers, have outputs whose size depends on values (``nonzero``), or belong to
someone else (custom operators, ``torchvision::*``, higher-order operators).
"""
import math
import operator
import re
from typing import Any, Callable, Dict, Optional, Sequence

import torch

from ..errors import BundleError
from ..text.printable import printable

OVERLOAD: Any = type(torch.ops.aten.relu.default)
"""What an operator of ATen is for torch, with the types of its arguments."""
_ATEN = frozenset("""
    abs acos add addcdiv addcmul addmm addmv adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    adaptive_max_pool2d alias amax amin arange argmax argmin as_strided atan avg_pool1d avg_pool2d avg_pool3d baddbmm
    batch_norm _native_batch_norm_legit_no_training _native_batch_norm_legit native_batch_norm
    _batch_norm_no_update bitwise_and bitwise_not bitwise_or bmm broadcast_to cat ceil celu channel_shuffle chunk clamp
    clamp_max clamp_min clone concat constant_pad_nd contiguous conv1d conv2d conv3d convolution _convolution
    conv_transpose2d copy cos cumsum detach div dot dropout einsum elu embedding eq erf exp expand expand_as expm1
    feature_dropout fill flatten flip floor floor_divide fmod full full_like gather ge gelu glu group_norm gt
    hardsigmoid hardswish hardtanh
    index index_select instance_norm layer_norm native_layer_norm native_group_norm le leaky_relu
    lift lift_fresh lift_fresh_copy linalg_vector_norm linear log log1p log2 log_sigmoid log_softmax _log_softmax
    logical_and logical_not logical_or logit logsumexp lt masked_fill matmul max max_pool2d
    max_pool2d_with_indices maximum mean meshgrid min minimum mish mm movedim mul mv narrow ne neg new_full new_ones
    new_zeros norm ones ones_like pad permute pixel_shuffle pixel_unshuffle pow prelu _prelu_kernel reciprocal
    reflection_pad2d relu relu6 remainder repeat replication_pad2d reshape rms_norm roll round rsqrt rsub
    scalar_tensor scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu select select_scatter selu
    sigmoid sign silu sin slice slice_scatter softmax _softmax softplus split split_with_sizes sqrt square squeeze stack
    std std_mean sub sum swapaxes sym_numel sym_size sym_stride t tan tanh threshold tile to _to_copy transpose tril
    triu true_divide type_as unbind unflatten unfold unsafe_chunk unsafe_split unsqueeze upsample_bicubic2d
    upsample_bilinear2d upsample_nearest2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa _unsafe_index _unsafe_view
    var var_mean view view_as where zeros zeros_like
""".split())
_CHECKS = frozenset("""
    _assert_scalar _assert_tensor_metadata sym_constrain_range sym_constrain_range_for_size _assert_async
""".split())
"""Of the exporter itself: nothing is computed, so they are passed over."""
_PYTHON: Dict[str, Callable[..., Any]] = {
    '_operator.add': operator.add, '_operator.sub': operator.sub, '_operator.mul': operator.mul,
    '_operator.floordiv': operator.floordiv, '_operator.truediv': operator.truediv, '_operator.mod': operator.mod,
    '_operator.neg': operator.neg, '_operator.eq': operator.eq, '_operator.ne': operator.ne,
    '_operator.lt': operator.lt, '_operator.le': operator.le, '_operator.gt': operator.gt,
    '_operator.ge': operator.ge, 'math.ceil': math.ceil, 'math.floor': math.floor, 'math.trunc': math.trunc,
    'torch.sym_float': torch.sym_float, 'torch.sym_int': torch.sym_int, 'torch.sym_max': torch.sym_max,
    'torch.sym_min': torch.sym_min}
"""What shapes are computed with."""
_NAME = re.compile(r'torch\.ops\.aten\.(?P<name>[a-z_0-9]+?)(?P<in_place>_?)\.(?P<overload>[A-Za-z_0-9]+)')


def find_operator(target: Any) -> Optional[Callable[..., Any]]:
    """The operator of a node's ``target``, e.g. ``torch.ops.aten.conv2d.default``; None: it computes nothing.

    Raises:
        BundleError: it is none of those that may be used.
    """
    if isinstance(target, str) and len(target) < 100:
        if target in _PYTHON:
            return _PYTHON[target]
        match = _NAME.fullmatch(target)
        if match is not None:
            name, overload = match['name'], match['overload']
            if name in _CHECKS:
                return None
            if (name, overload) == ('view', 'default'):
                return _reshaped
            if name in _ATEN and 'out' not in overload.split('_'):
                packet = getattr(torch.ops.aten, name + match['in_place'], None)
                found: Optional[Callable[..., Any]] = getattr(packet, overload, None)
                if found is not None and isinstance(found, OVERLOAD):
                    operator_of_aten: Callable[..., Any] = found
                    return operator_of_aten
    raise BundleError(f'the operator {printable(repr(target), 80)} is none that a network of a bundle may use; custom '
                      'operators, control flow and random numbers are not supported. Export the network in evaluation '
                      'mode, or as ONNX')


def _reshaped(tensor: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """A view, or a copy where a version of torch lays tensors out so that there is none (2.11, as sizes are tried)."""
    return tensor.reshape(list(size))


def is_factory(target: str) -> bool:
    """Whether an operator of ATen makes a tensor of none, so that it must be told where."""
    match = _NAME.fullmatch(target)
    return match is not None and match['name'] in ('arange', 'full', 'ones', 'scalar_tensor', 'zeros')


def is_in_place(target: str) -> bool:
    """Whether an operator of ATen overwrites its first argument."""
    match = _NAME.fullmatch(target)
    return match is not None and bool(match['in_place'])

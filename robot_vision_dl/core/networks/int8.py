"""Networks in int8: how they are told, and on which processors they compute what they should.

On x86 without VNNI, ONNX Runtime multiplies uint8 with int8 by ``vpmaddubsw``, which adds two products in 16 bits: with
weights of 8 bits the sum can exceed them and is cut off without a word, with weights of 7 bits (``reduce_range``) it
cannot. See "Data type selection" of ONNX Runtime's page on quantisation.
"""
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BundleError
from ..text.printable import printable
from .onnx_graph import import_onnx

QUANTISE, DEQUANTISE = 'QuantizeLinear', 'DequantizeLinear'
_EXACT = ('avx512_vnni', 'avx_vnni', 'avx_vnni_int8', 'amx_int8')
_X86 = ('x86_64', 'amd64', 'i386', 'i686')
_INT8 = 3  # onnx.TensorProto.INT8


@lru_cache(maxsize=None)
def adds_exactly() -> bool:
    """Whether this processor adds products of uint8 and int8 of 8 bits without cutting any off."""
    return platform.machine().lower() not in _X86 or any(flag in _flags() for flag in _EXACT)


def _flags() -> str:
    """Of the first processor; empty where the system does not tell, which then counts as an old one."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='ascii', errors='replace').splitlines()
    except OSError:
        return ''
    return next((line for line in lines if line.startswith('flags')), '')


def check_int8(model: Any, weight_bits: int, where: str) -> None:
    """Refuse a model (``onnx.ModelProto``) that is not what ``bundle.json`` says, or that this processor runs wrongly.

    Raises:
        BundleError: and what to do.
    """
    to_array = import_onnx().numpy_helper.to_array
    if not any(node.op_type == QUANTISE for node in model.graph.node):
        raise BundleError(f'{where}: bundle.json says that it is int8, but it quantises nothing; make it again with '
                          '`robot-vision quantise`')
    largest = max((int(np.abs(to_array(tensor).astype(np.int16)).max(initial=0)) for tensor in model.graph.initializer
                   if tensor.data_type == _INT8 and len(tensor.dims) > 1), default=0)
    if weight_bits == 7 and largest > 64:
        raise BundleError(f'{where}: has a weight of {largest}, but bundle.json says that they have 7 bits (at most '
                          '64); make it again with `robot-vision quantise`')
    if weight_bits == 8 and not adds_exactly():
        raise BundleError(
            f'{printable(where)}: its weights have 8 bits, and this processor ({platform.machine()} without VNNI) adds '
            'products of such in 16 bits, which cuts sums off; quantise it with `--weight-bits 7`, or run the float32 '
            'bundle')

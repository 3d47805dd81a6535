"""A ``.pt2`` file of ``torch.export.save`` -> its graph as plain values and its tensors, read without running anything.

``torch.export.load`` is not used: it unpickles example inputs and constants (``torch.load`` with
``weights_only=False``, ``pickle.loads``) and hands the text of shapes to ``sympy.sympify``, which evaluates it. What a
network needs is a list of operators as JSON and weights as raw bytes, by the schema of torch.export's serde; those are
read here, and whatever of the archive would have to be unpickled is refused if the network needs it, and else not
opened.
"""
import zipfile
from math import prod
from typing import Any, BinaryIO, Dict, Mapping, Optional, Tuple

import torch

from ..errors import BundleError, ConfigError
from ..text.json_text import parse_json
from ..text.printable import printable

MOST_JSON_BYTES = 16 << 20  # that of a vision transformer of 24 layers has 2 MB
MOST_TENSOR_BYTES = 4 << 30
MOST_ENTRIES = 20_000
MAJOR_VERSION = 8
"""Of the schema, since torch 2.6."""
# ScalarType of torch.export's schema
DTYPES = {1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16,
          7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16}
_RENEW = 'save it again with torch.export.save of torch 2.8 or newer, or export it to ONNX'


class Archive:
    """What a ``.pt2`` file holds.

    Attributes:
        graph: the ``graph_module`` of ``models/model.json``, plain values whose types nobody has checked.
        torch_version: that wrote it, for people.

    Args:
        file: open for reading; it must stay open for :meth:`tensors`.
        where: begins each error.

    Raises:
        BundleError: it is no such file, or a part of it is too large.
    """

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._where = where
        try:
            self._zip = zipfile.ZipFile(file)
        except Exception as error:  # noqa: B902 - whatever zipfile makes of a damaged directory
            raise BundleError(f'{where}: is not a whole .pt2 file ({printable(error)})') from error
        entries = self._zip.infolist()
        if len(entries) > MOST_ENTRIES or len({entry.filename for entry in entries}) < len(entries):
            raise BundleError(f'{where}: has {len(entries)} entries, of which some have the same name, or more than '
                              f'{MOST_ENTRIES}')
        # Torch stores without compression, in a folder that has the name of the file.
        self._entries = {entry.filename.partition('/')[2]: entry for entry in entries}
        if 'serialized_exported_program.json' in {entry.filename for entry in entries}:
            raise BundleError(f'{where}: was saved by torch 2.7 or older; {_RENEW}')
        if 'models/model.json' not in self._entries:
            raise BundleError(f'{where}: holds no program of torch.export (no models/model.json); {_RENEW}')
        program = self._json('models/model.json')
        version = program.get('schema_version')
        major = version.get('major') if isinstance(version, dict) else None
        if major != MAJOR_VERSION:
            raise BundleError(f'{where}: has the schema version {printable(repr(major), 20)}, this version of '
                              f'robot_vision_dl reads {MAJOR_VERSION}; {_RENEW}')
        self.torch_version = printable(program.get('torch_version', 'unknown'), 40)
        self.graph: Dict[str, Any] = program.get('graph_module') or {}

    def tensors(self, kind: str) -> Dict[str, torch.Tensor]:
        """Tensors by name, on the CPU, finite: all of ``weights`` or ``constants``.

        Raises:
            BundleError: one is pickled, incomplete, or not finite.
        """
        listing = f'data/{kind}/model_{kind}_config.json'
        if listing not in self._entries:
            return {}
        config = self._json(listing).get('config')
        if not isinstance(config, dict):
            raise BundleError(f'{self._where}: {listing} lists no {kind}')
        storages: Dict[str, torch.Tensor] = {}
        found = {}
        total = 0
        for name, payload in config.items():
            where = f'{self._where}: {printable(name, 80)}'
            try:
                found[name] = self._tensor(kind, payload, storages, where)
            except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, OverflowError) as error:
                if isinstance(error, (BundleError, ConfigError)):
                    raise
                raise BundleError(f'{where}: is not described as a tensor ({printable(error, 100)})') from error
            total += found[name].numel() * found[name].element_size()
            if total > MOST_TENSOR_BYTES:
                raise BundleError(f'{self._where}: its {kind} have more than {MOST_TENSOR_BYTES} bytes')
        return found

    def _tensor(self, kind: str, payload: Mapping[str, Any], storages: Dict[str, torch.Tensor], where: str
                ) -> torch.Tensor:
        meta: Optional[Mapping[str, Any]] = payload['tensor_meta']
        if payload['use_pickle'] is not False or meta is None:
            raise BundleError(f'{where}: is pickled, which could run code; save the program from plain tensors on the '
                              'CPU')
        dtype = DTYPES.get(meta['dtype'])
        if dtype is None:
            raise BundleError(f'{where}: holds numbers of a kind that is not supported ({meta["dtype"]!r:.20})')
        shape, strides = (_integers(meta[key]) for key in ('sizes', 'strides'))
        offset = _integers([meta['storage_offset']])[0]
        path = f'data/{kind}/{payload["path_name"]}'
        if path not in storages:
            storages[path] = torch.frombuffer(bytearray(self._read(path, MOST_TENSOR_BYTES)) or bytearray(8),
                                              dtype=torch.uint8)
        storage = storages[path]
        storage = storage[:len(storage) // dtype.itemsize * dtype.itemsize].view(dtype)
        if len(shape) != len(strides) or len(shape) > 8:
            raise BundleError(f'{where}: has {len(shape)} sizes and {len(strides)} strides')
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides))
        if prod(shape) and last >= len(storage):
            raise BundleError(f'{where}: has fewer numbers than its shape {printable(shape, 60)} needs')
        if prod(shape) > max(len(storage), 1):
            raise BundleError(f'{where}: has fewer numbers than its shape {printable(shape, 60)} says')
        tensor = storage.as_strided(shape, strides, offset).contiguous()
        if tensor.is_floating_point() and tensor.numel() and not bool(torch.isfinite(tensor.float()).all()):
            raise BundleError(f'{where}: holds NaN or an infinity; make the file again from sound weights')
        return tensor

    def _json(self, name: str) -> Dict[str, Any]:
        try:
            values = parse_json(self._read(name, MOST_JSON_BYTES), f'{self._where}: {name}')
        except ConfigError as error:
            raise BundleError(str(error)) from error
        if not isinstance(values, dict):
            raise BundleError(f'{self._where}: {name} is no object')
        return values

    def _read(self, name: str, most: int) -> bytes:
        entry = self._entries.get(name)
        if entry is None:
            raise BundleError(f'{self._where}: has no {printable(name, 80)}')
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > most:
            raise BundleError(f'{self._where}: {printable(name, 80)} is compressed, which torch does not do, or has '
                              f'more than {most} bytes')
        try:
            return self._zip.read(entry)
        except Exception as error:  # noqa: B902 - as above
            raise BundleError(f'{self._where}: {printable(name, 80)} cannot be read ({printable(error, 100)})'
                              ) from error


def _integers(values: Any) -> Tuple[int, ...]:
    """Sizes that are plain numbers, from ``[{'as_int': 3}, ...]``."""
    found = tuple(value['as_int'] for value in values)
    if not all(type(value) is int and 0 <= value < 1 << 40 for value in found):
        raise ValueError(f'sizes {printable(found, 60)}')
    return found

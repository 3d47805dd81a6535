"""Message definitions that a bag carries: ROS 1 bytes to CDR, and whether two definitions share their wire format."""
from functools import lru_cache
from typing import Dict, Iterable, List, Optional, Tuple

from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore

from ..core.errors import BagError

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)

# Types that ROS 2 renamed and whose fields are the same.
_RENAMED = {'tf/msg/tfMessage': 'tf2_msgs/msg/TFMessage'}
_IDL_SEPARATOR = '=' * 80 + '\n'
_CDR_NAMES = {'bool': 'u1', 'byte': 'u1', 'char': 'u1', 'octet': 'u1', 'boolean': 'u1', 'uint8': 'u1', 'int8': 'u1',
              'int16': 'u2', 'uint16': 'u2', 'int32': 'u4', 'uint32': 'u4', 'int64': 'u8', 'uint64': 'u8',
              'float32': 'f4', 'float64': 'f8', 'float': 'f4', 'double': 'f8', 'string': 'string',
              'wstring': 'wstring'}


def normal_type(name: str) -> str:
    """``sensor_msgs/Image`` and DDS spellings as ``sensor_msgs/msg/Image``."""
    parts = [part for part in name.replace('::', '/').split('/') if part not in ('', 'dds_')]
    if len(parts) == 2:
        parts.insert(1, 'msg')
    full = '/'.join(parts)
    return _RENAMED.get(full, full)


class Definitions:
    """The message definitions of one storage file, understood as far as possible.

    Attributes:
        problems: sentences about definitions that could not be parsed.
    """

    def __init__(self, definitions: Iterable[Tuple[str, str, str]]):
        """``definitions``: (type as the bag has it, ``ros1msg``, ``ros2msg`` or ``ros2idl``, text)."""
        self.problems: List[str] = []
        self._store = get_typestore(Stores.EMPTY)
        self._names: Dict[str, str] = {}
        for name, form, text in definitions:
            self._names[normal_type(name)] = name
            if form:
                self._register(name, form, text)

    def _register(self, name: str, form: str, text: str) -> None:
        try:
            types = _parse_idl(text) if 'idl' in form else get_types_from_msg(text, name)
            known = self._store.fielddefs
            self._store.register({key: _without_sequence_number(key, value) for key, value in types.items()
                                  if key not in known})
        except (TypesysError, ValueError, KeyError, AssertionError) as error:
            self.problems.append(f'definition of {name} in the bag cannot be read: {_one_line(error)}')

    def ros1_to_cdr(self, raw: bytes, msgtype: str) -> bytes:
        """ROS 1 serialization to little-endian CDR; bytes after the message's end are dropped.

        Raises:
            BagError: the bag has no definition of the type, or the bytes do not fit it.
        """
        name = self._names.get(msgtype, msgtype)
        store = self._store
        if name not in store.fielddefs:
            store = _noetic()
            if name not in store.fielddefs:
                raise BagError(f'no definition of {msgtype}; it cannot be turned into a ROS 2 message')
        try:
            used, _ = store.get_msgdef(name).getsize_ros1_to_cdr(raw, 0, None, 0, store)
            if used > len(raw):
                raise BagError(f'{msgtype} needs {used} bytes, got {len(raw)}: the message is cut off')
            return bytes(store.ros1_to_cdr(raw[:used], name))
        except BagError:
            raise
        # Generated code: a cut-off message shows up as whatever its first wrong read raises.
        except Exception as error:
            raise BagError(f'{msgtype} of {len(raw)} bytes cannot be read: {_one_line(error)}') from error

    def wire_format(self, msgtype: str) -> Optional[str]:
        """The order and sizes of all fields, nested ones too; None if the bag has no definition of the type.

        Two types with the same wire format can read each other's bytes, whatever their fields are called.
        """
        name = self._names.get(msgtype, msgtype)
        try:
            return self._flat(name) if name in self._store.fielddefs else None
        except (KeyError, RecursionError):
            return None

    def _flat(self, name: str) -> str:
        fields = [self._describe(desc) for field, desc in self._store.fielddefs[name][1]
                  if field != 'structure_needs_at_least_one_member']
        return '{' + ' '.join(fields) + '}' if fields else '{u1}'

    def _describe(self, desc) -> str:
        kind, value = int(desc[0]), desc[1]
        if kind == 1:
            return _CDR_NAMES.get(value[0], value[0])
        if kind == 2:
            return self._flat(value)
        inner = self._describe(value[0])
        return f'{inner}[{value[1]}]' if kind == 3 else f'{inner}[]'


def wire_format_of_class(message_class: type) -> str:
    """The same for an installed ROS 2 message class (rosidl's ``get_fields_and_field_types``)."""
    import importlib

    def describe(text: str) -> str:
        if text.startswith('sequence<'):
            return describe(text[len('sequence<'):-1].split(',')[0]) + '[]'
        if text.endswith(']'):
            inner, _, count = text[:-1].rpartition('[')
            return f'{describe(inner)}[{count}]'
        if text.split('<')[0] in _CDR_NAMES:
            return _CDR_NAMES[text.split('<')[0]]
        package, _, name = text.partition('/')
        return wire_format_of_class(getattr(importlib.import_module(f'{package}.msg'), name))

    fields = [describe(text) for name, text in message_class.get_fields_and_field_types().items()
              if name != 'structure_needs_at_least_one_member']
    return '{' + ' '.join(fields) + '}' if fields else '{u1}'


@lru_cache(maxsize=None)
def _noetic():
    store = get_typestore(Stores.ROS1_NOETIC)
    for name, value in store.fielddefs.items():
        store.fielddefs[name] = _without_sequence_number(name, value)
    return store


def _without_sequence_number(name: str, definition: tuple) -> tuple:
    """ROS 2's Header has no ``seq``; rosbags' converter skips its bytes and expects it not to be in the definition."""
    constants, fields = definition[:2]
    if name == 'std_msgs/msg/Header':
        fields = [field for field in fields if field[0] != 'seq']
    return constants, fields


def _parse_idl(text: str) -> dict:
    """rosbag2 writes the IDL of a type and of those that it uses one after another, each under a line ``IDL: name``."""
    if not text.startswith(f'{_IDL_SEPARATOR}IDL: '):
        return get_types_from_idl(text)
    types: dict = {}
    for part in text.split(_IDL_SEPARATOR)[1:]:
        types.update(get_types_from_idl(part.split('\n', 1)[1]))
    return types


def _one_line(error: BaseException) -> str:
    text = ' '.join(str(error).split()) or type(error).__name__
    return text if len(text) < 200 else text[:197] + '...'


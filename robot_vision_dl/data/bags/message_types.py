"""Message definitions that a bag carries: ROS 1 bytes to CDR, and whether two definitions share their wire format."""
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Tuple

from ...core.errors import BagError
from ...core.text.printable import printable

if TYPE_CHECKING:
    from rosbags.interfaces.typing import Constdefs, Fielddefs, FieldDesc, Typesdict
    from rosbags.typesys.store import Typestore
    Definition = Tuple[Constdefs, Fielddefs]

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)

# The largest definitions in use have some thousand lines, and some hundred fields with all that they use.
_MOST_CHARACTERS, _MOST_LINES = 1 << 19, 6000
_MOST_FIELDS, _MOST_DEPTH = 50_000, 40

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


def _three_parts(name: str) -> str:
    """``sensor_msgs/Image`` as ``sensor_msgs/msg/Image``, as rosbags registers it; not renamed, as nothing is there."""
    package, _, rest = name.partition('/')
    return name if '/' in rest or not rest else f'{package}/msg/{rest}'


class Definitions:
    """The message definitions of one storage file, understood as far as possible, when the first is needed.

    A bag can come from anyone: definitions are bounded in length, and in how many fields they have with all that they
    use. Types that contain themselves, and lists of what takes no bytes (a count alone would make them endless), are
    not used.

    Attributes:
        problems: sentences about definitions that could not be parsed.
    """

    def __init__(self, definitions: Iterable[Tuple[str, str, str]]) -> None:
        """``definitions``: (type as the bag has it, ``ros1msg``, ``ros2msg`` or ``ros2idl``, text)."""
        self.problems: List[str] = []
        self._waiting = [item for item in definitions if item[1]]
        typesys = _typesys()
        self._empty_store = typesys.get_typestore(typesys.Stores.EMPTY)
        self._names: Dict[str, str] = {normal_type(name): _three_parts(name) for name, _, _ in self._waiting}
        self._sizes: Dict[str, Tuple[int, int]] = {}

    @property
    def _store(self) -> 'Typestore':
        waiting, self._waiting = self._waiting, []
        length = 0
        for name, form, text in waiting:
            length += len(text)
            if max(len(text), length // 8) > _MOST_CHARACTERS or text.count('\n') > _MOST_LINES:
                self._tell(name, f'it is longer than {_MOST_CHARACTERS} characters or {_MOST_LINES} lines')
                continue
            self._register(name, form, text)
        return self._empty_store

    def _register(self, name: str, form: str, text: str) -> None:
        try:
            types = _parse_idl(text) if 'idl' in form else _typesys().get_types_from_msg(text, name)
            known = self._empty_store.fielddefs
            self._empty_store.register({key: _without_sequence_number(key, value) for key, value in types.items()
                                        if key not in known})
        # A text that is no definition makes the parser raise whatever its first wrong step does, RecursionError too.
        except Exception as error:
            self._tell(name, _one_line(error))

    def _tell(self, name: str, why: str) -> None:
        text = f'definition of {printable(name)} in the bag cannot be read: {why}'
        if text not in self.problems:
            self.problems.append(text)

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
                raise BagError(f'no definition of {printable(msgtype)}; it cannot be turned into a ROS 2 message')
        try:
            self._fields_and_bytes(store.fielddefs, name)
            used, _ = store.get_msgdef(name).getsize_ros1_to_cdr(raw, 0, None, 0, store)
            if used > len(raw):
                raise BagError(f'{printable(msgtype)} needs {used} bytes, got {len(raw)}: the message is cut off')
            return bytes(store.ros1_to_cdr(raw[:used], name))
        except BagError:
            raise
        # Generated code: a cut-off message shows up as whatever its first wrong read raises.
        except Exception as error:
            raise BagError(f'{printable(msgtype)} of {len(raw)} bytes cannot be read: {_one_line(error)}') from error

    def _fields_and_bytes(self, fields: 'Typesdict', name: str, above: Tuple[str, ...] = ()) -> Tuple[int, int]:
        """(fields with those of all nested types, fewest bytes of a message).

        Raises:
            BagError: the type contains itself, has too many fields, or a list of what takes no bytes.
        """
        if name in self._sizes:
            return self._sizes[name]
        if name in above or len(above) > _MOST_DEPTH:
            raise BagError(f'type {printable(name)} contains itself, or more than {_MOST_DEPTH} types in each other')
        count = least = 0
        for _, desc in fields[name][1]:
            kind = int(desc[0])
            value: Any = desc[1]  # what it is depends on the kind
            number: int = 1 if kind <= 2 else value[1] if kind == 3 else 0
            inner: Any = desc if kind <= 2 else value[0]
            if int(inner[0]) == 2:
                inner_count, inner_least = self._fields_and_bytes(fields, inner[1], (*above, name))
                if kind > 2 and not inner_least:
                    raise BagError(f'type {printable(name)} has a list of {printable(inner[1])}, which takes no bytes')
            else:
                inner_count, inner_least = 1, 4 if inner[1][0] in ('string', 'wstring') else 1
            count += inner_count
            least += 4 if kind == 4 else inner_least * max(0, number)
            if count > _MOST_FIELDS:
                raise BagError(f'type {printable(name)} has more than {_MOST_FIELDS} fields with all that it uses')
        self._sizes[name] = count, least
        return count, least

    def wire_format(self, msgtype: str) -> Optional[str]:
        """The order and sizes of all fields, nested ones too; None if the bag has no definition of the type.

        Two types with the same wire format can read each other's bytes, whatever their fields are called.
        """
        name = self._names.get(msgtype, msgtype)
        try:
            if name not in self._store.fielddefs:
                return None
            self._fields_and_bytes(self._store.fielddefs, name)
            return self._flat(name)
        except (KeyError, BagError):
            return None

    def _flat(self, name: str) -> str:
        fields = [self._describe(desc) for field, desc in self._store.fielddefs[name][1]
                  if field != 'structure_needs_at_least_one_member']
        return '{' + ' '.join(fields) + '}' if fields else '{u1}'

    def _describe(self, desc: 'FieldDesc') -> str:
        kind = int(desc[0])
        value: Any = desc[1]  # what it is depends on the kind
        if kind == 1:
            return _CDR_NAMES.get(value[0], value[0])
        if kind == 2:
            return self._flat(value)
        inner = self._describe(value[0])
        return f'{inner}[{value[1]}]' if kind == 3 else f'{inner}[]'


def wire_format_of_class(message_class: Any) -> str:
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
def _noetic() -> 'Typestore':
    store = _typesys().get_typestore(_typesys().Stores.ROS1_NOETIC)
    for name, value in store.fielddefs.items():
        store.fielddefs[name] = _without_sequence_number(name, value)
    return store


def _without_sequence_number(name: str, definition: 'Definition') -> 'Definition':
    """ROS 2's Header has no ``seq``; rosbags' converter skips its bytes and expects it not to be in the definition."""
    constants, fields = definition[:2]
    if name == 'std_msgs/msg/Header':
        fields = [field for field in fields if field[0] != 'seq']
    return constants, fields


def _parse_idl(text: str) -> 'Typesdict':
    """rosbag2 writes the IDL of a type and of those that it uses one after another, each under a line ``IDL: name``."""
    if not text.startswith(f'{_IDL_SEPARATOR}IDL: '):
        return _typesys().get_types_from_idl(text)
    types: 'Typesdict' = {}
    for part in text.split(_IDL_SEPARATOR)[1:]:
        types.update(_typesys().get_types_from_idl(part.split('\n', 1)[1]))
    return types


def _typesys() -> ModuleType:
    """The types of rosbags; imported late, so that a command which reads no bag does without rosbags."""
    import rosbags.typesys
    return rosbags.typesys


def _one_line(error: BaseException) -> str:
    return printable(str(error)[:1000] or type(error).__name__)

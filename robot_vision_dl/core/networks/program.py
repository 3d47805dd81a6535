"""A program of torch.export as a module: the list of its operators, carried out one after another."""
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

import torch
from torch import nn

from ..errors import BundleError, first_line
from ..text.printable import printable
from .program_archive import DTYPES, Archive
from .program_operators import OVERLOAD, find_operator, is_factory, is_in_place

MOST_NODES = 20_000
MOST_ELEMENTS, MOST_ELEMENTS_IN_ALL = 1 << 27, 1 << 31
"""Of one tensor, and of all that a pass makes, for one picture."""
_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}
_PLAIN = {'as_int': int, 'as_float': float, 'as_bool': bool, 'as_string': str}
Values = Dict[str, Any]


@dataclass(frozen=True)
class Node:
    """One operator.

    Attributes:
        target: its name in the file.
        operator: what it is in torch.
        positional, keywords: readers of its arguments, which are given the values so far.
        outputs: names of what it gives; None for what is left out.
        several: it gives a sequence or a tuple.
        module: dotted path of the module that it was written in, e.g. ``layer4.1``; for people who name tensors.
        last: names that no later operator reads.
    """

    target: str
    operator: Callable[..., Any]
    positional: Tuple[Callable[[Values], Any], ...]
    keywords: Tuple[Tuple[str, Callable[[Values], Any]], ...]
    outputs: Tuple[Optional[str], ...]
    several: bool
    module: str
    last: Tuple[str, ...] = ()


class Program(nn.Module):
    """Carries out a program for one input tensor.

    Tensors are named as in the file. The weights are parameters and buffers of this module, so that it can be moved and
    converted; no gradient goes through it.

    Attributes:
        nodes: in the order of the file.
        pixels: name of the input.
        input_sizes: of its axes; None where any size will do.
        outputs: name of each output tensor.
        keys: as the program calls its outputs, where it gives a dictionary; else empty.
        wanted: names of the tensors that :meth:`forward` gives.

    Args:
        archive: the file.
        where: begins each error.

    Raises:
        BundleError: the file is no program, is not for one tensor, or uses what is not allowed.
    """

    def __init__(self, archive: Archive, where: str) -> None:
        super().__init__()
        self._where = where
        try:
            graph, signature = archive.graph['graph'], archive.graph['signature']
            self._read_inputs(signature['input_specs'], archive)
            self.outputs = tuple(_only_tensor(spec) for spec in signature['output_specs'])
            if len(graph['nodes']) > MOST_NODES:
                raise BundleError(f'has {len(graph["nodes"])} operators, more than {MOST_NODES}')
            nodes = [self._node(node) for node in graph['nodes']]
            self.nodes = tuple(self._with_last(nodes, [_names(node['inputs']) for node in graph['nodes']]))
        except BundleError as error:
            raise BundleError(str(error) if str(error).startswith(where) else f'{where}: {error}') from error
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise BundleError(f'{where}: is not a program of torch.export that can be read '
                              f'({type(error).__name__}: {printable(error, 100)})') from error
        self.input_sizes = _input_sizes(archive.graph, self.pixels, where)
        self.keys = _keys(archive.graph, len(self.outputs))
        self.wanted: Sequence[str] = self.outputs

    def forward(self, pixels: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        """The wanted tensors, as they are when they are made, of whatever the program takes."""
        return self._run(pixels, None)

    def try_sizes(self, shape: Sequence[int]) -> Tuple[Tuple[int, ...], ...]:
        """Shapes of the wanted tensors for an input of a shape, found without computing anything.

        Raises:
            BundleError: the program does not take it, or makes a tensor that is too large.
        """
        if len(shape) != len(self.input_sizes) or any(
                size not in (None, given) for size, given in zip(self.input_sizes, shape)):
            raise BundleError(f'{self._where}: takes an input of the shape {list(self.input_sizes)}, got {list(shape)}')
        like = {name: tensor.to('meta') for name, tensor in self._values().items()}
        made = 0

        def check(name: str, size: int) -> None:
            nonlocal made
            made += size
            if size > MOST_ELEMENTS or made > MOST_ELEMENTS_IN_ALL:
                raise BundleError(f'{self._where}: {printable(name, 60)} has {size} numbers for one picture, more than '
                                  'a network may have')
        outputs = self._run(torch.empty(*shape, device='meta'), check, like)
        return tuple(tuple(output.shape) for output in outputs)

    def _values(self) -> Dict[str, torch.Tensor]:
        return {name: getattr(self, attribute) for name, attribute in self._inputs.items()}

    def _run(self, pixels: torch.Tensor, check: Optional[Callable[[str, int], None]],
             inputs: Optional[Mapping[str, torch.Tensor]] = None) -> Tuple[torch.Tensor, ...]:
        values: Values = {**(inputs or self._values()), self.pixels: pixels}
        found: Dict[str, torch.Tensor] = {}
        for node in self.nodes:
            try:
                result = node.operator(*(read(values) for read in node.positional),
                                       **{name: read(values) for name, read in node.keywords})
            except BundleError:
                raise
            except Exception as error:  # noqa: B902 - whatever torch makes of arguments that do not fit
                raise BundleError(f'{self._where}: {printable(node.target, 80)} fails: '
                                  f'{printable(first_line(error), 200)}') from error
            results = result if node.several else (result,)
            if len(results) != len(node.outputs):
                raise BundleError(f'{self._where}: {printable(node.target, 80)} gives {len(results)} tensors, not '
                                  f'{len(node.outputs)}')
            for name, value in zip(node.outputs, results):
                if name is None:
                    continue
                if check is not None and isinstance(value, torch.Tensor):
                    check(name, value.numel())
                values[name] = value
                if name in self.wanted:
                    # What comes later may write into it.
                    found[name] = value.clone() if check is None and name not in self.outputs else value
            for name in node.last:
                values.pop(name, None)
        try:
            return tuple(values[name] if name in self.outputs else found[name] for name in self.wanted)
        except KeyError as error:
            raise BundleError(f'{self._where}: makes no tensor {error}') from error

    def _with_last(self, nodes: Sequence[Node], read: Sequence[Set[str]]) -> Iterator[Node]:
        """The same nodes, each with what memory can be given back after it."""
        last = {name: place for place, names in enumerate(read) for name in names}
        for place, node in enumerate(nodes):
            ends = {name for name in read[place] if last[name] == place}
            ends |= {name for name in node.outputs if name is not None and name not in last}
            yield replace(node, last=tuple(ends - {self.pixels, *self.outputs}))

    def _read_inputs(self, specs: Any, archive: Archive) -> None:
        tensors = {'weights': archive.tensors('weights'), 'constants': archive.tensors('constants')}
        self._inputs: Dict[str, str] = {}
        pixels: List[str] = []
        for spec in specs:
            (kind, what), = spec.items()
            if kind == 'user_input':
                pixels.append(what['arg']['as_tensor']['name'])
                continue
            if kind not in ('parameter', 'buffer', 'tensor_constant'):
                raise BundleError(f'takes an input of the kind {printable(kind, 40)}, which is not supported')
            key = what[f'{kind}_name']
            home = tensors['weights'] if key in tensors['weights'] else tensors['constants']
            attribute = f'tensor_{len(self._inputs)}'
            self.register_buffer(attribute, home[key])
            self._inputs[what['arg']['name']] = attribute
        if len(pixels) != 1:
            raise BundleError(f'takes {len(pixels)} inputs; a network takes one tensor, the pictures')
        self.pixels = pixels[0]

    def _node(self, node: Mapping[str, Any]) -> Node:
        operator = find_operator(node['target'])
        if operator is None:
            return Node(node['target'], _nothing, (), (), (), True, '')
        positional, keywords = [], []
        is_aten = isinstance(operator, OVERLOAD)
        in_place = is_in_place(node['target'])
        for place, given in enumerate(node['inputs']):
            (kind, value), = given['arg'].items()
            if in_place and not place and value['name'] in (*self._inputs, self.pixels):
                raise BundleError(f'{printable(node["target"], 80)} would overwrite the weights or the '
                                  'pictures; export the network in evaluation mode (model.eval())')
            read = _reader(kind, value, self)
            if is_aten and given.get('kind') != 1:
                keywords.append((str(given['name']), read))
            else:
                positional.append(read)
        if is_factory(node['target']):  # also where sizes are tried, which takes no memory
            keywords = [one for one in keywords if one[0] != 'device'] + [
                ('device', lambda values: values[self.pixels].device)]
        outputs: List[Optional[str]] = []
        several = len(node['outputs']) != 1
        for given in node['outputs']:
            (kind, value), = given.items()
            if kind == 'as_tensors':
                several = True
                outputs += [one['name'] for one in value]
            elif kind == 'as_none':
                outputs.append(None)
            else:
                outputs.append(value['name'] if kind == 'as_tensor' else value['as_name'])
        return Node(node['target'], operator, tuple(positional), tuple(keywords), tuple(outputs), several,
                    _module_of(node))


def _names(given: Any) -> Set[str]:
    """All names in the arguments of a node."""
    if isinstance(given, list):
        return set().union(*map(_names, given))
    if not isinstance(given, dict):
        return set()
    own = {value for key, value in given.items() if key in ('name', 'as_name') and isinstance(value, str)}
    return own.union(*(_names(value) for value in given.values()))


def _input_sizes(graph: Mapping[str, Any], pixels: str, where: str) -> Tuple[Optional[int], ...]:
    try:
        given = [size.get('as_int') for size in graph['graph']['tensor_values'][pixels]['sizes']]
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f'{where}: does not say of what shape its input is') from error
    return tuple(size if type(size) is int and 0 < size < 1 << 20 else None for size in given)


def _nothing() -> Tuple[()]:
    return ()


def _reader(kind: str, value: Any, program: Program) -> Callable[[Values], Any]:
    """What an argument is, once the values before it are known."""
    if kind == 'as_none':
        return lambda values: None
    if kind in _PLAIN:
        if type(value) is not _PLAIN[kind]:
            raise BundleError(f'the argument {printable(repr(value), 40)} is not {kind}')
        return lambda values: value
    if kind in ('as_ints', 'as_floats', 'as_bools'):
        if not isinstance(value, list) or not all(type(one) in (int, float, bool) for one in value):
            raise BundleError(f'the argument {printable(repr(value), 40)} is not {kind}')
        return lambda values: list(value)
    if kind in ('as_tensor', 'as_sym_int', 'as_sym_bool', 'as_sym_float', 'as_optional_tensor'):
        return _named_reader(value)
    if kind in ('as_tensors', 'as_sym_ints', 'as_sym_floats', 'as_optional_tensors'):
        readers = [_named_reader(one) for one in value]
        return lambda values: [read(values) for read in readers]
    if kind == 'as_scalar_type':
        dtype = DTYPES[value]
        return lambda values: dtype
    if kind == 'as_memory_format':
        memory_format = _FORMATS[value]
        return lambda values: memory_format
    if kind == 'as_layout':
        return lambda values: torch.strided
    if kind == 'as_device':  # wherever it was exported: here it runs where the pictures are
        return lambda values: values[program.pixels].device
    raise BundleError(f'an argument of the kind {printable(kind, 40)} is not supported')


def _named_reader(value: Mapping[str, Any]) -> Callable[[Values], Any]:
    """A tensor or number by its name, or a plain number."""
    if 'as_none' in value:
        return lambda values: None
    for kind in ('as_int', 'as_float', 'as_bool'):
        if kind in value:
            plain = value[kind]
            if type(plain) not in (int, float, bool):
                raise BundleError(f'the number {printable(repr(plain), 40)} is none')
            return lambda values: plain
    inner = value.get('as_tensor', value)
    name = inner.get('name', inner.get('as_name'))
    if not isinstance(name, str):
        raise BundleError('an argument has no name')

    def read(values: Values) -> Any:
        if name not in values:
            raise BundleError(f'{printable(name, 60)} is used before it is made')
        return values[name]
    return read


def _only_tensor(spec: Mapping[str, Any]) -> str:
    (kind, what), = spec.items()
    if kind != 'user_output':
        raise BundleError(f'gives an output of the kind {printable(kind, 40)}: it changes its own buffers; export it '
                          'in evaluation mode')
    name = what['arg']['as_tensor']['name']
    if not isinstance(name, str):
        raise BundleError('gives an output without a name')
    return name


def _module_of(node: Mapping[str, Any]) -> str:
    """Path of the innermost module, from ``key,path,class;key,path,class``."""
    try:
        return str(node['metadata']['nn_module_stack'].split(';')[-1].split(',')[1])
    except (KeyError, IndexError, AttributeError, TypeError):
        return ''


def _keys(graph: Mapping[str, Any], count: int) -> Tuple[str, ...]:
    """Keys of the dictionary that a program gives, from the text of its output's structure; empty: it gives none."""
    from ..text.json_text import parse_json
    try:
        (_, spec) = parse_json(graph['module_call_graph'][0]['signature']['out_spec'], 'out_spec')
        keys = parse_json(spec['context'], 'context') if spec['type'].endswith('dict') else []
        return tuple(keys) if len(keys) == count and all(isinstance(key, str) for key in keys) else ()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return ()

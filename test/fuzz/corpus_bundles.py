"""A sound model bundle with everything that one may have, and what can be wrong with it while its checksums are right.

>>> folder = good_bundle(Path('sound'))
>>> for name, damage in mutations(seed=1):   # without end
...     shutil.copytree(folder, 'case'); damage(Path('case'))
...     verdict(Path('case'))                # 'accepted', or 'refused: ...'; anything that raises is a failure
...     remove(Path('case'))
"""
import copy
import hashlib
import json
import os
import random
import shutil
import socket
import stat
import struct
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.errors import BundleError, RobotVisionError
from robot_vision_dl.core.networks.architectures import list_architectures
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import ColorOrder, Frame, Header, Picture
from robot_vision_dl.core.uncertainty.calibrate import Calibration, FusionTimes
from robot_vision_dl.core.uncertainty.conformal import Conformal
from robot_vision_dl.core.uncertainty.laplace_fit import fit_factors
from robot_vision_dl.core.uncertainty.ood.knn import KNearestNeighbours
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration
from robot_vision_dl.core.uncertainty.vector import VectorScaling

DESCRIPTION, MODEL, UNCERTAINTY, CARD = 'bundle.json', 'model.safetensors', 'uncertainty.safetensors', 'MODEL_CARD.md'
CARD_FILE = 'card/settings.yaml'
CLASSES = ('cup', 'mug', 'bowl')
WRONG_VALUES: Tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2 ** 31, 2 ** 63, 10 ** 400, 1e308, -1e308, 5e-324, '', 'x', 'a\0b', '\x1b[2J',
    '\ud800', 'unknown', 'A' * 100_000, [], [1], [None], [[]], ['x', 'x'], [1e308] * 3, {}, {'x': 1}, {'method': []})
Damage = Callable[[Path], None]


def good_bundle(folder: Path, seed: int = 0) -> Path:
    """A LeNet-5 for grey pictures of 32 x 32 pixels with vector scaling, Laplace, kNN, fusion times and a card."""
    list_architectures()  # imports torchvision, which takes seconds once, and is no fault of a bundle
    torch.manual_seed(seed)
    network = build_network('lenet5', len(CLASSES), in_channels=1)
    pixels = torch.randn(60, 1, 32, 32)
    with torch.inference_mode():
        logits, features = (part.clone() for part in network(pixels)[:2])
    laplace = fit_factors(logits.numpy(), features.numpy())
    score = KNearestNeighbours.fit(logits[:40], features[:40], k=3)
    vector = VectorScaling(np.array([0.9, 1.0, 1.2], np.float32), np.array([0.0, 0.1, -0.1], np.float32))
    ood = OodCalibration.of(score, 'knn', score(logits[40:], features[40:]))
    calibration = Calibration(1.2, Conformal('raps', 0.1, (0.8,), 0.01, 2), ood, {'pictures': 60}, vector, laplace,
                              fusion=FusionTimes(2.0, 3.0, 8.0, 2.0))
    save_bundle(folder, network, CLASSES, Preprocessing(0, (32, 32), (0.5,), (0.5,)), calibration=calibration,
                metrics={'calibration': {'pictures': 60, 'nll': 1.0}}, provenance={'source': 'corpus'},
                card='# corpus\n', card_files={'settings.yaml': b'run: {}\n'})
    return folder


def resign(folder: Path) -> None:
    """Make the checksums in ``bundle.json`` those of the files that lie there, as far as it can be read."""
    path = folder / DESCRIPTION
    try:
        values = json.loads(path.read_bytes()) if os.path.isfile(path) and os.path.getsize(path) < 1 << 24 else None
        files = values['files']
        for name in files:
            if os.path.isfile(folder / name) and os.path.getsize(folder / name) < 1 << 28:
                files[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return
    path.write_text(json.dumps(values))


def mutations(seed: int) -> Iterator[Tuple[str, Damage]]:
    """Damages by name, without end, in an order of the seed's own; each is done to a copy and signs it again."""
    rng = random.Random(seed)
    while True:
        for maker, signs in _MAKERS:
            cases = list(maker(rng))
            rng.shuffle(cases)
            for name, damage in cases[:40]:
                yield name, _signed(damage) if signs else damage


def every_mutation(seed: int) -> List[Tuple[str, Damage]]:
    """Each once; what has a random part has one of the seed."""
    rng = random.Random(seed)
    return [(name, _signed(damage) if signs else damage) for maker, signs in _MAKERS for name, damage in maker(rng)]


def verdict(folder: Path) -> str:
    """``refused: <reason>``, or ``accepted`` if its decisions are made of numbers.

    Raises:
        AssertionError: it was accepted and gives what is no number.
        Exception: anything but BundleError was raised.
    """
    try:
        bundle = load_bundle(folder)
        bundle.load_network()
        pipeline = Pipeline.load(ClassifierConfig(model=str(folder), device='cpu', threads=1))
    except BundleError as error:
        assert len(str(error)) < 2000, f'an error of {len(str(error))} characters'
        assert str(error).isprintable(), repr(str(error))
        return f'refused: {error}'
    rng = np.random.default_rng(0)
    for index, level in enumerate((0, 128, 255, None, None)):
        pixels = rng.integers(0, 256, (40, 50), np.uint8) if level is None else np.full((40, 50), level, np.uint8)
        stamp = (index + 1) * 10 ** 8
        frame = Frame('camera', Header(stamp, 'f'), Picture(pixels, ColorOrder.MONO), 'mono8', stamp)
        try:
            (result,) = pipeline.process([frame])
        except RobotVisionError as error:  # said for each frame, where the weights overflow
            assert 'logits that are not numbers' in str(error), error
            continue
        p = result.assessment.probabilities
        assert np.isfinite(p).all() and abs(float(p.sum()) - 1) < 1e-3, p
        assert np.isfinite(result.posterior).all(), result.posterior
        assert 0 <= result.decision.confidence <= 1, result.decision
        ood = result.assessment.ood
        assert ood is None or (ood.score == ood.score and (ood.p_value is None or 0 < ood.p_value <= 1)), ood
    return 'accepted'


def remove(folder: Path) -> None:
    """Whatever lies there, also where modes forbid it."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()
    elif folder.exists():
        folder.chmod(0o755)
        shutil.rmtree(folder)


def _signed(damage: Damage) -> Damage:
    def signed(folder: Path) -> None:
        damage(folder)
        if folder.is_dir() and not folder.is_symlink():
            resign(folder)
    return signed


# Values of bundle.json.

def _paths(values: Any, path: Tuple = ()) -> Iterator[Tuple]:
    yield path
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _paths(value, (*path, key))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _paths(value, (*path, index))


def _example() -> Dict[str, Any]:
    """Where in bundle.json there is something; kept equal to what :func:`good_bundle` writes by a test."""
    return {
        'schema_version': 2, 'name': 'x', 'architecture': {
            'name': 'lenet5', 'num_classes': 3, 'in_channels': 1, 'head': 'native', 'dropout': None,
            'input_size': None, 'stages': []},
        'class_names': list(CLASSES), 'preprocessing': {'resize': 0, 'crop': [32, 32], 'mean': [0.5], 'std': [0.5],
                                                       'interpolation': 'bilinear'},
        'calibration': {
            'temperature': 1.2, 'precision': 'float32', 'conformal': {
                'method': 'raps', 'alpha': 0.1, 'thresholds': [0.8], 'penalty': 0.01, 'free': 2},
            'device': 'cpu', 'vector': True, 'laplace': {'tau': 1.0, 'temperature': 1.0, 'gives_probabilities': False},
            'fusion': {'correlation_time_s': 2.0, 'change_time_s': 3.0, 'change_offset': 8.0, 'change_slope': 2.0}},
        'ood': {'method': 'knn'}, 'abstain_cost': 0.5, 'metrics': {}, 'provenance': {},
        'files': {MODEL: '', CARD: '', UNCERTAINTY: '', CARD_FILE: ''}}


def _values(rng: random.Random) -> Iterator[Tuple[str, Damage]]:
    for path in _paths(_example()):
        where = '.'.join(map(str, path)) or 'all'
        for index, wrong in enumerate(WRONG_VALUES):
            yield f'value {where} = {index}', _edited(path, lambda _old, wrong=wrong: copy.deepcopy(wrong))
        if path:
            yield f'value {where} left out', _edited(path, None)
        yield f'value {where} renamed', _edited((*path, 'x' * rng.randrange(1, 300)), lambda _old: 1)


def _edited(path: Tuple, change: Any) -> Damage:
    def damage(folder: Path) -> None:
        values = json.loads((folder / DESCRIPTION).read_bytes())
        if not path:
            values = change(values)
        else:
            place = values
            for key in path[:-1]:
                place = place[key]
            if change is None:
                del place[path[-1]]
            elif isinstance(place, dict):
                place[path[-1]] = change(place.get(path[-1]))
            elif isinstance(place, list) and isinstance(path[-1], int):
                place[path[-1]] = change(place[path[-1]])
        (folder / DESCRIPTION).write_text(json.dumps(values))
    return damage


# bundle.json as text.

def _texts(rng: random.Random) -> Iterator[Tuple[str, Damage]]:
    def text(name: str, change: Callable[[bytes], bytes]) -> Tuple[str, Damage]:
        def damage(folder: Path) -> None:
            path = folder / DESCRIPTION
            path.write_bytes(change(path.read_bytes()))
        return f'text {name}', damage

    def within(key: str, value: str) -> Callable[[bytes], bytes]:
        return lambda data: data.replace(b'"metrics": {', f'"metrics": {{"{key}": {value}, '.encode(), 1)
    for depth in (40, 900, 10_000, 1_000_000):
        yield text(f'{depth} deep lists', within('x', '[' * depth + ']' * depth))
        yield text(f'{depth} deep objects', within('x', '{"a":' * depth + '1' + '}' * depth))
    yield text('a key twice', lambda data: data.replace(b'{', b'{"name": "a", ', 1))
    yield text('many keys twice', within('x', '{' + '"a":1,' * 300_000 + '"a":1}'))
    yield text('many values', within('x', '[' + '1,' * 2_000_000 + '1]'))
    for number in ('9' * 4000, '9' * 100_000, '1e999', '-1e999', 'NaN', 'Infinity', '-Infinity', '0x10', '01', '1_0'):
        yield text(f'number {number[:9]}', within('x', number))
        yield text(f'temperature {number[:9]}', lambda data, number=number: data.replace(
            b'"temperature": 1.2', b'"temperature": ' + number.encode(), 1))
    yield text('a lone surrogate', within('x', '"\\ud800"'))
    for codec in ('utf-16', 'utf-32', 'utf-8-sig'):
        yield text(codec, lambda data, codec=codec: data.decode().encode(codec))
    yield text('not UTF-8', lambda data: data.replace(b'corpus', b'corp\xff'))
    yield text('empty', lambda data: b'')
    yield text('nothing but zeros', lambda data: bytes(len(data)))
    yield text('20 MB of space', lambda data: data + b' ' * 20_000_000)
    for _ in range(40):
        place, value = rng.random(), rng.randrange(256)
        yield text(f'cut at {place:.3f}', lambda data, place=place: data[:int(len(data) * place)])
        yield text(f'byte {value} at {place:.3f}', lambda data, place=place, value=value: (
            data[:int(len(data) * place)] + bytes([value]) + data[int(len(data) * place) + 1:]))


# Tensors, in containers that are sound.

_TENSORS = {
    MODEL: ('backbone.0.weight', 'head.weight', 'head.bias'),
    UNCERTAINTY: ('ood.bank', 'ood.k', 'ood.calibration_scores', 'vector.weight', 'vector.bias',
                  'laplace.eigenvectors_a', 'laplace.eigenvalues_a', 'laplace.eigenvectors_b',
                  'laplace.eigenvalues_b')}


def _tensors(rng: random.Random) -> Iterator[Tuple[str, Damage]]:
    def one_number(value: float, place: float) -> Callable[[torch.Tensor], torch.Tensor]:
        def change(tensor: torch.Tensor) -> torch.Tensor:
            tensor = tensor.clone()
            flat = tensor.view(-1)
            flat[int(place * len(flat))] = value if tensor.is_floating_point() else (
                0 if value != value else int(max(-2.0 ** 62, min(value, 2.0 ** 62))))
            return tensor
        return change
    changes: List[Tuple[str, Callable[[torch.Tensor], torch.Tensor]]] = [
        (f'one {value:g}', one_number(value, rng.random()))
        for value in (float('nan'), float('inf'), float('-inf'), 3e38, -3e38, -1.0, 0.0, 1e20)]
    changes += [(f'all {value:g}', lambda tensor, value=value: one_number(value, 0)(tensor).flatten()[0].expand(
        tensor.shape).clone()) for value in (float('nan'), 3e38, -1.0, 0.0)]
    changes += [(str(dtype), lambda tensor, dtype=dtype: tensor.to(dtype)) for dtype in (
        torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int32, torch.int64, torch.bool, torch.uint8,
        torch.float8_e4m3fn, torch.complex64)]
    changes += [('a scalar', lambda tensor: tensor.flatten()[0].clone()),
                ('one more dimension', lambda tensor: tensor[None].clone()),
                ('flat', lambda tensor: tensor.flatten().clone()),
                ('empty', lambda tensor: tensor.flatten()[:0].clone()),
                ('no rows', lambda tensor: tensor[None][:0].clone()),
                ('one number longer', lambda tensor: torch.cat([tensor.flatten(), tensor.flatten()[:1]])),
                ('half of it', lambda tensor: tensor[:(len(tensor) + 1) // 2].clone() if tensor.ndim else tensor),
                ('the other way round', lambda tensor: tensor.flatten().flip(0).reshape(tensor.shape).clone()),
                ('turned', lambda tensor: tensor.T.contiguous() if tensor.ndim == 2 else tensor)]
    for file, names in _TENSORS.items():
        for name in names:
            for what, change in changes:
                yield f'tensor {name}: {what}', _rewritten(file, name, change)
            yield f'tensor {name} left out', _rewritten(file, name, None)
        yield f'tensors of {file}: none', _retensored(file, lambda tensors: {})
        yield f'tensors of {file}: one too many', _retensored(
            file, lambda tensors: {**tensors, 'extra\x1b[2J': torch.zeros(3)})
        yield f'tensors of {file}: 20 000 too many', _retensored(
            file, lambda tensors: {**tensors, **{f'ood.{i}': torch.zeros(1) for i in range(20_000)}})


def _rewritten(file: str, name: str, change: Any) -> Damage:
    def edit(tensors: Dict[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
        found = name if name in tensors else sorted(tensors)[0]
        tensor = tensors.pop(found)
        return tensors if change is None else {**tensors, found: change(tensor)}
    return _retensored(file, edit)


def _retensored(file: str, edit: Callable[[Dict[str, torch.Tensor]], Dict[str, torch.Tensor]]) -> Damage:
    def damage(folder: Path) -> None:
        tensors = edit(load_file(str(folder / file)))
        save_file({key: value.contiguous() for key, value in tensors.items()}, str(folder / file))
    return damage


# Containers that lie.

def _containers(rng: random.Random) -> Iterator[Tuple[str, Damage]]:
    def of_header(change: Callable[[Dict[str, Any], int], Any]) -> Callable[[bytes], bytes]:
        def rewrite(data: bytes) -> bytes:
            length = struct.unpack('<Q', data[:8])[0]
            header, body = json.loads(data[8:8 + length]), data[8 + length:]
            changed = change(header, len(body))
            if not isinstance(changed, bytes):
                changed = json.dumps(header if changed is None else changed).encode()
            return struct.pack('<Q', len(changed)) + changed + body
        return rewrite

    def first(header: Dict[str, Any]) -> Dict[str, Any]:
        return header[sorted(key for key in header if key != '__metadata__')[0]]

    def setting(key: str, value: Any) -> Callable[[Dict[str, Any], int], Any]:
        return lambda header, _size: first(header).update({key: value})
    cases: List[Tuple[str, Callable[[bytes], bytes]]] = [
        (f'header of {length} bytes', lambda data, length=length: struct.pack('<Q', length) + data[8:])
        for length in (0, 1, 7, 1 << 20, 100_000_000, 1 << 31, 1 << 40, (1 << 64) - 1)]
    for dtype in ('F32', 'F64', 'I64', 'BF16', 'F4', 'F8_E8M0', 'C64', 'U16', 'X', '', 3, None):
        cases.append((f'dtype {dtype}', of_header(setting('dtype', dtype))))
    for shape in ([], [0], [-1], [1 << 62, 0], [1 << 62, 4], [1] * 1000, [1.5], 'x', None, [2 ** 64]):
        cases.append((f'shape {str(shape)[:20]}', of_header(setting('shape', shape))))
    for offsets in ([0, 0], [4, 0], [0, 1 << 62], [-4, 4], [0], 'x', None, [0, 4, 8], [0.5, 1]):
        cases.append((f'offsets {offsets}', of_header(setting('data_offsets', offsets))))
    cases += [
        ('everything overlaps', of_header(lambda header, _size: [
            entry.update(data_offsets=[0, entry['data_offsets'][1] - entry['data_offsets'][0]])
            for key, entry in header.items() if key != '__metadata__'] and None)),
        ('deep header', of_header(lambda *_: b'{"a":' * 100_000 + b'1' + b'}' * 100_000)),
        ('header of lists', of_header(lambda *_: b'[' * 3000 + b']' * 3000)),
        ('metadata of numbers', of_header(lambda header, _size: header.update(__metadata__={'a': 1}))),
        ('a name twice', of_header(lambda header, _size: json.dumps(header).encode()[:-1] + b', '
                                   + json.dumps(header).encode()[1:])),
        ('8 MB of names', of_header(lambda header, _size: header.update(
            {f'x{i}': {'dtype': 'F32', 'shape': [0], 'data_offsets': [0, 0]} for i in range(120_000)}))),
        ('a Git LFS pointer', lambda _data: b'version https://git-lfs.github.com/spec/v1\noid sha256:'
                                            + b'0' * 64 + b'\nsize 123\n'),
        ('a pickle', lambda _data: b'\x80\x04\x95' + bytes(50)),
        ('empty', lambda _data: b''),
        ('more at the end', lambda data: data + bytes(64))]
    for _ in range(40):
        place, value = rng.random(), rng.randrange(256)
        cases.append((f'cut at {place:.3f}', lambda data, place=place: data[:int(len(data) * place)]))
        near = rng.random() < 0.7  # in the header

        def flipped(data: bytes, place: float = place, value: int = value, near: bool = near) -> bytes:
            end = min(len(data), 1200) if near else len(data)
            at = int(end * place)
            return data[:at] + bytes([value]) + data[at + 1:]
        cases.append((f'byte {value} at {place:.3f}{" of the header" if near else ""}', flipped))
    for file in (MODEL, UNCERTAINTY):
        for name, change in cases:
            def damage(folder: Path, file: str = file, change: Callable[[bytes], bytes] = change) -> None:
                (folder / file).write_bytes(change((folder / file).read_bytes()))
            yield f'container {file}: {name}', damage


# What lies in a file's place.

def _places(rng: random.Random) -> Iterator[Tuple[str, Damage]]:
    def sparse(path: Path, size: int) -> None:
        with open(path, 'wb') as file:
            file.truncate(size)

    def bound_socket(path: Path) -> None:
        here = os.getcwd()
        try:
            os.chdir(path.parent)  # the name of a socket is short
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(path.name)
        finally:
            os.chdir(here)
    kinds: List[Tuple[str, Callable[[Path], None]]] = [
        ('nothing', lambda path: None),
        ('a folder', lambda path: path.mkdir()),
        ('a pipe', lambda path: os.mkfifo(path)),
        ('a socket', bound_socket),
        ('a link to /dev/zero', lambda path: path.symlink_to('/dev/zero')),
        ('a link to /dev/stdin', lambda path: path.symlink_to('/dev/stdin')),
        ('a link to nothing', lambda path: path.symlink_to('nowhere')),
        ('a link to itself', lambda path: path.symlink_to(path.name)),
        ('a link to /proc/self/mem', lambda path: path.symlink_to('/proc/self/mem')),
        ('a link to /etc/passwd', lambda path: path.symlink_to('/etc/passwd')),
        ('8 TB', lambda path: sparse(path, 1 << 43)),
        ('zeros', lambda path: path.write_bytes(bytes(rng.randrange(1, 5000)))),
        ('no mode', lambda path: (path.write_bytes(b'x'), path.chmod(stat.S_IWUSR)))]
    for file in (DESCRIPTION, MODEL, UNCERTAINTY, CARD, CARD_FILE):
        for name, make in kinds:
            def damage(folder: Path, file: str = file, make: Callable[[Path], None] = make) -> None:
                (folder / file).unlink()
                make(folder / file)
            yield f'place {file}: {name}', damage
    for name, make in kinds:
        def all_of_it(folder: Path, make: Callable[[Path], None] = make) -> None:
            shutil.rmtree(folder)
            make(folder)
        yield f'place of the bundle: {name}', all_of_it


# What makes damages, and whether the checksums are to be made right after them: not where bundle.json itself is it.
_MAKERS = ((_values, False), (_texts, False), (_tensors, True), (_containers, True), (_places, True))

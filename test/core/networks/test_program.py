"""A program of torch.export is carried out as torch carries it out, and nothing of its file is run."""
import io
import json
import os
import pickle
import zipfile

import pytest
import torch
from graph_samples import changed_program, changed_zip, pictures, program_file, small_net
from torch import nn

from robot_vision_dl.core.errors import BundleError
from robot_vision_dl.core.networks.program import MOST_ELEMENTS, Program
from robot_vision_dl.core.networks.program_archive import Archive
from robot_vision_dl.core.networks.program_operators import find_operator

pytestmark = pytest.mark.skipif(not hasattr(torch.export, 'Dim') or torch.__version__ < '2.8',
                                reason='programs need torch 2.8')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return program_file(tmp_path_factory.mktemp('program') / 'net.pt2', small_net()).read_bytes()


def read(data: bytes) -> Program:
    return Program(Archive(io.BytesIO(data), 'net.pt2'), 'net.pt2')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['resnet18', 'mobilenet_v3_small', 'efficientnet_b0', 'vit_b_32', 'swin_t', 'maxvit_t',
                                  'googlenet', 'densenet121', 'convnext_tiny'])
def test_it_gives_what_torch_gives(name, tmp_path):
    models = pytest.importorskip('torchvision.models')
    torch.manual_seed(0)
    net = models.get_model(name, weights=None, num_classes=7).eval()
    example = torch.zeros(2, 3, 224, 224)
    torch.export.save(torch.export.export(net, (example,), dynamic_shapes=({0: torch.export.Dim('b')},)),
                      tmp_path / 'net.pt2')
    program = read((tmp_path / 'net.pt2').read_bytes())
    pixels = torch.randn(3, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(program(pixels)[0], net(pixels), rtol=1e-4, atol=1e-5)
    assert program.try_sizes((1, 3, 224, 224)) == ((1, 7),)


def test_the_small_one_gives_what_torch_gives_in_any_batch(data):
    net, program = small_net(), read(data)
    for count in (1, 3):
        with torch.inference_mode():
            wanted, given = net(pictures(count)), program(pictures(count))
        torch.testing.assert_close(given, (wanted['logits'], wanted['features']))


def test_outputs_have_the_names_of_a_dictionary_and_can_be_any_tensor(data):
    net, program, pixels = small_net(), read(data), pictures()
    assert program.keys == ('logits', 'features')
    names = {node.module: node.outputs[0] for node in program.nodes}
    program.wanted = (names['early.0'], names['early.2'])
    with torch.inference_mode():
        first, after = program(pixels)
        # The ReLU works in place on what the normalisation made, and a tensor is as it was made.
        torch.testing.assert_close(first, net.early[0](pixels))
        torch.testing.assert_close(after, net.early(pixels))


def test_it_can_be_moved_and_converted(data):
    program = read(data).to(torch.float64)
    assert program(pictures().double())[0].dtype is torch.float64


class Evil:
    def __reduce__(self):
        return os.system, ('touch /tmp/evil_was_here',)


def test_nothing_is_unpickled(data, tmp_path):
    mark = tmp_path / 'mark'
    content = pickle.dumps(Evil()).replace(b'/tmp/evil_was_here', str(mark).encode())

    def replaced(name, old):
        return content if 'sample_inputs' in name else old
    assert len(read(changed_zip(data, replaced)).nodes) == len(read(data).nodes)

    def pickled(name, old):
        if name.endswith('model_weights_config.json'):
            values = json.loads(old)
            for one in values['config'].values():
                one['use_pickle'] = True
            return json.dumps(values).encode()
        return content if '/weights/weight_' in name else old
    with pytest.raises(BundleError, match='is pickled, which could run code'):
        read(changed_zip(data, pickled))
    assert not mark.exists()


@pytest.mark.parametrize('target', [
    'torch.ops.aten.from_file.default', 'builtins.eval', 'torch.ops.higher_order.cond', 'torch.ops.mine.op.default',
    'torch.ops.aten.conv2d.default.__class__', 'torch.ops.aten.rand.default', 'torch.ops.aten.nonzero.default',
    'torch.ops.aten.relu.out', '_operator.attrgetter', 'math.__loader__', 'os.system', None, 3, 'x' * 1000,
    'torch.ops.aten.resize_.default', 'torch.ops.aten.set_.source_Tensor', 'torch.ops.aten.__init__.default'])
def test_operators_that_are_not_listed_are_refused(data, target):
    with pytest.raises(BundleError, match='none that a network of a bundle may use'):
        find_operator(target)

    def change(values):
        values['graph_module']['graph']['nodes'][0]['target'] = target
    with pytest.raises(BundleError):
        read(changed_program(data, change))


def _nodes(values):
    return values['graph_module']['graph']['nodes']


def _full(values):
    _nodes(values)[0].update(target='torch.ops.aten.full.default', inputs=[
        {'name': 'size', 'arg': {'as_ints': [1 << 20, 1 << 14]}, 'kind': 1},
        {'name': 'fill_value', 'arg': {'as_float': 1.0}, 'kind': 1}])


def test_what_would_be_too_large_is_refused_before_it_is_made(data):
    program = read(changed_program(data, _full))
    with pytest.raises(BundleError, match='more than a network may have'):
        program.try_sizes((1, 3, 16, 16))
    assert 1 << 34 > MOST_ELEMENTS


def _padding(values):
    next(one for one in _nodes(values)[0]['inputs'] if one['name'] == 'padding')['arg'] = {
        'as_ints': [1 << 20, 1 << 20]}


@pytest.mark.parametrize('change, message', [
    (_padding, 'more than a network may have'),
    (lambda v: _nodes(v)[0]['inputs'].reverse(), 'fails'),
    (lambda v: _nodes(v).insert(0, _nodes(v)[-1]), 'used before it is made'),
    (lambda v: _nodes(v)[0]['inputs'][0]['arg'].update(as_tensor={'name': 'nobody'}), 'used before it is made')])
def test_a_program_that_makes_no_sense_is_refused_when_it_is_tried(data, change, message):
    with pytest.raises(BundleError, match=message):
        read(changed_program(data, change)).try_sizes((1, 3, 16, 16))


@pytest.mark.parametrize('change, message', [
    (lambda v: v.update(schema_version={'major': 99, 'minor': 1}), 'schema version 99.*save it again'),
    (lambda v: v.update(graph_module=[]), 'not a program of torch.export that can be read|object'),
    (lambda v: v['graph_module']['graph'].update(nodes=None), 'not a program'),
    (lambda v: v['graph_module']['graph'].update(nodes=[{}] * 20_001), '20001 operators, more than'),
    (lambda v: v['graph_module']['signature'].update(input_specs=[]), 'takes 0 inputs'),
    (lambda v: v['graph_module']['signature']['output_specs'].append({'buffer_mutation': {}}),
     'changes its own buffers'),
    (lambda v: v['graph_module']['signature']['input_specs'].append({'custom_obj': {}}), 'of the kind custom_obj'),
    (lambda v: _nodes(v)[0]['inputs'][0].update(arg={'as_graph': {}}), 'of the kind as_graph'),
    (lambda v: _nodes(v)[0]['inputs'][0].update(arg={'as_int': 'x'}), 'is not as_int'),
    (lambda v: _nodes(v)[0].update(target='torch.ops.aten.relu_.default'), 'overwrite the weights')])
def test_a_file_that_is_no_program_of_one_network_is_refused(data, change, message):
    with pytest.raises(BundleError, match=message):
        read(changed_program(data, change))


def _config(change):
    def edit(name, content):
        if not name.endswith('model_weights_config.json'):
            return content
        values = json.loads(content)
        change(next(iter(values['config'].values())))
        return json.dumps(values).encode()
    return edit


@pytest.mark.parametrize('change, message', [
    (lambda one: one['tensor_meta'].update(sizes=[{'as_int': 1 << 39}]), 'sizes and|fewer numbers'),
    (lambda one: one['tensor_meta'].update(sizes=[{'as_int': 1 << 30}] * 4, strides=[{'as_int': 0}] * 4),
     'fewer numbers'),
    (lambda one: one['tensor_meta'].update(storage_offset={'as_int': 1 << 30}), 'fewer numbers'),
    (lambda one: one['tensor_meta'].update(strides=[{'as_int': -1}] * 4), 'not described as a tensor'),
    (lambda one: one['tensor_meta'].update(sizes=[{'as_expr': {'expr_str': '__import__("os")'}}]), 'not described'),
    (lambda one: one['tensor_meta'].update(dtype=10), 'of a kind that is not supported'),
    (lambda one: one.update(tensor_meta=None), 'is pickled'),
    (lambda one: one.update(path_name='../../models/model.json'), 'has no'),
    (lambda one: one.update(path_name='nothing'), 'has no')])
def test_weights_that_do_not_fit_their_description_are_refused(data, change, message):
    with pytest.raises(BundleError, match=message):
        read(changed_zip(data, _config(change)))


def test_weights_that_are_no_numbers_and_compressed_files_are_refused(data):
    nan = torch.full((4000,), float('nan')).numpy().tobytes()
    with pytest.raises(BundleError, match='NaN or an infinity'):
        read(changed_zip(data, lambda name, old: nan[:len(old)] if '/weights/weight_' in name else old))
    with pytest.raises(BundleError, match='is compressed'):
        read(changed_zip(data, lambda name, old: old, zipfile.ZIP_DEFLATED))


def test_a_program_of_an_older_torch_is_told_how_to_be_renewed():
    into = io.BytesIO()
    with zipfile.ZipFile(into, 'w') as file:
        file.writestr('serialized_exported_program.json', '{}')
    with pytest.raises(BundleError, match='torch 2.7 or older; save it again'):
        read(into.getvalue())


def test_training_mode_is_refused(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)).train()
    torch.export.save(torch.export.export(net, (torch.zeros(2, 3, 8, 8),)), tmp_path / 'net.pt2')
    with pytest.raises(BundleError, match='evaluation mode'):
        read((tmp_path / 'net.pt2').read_bytes())

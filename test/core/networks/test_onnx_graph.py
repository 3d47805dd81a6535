"""An ONNX file is held against what a network may be before ONNX Runtime sees it."""
import numpy as np
import pytest
from graph_samples import onnx_model, small_net

from robot_vision_dl.core.errors import BundleError
from robot_vision_dl.core.networks.onnx_graph import check_onnx, parse_onnx

onnx = pytest.importorskip('onnx')
helper = onnx.helper


@pytest.fixture
def model():
    return onnx_model(small_net())


def test_sizes_of_every_tensor_are_known(model):
    sizes = check_onnx(model, 'x')
    assert sizes.batch is None and sizes.shapes['maps'] == (1, 8, 7, 7) and sizes.shapes['scores'] == (1, 3)
    assert check_onnx(onnx_model(small_net(), batch=4), 'x').batch == 4


def _node(kind, inputs, outputs, **attributes):
    return lambda model: model.graph.node.append(helper.make_node(kind, inputs, outputs, **attributes))


def _constant(model, name, values):
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values, np.int64), name))


def _huge(model):
    _constant(model, 'size', [1 << 20, 1 << 20])
    model.graph.node.append(helper.make_node('ConstantOfShape', ['size'], ['big']))


def _outer(model):
    _constant(model, 'shape', [-1, 1])
    model.graph.node.append(helper.make_node('Reshape', ['image', 'shape'], ['column']))
    _constant(model, 'shape2', [1, -1])
    model.graph.node.append(helper.make_node('Reshape', ['image', 'shape2'], ['row']))
    last = ('column', 'row')
    for place in range(3):
        model.graph.node.append(helper.make_node('MatMul', list(last), [f'm{place}']))
        model.graph.node.append(helper.make_node('Reshape', [f'm{place}', 'shape'], [f'c{place}']))
        model.graph.node.append(helper.make_node('Reshape', [f'm{place}', 'shape2'], [f'r{place}']))
        last = (f'c{place}', f'r{place}')


def _by_value(model):
    model.graph.node.append(helper.make_node('NonZero', ['image'], ['where']))
    model.graph.node.append(helper.make_node('Cast', ['where'], ['as_float'], to=1))


def _loop(model):
    body = helper.make_graph([], 'body', [], [])
    model.graph.node.append(helper.make_node('Loop', ['', ''], [], body=body))


def _external(model):
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, '/etc/passwd')
    tensor.ClearField('raw_data')
    tensor.data_location = 1


def _lying(model):
    model.graph.initializer[0].dims[0] = 1 << 30


def _function(model):
    model.functions.append(helper.make_function('mine', 'f', ['x'], ['y'], [helper.make_node('Relu', ['x'], ['y'])],
                                                [helper.make_opsetid('', 17)]))


def _sparse(model):
    values = helper.make_tensor('s', 1, [1], [1.0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, helper.make_tensor('i', 7, [1], [0]), [9]))


@pytest.mark.parametrize('change, message', [
    (_huge, 'more than a network may have'), (_outer, 'more than a network may have'),
    (_by_value, 'cannot be told from the file'), (_loop, 'is control flow'),
    (_external, 'lies in another file'), (_lying, 'its shape .* says'), (_function, 'functions of its own'),
    (_sparse, 'sparse tensors'),
    (_node('Mine', ['image'], ['y'], domain='my.ops'), 'my.ops.Mine is not of the ONNX standard'),
    (_node('Gelu', ['image'], ['y'], domain='com.microsoft'), 'is not of the ONNX standard'),
    (_node('RandomNormalLike', ['image'], ['y']), 'draws random numbers'),
    (_node('Conv', ['image', 'head.weight'], ['y']), 'shapes do not fit|cannot be told'),
    (lambda m: m.graph.input.append(helper.make_tensor_value_info('more', 1, [1])), 'takes 2 inputs'),
    (lambda m: m.opset_import[0].__setattr__('version', 1 << 20), 'update onnx'),
    (lambda m: m.graph.node.extend([m.graph.node[0]] * 20_001), 'operators, more than 20000')])
def test_what_is_not_arithmetic_of_a_sound_size_is_refused(model, change, message):
    change(model)
    with pytest.raises(BundleError, match=message):
        check_onnx(model, 'x')


@pytest.mark.parametrize('data', [b'\xff' * 100, b'not a model at all', b'\x0a' + b'\xff' * 9])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(BundleError, match='not a whole ONNX file'):
        parse_onnx(data, 'x')

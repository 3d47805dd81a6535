"""Ranges of activations and corrected biases, against torch's own observers and whole runs of ONNX Runtime."""
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.ao.quantization import HistogramObserver

from robot_vision_dl.core.backends.activation_ranges import least_squares, min_max, observe, with_outputs
from robot_vision_dl.core.backends.bias_correction import correct_biases
from robot_vision_dl.core.backends.int8_builder import Int8Builder
from robot_vision_dl.core.networks.onnx_graph import make_session

onnx = pytest.importorskip('onnx', reason='ONNX is an extra: pip install .[onnx]')
pytest.importorskip('onnxruntime', reason='ONNX is an extra: pip install .[onnx]')


def convolutions():
    """A serialized model of two convolutions around a ReLU6, a sum over a branch, and a linear layer."""
    rng = np.random.default_rng(0)
    make, helper = onnx.numpy_helper.from_array, onnx.helper

    def weights(name, *shape, scale=0.4):
        return make((rng.normal(0, scale, shape) * rng.uniform(0.05, 1, (shape[0], *[1] * (len(shape) - 1)))
                     ).astype(np.float32), name)
    constants = [weights('w1', 8, 3, 3, 3), weights('b1', 8), weights('w2', 8, 1, 3, 3), weights('b2', 8),
                 weights('w3', 8, 8, 1, 1), weights('b3', 8), weights('w4', 5, 8), weights('b4', 5),
                 make(np.float32(0), 'zero'), make(np.float32(6), 'six')]
    nodes = [helper.make_node('Conv', ['pixels', 'w1', 'b1'], ['c1'], pads=[1] * 4),
             helper.make_node('Clip', ['c1', 'zero', 'six'], ['a1']),
             helper.make_node('Conv', ['a1', 'w2', 'b2'], ['c2'], pads=[1] * 4, group=8),
             helper.make_node('Clip', ['c2', 'zero', 'six'], ['a2']),
             helper.make_node('Conv', ['a2', 'w3', 'b3'], ['c3']),
             helper.make_node('Add', ['c3', 'a1'], ['sum']),
             helper.make_node('GlobalAveragePool', ['sum'], ['mean']),
             helper.make_node('Flatten', ['mean'], ['features']),
             helper.make_node('Gemm', ['features', 'w4', 'b4'], ['logits'], transB=1)]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, 'g', [value('pixels', 1, ['B', 3, 12, 12])],
                              [value('logits', 1, ['B', 5]), value('features', 1, ['B', 8])], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8).SerializeToString()


@pytest.fixture(scope='module')
def pictures():
    rng = np.random.default_rng(1)
    return (rng.normal(0, 1, (40, 3, 12, 12)) * rng.uniform(0.2, 2, (40, 1, 1, 1))).astype(np.float32)


def run(model, names, pixels):
    return make_session(with_outputs(model, names), 1, 'model').run(names, {'pixels': pixels})


def test_what_is_observed(pictures):
    """The extremes of all pictures, of single tensors and the input, and how many values lie where."""
    model = convolutions()
    found = observe(model, ['pixels', 'c1', 'a1'], lambda: iter(np.split(pictures, 5)), 'model')
    for name, values in (('pixels', pictures), *zip(('c1', 'a1'), run(model, ['c1', 'a1'], pictures))):
        assert (found[name].low, found[name].high) == (values.min(), values.max())
        wanted, _ = np.histogram(values, len(found[name].counts), (values.min(), values.max()))
        assert found[name].counts.sum() == values.size and np.abs(found[name].counts - wanted).sum() < values.size / 500
    assert min_max(found)['a1'] == (0.0, pytest.approx(6)) and min_max(found)['pixels'][0] == pictures.min()


@pytest.mark.parametrize('tail', ['normal', 'outliers', 'positive'])
def test_no_range_of_torch_rounds_better(tail):
    """Squared error beside that of torch's ``HistogramObserver``, which looks for the same, and of the extremes."""
    values = torch.randn(64, 500, generator=torch.Generator().manual_seed(0))
    values = {'normal': values, 'outliers': torch.where(values.abs() > 3.2, values * 10, values),
              'positive': values.clamp(min=0)**2}[tail]
    identity = onnx.helper.make_model(onnx.helper.make_graph(
        [onnx.helper.make_node('Identity', ['pixels'], ['same'])], 'g',
        [onnx.helper.make_tensor_value_info('pixels', 1, [None, 500])],
        [onnx.helper.make_tensor_value_info('same', 1, [None, 500])]),
        opset_imports=[onnx.helper.make_opsetid('', 17)], ir_version=8).SerializeToString()
    seen = observe(identity, ['same'], lambda: iter(values.numpy()[None, :, :].reshape(8, 8, 500)), 'model')

    def error(low, high):
        scale = (high - low) / 255
        zero = int(round(-low / scale))
        return float(((torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, 255) - values)**2).mean())
    observer = HistogramObserver(dtype=torch.quint8, qscheme=torch.per_tensor_affine)
    observer(values)
    scale, zero = map(float, observer.calculate_qparams())
    theirs = error(-zero * scale, (255 - zero) * scale)
    ours, extremes = error(*least_squares(seen)['same']), error(*min_max(seen)['same'])
    assert ours < theirs and ours < extremes


@pytest.mark.parametrize('kept_float', [(), ('n0_Conv',)])
def test_corrected_means_are_those_of_float32(pictures, tmp_path: Path, kept_float):
    """Of every layer's output, in a run of the whole corrected model; before they are not."""
    builder = Int8Builder(convolutions(), tmp_path, lambda: iter(np.split(pictures, 5)), 7, 'model')
    assert list(builder.layers.values()) == ['w1', 'w2', 'w3', 'w4'] and builder.head == ('n8_Gemm',)
    plain = builder(least_squares(builder.observed()), kept_float)
    fixed = correct_biases(builder.prepared, plain, pictures, 8, 'model')
    layers = list(builder.layers)

    def means(model):
        graph = onnx.load_model_from_string(model).graph
        made = {node.name: node.output[0] for node in graph.node}
        return [value.mean(tuple({0, *range(2, value.ndim)})) for value in run(model, [made[one] for one in layers],
                                                                               pictures)]
    wanted = means(builder.prepared)
    before, after = ([np.abs(one - other).max() for one, other in zip(means(model), wanted)]
                     for model in (plain, fixed))
    assert max(before) > 0.004 and max(after) < 0.0003
    logits = [run(model, ['logits'], pictures)[0] for model in (builder.prepared, plain, fixed)]
    assert np.abs(logits[2] - logits[0]).mean() < np.abs(logits[1] - logits[0]).mean()
    # Nothing but biases was changed.
    tensors = [{one.name: one for one in onnx.load_model_from_string(model).graph.initializer}
               for model in (plain, fixed)]
    assert {name for name, one in tensors[0].items() if one != tensors[1][name]} <= {
        name for name, one in tensors[0].items() if len(one.dims) == 1 and one.data_type in (1, 6)}


def test_a_bias_of_two_layers_stays(pictures, tmp_path: Path):
    model = onnx.load_model_from_string(convolutions())
    model.graph.node[4].input[2] = 'b1'  # of the first and the third layer
    builder = Int8Builder(model.SerializeToString(), tmp_path, lambda: iter(np.split(pictures, 5)), 7, 'model')
    plain = builder(min_max(builder.observed()), list(builder.layers))  # all float32: the bias stays one
    fixed = correct_biases(builder.prepared, plain, pictures, 8, 'model')
    shared = [next(onnx.numpy_helper.to_array(one) for one in onnx.load_model_from_string(some).graph.initializer
                   if one.name == 'b1') for some in (plain, fixed)]
    assert (shared[0] == shared[1]).all()

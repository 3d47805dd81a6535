"""Large float32 tables of an ONNX model in half the bytes, where not a bit is lost."""
import numpy as np
import pytest

pytest.importorskip('onnxruntime', reason='ONNX Runtime is an extra: pip install .[onnx]')
onnx = pytest.importorskip('onnx', reason='ONNX is an extra: pip install .[onnx]')

from robot_vision_dl.core.backends.half_weights import in_half_where_exact  # noqa: E402
from robot_vision_dl.core.networks.onnx_graph import make_session  # noqa: E402


def test_what_half_precision_holds_is_stored_so_and_gives_the_same_bits():
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(300, 256)).astype(np.float16).astype(np.float32)
    inexact = rng.normal(size=(256, 300)).astype(np.float32)
    large = np.full((300, 256), 1e6, np.float32)  # more than half precision has
    weights = {'exact': exact, 'inexact': inexact, 'large': large, 'small': np.ones((256, 4), np.float32)}
    made = [onnx.helper.make_node('MatMul', [given, name], [name + '_out']) for given, name in (
        ('pixels', 'exact'), ('exact_out', 'inexact'), ('inexact_out', 'large'), ('large_out', 'small'))]
    model = onnx.helper.make_model(onnx.helper.make_graph(
        made, 'g', [onnx.helper.make_tensor_value_info('pixels', onnx.TensorProto.FLOAT, (5, 300))],
        [onnx.helper.make_tensor_value_info('small_out', onnx.TensorProto.FLOAT, (5, 4))],
        [onnx.numpy_helper.from_array(values, name) for name, values in weights.items()]),
        ir_version=9, opset_imports=[onnx.helper.make_opsetid('', 18)])
    before = model.SerializeToString()
    in_half_where_exact(model)
    after = model.SerializeToString()
    onnx.checker.check_model(model, full_check=True)
    assert {tensor.name for tensor in model.graph.initializer} == {'exact_half', 'inexact', 'large', 'small'}
    assert len(before) - len(after) == pytest.approx(exact.nbytes / 2, rel=0.01)
    pixels = rng.normal(size=(5, 300)).astype(np.float32)
    one, other = (make_session(data, 1, 'model').run(None, {'pixels': pixels})[0] for data in (before, after))
    assert np.array_equal(one, other)

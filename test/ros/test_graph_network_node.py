"""The live node with a network that is an ONNX file or a program of torch.export, over real DDS."""
import itertools

import numpy as np
import pytest
import torch

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from graph_samples import CLASSES, onnx_model, program_file, small_net  # noqa: E402
from node_harness import NodeProcess, PreloadedChildren, environment, raw_image  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Classification  # noqa: E402

from robot_vision_dl.core.backends.graph_import import Wish, import_graph  # noqa: E402
from robot_vision_dl.core.bundles.bundle_writer import save_bundle  # noqa: E402
from robot_vision_dl.core.networks.preprocess import Preprocessing  # noqa: E402
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration  # noqa: E402

SECOND = 1_000_000_000
PREPROCESSING = Preprocessing(0, (16, 16), (0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize('kind', ['onnx', 'pt2'])
def test_it_decides_as_the_network_says(kind, ros_domain, peer, tmp_path):
    file = tmp_path / f'net.{kind}'
    if kind == 'onnx':
        pytest.importorskip('onnxruntime')
        import onnx
        onnx.save(onnx_model(small_net(), batch=1), file)
    else:
        if torch.__version__ < '2.8':
            pytest.skip('programs need torch 2.8')
        program_file(file, small_net())
    found = import_graph(file, Wish(CLASSES, features='mean' if kind == 'onnx' else None))
    save_bundle(tmp_path / 'mine', found.network, ('cup', 'mug', 'bowl'), PREPROCESSING, temperature=1.0,
                ood=OodCalibration('energy', np.linspace(-100, 100, 200).astype(np.float32)))
    pixels = (torch.full((1, 3, 16, 16), 100 / 255) - 0.5) / 0.25
    with torch.inference_mode():
        expected = small_net()(pixels)['logits'].softmax(1)[0]
    with PreloadedChildren(environment(ros_domain)) as children:
        NodeProcess(children, tmp_path / 'node.log', 'run', '--model', str(tmp_path / 'mine'), '--image', '/cam')
        decisions = peer.listen(Classification, '/classifier/camera/decision')
        classifications = peer.listen(Classification, '/classifier/camera/classification')
        diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
        camera = peer.publisher(Image, '/cam')
        stamps = itertools.count(5 * SECOND, SECOND // 10)
        peer.wait(lambda: camera.publish(raw_image(next(stamps))) or (decisions and classifications and diagnostics),
                  'a decision')
        scores = {result.class_id: result.score for result in classifications[0].results}
    assert [scores[name] for name in ('cup', 'mug', 'bowl')] == pytest.approx(expected.tolist(), abs=1e-3)

"""What a live node with a model of the package's own imports, and what it does not."""
import importlib.util
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from node_harness import small_bundle  # noqa: E402

LEFT_OUT = ('torchvision', 'matplotlib', 'lightning', 'rosbags', 'onnx', 'onnxscript', 'onnxruntime', 'openvino', 'PIL')
SOURCE = """
import sys
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.ros import classifier_node
Pipeline.load(ClassifierConfig(model=sys.argv[1], device='cpu', backend=sys.argv[2]))
print('imported:', *(name for name in sys.argv[3:] if name in sys.modules))
"""


@pytest.mark.parametrize('model, backend, used', [
    ('small', 'auto', []), ('squeezenet1_1_imagenet', 'torch', []),
    ('squeezenet1_1_imagenet', 'onnxruntime', ['onnxruntime'])])
def test_live_node_imports_nothing_that_it_does_not_use(model, backend, used, tmp_path):
    if backend == 'onnxruntime':
        for module in ('onnxruntime', 'onnxscript'):
            pytest.importorskip(module, reason='ONNX Runtime comes where there are wheels')
    source = str(small_bundle(tmp_path / 'small')) if model == 'small' else model
    done = subprocess.run([sys.executable, '-c', SOURCE, source, backend, *LEFT_OUT], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    if used and importlib.util.find_spec('cykooz_resizer'):
        used = [*used, 'PIL']  # which resizes instead of torch, and imports it
    assert done.stdout.split() == ['imported:', *used]

"""A node whose network ONNX Runtime runs: torch stays out of its process, and its decisions are those with torch."""
import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy comes with ROS 2')
pytest.importorskip('onnxruntime', reason='onnxruntime is an extra')
pytest.importorskip('onnxscript', reason='onnxscript is an extra')
pytest.importorskip('cykooz_resizer', reason='cykooz.resizer has no wheel here')

from robot_vision_dl.bench.start import start_node  # noqa: E402
from robot_vision_dl.core.backends import without_torch  # noqa: E402
from robot_vision_dl.core.bundles.bundle import load_bundle  # noqa: E402
from robot_vision_dl.core.config import ClassifierConfig  # noqa: E402
from robot_vision_dl.core.networks.torch_use import may_have_gpu  # noqa: E402
from robot_vision_dl.core.processes import isolated_environment  # noqa: E402
from robot_vision_dl.core.resources import share_directory  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.skipif(may_have_gpu(), reason="on a GPU the network is torch's")]
MODEL = 'waste_sorter'  # with a combined score and a Laplace approximation
PHOTOGRAPH = share_directory() / 'config' / 'demo' / 'unknown_object.jpg'
DECIDE = """
import json, sys
{before}
import cv2
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import ColorOrder, Frame, Header, Picture
pipeline = Pipeline.load(ClassifierConfig(model=sys.argv[1], device='cpu', backend='onnxruntime', threads=1))
said = []
whole = cv2.imread(sys.argv[2])
height, width = whole.shape[:2]
for share in (0.0, 0.1, 0.2, 0.3):
    part = whole[int(share * height):, :width - int(share * width)]
    for size, order in (((640, 480), ColorOrder.BGR), ((1280, 720), ColorOrder.BGR), ((250, 333), ColorOrder.MONO)):
        pixels = cv2.resize(part, size)
        pixels = pixels if order is ColorOrder.BGR else pixels[..., 1].copy()
        picture = Picture(pixels, order)
        result = pipeline.process([Frame('a', Header(10 ** 9 * (1 + len(said)), ''), picture, 'bgr8')])[0]
        one = result.assessment
        said.append({{'levels': pipeline.preprocess.levels(picture).astype(int).sum().item(),
                      'input': pipeline.preprocess.arrays([picture]).tobytes().hex()[:4000],
                      'logits': one.logits.tolist(), 'p': one.probabilities.tolist(),
                      'information': one.mutual_information, 'score': one.ood.score, 'p_value': one.ood.p_value,
                      'part': one.ood.part, 'set': one.conformal_set, 'decision': result.decision.label}})
print(json.dumps({{'torch': 'torch' in sys.modules, 'reason': pipeline.backend.reason, 'said': said}}))
"""


@pytest.fixture(scope='module')
def environment(tmp_path_factory):
    """A cache of the tests' own, into which the first that needs it writes."""
    return {**isolated_environment(), 'XDG_CACHE_HOME': str(tmp_path_factory.mktemp('cache')),
            'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}


def decided(environment, before=''):
    done = subprocess.run([sys.executable, '-c', DECIDE.format(before=before), MODEL, str(PHOTOGRAPH)],
                          env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_decisions_are_those_of_a_process_with_torch(environment):
    ours, theirs = decided(environment), decided(environment, 'import torch')
    assert not ours['torch'] and ours['reason'].endswith('without torch') and theirs['torch']
    assert len(ours['said']) == 12
    for one, other in zip(ours['said'], theirs['said']):
        for name in ('levels', 'input', 'logits', 'part', 'set', 'decision'):
            assert one[name] == other[name], name
        for name in ('p', 'information', 'score', 'p_value'):
            np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_torch_does_not_come_into_the_node(environment):
    """By what is mapped in its process, where it would show whoever imports it."""
    plain = start_node(MODEL, 'onnxruntime', environment=environment)
    assert (plain.backend, plain.torch) == ('onnxruntime', False)
    loaded = start_node(MODEL, 'onnxruntime', 'import torch; ', environment)
    assert (loaded.backend, loaded.torch) == ('onnxruntime', True)
    assert plain.resident_mb < 0.6 * loaded.resident_mb


@pytest.mark.parametrize('changes', [{'backend': 'torch'}, {'dropout_samples': 4}, {'device': 'cuda'},
                                     {'precision': 'bfloat16'}])
def test_what_only_torch_has_is_left_to_it(changes, monkeypatch):
    monkeypatch.setattr(without_torch.torch_use, 'is_loaded', lambda: False)
    monkeypatch.setattr(without_torch, 'prepare_apart', lambda *args: pytest.fail('nothing to prepare'))
    config = ClassifierConfig(**{'backend': 'onnxruntime', 'device': 'cpu', **changes})
    assert without_torch.backend_without_torch(load_bundle(MODEL), config, 1, 1) is None

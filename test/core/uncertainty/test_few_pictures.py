"""Five classes, 22 pictures to calibrate on, and unknown things: from generated features, as a whole."""
import numpy as np
import torch

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.bundles.trust_limits import p_value_grid, trust_limits
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.uncertainty.attainable_rates import deciding_rate
from robot_vision_dl.core.uncertainty.calibrate import calibrate
from robot_vision_dl.core.uncertainty.ood.base import LinearHead
from robot_vision_dl.core.uncertainty.ood.pictures import Pictures

NAMES = ('fist', 'one', 'palm', 'stop', 'thumb')
F = 64


def features(n, rng, ood_pictures=False):
    """Clusters of five gestures; unknown things lie elsewhere, and look to the head much like one of the classes."""
    centres = 3 * np.random.default_rng(1).normal(size=(5, F))
    labels = rng.permutation(np.arange(n) % 5)
    around = centres[labels]
    if ood_pictures:
        around = 0.7 * around + 3 * np.random.default_rng(2).normal(size=(8, F))[np.arange(n) % 8]
    return (around + rng.normal(size=(n, F))).astype(np.float32), labels


def test_of_22_pictures_it_is_said_what_they_cannot_do_and_what_they_can_is_done(tmp_path):
    rng = np.random.default_rng(0)
    weight = (0.05 * np.random.default_rng(1).normal(size=(5, F))).astype(np.float32)

    def outputs(n, ood_pictures=False):
        x, labels = features(n, rng, ood_pictures)
        return x @ weight.T, x, labels
    reference, known, others, ood_pictures = outputs(100), outputs(22), outputs(1000), outputs(1115, ood_pictures=True)
    found = calibrate(*known, ood='knn', reference=Pictures.of(*reference), scaling='auto',
                      head=LinearHead(torch.from_numpy(weight), torch.zeros(5)))
    assert found.metrics['nll'] <= found.metrics['nll_plain']
    assert 0.3 < found.temperature < 3
    bundle = save_bundle(tmp_path / 'hands', build_network('resnet20_cifar', 5), NAMES, Preprocessing(32, (32, 32)),
                         calibration=found, metrics={'calibration': found.metrics})
    assert load_bundle(tmp_path / 'hands').metrics == bundle.metrics
    unknown = {limit.what: limit for limit in trust_limits(bundle)}
    assert (unknown['unknown_rate'].have, unknown['unknown_rate'].needed) == (22, 99)
    assert unknown['classes'].needed == 5  # four or five of each

    def called_unknown(group, take_smallest):
        scores = found.ood.build_score()(torch.from_numpy(group[0]), torch.from_numpy(group[1]))
        return found.ood.p_value(scores) < deciding_rate(p_value_grid(bundle), 0.01, take_smallest)
    sure = found.probabilities(ood_pictures[0], ood_pictures[1]).max(axis=1) >= 0.5
    assert not called_unknown(ood_pictures, False).any()
    assert np.mean(sure & ~called_unknown(ood_pictures, False)) > 0.5  # what happened, and nobody was told
    assert np.mean(sure & ~called_unknown(ood_pictures, True)) <= 0.1
    assert np.mean(called_unknown(others, True)) <= 0.15  # 1/23 on average over calibration sets

"""Templates: the rows of a linear model, and of one that is fitted to pictures."""
import cv2
import numpy as np
import torch
from evaluation_samples import small_model

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.networks.network import Prediction, build_network
from robot_vision_dl.evaluation.predict import labelled_store
from robot_vision_dl.explain.linear_templates import fitted_templates, own_templates, template_tile


def test_rows_of_a_linear_model_are_found():
    torch.manual_seed(0)
    linear = torch.nn.Linear(3 * 8 * 9, 4)

    def forward(pixels: torch.Tensor) -> Prediction:
        return Prediction(linear(pixels.flatten(1)), pixels.flatten(1))
    found = own_templates(forward, (3, 8, 9), 'abcd')
    assert found.accuracy is None and found.weights.shape == (4, 3, 8, 9)
    assert np.allclose(found.weights.reshape(4, -1), linear.weight.detach(), atol=1e-5)
    assert own_templates(build_network('lenet5', 4, in_channels=1), (1, 32, 32), 'abcd') is None
    with torch.no_grad():
        linear.weight.zero_()
    assert own_templates(forward, (3, 8, 9), 'abcd') is None


def test_fitted_ones_show_what_tells_the_classes_apart(tmp_path, user_cache):
    small_model(tmp_path / 'small', class_names=('left', 'right'))
    random = np.random.default_rng(0)
    for place in range(24):
        label = ('left', 'right')[place % 2]
        picture = random.integers(0, 120, (40, 40), dtype=np.uint8)
        half = slice(0, 20) if label == 'left' else slice(20, 40)
        picture[:, half] += 60
        (tmp_path / 'data' / label).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / 'data' / label / f'{place}.png'), picture)
    bundle = load_bundle(tmp_path / 'small')
    found = fitted_templates(labelled_store(bundle, [str(tmp_path / 'data')]), bundle.preprocessing, bundle.class_names)
    assert found.names == ('left', 'right') and found.accuracy == 1 and found.held_out + found.fitted == 24
    left = found.weights[0, 0]
    assert left[:, :16].mean() > 0 > left[:, 16:].mean()
    tile = template_tile(found.weights[0], 64)
    assert tile.shape == (64, 64, 3) and tile[:, :32].mean() > 128 > tile[:, 32:].mean()

"""What covering a place costs a class, with a network whose answer is known."""
import numpy as np
import torch

from robot_vision_dl.core.networks.network import Prediction
from robot_vision_dl.explain.occlusion import blurred, occlusion


def corner_detector(pixels: torch.Tensor) -> Prediction:
    """Class 0: how much the lower left corner is textured; class 1: the mean brightness."""
    corner = pixels[:, :, 42:, :14]
    texture = (corner - corner.mean((2, 3), keepdim=True)).abs().mean((1, 2, 3))
    logits = torch.stack([texture, pixels.mean((1, 2, 3))], 1)
    return Prediction(logits, logits)


def checkers() -> torch.Tensor:
    rows, columns = np.indices((56, 56))
    return torch.from_numpy(((rows // 2 + columns // 2) % 2).astype(np.float32))[None, None]


def test_what_a_class_rests_on_costs_it():
    found = occlusion(corner_detector, checkers(), [0, 1], cells=8, patch=2)
    drop, mean = found.maps.numpy()
    assert found.maps.shape == (2, 8, 8) and found.patch == 2 / 8
    assert drop[7, 0] == drop.max() > .05
    assert np.abs(drop[:5, 3:]).max() < 1e-6  # no patch that covers these reaches the corner
    assert np.abs(mean).max() < .02  # a blur keeps the mean


def test_every_place_is_covered_once_at_least():
    found = occlusion(lambda pixels: Prediction(pixels.mean((1, 2, 3))[:, None], pixels), torch.rand(1, 1, 31, 47), [0],
                      cells=7, patch=3)
    assert torch.isfinite(found.maps).all()


def test_blur_leaves_nothing_of_its_size():
    pixels = checkers()
    assert blurred(pixels, .2).std() < .1 * pixels.std()
    assert blurred(pixels, .2).dtype is pixels.dtype

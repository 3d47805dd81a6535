"""Changes of light, sharpness and noise, and erasing, beside torchvision's."""
import cv2
import numpy as np
import pytest
import torch
from labelled_samples import pattern
from torchvision.transforms.v2 import functional

from robot_vision_dl.data.augmentation.photometric import blur, erase, jitter, jitter_matrix, noise, normalise_table

# Not so bright or dark that torchvision would cut something off on the way.
PICTURE = (60 + pattern(3, 64, 80) // 3).astype(np.uint8)
TENSOR = torch.from_numpy(PICTURE.copy()).permute(2, 0, 1)


@pytest.mark.parametrize('factors', [(1.2, 1, 1), (1, 0.7, 1), (1, 1, 0.5), (0.8, 1.2, 1.3), (1.1, 0.9, 0.0)])
def test_jitter_is_torchvisions_in_any_order(factors):
    """To the rounding of three steps."""
    ours = cv2.transform(PICTURE, jitter_matrix(PICTURE, *factors)).astype(int)
    steps = [functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        theirs = TENSOR
        for number in order:
            theirs = steps[number](theirs, factors[number])
        assert np.abs(theirs.permute(1, 2, 0).numpy().astype(int) - ours).max() <= 3


def test_jitter_of_grey_pictures():
    grey = PICTURE[..., :1].copy()
    ours = cv2.transform(grey, jitter_matrix(grey, 1.2, 0.8, 0.3)).reshape(64, 80).astype(int)
    theirs = functional.adjust_contrast(functional.adjust_brightness(torch.from_numpy(grey[..., 0])[None], 1.2), 0.8)
    assert np.abs(theirs[0].numpy().astype(int) - ours).max() <= 2


def test_jitter_without_colours_is_grey():
    torch.manual_seed(0)
    made = jitter(PICTURE, (0.1, 0.1, 0.1), is_grey=True).astype(int)
    assert np.ptp(made, axis=2).max() <= 1 and np.ptp(made) > 10


def test_blur_and_noise_are_no_stronger_than_asked_for():
    torch.manual_seed(0)
    for _ in range(20):
        noisy = noise(np.full((64, 80, 3), 128, np.uint8), 0.05).astype(float) - 128
        assert noisy.std() < 255 * 0.05 * 1.03 + 0.3 and abs(noisy.mean()) < 0.5
        strongest = functional.gaussian_blur(TENSOR, [9, 9], [1.5, 1.5]).float()
        blurred = torch.from_numpy(blur(PICTURE, 9, 1.5)).permute(2, 0, 1).float()
        assert strongest.std() - 0.5 < blurred.std() <= TENSOR.float().std() + 0.5


def test_normalising_by_table():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    table = torch.from_numpy(normalise_table(mean, std))[0].T[..., None]
    values = torch.arange(256).to(torch.uint8).expand(3, -1)[..., None]
    expected = functional.normalize(functional.to_dtype(values, torch.float32, scale=True), mean, std)
    torch.testing.assert_close(table, expected, atol=1e-6, rtol=0)


def test_an_erased_part_is_a_rectangle_of_the_size_asked_for():
    torch.manual_seed(0)
    shares = []
    for _ in range(50):
        rows, columns = np.nonzero(erase(np.ones((64, 80), np.float32), 0.02, 0.3, 0.0) == 0)
        high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert high * wide == len(rows)
        assert 0.25 < high / wide < 4  # .3..3.3, but for the rounding to whole pixels
        shares.append(len(rows) / (64 * 80))
    assert 0.015 < min(shares) < 0.06 and 0.22 < max(shares) < 0.31


def test_what_cannot_be_fitted_in_is_not_erased():
    assert erase(np.ones((4, 400), np.float32), 0.9, 0.9, 0.0).all()

"""Points without torch against torch's own, bit by bit, and the draws that a bundle was calibrated with."""
import numpy as np
import pytest
import torch

from robot_vision_dl.core.uncertainty.laplace_draws import standard_normal_draws
from robot_vision_dl.core.uncertainty.sobol import MOST_DIMENSIONS, scrambled_sobol


@pytest.mark.parametrize('dimensions', [1, 2, 7, MOST_DIMENSIONS])
def test_points_and_draws_are_those_of_torch(dimensions):
    theirs = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=0).draw(64, dtype=torch.float64)
    np.testing.assert_array_equal(scrambled_sobol(64, dimensions), theirs.numpy())
    half = torch.special.ndtri(theirs[:16].clamp(1e-6, 1 - 1e-6))
    half = half / half.square().mean(0, keepdim=True).sqrt()
    np.testing.assert_allclose(standard_normal_draws(32, dimensions), torch.cat([half, -half]).float(), rtol=3e-7)

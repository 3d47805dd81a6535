"""How far weights are from the start, against the files themselves; and what is told where there is no start."""
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.errors import BundleError
from robot_vision_dl.explain.weight_distance import distances_to_start


def test_distances_of_the_waste_sorter(agrees):
    bundle, start = load_bundle('waste_sorter'), load_bundle('efficientnet_lite0_imagenet')
    network = bundle.load_network()
    found = distances_to_start(bundle, network)
    assert found.start == 'efficientnet_lite0_imagenet' and not found.note
    distances = {one.name: one for one in found.layers}
    assert distances['conv_stem'].is_same and distances['blocks.4.2.conv_pwl'].is_same  # trained after blocks.4
    assert not distances['blocks.5.0.conv_pw'].is_same and 'head' not in distances
    now, then = (load_file(one.folder / 'model.safetensors') for one in (bundle, start))
    keys = [f'backbone.{name}.weight' for name in distances]
    apart = [np.linalg.norm(now[key].astype(np.float64) - then[key]) / np.linalg.norm(then[key].astype(np.float64))
             for key in keys]
    agrees('relative distance of weights', 'numpy on the files', [one.distance for one in found.layers], apart,
           atol=1e-5)
    changed = replace(bundle, provenance={'start': 'efficientnet_lite0_imagenet (0123456789ab)'})
    assert 'has changed since' in distances_to_start(changed, network).note
    for begin, words in (('', 'nothing is known'), ('random', 'from random weights'), ('gone (12)', 'cannot be had')):
        none = distances_to_start(replace(bundle, provenance={'start': begin} if begin else {}), network)
        assert not none.layers and words in none.note
    with pytest.raises(BundleError):
        distances_to_start(bundle, network, 'gone')

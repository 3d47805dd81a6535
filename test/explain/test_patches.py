"""The strongest patches of channels, against looking at every frame by itself."""
import cv2
import numpy as np
import pytest
import torch
from evaluation_samples import small_model
from labelled_samples import pattern

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.networks.preprocess import Preprocessor
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.evaluation.predict import labelled_store
from robot_vision_dl.explain.patches import patches_of


def test_strongest_of_all_frames(tmp_path, user_cache):
    small_model(tmp_path / 'small')
    for place in range(21):  # more than a batch
        folder = tmp_path / 'data' / ('cup', 'mug')[place % 2]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f'{place}.png'), pattern(place))
    bundle = load_bundle(tmp_path / 'small')
    network, store = bundle.load_network(), labelled_store(bundle, [str(tmp_path / 'data')])
    picture = Picture(pattern(99), ColorOrder.BGR)
    [found] = patches_of(bundle, network, [picture], store)
    preprocess = Preprocessor(bundle.preprocessing, 'cpu')
    checked = 0
    for one in found:
        assert [patch.value for patch in one.patches] == sorted((patch.value for patch in one.patches), reverse=True)
        if one.layer != 'c3':
            continue
        maps = []
        for place in range(len(store)):
            with torch.no_grad():
                half = network.backbone.s2(torch.tanh(network.backbone.c1(preprocess([store.picture(place)]))))
                maps.append(network.backbone.c3(half)[0, one.channel].numpy())
        strength = np.array([each.max() for each in maps])
        best = int(strength.argmax())
        assert [patch.value for patch in one.patches] == pytest.approx(np.sort(strength)[::-1][:5], rel=1e-4)
        row, column = np.unravel_index(maps[best].argmax(), maps[best].shape)
        seen = preprocess.levels(store.picture(best))[..., 0]
        # C3 after C1 (5x5) and a mean over 2x2: 5 + 1 + 4 * 2 pixels, from twice the place on.
        expected = seen[2 * row:2 * row + 14, 2 * column:2 * column + 14]
        assert np.array_equal(one.patches[0].pixels[..., 0], expected)
        checked += 1
    assert checked

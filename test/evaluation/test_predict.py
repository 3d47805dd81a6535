"""One loop over pictures and frames: batches do not show, and it is what the network says of each picture alone."""
import cv2
import numpy as np
import pytest
import torch
from evaluation_samples import NAMES, small_model

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.networks.network import Prediction
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.data.pictures import read_picture
from robot_vision_dl.evaluation.predict import Predictor, picture_outputs, run_bundle


@pytest.fixture
def data(tmp_path):
    """37 pictures of different sizes, and the bundle of a small network."""
    rng = np.random.default_rng(0)
    for number in range(37):
        path = tmp_path / 'pictures' / NAMES[number % 3] / f'{number:02}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (40 + number % 5, 50), np.uint8))
    return load_bundle(small_model(tmp_path / 'model')), tmp_path / 'pictures'


def alone(bundle, path):
    network, preprocess = bundle.load_network(), Preprocessor(bundle.preprocessing, 'cpu')
    with torch.inference_mode():
        prediction = network(preprocess([read_picture(path)]))
    return prediction.logits[0].numpy(), prediction.features[0].numpy()


def test_nothing_of_a_runtime_is_kept():
    """What it gives may be a view of memory that it uses again, or that cannot be freed."""
    given = torch.zeros(2, 3)

    def forward(pixels):
        given.copy_(pixels.mean(dim=(1, 2, 3))[:, None].expand(2, 3))
        return Prediction(given, given, (given,))
    found = Predictor(forward, Preprocessing(0, (4, 4)), torch.device('cpu')).tensors(
        torch.full((2, 3, 4, 4), float(number)) for number in range(3))
    for values in (found.logits, found.features, found.stages[0]):
        assert values[:, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_pictures_and_frames_have_the_outputs_of_each_alone(data, tmp_path):
    bundle, folder = data
    paths = [path for name in sorted(NAMES) for path in sorted((folder / name).iterdir())]
    expected = [np.stack(parts) for parts in zip(*(alone(bundle, path) for path in paths))]
    ways = {'pictures': Predictor.of_bundle(bundle).pictures(map(read_picture, paths)),
            'batches of five': Predictor.of_bundle(bundle).pictures(map(read_picture, paths), 5),
            'folder': run_bundle(bundle, [str(folder)], cache=str(tmp_path / 'cache')),
            'whatever they show': picture_outputs(bundle, str(folder))}
    for name, found in ways.items():
        for values, reference in zip((found.logits, found.features), expected):
            assert values.dtype == np.float32 and values.shape == reference.shape
            np.testing.assert_allclose(values, reference, atol=1e-5, err_msg=name)
    assert ways['folder'].labels.tolist() == [NAMES.index(path.parent.name) for path in paths]


def test_of_nothing_there_is_nothing(data):
    found = Predictor.of_bundle(data[0]).pictures([])
    assert len(found.logits) == len(found.features) == 0


def test_progress_is_told_batch_by_batch(data):
    batches, counts = [torch.zeros(size, 1, 32, 32) for size in (2, 3)], []
    Predictor.of_bundle(data[0]).tensors(batches, counts.append)
    assert counts == [2, 5]

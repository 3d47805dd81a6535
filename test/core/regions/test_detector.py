"""torchvision's detectors: the same boxes as when they are called directly, and what cannot be loaded.

The weights are random: those that are trained cannot be had without a network.
"""
import numpy as np
import pytest
import torch
import torchvision
from detector_samples import MODEL, NAMES, random_network, weights_file

from robot_vision_dl.core.errors import BundleError, ConfigError, DeviceError
from robot_vision_dl.core.regions.detector import Detector, DetectorConfig, list_detectors
from robot_vision_dl.core.types import ColorOrder, Picture

FASTER = 'fasterrcnn_mobilenet_v3_large_320_fpn'


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return weights_file(tmp_path_factory.mktemp('weights') / 'ours.pth')


def load(weights, **settings):
    return Detector.load(DetectorConfig(weights=str(weights), device='cpu', **{'class_names': NAMES, **settings}))


def pixels(height=120, width=200, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 10, 3)).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(np.repeat(coarse, height // 6, 0), width // 10, 1))


def as_rows(found):
    return np.array([(*one.box.corners, one.hypotheses[0].score) for one in found])


@pytest.mark.parametrize('name, options', [
    (MODEL, {'score_thresh': 0.3, 'detections_per_img': 15}),
    (FASTER, {'box_score_thresh': 0.3, 'box_detections_per_img': 15})])
def test_boxes_are_those_of_torchvision_called_directly(tmp_path, name, options):
    """On the same weights, with thresholds by the builder's arguments, and the picture as torchvision makes it."""
    detector = load(weights_file(tmp_path / 'w.pth', name), model=name)
    with torch.inference_mode():
        rgb = torch.from_numpy(pixels()).permute(2, 0, 1)
        expected = random_network(name, **options)([torchvision.transforms.functional.convert_image_dtype(rgb)])[0]
    found = detector(Picture(pixels(), ColorOrder.RGB), 0.3, 15)
    area = ((expected['boxes'][:, 2:] - expected['boxes'][:, :2]) > 0).all(1)
    assert len(found) > 3 and len({one.hypotheses[0].score for one in found}) > 3
    np.testing.assert_allclose(as_rows(found)[:, :4], expected['boxes'][area].numpy(), atol=1e-3)
    np.testing.assert_allclose(as_rows(found)[:, 4], expected['scores'][area].numpy(), atol=1e-6)
    assert [one.hypotheses[0].class_id for one in found] == [NAMES[label - 1] for label in expected['labels'][area]]
    corners = as_rows(found)[:, :4]
    assert (corners >= -1e-3).all() and (corners <= np.array([200, 120, 200, 120]) + 1e-3).all()
    assert all(one.track_id == '' and one.header.stamp_ns == 0 for one in found)


def test_limits_hold_from_picture_to_picture(weights):
    detector, picture = load(weights), Picture(pixels(), ColorOrder.RGB)
    many = detector(picture, 0.2, 100)
    scores = [one.hypotheses[0].score for one in many]
    assert scores == sorted(scores, reverse=True) and min(scores) > 0.2
    middle = scores[len(scores) // 2]
    assert as_rows(detector(picture, middle, 100)).tolist() == as_rows(
        [one for one in many if one.hypotheses[0].score > middle]).tolist()
    assert as_rows(detector(picture, 0.2, 3)).tolist() == as_rows(many)[:3].tolist()
    assert detector(picture, 1.0, 100) == ()
    assert detector(picture, 0.2, 100) == many


def test_orders_of_channels_give_the_same(weights):
    detector, rgb = load(weights), pixels()
    expected = as_rows(detector(Picture(rgb, ColorOrder.RGB), 0.3, 20)).tolist()
    alpha = np.full((*rgb.shape[:2], 1), 7, np.uint8)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    for other, order in ((bgr, ColorOrder.BGR), (np.concatenate((rgb, alpha), 2), ColorOrder.RGBA),
                         (np.concatenate((bgr, alpha), 2), ColorOrder.BGRA)):
        assert as_rows(detector(Picture(other, order), 0.3, 20)).tolist() == expected
    assert as_rows(detector(Picture(bgr, ColorOrder.RGB), 0.3, 20)).tolist() != expected
    grey = np.ascontiguousarray(rgb[..., 0])
    assert as_rows(detector(Picture(grey, ColorOrder.MONO), 0.3, 20)).tolist() == as_rows(
        detector(Picture(np.stack([grey] * 3, 2), ColorOrder.RGB), 0.3, 20)).tolist()


def test_a_file_without_names_has_the_classes_of_coco(tmp_path):
    categories = torchvision.models.get_model_weights(MODEL).DEFAULT.meta['categories']
    detector = load(weights_file(tmp_path / 'coco.pth', classes=91), class_names=())
    assert detector.class_names == tuple(categories) and detector.class_names[1] == 'person'


def test_a_file_in_torchs_cache_is_what_torchvision_has_downloaded(tmp_path, monkeypatch):
    """The way that the error tells."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    entry = torchvision.models.get_model_weights(MODEL).DEFAULT
    place = tmp_path / 'hub' / 'checkpoints' / entry.url.rsplit('/', 1)[-1]
    place.parent.mkdir(parents=True)
    weights_file(place, classes=91)
    assert Detector.load(DetectorConfig(device='cpu')).class_names[1] == 'person'


def test_a_checkpoint_of_torchvisions_training_script_is_read(tmp_path, weights):
    """Its networks freeze layers, whose normalisation has no counter of batches."""
    state = {key: value for key, value in torch.load(weights).items() if not key.endswith('num_batches_tracked')}
    torch.save({'model': state, 'optimizer': {'state': {}}, 'epoch': 3}, tmp_path / 'checkpoint.pth')
    picture = Picture(pixels(), ColorOrder.RGB)
    assert load(tmp_path / 'checkpoint.pth')(picture) == load(weights)(picture) != ()


def test_weights_that_cannot_be_downloaded_say_where_a_file_goes(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))

    def no_network(*_arguments, **_options):
        raise OSError('no network')
    monkeypatch.setattr(torch.hub, 'download_url_to_file', no_network)
    url = torchvision.models.get_model_weights(MODEL).DEFAULT.url
    with pytest.raises(BundleError) as info:
        Detector.load(DetectorConfig(device='cpu'))
    assert str(info.value) == (
        f'{MODEL} COCO_V1: the weights cannot be had (no network); without a network, fetch them on another machine, '
        f'`curl -O {url}`, and put the file at {tmp_path}/hub/checkpoints/{url.rsplit("/", 1)[1]}, or name it: '
        'weights:=FILE')


@pytest.mark.parametrize('settings, kind, said', [
    ({'model': 'ssdlite320'}, ConfigError, "no detector 'ssdlite320'; did you mean ssdlite320_mobilenet_v3_large"),
    ({'model': 'maskrcnn_resnet50_fpn'}, ConfigError, 'torchvision has no detector'),
    ({'weights': 'COCO_V7', 'class_names': ()}, ConfigError, 'no COCO_V7 for ssdlite320_mobilenet_v3_large; there are '
     'DEFAULT, COCO_V1'),
    ({'weights': '/nowhere.pth'}, BundleError, '/nowhere.pth: no such file'),
    ({'class_names': ('a',)}, BundleError, 'does not fit ssdlite320_mobilenet_v3_large with 1 classes: head.'),
    ({'class_names': ()}, BundleError, 'with 90 classes: head.classification_head.module_list.0.1.weight has the shape '
     '(30, 672, 1, 1) and not (546, 672, 1, 1); name the classes of the file, in the order of its labels, by '
     'class_names'),
    ({'model': FASTER}, BundleError, f'is not of {FASTER}: of its '),
    ({'device': 'toaster'}, DeviceError, "device 'toaster'")])
def test_what_cannot_be_is_said(weights, settings, kind, said):
    with pytest.raises(kind) as info:
        Detector.load(DetectorConfig(**{'weights': str(weights), 'class_names': NAMES, 'device': 'cpu', **settings}))
    assert said in str(info.value)


def test_names_are_for_a_file_alone():
    with pytest.raises(ConfigError, match="^class_names: torchvision's weights DEFAULT have names of their own"):
        DetectorConfig(class_names=('a',))
    with pytest.raises(ConfigError, match='^image_topic: which topic'):
        DetectorConfig(image_topic='')


def test_the_detectors_are_those_of_boxes():
    assert {MODEL, FASTER, 'ssd300_vgg16', 'retinanet_resnet50_fpn', 'fcos_resnet50_fpn'} <= set(list_detectors())
    assert not [name for name in list_detectors() if name.startswith(('mask', 'keypoint'))]

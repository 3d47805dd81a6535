"""Arrays and PIL images as pictures: their own memory where that is possible. Errors: test/test_classifier.py."""
import numpy as np
import pytest
from PIL import Image

from robot_vision_dl.core.errors import ImageError
from robot_vision_dl.core.images.picture_values import picture_of_array, picture_of_pil
from robot_vision_dl.core.types import ColorOrder


@pytest.mark.parametrize('color, channels', [('rgb', 3), ('bgr', 3), ('rgba', 4), ('bgra', 4)])
def test_an_array_is_not_copied(color, channels):
    array = np.arange(4 * 5 * channels, dtype=np.uint8).reshape(4, 5, channels)
    for given in (array, array[::-1], array[:, ::2], array[..., ::-1]):
        picture = picture_of_array(given, color)
        assert picture.order is ColorOrder(color)
        assert np.shares_memory(picture.pixels, array) and (picture.pixels == given).all()


def test_two_axes_are_grey_whatever_the_colour():
    array = np.zeros((4, 5), np.uint8)
    for color in ColorOrder:
        assert picture_of_array(array, color.value).order is ColorOrder.MONO
    assert picture_of_array(array[..., None], 'mono').pixels.shape == (4, 5)
    with pytest.raises(ImageError, match=r'got \(4, 5, 1\); say color=.mono.'):
        picture_of_array(array[..., None])


def test_pil_images_keep_what_they_show():
    colors = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    for mode, order in (('RGB', ColorOrder.RGB), ('L', ColorOrder.MONO), ('RGBA', ColorOrder.RGBA)):
        image = Image.fromarray(colors).convert(mode)
        picture = picture_of_pil(image)
        assert picture.order is order and (picture.pixels == np.asarray(image)).all()
    palette = picture_of_pil(Image.fromarray(colors).quantize(256))
    assert (palette.order, palette.pixels.shape) == (ColorOrder.RGB, (4, 5, 3))


@pytest.mark.parametrize('mode', ['I', 'F', 'I;16'])
def test_pil_images_of_more_bits_are_refused(mode):
    with pytest.raises(ImageError, match='has more than 8 bits a channel') as caught:
        picture_of_pil(Image.new(mode, (5, 4)))
    assert caught.value.reason == 'encoding'

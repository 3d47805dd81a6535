"""What ``format`` of a CompressedImage says, as image_transport_plugins write and read it."""
import struct

import cv2
import numpy as np
import pytest
from fuzz.corpus_images import depth_picture, encode, photograph, rvl

from robot_vision_dl.core.config import ImageConfig
from robot_vision_dl.core.errors import ImageError
from robot_vision_dl.core.images.compressed import compressed_size, decode_compressed
from robot_vision_dl.core.images.image import decode
from robot_vision_dl.core.types import ColorOrder, CompressedImage, Header, RawImage

RNG = np.random.default_rng(0)
COLORS, GREY = photograph(RNG), photograph(RNG, channels=1)
MOSAIC, MOSAIC_16 = GREY, GREY.astype(np.uint16) * 257
DEPTH = depth_picture(RNG)
CONFIG = bytes(12)
INVERSE = struct.pack('<iff', 0, 100.0, 0.5)


def compressed(data: bytes, format: str) -> CompressedImage:
    return CompressedImage(Header(0, 'camera'), format, np.frombuffer(data, np.uint8))


def raw(pixels: np.ndarray, encoding: str) -> np.ndarray:
    """The picture that the same pixels make as an Image."""
    data = np.frombuffer(pixels.tobytes(), np.uint8)
    return decode(RawImage(Header(0, 'camera'), *pixels.shape[:2], encoding, False, data.size // len(pixels), data))


def metres(depth: np.ndarray) -> np.ndarray:
    with np.errstate(divide='ignore'):
        return np.where(depth > 0, np.float32(100) / (depth.astype(np.float32) - np.float32(0.5)), np.float32(np.nan))


PNG, PNG_16, GREY_PNG = encode(COLORS, '.png'), encode(COLORS.astype(np.uint16) * 257, '.png'), encode(GREY, '.png')
MOSAIC_PNG_16, DEPTH_PNG = encode(MOSAIC_16, '.png'), encode(DEPTH, '.png')

# What publishers write: compressed_image_transport of ROS 1 and ROS 2 (encoding, codec, "compressed", target), with a
# space at the end where there is no target; compressed_depth_image_transport; drivers of their own.
TABLE = [
    ('rgb8; png compressed bgr8', PNG, COLORS, 'bgr8'),
    ('bgr8; png compressed bgr8', PNG, COLORS, 'bgr8'),
    ('rgba8; png compressed bgr8', PNG, COLORS, 'bgr8'),
    ('rgb16; png compressed bgr16', PNG_16, COLORS, 'bgr8'),
    ('yuv422; png compressed bgr8', PNG, COLORS, 'bgr8'),
    ('8UC3; png compressed ', PNG, COLORS, 'bgr8'),
    ('png', PNG, COLORS, 'bgr8'),
    ('', PNG, COLORS, 'bgr8'),
    ('mono8; png compressed ', GREY_PNG, GREY, 'mono8'),
    ('8UC1; png compressed ', GREY_PNG, GREY, 'mono8'),
    ('mono16; png compressed ', MOSAIC_PNG_16, GREY, 'mono8'),
    ('png', GREY_PNG, GREY, 'mono8'),
    ('bayer_rggb8; png compressed ', GREY_PNG, MOSAIC, 'bayer_rggb8'),
    ('bayer_bggr8; png compressed', GREY_PNG, MOSAIC, 'bayer_bggr8'),
    ('bayer_gbrg8;png compressed ', GREY_PNG, MOSAIC, 'bayer_gbrg8'),
    (' bayer_grbg8 ; png compressed ', GREY_PNG, MOSAIC, 'bayer_grbg8'),
    ('bayer_rggb16; png compressed ', MOSAIC_PNG_16, MOSAIC_16, 'bayer_rggb16'),
    ('bayer_grbg16; png compressed ', MOSAIC_PNG_16, MOSAIC_16, 'bayer_grbg16'),
    ('bayer_rggb8; png compressed bgr8', PNG, COLORS, 'bgr8'),  # its colours were made before
    ('16UC1; png compressed ', DEPTH_PNG, DEPTH, '16UC1'),
    ('16UC1; compressedDepth', CONFIG + DEPTH_PNG, DEPTH, '16UC1'),
    ('16UC1; compressedDepth png', CONFIG + DEPTH_PNG, DEPTH, '16UC1'),
    ('16UC1', CONFIG + DEPTH_PNG, DEPTH, '16UC1'),
    ('16UC1; compressedDepth', DEPTH_PNG, DEPTH, '16UC1'),
    ('16UC1; compressedDepth rvl', CONFIG + rvl(DEPTH), DEPTH, '16UC1'),
    ('32FC1; compressedDepth', INVERSE + DEPTH_PNG, metres(DEPTH), '32FC1'),
    ('32FC1; compressedDepth png', INVERSE + DEPTH_PNG, metres(DEPTH), '32FC1'),
    ('32FC1; compressedDepth rvl', INVERSE + rvl(DEPTH), metres(DEPTH), '32FC1'),
]


@pytest.mark.parametrize('format, data, pixels, encoding', TABLE, ids=[f'{row[0]}-{row[3]}' for row in TABLE])
def test_lossless_messages_are_what_the_image_was(format, data, pixels, encoding):
    seen, expected = decode(compressed(data, format)), raw(pixels, encoding)
    np.testing.assert_array_equal(seen.pixels, expected.pixels)
    assert seen.order is expected.order


@pytest.mark.parametrize('format, is_mosaic', [
    ('bayer_rggb8; jpeg compressed ', True), ('bayer_rggb8; jpeg compressed', True),
    ('bayer_rggb16; jpeg compressed ', True), ('mono8; jpeg compressed ', False), ('jpeg', False), ('', False)])
def test_jpeg_of_a_mosaic(format, is_mosaic):
    """As ROS 1 publishes it; lossy, so the picture is near that of the Image."""
    seen = decode(compressed(encode(MOSAIC, '.jpg'), format))
    expected = raw(MOSAIC, 'bayer_rggb8' if is_mosaic else 'mono8')
    assert seen.order is expected.order is (ColorOrder.BGR if is_mosaic else ColorOrder.MONO)
    assert np.abs(seen.pixels.astype(int) - expected.pixels).mean() < 6


@pytest.mark.parametrize('format', ['rgb8; jpeg compressed bgr8', 'yuv422; jpeg compressed bgr8', 'jpeg', 'jpg', '',
                                    'bayer_rggb8; jpeg compressed bgr8', 'rgb8;jpeg compressed bgr8', ';;;', 'rgb8'])
def test_jpeg_of_colours(format):
    seen = decode(compressed(encode(COLORS, '.jpg'), format))
    assert seen.order is ColorOrder.BGR and np.abs(seen.pixels.astype(int) - COLORS).mean() < 6


@pytest.mark.parametrize('format, reason', [
    ('bayer_xxyy8; png compressed ', 'encoding'), ('rgb8; compressedDepth', 'encoding'),
    ('bayer_\x1b[31m8; png compressed ', 'encoding'), ('\x1b]0;x\x07' * 500 + '; compressedDepth', 'encoding')])
def test_formats_that_mean_nothing(format, reason):
    with pytest.raises(ImageError) as caught:
        decode(compressed(GREY_PNG, format))
    assert caught.value.reason == reason
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


@pytest.mark.parametrize('named', ['compressedDepth', 'jpeg compressedDepth', '16UC1; jpeg compressed', 'jpeg'])
def test_the_size_is_that_of_the_picture_however_the_format_is_written(named):
    file = cv2.imencode('.jpg', np.full((48, 64, 3), 90, np.uint8))[1].reshape(-1)
    image = CompressedImage(Header(1, 'camera'), named, file)
    assert compressed_size(image, ImageConfig()) == decode_compressed(image, ImageConfig()).pixels.shape[:2] == (48, 64)

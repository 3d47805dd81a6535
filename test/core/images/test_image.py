"""Image messages -> arrays and pictures: by hand where a number can be worked out, against real files elsewhere."""
import array
import io
import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from fuzz.corpus_images import rvl
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_vision_dl.core.config import ImageConfig
from robot_vision_dl.core.errors import IMAGE_REASONS, ImageError
from robot_vision_dl.core.images.convert import convert
from robot_vision_dl.core.images.encodings import NAMES, parse_encoding
from robot_vision_dl.core.images.image import decode, from_message, view
from robot_vision_dl.core.types import ColorOrder, CompressedImage, Header, RawImage

HEADER = Header(0, 'camera')
RNG = np.random.default_rng(0)


def message(pixels: np.ndarray, encoding: str, big: bool = False, padding: int = 0) -> RawImage:
    """An Image message with the given pixels."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder('>' if big else '<')).reshape(height, -1).view(np.uint8)
    rows = np.concatenate((rows, np.full((height, padding), 170, np.uint8)), axis=1)
    return RawImage(HEADER, height, width, encoding, big, rows.shape[1], np.frombuffer(rows.tobytes(), np.uint8))


def compressed(data: bytes, format: str = 'jpeg') -> CompressedImage:
    return CompressedImage(HEADER, format, np.frombuffer(data, np.uint8))


def file(pixels: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def refusal(image, **settings_) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(image, ImageConfig(**settings_))
    assert caught.value.reason in IMAGE_REASONS
    return caught.value


def photograph(height: int = 48, width: int = 64) -> np.ndarray:
    small = np.random.default_rng(5).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


# Views


@pytest.mark.parametrize('encoding', ['mono8', 'bgr8', 'rgba8', 'mono16', 'bgra16', '32FC1', '64FC3', '16SC2', '8UC4'])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('padding', [0, 1, 8])
def test_view_honours_step_byte_order_and_odd_sizes(encoding, big, padding):
    kind = parse_encoding(encoding)
    shape = (5, 7, kind.channels) if kind.channels > 1 else (5, 7)
    pixels = RNG.integers(0, 120, shape).astype(kind.dtype)
    seen = view(message(pixels, encoding, big, padding))
    np.testing.assert_array_equal(seen, pixels)
    assert seen.dtype == kind.dtype and seen.dtype.isnative
    assert not seen.flags.writeable


@pytest.mark.parametrize('encoding, channels, order', [
    ('rgb8', 3, ColorOrder.RGB), ('bgr8', 3, ColorOrder.BGR), ('rgba8', 4, ColorOrder.RGBA),
    ('bgra8', 4, ColorOrder.BGRA), ('mono8', 1, ColorOrder.MONO), ('8UC1', 1, ColorOrder.MONO),
    ('8UC3', 3, ColorOrder.BGR), ('8UC4', 4, ColorOrder.BGRA)])
def test_eight_bit_pictures_are_views_of_the_message(encoding, channels, order):
    pixels = RNG.integers(0, 256, (5, 7, channels) if channels > 1 else (5, 7), np.uint8)
    image = message(pixels, encoding, padding=3)
    picture = decode(image)
    assert np.shares_memory(picture.pixels, image.data)
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert (picture.order, picture.height, picture.width) == (order, 5, 7)


def test_last_row_may_lack_its_padding_and_bytes_may_follow():
    pixels = RNG.integers(0, 256, (4, 5, 3), np.uint8)
    image = message(pixels, 'bgr8', padding=9)
    for data in (image.data[:-9], np.concatenate((image.data, image.data))):
        np.testing.assert_array_equal(view(RawImage(HEADER, 4, 5, 'bgr8', False, image.step, data)), pixels)


# Encodings


@pytest.mark.parametrize('encoding', ['rgb16', 'bgra16', 'mono16', '16UC3'])
@pytest.mark.parametrize('big', [False, True])
def test_sixteen_bit_is_scaled(encoding, big):
    channels = parse_encoding(encoding).channels
    values = np.array([0, 128, 129, 257 * 100, 257 * 100 + 128, 65535], np.uint16)
    pixels = values[:, None, None].repeat(2, 1).repeat(channels, 2).squeeze()
    seen = decode(message(pixels, encoding, big)).pixels
    np.testing.assert_array_equal(seen.reshape(6, -1)[:, 0], [0, 0, 1, 100, 100, 255])


@pytest.mark.parametrize('encoding, row', [
    ('8SC1', {-128: 0, 0: 128, 127: 255}), ('16SC1', {-32768: 0, 0: 128, 32767: 255}),
    ('32SC1', {-2 ** 31: 0, 0: 128, 2 ** 31 - 1: 255})])
def test_signed_numbers_take_their_whole_range(encoding, row):
    pixels = np.array([list(row)], parse_encoding(encoding).dtype)
    np.testing.assert_array_equal(decode(message(pixels, encoding)).pixels, [list(row.values())])


def test_float_colours_are_zero_to_one():
    pixels = np.array([[[0.0, 0.5, 1.0], [-3.0, np.nan, np.inf]]], np.float32)
    picture = decode(message(pixels, '32FC3'))
    np.testing.assert_array_equal(picture.pixels, [[[0, 128, 255], [0, 0, 255]]])
    assert picture.order is ColorOrder.BGR


@pytest.mark.parametrize('pattern, colours', [  # BGR of the four pixels of a tile that is red alone
    ('rggb', (1, 0, 0, 0)), ('bggr', (0, 0, 0, 1)), ('gbrg', (0, 0, 1, 0)), ('grbg', (0, 1, 0, 0))])
@pytest.mark.parametrize('bits', [8, 16])
def test_bayer_red_is_red(pattern, colours, bits):
    tile = np.array(colours, f'u{bits // 8}').reshape(2, 2) * (2 ** bits - 1)
    picture = decode(message(np.tile(tile, (8, 8)), f'bayer_{pattern}{bits}'))
    blue, green, red = picture.pixels[4:-4, 4:-4].reshape(-1, 3).T
    assert picture.order is ColorOrder.BGR
    assert (red == 255).all() and (green == 0).all() and (blue == 0).all()


def yuv(y: int, u: int, v: int) -> np.ndarray:
    """BGR of one colour by ITU-R BT.601, limited range."""
    y, u, v = (y - 16) * 255 / 219, u - 128, v - 128
    return np.clip([y + 2.018 * u, y - 0.391 * u - 0.813 * v, y + 1.596 * v], 0, 255)


@pytest.mark.parametrize('encoding', ['uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2', 'nv12', 'nv21', 'nv24'])
@pytest.mark.parametrize('height, width', [(4, 6), (5, 7), (5, 6), (4, 7), (1, 1)])
@pytest.mark.parametrize('padding', [0, 6])
def test_yuv_of_one_colour(encoding, height, width, padding):
    y, u, v = 120, 90, 200
    even = width + width % 2
    pairs = {'u': (u, y, v, y), 'y': (y, u, y, v)}
    if encoding.startswith('nv'):
        step = (width if encoding == 'nv24' else even) + padding
        chroma = (v, u) if encoding == 'nv21' else (u, v)
        count = height if encoding == 'nv24' else (height + 1) // 2
        row = step if encoding == 'nv24' else step // 2
        raw = [y] * (step * height) + list(chroma) * (row * count)
    else:
        step = 2 * width + padding
        order = 'y' if encoding in ('yuyv', 'yuv422_yuy2') else 'u'
        raw = (list(pairs[order]) * (width + padding))[:step] * height
    if width == 1 and not encoding.startswith('nv'):
        return  # one pixel of yuv422 holds one colour difference of two
    picture = decode(RawImage(HEADER, height, width, encoding, False, step, np.array(raw, np.uint8)))
    assert picture.pixels.shape == (height, width, 3)
    assert np.abs(picture.pixels - yuv(y, u, v)).max() <= 2


def test_nv24_agrees_with_nv12_where_colours_are_shared():
    rng = np.random.default_rng(1)
    luma, chroma = rng.integers(16, 236, (6, 8), np.uint8), rng.integers(16, 240, (3, 4, 2), np.uint8)
    every = chroma.repeat(2, 0).repeat(2, 1).reshape(12, 8)
    np.testing.assert_array_equal(convert(np.concatenate((luma, every)), 'nv24', 'bgr8'),
                                  convert(np.concatenate((luma, chroma.reshape(3, 8))), 'nv12', 'bgr8'))


def test_planar_step_that_counts_all_planes():
    raw = RNG.integers(0, 256, 6 * 8 * 3 // 2, np.uint8)
    right, wrong = (decode(RawImage(HEADER, 6, 8, 'nv12', False, step, raw)).pixels for step in (8, 12))
    np.testing.assert_array_equal(right, wrong)


def test_every_named_encoding_becomes_a_picture():
    for name in NAMES:
        encoding = parse_encoding(name)
        raw = np.full(6 * 8 * 3 * encoding.pixel_bytes, 100, np.uint8)
        assert decode(RawImage(HEADER, 6, 8, name, False, 8 * encoding.pixel_bytes, raw)).pixels.shape[:2] == (6, 8)


@pytest.mark.parametrize('source, target', [
    ('mono8', 'nv12'), ('bgr8', 'bayer_rggb8'), ('16UC1', 'mono8'), ('8UC3', 'bgr8'), ('bgr8', '8UC1'),
    ('bgr8', 'uyvy'), ('nv12', '8UC1')])
def test_conversions_that_make_no_sense(source, target):
    with pytest.raises(ImageError, match=f'no conversion from {source} to {target}'):
        convert(np.zeros((6, 8, 3), np.uint8), source, target)


def test_bayer_to_alpha_is_opaque():
    pixels = RNG.integers(0, 65536, (6, 8)).astype(np.uint16)
    seen = convert(pixels, 'bayer_gbrg16', 'rgba8')
    np.testing.assert_array_equal(seen[..., :3], convert(pixels, 'bayer_gbrg16', 'rgb8'))
    assert (seen[..., 3] == 255).all()


# Depth


@pytest.mark.parametrize('encoding, values', [
    ('16UC1', [0, 100, 500, 1000, 1500, 65535]), ('32FC1', [np.nan, 0.1, 0.5, 1.0, 1.5, 60.0]),
    ('64FC1', [-1.0, 0.1, 0.5, 1.0, 1.5, 1e300]), ('32FC1', [np.inf, 0.1, 0.5, 1.0, 1.5, 3e38])])
@pytest.mark.parametrize('big', [False, True])
def test_depth_is_grey_near_dark_far_white_nothing_black(encoding, values, big):
    pixels = np.array([values], parse_encoding(encoding).dtype)
    picture = decode(message(pixels, encoding, big), ImageConfig(depth_near_m=0.5, depth_far_m=1.5))
    farthest = 0 if values[-1] == 1e300 else 255  # more than float32 holds is infinite, so no reading
    np.testing.assert_array_equal(picture.pixels, [[0, 1, 1, 128, 255, farthest]])
    assert picture.order is ColorOrder.MONO


@pytest.mark.filterwarnings('error')
def test_depth_without_a_reading_is_refused():
    for value in (0.0, np.nan, np.inf, -np.inf):
        error = refusal(message(np.full((4, 5), value, np.float32), '32FC1'))
        assert error.reason == 'no_valid_depth' and 'none of the 20' in str(error)
    assert refusal(message(np.zeros((4, 5), np.uint16), '16UC1')).reason == 'no_valid_depth'


# JPEG, PNG, compressedDepth


@pytest.mark.parametrize('format', ['jpeg', 'jpg', '', 'png', 'rgb8; jpeg compressed bgr8',
                                    'bgr8; jpeg compressed bgr8'])
def test_jpeg_whatever_its_format_says(format):
    pixels = photograph()
    picture = decode(compressed(file(pixels, '.jpg'), format))
    assert picture.order is ColorOrder.BGR
    assert np.abs(picture.pixels.astype(int) - pixels).mean() < 6


@pytest.mark.parametrize('channels, order', [(1, ColorOrder.MONO), (3, ColorOrder.BGR), (4, ColorOrder.BGRA)])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_png(channels, order, dtype):
    pixels = RNG.integers(0, 2 ** (8 * dtype().itemsize), (5, 7, channels)).astype(dtype).squeeze()
    picture = decode(compressed(file(pixels, '.png'), 'png'))
    assert picture.order is order
    np.testing.assert_array_equal(picture.pixels, pixels if dtype is np.uint8 else np.rint(pixels / 257))


@pytest.mark.parametrize('mode, suffix, order', [
    ('L', 'JPEG', ColorOrder.MONO), ('CMYK', 'JPEG', ColorOrder.BGR), ('P', 'PNG', ColorOrder.BGR),
    ('1', 'PNG', ColorOrder.MONO), ('LA', 'PNG', ColorOrder.BGRA)])
def test_files_of_other_colour_models(mode, suffix, order):
    image = pytest.importorskip('PIL.Image')
    stream = io.BytesIO()
    image.fromarray(photograph()).convert(mode).save(stream, suffix)
    picture = decode(compressed(stream.getvalue()))
    assert picture.order is order and picture.pixels.shape[:2] == (48, 64)


@pytest.mark.parametrize('progressive', [False, True])
def test_exif_orientation_is_ignored_and_a_thumbnail_is_no_picture(progressive):
    image = pytest.importorskip('PIL.Image')
    exif = image.Exif()
    exif[0x0112] = 6
    thumbnail = file(photograph(16, 16), '.jpg')
    stream = io.BytesIO()
    image.fromarray(photograph()).save(stream, 'JPEG', exif=exif, progressive=progressive)
    raw = stream.getvalue()
    raw = raw[:2] + b'\xff\xe2' + struct.pack('>H', 2 + len(thumbnail)) + thumbnail + raw[2:]
    assert decode(compressed(raw)).pixels.shape == (48, 64, 3)
    assert refusal(compressed(raw[:-100])).reason == 'truncated'


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_every_cut_of_a_file_is_refused(suffix):
    raw = file(photograph(16, 24), suffix)
    for length in range(len(raw) - 1):
        assert refusal(compressed(raw[:length])).reason in ('truncated', 'compressed', 'empty'), length
    assert refusal(compressed(raw[:len(raw) // 2])).reason == 'truncated'
    assert refusal(compressed(raw[:-20] + bytes(5000))).reason == 'truncated'
    decode(compressed(raw + b'\0\0 something after the end'))


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_a_claimed_size_is_refused_before_anything_is_allocated(suffix):
    raw = bytearray(file(photograph(), suffix))
    if suffix == '.png':
        raw[16:24] = struct.pack('>II', 100_000, 100_000)
    else:
        at = raw.index(b'\xff\xc0')
        raw[at + 5:at + 9] = struct.pack('>HH', 65_000, 65_000)
    error = refusal(compressed(bytes(raw)))
    assert error.reason == 'too_large'
    assert '000 x ' in str(error) and 'raise image.max_megapixels' in str(error)


def test_what_is_neither_jpeg_nor_png():
    error = refusal(compressed(b'RIFF\x10\0\0\0WEBPVP8 ', 'webp'))
    assert error.reason == 'compressed'
    assert 'neither JPEG nor PNG, begins with 52 49 46 46' in str(error) and "'webp'" in str(error)
    assert refusal(compressed(b'')).reason == 'empty'


DEPTH = np.random.default_rng(3).integers(0, 9000, (9, 11)).astype(np.uint16) * (
    np.random.default_rng(4).random((9, 11)) < 0.7).astype(np.uint16)


@pytest.mark.parametrize('format, code', [
    ('16UC1; compressedDepth', lambda depth: file(depth, '.png')),
    ('16UC1; compressedDepth png', lambda depth: file(depth, '.png')),
    ('16UC1', lambda depth: file(depth, '.png')),
    ('16UC1; compressedDepth rvl', rvl)])
def test_compressed_depth_in_millimetres(format, code):
    picture = decode(compressed(struct.pack('<iff', 0, 0, 0) + code(DEPTH), format))
    np.testing.assert_array_equal(picture.pixels, decode(message(DEPTH, '16UC1')).pixels)


@pytest.mark.parametrize('name, code', [('png', lambda depth: file(depth, '.png')), ('rvl', rvl)])
def test_compressed_depth_in_metres_is_stored_inverted(name, code):
    metres = np.random.default_rng(6).uniform(0.3, 9.5, (9, 11)).astype(np.float32)
    metres[2, 3] = np.nan
    farthest, quantum = 10.0, 100.0  # the publisher's defaults
    a = quantum * (quantum + 1)
    b = 1 - a / farthest
    stored = np.where(np.isnan(metres), 0, a / metres + b).astype(np.uint16)
    image = compressed(struct.pack('<iff', 0, a, b) + code(stored), f'32FC1; compressedDepth {name}')
    expected = decode(message(metres, '32FC1')).pixels.astype(int)
    seen = decode(image).pixels.astype(int)
    assert seen[2, 3] == 0
    assert np.abs(seen - expected).max() <= 1


def test_png_of_the_compressed_transport_may_hold_depth():
    picture = decode(compressed(file(DEPTH, '.png'), '16UC1; png compressed '))
    np.testing.assert_array_equal(picture.pixels, decode(message(DEPTH, '16UC1')).pixels)


def test_damaged_compressed_depth():
    raw = struct.pack('<iff', 0, 0, 0) + rvl(DEPTH)
    for length in range(1, len(raw) - 4):
        assert refusal(compressed(raw[:length], '16UC1; compressedDepth rvl')).reason in (
            'truncated', 'compressed'), length
    assert refusal(compressed(raw, 'rgb8; compressedDepth png')).reason == 'encoding'
    assert refusal(compressed(raw[:12] + struct.pack('<II', 100_000, 100_000) + raw[20:],
                              '16UC1; compressedDepth rvl')).reason == 'too_large'
    assert refusal(compressed(raw[:12] + file(photograph(), '.png'), '16UC1; compressedDepth')).reason == 'compressed'


# Refusals


@pytest.mark.parametrize('changes, reason, text', [
    ({'width': 0}, 'empty', 'is 0 x 4 pixels'),
    ({'height': 0}, 'empty', 'is 5 x 0 pixels'),
    ({'step': 14}, 'step', 'step is 14 bytes, but 5 pixels of bgr8 need 15'),
    ({'data': np.zeros(59, np.uint8)}, 'truncated',
     'data has 59 bytes, but 5 x 4 pixels of bgr8 with a step of 15 need 60'),
    ({'data': np.zeros(0, np.uint8)}, 'truncated', 'data has 0 bytes'),
    ({'encoding': 'rgb9'}, 'encoding', "unknown image encoding 'rgb9'; known are bayer_"),
    ({'encoding': ''}, 'encoding', "unknown image encoding ''"),
    ({'encoding': '32FC0'}, 'encoding', "unknown image encoding '32FC0'"),
    ({'encoding': '8UC2'}, 'encoding', 'nothing says what the 2 channels of 8UC2 are'),
    ({'encoding': 'nv12', 'step': 4, 'width': 5}, 'step', 'row of 5 pixels of nv12 needs 6'),
    ({'height': 100_000, 'width': 100_000}, 'too_large', 'claims 100000 x 100000 pixels, more than 25 megapixels'),
    ({'height': 2 ** 32 - 1, 'width': 2 ** 32 - 1, 'step': 2 ** 32 - 1}, 'too_large', 'megapixels'),
    ({'height': 1, 'width': 65}, 'aspect_ratio', 'a strip of 65 x 1 pixels')])
def test_bad_images_are_refused_with_reason_and_remedy(changes, reason, text):
    fields = {'height': 4, 'width': 5, 'encoding': 'bgr8', 'step': 15, 'data': np.zeros(60, np.uint8), **changes}
    error = refusal(RawImage(HEADER, fields['height'], fields['width'], fields['encoding'], False, fields['step'],
                             fields['data']))
    assert error.reason == reason
    assert text in str(error)


def test_the_limit_is_a_setting():
    image = message(np.zeros((200, 100, 3), np.uint8), 'bgr8')
    assert decode(image, ImageConfig(max_megapixels=0.02)).height == 200
    assert refusal(image, max_megapixels=0.0199).reason == 'too_large'


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 9), st.integers(0, 9), st.sampled_from([*NAMES, '8UC1', '16UC2', '32FC1', '64FC4', '8SC3', 'x']),
       st.integers(0, 80), st.binary(max_size=700), st.booleans())
def test_any_fields_give_a_picture_or_a_reason(height, width, encoding, step, data, big):
    try:
        picture = decode(RawImage(HEADER, height, width, encoding, big, step, np.frombuffer(data, np.uint8)))
    except ImageError as error:
        assert error.reason in IMAGE_REASONS
    else:
        assert picture.pixels.shape[:2] == (height, width) and picture.pixels.dtype == np.uint8


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(['.jpg', '.png', 'rvl']), st.data())
def test_damaged_files_give_a_picture_or_a_reason(suffix, data):
    raw = bytearray(struct.pack('<iff', 0, 0, 0) + rvl(DEPTH) if suffix == 'rvl' else file(photograph(16, 24), suffix))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(compressed(bytes(raw), '32FC1; compressedDepth rvl' if suffix == 'rvl' else 'jpeg'),
               ImageConfig(max_megapixels=0.1))
    except ImageError as error:
        assert error.reason in IMAGE_REASONS


# Message objects


@pytest.mark.parametrize('kind', [bytes, bytearray, list, lambda raw: array.array('B', raw),
                                  lambda raw: np.frombuffer(raw, np.uint8)])
def test_message_objects(kind):
    stamp = SimpleNamespace(stamp=SimpleNamespace(sec=2, nanosec=5), frame_id='eye')
    raw = bytes(range(24))
    image = from_message(SimpleNamespace(header=stamp, height=2, width=4, encoding='rgb8', is_bigendian=0, step=12,
                                         data=kind(raw)))
    assert image.header == Header(2_000_000_005, 'eye')
    assert image.data.tobytes() == raw and not image.data.flags.writeable
    assert decode(image).order is ColorOrder.RGB
    found = from_message(SimpleNamespace(header=stamp, format='png', data=kind(raw)))
    assert isinstance(found, CompressedImage) and found.data.tobytes() == raw


def test_message_objects_of_rclpy():
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    messages = pytest.importorskip('sensor_msgs.msg')
    ros = messages.Image(height=2, width=4, encoding='rgb8', step=12)
    ros.data = bytes(24)
    image = from_message(ros)
    ros.data[5] = 9
    assert image.data[5] == 9  # not copied
    assert decode(image).pixels.shape == (2, 4, 3)
    assert isinstance(from_message(messages.CompressedImage(format='png')), CompressedImage)


def test_what_is_no_image_message():
    with pytest.raises(TypeError, match='expected a sensor_msgs Image or CompressedImage, got SimpleNamespace'):
        from_message(SimpleNamespace(data=b''))

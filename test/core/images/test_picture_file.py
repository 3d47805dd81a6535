"""Picture files: decoded as OpenCV does, upright, and refused by their size before they are decoded."""
import re
import struct

import cv2
import numpy as np
import pytest
from fuzz.corpus_images import encode, jpeg_files, photograph, pillow, png_files
from PIL import Image

from robot_vision_dl.core.errors import ImageError
from robot_vision_dl.core.images.picture_file import decode_picture

RNG = np.random.default_rng(0)
COLORS, GREY = photograph(RNG, 48, 64), photograph(RNG, 48, 64, 1)


def decoded(data: bytes) -> np.ndarray:
    return decode_picture(np.frombuffer(data, np.uint8), 'a.jpg')


def refusal(data: bytes) -> ImageError:
    with pytest.raises(ImageError, match='^a.jpg: ') as caught:
        decoded(data)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400
    assert 'image.max_megapixels' not in str(caught.value)
    return caught.value


FILES = [*jpeg_files(COLORS, GREY), *png_files(RNG, COLORS, GREY)]


@pytest.mark.parametrize('data', [row[2] for row in FILES], ids=[row[0] for row in FILES])
def test_jpeg_and_png_of_all_kinds(data):
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    np.testing.assert_array_equal(decoded(data), expected)


@pytest.mark.parametrize('kind', ['BMP', 'WEBP', 'TIFF', 'PPM'])
@pytest.mark.parametrize('pixels', [COLORS, GREY], ids=['colours', 'grey'])
def test_other_formats(kind, pixels):
    options = {'lossless': True} if kind == 'WEBP' else {}
    seen = decoded(pillow(Image.fromarray(pixels[..., ::-1] if pixels.ndim == 3 else pixels), kind, **options))
    np.testing.assert_array_equal(seen if seen.ndim == pixels.ndim else seen[..., 0], pixels)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_upright_as_exif_says(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = pillow(Image.fromarray(COLORS), kind, exif=exif)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    np.testing.assert_array_equal(decoded(data), expected)
    if kind == 'JPEG':
        assert decoded(data).shape == ((64, 48, 3) if orientation > 4 else (48, 64, 3))


def bmp(width: int, height: int) -> bytes:
    return b'BM' + struct.pack('<IHHIIiiHHIIiiII', 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(99)


def tiff(width: int, height: int) -> bytes:
    """One strip that is said to hold all rows, compressed."""
    tags = ((256, width), (257, height), (258, 8), (259, 8), (262, 1), (273, 8), (277, 1), (278, height), (279, 20))
    return (b'II*\0' + struct.pack('<IH', 8, len(tags)) + b''.join(struct.pack('<HHII', tag, 4, 1, value)
                                                                  for tag, value in tags) + bytes(50))


PNG = encode(COLORS, '.png')
LARGE = [bmp(60_000, 60_000), bmp(12_000, 9_000), tiff(60_000, 60_000), tiff(12_000, 9_000),
         b'P6 60000 60000 255 ' + bytes(99), b'P6 12000 9000 255 ' + bytes(99),
         PNG[:16] + struct.pack('>II', 12_000, 9_000) + PNG[24:]]


@pytest.mark.filterwarnings('ignore:Image size')
@pytest.mark.parametrize('data', LARGE, ids=['BMP', 'BMP 2', 'TIFF', 'TIFF 2', 'PPM', 'PPM 2', 'PNG'])
def test_a_claimed_size_is_refused_before_anything_is_decoded(data, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    error = refusal(data)
    assert error.reason == 'too_large' and 'make it smaller' in str(error)


@pytest.mark.parametrize('kind', ['GIF', 'WEBP'])
def test_films_are_no_pictures(kind):
    images = [Image.fromarray(COLORS), Image.fromarray(COLORS[::-1].copy())]
    error = refusal(pillow(images[0], kind, save_all=True, append_images=images[1:]))
    assert 'a film of 2 pictures' in str(error)


@pytest.mark.parametrize('data, reason', [
    (b'', 'empty'), (b'hello, this is a text', 'compressed'), (bytes(1000), 'compressed'),
    (encode(COLORS, '.jpg')[:500], 'truncated'), (encode(COLORS, '.png')[:500], 'truncated'),
    (b'BM' + bytes(80), 'compressed'), (b'#?RADIANCE\n\n-Y 9 +X 9\n' + bytes(400), 'compressed'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n', 'compressed')])
def test_what_is_no_picture(data, reason):
    assert refusal(data).reason == reason


@pytest.mark.parametrize('data', [
    b'hello, this is a text', bytes(1000), encode(COLORS, '.jpg')[:500], encode(COLORS, '.png')[:500],
    encode(COLORS, '.png')[:30], encode(COLORS, '.tiff')[:40], b'BM' + bytes(80), *LARGE,
    pillow(Image.fromarray(COLORS), 'PNG', save_all=True, append_images=[Image.fromarray(COLORS[::-1].copy())])])
@pytest.mark.filterwarnings('ignore:Image size')
def test_files_are_spoken_of_as_files(data):
    """The checks are shared with those of messages, their remedies are not; nor does anyone ask for our objects."""
    text = str(refusal(data))
    assert not re.search(r'message|transport|publish|driver|image\.max|<|0x|BytesIO|, format', text), text


@pytest.mark.parametrize('pixels', [COLORS.astype(np.float32), COLORS[..., 0].astype(np.float32)], ids=['BGR', 'grey'])
def test_tiff_of_floating_point_is_told_what_is_read(pixels):
    assert '8 or 16 bit whole numbers are read, not those of floating point' in str(refusal(encode(pixels, '.tiff')))
    whole = np.frombuffer(encode(pixels.astype(np.uint16) * 257, '.tiff'), np.uint8)
    assert decode_picture(whole, 'a.tiff').dtype == np.uint8

"""What an image message that is accepted may cost, and that large ones are held to the same as small ones."""
import io
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from fuzz.corpus_images import PNG_SIGNATURE, chunk, encode, photograph, pillow
from PIL import Image, ImageFile

from robot_vision_dl.core.config import ImageConfig
from robot_vision_dl.core.errors import ImageError
from robot_vision_dl.core.images.image import decode
from robot_vision_dl.core.types import CompressedImage, Header

RNG = np.random.default_rng(0)
SMALL = encode(photograph(RNG, 64, 64, 1), '.jpg')
END = b'\xff\xd9'


def picture(data: bytes, **settings) -> np.ndarray:
    message = CompressedImage(Header(0, 'camera'), '', np.frombuffer(data, np.uint8))
    return decode(message, ImageConfig(**settings)).pixels


def refusal(data: bytes, **settings) -> ImageError:
    with pytest.raises(ImageError) as caught:
        picture(data, **settings)
    return caught.value


def parts(file: bytes):
    """Up to the scan's header, that, and the coded bytes, of a file of one scan."""
    at = file.index(b'\xff\xda')
    start = at + 2 + struct.unpack_from('>H', file, at + 2)[0]
    return file[:at], file[at:start], file[start:-2]


def resized(head: bytes, height: int, width: int) -> bytes:
    at = head.index(b'\xff\xc0')
    return head[:at + 5] + struct.pack('>HH', height, width) + head[at + 9:]


@pytest.mark.parametrize('fill', [b'\xff', b'\xff\x01', b'\xff\xd3'])
def test_fill_bytes_count_together_however_they_are_spread(fill):
    run = fill * (4000 // len(fill)) + b'\xff\xfe\0\2'
    np.testing.assert_array_equal(picture(SMALL[:2] + run + SMALL[2:]), picture(SMALL))
    data = SMALL[:2] + run * 4000 + SMALL[2:]
    started = time.process_time()
    assert 'more than 4096 fill bytes' in str(refusal(data))
    assert time.process_time() - started < 0.1


def of_one_block(block: np.ndarray, side: int, without: int = -1) -> bytes:
    """A picture of one block, with a restart marker behind each; ``without`` the coded bytes of one of them."""
    head, scan, coded = parts(encode(block, '.jpg', cv2.IMWRITE_JPEG_QUALITY, 95))
    blocks = (side // 8) ** 2
    bodies = [coded + bytes((0xFF, 0xD0 + i % 8)) for i in range(8)] * (blocks // 8 + 1)
    bodies = bodies[:blocks]
    if without >= 0:
        bodies[without] = bodies[without][-2:]
    return resized(head, side, side) + b'\xff\xdd\0\4\0\1' + scan + b''.join(bodies)[:-2] + END


def almost_grey() -> np.ndarray:
    block = np.full((8, 8), 128, np.uint8)
    block[0, :2] = 255
    return block


@pytest.mark.parametrize('block', [almost_grey(), np.full((8, 8), 128, np.uint8), photograph(RNG, 8, 8, 1)],
                         ids=['corners are grey', 'grey', 'none is grey'])
def test_many_restart_intervals_take_no_longer_than_decoding(block):
    data = of_one_block(block, 4992)
    started = time.process_time()
    assert picture(data).shape == (4992, 4992)
    assert time.process_time() - started < 1.0  # measured: .1 to .25; a loop over all took 1.8


@pytest.mark.parametrize('without', [0, 77, 8192, 16382, 16383])
def test_one_empty_interval_among_many_is_noticed(without):
    block = np.full((8, 8), 60, np.uint8)
    assert picture(of_one_block(block, 1024)).shape == (1024, 1024)
    assert refusal(of_one_block(block, 1024, without)).reason == 'truncated'


def test_an_empty_interval_of_a_grey_picture_of_very_many():
    """Few bytes are put in for each then, and still seen."""
    grey = np.full((8, 8), 128, np.uint8)
    data = of_one_block(grey, 4992, 5)
    assert data != of_one_block(grey, 4992) and refusal(data).reason == 'truncated'


def noise(side: int, kind: str = 'RGB', **options) -> bytes:
    ImageFile.MAXBLOCK, before = 2 ** 27, ImageFile.MAXBLOCK  # Pillow's encoder wants all in one
    try:
        pixels = RNG.integers(0, 256, (side, side, len(kind)), np.uint8).squeeze()
        return pillow(Image.fromarray(pixels, kind) if kind != 'L' else Image.fromarray(pixels), 'JPEG', **options)
    finally:
        ImageFile.MAXBLOCK = before


@pytest.mark.filterwarnings('ignore:.*mode.*:DeprecationWarning')
@pytest.mark.parametrize('kind, options', [('RGB', {'progressive': True}), ('CMYK', {}),
                                           ('CMYK', {'progressive': True})])
def test_what_takes_a_decoder_long_has_few_bytes(kind, options):
    data = noise(640, kind, quality=95, **options)
    assert picture(data).shape == (640, 640, 3)
    error = refusal(data, max_megapixels=0.42)
    assert error.reason == 'too_large' and 'may have 210000' in str(error)
    assert picture(noise(640, quality=95), max_megapixels=0.42).shape == (640, 640, 3)


def test_baseline_has_few_bytes_a_pixel_of_the_largest_picture_and_few_a_sample():
    data = noise(640, quality=100, subsampling=0)
    assert picture(data).shape == (640, 640, 3)
    assert 'baseline ones may have 840000' in str(refusal(data, max_megapixels=0.42))
    # Bytes behind the last block, which a decoder skips.
    head, scan, coded = parts(SMALL)
    assert 'which take 8192 at most' in str(refusal(head + scan + coded + bytes(10 ** 6) + END))


def large(side: int, channels: int) -> np.ndarray:
    piece = photograph(RNG, side // 5, side // 5, channels).reshape(side // 5, side // 5, -1)
    return np.tile(piece, (5, 5, 1)).squeeze()


def three_scans(side: int, keep: float = 1.0) -> bytes:
    """A baseline file with a scan for each colour; of the last of them only a part."""
    planes = [parts(encode(large(side, 1), '.jpg', cv2.IMWRITE_JPEG_QUALITY, 80)) for _ in range(3)]
    head = planes[0][0]
    at = head.index(b'\xff\xc0')
    sof = b'\xff\xc0' + struct.pack('>HBHHB', 17, 8, side, side, 3) + b'\1\x11\0\2\x11\0\3\x11\0'
    end = at + 2 + struct.unpack_from('>H', head, at + 2)[0]
    out = head[:at] + sof + head[end:]
    for name, (_, _, coded) in enumerate(planes, 1):
        cut = coded if name < 3 else coded[:int(keep * len(coded))].rstrip(b'\xff')
        out += b'\xff\xda\0\x08\1' + bytes((name, 0, 0, 63, 0)) + cut
    return out + END


@pytest.mark.parametrize('side', [200, 3000])
def test_a_file_of_several_scans_that_is_cut_off(side):
    assert picture(three_scans(side)).shape == (side, side, 3)
    for keep in (0.25, 0.9):
        assert refusal(three_scans(side, keep)).reason == 'truncated'


@pytest.mark.filterwarnings('ignore:.*mode.*:DeprecationWarning')
@pytest.mark.parametrize('side', [200, 3000])
def test_a_file_of_cmyk_that_is_cut_off(side):
    data = pillow(Image.fromarray(large(side, 4), 'CMYK'), 'JPEG', quality=80)
    assert picture(data).shape == (side, side, 3)
    for keep in (0.25, 0.9):
        assert refusal(data[:int(keep * len(data))].rstrip(b'\xff') + END).reason == 'truncated'


@pytest.mark.filterwarnings('ignore:.*mode.*:DeprecationWarning')
@pytest.mark.parametrize('mode, channels', [('RGB', 3), ('L', 1), ('CMYK', 4)])
def test_a_large_progressive_file_whose_first_scan_is_short(mode, channels):
    image = Image.fromarray(large(3000, channels), mode)
    ImageFile.MAXBLOCK, before = 2 ** 27, ImageFile.MAXBLOCK
    try:
        data = pillow(image, 'JPEG', progressive=True)
    finally:
        ImageFile.MAXBLOCK = before
    assert picture(data).shape[:2] == (3000, 3000)
    at = np.frombuffer(data, np.uint8)
    first, second = np.flatnonzero((at[:-1] == 0xFF) & (at[1:] == 0xDA))[:2].tolist()
    # Tables of the second scan stand between them.
    end = first + 14
    while data[end] != 0xFF or data[end + 1] == 0:
        end += 1
    assert end <= second
    cut = (first + 14 + end) // 2
    assert refusal(data[:cut].rstrip(b'\xff') + data[end:]).reason == 'truncated'


def palette_png(pixels: np.ndarray, entries: bytes, bits: int = 8, transparency: bytes = b'') -> bytes:
    rows = np.packbits(np.unpackbits(pixels[..., None], axis=2)[..., 8 - bits:].reshape(len(pixels), -1), axis=1)
    packed = zlib.compress(b''.join(b'\0' + row.tobytes() for row in rows))
    chunks = [(b'IHDR', struct.pack('>IIBBBBB', pixels.shape[1], pixels.shape[0], bits, 3, 0, 0, 0)),
              (b'PLTE', entries), (b'IDAT', packed), (b'IEND', b'')]
    if transparency:
        chunks.insert(2, (b'tRNS', transparency))
    return PNG_SIGNATURE + b''.join(chunk(*each) for each in chunks)


@pytest.mark.parametrize('transparency', [b'', b'\x40'], ids=['opaque', 'transparent'])
@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_pixels_without_an_entry_in_the_palette(bits, transparency):
    for count in {1, 2 ** bits // 2, 2 ** bits - 1, 2 ** bits} - {0}:
        entries = RNG.integers(0, 256, (count, 3), np.uint8)
        entries[0] = 255, 0, 255  # as the colour that shows what is missing would be, if it could
        pixels = RNG.integers(0, count, (17, 23)).astype(np.uint8)
        seen = picture(palette_png(pixels, entries.tobytes(), bits, transparency))
        np.testing.assert_array_equal(seen[..., :3], entries[pixels][..., ::-1])
        if count < 2 ** bits:
            pixels[16, 22] = count
            error = refusal(palette_png(pixels, entries.tobytes(), bits, transparency))
            assert error.reason == 'compressed' and 'its palette has no entry for' in str(error)


def test_a_palette_of_greys():
    entries = np.arange(0, 200, 2, np.uint8).repeat(3).tobytes()
    pixels = RNG.integers(0, 100, (20, 30)).astype(np.uint8)
    seen = picture(palette_png(pixels, entries))
    np.testing.assert_array_equal(seen.reshape(20, 30, -1)[..., 0], 2 * pixels)
    pil = np.asarray(Image.open(io.BytesIO(palette_png(pixels, entries))).convert('RGB'))
    np.testing.assert_array_equal(pil[..., 0], 2 * pixels)

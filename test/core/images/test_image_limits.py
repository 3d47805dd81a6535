"""Image messages that ask for more than they hold, or hold something else than they say: refused, quickly."""
import io
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from fuzz.corpus_images import (
    PNG_SIGNATURE,
    chunk,
    depth_picture,
    encode,
    photograph,
    pillow,
    png,
    png_with_chunks,
    rvl,
)
from PIL import Image

from robot_vision_dl.core.config import ImageConfig
from robot_vision_dl.core.errors import IMAGE_REASONS, ImageError
from robot_vision_dl.core.images import jpeg_file, png_file
from robot_vision_dl.core.images.image import decode
from robot_vision_dl.core.images.rvl import decode_rvl
from robot_vision_dl.core.types import CompressedImage, Header

RNG = np.random.default_rng(0)
COLORS, GREY = photograph(RNG, 96, 128), photograph(RNG, 96, 128, 1)
JPEG, PNG = encode(COLORS, '.jpg'), encode(COLORS, '.png')
PROGRESSIVE = encode(COLORS, '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


def compressed(data: bytes, format: str = '') -> CompressedImage:
    return CompressedImage(Header(0, 'camera'), format, np.frombuffer(data, np.uint8))


def refusal(data: bytes, format: str = '', **settings) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(compressed(data, format), ImageConfig(**settings))
    error = caught.value
    assert error.reason in IMAGE_REASONS
    assert str(error).isprintable() and len(str(error)) < 500
    return error


def seconds_for(data: bytes, format: str = '', **settings) -> float:
    started = time.process_time()
    refusal(data, format, **settings)
    return time.process_time() - started


# PNG


def ihdr(height, width, bits=8, color=2, interlace=0) -> bytes:
    return chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, bits, color, 0, 0, interlace))


def png_of(*chunks: bytes, signature: bytes = PNG_SIGNATURE) -> bytes:
    return signature + b''.join(chunks)


ROWS = zlib.compress(b''.join(b'\0' + bytes(30) for _ in range(10)))
IDAT, IEND = chunk(b'IDAT', ROWS), chunk(b'IEND', b'')
PALETTE = chunk(b'PLTE', bytes(range(30)))


def test_the_pieces_make_a_picture():
    assert decode(compressed(png_of(ihdr(10, 10), IDAT, IEND))).pixels.shape == (10, 10, 3)


@pytest.mark.parametrize('kind', [b'acTL', b'fcTL', b'fdAT'])
@pytest.mark.parametrize('place', [0, 1, 2])
def test_animated_png_is_refused(kind, place):
    content = {b'acTL': struct.pack('>II', 2, 0), b'fcTL': struct.pack('>IIIIIHHBB', 0, 5, 5, 0, 0, 1, 10, 0, 0),
               b'fdAT': struct.pack('>I', 1) + ROWS}[kind]
    chunks = [ihdr(10, 10), IDAT, IEND]
    chunks.insert(1 + min(place, 1), chunk(kind, content))
    error = refusal(png_of(*chunks))
    assert error.reason == 'compressed' and 'animated' in str(error) and 'one picture a message' in str(error)


@pytest.mark.parametrize('data, reason, text', [
    (png_of(ihdr(10, 10), IDAT), 'truncated', 'cut off'),
    (png_of(ihdr(10, 10), IEND), 'truncated', 'no pixels'),
    (png_of(ihdr(10, 10), IDAT, IDAT[:-1] + b'\xff', IEND), 'compressed', ''),
    (png_of(IDAT, IEND), 'compressed', 'does not begin with its header'),
    (png_of(chunk(b'CgBI', bytes(4)), ihdr(10, 10), IDAT, IEND), 'compressed', 'does not begin with its header'),
    (png_of(ihdr(10, 10), ihdr(10, 10), IDAT, IEND), 'compressed', 'two chunks IHDR'),
    (png_of(ihdr(10, 10)[:-4] + bytes(4), IDAT, IEND), 'compressed', 'checksum of its chunk IHDR'),
    (png_of(ihdr(10, 10), IDAT, chunk(b'tEXt', b'a\0b'), PALETTE, IDAT, IEND), 'compressed', 'PLTE behind its pixels'),
    (png_of(ihdr(10, 10), IDAT, chunk(b'IDAT', b'more'), chunk(b'PLTE', bytes(3)), IEND), 'compressed', 'behind'),
    (png_of(ihdr(10, 10), PALETTE, IDAT, chunk(b'XXXX', b''), IEND), 'compressed', 'which the standard does not know'),
    (png_of(ihdr(10, 10, color=3), IDAT, IEND), 'compressed', 'no palette'),
    (png_of(ihdr(10, 10, color=3, bits=2), PALETTE, IDAT, IEND), 'compressed', 'PLTE of 30 bytes'),
    (png_of(ihdr(10, 10, color=3), chunk(b'tRNS', b'1'), PALETTE, IDAT, IEND), 'compressed', 'wrong place'),
    (png_of(ihdr(10, 10), chunk(b'tRNS', b'1'), IDAT, IEND), 'compressed', 'tRNS of 1 bytes'),
    (png_of(ihdr(10, 10, color=6), chunk(b'tRNS', bytes(6)), IDAT, IEND), 'compressed', 'wrong place'),
    (png_of(ihdr(10, 10, color=0), PALETTE, IDAT, IEND), 'compressed', 'palette in the wrong place'),
    (png_of(ihdr(10, 10, bits=4), IDAT, IEND), 'compressed', '4 bit'),
    (png_of(ihdr(10, 10, color=5), IDAT, IEND), 'compressed', 'colour type 5'),
    (png_of(ihdr(10, 10, interlace=2), IDAT, IEND), 'compressed', 'interlace 2'),
    (png_of(ihdr(0, 10), IDAT, IEND), 'empty', '10 x 0 pixels'),
    (png_of(ihdr(2 ** 31, 2 ** 31), IDAT, IEND), 'too_large', 'megapixels'),
    (png_of(ihdr(10, 10), chunk(b'IDAT', b''), IEND), 'truncated', 'at least'),
    (png_of(ihdr(10, 10), chunk(b'IDAT', zlib.compress(bytes(100))), IEND), 'compressed', 'decoder refused'),
    (png_of(ihdr(10, 10), chunk(b'IDAT', ROWS[:-6]), IEND), 'compressed', 'decoder refused'),
    (png_of(ihdr(10, 10), IDAT[:-4] + bytes(4), IEND), 'compressed', 'decoder refused'),
    (png_of(ihdr(10, 10), struct.pack('>I', 2 ** 31 + 5) + b'IDAT' + ROWS, IEND), 'compressed', 'of 2147483653 bytes'),
    (png_of(ihdr(10, 10), struct.pack('>I', 2 ** 32 - 1) + b'tEXt', IDAT, IEND), 'compressed', 'of 4294967295 bytes'),
    (png_of(ihdr(10, 10), b'\0\0\0\5\x1b[2J', IDAT, IEND), 'compressed', r'\\x1b[2J'),
])
def test_png_with_chunks_that_lie(data, reason, text):
    error = refusal(data)
    assert error.reason == reason and text in str(error)


def test_a_png_of_few_bytes_cannot_be_large():
    """Deflate makes 1032 bytes of one at most, so memory is bounded by the bytes that came."""
    error = refusal(png_of(ihdr(4000, 4000), IDAT, IEND))
    assert error.reason == 'truncated' and f'which need {-(-4000 * 12001 // 1032)} at least' in str(error)
    black = encode(np.zeros((2000, 3000, 3), np.uint8), '.png', cv2.IMWRITE_PNG_COMPRESSION, 9)
    assert len(black) < 20000 and decode(compressed(black)).pixels.shape == (2000, 3000, 3)


def test_png_of_many_bytes_a_pixel_counts_by_its_memory():
    pixels = np.zeros((100, 100, 4), np.uint16)
    assert decode(compressed(png(pixels)), ImageConfig(max_megapixels=0.02)).pixels.shape == (100, 100, 4)
    error = refusal(png(pixels), max_megapixels=0.019)
    assert error.reason == 'too_large' and '100 x 100 pixels of 8 bytes' in str(error)


@pytest.mark.parametrize('chunks', [
    [(b'zTXt', b'k\0\0' + zlib.compress(bytes(10 ** 7)))], [(b'iCCP', b'k\0\0' + zlib.compress(bytes(10 ** 7)))],
    [(b'iTXt', b'k\0\1\0\0\0' + zlib.compress(bytes(10 ** 7)))], [(b'eXIf', bytes(10 ** 6))],
    [(b'tEXt', b'k\0v')] * 300, [(b'bKGD', bytes(6)), (b'gAMA', bytes(4)), (b'prIv', bytes(100))]])
def test_the_decoder_gets_nothing_but_the_picture(chunks):
    data = np.frombuffer(png_with_chunks(PNG, chunks), np.uint8)
    np.testing.assert_array_equal(png_file.check_png(data, ImageConfig()), np.frombuffer(PNG, np.uint8))
    np.testing.assert_array_equal(decode(compressed(data.tobytes())).pixels, COLORS)


def test_a_png_without_anything_else_is_not_copied():
    data = np.frombuffer(PNG, np.uint8)
    assert np.shares_memory(png_file.check_png(data, ImageConfig()), data)


def test_bytes_behind_the_end_reach_no_decoder():
    for file, check in ((PNG, lambda data: png_file.check_png(data, ImageConfig()).size),
                        (JPEG, lambda data: jpeg_file.check_jpeg(data, ImageConfig()).file.size)):
        assert check(np.frombuffer(file + b'\xff\xd8' + bytes(1000), np.uint8)) == len(file)


# JPEG


def segments(file: bytes):
    """(Marker, offset, end) of each segment before the first scan's coded bytes."""
    at, found = 2, []
    while True:
        end = at + 2 + struct.unpack_from('>H', file, at + 2)[0]
        found.append((file[at + 1], at, end))
        if file[at + 1] == 0xDA:
            return found
        at = end


def changed(file: bytes, marker: int, offset: int, new: bytes) -> bytes:
    at = next(start for kind, start, _ in segments(file) if kind == marker) + 4 + offset
    return file[:at] + new + file[at + len(new):]


def inserted(file: bytes, before: int, new: bytes) -> bytes:
    at = next(start for kind, start, _ in segments(file) if kind == before)
    return file[:at] + new + file[at:]


def without(file: bytes, marker: int) -> bytes:
    kept, at = file[:2], 2
    for kind, start, end in segments(file):
        kept, at = kept + (b'' if kind == marker else file[start:end]), end
    return kept + file[at:]


SCAN = segments(JPEG)[-1][2]
SOF = next(JPEG[start:end] for kind, start, end in segments(JPEG) if kind == 0xC0)


@pytest.mark.parametrize('data, reason, text', [
    (JPEG[:SCAN] + JPEG[-2:], 'truncated', 'has 0 bytes for'),
    (JPEG[:SCAN + 10] + JPEG[-2:], 'truncated', 'blocks of pixels'),
    (JPEG[:-2], 'truncated', 'cut off'),
    (JPEG[:len(JPEG) // 2] + bytes(500), 'truncated', 'cut off'),
    (JPEG[:len(JPEG) // 2] + JPEG, 'compressed', 'another picture begins'),
    (JPEG[:len(JPEG) // 2] + b'\xff\xd9', 'truncated', 'end before its 128 x 96 pixels do'),
    (without(JPEG, 0xC0), 'compressed', 'before the frame header'),
    (inserted(JPEG, 0xDA, SOF), 'compressed', 'second frame header'),
    (JPEG[:-2] + SOF + JPEG[-2:], 'compressed', 'second frame header'),
    (JPEG[:-2] + JPEG[segments(JPEG)[-1][1]:], 'compressed', 'repeat each other'),
    (JPEG[:2] + JPEG[-2:], 'compressed', 'no frame header'),
    (changed(JPEG, 0xC0, 0, b'\x0c'), 'compressed', '12 bit a sample'),
    (changed(JPEG, 0xC0, 1, b'\0\0'), 'compressed', 'DNL'),
    (changed(JPEG, 0xC0, 3, b'\0\0'), 'empty', '0 x 96'),
    (changed(JPEG, 0xC0, 1, b'\xff\xff\xff\xff'), 'too_large', '65535 x 65535'),
    (changed(JPEG, 0xC0, 1, b'\x08\0\x08\0'), 'truncated', 'need'),
    (changed(JPEG, 0xC0, 5, b'\x02'), 'compressed', '2 components'),
    (changed(JPEG, 0xC0, 7, b'\x52'), 'compressed', 'sampling factor'),
    (changed(JPEG, 0xC0, 7, b'\x44'), 'compressed', 'more than 10 blocks'),
    (changed(JPEG, 0xC0, 9, b'\x01'), 'compressed', 'two components of one name'),
    (changed(JPEG, 0xDA, 0, b'\x02'), 'compressed', 'scan header'),
    (changed(JPEG, 0xDA, 1, b'\x09'), 'compressed', 'not there'),
    (JPEG.replace(b'\xff\xc0', b'\xff\xc3'), 'compressed', 'lossless JPEG'),
    (JPEG.replace(b'\xff\xc0', b'\xff\xc9'), 'compressed', 'arithmetic JPEG'),
    (inserted(JPEG, 0xDA, b'\xff\xcc\0\4\0\0'), 'compressed', 'arithmetic JPEG'),
    (inserted(JPEG, 0xDA, b'\xff\xdd\0\4\0\3'), 'truncated', '0 restart markers in a scan that has 15'),
    (inserted(JPEG, 0xDA, b'\xff\xdd\0\5\0\3\0'), 'compressed', 'restart interval'),
    (JPEG[:SCAN + 50] + b'\xff\xd0' + JPEG[SCAN + 50:], 'compressed', '1 restart markers in a scan that has 0'),
    (inserted(JPEG, 0xDA, b'\xff\xfe\0\1'), 'compressed', 'length 1'),
    (inserted(JPEG, 0xDA, b'\xff\xfe\xff\xff'), 'truncated', 'cut off'),
    (inserted(JPEG, 0xDA, b'\xff\xfe\0\2' * 5000), 'compressed', 'more than 4096 segments'),
    (inserted(JPEG, 0xDA, b'\xff' * 10 ** 6), 'compressed', 'fill bytes'),
    (inserted(JPEG, 0xDA, b'\x12'), 'compressed', 'no marker'),
])
def test_jpeg_with_segments_that_lie(data, reason, text):
    error = refusal(data)
    assert error.reason == reason and text in str(error), error


def test_fill_bytes_and_other_segments_are_no_reason_to_refuse():
    plain = decode(compressed(JPEG)).pixels
    profile = b'\xff\xe2' + struct.pack('>H', 60002) + bytes(60000)
    for extra in (b'\xff' * 20, b'\xff\xfe\0\6text', profile, b'\xff\x01'):
        np.testing.assert_array_equal(decode(compressed(inserted(JPEG, 0xDA, extra))).pixels, plain)


def restarts(file: bytes):
    at = np.flatnonzero(np.frombuffer(file, np.uint8)[:-1] == 0xFF)
    return [int(i) for i in at if 0xD0 <= file[i + 1] <= 0xD7]


def test_restart_intervals_that_are_missing_or_doubled():
    file = encode(COLORS, '.jpg', cv2.IMWRITE_JPEG_RST_INTERVAL, 4)
    at = restarts(file)
    assert len(at) > 9 and decode(compressed(file)).pixels.shape == (96, 128, 3)
    for data in (file[:at[2]] + file[at[3]:],  # one gone
                 file[:at[1]] + file[at[9]:],  # eight gone: the numbers go on as they should
                 file[:at[3]] + file[at[2]:],  # one twice
                 file[:at[2] + 1] + bytes((file[at[2] + 1] ^ 1,)) + file[at[2] + 2:]):
        assert 'restart markers' in str(refusal(data))
    # Within one interval the bytes run out as at the end of a file.
    assert refusal(file[:at[3] + 12] + file[at[4]:]).reason == 'truncated'


@pytest.mark.parametrize('options', [{}, {'subsampling': 0}, {'subsampling': 1}, {'optimize': True, 'quality': 30}])
@pytest.mark.parametrize('size', [(96, 128), (90, 121), (97, 129)])
def test_jpeg_whose_bytes_run_out_is_refused(options, size):
    """Wherever it is cut, if more than the last unit of coding is missing."""
    for pixels in (photograph(RNG, *size), photograph(RNG, *size, 1)):
        file = pillow(Image.fromarray(pixels), 'JPEG', **options)
        start = segments(file)[-1][2]
        whole, accepted = decode(compressed(file)).pixels, []
        for cut in range(start, len(file) - 2, 37):
            try:
                cut_off = decode(compressed(file[:cut] + b'\xff\xd9')).pixels
            except ImageError as error:
                assert error.reason == 'truncated'
            else:
                differs = np.argwhere((cut_off != whole).reshape(*size, -1).any(axis=2))
                accepted.append(tuple(np.subtract(size, differs.min(axis=0))))
        assert all(rows <= 17 and columns <= 17 for rows, columns in accepted), accepted  # with smoothed colours


@pytest.mark.parametrize('options', [{}, {'restart_marker_blocks': 7}])
@pytest.mark.parametrize('pixels', [COLORS, GREY], ids=['colours', 'grey'])
def test_a_progressive_jpeg_with_a_scan_that_is_short(pixels, options):
    """Which leaves no grey, only blocks that are less sharp."""
    file = pillow(Image.fromarray(pixels), 'JPEG', progressive=True, **options)
    decode(compressed(file))
    frame = jpeg_file.check_jpeg(np.frombuffer(file, np.uint8), ImageConfig())
    assert len(frame.scans) >= 6 and frame.file.size == len(file)
    noticed = []
    for begin, end in frame.scans:
        middle, stop = (begin + end) // 2, end
        if options:  # within one interval
            within = [at for at in restarts(file) if begin < at < end]
            middle, stop = (within[3] + within[4]) // 2 + 1, within[4]
        if file[middle - 1] == 0xFF or stop - middle < 4:
            continue
        try:
            decode(compressed(file[:middle] + file[stop:]))
            noticed.append(False)
        except ImageError as error:
            assert error.reason == 'truncated'
            noticed.append(True)
    # Runs of empty blocks may be coded in so few bits that some scans are complete without their second half.
    assert sum(noticed) >= 0.7 * len(noticed) and len(noticed) >= 4, noticed


def test_a_picture_that_is_really_grey_is_accepted(capfd):
    grey = np.full((96, 128, 3), 128, np.uint8)
    for parameters in ((), (cv2.IMWRITE_JPEG_RST_INTERVAL, 3)):
        for pixels in (grey, grey[..., 0]):
            picture = decode(compressed(encode(pixels, '.jpg', *parameters)))
            np.testing.assert_array_equal(picture.pixels, pixels)
    half = COLORS.copy()
    half[48:] = 128
    decode(compressed(encode(half, '.jpg')))
    assert capfd.readouterr().err == ''  # a camera at 30 Hz would fill the log


def scans_of(file: bytes):
    """Offsets of the scans' headers."""
    at = np.frombuffer(file, np.uint8)
    return [int(i) for i in np.flatnonzero((at[:-1] == 0xFF) & (at[1:] == 0xDA))]


def test_scans_cannot_repeat():
    assert decode(compressed(PROGRESSIVE)).pixels.shape == (96, 128, 3)
    scans = scans_of(PROGRESSIVE)
    assert len(scans) == 10
    for number, (start, end) in enumerate(zip(scans, [*scans[1:], len(PROGRESSIVE) - 2])):
        twice = PROGRESSIVE[:end] + PROGRESSIVE[start:end] * 500 + PROGRESSIVE[end:]
        assert 'repeat each other' in str(refusal(twice)), number
        gone = PROGRESSIVE[:start] + PROGRESSIVE[end:]
        assert refusal(gone).reason in ('compressed', 'truncated')


def progressive(height: int, width: int, passes: int) -> bytes:
    """Grey, of as many scans as the standard allows, each of no more than runs of empty blocks."""
    blocks = -(-height // 8) * -(-width // 8)
    table = b'\xff\xc4' + struct.pack('>HB16B', 20, 0, 1, *[0] * 15) + b'\0'
    table += b'\xff\xc4' + struct.pack('>HB16B', 20, 16, 1, *[0] * 15) + b'\xe0'
    out = b'\xff\xd8\xff\xdb\0\x43\0' + b'\1' * 64
    out += b'\xff\xc2' + struct.pack('>HBHHBBBB', 11, 8, height, width, 1, 1, 0x11, 0) + table
    out += b'\xff\xda\0\x08\1\1\0\0\0\0' + bytes(-(-blocks // 8))
    runs = -(-blocks // 16384)
    for number in range(passes):
        first, last = 1 + 63 * number // passes, 63 * (number + 1) // passes
        bits = ''.join('0' + '0' * 14 for _ in range(runs))
        coded = int(bits.ljust(-(-len(bits) // 8) * 8, '1'), 2).to_bytes(-(-len(bits) // 8), 'big')
        out += b'\xff\xda\0\x08\1\1\0' + bytes((first, last, 0)) + coded.replace(b'\xff', b'\xff\0')
    return out + b'\xff\xd9'


def test_many_scans_over_a_large_picture_are_refused_before_they_are_decoded():
    few, many = progressive(4000, 4000, 10), progressive(4000, 4000, 40)
    assert decode(compressed(few)).pixels.shape == (4000, 4000)
    assert 'go over the picture more than 12 times' in str(refusal(many))
    assert decode(compressed(progressive(64, 64, 60))).pixels.shape == (64, 64)
    assert seconds_for(many) < 0.1


def test_a_jpeg_that_the_decoder_of_another_format_could_claim():
    """The decoder of AVIF, which OpenCV asks first, looks for ``ftyp`` at byte 4."""
    rest = b'ftypavif' + bytes(0x6674 - 8)
    for marker in (0xE0, 0xE1, 0xFE):
        file = JPEG[:2] + bytes((0xFF, marker)) + rest + JPEG[2:]
        np.testing.assert_array_equal(decode(compressed(file)).pixels, decode(compressed(JPEG)).pixels)
    assert 'two formats at once' in str(refusal(JPEG[:2] + b'\xff\xdb' + rest + JPEG[2:]))


def test_the_decoder_of_jpeg_gets_nothing_but_the_picture():
    plain = np.frombuffer(JPEG, np.uint8)
    assert np.shares_memory(jpeg_file.check_jpeg(plain, ImageConfig()).file, plain)
    extra = b''.join(bytes((0xFF, marker, 3, 234)) + bytes(1000) for marker in (*range(0xE0, 0xF0), 0xFE))
    for before in (0xDB, 0xC0, 0xDA):
        file = jpeg_file.check_jpeg(np.frombuffer(inserted(JPEG, before, extra), np.uint8), ImageConfig()).file
        np.testing.assert_array_equal(file, plain)
    file = inserted(JPEG, 0xDB, extra)
    start = segments(file)[-1][2]
    assert refusal(file[:start + 1000] + b'\xff\xd9').reason == 'truncated'


@pytest.mark.parametrize('kind', ['TIFF', 'GIF', 'WEBP', 'BMP', 'PPM', 'JPEG2000', 'AVIF', 'TGA', 'DDS', 'PCX', 'SGI'])
def test_no_other_format_reaches_a_decoder(kind, monkeypatch):
    try:
        data = pillow(Image.fromarray(COLORS), kind)
    except (KeyError, OSError) as error:
        pytest.skip(f'Pillow cannot write {kind}: {error}')
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    assert 'neither JPEG nor PNG' in str(refusal(data, 'jpeg'))


@pytest.mark.parametrize('data', [b'#?RADIANCE\n', b'v/1\x01', b'\x59\xa6\x6a\x95', b'Pf\n1 1\n', b'\0\0\0 ftypavif'])
def test_formats_that_pillow_does_not_write(data, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    assert refusal(data + bytes(200)).reason == 'compressed'


def test_pictures_behind_the_first_are_no_part_of_it():
    stream = io.BytesIO()
    Image.fromarray(COLORS).save(stream, 'MPO', save_all=True, append_images=[Image.fromarray(COLORS[::-1])])
    one = decode(compressed(stream.getvalue())).pixels
    assert one.shape == (96, 128, 3) and np.abs(one[..., ::-1].astype(int) - COLORS).mean() < 8


# RVL


def nibbles(*numbers: int) -> bytes:
    groups = []
    for number in numbers:
        while True:
            group, number = number & 7, number >> 3
            groups.append(group | 8 * (number > 0))
            if not number:
                break
    groups += [0] * (-len(groups) % 8)
    return b''.join(struct.pack('<I', int(''.join(f'{each:x}' for each in groups[at:at + 8]), 16))
                    for at in range(0, len(groups), 8))


def depth_message(width: int, height: int, stream: bytes) -> bytes:
    return bytes(12) + struct.pack('<II', width, height) + stream


RVL = '16UC1; compressedDepth rvl'


@pytest.mark.parametrize('data, reason, text', [
    (depth_message(2, 2, b''), 'truncated', 'after 0 of 4'),
    (depth_message(2, 2, nibbles(3)), 'compressed', 'does not fit'),
    (depth_message(4, 4, nibbles(8, 8, 2, 2)), 'truncated', 'of 16 pixels'),
    (depth_message(2, 2, nibbles(0, 5, 2, 2, 2, 2, 2)), 'compressed', 'does not fit'),
    (depth_message(2, 2, nibbles(5, 0)), 'compressed', 'does not fit'),
    (depth_message(2, 2, nibbles(1, 1, 2, 0, 0, 1, 1, 2)), 'compressed', 'does not fit'),
    (depth_message(2, 2, nibbles(0, 2 ** 30 - 1, 2)), 'compressed', 'does not fit'),
    (depth_message(2, 2, nibbles(2 ** 31, 4)), 'compressed', 'more than 30 bits'),
    (depth_message(2, 2, b'\xff' * 16), 'compressed', 'more than 30 bits'),
    (depth_message(100, 100, b'\xff' * 50_000), 'compressed', '50000 bytes for 100 x 100 pixels'),
    (depth_message(10 ** 6, 10 ** 6, nibbles(10, 0)), 'too_large', 'megapixels'),
    (bytes(12) + bytes(7), 'truncated', 'header of 8 bytes'),
    (bytes(5), 'truncated', 'header of 12 bytes'),
])
def test_rvl_that_lies(data, reason, text):
    error = refusal(data, RVL)
    assert error.reason == reason and text in str(error), error


@pytest.mark.parametrize('piece', [4, 8, 28, 65536])
def test_rvl_of_random_shapes_is_what_was_encoded(piece, monkeypatch):
    """Wherever a piece of the stream ends: within a number, between two counts, within a run."""
    monkeypatch.setattr('robot_vision_dl.core.images.rvl._PIECE', piece)
    config = ImageConfig()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shape = rng.integers(1, 40, 2)
        depth = rng.integers(0, rng.choice((2, 9, 4000, 65536)), shape).astype(np.uint16)
        depth[rng.random(shape) < rng.choice((0, 0.1, 0.5, 0.9, 1))] = 0
        np.testing.assert_array_equal(decode_rvl(np.frombuffer(rvl(depth), np.uint8), config), depth)
    if piece < 100:
        return
    depth = depth_picture(np.random.default_rng(1), 480, 640)
    np.testing.assert_array_equal(decode_rvl(np.frombuffer(rvl(depth), np.uint8), config), depth)


def one_by_one(data: bytes) -> np.ndarray:
    """As ``RvlCodec::DecompressRVL`` of compressed_depth_image_transport; IndexError where that would read beyond."""
    width, height = struct.unpack_from('<II', data)
    groups = [word >> shift & 15 for word in struct.unpack_from(f'<{len(data) // 4 - 2}I', data, 8)
              for shift in range(28, -1, -4)]
    at, out, previous = 0, [], 0

    def number():
        nonlocal at
        value, place = 0, 0
        while True:
            group, at = groups[at], at + 1
            value |= (group & 7) << place
            place += 3
            if group < 8:
                return value
    while len(out) < width * height:
        out += [0] * min(number(), width * height + 1)
        for _ in range(min(number(), width * height + 1)):
            positive = number()
            previous = (previous + ((positive >> 1) ^ -(positive & 1))) & 0xFFFF
            out.append(previous)
        if len(out) > width * height:
            raise IndexError
    return np.array(out, np.uint16).reshape(height, width)


@pytest.mark.parametrize('piece', [4, 65536])
def test_damaged_rvl_is_what_the_reference_makes_of_it_or_refused(piece, monkeypatch):
    monkeypatch.setattr('robot_vision_dl.core.images.rvl._PIECE', piece)
    equal = refused = 0
    for seed in range(1500):
        rng = np.random.default_rng(seed)
        depth = rng.integers(0, 3, rng.integers(2, 9, 2)).astype(np.uint16) * 1000
        data = bytearray(rvl(depth))
        for _ in range(rng.integers(1, 3)):
            data[int(rng.integers(8, len(data)))] ^= 1 << int(rng.integers(8))
        try:
            expected = one_by_one(bytes(data))
        except IndexError:
            with pytest.raises(ImageError):
                decode_rvl(np.frombuffer(bytes(data), np.uint8), ImageConfig())
            refused += 1
            continue
        try:
            seen = decode_rvl(np.frombuffer(bytes(data), np.uint8), ImageConfig())
        except ImageError as error:
            assert 'does not fit' in str(error)  # a run of nothing, which no encoder writes
            continue
        np.testing.assert_array_equal(seen, expected)
        equal += 1
    assert equal > 100 and refused > 100, (equal, refused)


def test_rvl_of_millions_of_runs_is_quick():
    """A run for every other pixel took 6.4 s, followed one by one."""
    stream = nibbles(*([1, 1, 2] * 8)) * (3_333_000 // 8)
    data = depth_message(6660, 1000, stream[:len(stream)])
    started = time.process_time()
    picture = decode(compressed(data, RVL))
    assert time.process_time() - started < 2
    assert picture.pixels.shape == (1000, 6660) and len(data) > 4_900_000

"""Sound image messages of every kind, small, for tests that damage them.

Written by encoders that are not the package's own: OpenCV and Pillow for JPEG and PNG, and below, by their standards,
what those two cannot write: interlaced PNG, animated PNG, and RVL.
"""
import io
import struct
import zlib
from typing import Iterator, List, Tuple

import cv2
import numpy as np
from PIL import Image

from robot_vision_dl.core.images.cdr import encode_compressed_image, encode_image
from robot_vision_dl.core.images.encodings import NAMES, Kind, parse_encoding
from robot_vision_dl.core.types import CompressedImage, Header, RawImage

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
TYPED = tuple(f'{kind}C{channels}' for kind in ('8U', '8S', '16U', '16S', '32S', '32F', '64F')
              for channels in (1, 2, 3, 4))
HEIGHT, WIDTH = 24, 40
PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
# Rows and columns of each pass of an interlaced PNG: first row, row step, first column, column step.
_ADAM7 = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))
_PNG_COLORS = {1: 0, 2: 4, 3: 2, 4: 6}


def image_messages(seed: int) -> List[Tuple[str, str, bytes]]:
    """Messages that decode: (name, type, serialized bytes); the same for the same seed."""
    rng = np.random.default_rng(seed)
    header = Header(1_700_000_000_000_000_000 + int(rng.integers(10 ** 12)), 'camera_optical_frame')
    found = [(name, IMAGE, encode_image(RawImage(header, *fields))) for name, fields in _raw(rng)]
    for name, format, data in compressed_files(rng):
        message = CompressedImage(header, format, np.frombuffer(data, np.uint8))
        found.append((name, COMPRESSED, encode_compressed_image(message)))
    return found


def photograph(rng: np.random.Generator, height: int = HEIGHT, width: int = WIDTH, channels: int = 3) -> np.ndarray:
    """Smooth and noisy as a photograph is: uint8, shape (H, W, channels), (H, W) for one channel."""
    small = rng.integers(0, 256, (max(2, height // 8), max(2, width // 8), channels), np.uint8)
    pixels = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    noisy = pixels + rng.normal(0, 4, pixels.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8).squeeze()


def depth_picture(rng: np.random.Generator, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Millimetres, uint16, shape (H, W), with holes."""
    depth = photograph(rng, height, width, 1).astype(np.uint16) * 30 + 300
    depth[cv2.resize(rng.random((6, 10)), (width, height)) < 0.35] = 0
    return depth


def _raw(rng: np.random.Generator) -> Iterator[Tuple[str, tuple]]:
    for name in (*NAMES, *TYPED):
        encoding = parse_encoding(name)
        if encoding.kind is Kind.TYPED and encoding.channels == 2:
            continue  # refused: nothing says what they are
        rows = {'nv24': 3 * HEIGHT}.get(encoding.layout, HEIGHT * 3 // 2) if encoding.kind is Kind.PLANAR else HEIGHT
        padding = int(rng.choice((0, 0, 4, 13))) if encoding.kind is not Kind.PLANAR else 0
        big = bool(rng.integers(2)) and encoding.dtype.itemsize > 1
        if encoding.dtype.kind == 'f':
            numbers = rng.random((rows, WIDTH * encoding.channels)) * 3
        else:
            numbers = rng.integers(0, min(np.iinfo(encoding.dtype).max, 60000), (rows, WIDTH * encoding.channels))
        numbers = numbers.astype(encoding.dtype.newbyteorder('>' if big else '<')).view(np.uint8)
        data = np.concatenate((numbers, np.zeros((rows, padding), np.uint8)), axis=1)
        yield f'raw {name}{" big-endian" if big else ""}', (
            HEIGHT, WIDTH, name, big, data.shape[1], np.frombuffer(data.tobytes(), np.uint8))


def compressed_files(rng: np.random.Generator) -> Iterator[Tuple[str, str, bytes]]:
    """(Name, ``format``, ``data``) of compressed messages."""
    colors, grey = photograph(rng), photograph(rng, channels=1)
    yield from jpeg_files(colors, grey)
    yield from png_files(rng, colors, grey)
    mosaic = photograph(rng, channels=1)
    yield 'PNG of a mosaic', 'bayer_rggb8; png compressed ', encode(mosaic, '.png')
    yield 'JPEG of a mosaic', 'bayer_grbg8; jpeg compressed ', encode(mosaic, '.jpg')
    yield 'JPEG of yuv422', 'yuv422; jpeg compressed bgr8', encode(colors, '.jpg')
    depth = depth_picture(rng)
    png, config = encode(depth, '.png'), bytes(12)
    yield '16UC1 as PNG', '16UC1; png compressed ', png
    yield 'compressedDepth PNG', '16UC1; compressedDepth', config + png
    yield 'compressedDepth PNG named', '16UC1; compressedDepth png', config + png
    yield 'compressedDepth RVL', '16UC1; compressedDepth rvl', config + rvl(depth)
    inverse = struct.pack('<iff', 0, 100.0, 0.5)
    yield 'compressedDepth PNG of floats', '32FC1; compressedDepth', inverse + png
    yield 'compressedDepth RVL of floats', '32FC1; compressedDepth rvl', inverse + rvl(depth)


def encode(pixels: np.ndarray, suffix: str, *parameters: int) -> bytes:
    """A file by OpenCV."""
    return cv2.imencode(suffix, pixels, parameters)[1].tobytes()


def jpeg_files(colors: np.ndarray, grey: np.ndarray) -> Iterator[Tuple[str, str, bytes]]:
    """(Name, format, file) of every kind of JPEG that cameras and programs write with 8 bit."""
    yield 'JPEG', 'bgr8; jpeg compressed bgr8', encode(colors, '.jpg')
    yield 'JPEG of low quality', 'jpeg', encode(colors, '.jpg', cv2.IMWRITE_JPEG_QUALITY, 5)
    yield 'JPEG grey', 'mono8; jpeg compressed ', encode(grey, '.jpg')
    yield 'JPEG progressive', 'jpeg', encode(colors, '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    yield 'JPEG progressive grey', 'jpeg', encode(grey, '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    yield 'JPEG with restarts', 'jpeg', encode(colors, '.jpg', cv2.IMWRITE_JPEG_RST_INTERVAL, 1)
    image = Image.fromarray(colors[..., ::-1])
    for sampling, name in enumerate(('4:4:4', '4:2:2', '4:2:0')):
        yield f'JPEG {name}', 'rgb8; jpeg compressed bgr8', pillow(image, 'JPEG', subsampling=sampling, optimize=True)
    yield 'JPEG of RGB', 'jpeg', pillow(image, 'JPEG', keep_rgb=True)
    yield 'JPEG of CMYK', 'jpeg', pillow(image.convert('CMYK'), 'JPEG')
    exif = Image.Exif()
    exif[0x0112] = 6
    described = pillow(image, 'JPEG', exif=exif, icc_profile=bytes(500), comment=b'taken by a robot', dpi=(72, 72))
    yield 'JPEG with EXIF and more', 'jpeg', described
    without = encode(colors, '.jpg')
    yield 'JPEG of a webcam, without Huffman tables', 'jpeg', without_huffman_tables(without)
    yield 'JPEG and bytes behind it', 'jpeg', encode(colors, '.jpg') + bytes(64)


def png_files(rng: np.random.Generator, colors: np.ndarray, grey: np.ndarray) -> Iterator[Tuple[str, str, bytes]]:
    """(Name, format, file) of every kind of PNG."""
    for channels in (1, 2, 3, 4):
        for bits in (8, 16):
            pixels = rng.integers(0, 2 ** bits, (HEIGHT, WIDTH, channels)).astype(f'u{bits // 8}')
            for interlaced in (False, True):
                yield (f'PNG of {channels} channels, {bits} bit{", interlaced" if interlaced else ""}', 'png',
                       png(pixels, interlaced))
    yield 'PNG of a photograph', 'bgr8; png compressed bgr8', encode(colors, '.png')
    yield 'PNG grey of a photograph', 'mono8; png compressed ', encode(grey, '.png')
    image = Image.fromarray(colors[..., ::-1])
    yield 'PNG with a palette', 'png', pillow(image.quantize(40), 'PNG')
    yield 'PNG with a transparent palette', 'png', pillow(image.quantize(40), 'PNG', transparency=3)
    for bits in (1, 2, 4):
        yield f'PNG with a palette of {bits} bit', 'png', pillow(image.quantize(2 ** bits), 'PNG', bits=bits)
    yield 'PNG of 1 bit', 'png', pillow(image.convert('1'), 'PNG')
    yield 'PNG with a transparent colour', 'png', pillow(image, 'PNG', transparency=(1, 2, 3))
    yield 'PNG with texts and a profile', 'png', png_with_chunks(encode(colors, '.png'), (
        (b'tEXt', b'Comment\0by a robot'), (b'zTXt', b'More\0\0' + zlib.compress(b'text ' * 50)),
        (b'pHYs', struct.pack('>IIB', 2835, 2835, 1)), (b'gAMA', struct.pack('>I', 45455))))


def pillow(image: Image.Image, kind: str, **options) -> bytes:
    """A file by Pillow."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of PNG, with its checksum."""
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


def png(pixels: np.ndarray, interlaced: bool = False, color: int = -1, level: int = 6, bytes_an_idat: int = 2 ** 16
        ) -> bytes:
    """A PNG file (W3C PNG, third edition) of uint8 or uint16 pixels of shape (H, W, channels), channels as stored.

    The rows have each filter type in turn, with zero as every difference's base: numbers are as in ``pixels`` only
    where the type is none, so compare with those of another decoder.
    """
    height, width, channels = pixels.shape
    stored = pixels.astype(pixels.dtype.newbyteorder('>'))
    passes = [stored]
    if interlaced:
        passes = [stored[top::down, left::right] for top, down, left, right in _ADAM7]
    raw = bytearray()
    for part in passes:
        for number, row in enumerate(part if part.size else ()):
            raw.append(number % 5)
            raw += row.tobytes()
    packed = zlib.compress(bytes(raw), level)
    color = _PNG_COLORS[channels] if color < 0 else color
    parts = [chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8 * pixels.itemsize, color, 0, 0, interlaced))]
    parts += [chunk(b'IDAT', packed[at:at + bytes_an_idat]) for at in range(0, len(packed), bytes_an_idat)]
    return PNG_SIGNATURE + b''.join(parts) + chunk(b'IEND', b'')


def png_with_chunks(file: bytes, chunks, at: int = 33) -> bytes:
    """A PNG file with more chunks of (type, content), behind its header unless ``at`` says where."""
    return file[:at] + b''.join(chunk(*each) for each in chunks) + file[at:]


def without_huffman_tables(file: bytes) -> bytes:
    """A JPEG as many USB cameras send it: the standard's tables are not in the file."""
    at, out = 2, bytearray(file[:2])
    while True:
        marker, length = file[at + 1], struct.unpack_from('>H', file, at + 2)[0]
        if marker == 0xDA:
            return bytes(out + file[at:])
        if marker != 0xC4:
            out += file[at:at + 2 + length]
        at += 2 + length


def rvl(pixels: np.ndarray) -> bytes:
    """Encode depth as the paper and compressed_depth_image_transport do (Wilson 2017): uint16, shape (H, W)."""
    groups = bytearray()

    def number(value: int) -> None:
        while True:
            group, value = value & 7, value >> 3
            groups.append(group | 8 * (value > 0))
            if not value:
                return

    values, at, previous = pixels.ravel().tolist(), 0, 0
    while at < len(values):
        start = at
        while at < len(values) and not values[at]:
            at += 1
        number(at - start)
        start = at
        while at < len(values) and values[at]:
            at += 1
        number(at - start)
        for value in values[start:at]:
            difference, previous = value - previous, value
            number(difference << 1 if difference >= 0 else (-difference << 1) - 1)
    groups += bytes(-len(groups) % 8)
    words = np.frombuffer(bytes(groups), np.uint8).reshape(-1, 4, 2)
    big = (words[..., 0] << 4 | words[..., 1]).astype(np.uint8)
    return struct.pack('<II', pixels.shape[1], pixels.shape[0]) + big.reshape(-1, 4)[:, ::-1].tobytes()

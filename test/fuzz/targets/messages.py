"""Serialized Image and CompressedImage messages of every encoding and container, through the live node's decoder."""
import ctypes
import random
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from robot_vision_dl.core.config import ImageConfig
from robot_vision_dl.core.errors import ImageError
from robot_vision_dl.core.images import cdr
from robot_vision_dl.core.runtime.frame_reader import read_frame
from robot_vision_dl.core.types import Frame

from ..corpus_images import image_messages
from ..mutate import INTERESTING, jpeg_mutated, mutated, png_mutated
from ..target import ACCEPTED, Finding, Target, pack, unpack

_M_PERTURB = -6  # malloc.h
_CONFIG = ImageConfig()
_ENCODINGS = (
    'rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16', 'rgb16', 'bgra16', 'bayer_rggb8', 'bayer_gbrg16', 'yuv422',
    'yuv422_yuy2', 'uyvy', 'yuyv', 'nv12', 'nv21', 'nv24', '8UC1', '8SC3', '16UC1', '16SC4', '32SC1', '32FC1',
    '32FC3', '64FC1', '64FC4', '8UC5', '16UC200', '', 'jpeg', 'x' * 3000, 'rgb8\n', '32FC0', '8UC', '9UC1')
_FORMATS = (
    'jpeg', 'png', '', 'jpg', 'rgb8; jpeg compressed bgr8', 'bayer_rggb8; png compressed',
    'bayer_gbrg16; png compressed', 'bayer_rggb8; jpeg compressed bgr8', 'mono8; png compressed',
    '16UC1; png compressed', '16UC1; compressedDepth png', '32FC1; compressedDepth rvl', '16UC1; compressedDepth',
    'mono16; compressedDepth rvl', 'compressedDepth', 'rgb16; png compressed', 'nv12; jpeg compressed bgr8', ';;;',
    'tiff', 'x' * 3000)


def perturb_fresh_memory(value: int) -> None:
    """Fill what malloc gives out with a pattern: pixels that the message does not give then differ."""
    ctypes.CDLL(None).mallopt(_M_PERTURB, value)


class MessageTarget(Target):
    """A picture that is accepted must be the same whatever memory held before, and its header must be publishable."""

    name = 'messages'
    documented = (ImageError,)
    cases = 1_000_000

    def prepare(self, folder: Path) -> None:
        cv2.setNumThreads(1)
        self._corpus = [(kind.rsplit('/', 1)[-1], data) for _, kind, data in image_messages(0)]
        self._payloads = [cdr.decode_compressed_image(data).data.tobytes() for kind, data in self._corpus
                          if kind == 'CompressedImage']
        self._serialized = [data for _, data in self._corpus]

    def case(self, rng: random.Random) -> bytes:
        kind, data = rng.choice(self._corpus)
        way = rng.random()
        if way < .3:
            return pack({'type': kind}, mutated(data, rng, self._serialized))
        changed = self._compressed(data, rng) if kind == 'CompressedImage' else self._raw(data, rng)
        if way < .4:
            changed = mutated(changed, rng)
        return pack({'type': kind}, changed)

    def _compressed(self, data: bytes, rng: random.Random) -> bytes:
        message = cdr.decode_compressed_image(data)
        payload = message.data.tobytes()
        change = rng.choice((mutated, png_mutated if b'\x89PNG' in payload[:20] else jpeg_mutated))
        if payload[12:16] == b'\x89PNG' and change is png_mutated:
            payload = payload[:12] + png_mutated(payload[12:], rng)
        else:
            payload = change(payload, rng, self._payloads)
        if rng.random() < .1:
            message = replace(message, format=rng.choice(_FORMATS))
        return cdr.encode_compressed_image(replace(message, data=np.frombuffer(payload, np.uint8)))

    def _raw(self, data: bytes, rng: random.Random) -> bytes:
        message = cdr.decode_image(data)
        which = rng.choice(('height', 'width', 'step', 'encoding', 'is_bigendian', 'data'))
        if which in ('height', 'width', 'step'):
            value = (rng.choice(INTERESTING) + rng.randint(-1, 1)) % (1 << 32)
            if rng.random() < .4:
                value = max(0, getattr(message, which) + rng.randint(-3, 3))
        elif which == 'encoding':
            value = rng.choice(_ENCODINGS)
        elif which == 'is_bigendian':
            value = not message.is_bigendian
        else:
            value = np.frombuffer(mutated(message.data.tobytes(), rng), np.uint8)
        return cdr.encode_image(replace(message, **{which: value}))

    def run(self, data: bytes) -> str:
        about, content = unpack(data)
        perturb_fresh_memory(0x55)
        frame = self._read(about['type'], content)
        pixels = frame.picture.pixels.copy()
        perturb_fresh_memory(0xAA)
        again = self._read(about['type'], content).picture.pixels
        perturb_fresh_memory(0)
        if pixels.shape != again.shape or not np.array_equal(pixels, again):
            raise Finding(f'two decodings differ: {pixels.shape}, {pixels.dtype}; pixels come from beyond the message')
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or not pixels.size:
            raise Finding(f'a picture of {pixels.shape}, {pixels.dtype}')
        cdr.encode_classification(frame.header, (('label', 1.0),))
        return ACCEPTED

    def _read(self, kind: str, content: bytes) -> Frame:
        message = cdr.decode_compressed_image(content) if kind == 'CompressedImage' else cdr.decode_image(content)
        return read_frame('camera', message, 1, _CONFIG)

"""Damaged image messages, thousands of them, through the decoder; a process of its own, for it may be ended by one.

    python test/fuzz/mutate_images.py SEED COUNT FOLDER

It ends with 1 and leaves the message in FOLDER at the first that raises anything but ImageError, takes more than a
second or 200 MB, or becomes a picture whose pixels are not of the message alone. Where a message ends the process, the
file ``at`` holds its number, which with the seed makes it again.
"""
import resource
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Iterator, List, Tuple

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))
from fuzz.corpus_images import IMAGE, PNG_SIGNATURE, image_messages  # noqa: E402
from robot_vision_dl.core.errors import IMAGE_REASONS, ImageError  # noqa: E402
from robot_vision_dl.core.images.cdr import decode_compressed_image, decode_image, encode_compressed_image  # noqa: E402
from robot_vision_dl.core.images.image import decode  # noqa: E402
from robot_vision_dl.core.types import CompressedImage  # noqa: E402

MOST_SECONDS, MOST_BYTES = 1.0, 200e6
_NUMBERS = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1)


def mutated(raw: bytes, others: List[bytes], rng: np.random.Generator) -> bytes:
    """One to four changes of a kind that transports, disks and people make."""
    data = bytearray(raw)
    for _ in range(rng.integers(1, 5)):
        if not data:
            break
        at = int(rng.integers(len(data)) * rng.choice((1, 0.2, 0.02)))
        length = int(rng.integers(1, max(2, len(data) // int(rng.choice((2, 10, 100))))))
        kind = rng.integers(9)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at] = int(rng.integers(256))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at:at + length]
        elif kind == 4:
            data[at:at] = data[at:at + length]
        elif kind == 5:
            data[at:at] = rng.bytes(min(length, 300))
        elif kind == 6:
            order = '<' if rng.integers(2) else '>'
            width = int(rng.choice((2, 4)))
            number = int(rng.choice(_NUMBERS)) % 256 ** width
            data[at:at + width] = struct.pack(order + {2: 'H', 4: 'I'}[width], number)
        elif kind == 7:
            other = others[rng.integers(len(others))]
            start = int(rng.integers(len(other)))
            data[at:at + length] = other[start:start + length]
        else:
            data[at:at + length] = bytes(length)
    return bytes(data)


def with_checksums(png: bytes) -> bytes:
    """The checksums of all chunks made right again, so that more than these is tried."""
    start = png.find(PNG_SIGNATURE)
    if start < 0:
        return png
    data, at = bytearray(png), start + 8
    while at + 12 <= len(data):
        length = struct.unpack_from('>I', data, at)[0]
        if at + 12 + length > len(data):
            break
        struct.pack_into('>I', data, at + 8 + length, zlib.crc32(data[at + 4:at + 8 + length]))
        at += 12 + length
    return bytes(data)


def messages(seed: int, count: int) -> Iterator[Tuple[str, str, bytes]]:
    """(Name, type, serialized bytes) of damaged messages."""
    rng = np.random.default_rng(seed)
    corpus = image_messages(seed)
    files = [decode_compressed_image(raw).data.tobytes() for _, kind, raw in corpus if kind != IMAGE]
    for _ in range(count):
        # Files are where the decoders are.
        name, kind, raw = corpus[rng.integers(len(corpus))] if rng.random() < 0.3 else corpus[
            -1 - rng.integers(len(files))]
        if kind == IMAGE or rng.random() < 0.1:
            yield name, kind, mutated(raw, [raw for _, _, raw in corpus], rng)
            continue
        message = decode_compressed_image(raw)
        data = mutated(message.data.tobytes(), files, rng)
        if rng.random() < 0.8:
            data = with_checksums(data)
        yield name, kind, encode_compressed_image(CompressedImage(
            message.header, message.format, np.frombuffer(data, np.uint8)))


def _fill_memory(size: int, value: int) -> None:
    """Leave memory behind that is full of ``value``, where the next picture of this size is likely to lie."""
    blocks = [np.full(size, value, np.uint8) for _ in range(3)]
    blocks += [np.full(max(1, size // 16), value, np.uint8) for _ in range(16)]
    del blocks


def judge(kind: str, raw: bytes) -> Tuple[str, bool]:
    """What is wrong with how a message is read (empty: nothing), and whether it became a picture."""
    read = decode_image if kind == IMAGE else decode_compressed_image
    pixels = []
    for value in (0x55, 0xAA):
        if pixels:
            _fill_memory(pixels[0].nbytes, value)
        started = time.perf_counter()
        try:
            pixels.append(np.array(decode(read(raw)).pixels))
        except ImageError as error:
            if error.reason not in IMAGE_REASONS or not str(error).isprintable() or len(str(error)) > 1000:
                return f'reason or text: {error.reason}: {error}', False
            if pixels:
                return f'accepted, then refused: {error}', False
            return _slow(started), False
        except Exception as error:
            return f'{type(error).__name__}: {error}', False
        if _slow(started):
            return _slow(started), True
    return '' if np.array_equal(*pixels) else 'pixels that are not of the message', True


def _slow(started: float) -> str:
    seconds = time.perf_counter() - started
    return f'{seconds:.2f} s' if seconds > MOST_SECONDS else ''


def main(seed: int, count: int, folder: Path) -> int:
    """Try ``count`` messages."""
    image_messages(seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # What asks for more than is allowed fails, instead of taking the machine's memory.
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (int(used + 4 * MOST_BYTES),) * 2)
    accepted, at = 0, np.memmap(folder / 'at', np.int64, 'w+', shape=1)
    for number, (name, kind, raw) in enumerate(messages(seed, count)):
        at[0] = number
        wrong, is_picture = judge(kind, raw)
        accepted += is_picture
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        if not wrong and taken > MOST_BYTES:
            wrong = f'{taken / 1e6:.0f} MB'
        if wrong:
            (folder / 'wrong').write_bytes(raw)
            print(f'seed {seed}, message {number}, made of {name} ({kind}): {wrong}')
            return 1
    print(f'{count} messages, {accepted} of them are pictures')
    return 0


if __name__ == '__main__':
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))

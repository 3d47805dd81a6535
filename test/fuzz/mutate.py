"""Mutations of bytes and of text: pure functions of the input and a ``random.Random``."""
import random
import struct
import zlib
from typing import Callable, List, Sequence, Tuple

INTERESTING = (0, 1, 2, 3, 4, 7, 8, 12, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 511, 512, 1024, 4095, 4096, 32767,
               32768, 65535, 65536, 99999, 1 << 20, 1 << 24, 1 << 28, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
               (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_MOST = 1 << 20  # bytes that an input may grow to


def flip_bits(data: bytes, rng: random.Random, _: Sequence[bytes] = ()) -> bytes:
    """One to eight bits, anywhere."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        if result:
            result[rng.randrange(len(result))] ^= 1 << rng.randrange(8)
    return bytes(result)


def flip_near_start(data: bytes, rng: random.Random, _: Sequence[bytes] = ()) -> bytes:
    """Bits among the first 128 bytes, where headers are."""
    head = min(len(data), 128)
    return flip_bits(data[:head], rng) + data[head:]


def set_bytes(data: bytes, rng: random.Random, _: Sequence[bytes] = ()) -> bytes:
    """A few bytes become others."""
    result = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if result:
            result[rng.randrange(len(result))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(result)


def set_number(data: bytes, rng: random.Random, _: Sequence[bytes] = ()) -> bytes:
    """A number of 1 to 8 bytes in either order becomes an interesting one; early and aligned positions more often."""
    size = rng.choice((1, 2, 4, 4, 4, 8))
    if len(data) < size:
        return data
    last = len(data) - size
    position = rng.randrange(min(last, rng.choice((64, 256, last or 1))) + 1)
    if rng.random() < .6:
        position -= position % min(size, 4)
    value = rng.choice((rng.choice(INTERESTING), rng.choice(INTERESTING) + rng.randint(-2, 2), len(data),
                        rng.getrandbits(8 * size))) % (1 << 8 * size)
    return data[:position] + value.to_bytes(size, rng.choice(('little', 'big'))) + data[position + size:]


def cut(data: bytes, rng: random.Random, _: Sequence[bytes] = ()) -> bytes:
    """The end is missing."""
    return data[:rng.randrange(len(data) + 1)]


def remove(data: bytes, rng: random.Random, _: Sequence[bytes] = ()) -> bytes:
    """A piece of the middle is missing."""
    begin, end = _piece(data, rng)
    return data[:begin] + data[end:]


def blank(data: bytes, rng: random.Random, _: Sequence[bytes] = ()) -> bytes:
    """A piece is zeros, as a sector that was never written."""
    begin, end = _piece(data, rng)
    return data[:begin] + bytes(end - begin) + data[end:]


def repeat(data: bytes, rng: random.Random, _: Sequence[bytes] = ()) -> bytes:
    """A piece is there more often."""
    begin, end = _piece(data, rng)
    times = rng.choice((2, 2, 3, 10, 100))
    return (data[:begin] + data[begin:end] * min(times, _MOST // max(1, end - begin)) + data[end:])[:_MOST]


def swap(data: bytes, rng: random.Random, _: Sequence[bytes] = ()) -> bytes:
    """Two pieces change places."""
    if len(data) < 4:
        return data
    a, b, c, d = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def splice(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """The beginning of this one, the end of another one."""
    if not others:
        return data
    other = rng.choice(others)
    return data[:rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1):]


def insert(data: bytes, rng: random.Random, _: Sequence[bytes] = ()) -> bytes:
    """Random or constant bytes come in between."""
    position = rng.randrange(len(data) + 1)
    size = rng.choice((1, 2, 4, 16, 200))
    return data[:position] + rng.choice((rng.randbytes(size), bytes(size), b'\xff' * size)) + data[position:]


def _piece(data: bytes, rng: random.Random) -> Tuple[int, int]:
    if not data:
        return 0, 0
    begin = rng.randrange(len(data))
    return begin, min(len(data), begin + rng.choice((1, 2, 4, 16, 64, 512, len(data))))


BYTE_MUTATIONS: Tuple[Callable[..., bytes], ...] = (
    flip_bits, flip_near_start, flip_near_start, set_bytes, set_number, set_number, set_number, cut, remove, blank,
    repeat, swap, splice, insert)


def mutated(data: bytes, rng: random.Random, others: Sequence[bytes] = (),
            mutations: Sequence[Callable[..., bytes]] = BYTE_MUTATIONS) -> bytes:
    """One mutation mostly, now and then several."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(mutations)(data, rng, others)
    return data[:_MOST]


def png_mutated(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """A PNG whose chunks are changed, doubled, moved or new, mostly with right checksums.

    So more than the checksum is tried. Other bytes are mutated as bytes.
    """
    chunks = _png_chunks(data)
    if not chunks:
        return mutated(data, rng, others)
    for _ in range(rng.choice((1, 1, 2, 3))):
        index = rng.randrange(len(chunks))
        kind, content = chunks[index]
        action = rng.randrange(6)
        if action == 0:
            chunks[index] = (kind, mutated(content, rng))
        elif action == 1:
            chunks.insert(rng.randrange(len(chunks) + 1), (kind, content))
        elif action == 2:
            chunks.pop(index)
        elif action == 3:
            new = rng.choice((b'acTL', b'fcTL', b'fdAT', b'tRNS', b'PLTE', b'iCCP', b'zTXt', b'iTXt', b'eXIf', b'gAMA',
                              b'sBIT', b'hIST', b'CgBI', b'IDAT', b'IHDR', b'IEND', b'\xffXXX', b'abcd'))
            body = rng.choice((b'', rng.randbytes(rng.choice((1, 4, 8, 26, 300))), struct.pack('>II', rng.choice(
                (0, 1, 2, 1 << 31)), rng.choice((0, 1))), zlib.compress(bytes(rng.choice((10, 100000))))))
            chunks.insert(rng.randrange(len(chunks) + 1), (new, body))
        elif action == 4:
            i, j = rng.randrange(len(chunks)), rng.randrange(len(chunks))
            chunks[i], chunks[j] = chunks[j], chunks[i]
        elif kind == b'IHDR' and len(content) == 13:
            fields = list(struct.unpack('>IIBBBBB', content))
            which = rng.randrange(7)
            fields[which] = rng.choice(INTERESTING + (fields[which] + 1, fields[which] * 2)) % (
                1 << 32 if which < 2 else 256)
            chunks[index] = (kind, struct.pack('>IIBBBBB', *fields))
        if not chunks:
            break
    parts = [data[:8]]
    for kind, content in chunks:
        length = len(content) if rng.random() > .03 else rng.choice(INTERESTING) % (1 << 32)
        checksum = zlib.crc32(kind + content) if rng.random() > .05 else rng.getrandbits(32)
        parts.append(struct.pack('>I', length) + kind + content + struct.pack('>I', checksum))
    return b''.join(parts)[:_MOST]


def _png_chunks(data: bytes) -> List[Tuple[bytes, bytes]]:
    chunks, position = [], 8
    while data[:4] == b'\x89PNG' and position + 12 <= len(data):
        length = int.from_bytes(data[position:position + 4], 'big')
        if position + 12 + length > len(data):
            break
        chunks.append((data[position + 4:position + 8], data[position + 8:position + 8 + length]))
        position += 12 + length
    return chunks


def jpeg_mutated(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """A JPEG whose segments are changed, doubled, moved, dropped, or of another frame type; scans are repeated."""
    segments = _jpeg_segments(data)
    if not segments:
        return mutated(data, rng, others)
    for _ in range(rng.choice((1, 1, 2, 3))):
        index = rng.randrange(len(segments))
        piece = segments[index]
        action = rng.randrange(7)
        if action == 0:
            segments[index] = piece[:4] + mutated(piece[4:], rng)
        elif action == 1:
            segments[index:index] = [piece] * rng.choice((1, 1, 2, 10, 100))
        elif action == 2:
            segments.pop(index)
        elif action == 3 and len(piece) > 1:
            marker = rng.choice((*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD, 0xE0, 0xE1, 0xE2, 0xFE, 0xD8, 0xD9))
            segments[index] = piece[:1] + bytes([marker]) + piece[2:]
        elif action == 4:
            other = rng.randrange(len(segments))
            segments[index], segments[other] = segments[other], piece
        elif action == 5 and len(piece) > 10 and 0xC0 <= piece[1] <= 0xCF:
            size = struct.pack('>HH', *(rng.choice((0, 1, 8, 64, 4096, 9999, 10000, 65535)) for _ in range(2)))
            segments[index] = piece[:5] + size + piece[9:]
        else:
            segments.insert(index, b'\xff' + bytes([rng.choice((0xDD, 0xDC, 0xE0, 0xFE, 0xD0, 0x01))])
                            + struct.pack('>H', rng.choice((2, 4, 4, 6, 65535))) + rng.randbytes(rng.choice((0, 2, 4))))
        if not segments:
            break
    return b''.join([data[:2], *segments])[:_MOST]


def _jpeg_segments(data: bytes) -> List[bytes]:
    """Everything after the start marker, cut at markers; a scan is one piece with its coded bytes."""
    segments, position = [], 2
    while data[:2] == b'\xff\xd8' and position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        end = position + 2 + int.from_bytes(data[position + 2:position + 4], 'big') if marker != 0xD9 else position + 2
        if marker == 0xDA:
            while end + 1 < len(data) and not (data[end] == 0xFF and data[end + 1] not in (0, *range(0xD0, 0xD8))):
                end += 1
        segments.append(data[position:end])
        position = end
    segments.append(data[position:])
    return [piece for piece in segments if piece]


SNIPPETS = (
    b'', b'null', b'~', b'!!int ""', b'!!float "x"', b'!!timestamp "x"', b'2001-99-99', b'2001-01-01', b'!!binary "=="',
    b'!!python/object:os.system x', b'&a [*a]', b'*b', b'<<: *a', b'{a: 1, a: 2}', b'- ' * 50, b'[' * 200, b'{' * 200,
    b'9' * 5000, b'-' + b'9' * 400, b'1e999', b'-1e999', b'.nan', b'.inf', b'0x7f', b'010', b'1_0', b'off', b'no', b'y',
    b'1e-3', b'\xef\xbb\xbf', b'\xff\xfe', b'\xe9', b'\x00', b'\x1b[2J', b'\xe2\x80\xae', b'a' * 10000, b'"', b"'",
    b'|', b'>', b'%YAML 9.9', b'---', b'...', b'\t', b'\r\n', b'\xc2\xb2', b'? ', b': ', b'#', b',', b';', b'"\n"',
    b'"a,""b"',
    b'-1', b'1e308', b'18446744073709551616', b'1700000000', b'1700000000000', b'1700000000000000000', b'=1+1', b'@x',
    b'../../etc/passwd', b'~nosuchuser/m', b'/dev/zero', b'a' * 300)


def text_mutated(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Lines and words are swapped, doubled, dropped, or become what parsers stumble over; now and then bytes."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        lines = data.split(b'\n')
        index = rng.randrange(len(lines))
        action = rng.randrange(9)
        if action == 0:
            data = mutated(data, rng, others)
        elif action == 1:
            lines[index] = rng.choice(SNIPPETS)
        elif action == 2:
            lines.insert(index, rng.choice(lines))
        elif action == 3:
            lines.pop(index)
        elif action == 4:
            lines[index] = b' ' * rng.choice((1, 2, 4)) + lines[index]
        elif action == 5:
            lines[index] += rng.choice(SNIPPETS)
        elif action == 6:  # the value behind a colon or comma
            separator = rng.choice((b': ', b',', b'='))
            begin, found, _ = lines[index].partition(separator)
            lines[index] = begin + found + rng.choice(SNIPPETS)
        elif action == 7:  # a key
            begin, found, rest = lines[index].partition(b':')
            lines[index] = begin[:len(begin) - len(begin.lstrip())] + rng.choice(SNIPPETS) + found + rest
        else:
            words = lines[index].split(b' ')
            words[rng.randrange(len(words))] = rng.choice(SNIPPETS)
            lines[index] = b' '.join(words)
        if action:
            data = b'\n'.join(lines)
    return data[:_MOST]

"""The four codecs of Kafka's batches, as Java's consumers and brokers read and write them.

- gzip and zstd are what they are elsewhere. gzip is zlib's, or that of isal and zlib-ng where they are
  installed: another library's bytes for the same level, which everybody reads alike.
- snappy travels in the framing of the Java library snappy-java: a 16-byte header, then blocks with a length.
  That is what we write; bare snappy, as some clients send it, is read too. A block may have any size. Ours
  have a MiB, where Java's have 32 KiB: mostly a batch is one block, and one call.
- lz4 is the standard frame (KIP-57), of which Java reads only independent blocks without a dictionary. Same
  here, both ways. Large batches at the default level have blocks of 256 KiB, in a frame that is written here:
  they are smaller by 3 to 17 % than in the 64 KiB of Java's producer, for which the library uses a poorer
  table, and take up to a third less time.

Decompression takes memory for what came out, not for what the data claims: a few bytes can claim gigabytes (a
"zip bomb"). The one exception is the window a zstd frame asks for, which the library reserves, untouched, and
refuses above 128 MiB. Checksums inside the containers are not looked at: the batch's CRC-32C covers the same
bytes.

Codec libraries are imported by the first use of their codec, so that an uncompressed client does not pay for
them. Each of the calls made here lets go of the GIL while it works, at every level: `compress` in another
thread holds nobody up.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import Any, Final, NamedTuple

from klife.protocol.errors import DecodeError

CODECS: Final = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""Kafka's names of the codecs and their numbers in a batch's attributes."""


class LevelRange(NamedTuple):
    """The levels a codec takes, both ends included, and the one it uses when none is given."""

    minimum: int
    maximum: int
    default: int

    def allows(self, level: int) -> bool:
        """Whether `level` may be given: gzip's default, -1, is outside its range and allowed."""
        return self.minimum <= level <= self.maximum or level == self.default


LEVELS: Final = {
    "gzip": LevelRange(1, 9, -1),
    "lz4": LevelRange(1, 17, 9),
    "zstd": LevelRange(-131072, 22, 3),
}
"""Compression levels by codec, as Java's producer has them (KIP-390). snappy has none; of lz4's, 9 is fast
and the rest slow.
"""

QUICK_SIZES: Final = {"none": 512 * 1024, "gzip": 16 * 1024, "snappy": 512 * 1024, "lz4": 512 * 1024, "zstd": 128 * 1024}
QUICK_SIZE_OF_SLOW_LEVELS: Final = 2 * 1024
"""What takes less than 3 ms, and mostly a tenth of that, of the worst data too (long runs, small alphabets,
matches of four bytes): at a codec's default level, and at its slowest. 512 KiB take snappy and lz4 up to 1.3
ms and zstd 3; 16 KiB take up to 12 ms at gzip's and lz4's slowest level, and 30 ms at zstd's.
"""

_QUICK_SIZES: Final = {number: QUICK_SIZES[name] for name, number in CODECS.items()}
_GZIP_DEFAULT: Final = 6
"""What zlib means by its default level, -1."""

GZIP_OF_ISAL: Final = 1
GZIP_OF_ZLIB_NG: Final = 4
"""The level that isal does, and the first that zlib-ng does, where they are installed."""

SNAPPY_MAGIC: Final = b"\x82SNAPPY\0"
# Magic, version 1, oldest version that can read it 1.
SNAPPY_HEADER: Final = SNAPPY_MAGIC + b"\0\0\0\1\0\0\0\1"
SNAPPY_BLOCK: Final = 1024 * 1024
SNAPPY_MAX_RATIO: Final = 32
"""More than any snappy can expand: its densest element makes 64 bytes of 3."""

LZ4_MAGIC: Final = b"\x04\x22\x4d\x18"
LZ4_HEADER_SIZE: Final = len(LZ4_MAGIC) + 3
"""Magic, flags, block descriptor, and the checksum of the two."""

LZ4_STORED: Final = 0x80000000
"""In a block's length: the block is not compressed, which would have made it larger."""
LZ4_HAS_CONTENT_CHECKSUM: Final = 0x04
LZ4_HAS_CONTENT_SIZE: Final = 0x08
LZ4_HAS_BLOCK_CHECKSUMS: Final = 0x10
LZ4_SMALL_BLOCK: Final = 64 * 1024
LZ4_LARGE_BLOCK: Final = 256 * 1024
LZ4_LARGE_HEADER: Final = LZ4_MAGIC + b"\x60\x50\xfb"
LZ4_KEPT: Final = 1024 * 1024
"""Bytes of the largest buffer that is kept for the next batch: a new one of such a size is mapped page by page."""

ZSTD_HASH_LOG: Final = 15
ZSTD_CHAIN_LOG: Final = 14
"""The default level's tables of earlier matches: 192 KiB in place of 768, which stay in the processor's caches
while records are collected for the next batch. Batches are small enough for that: records come out no larger.
"""

ZSTD_KEPT: Final = 4
"""Contexts of a level that are kept. Each takes up to 2 MiB."""

FIRST_GUESS: Final = 64 * 1024
OUTPUT_FULL: Final = "failed to write whole buffer"
"""How cramjam says, in the words of Rust's standard library, that the output was too small and the data not
damaged.
"""

U32: Final = Struct(">I")
U32_LE: Final = Struct("<I")


def compress(codec: int, data: bytes, level: int | None = None) -> bytes:
    """`data` compressed by codec number `codec` (0 returns it as it is) at `level`, or at the codec's
    default.

    The level is taken as valid; `LEVELS` says which are.
    """
    return _COMPRESSORS[codec](data, level)


def quick_size(codec: int, level: int | None) -> int:
    """Fewer bytes than this are compressed so quickly that an event loop can wait for it."""
    slow = level is not None and (
        (codec == CODECS["gzip"] and level > _GZIP_DEFAULT)
        or (codec == CODECS["lz4"] and level != LEVELS["lz4"].default)
        or (codec == CODECS["zstd"] and level > LEVELS["zstd"].default)
    )
    return QUICK_SIZE_OF_SLOW_LEVELS if slow else _QUICK_SIZES[codec]


def decompress(codec: int, data: bytes, max_bytes: int) -> bytes:
    """What `data` holds when it is decompressed.

    `DecodeError` for damaged data, an unknown codec, or more than `max_bytes`, which is known before more
    than about twice as much memory is taken.
    """
    decompressor = _DECOMPRESSORS.get(codec)
    if decompressor is None:
        raise DecodeError(f"a batch is compressed with codec {codec}; Kafka has codecs 0 to {max(_DECOMPRESSORS)}")
    return decompressor(data, max_bytes)


def _too_large(codec: str, max_bytes: int) -> DecodeError:
    return DecodeError(f"a batch's {codec} data is larger than the {max_bytes} bytes allowed once decompressed")


def _damaged(codec: str, why: object) -> DecodeError:
    return DecodeError(f"a batch's {codec} data is damaged: {why}")


def _block_size(view: memoryview, at: int, number: Struct, codec: str) -> tuple[int, int]:
    """The length that stands before a block, and where the block begins."""
    start = at + number.size
    if start > len(view):
        raise _damaged(codec, "it ends too early")
    return int(number.unpack_from(view, at)[0]), start


def _block(view: memoryview, at: int, size: int, codec: str) -> memoryview:
    if size > len(view) - at:
        raise _damaged(codec, f"a block of {size} bytes where {len(view) - at} are left")
    return view[at : at + size]


def _store(data: bytes, level: int | None) -> bytes:
    return data


def _load(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise _too_large("uncompressed", max_bytes)
    return data


def _gzip(data: bytes, level: int | None) -> bytes:
    if level is None:
        level = LEVELS["gzip"].default
    compressed: bytes = _deflating(level).compress(data, level, 16 + zlib.MAX_WBITS)
    return compressed


@cache
def _deflating(level: int) -> Any:
    """The library that is best at this level. isal's 1 makes data as small as zlib's, in a third of the time;
    so does zlib-ng from 4 on, in two thirds. In between zlib-ng's are larger by up to a tenth.
    """
    try:
        if level == GZIP_OF_ISAL:
            from isal import isal_zlib

            return isal_zlib
        if level == LEVELS["gzip"].default or level >= GZIP_OF_ZLIB_NG:
            from zlib_ng import zlib_ng

            return zlib_ng
    except ImportError:  # they are of the extra "gzip"
        pass
    return zlib


def _gunzip(data: bytes, max_bytes: int) -> bytes:
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = member.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise _damaged("gzip", error) from None
    if len(plain) > max_bytes:
        raise _too_large("gzip", max_bytes)
    if not member.eof or member.unused_data:
        raise _damaged("gzip", "it does not end where the data ends")
    return plain


def _snappy(data: bytes, level: int | None) -> bytes:
    import snappy

    view = memoryview(data)
    parts = [SNAPPY_HEADER]
    for start in range(0, len(data), SNAPPY_BLOCK):
        block: bytes = snappy.compress(view[start : start + SNAPPY_BLOCK])
        parts += (U32.pack(len(block)), block)
    return b"".join(parts)


def _unsnappy(data: bytes, max_bytes: int) -> bytes:
    if not data.startswith(SNAPPY_MAGIC):
        return _unsnappy_block(memoryview(data), max_bytes, max_bytes)
    view = memoryview(data)
    parts: list[bytes] = []
    room = max_bytes
    at = len(SNAPPY_HEADER)
    while at < len(data):
        size, at = _block_size(view, at, U32, "snappy")
        part = _unsnappy_block(_block(view, at, size, "snappy"), room, max_bytes)
        parts.append(part)
        room -= len(part)
        at += size
    return b"".join(parts)


def _unsnappy_block(block: memoryview, room: int, max_bytes: int) -> bytes:
    import cramjam  # python-snappy's core, which tells what it does not
    import snappy

    try:
        size = cramjam.snappy.decompress_raw_len(block)
        if size > room:
            raise _too_large("snappy", max_bytes)
        if size > SNAPPY_MAX_RATIO * len(block):
            raise _damaged("snappy", f"{len(block)} bytes claim to hold {size}")
        plain: bytes = snappy.uncompress(block)
        return plain
    except cramjam.DecompressionError as error:
        raise _damaged("snappy", error) from None
    except snappy.UncompressError as error:  # which says nothing itself
        raise _damaged("snappy", error.__cause__) from None


def _lz4(data: bytes, level: int | None) -> bytes:
    slow = level is not None and level != LEVELS["lz4"].default
    if len(data) > LZ4_SMALL_BLOCK and not slow:
        return _large_lz4(data)
    from lz4.frame import BLOCKSIZE_MAX64KB, compress

    # The library's levels below 3 are its fast mode; Java's 1 and 2 are slow ones. Blocks and flags are those
    # of Java's producer.
    frame: bytes = compress(
        data,
        compression_level=max(level or 0, 3) if slow else 0,
        block_size=BLOCKSIZE_MAX64KB,
        block_linked=False,
        store_size=False,
    )
    return frame


def _large_lz4(data: bytes) -> bytes:
    """A frame at the default level, of large blocks, each compressed into a buffer that was there before."""
    from cramjam import lz4

    size = len(data)
    # For noise, of which a block grows by 1 in 255 before it is known to be better stored.
    bound = LZ4_HEADER_SIZE + size + size // 255 + (size // LZ4_LARGE_BLOCK + 1) * (U32_LE.size + 16) + U32_LE.size
    try:
        buffer = _lz4_buffers.pop()
    except IndexError:  # all are in use, in other threads
        buffer = bytearray()
    if len(buffer) < bound:
        buffer = bytearray(bound)
    plain, frame = memoryview(data), memoryview(buffer)
    at = LZ4_HEADER_SIZE
    frame[:at] = LZ4_LARGE_HEADER
    for start in range(0, size, LZ4_LARGE_BLOCK):
        block = plain[start : start + LZ4_LARGE_BLOCK]
        begin = at + U32_LE.size
        length = lz4.compress_block_into(block, frame[begin:], store_size=False)
        if length < len(block):
            U32_LE.pack_into(buffer, at, length)
        else:
            length = len(block)
            frame[begin : begin + length] = block
            U32_LE.pack_into(buffer, at, length | LZ4_STORED)
        at = begin + length
    U32_LE.pack_into(buffer, at, 0)
    done = bytes(frame[: at + U32_LE.size])
    if len(buffer) <= LZ4_KEPT:
        _lz4_buffers.append(buffer)
    return done


_lz4_buffers: list[bytearray] = []  # as many as threads ever compressed at once; a list's pop and append are whole in any of them


def _unlz4(data: bytes, max_bytes: int) -> bytes:
    from lz4.block import LZ4BlockError
    from lz4.block import decompress as decompress_block

    flags, max_block, at = _lz4_descriptor(data)
    view = memoryview(data)
    parts: list[bytes] = []
    room = max_bytes
    while True:
        size, at = _block_size(view, at, U32_LE, "lz4")
        stored = bool(size & LZ4_STORED)
        size &= ~LZ4_STORED
        if size == 0:
            break
        if size > max_block:
            raise _damaged("lz4", f"a block of {size} bytes where {max_block} is the most")
        block = _block(view, at, size, "lz4")
        if stored:
            part = bytes(block)
        else:
            try:
                part = decompress_block(block, uncompressed_size=max_block)
            except LZ4BlockError as error:
                raise _damaged("lz4", error) from None
        if len(part) > room:
            raise _too_large("lz4", max_bytes)
        parts.append(part)
        room -= len(part)
        at += size + (4 if flags & LZ4_HAS_BLOCK_CHECKSUMS else 0)
    if at + (4 if flags & LZ4_HAS_CONTENT_CHECKSUM else 0) != len(data):
        raise _damaged("lz4", "the frame does not end where the data ends")
    return b"".join(parts)


def _lz4_descriptor(data: bytes) -> tuple[int, int, int]:
    """An lz4 frame's flags, its largest block and where its blocks begin, under the restrictions of Java's
    Lz4BlockInputStream.
    """
    if not data.startswith(LZ4_MAGIC) or len(data) < LZ4_HEADER_SIZE:
        raise _damaged("lz4", "it does not start with a frame")
    flags, block_descriptor = data[4], data[5]
    # Version 01 and independent blocks, neither a dictionary nor the reserved bit.
    if flags & 0b11100011 != 0b01100000:
        raise _damaged("lz4", f"frame flags {flags:#04x}; Kafka's frames are version 1 with independent blocks and no dictionary")
    if block_descriptor & 0b10001111 or block_descriptor < 0x40:
        raise _damaged("lz4", f"block descriptor {block_descriptor:#04x} is not one of the format's")
    return flags, 1 << (2 * (block_descriptor >> 4) + 8), LZ4_HEADER_SIZE + (8 if flags & LZ4_HAS_CONTENT_SIZE else 0)


def _zstd(data: bytes, level: int | None) -> bytes:
    default = LEVELS["zstd"].default
    if level is None:
        level = default
    if level > default:
        return _zstd_frame(_zstd_context(level), data)
    kept = _zstd_contexts.get(level)
    if kept is None:
        kept = _zstd_contexts.setdefault(level, [])
    try:
        context = kept.pop()
    except IndexError:  # all are in use, in other threads
        context = _zstd_context(level)
    frame = _zstd_frame(context, data)
    if len(kept) < ZSTD_KEPT:
        kept.append(context)
    return frame


def _zstd_context(level: int) -> Any:
    if sys.version_info >= (3, 14):
        from compression.zstd import CompressionParameter, ZstdCompressor
    else:
        from backports.zstd import CompressionParameter, ZstdCompressor
    options: dict[int, int] = {CompressionParameter.compression_level: level}
    if level == LEVELS["zstd"].default:
        options[CompressionParameter.hash_log] = ZSTD_HASH_LOG
        options[CompressionParameter.chain_log] = ZSTD_CHAIN_LOG
    return ZstdCompressor(options=options)


def _zstd_frame(context: Any, data: bytes) -> bytes:
    frame: bytes = context.compress(data, context.FLUSH_FRAME)
    return frame


_zstd_contexts: dict[int, list[Any]] = {}
"""By level, those that nobody uses now: making one takes as long as compressing a kilobyte. Not of the slow
levels, which take long anyway, and whose contexts take tens of megabytes.
"""


def _unzstd(data: bytes, max_bytes: int) -> bytes:
    from cramjam import DecompressionError, zstd

    # Java writes no content size, and one that is written may lie: so the output grows only when it was
    # filled.
    size = min(max_bytes, max(4 * len(data), FIRST_GUESS))
    while True:
        output = bytearray(size)
        try:
            return bytes(memoryview(output)[: zstd.decompress_into(data, output)])
        except DecompressionError as error:
            if OUTPUT_FULL not in str(error):
                raise _damaged("zstd", error) from None
        if size == max_bytes:
            raise _too_large("zstd", max_bytes)
        size = min(max_bytes, 4 * size)


_COMPRESSORS: Final[dict[int, Callable[[bytes, int | None], bytes]]] = {0: _store, 1: _gzip, 2: _snappy, 3: _lz4, 4: _zstd}
_DECOMPRESSORS: Final[dict[int, Callable[[bytes, int], bytes]]] = {0: _load, 1: _gunzip, 2: _unsnappy, 3: _unlz4, 4: _unzstd}

"""lz4 is the standard frame (KIP-57), of which Java reads only independent blocks without a dictionary. Same
here, both ways.

Large batches at the default level have blocks of 256 KiB, in a frame that is written here: they are smaller
by 3 to 17 % than in the 64 KiB of Java's producer, for which the library uses a poorer table, and take up to
a third less time.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from klife.protocol.codecs.levels import LEVELS
from klife.protocol.codecs.reading import block_at, block_size, damaged, too_large
from klife.words import counted

MAGIC: Final = b"\x04\x22\x4d\x18"
HEADER_SIZE: Final = len(MAGIC) + 3
"""Magic, flags, block descriptor, and the checksum of the two."""

STORED: Final = 0x80000000
"""In a block's length: the block is not compressed, which would have made it larger."""
HAS_CONTENT_CHECKSUM: Final = 0x04
HAS_CONTENT_SIZE: Final = 0x08
HAS_BLOCK_CHECKSUMS: Final = 0x10
SMALL_BLOCK: Final = 64 * 1024
LARGE_BLOCK: Final = 256 * 1024
LARGE_HEADER: Final = MAGIC + b"\x60\x50\xfb"
KEPT: Final = 1024 * 1024
"""Bytes of the largest buffer that is kept for the next batch: a new one of such a size is mapped page by page."""

U32_LE: Final = Struct("<I")


def compress(data: bytes, level: int | None) -> bytes:
    slow = level is not None and level != LEVELS["lz4"].default
    if len(data) > SMALL_BLOCK and not slow:
        return _compress_large(data)
    from lz4 import frame

    # The library's levels below 3 are its fast mode; Java's 1 and 2 are slow ones. Blocks and flags are those
    # of Java's producer.
    compressed: bytes = frame.compress(
        data,
        compression_level=max(level or 0, 3) if slow else 0,
        block_size=frame.BLOCKSIZE_MAX64KB,
        block_linked=False,
        store_size=False,
    )
    return compressed


def _compress_large(data: bytes) -> bytes:
    """A frame at the default level, of large blocks, each compressed into a buffer that was there before."""
    from cramjam import lz4

    size = len(data)
    # For noise, of which a block grows by 1 in 255 before it is known to be better stored.
    bound = HEADER_SIZE + size + size // 255 + (size // LARGE_BLOCK + 1) * (U32_LE.size + 16) + U32_LE.size
    try:
        buffer = _buffers.pop()
    except IndexError:  # all are in use, in other threads
        buffer = bytearray()
    if len(buffer) < bound:
        buffer = bytearray(bound)
    plain, frame = memoryview(data), memoryview(buffer)
    at = HEADER_SIZE
    frame[:at] = LARGE_HEADER
    for start in range(0, size, LARGE_BLOCK):
        block = plain[start : start + LARGE_BLOCK]
        begin = at + U32_LE.size
        length = lz4.compress_block_into(block, frame[begin:], store_size=False)
        if length < len(block):
            U32_LE.pack_into(buffer, at, length)
        else:
            length = len(block)
            frame[begin : begin + length] = block
            U32_LE.pack_into(buffer, at, length | STORED)
        at = begin + length
    U32_LE.pack_into(buffer, at, 0)
    done = bytes(frame[: at + U32_LE.size])
    if len(buffer) <= KEPT:
        _buffers.append(buffer)
    return done


_buffers: list[bytearray] = []  # as many as threads ever compressed at once; a list's pop and append are whole in any of them


def decompress(data: bytes, max_bytes: int) -> bytes:
    from lz4.block import LZ4BlockError
    from lz4.block import decompress as decompress_block

    flags, max_block, at = _descriptor(data)
    view = memoryview(data)
    parts: list[bytes] = []
    room = max_bytes
    while True:
        size, at = block_size(view, at, U32_LE, "lz4")
        stored = bool(size & STORED)
        size &= ~STORED
        if size == 0:
            break
        if size > max_block:
            raise damaged("lz4", f"a block of {counted(size, 'byte')} where {max_block} is the most")
        block = block_at(view, at, size, "lz4")
        if stored:
            part = bytes(block)
        else:
            try:
                part = decompress_block(block, uncompressed_size=max_block)
            except LZ4BlockError as error:
                raise damaged("lz4", error) from None
        if len(part) > room:
            raise too_large("lz4", max_bytes)
        parts.append(part)
        room -= len(part)
        at += size + (4 if flags & HAS_BLOCK_CHECKSUMS else 0)
    if at + (4 if flags & HAS_CONTENT_CHECKSUM else 0) != len(data):
        raise damaged("lz4", "the frame does not end where the data ends")
    return b"".join(parts)


def _descriptor(data: bytes) -> tuple[int, int, int]:
    """An lz4 frame's flags, its largest block and where its blocks begin, under the restrictions of Java's
    Lz4BlockInputStream.
    """
    if not data.startswith(MAGIC) or len(data) < HEADER_SIZE:
        raise damaged("lz4", "it does not start with a frame")
    flags, block_descriptor = data[4], data[5]
    # Version 01 and independent blocks, neither a dictionary nor the reserved bit.
    if flags & 0b11100011 != 0b01100000:
        raise damaged("lz4", f"frame flags {flags:#04x}; Kafka's frames are version 1 with independent blocks and no dictionary")
    if block_descriptor & 0b10001111 or block_descriptor < 0x40:
        raise damaged("lz4", f"block descriptor {block_descriptor:#04x} is not one of the format's")
    return flags, 1 << (2 * (block_descriptor >> 4) + 8), HEADER_SIZE + (8 if flags & HAS_CONTENT_SIZE else 0)

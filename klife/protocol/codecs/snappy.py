"""snappy travels in the framing of the Java library snappy-java: a 16-byte header, then blocks with a length.

That is what we write; bare snappy, as some clients send it, is read too. A block may have any size. Ours have
a MiB, where Java's have 32 KiB: mostly a batch is one block, and one call.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from klife.protocol.codecs.reading import block_at, block_size, damaged, too_large
from klife.words import counted

MAGIC: Final = b"\x82SNAPPY\0"
# Magic, version 1, oldest version that can read it 1.
HEADER: Final = MAGIC + b"\0\0\0\1\0\0\0\1"
BLOCK: Final = 1024 * 1024
MAX_RATIO: Final = 32
"""More than any snappy can expand: its densest element makes 64 bytes of 3."""

U32: Final = Struct(">I")


def compress(data: bytes, level: int | None) -> bytes:
    import snappy

    view = memoryview(data)
    parts = [HEADER]
    for start in range(0, len(data), BLOCK):
        block: bytes = snappy.compress(view[start : start + BLOCK])
        parts += (U32.pack(len(block)), block)
    return b"".join(parts)


def decompress(data: bytes, max_bytes: int) -> bytes:
    if not data.startswith(MAGIC):
        return _decompress_block(memoryview(data), max_bytes, max_bytes)
    view = memoryview(data)
    parts: list[bytes] = []
    room = max_bytes
    at = len(HEADER)
    while at < len(data):
        size, at = block_size(view, at, U32, "snappy")
        part = _decompress_block(block_at(view, at, size, "snappy"), room, max_bytes)
        parts.append(part)
        room -= len(part)
        at += size
    return b"".join(parts)


def _decompress_block(block: memoryview, room: int, max_bytes: int) -> bytes:
    import cramjam  # python-snappy's core, which tells what it does not
    import snappy

    try:
        size = cramjam.snappy.decompress_raw_len(block)
        if size > room:
            raise too_large("snappy", max_bytes)
        if size > MAX_RATIO * len(block):
            raise damaged("snappy", f"{counted(len(block), 'byte')} said to hold {size}")
        plain: bytes = snappy.uncompress(block)
        return plain
    except cramjam.DecompressionError as error:
        raise damaged("snappy", error) from None
    except snappy.UncompressError as error:  # which says nothing itself
        raise damaged("snappy", error.__cause__) from None

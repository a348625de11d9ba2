"""zstd is what it is elsewhere: frames, of which several may follow one another.

A frame asks for a window, which the library reserves, untouched, and refuses above 128 MiB.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from klife.protocol.codecs.levels import LEVELS
from klife.protocol.codecs.reading import damaged, too_large

HASH_LOG: Final = 15
CHAIN_LOG: Final = 14
"""The default level's tables of earlier matches: 192 KiB in place of 768, which stay in the processor's caches
while records are collected for the next batch. Batches are small enough for that: records come out no larger.
"""

KEPT: Final = 4
"""Contexts of a level that are kept. Each takes up to 2 MiB."""

FIRST_GUESS: Final = 64 * 1024
OUTPUT_FULL: Final = "failed to write whole buffer"
"""How cramjam says, in the words of Rust's standard library, that the output was too small and the data not
damaged.
"""


def compress(data: bytes, level: int | None) -> bytes:
    default = LEVELS["zstd"].default
    if level is None:
        level = default
    if level > default:
        return _frame(_context(level), data)
    kept = _contexts.get(level)
    if kept is None:
        kept = _contexts.setdefault(level, [])
    try:
        context = kept.pop()
    except IndexError:  # all are in use, in other threads
        context = _context(level)
    frame = _frame(context, data)
    if len(kept) < KEPT:
        kept.append(context)
    return frame


def _context(level: int) -> Any:
    if sys.version_info >= (3, 14):
        from compression.zstd import CompressionParameter, ZstdCompressor
    else:
        from backports.zstd import CompressionParameter, ZstdCompressor
    options: dict[int, int] = {CompressionParameter.compression_level: level}
    if level == LEVELS["zstd"].default:
        options[CompressionParameter.hash_log] = HASH_LOG
        options[CompressionParameter.chain_log] = CHAIN_LOG
    return ZstdCompressor(options=options)


def _frame(context: Any, data: bytes) -> bytes:
    frame: bytes = context.compress(data, context.FLUSH_FRAME)
    return frame


_contexts: dict[int, list[Any]] = {}
"""By level, those that nobody uses now: making one takes as long as compressing a kilobyte. Not of the slow
levels, which take long anyway, and whose contexts take tens of megabytes.
"""


def decompress(data: bytes, max_bytes: int) -> bytes:
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
                raise damaged("zstd", error) from None
        if size == max_bytes:
            raise too_large("zstd", max_bytes)
        size = min(max_bytes, 4 * size)

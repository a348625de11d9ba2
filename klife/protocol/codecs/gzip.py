"""gzip is what it is elsewhere, written by zlib, or by isal and zlib-ng where they are installed: another
library's bytes for the same level, which everybody reads alike.
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any, Final

from klife.protocol.codecs.levels import LEVELS
from klife.protocol.codecs.reading import damaged, too_large

GZIP_OF_ISAL: Final = 1
GZIP_OF_ZLIB_NG: Final = 4
"""The level that isal does, and the first that zlib-ng does, where they are installed."""


def compress(data: bytes, level: int | None) -> bytes:
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


def decompress(data: bytes, max_bytes: int) -> bytes:
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = member.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise damaged("gzip", error) from None
    if len(plain) > max_bytes:
        raise too_large("gzip", max_bytes)
    if not member.eof or member.unused_data:
        raise damaged("gzip", "it does not end where the data ends")
    return plain

"""The four codecs of Kafka's batches, as Java's consumers and brokers read and write them: one module each, both
ways. `levels` says how hard they try, `reading` what is wrong with data.

Decompression takes memory for what came out, not for what the data claims: a few bytes can claim gigabytes (a
"zip bomb"). The one exception is the window a zstd frame asks for. Checksums inside the containers are not
looked at: the batch's CRC-32C covers the same bytes.

Codec libraries are imported by the first use of their codec, so that an uncompressed client does not pay for
them. Each of the calls made here lets go of the GIL while it works, at every level: `compress` in another
thread holds nobody up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from klife.protocol.codecs import gzip, lz4, snappy, zstd
from klife.protocol.codecs.levels import CODECS, LEVELS, QUICK_SIZES, quick_size
from klife.protocol.codecs.reading import too_large
from klife.protocol.errors import DecodeError

__all__ = ["CODECS", "LEVELS", "QUICK_SIZES", "compress", "decompress", "quick_size"]


def compress(codec: int, data: bytes, level: int | None = None) -> bytes:
    """`data` compressed by codec number `codec` (0 returns it as it is) at `level`, or at the codec's
    default.

    The level is taken as valid; `LEVELS` says which are.
    """
    return _COMPRESSORS[codec](data, level)


def decompress(codec: int, data: bytes, max_bytes: int) -> bytes:
    """What `data` holds when it is decompressed.

    `DecodeError` for damaged data, an unknown codec, or more than `max_bytes`, which is known before more
    than about twice as much memory is taken.
    """
    decompressor = _DECOMPRESSORS.get(codec)
    if decompressor is None:
        raise DecodeError(f"a batch is compressed with codec {codec}; Kafka has codecs 0 to {max(_DECOMPRESSORS)}")
    return decompressor(data, max_bytes)


def _store(data: bytes, level: int | None) -> bytes:
    return data


def _load(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise too_large("uncompressed", max_bytes)
    return data


_COMPRESSORS: Final[dict[int, Callable[[bytes, int | None], bytes]]] = {
    0: _store,
    1: gzip.compress,
    2: snappy.compress,
    3: lz4.compress,
    4: zstd.compress,
}
_DECOMPRESSORS: Final[dict[int, Callable[[bytes, int], bytes]]] = {
    0: _load,
    1: gzip.decompress,
    2: snappy.decompress,
    3: lz4.decompress,
    4: zstd.decompress,
}

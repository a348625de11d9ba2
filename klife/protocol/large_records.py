"""Batches of large records: a value that is large travels as it is, a part of its own beside the bytes around
it, and nobody copies it on its way to the kernel.

Apart from `record_write`, because a part of its own costs as much as copying some ten kilobytes: this is for
batches whose records are larger than that on the average. Same bytes (tests/protocol/test_large_records.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from klife.protocol.checksum import crc32c
from klife.protocol.record_layout import CHECKED, CHECKED_FROM, LENGTH_FROM, MAGIC, TRANSACTIONAL, UNCHECKED
from klife.protocol.record_parts import encode_varint, make_varints, record_parts

LARGE: Final = 32 * 1024
"""Bytes from which on a value is not copied."""


def encode_large(
    fields: Sequence[Any], producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool = False
) -> tuple[bytes, ...]:
    """`records.encode_plain`, with the keys, values and headers of `LARGE` bytes and more as parts of their
    own: the objects that are in `fields`.
    """
    make_varints()
    count, first_timestamp = len(fields) // 4, fields[3]
    attributes = TRANSACTIONAL if is_transactional else 0
    latest = max(fields[3::4])
    parts: list[bytes] = []
    small = [CHECKED.pack(attributes, count - 1, first_timestamp, latest, producer_id, producer_epoch, base_sequence, count)]
    names: dict[str, bytes] = {}
    for offset in range(count):
        key, value, headers, timestamp = fields[4 * offset : 4 * offset + 4]
        delta = encode_varint(timestamp - first_timestamp)
        for piece in record_parts(key, value, headers, delta, encode_varint(offset), names):
            if len(piece) < LARGE:
                small.append(piece)
            else:
                parts += (b"".join(small), piece)
                small.clear()
    parts.append(b"".join(small))
    checksum = size = 0
    for part in parts:
        checksum = crc32c(part, checksum)
        size += len(part)
    return UNCHECKED.pack(0, size + CHECKED_FROM - LENGTH_FROM, -1, MAGIC, checksum), *parts

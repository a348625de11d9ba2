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
from klife.protocol.record_parts import NULL, ZERO, ZEROS, encode_varint, make_varints, record_parts, varint

LARGE: Final = 32 * 1024
"""Bytes from which on a value is not copied."""

_FIXED: Final = 4  # bytes of a record's attributes, deltas of timestamp and offset, and count of headers, where all are 0


def encode_large(
    fields: Sequence[Any], producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool = False
) -> tuple[bytes, ...]:
    """`records.encode_plain`, with the keys, values and headers of `LARGE` bytes and more as parts of their
    own: the objects that are in `fields`.
    """
    make_varints()
    attributes = TRANSACTIONAL if is_transactional else 0
    if len(fields) == 4:
        key, value, headers, timestamp = fields
        if value is not None and len(value) >= LARGE and not headers and (key is None or len(key) < LARGE):
            head = CHECKED.pack(attributes, 0, timestamp, timestamp, producer_id, producer_epoch, base_sequence, 1)
            return _alone(head, key, value)
    count, first_timestamp = len(fields) // 4, fields[3]
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


def _alone(head: bytes, key: bytes | None, value: bytes) -> tuple[bytes, ...]:
    """`encode_large` of a single record whose value is all that is large in it, as most batches of large records
    are: two microseconds less.
    """
    size = len(value)
    value_size = varint(size)
    if key is None:
        before = b"".join((head, varint(_FIXED + 1 + len(value_size) + size), ZEROS, NULL, value_size))
    else:
        key_size = varint(len(key))
        record_size = varint(_FIXED + len(key_size) + len(key) + len(value_size) + size)
        before = b"".join((head, record_size, ZEROS, key_size, key, value_size))
    checksum = crc32c(ZERO, crc32c(value, crc32c(before)))
    return UNCHECKED.pack(0, len(before) + size + 1 + CHECKED_FROM - LENGTH_FROM, -1, MAGIC, checksum), before, value, ZERO

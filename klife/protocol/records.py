"""Writing RecordBatch v2: from records to the bytes of a Produce request (KIP-98).

Three steps, because they happen at different times: `encode_payload` once per batch,
`klife.protocol.codecs.compress` perhaps in a thread, `seal` when producer id and sequence are known.

There are two ways to the same bytes. In pure Python records are joined from ready pieces (`record_parts`); compiled,
`record_write` and `batch_write` write them in less time, as C does. Reading is `klife.protocol.record_decode`.
"""

from __future__ import annotations

from typing import Any, Final

from klife import cython_shim as cython
from klife.protocol.batch_write import write_batch
from klife.protocol.checksum import crc32c
from klife.protocol.record_layout import BATCH_OVERHEAD, CHECKED, CHECKED_FROM, LENGTH_FROM, MAGIC, TRANSACTIONAL, UNCHECKED
from klife.protocol.record_parts import Headers, joined_payload, joined_single
from klife.protocol.record_write import write_payload

if cython.compiled:
    import cython

__all__ = [
    "BATCH_OVERHEAD",
    "RECORD_OVERHEAD",
    "EncodedBatch",
    "Fields",
    "Headers",
    "encode_payload",
    "encode_plain",
    "joined_batch",
    "seal",
    "size_bound",
]

Fields = list[Any]
"""The records of a batch, one after another: key, value, headers, timestamp in milliseconds since the epoch, key,
value, ... A tuple for each would be an object more for each record, to be made, visited by the garbage collector, and
freed.
"""

EncodedBatch = tuple[bytes, ...]
"""A complete batch, in parts that follow each other on the wire: putting them together would copy every byte
once more. One or two, or one more on either side of each large value (`large_records`).
"""

RECORD_OVERHEAD: Final = 32
"""A record without headers takes at most this many bytes beyond its key and value: length 5, attributes 1,
timestamp delta 10, offset delta 5, key length 5, value length 5, header count 1.
"""

HEADER_OVERHEAD: Final = 10
MORE_HEADER_COUNT: Final = 4
_NO_RECORDS: Final = "a batch needs at least one record, got none"


def encode_payload(fields: Fields, bound: int) -> tuple[bytes, int, int]:
    """The records section of a batch, uncompressed, with the first and the largest timestamp. The records take at
    most `bound` bytes (`size_bound`).

    The n-th record gets offset delta n. Timestamps may be in any order; deltas count from the first record's.
    `ValueError` for no records: a producer's batch is never empty.
    """
    count = len(fields) // 4
    if not count:
        raise ValueError(_NO_RECORDS)
    return write_payload(fields, bound) if cython.compiled else joined_payload(fields, count)


def encode_plain(
    fields: Fields, bound: int, producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool
) -> EncodedBatch:
    """The complete batch, uncompressed: `encode_payload` and `seal` in one go. `ValueError` for no records."""
    if not fields:
        raise ValueError(_NO_RECORDS)
    batch: EncodedBatch
    if cython.compiled:
        batch = (write_batch(fields, bound, producer_id, producer_epoch, base_sequence, is_transactional),)
    else:
        batch = joined_batch(fields, producer_id, producer_epoch, base_sequence, is_transactional)
    return batch


def joined_batch(
    fields: Fields, producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool = False
) -> EncodedBatch:
    """`encode_plain`, as it is best in pure Python."""
    if len(fields) == 4:
        # What callers that wait for each record mostly send.
        checked = joined_single(fields, producer_id, producer_epoch, base_sequence, TRANSACTIONAL if is_transactional else 0)
        return UNCHECKED.pack(0, len(checked) + CHECKED_FROM - LENGTH_FROM, -1, MAGIC, crc32c(checked)), checked
    count = len(fields) // 4
    payload, first_timestamp, max_timestamp = joined_payload(fields, count)
    return seal(
        payload,
        count,
        first_timestamp,
        max_timestamp,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        is_transactional=is_transactional,
    )


def seal(
    payload: bytes,
    record_count: int,
    first_timestamp: int,
    max_timestamp: int,
    *,
    codec: int = 0,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    is_transactional: bool = False,
) -> EncodedBatch:
    """The complete batch: header with CRC, and `payload`, which is already compressed when `codec` is not 0.

    Base offset 0 and leader epoch -1: the broker sets both. Producer id, epoch and sequence -1: not
    idempotent.
    """
    checked = CHECKED.pack(
        codec | TRANSACTIONAL if is_transactional else codec,
        record_count - 1,
        first_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        record_count,
    )
    length = BATCH_OVERHEAD - LENGTH_FROM + len(payload)
    return UNCHECKED.pack(0, length, -1, MAGIC, crc32c(payload, crc32c(checked))) + checked, payload


def size_bound(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """An upper bound of the bytes this record takes in a payload, at any timestamp and offset.

    `UnicodeEncodeError` (a `ValueError`) for a header name that has no UTF-8 form.
    """
    bound = RECORD_OVERHEAD + (len(key) if key else 0) + (len(value) if value else 0)
    if headers:
        bound += MORE_HEADER_COUNT
        for name, content in headers:
            bound += HEADER_OVERHEAD + (len(name) if name.isascii() else len(name.encode())) + (len(content) if content else 0)
    return bound

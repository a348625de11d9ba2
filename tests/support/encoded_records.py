"""Records as what klife's encoders take, and whole batches of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from klife.protocol.codecs import compress
from klife.protocol.records import Fields, Headers, encode_payload, seal, size_bound

RecordTuple = tuple[bytes | None, bytes | None, Headers, int]
"""A record inside a batch: key, value, headers, timestamp in milliseconds since the epoch."""


def fields_of(records: Iterable[RecordTuple]) -> Fields:
    """`records` as what the encoders take."""
    return list(chain.from_iterable(records))


def bound_of(records: Iterable[RecordTuple]) -> int:
    """What `records` take at most."""
    return sum(size_bound(key, value, headers) for key, value, headers, _ in records)


def encode_batch(
    records: Sequence[RecordTuple],
    *,
    codec: int = 0,
    level: int | None = None,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    is_transactional: bool = False,
) -> bytes:
    """The complete batch of `records`, in one piece, as a client encodes, compresses and seals it."""
    payload, first_timestamp, max_timestamp = encode_payload(fields_of(records), bound_of(records))
    sealed = seal(
        compress(codec, payload, level),
        len(records),
        first_timestamp,
        max_timestamp,
        codec=codec,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        is_transactional=is_transactional,
    )
    return b"".join(sealed)

"""Reading RecordBatch v2: from the records of a Fetch response back to keys, values, headers, timestamps and
offsets.

Nothing in the bytes is believed: every length and count is compared with what is left before it is used, the
CRC-32C is checked before anything it covers is read, and decompressed data has a limit. Whatever is wrong is
a `DecodeError`.

Two oddities are Kafka's, not damage. A response may end in the middle of a batch, since brokers fill it up to
a number of bytes (KIP-74); and a batch may hold fewer records than offsets, even none, since compaction
removes records and leaves the rest in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from klife.protocol.checksum import crc32c
from klife.protocol.codecs import decompress
from klife.protocol.errors import DecodeError
from klife.protocol.record_layout import (
    BATCH_OVERHEAD,
    CHECKED,
    CHECKED_FROM,
    CODEC_MASK,
    CONTROL,
    LENGTH,
    LENGTH_AT,
    LENGTH_FROM,
    LOG_APPEND_TIME,
    MAGIC,
    MAGIC_AT,
    TRANSACTIONAL,
    UNCHECKED,
)
from klife.words import counted

MAX_DECOMPRESSED_BYTES: Final = 128 * 1024 * 1024
"""The default limit: room for a Fetch response of the usual 50 MiB at most ratios, and no more than a worker
survives.
"""

SMALLEST_RECORD: Final = 7
"""Length, attributes, timestamp delta, offset delta, key length, value length, header count: a byte each."""

SMALLEST_HEADER: Final = 2


class TimestampType(IntEnum):
    """Who set the timestamps of a batch (the topic's `message.timestamp.type`)."""

    CREATE_TIME = 0
    LOG_APPEND_TIME = 1


@dataclass(slots=True)
class DecodedRecord:
    """A record as it is in the log. `timestamp_ms` is -1 where the producer gave none."""

    offset: int
    timestamp_ms: int
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: tuple[tuple[str, bytes | None], ...] = field(repr=False)


@dataclass(slots=True)
class RecordBatch:
    """A batch as it is in the log. The next one begins after `base_offset + last_offset_delta`, whatever
    `records` holds.
    """

    base_offset: int
    partition_leader_epoch: int
    codec: int
    timestamp_type: TimestampType
    is_transactional: bool
    is_control: bool
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int
    records: list[DecodedRecord] = field(repr=False)


def decode_batches(data: bytes | bytearray | memoryview, *, max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES) -> list[RecordBatch]:
    """All whole batches of `data`; one cut off at its end is left out.

    `max_decompressed_bytes` is for all compressed batches of `data` together. `DecodeError` for a batch that
    is damaged, in the format of Kafka before 0.11, compressed in an unknown way, or over that limit.
    """
    view = memoryview(data)
    batches: list[RecordBatch] = []
    room = max_decompressed_bytes
    start = 0
    while len(view) - start > MAGIC_AT:
        magic = view[start + MAGIC_AT]
        if magic != MAGIC:
            raise DecodeError(_wrong_magic(magic))
        (length,) = LENGTH.unpack_from(view, start + LENGTH_AT)
        if length < BATCH_OVERHEAD - LENGTH_FROM:
            raise DecodeError(f"a record batch of length {length}, shorter than its own header")
        end = start + LENGTH_FROM + length
        if end > len(view):
            break
        batch, decompressed = _decode_batch(view[start:end], room)
        batches.append(batch)
        room -= decompressed
        start = end
    return batches


def _wrong_magic(magic: int) -> str:
    if magic < MAGIC:
        return (
            f"a message set of magic {magic}, the format of Kafka before 0.11, which klife does not read: "
            "have the topic's log rewritten by a newer broker, or let it expire"
        )
    return f"a record batch of magic {magic}; magic {MAGIC} is the newest known"


def _decode_batch(view: memoryview, room: int) -> tuple[RecordBatch, int]:
    """One whole batch, and how many bytes its records were decompressed to."""
    base_offset, _, leader_epoch, _, crc = UNCHECKED.unpack_from(view)
    computed = crc32c(view[CHECKED_FROM:])
    if computed != crc:
        raise DecodeError(f"a record batch at offset {base_offset} is damaged: its CRC is {computed:#010x} and should be {crc:#010x}")
    attributes, last_delta, base_time, max_time, producer_id, epoch, sequence, count = CHECKED.unpack_from(view, CHECKED_FROM)
    if not 0 <= count <= last_delta + 1:
        offsets = counted(last_delta + 1, "offset")
        raise DecodeError(f"a record batch at offset {base_offset} counts {counted(count, 'record')} and {offsets}")
    codec = attributes & CODEC_MASK
    timestamp_type = TimestampType.LOG_APPEND_TIME if attributes & LOG_APPEND_TIME else TimestampType.CREATE_TIME
    records: list[DecodedRecord] = []
    decompressed = 0
    # Compaction leaves an empty batch without compressed data, whatever its codec was.
    if count:
        payload = bytes(view[BATCH_OVERHEAD:])
        if codec:
            payload = decompress(codec, payload, room)
            decompressed = len(payload)
        appended = max_time if timestamp_type is TimestampType.LOG_APPEND_TIME else None
        try:
            records = _decode_records(payload, count, base_offset, last_delta, base_time, appended)
        except IndexError:
            raise DecodeError(f"a record batch at offset {base_offset} ends inside a record") from None
    batch = RecordBatch(
        base_offset=base_offset,
        partition_leader_epoch=leader_epoch,
        codec=codec,
        timestamp_type=timestamp_type,
        is_transactional=bool(attributes & TRANSACTIONAL),
        is_control=bool(attributes & CONTROL),
        last_offset_delta=last_delta,
        base_timestamp=base_time,
        max_timestamp=max_time,
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
        record_count=count,
        records=records,
    )
    return batch, decompressed


def _decode_records(
    payload: bytes, count: int, base_offset: int, last_delta: int, base_time: int, appended: int | None
) -> list[DecodedRecord]:
    """The `count` records that `payload` is said to be. `appended`: the timestamp of all of them, if the
    broker set it.

    Reading past the payload is an `IndexError`, which the caller translates: checking every byte would cost
    more than reading it.
    """
    if count * SMALLEST_RECORD > len(payload):
        raise DecodeError(f"{counted(count, 'record')} in a payload of {counted(len(payload), 'byte')}")
    records: list[DecodedRecord] = []
    at = 0
    for _ in range(count):
        size, at = _varint(payload, at)
        end = at + size
        if not at < end <= len(payload):
            raise DecodeError(f"a record of {counted(size, 'byte')} where {len(payload) - at} are left")
        # The byte skipped is the record's attributes, of which none is defined.
        time_delta, at = _varint(payload, at + 1)
        offset_delta, at = _varint(payload, at)
        if not 0 <= offset_delta <= last_delta:
            raise DecodeError(f"a record of offset delta {offset_delta} in a batch of {last_delta + 1} offsets")
        key, at = _nullable_bytes(payload, at, end)
        value, at = _nullable_bytes(payload, at, end)
        header_count, at = _varint(payload, at)
        headers, at = _headers(payload, at, end, header_count) if header_count else ((), at)
        if at != end:
            raise DecodeError(f"a record of {counted(size, 'byte')} whose fields take {size + at - end}")
        timestamp = base_time + time_delta if appended is None else appended
        records.append(DecodedRecord(base_offset + offset_delta, timestamp, key, value, headers))
    if at != len(payload):
        raise DecodeError(f"{counted(len(payload) - at, 'byte')} left after the last of {counted(count, 'record')}")
    return records


def _headers(payload: bytes, at: int, end: int, count: int) -> tuple[tuple[tuple[str, bytes | None], ...], int]:
    if not 0 <= count * SMALLEST_HEADER <= end - at:
        raise DecodeError(f"{counted(count, 'record header')} in {counted(end - at, 'byte')}")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, at = _nullable_bytes(payload, at, end)
        if name is None:
            raise DecodeError("a record header without a name")
        content, at = _nullable_bytes(payload, at, end)
        # As in Java's client, a name that is not UTF-8 is readable, not a record nobody can get past.
        headers.append((name.decode(errors="replace"), content))
    return tuple(headers), at


def _nullable_bytes(payload: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    size, at = _varint(payload, at)
    if size < 0:
        if size != -1:
            raise DecodeError(f"a field of {counted(size, 'byte')} in a record")
        return None, at
    stop = at + size
    if stop > end:
        raise DecodeError(f"a field of {counted(size, 'byte')} where its record has {end - at} left")
    return payload[at:stop], stop


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint or varlong, and where the next field begins."""
    byte = payload[at]
    at += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at
    value = byte & 0x7F
    shift = 7
    while shift < 64:
        byte = payload[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < 1 << 64:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
    raise DecodeError("a number of more than 64 bits in a record")

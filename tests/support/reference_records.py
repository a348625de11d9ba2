"""RecordBatch v2 written for reading, not for speed: the oracle the fast codec is compared with.

Straight from Kafka's documentation ("Record Batch", "Record"), one field after the other, sharing nothing
with klife, CRC included. Uncompressed batches only: compression is compared with Kafka's own Java codec.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ReferenceRecord:
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int


@dataclass
class ReferenceBatch:
    records: list[ReferenceRecord] = field(default_factory=list)
    base_offset: int = 0
    partition_leader_epoch: int = -1
    attributes: int = 0
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1


def signed(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big", signed=True)


def zigzag_varint(value: int) -> bytes:
    """0, -1, 1, -2 become 0, 1, 2, 3; then seven bits a byte, the lowest first, the high bit on all but the
    last.
    """
    unsigned = 2 * value if value >= 0 else -2 * value - 1
    groups = []
    while True:
        groups.append(unsigned % 128)
        unsigned //= 128
        if unsigned == 0:
            break
    return bytes([group + 128 for group in groups[:-1]] + groups[-1:])


def nullable_bytes(content: bytes | None) -> bytes:
    return zigzag_varint(-1) if content is None else zigzag_varint(len(content)) + content


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC-32, bit by bit as in RFC 3720's appendix: reflected polynomial 0x82F63B78."""
    register = 0xFFFFFFFF
    for byte in data:
        register = CRC_OF_BYTE[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ 0xFFFFFFFF


def crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0x82F63B78 if byte & 1 else byte >> 1
    return byte


CRC_OF_BYTE = [crc_of_byte(byte) for byte in range(256)]


def encode_record(record: ReferenceRecord, offset_delta: int, base_timestamp: int) -> bytes:
    body = signed(0, 1)
    body += zigzag_varint(record.timestamp - base_timestamp)
    body += zigzag_varint(offset_delta)
    body += nullable_bytes(record.key)
    body += nullable_bytes(record.value)
    body += zigzag_varint(len(record.headers))
    for name, content in record.headers:
        body += nullable_bytes(name.encode("utf-8"))
        body += nullable_bytes(content)
    return zigzag_varint(len(body)) + body


def encode_records(records: list[ReferenceRecord]) -> bytes:
    base_timestamp = records[0].timestamp
    return b"".join(encode_record(record, delta, base_timestamp) for delta, record in enumerate(records))


def encode_batch(batch: ReferenceBatch) -> bytes:
    checked = signed(batch.attributes, 2)
    checked += signed(len(batch.records) - 1, 4)
    checked += signed(batch.records[0].timestamp, 8)
    checked += signed(max(record.timestamp for record in batch.records), 8)
    checked += signed(batch.producer_id, 8)
    checked += signed(batch.producer_epoch, 2)
    checked += signed(batch.base_sequence, 4)
    checked += signed(len(batch.records), 4)
    checked += encode_records(batch.records)

    after_length = signed(batch.partition_leader_epoch, 4)
    after_length += signed(2, 1)
    after_length += crc32c(checked).to_bytes(4, "big")
    after_length += checked
    return signed(batch.base_offset, 8) + signed(len(after_length), 4) + after_length

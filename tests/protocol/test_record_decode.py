"""Reading batches: what was written comes back, and everything that is wrong is a DecodeError."""

from __future__ import annotations

from dataclasses import replace
from struct import pack_into

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klife.protocol.codecs import CODECS
from klife.protocol.errors import DecodeError
from klife.protocol.record_decode import DecodedRecord, RecordBatch, TimestampType, decode_batches
from tests.support.encoded_records import RecordTuple
from tests.support.encoded_records import encode_batch as encode
from tests.support.record_strategies import NOW, record_lists
from tests.support.reference_records import ReferenceBatch, ReferenceRecord, crc32c, encode_batch, signed, zigzag_varint

ONE = [ReferenceRecord(b"key", b"value", [("name", b"content")], NOW)]


def content_of(batch: RecordBatch) -> list[RecordTuple]:
    return [(record.key, record.value, record.headers, record.timestamp_ms) for record in batch.records]


def batch_around(records: bytes, count: int = 1, last_offset_delta: int | None = None, attributes: int = 0) -> bytes:
    """A batch with a right CRC around whatever `records` is."""
    checked = signed(attributes, 2) + signed(count - 1 if last_offset_delta is None else last_offset_delta, 4)
    checked += signed(NOW, 8) * 2 + signed(-1, 8) + signed(-1, 2) + signed(-1, 4) + signed(count, 4) + records
    return signed(0, 8) + signed(9 + len(checked), 4) + signed(-1, 4) + b"\x02" + crc32c(checked).to_bytes(4, "big") + checked


def record_around(body: bytes) -> bytes:
    return zigzag_varint(len(body)) + body


@given(record_lists)
def test_what_the_reference_wrote_is_read_back(records: list[RecordTuple]) -> None:
    batch = ReferenceBatch(
        [ReferenceRecord(key, value, list(headers), time) for key, value, headers, time in records], base_offset=1000
    )
    (decoded,) = decode_batches(encode_batch(batch))
    assert content_of(decoded) == records
    assert [record.offset for record in decoded.records] == list(range(1000, 1000 + len(records)))


@given(record_lists, st.sampled_from(list(CODECS.values())))
def test_what_was_encoded_is_read_back_in_every_codec(records: list[RecordTuple], codec: int) -> None:
    (decoded,) = decode_batches(encode(records, codec=codec))
    assert content_of(decoded) == records
    assert decoded.codec == codec


@pytest.mark.parametrize("count", [1, 63, 64, 65, 8192, 8193, 16385])
def test_batches_of_any_length_are_read_back(count: int) -> None:
    records: list[RecordTuple] = [(None, b"%d" % n, (), NOW + n) for n in range(count)]
    (decoded,) = decode_batches(encode(records))
    assert content_of(decoded) == records


def test_a_batch_says_everything_its_header_says() -> None:
    batch = ReferenceBatch(
        ONE,
        base_offset=1 << 40,
        partition_leader_epoch=12,
        attributes=0x30,
        producer_id=(1 << 62) + 1,
        producer_epoch=32767,
        base_sequence=(1 << 31) - 1,
    )
    assert decode_batches(encode_batch(batch)) == [
        RecordBatch(
            base_offset=1 << 40,
            partition_leader_epoch=12,
            codec=0,
            timestamp_type=TimestampType.CREATE_TIME,
            is_transactional=True,
            is_control=True,
            last_offset_delta=0,
            base_timestamp=NOW,
            max_timestamp=NOW,
            producer_id=(1 << 62) + 1,
            producer_epoch=32767,
            base_sequence=(1 << 31) - 1,
            record_count=1,
            records=[DecodedRecord(1 << 40, NOW, b"key", b"value", (("name", b"content"),))],
        )
    ]


def test_the_brokers_time_replaces_the_producers_where_the_topic_says_so() -> None:
    records = [replace(ONE[0], timestamp=NOW), replace(ONE[0], timestamp=NOW + 50)]
    (decoded,) = decode_batches(encode_batch(ReferenceBatch(records, attributes=0x08)))
    assert decoded.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert [record.timestamp_ms for record in decoded.records] == [NOW + 50, NOW + 50]


def test_batches_follow_one_another() -> None:
    first, second = (encode_batch(ReferenceBatch(ONE, base_offset=offset)) for offset in (5, 9))
    assert [batch.base_offset for batch in decode_batches(first + second)] == [5, 9]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_is_read(kind: type) -> None:
    (decoded,) = decode_batches(kind(encode_batch(ReferenceBatch(ONE))))
    assert decoded.records[0].value == b"value"


def test_no_bytes_are_no_batches() -> None:
    assert decode_batches(b"") == []


def test_a_batch_that_compaction_emptied_has_offsets_and_no_records() -> None:
    (decoded,) = decode_batches(batch_around(b"", count=0, last_offset_delta=9, attributes=CODECS["zstd"]))
    assert (decoded.last_offset_delta, decoded.records) == (9, [])


def test_a_batch_that_compaction_thinned_keeps_its_offsets() -> None:
    record = record_around(b"\0" + zigzag_varint(0) + zigzag_varint(7) + b"\x01\x01\0")
    (decoded,) = decode_batches(batch_around(record, last_offset_delta=9))
    assert [record.offset for record in decoded.records] == [7]


def test_a_header_name_that_is_not_utf8_is_read_as_java_reads_it() -> None:
    body = b"\0\0\0\x01\x01" + zigzag_varint(1) + zigzag_varint(2) + b"a\xff" + b"\x01"
    (decoded,) = decode_batches(batch_around(record_around(body)))
    assert decoded.records[0].headers == (("a�", None),)


def test_reprs_hold_no_keys_values_or_headers() -> None:
    (decoded,) = decode_batches(encode_batch(ReferenceBatch(ONE)))
    text = repr(decoded) + repr(decoded.records)
    assert not any(secret in text for secret in ("key", "value", "name", "content"))


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_a_last_batch_cut_at_any_byte_is_left_out(codec: int) -> None:
    whole = encode([(b"key", b"value" * 20, (("name", None),), NOW)] * 3, codec=codec)
    for cut in range(len(whole)):
        assert decode_batches(whole[:cut]) == []
        assert len(decode_batches(whole + whole[:cut])) == 1


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_a_payload_cut_at_any_byte_is_an_error(codec: int) -> None:
    payload = encode([(b"key", b"value" * 20, (("name", None),), NOW)] * 3, codec=codec)[61:]
    for cut in range(len(payload)):
        with pytest.raises(DecodeError):
            decode_batches(batch_around(payload[:cut], count=3, attributes=codec))


def test_any_flipped_bit_under_the_crc_is_noticed() -> None:
    whole = encode_batch(ReferenceBatch(ONE))
    for bit in range(17 * 8, len(whole) * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError, match="CRC"):
            decode_batches(damaged)


@pytest.mark.parametrize("magic", [0, 1])
def test_the_message_sets_of_old_brokers_are_named(magic: int) -> None:
    with pytest.raises(DecodeError, match=rf"magic {magic}, the format of Kafka before 0\.11"):
        decode_batches(b"\0" * 8 + signed(14, 4) + b"\0" * 4 + bytes([magic]) + b"\0" * 40)


def test_a_magic_of_the_future_is_an_error() -> None:
    with pytest.raises(DecodeError, match="magic 3"):
        decode_batches(b"\0" * 16 + b"\x03" + b"\0" * 60)


@pytest.mark.parametrize("length", [-(1 << 31), -1, 0, 48])
def test_a_batch_shorter_than_its_header_is_an_error(length: int) -> None:
    damaged = bytearray(encode_batch(ReferenceBatch(ONE)))
    pack_into(">i", damaged, 8, length)
    with pytest.raises(DecodeError, match=f"length {length}"):
        decode_batches(damaged)


RECORD = record_around(b"\0\0\0\x01\x01\0")


DAMAGE = [
    (batch_around(RECORD, count=-1), "counts -1 records"),
    (batch_around(RECORD, count=1, last_offset_delta=-1), "counts 1 record and 0 offsets"),
    (batch_around(RECORD, count=2, last_offset_delta=0), "counts 2 records and 1 offset"),
    (batch_around(RECORD, count=(1 << 31) - 1), "2147483647 records in a payload of 7 bytes"),
    (batch_around(RECORD + RECORD, count=1), "7 bytes left after the last of 1 record"),
    (batch_around(RECORD, attributes=5), "codec 5"),
    (batch_around(RECORD, attributes=7), "codec 7"),
    (batch_around(zigzag_varint(-1) + RECORD), "record of -1 bytes"),
    (batch_around(zigzag_varint(0) + RECORD), "record of 0 bytes"),
    (batch_around(zigzag_varint((1 << 31) - 1) + RECORD), "record of 2147483647 bytes"),
    (batch_around(record_around(b"\0\0\x02\x01\x01\0")), "offset delta 1 in a batch of 1 offsets"),
    (batch_around(record_around(b"\0\0\x01\x01\x01\0")), "offset delta -1"),
    (batch_around(record_around(b"\0\0\0\x03\x01\0")), "field of -2 bytes"),
    (batch_around(record_around(b"\0\0\0" + zigzag_varint(1 << 30) + b"\x01\0")), "field of 1073741824 bytes"),
    (batch_around(record_around(b"\0\0\0\x01\x08abc")), "field of 4 bytes where its record has 3 left"),
    (batch_around(record_around(b"\0\0\0\x01\x01\x01")), "-1 record headers"),
    (batch_around(record_around(b"\0\0\0\x01\x01" + zigzag_varint(1 << 30))), "1073741824 record headers"),
    (batch_around(record_around(b"\0\0\0\x01\x01\x02\x01\x01")), "header without a name"),
    (batch_around(record_around(b"\0\0\0\x01\x01\0\0")), "a record of 7 bytes whose fields take 6"),
    (batch_around(record_around(b"\0" + b"\xff" * 10 + b"\x01\0\x01\x01\0")), "more than 64 bits"),
    (batch_around(record_around(b"\0" + b"\xff" * 9 + b"\x7f\0\x01\x01\0")), "more than 64 bits"),
    (batch_around(record_around(b"\0\0\0\x01\x01\x80")), "ends inside a record"),
]


@pytest.mark.parametrize(("batch", "why"), DAMAGE, ids=[why for _, why in DAMAGE])
def test_damage_behind_a_right_crc_is_named(batch: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        decode_batches(batch)


def test_a_timestamp_may_be_as_far_away_as_64_bits_reach() -> None:
    records: list[RecordTuple] = [(None, b"", (), -(1 << 62)), (None, b"", (), (1 << 62) - 1)]
    (decoded,) = decode_batches(encode(records))
    assert content_of(decoded) == records

"""The fast codec writes exactly what the slow, obvious one writes."""

from __future__ import annotations

from struct import error

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import klife
from klife.protocol import record_parts
from klife.protocol.batch_write import write_batch
from klife.protocol.record_layout import TRANSACTIONAL
from klife.protocol.record_parts import joined_payload
from klife.protocol.record_write import write_payload
from klife.protocol.records import (
    BATCH_OVERHEAD,
    RECORD_OVERHEAD,
    Headers,
    encode_payload,
    encode_plain,
    joined_batch,
    seal,
    size_bound,
)
from tests.support.encoded_records import RecordTuple, bound_of, fields_of
from tests.support.record_strategies import BOUNDARIES, NOW, record_lists
from tests.support.reference_records import ReferenceBatch, ReferenceRecord, encode_batch, encode_record, encode_records, nullable_bytes


def payload_of(records: list[RecordTuple]) -> tuple[bytes, int, int]:
    """The payload, for which there are two ways. A build takes one of them; here both are gone."""
    fields, bound = fields_of(records), bound_of(records)
    taken = encode_payload(fields, bound)
    assert write_payload(fields, bound) == joined_payload(fields, len(records)) == taken
    return taken


def plain_batch_of(records: list[RecordTuple], producer_id: int, epoch: int, sequence: int, transactional: bool = False) -> bytes:
    fields, bound = fields_of(records), bound_of(records)
    taken = b"".join(encode_plain(fields, bound, producer_id, epoch, sequence, transactional))
    joined = b"".join(joined_batch(fields, producer_id, epoch, sequence, transactional))
    assert write_batch(fields, bound, producer_id, epoch, sequence, transactional) == joined == taken
    return taken


@pytest.mark.parametrize("bound", [-100, -61, 0, 20, 107, 2**31 - 1])
def test_a_batch_that_takes_more_than_was_said_is_refused(bound: int) -> None:
    fields = fields_of([(None, b"v" * 100, (), NOW)])
    with pytest.raises(RuntimeError):
        write_batch(fields, bound, 7, 3, 0, False)
    with pytest.raises(RuntimeError):
        write_payload(fields, bound)


def test_one_that_takes_just_what_was_said_is_written() -> None:
    fields = fields_of([(None, b"v" * 100, (), NOW)])
    assert len(write_batch(fields, 109, 7, 3, 0, False)) == BATCH_OVERHEAD + len(write_payload(fields, 109)[0]) == BATCH_OVERHEAD + 109


def reference(records: list[RecordTuple]) -> list[ReferenceRecord]:
    return [ReferenceRecord(key, value, list(headers), timestamp) for key, value, headers, timestamp in records]


@given(record_lists)
def test_a_payload_is_byte_for_byte_the_reference_codecs(records: list[RecordTuple]) -> None:
    payload, first, latest = payload_of(records)
    assert payload == encode_records(reference(records))
    assert (first, latest) == (records[0][3], max(record[3] for record in records))


@given(
    record_lists,
    st.integers(-1, (1 << 63) - 1),
    st.integers(-1, (1 << 15) - 1),
    st.integers(-1, (1 << 31) - 1),
    st.booleans(),
)
@example([(None, None, (), -1)], (1 << 63) - 1, 32767, (1 << 31) - 1, True)
def test_a_sealed_batch_is_byte_for_byte_the_reference_codecs(
    records: list[RecordTuple], producer_id: int, epoch: int, sequence: int, transactional: bool
) -> None:
    payload, first, latest = payload_of(records)
    sealed = seal(
        payload,
        len(records),
        first,
        latest,
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
        is_transactional=transactional,
    )
    assert b"".join(sealed) == encode_batch(
        ReferenceBatch(
            reference(records),
            attributes=0x10 if transactional else 0,
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=sequence,
        )
    )


@given(record_lists, st.integers(-1, (1 << 63) - 1), st.integers(-1, (1 << 15) - 1), st.integers(-1, (1 << 31) - 1), st.booleans())
def test_a_plain_batch_is_byte_for_byte_the_reference_codecs(
    records: list[RecordTuple], producer_id: int, epoch: int, sequence: int, transactional: bool
) -> None:
    attributes = TRANSACTIONAL if transactional else 0
    for some in (records, records[:1]):
        expected = ReferenceBatch(
            reference(some), attributes=attributes, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence
        )
        assert plain_batch_of(some, producer_id, epoch, sequence, transactional) == encode_batch(expected)


@pytest.mark.parametrize("size", BOUNDARIES)
def test_a_single_record_of_a_size_around_a_varint_boundary_is_encoded_alike(size: int) -> None:
    content = b"x" * size
    for record in [
        (None, content, (), NOW),
        (content, b"", (), NOW),
        (content, content, (("h", content),), NOW),
        (content, None, (), NOW),
    ]:
        assert plain_batch_of([record], 7, 1, 2) == encode_batch(
            ReferenceBatch(reference([record]), producer_id=7, producer_epoch=1, base_sequence=2)
        )


@pytest.mark.parametrize("size", BOUNDARIES)
@pytest.mark.parametrize("count", [1, 65])
def test_sizes_around_every_varint_boundary_are_encoded_alike(size: int, count: int) -> None:
    content = b"x" * size
    for record in [(None, content, (), NOW), (content, b"", (), NOW), (content, content, (("h", content),), NOW)]:
        records: list[RecordTuple] = [(None, b"", (), NOW - 5)] * (count - 1) + [record]
        assert payload_of(records)[0] == encode_records(reference(records))


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 8191, 8192, 8193, 16383, 16384, 16385])
def test_batches_of_any_length_are_encoded_alike(count: int) -> None:
    records: list[RecordTuple] = [(b"k" if n % 3 else None, b"v" * (n % 5), (), NOW + n // 7 - n % 2) for n in range(count)]
    assert payload_of(records)[0] == encode_records(reference(records))


@pytest.mark.parametrize("headers", [(), (("h", b"1"),)])
@pytest.mark.parametrize("count", [1, 2])
def test_the_first_batch_makes_the_tables_that_it_needs_and_is_like_all_others(count: int, headers: Headers) -> None:
    for table in (record_parts.VARINT, record_parts.RECORD_START, record_parts.NO_KEY, record_parts.SIZED):
        table.clear()
    records: list[RecordTuple] = [(b"k", b"v", headers, NOW)] * count
    first = b"".join(encode_plain(fields_of(records), bound_of(records), 7, 1, 2, False))
    assert bool(record_parts.VARINT) is (bool(headers) or not klife.compiled)
    assert bool(record_parts.SIZED) is not klife.compiled
    assert plain_batch_of(records, 7, 1, 2) == first


def test_the_table_has_what_the_loop_finds() -> None:
    record_parts.make_varints()
    assert [record_parts.encode_varint(value) for value in range(record_parts.TABLE_SIZE)] == record_parts.VARINT


def test_offsets_past_a_million_keep_growing_their_varint() -> None:
    count = (1 << 20) + 2
    payload, _, _ = payload_of([(None, b"", (), 0)] * count)
    record = ReferenceRecord(None, b"", [], 0)
    assert payload.endswith(b"".join(encode_record(record, delta, 0) for delta in range(count - 3, count)))


@given(record_lists)
def test_the_size_bound_of_a_record_is_never_too_small(records: list[RecordTuple]) -> None:
    payload, _, _ = payload_of(records)
    assert len(payload) <= bound_of(records)


def test_the_size_bound_of_a_record_without_headers_is_its_bytes_and_a_constant() -> None:
    assert size_bound(b"key", b"value", ()) == RECORD_OVERHEAD + 8
    assert size_bound(None, None, ()) == RECORD_OVERHEAD


def test_a_header_name_without_a_utf8_form_is_refused_when_it_is_sized() -> None:
    with pytest.raises(UnicodeEncodeError):
        size_bound(None, b"", [("\ud800", None)])


def test_a_batch_is_its_payload_and_a_constant() -> None:
    payload, first, latest = payload_of([(None, b"v", (), NOW)])
    assert sum(map(len, seal(payload, 1, first, latest))) == BATCH_OVERHEAD + len(payload)


def test_a_batch_of_no_records_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        encode_payload([], 0)
    with pytest.raises(ValueError, match="at least one record"):
        encode_plain([], 0, 1, 1, 1, False)


@pytest.mark.parametrize("numbers", [(1 << 63, 0, 0), (7, 1 << 15, 0), (7, 0, 1 << 31)])
@pytest.mark.parametrize("count", [1, 2])
def test_a_number_that_is_out_of_range_is_not_written_as_another(numbers: tuple[int, int, int], count: int) -> None:
    with pytest.raises((OverflowError, error)):
        encode_plain(fields_of([(None, b"v", (), NOW)] * count), 100, *numbers, False)


def test_the_reference_knows_null_from_empty() -> None:
    assert nullable_bytes(None) == b"\x01"
    assert nullable_bytes(b"") == b"\x00"

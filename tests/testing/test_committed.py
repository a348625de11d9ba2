"""What is left of a log for readers of committed records."""

from __future__ import annotations

from klife.protocol.apis.fetch import AbortedTransaction
from klife.protocol.record_decode import DecodedRecord, RecordBatch, TimestampType
from klife.testing.committed import committed_batches

ABORT, COMMIT = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"


def batch(offset: int, producer_id: int, *, transactional: bool = True, marker: bytes | None = None, count: int = 1) -> RecordBatch:
    return RecordBatch(
        base_offset=offset,
        partition_leader_epoch=0,
        codec=0,
        timestamp_type=TimestampType.CREATE_TIME,
        is_transactional=transactional,
        is_control=marker is not None,
        last_offset_delta=count - 1,
        base_timestamp=0,
        max_timestamp=0,
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=0,
        record_count=count,
        records=[DecodedRecord(offset + n, 0, marker, b"", ()) for n in range(count)],
    )


def seen(batches: list[RecordBatch], *aborted: tuple[int, int]) -> list[int]:
    told = [AbortedTransaction(producer_id=producer_id, first_offset=offset) for producer_id, offset in aborted]
    return [each.base_offset for each in committed_batches(batches, told)]


LOG = [
    batch(0, 7),
    batch(1, 8, count=2),
    batch(3, -1, transactional=False),
    batch(4, 7),
    batch(5, 7, marker=ABORT),
    batch(6, 8),
    batch(7, 7),
    batch(8, 8, marker=COMMIT),
    batch(9, 7, marker=COMMIT),
]


def test_an_aborted_producer_is_dropped_from_its_first_offset_to_its_marker_and_no_other() -> None:
    assert seen(LOG, (7, 0)) == [1, 3, 6, 7]


def test_without_aborted_ones_all_but_markers_is_seen() -> None:
    assert seen(LOG) == [0, 1, 3, 4, 6, 7]
    assert [each.base_offset for each in committed_batches(LOG, None)] == [0, 1, 3, 4, 6, 7]


def test_a_transaction_that_began_before_what_is_read_and_one_in_the_middle_of_a_batch() -> None:
    assert seen(LOG[3:], (7, 0)) == [6, 7]
    assert seen(LOG, (8, 2), (7, 0)) == [3, 7]


def test_of_one_producer_two_aborted_one_after_the_other() -> None:
    twice = [batch(0, 7), batch(1, 7, marker=ABORT), batch(2, 7), batch(3, 7, marker=COMMIT), batch(4, 7), batch(5, 7, marker=ABORT)]
    assert seen(twice, (7, 4), (7, 0)) == [2]


def test_a_record_of_no_transaction_is_seen_though_its_producer_id_is_that_of_an_aborted_one() -> None:
    assert seen([batch(0, 7), batch(1, 7, transactional=False), batch(2, 7, marker=ABORT)], (7, 0)) == [1]


def test_a_marker_of_which_compaction_left_nothing_ends_nothing() -> None:
    marker = batch(1, 7, marker=ABORT)
    marker.records.clear()
    assert seen([batch(0, 7), marker, batch(2, 7), batch(3, 7, marker=ABORT)], (7, 0)) == []

"""Requests of small batches: in the compiled core they are written in one piece, in both builds they are the same
bytes, also when they are sent again, and one that can not be encoded takes none along.
"""

from __future__ import annotations

from typing import Any

import klife
from klife import Record
from klife.actors.producer.batch import Batch
from klife.actors.producer.request import InFlightRequest
from klife.protocol.records import joined_batch
from klife.protocol.written_partitions import WrittenPartitions
from tests.support.producer_parts import Parts

HEADERS = (("trace", b"0123"), ("nothing", None))
SMALL = [
    Record("t", b"v" * 1000, partition=0),
    Record("t", None, b"k", partition=1),
    Record("t", b"", headers=HEADERS, partition=2),
]
LARGER = Record("t", b"v" * 5000, partition=3)


class Request:
    """What is packed of some records, of a partition each."""

    def __init__(self, records: list[Record], spoilt: int | None = None) -> None:
        self.parts = Parts(leaders=[1] * 4)
        for record in records:
            self.parts.topic.append(record)
        self.taken, none = self.parts.batcher().drain(1e12, self.parts.producer.identity)
        self.batches: list[Batch] = [batch for _, batch in self.taken]
        assert len(self.batches) == len(records)
        assert not none
        if spoilt is not None:
            self.batches[spoilt].fields[1] = 5
        self.refused: list[Batch] = []

    def packed(self) -> Any:
        request = InFlightRequest(self.parts.batcher(), self.taken)
        assert request.pack(self.parts.producer.budget, 1000, lambda _partition, batch, _error: self.refused.append(batch))
        assert [batch for _, batch in request.batches] == [batch for batch in self.batches if batch not in self.refused]
        [(_, _, partitions)] = request.request.topics
        return partitions


def expected(batch: Batch) -> tuple[int, bytes]:
    assert batch.identity is not None
    ids = batch.identity.producer_id, batch.identity.epoch, batch.sequence
    return batch.partition_id, b"".join(joined_batch(batch.fields, *ids))


def whole(partitions: Any) -> list[tuple[int, bytes]]:
    return [(index, b"".join(wire)) for index, wire in partitions]


def test_they_are_written_in_one_piece_where_that_is_quicker_and_the_same_again() -> None:
    request = Request(SMALL)
    first, again = request.packed(), request.packed()
    assert isinstance(first, WrittenPartitions) == klife.compiled
    assert whole(first) == whole(again) == [expected(batch) for batch in request.batches]


def test_beside_a_larger_one_each_is_by_itself() -> None:
    request = Request([*SMALL, LARGER])
    partitions = request.packed()
    assert not isinstance(partitions, WrittenPartitions)
    assert whole(partitions) == [expected(batch) for batch in request.batches]


def test_what_is_counted_of_a_record_is_room_enough_to_write_it() -> None:
    odd = [
        Record("t", None, bytes(5000), headers=[("", None)] * 300, timestamp_ms=2**63 - 1, partition=0),
        Record("t", bytes(20_000), b"", headers=[("ü" * 70, bytes(70))] * 70, partition=1),
        Record("t", b"", b"", headers=[("", b"")] * 20_000, timestamp_ms=0, partition=2),
    ]
    request = Request(odd)
    for number in range(200):  # beside those that begin their batches
        request.parts.topic.append(Record("t", b"", timestamp_ms=2**63 - 1 - number, partition=0))
        request.parts.topic.append(Record("t", bytes(100), timestamp_ms=number, partition=0))
    assert whole(request.packed()) == [expected(batch) for batch in request.batches]
    for batch in request.batches:
        request.parts.delivered(batch)
    request.taken, _ = request.parts.batcher().drain(1e12, request.parts.producer.identity)
    request.batches = [batch for _, batch in request.taken]
    assert [batch.count for batch in request.batches] == [400]
    assert whole(request.packed()) == [expected(batch) for batch in request.batches]


def test_one_that_can_not_be_encoded_takes_none_along() -> None:
    request = Request(SMALL, spoilt=1)
    partitions = request.packed()
    assert request.refused == [request.batches[1]]
    assert whole(partitions) == [expected(batch) for batch in request.batches if batch not in request.refused]

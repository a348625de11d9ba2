"""Small batches written into one buffer: the same bytes as each batch by itself, in a request, too."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.produce_wire import BatchesRequest
from klife.protocol.records import joined_batch
from klife.protocol.written_partitions import SMALL, WrittenPartitions
from tests.support.encoded_records import bound_of, fields_of

NOW = 1_700_000_000_000
VERSIONS = range(ProduceRequest.MIN_VERSION, ProduceRequest.MAX_VERSION + 1)
TIMES = st.integers(NOW - 500, NOW + 500)
HEADERS = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=2).map(tuple)
# 1 to 2 and 1 to 3 bytes of size, and a CRC over less and more than the processor takes at once.
VALUES = st.none() | st.binary(max_size=90) | st.sampled_from([0, 60, 61, 62, 900, 1300]).map(bytes)
RECORDS = st.lists(st.tuples(st.none() | st.binary(max_size=20), VALUES, HEADERS | st.just(()), TIMES), min_size=1, max_size=3)
BATCHES = st.lists(st.tuples(st.integers(0, 2**31 - 1), RECORDS), min_size=1, max_size=40)


def written(batches: list[tuple[int, list[Any]]], is_transactional: bool = False) -> WrittenPartitions:
    partitions = WrittenPartitions(len(batches), sum(bound_of(records) for _, records in batches))
    for index, records in batches:
        partitions.add(index, fields_of(records), bound_of(records), 7, 3, 2**31 - 1, is_transactional)
    partitions.end()
    return partitions


@given(BATCHES, st.booleans(), st.sampled_from(VERSIONS))
def test_they_are_byte_for_byte_what_each_is_by_itself(batches: list[tuple[int, list[Any]]], transactional: bool, version: int) -> None:
    alone = [(index, joined_batch(fields_of(records), 7, 3, 2**31 - 1, transactional)) for index, records in batches]
    together = written(batches, transactional)
    assert [(index, b"".join(wire)) for index, wire in together] == [(index, b"".join(wire)) for index, wire in alone]
    assert len(together) == len(alone)
    requests = [BatchesRequest(-1, 1000, [("t", b"i" * 16, wires), ("u", b"j" * 16, wires)]) for wires in (together, alone)]
    assert b"".join(requests[0].encode_parts(version)) == b"".join(requests[1].encode_parts(version))
    assert repr(requests[0]) == repr(requests[1])


def test_many_are_written_in_pieces_for_which_no_memory_has_to_be_mapped() -> None:
    batches = [(index, [(None, b"v" * 2000, (), NOW)]) for index in range(100)]
    together = written(batches)
    assert [index for index, _ in together] == list(range(100))
    assert 5 < len(together.pieces) < 10
    assert max(map(len, together.pieces)) <= 32 * 1024
    parts = BatchesRequest(-1, 1000, [("t", b"i" * 16, together)]).encode_parts(ProduceRequest.MAX_VERSION)
    assert [part for part in parts if len(part) > 100] == together.pieces
    assert all(any(part is piece for part in parts) for piece in together.pieces), "they are not copied once more"


@pytest.mark.parametrize("bound", [0, 20, -1, SMALL + 1])
def test_what_takes_more_than_was_said_is_refused_and_not_written(bound: int) -> None:
    partitions = WrittenPartitions(1, 20)
    with pytest.raises(RuntimeError):
        partitions.add(0, [None, b"v" * 100, (), NOW], bound, 7, 3, 0, False)
    partitions.end()
    assert len(partitions) == 0
    assert not partitions.pieces

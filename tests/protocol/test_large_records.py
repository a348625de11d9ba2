"""Large values go to the socket as the caller gave them: no byte of them is copied."""

from __future__ import annotations

from typing import Any

import pytest

import klife
from klife.actors.producer.request import InFlightRequest
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.framing import encode_request
from klife.protocol.large_records import LARGE, encode_large
from klife.protocol.record_decode import decode_batches
from klife.protocol.records import joined_batch
from klife.record import Record
from tests.support.producer_parts import Parts

NOW = 1_700_000_000_000
IDS = (7, 1, 2**31 - 1)
MIB = bytes(range(256)) * 4096


@pytest.mark.parametrize("is_transactional", [False, True])
@pytest.mark.parametrize(
    "records",
    [
        [(None, MIB, (), NOW)],
        [(b"k" * LARGE, b"v" * (LARGE - 1), (), NOW), (None, MIB, (("h", MIB), ("n", None)), NOW - 5)],
        [(None, None, (), NOW), (b"", b"", (("é", b""),), NOW + 70_000), (b"k", MIB[:LARGE], (), NOW), (b"k", b"last", (), NOW)],
        [(None, MIB[: LARGE + n], (), NOW + n) for n in range(200)],
    ],
    ids=["one", "keys and headers", "small ones between", "many"],
)
def test_the_bytes_are_those_of_any_other_batch(records: list[tuple[Any, ...]], is_transactional: bool) -> None:
    fields = [field for record in records for field in record]
    parts = encode_large(fields, *IDS, is_transactional)
    assert b"".join(parts) == b"".join(joined_batch(fields, *IDS, is_transactional))
    [batch] = decode_batches(b"".join(parts))
    assert [record.value for record in batch.records] == [value for _, value, _, _ in records]
    contents = [content for key, value, headers, _ in records for content in (key, value, *(content for _, content in headers))]
    whole = [content for content in contents if content is not None and len(content) >= LARGE]
    assert [part for part in parts if any(part is each for each in whole)] == whole


@pytest.mark.parametrize("key", [None, b"", b"k" * 50, b"k" * (LARGE - 1), b"k" * LARGE], ids=lambda key: f"key {key and len(key)}")
@pytest.mark.parametrize("size", [LARGE, 1 << 20, 1 << 21], ids=lambda size: f"value {size}")
def test_one_alone_is_as_in_any_other_batch(size: int, key: bytes | None) -> None:
    """Around sizes at which a length takes a byte more."""
    for length in range(size, size + 12) if size == LARGE else range(size - 80, size + 12, 9 if key else 1):
        fields = [key, bytes(length), (), NOW]
        parts = encode_large(fields, *IDS)
        assert b"".join(parts) == b"".join(joined_batch(fields, *IDS))
        assert sum(part is fields[1] for part in parts) == 1


@pytest.mark.parametrize("version", [ProduceRequest.MIN_VERSION, ProduceRequest.MAX_VERSION])
def test_a_large_value_is_handed_to_the_socket_itself(version: int) -> None:
    values, larger = [MIB[: 64 * 1024 + n] for n in range(4)], MIB[:700_000]
    parts = Parts(leaders=[1, 1])
    for partition, sent in enumerate((values, [larger])):
        for value in sent:
            assert parts.topic.append(Record("t", value, partition=partition), wanted=False)
    batcher = parts.batcher()
    in_flight_request = InFlightRequest(batcher, [(partition, partition.open) for partition in batcher.ready])
    assert in_flight_request.pack(parts.producer.budget, 1000, lambda *_: pytest.fail("it could be encoded"))
    buffers = encode_request(in_flight_request.request, version, 1, "client")
    assert [buffer for buffer in buffers if any(buffer is each for each in (*values, larger))] == [*values, larger]
    copied = sum(len(buffer) for buffer in buffers) - sum(map(len, values)) - len(larger)
    assert 0 < copied < 500


def test_small_values_beside_each_other_are_one_part() -> None:
    parts = Parts(leaders=[1])
    parts.batch(100, size=1000)
    [batch] = parts.drained(0.0)
    in_flight_request = InFlightRequest(parts.batcher(), [(parts.partition(0), batch)])
    in_flight_request.pack(parts.producer.budget, 1000, lambda *_: pytest.fail("it could be encoded"))
    *before, records = batch.wire or ()
    assert len(before) == (0 if klife.compiled else 1), "in Python what the CRC does not cover is a part of its own"
    assert sum(map(len, before)) < 100 < 100 * 1000 < len(records)

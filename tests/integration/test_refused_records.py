"""Records that a broker refuses one by one (KIP-467) fail alone, with its reason; their batch-mates arrive,
in order.
"""

from __future__ import annotations

from time import time

import pytest

from klife import Record
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient


@pytest.mark.parametrize("in_flight", [1, 5])
def test_a_compacted_topic_refuses_records_without_a_key_and_takes_the_others(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack, in_flight: int
) -> None:
    client = start_client(max_in_flight_requests=in_flight, batch_size_bytes=5_000)
    topic = make_topic(1, cleanup_policy="compact")
    keyless = {7, 8, 99, 250}
    records = [Record(topic, b"%d" % number, key=None if number in keyless else b"%d" % number) for number in range(500)]
    results = client.produce_batch(records).get(30)
    assert {index for index, result in enumerate(results) if result.error is not None} == keyless
    for index in keyless:
        error = results[index].error
        assert error is not None
        assert (error.error_code, error.possibly_persisted, error.retriable) == (87, False, False)
        assert "INVALID_RECORD" in str(error)
        assert "key" in str(error)
    found = read_back(topic)
    assert [int(read.value or b"") for read in found] == [number for number in range(500) if number not in keyless]
    assert [result.offset for result in results if result.error is None] == [read.offset for read in found]
    assert client.produce(Record(topic, b"after", key=b"k")).get(30).error is None


def test_a_whole_batch_of_refused_records_fails_and_the_next_arrives(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    client = start_client()
    topic = make_topic(1, cleanup_policy="compact")
    refused = client.produce_batch([Record(topic, b"v")] * 20).get(30)
    assert {result.error_code for result in refused} == {87}
    assert client.produce(Record(topic, b"v", key=b"k")).get(30).offset == 0
    assert len(read_back(topic)) == 1


def test_a_timestamp_the_topic_does_not_take_fails_its_record_alone(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    client = start_client()
    topic = make_topic(1, message_timestamp_after_max_ms=60_000)
    now = int(time() * 1000)
    records = [Record(topic, b"%d" % number, timestamp_ms=now + (10_000_000 if number == 3 else 0)) for number in range(10)]
    results = client.produce_batch(records).get(30)
    assert [result.error_code for result in results] == [32 if number == 3 else 0 for number in range(10)]
    assert "timestamp" in str(results[3].error)
    assert [int(read.value or b"") for read in read_back(topic)] == [number for number in range(10) if number != 3]

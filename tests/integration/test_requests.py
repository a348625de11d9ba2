"""How records become requests: one for each broker and round, fewer still with linger; and what is too large
for one.
"""

from __future__ import annotations

from time import monotonic

import gevent
import pytest

from klife import Client, Record, RecordTooLarge
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient
from tests.support.waiting import wait_until

BROKERS = 3
PATIENCE = 120.0  # seconds, for brokers of a busy machine


def produce_requests(client: Client) -> int:
    return sum(producer.requests for producer in client.status().producers)


@pytest.mark.usefixtures("never_late")
def test_greenlets_share_requests_one_per_broker_and_round_at_linger_zero(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client()
    topics = [make_topic(30) for _ in range(3)]
    for topic in topics:
        client.partitions(topic)
    rounds = 30

    def work(worker: int, turn: int) -> None:
        deliveries = [
            client.produce(Record(topic, b"v", partition=(worker * 7 + turn * 3 + at) % 30)) for at, topic in enumerate(topics)
        ]
        for delivery in deliveries:
            delivery.get(PATIENCE)

    sent_before = sum(broker.requests_sent for broker in client.status().brokers)
    for turn in range(rounds):
        gevent.joinall([gevent.spawn(work, worker, turn) for worker in range(16)], raise_error=True)
    requests = produce_requests(client)
    assert client.status().producers[0].delivered == 16 * 3 * rounds
    assert rounds <= requests <= 1.3 * BROKERS * rounds
    on_the_wire = sum(broker.requests_sent for broker in client.status().brokers) - sent_before
    assert on_the_wire <= requests + 10, "besides producing, metadata of three topics and an id: a handful"


def test_greenlets_that_run_freely_still_share_requests(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client()
    topics = [make_topic(30) for _ in range(3)]
    rounds = 30

    def work(worker: int) -> None:
        for turn in range(rounds):
            deliveries = [client.produce(Record(topic, b"v", partition=(worker + turn) % 30)) for topic in topics]
            for delivery in deliveries:
                delivery.get(PATIENCE)

    gevent.joinall([gevent.spawn(work, worker) for worker in range(16)], raise_error=True)
    records = 16 * 3 * rounds
    assert client.status().producers[0].delivered == records
    assert produce_requests(client) <= records / 4


def test_linger_groups_records_of_different_moments(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    client = start_client(producers=[{"name": "patient", "linger_ms": 400}, {"name": "eager", "linger_ms": 0}])
    topic = make_topic(1)
    client.partitions(topic)
    requests = {}
    for producer in ("patient", "eager"):
        began = monotonic()
        deliveries = []
        for number in range(20):
            deliveries.append(client.produce(Record(topic, b"%d" % number), producer=producer))
            if producer == "patient":
                gevent.sleep(0.01)  # records of different moments are what this is about
            else:
                deliveries[-1].get(PATIENCE)
        produced = monotonic() - began
        for delivery in deliveries:
            delivery.get(PATIENCE)
        if producer == "patient":
            assert monotonic() - began >= 0.4
            lingered = 1 + int(produced / 0.4)  # batches that records of so long a time are
        requests[producer] = next(each.requests for each in client.status().producers if each.name == producer)
    assert requests["patient"] <= lingered + 1
    assert requests["eager"] == 20
    assert [read.value for read in read_back(topic)] == [b"%d" % number for number in range(20)] * 2


def test_a_flush_does_not_wait_for_linger(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    client = start_client(linger_ms=30_000)
    topic = make_topic(3)
    for number in range(30):
        client.produce_async(Record(topic, b"v", partition=number % 3))
    began = monotonic()
    client.flush(25)
    assert monotonic() - began < 25
    assert len(read_back(topic)) == 30


def test_a_request_holds_at_most_batch_size_bytes(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    client = start_client(batch_size_bytes=50_000)
    topic = make_topic(1)
    client.partitions(topic)
    client.produce_batch([Record(topic, b"%03d" % number + bytes(10_000)) for number in range(40)]).get(PATIENCE)
    assert 8 <= produce_requests(client) <= 14
    assert [int((read.value or b"")[:3]) for read in read_back(topic)] == list(range(40))


@pytest.mark.parametrize("idempotence", [True, False])
def test_one_oversize_record_fails_with_its_size_and_the_limit_and_the_rest_of_its_batch_arrives(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack, idempotence: bool
) -> None:
    client = start_client(enable_idempotence=idempotence)
    topic = make_topic(1, max_message_bytes=20_000)
    records = [Record(topic, b"%d" % number) for number in range(100)]
    records[37] = Record(topic, bytes(30_000), key=b"large")
    results = client.produce_batch(records).get(PATIENCE)
    error = results[37].error
    assert isinstance(error, RecordTooLarge)
    assert 30_000 < error.size < 30_200
    assert error.limit == 20_000
    assert (error.error_code, error.possibly_persisted, error.retriable) == (10, False, False)
    assert str(error.size) in str(error)
    assert "20000" in str(error)
    others = [result for index, result in enumerate(results) if index != 37]
    assert Record.verify_batch(others) == others
    assert [read.value for read in read_back(topic)] == [record.value for index, record in enumerate(records) if index != 37]
    assert client.produce(Record(topic, b"after")).get(PATIENCE).offset == 99


@pytest.mark.parametrize("in_flight", [1, 5])
def test_a_batch_over_the_brokers_limit_is_split_and_arrives_in_order(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack, in_flight: int
) -> None:
    client = start_client(max_in_flight_requests=in_flight)
    topic = make_topic(1, max_message_bytes=10_000)
    values = [b"%03d" % number + bytes(900) for number in range(500)]
    results = Record.verify_batch(client.produce_batch([Record(topic, value) for value in values]).get(PATIENCE))
    assert [result.offset for result in results] == list(range(500))
    assert [read.value for read in read_back(topic)] == values


def test_nothing_overtakes_a_partitions_first_batch_while_that_is_split(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    """A broker takes whatever number a producer begins with, so it would take the second batch as the first."""
    client = start_client(max_in_flight_requests=5, batch_size_bytes=6_000)
    topic = make_topic(1, max_message_bytes=4_000)
    values = [b"%03d" % number + bytes(1_100 if number < 5 else 10) for number in range(400)]
    Record.verify_batch(client.produce_batch([Record(topic, value) for value in values]).get(PATIENCE))
    assert [read.value for read in read_back(topic)] == values


def test_several_oversize_records_on_several_partitions_fail_alone(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    client = start_client(max_in_flight_requests=5)
    topic = make_topic(6, max_message_bytes=5_000)
    records = [Record(topic, bytes(8_000) if number % 50 == 7 else b"%d" % number, partition=number % 6) for number in range(300)]
    results = client.produce_batch(records).get(PATIENCE)
    failed = [index for index, result in enumerate(results) if result.error is not None]
    assert failed == [index for index in range(300) if index % 50 == 7]
    found = read_back(topic)
    for partition in range(6):
        expected = [record.value for record in records if record.partition == partition and len(record.value or b"") < 8_000]
        assert [read.value for read in found if read.partition == partition] == expected


def test_requests_in_flight_keep_the_order_of_a_partition(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    client = start_client(max_in_flight_requests=5, batch_size_bytes=2_000)
    topic = make_topic(3)
    client.partitions(topic)
    for number in range(3_000):
        client.produce_async(Record(topic, b"%d" % number, partition=number % 3))
    most = 0
    while client.status().producers[0].unsettled:
        gevent.sleep(0)
        most = max(most, *(broker.in_flight for broker in client.status().brokers))
    assert most > 1, "several requests of a broker were unanswered at once"
    found = read_back(topic)
    for partition in range(3):
        assert [int(read.value or b"") for read in found if read.partition == partition] == list(range(partition, 3_000, 3))


def test_several_batchers_share_a_brokers_partitions(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    client = start_client(batchers_count=3)
    topic = make_topic(90)  # Kafka draws their leaders; of 30, one batcher of the nine had none in one run of seven
    results = client.produce_batch([Record(topic, b"%d" % number, partition=number % 90) for number in range(900)]).get(PATIENCE)
    Record.verify_batch(results)
    found = read_back(topic)
    for partition in range(90):
        assert [int(read.value or b"") for read in found if read.partition == partition] == list(range(partition, 900, 90))
    wait_until(lambda: str(client.tree()).count("batcher ") == 3 * BROKERS)

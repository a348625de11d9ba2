"""How an outcome reaches the caller: deliveries with the verbs of two futures, callbacks, batches."""

from __future__ import annotations

from concurrent.futures import TimeoutError as FuturesTimeout
from time import monotonic

import gevent
import gevent.event
import pykka
import pytest

from klife import BatchError, Record, RecordTooLarge, UnknownTopic, WaitTimeout
from klife.actors.producer.delivery import Delivery
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient
from tests.support.reader import as_read
from tests.support.waiting import wait_until, wait_until_known


def test_a_delivery_speaks_the_verbs_of_pykka_and_of_concurrent_futures(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client(linger_ms=200)
    topic = make_topic(1, max_message_bytes=5_000)
    good = client.produce(Record(topic, b"v"))
    bad = client.produce(Record(topic, bytes(6_000)))
    assert not good.done()
    assert good.get(30) == good.result() == good.get(timeout=0)
    assert good.done()
    assert good.exception() is None
    assert isinstance(bad.exception(30), RecordTooLarge)
    for verb in (bad.get, bad.result):
        with pytest.raises(RecordTooLarge):
            verb()


def test_a_wait_that_ends_first_raises_and_the_delivery_goes_on(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client(linger_ms=500)
    topic = make_topic(1)
    client.partitions(topic)
    delivery, batch = client.produce(Record(topic, b"v")), client.produce_batch([Record(topic, b"w")])
    for wait in (delivery.get, delivery.result, delivery.exception, batch.get, batch.result):
        with pytest.raises(WaitTimeout, match=r"not settled within 0\.01 s; the delivery goes on") as raised:
            wait(0.01)
        assert isinstance(raised.value, (TimeoutError, FuturesTimeout))
        assert isinstance(raised.value, pykka.Timeout)
    assert delivery.get(30).offset == 0
    assert [result.offset for result in batch.get(30)] == [1]


def test_done_callbacks_are_called_before_and_after_the_outcome(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client()
    topic = make_topic(1)
    called: list[tuple[str, Delivery]] = []
    delivery = client.produce(Record(topic, b"v"))
    delivery.add_done_callback(lambda done: called.append(("early", done)))
    delivery.get(30)
    delivery.add_done_callback(lambda done: called.append(("late", done)))
    wait_until(lambda: len(called) == 2)
    assert called == [("early", delivery), ("late", delivery)]
    batch = client.produce_batch([Record(topic, b"v")] * 3)
    offsets: list[int | None] = []
    batch.add_done_callback(lambda done: offsets.extend(result.offset for result in done.get()))
    wait_until(lambda: offsets == [1, 2, 3])


def test_the_callbacks_of_a_partition_come_in_order(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client(max_in_flight_requests=5, batch_size_bytes=3_000)
    topic = make_topic(3)
    told: dict[int | None, list[int | None]] = {0: [], 1: [], 2: []}
    for number in range(1_500):
        client.produce_async(
            Record(topic, b"%d" % number, partition=number % 3), lambda result: told[result.partition].append(result.offset)
        )
    client.flush(30)
    assert told == {partition: list(range(500)) for partition in range(3)}


def test_a_callback_that_raises_delays_no_other_record(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    client = start_client()
    topic = make_topic(1)
    told: list[int | None] = []

    def callback(result: Record) -> None:
        told.append(result.offset)
        raise LookupError("a bug of the user's")

    for _ in range(50):
        client.produce_async(Record(topic, b"v"), callback)
    client.flush(30)
    assert told == list(range(50))
    assert client.produce(Record(topic, b"v")).get(30).offset == 50
    assert len(read_back(topic)) == 51


def test_a_callback_that_sleeps_delays_only_the_callbacks_of_its_partition(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client()
    topic = make_topic(2)
    may_go = gevent.event.Event()
    told: list[tuple[int | None, int | None]] = []

    def callback(result: Record) -> None:
        if (result.partition, result.offset) == (0, 0):
            may_go.wait()
        told.append((result.partition, result.offset))

    client.produce_async(Record(topic, b"v", partition=0), callback)
    client.produce_async(Record(topic, b"v", partition=0), callback)
    for number in range(10):
        assert client.produce(Record(topic, b"v", partition=0)).get(10).offset == number + 2
    client.produce_async(Record(topic, b"v", partition=1), callback)
    wait_until(lambda: told == [(1, 0)])
    may_go.set()
    wait_until(lambda: told == [(1, 0), (0, 0), (0, 1)])


def test_a_callback_is_told_of_a_failure(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client()
    topic = make_topic(1, max_message_bytes=5_000)
    told: list[Record] = []
    client.produce_async(Record(topic, bytes(6_000), key=b"k"), told.append)
    client.produce_async(Record(topic, b"small"), told.append)
    client.flush(30)
    large, small = sorted(told, key=lambda result: result.error is None)
    assert isinstance(large.error, RecordTooLarge)
    assert (large.key, large.offset, large.error_code) == (b"k", None, 10)
    assert (small.error, small.offset, small.error_code) == (None, 0, 0)


def test_a_callback_may_produce(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    client = start_client(max_buffered_bytes=16_384)
    topic = make_topic(1)
    offsets: list[int | None] = []

    def again(result: Record) -> None:
        offsets.append(result.offset)
        if len(offsets) < 20:
            client.produce_async(Record(topic, bytes(10_000)), again)

    client.produce_async(Record(topic, bytes(10_000)), again)
    wait_until(lambda: len(offsets) == 20)
    assert offsets == list(range(20))


def test_an_async_batch_calls_back_once_with_all_results_in_input_order(start_client: StartClient, make_topic: MakeTopic) -> None:
    topic = make_topic(3)
    client = start_client(max_block_ms=300, topics=[{"name": topic}])
    wait_until_known(client, topic)
    told: list[list[Record]] = []
    records = [Record(topic, b"%d" % number, partition=number % 3) for number in range(30)]
    client.produce_batch_async([*records, Record("no-such-topic", b"x")], told.append)
    client.produce_batch_async(records)
    client.produce_batch_async([], told.append)
    wait_until(lambda: len(told) == 2)
    assert [] in told
    (results,) = (results for results in told if results)
    assert [result.value for result in results] == [b"%d" % number for number in range(30)] + [b"x"]
    assert [result.error is None for result in results] == [True] * 30 + [False]
    client.flush(30)
    assert client.status().producers[0].delivered == 60


def test_verify_batch_returns_the_results_or_raises_with_both_kinds(start_client: StartClient, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    client = start_client(max_block_ms=300, topics=[{"name": topic}])
    wait_until_known(client, topic)
    results = client.produce_batch([Record(topic, b"1"), Record(topic, b"2")]).get(30)
    assert Record.verify_batch(results) == results
    mixed = client.produce_batch([Record("no-such-topic", b"3"), Record(topic, b"4")]).get(30)
    with pytest.raises(BatchError, match="1 of 2 records was not delivered; the first error: topic 'no-such-topic'") as raised:
        Record.verify_batch(mixed)
    assert (raised.value.delivered, raised.value.failed) == ([mixed[1]], [mixed[0]])
    assert isinstance(raised.value.failed[0].error, UnknownTopic)
    assert raised.value.possibly_persisted is False


def test_a_greenlet_killed_while_it_waits_loses_no_record(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    client = start_client(linger_ms=300)
    topic = make_topic(1)
    client.partitions(topic)
    waiting = [gevent.spawn(lambda number=number: client.produce(Record(topic, b"%d" % number)).get()) for number in range(5)]
    wait_until(lambda: client.status().producers[0].unsettled == 5)
    gevent.killall(waiting[:3])
    results = [waiter.get(timeout=30) for waiter in waiting[3:]]
    found = read_back(topic)
    assert len(found) == 5
    assert {as_read(result) for result in results} < set(found)


def test_get_returns_soon_after_the_broker_has_answered(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client()
    topic = make_topic(1)
    client.produce(Record(topic, b"v")).get(30)
    took = []
    for _ in range(50):
        began = monotonic()
        client.produce(Record(topic, b"v")).get(30)
        took.append(monotonic() - began)
    assert sorted(took)[5] < 0.1, "nothing waits for a timer at linger 0"  # a busy machine delays most of them

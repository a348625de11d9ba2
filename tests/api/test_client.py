"""The facade itself: what it refuses, and that it is the same from every thread. Scripted brokers stand in
for Kafka.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import time_ns
from typing import Any

import gevent
import pytest
from gevent import get_hub
from gevent.event import Event

from klife import (
    Client,
    ClientClosed,
    ConfigError,
    InvalidRecordType,
    InvalidRecordValue,
    KlifeError,
    NoSuchClient,
    Record,
    UnknownTopic,
    WaitTimeout,
)
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, silent
from tests.support.told_logs import told_logs


@pytest.fixture
def client(cluster: ScriptedCluster) -> Iterator[Client]:
    client = Client.start(cluster.bootstrap_servers, name="facade")
    client.wait_ready(PATIENCE)
    yield client
    client.stop(timeout=0.1)


@pytest.fixture
def impatient(cluster: ScriptedCluster) -> Iterator[Client]:
    """A client with a short `max_block_ms`, which knows the topic `orders`."""
    client = Client.start(cluster.bootstrap_servers, max_block_ms=1_000, topics=[{"name": "orders"}])
    client.wait_ready(PATIENCE)
    with gevent.Timeout(PATIENCE):
        while "orders" not in client.status().topics:
            cluster[1].wait_for(MetadataRequest, len(cluster[1].got(MetadataRequest)) + 1)
    yield client
    client.stop(timeout=0.1)


def in_thread(function: Any) -> Any:
    return gevent.spawn(get_hub().threadpool.apply, function).get(timeout=PATIENCE)


# finding and naming


def test_a_client_is_found_by_its_name(client: Client) -> None:
    found = Client.get("facade")
    assert found.name == "facade"
    assert found.produce(Record("orders", b"v", partition=0)).get(PATIENCE).offset == 0


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(NoSuchClient, match="nobody"):
        Client.get("nobody")


def test_a_name_is_taken_once(client: Client, cluster: ScriptedCluster) -> None:
    with pytest.raises(ConfigError, match="facade"):
        Client.start(cluster.bootstrap_servers, name="facade")


def test_a_client_under_a_supervisor_needs_a_name() -> None:
    with pytest.raises(ConfigError, match="name"):
        Client.child_spec("localhost:9092")


def test_its_repr_and_status_name_it(client: Client) -> None:
    assert repr(client) == "<Client 'facade'>"
    assert client.status().name == "facade"


def test_the_constructor_says_what_to_call() -> None:
    for wrong in (lambda: Client(), lambda: Client("localhost:9092"), lambda: Client(bootstrap_servers="localhost:9092")):
        with pytest.raises(TypeError, match=r"a Client is made by Client\.start"):
            wrong()


def test_who_asks_for_partitions_is_told_of_no_record(impatient: Client) -> None:
    for wrong in (5, "no/such/topic", "nowhere"):
        with pytest.raises(KlifeError) as caught:
            impatient.partitions(wrong)
        assert not {"Record.topic", "queued"} & set(str(caught.value).split())


def test_an_address_that_is_no_broker_has_no_id(client: Client) -> None:
    assert None in {broker.node_id for broker in client.status().brokers}


# refusing


@pytest.mark.parametrize("verb", ["produce", "produce_async"])
@pytest.mark.parametrize(
    ("argument", "error"),
    [
        (Record("orders", "text"), InvalidRecordType),  # type: ignore[arg-type]
        (Record("orders", b"v", key="text"), InvalidRecordType),  # type: ignore[arg-type]
        (Record(b"orders", b"v"), InvalidRecordType),  # type: ignore[arg-type]
        (Record(["orders"], b"v"), InvalidRecordType),  # type: ignore[arg-type]
        (Record("orders", b"v", headers={"a": b"1"}), InvalidRecordType),  # type: ignore[arg-type]
        (Record("orders", b"v", partition=-1), InvalidRecordValue),
        (Record("orders", b"v", partition="0"), InvalidRecordType),  # type: ignore[arg-type]
        (Record("orders", b"v", partition=False), InvalidRecordType),
        (Record("or ders", b"v"), InvalidRecordValue),
        (b"v", InvalidRecordType),
        (None, InvalidRecordType),
    ],
    ids=repr,
)
@pytest.mark.parametrize("known", [True, False], ids=["topic known", "topic new"])
def test_a_bad_record_is_refused_and_nothing_is_queued(client: Client, verb: str, argument: Any, error: Any, known: bool) -> None:
    if known:
        client.produce(Record("orders", b"v", partition=0)).get(PATIENCE)
    with pytest.raises(error):
        getattr(client, verb)(argument)
    assert client.status().buffered_bytes == 0


def test_a_bad_record_in_a_batch_is_named_and_nothing_of_the_batch_is_queued(client: Client, cluster: ScriptedCluster) -> None:
    with pytest.raises(InvalidRecordType, match=r"records\[1\]"):
        client.produce_batch([Record("orders", b"0", partition=0), Record("orders", "1")])  # type: ignore[arg-type]
    assert client.status().buffered_bytes == 0
    assert cluster.log("orders") == []


@pytest.mark.parametrize("topic", [None, 5, b"orders", ["orders"]], ids=repr)
@pytest.mark.parametrize("before", [0, 1])
def test_a_topic_that_is_no_name_is_seen_in_a_batch_wherever_it_stands(client: Client, topic: Any, before: int) -> None:
    client.produce(Record("orders", b"v", partition=0)).get(PATIENCE)
    with pytest.raises(InvalidRecordType, match=rf"records\[{before}\]"):
        client.produce_batch([*[Record("orders", b"0")] * before, Record(topic, b"1"), Record("orders", b"2")])
    assert client.status().buffered_bytes == 0


def test_a_batch_whose_topics_take_turns_has_each_record_in_its_own() -> None:
    topics = ["orders", "clicks", "orders", "orders", "clicks"]
    records = [Record(topic, str(place).encode(), partition=0) for place, topic in enumerate(topics)]
    with ScriptedCluster(topics={"orders": 3, "clicks": 3}) as cluster, Client.start(cluster.bootstrap_servers, name="turns") as client:
        for _ in range(2):  # new topics, and known ones
            results = client.produce_batch(records).get(PATIENCE)
            assert [(result.topic, result.value, result.error) for result in results] == [(r.topic, r.value, None) for r in records]


@pytest.mark.parametrize("records", [Record("orders", b"v"), 5, None], ids=repr)
def test_what_is_no_batch_is_refused(client: Client, records: Any) -> None:
    with pytest.raises(InvalidRecordType, match="produce_batch takes an iterable"):
        client.produce_batch(records)


def test_an_empty_batch_is_done_at_once(client: Client) -> None:
    delivery = client.produce_batch([])
    assert (delivery.done(), delivery.get(0)) == (True, [])


class _OfItsOwnMaking(Record):
    @property
    def value(self) -> bytes | None:  # type: ignore[override]
        return b"computed"

    def __init__(self) -> None:
        pass


class _WithMore(Record):
    def __init__(self, topic: str, value: bytes, tenant: str) -> None:
        super().__init__(topic, value)
        self.tenant = tenant


def test_a_record_class_with_fields_of_its_own_making_is_refused_and_one_with_more_fields_is_not(client: Client) -> None:
    for call in (client.produce, client.produce_async, lambda record: client.produce_batch([record])):
        with pytest.raises(InvalidRecordType, match="_OfItsOwnMaking is a Record whose value"):
            call(_OfItsOwnMaking())

    class ByTenant:
        def partition(self, record: Record, partition_count: int) -> int:
            assert isinstance(record, _WithMore)
            return len(record.tenant)

    assert client.produce(_WithMore("orders", b"v", "ab"), partitioner=ByTenant()).get(PATIENCE).partition == 2


def test_a_callback_that_can_not_be_called_is_refused_and_nothing_is_queued(client: Client) -> None:
    record, wrong = Record("orders", b"v", partition=0), "print"
    delivery, batch_delivery = client.produce(record), client.produce_batch([record])
    batch_delivery.get(PATIENCE)
    for call in (
        lambda: client.produce_async(record, wrong),  # type: ignore[arg-type]
        lambda: client.produce_batch_async([record], wrong),  # type: ignore[arg-type]
        lambda: delivery.add_done_callback(wrong),  # type: ignore[arg-type]
        lambda: batch_delivery.add_done_callback(wrong),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidRecordType, match="callback is a str"):
            call()
    assert client.status().buffered_bytes == 0


def test_a_callback_for_an_empty_batch_that_raises_is_logged(client: Client) -> None:
    def broken(_results: Any) -> None:
        raise LookupError("mine")

    with told_logs() as logs:
        client.produce_batch_async([], broken)
        client.flush(PATIENCE)  # which waits for it, too
    assert [entry["event"] for entry in logs] == ["delivery_callback_failed"]


@pytest.mark.parametrize("options", [{}, {"run_in": "thread"}])
def test_a_timeout_that_is_no_number_is_named_and_nothing_is_stopped(cluster: ScriptedCluster, options: dict[str, Any]) -> None:
    with Client.start(cluster.bootstrap_servers, **options) as client:
        client.wait_ready(PATIENCE)
        calls: list[Any] = [client.wait_ready, client.flush, client.doctor, client.stop]
        for call in calls:
            with pytest.raises(InvalidRecordType, match="timeout is a str; expected seconds as a number"):
                call("5")
        with pytest.raises(InvalidRecordType, match="timeout is a NoneType"):
            client.stop(None)  # type: ignore[arg-type]
        assert client.produce(Record("orders", b"v")).get(PATIENCE).offset == 0


def test_a_coroutine_that_a_callback_makes_is_told_since_nobody_awaits_it(client: Client) -> None:
    async def late(_result: Any) -> None:
        raise AssertionError("nobody awaits it")

    record = Record("orders", b"v", partition=0)
    with told_logs(folds=False) as logs:
        client.produce_async(record, late)
        client.produce_batch_async([record], late)
        client.produce_batch_async([], late)
        client.produce(record).add_done_callback(late)
        client.flush(PATIENCE)
    told = [entry["exception"] for entry in logs if entry["event"] == "delivery_callback_failed"]
    assert len(told) == 4
    assert all("late, which nothing awaits; expected a plain function" in each for each in told)


def test_neither_checking_nor_getting_a_large_batch_keeps_the_hub(client: Client) -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            gevent.idle(priority=gevent.get_hub().loop.MAXPRI)
            ticks += 1

    records = [Record("orders", b"v", partition=0, headers=[("h", b"1")])] * 5_000
    delivery = client.produce_batch(records)
    delivery.get(PATIENCE)
    ticker = gevent.spawn(tick)
    while not ticks:
        gevent.idle(priority=gevent.get_hub().loop.MAXPRI)
    for long_work in (lambda: client._append.checked(records), lambda: delivery.get(0)):
        before = ticks
        assert len(long_work()) == 5_000
        assert ticks - before >= 3
    ticker.kill()


def test_a_flush_does_not_wait_for_the_callbacks_of_later_records(client: Client) -> None:
    started, release = Event(), Event()

    def later(_result: Record) -> None:
        started.set()
        release.wait(PATIENCE)

    def first(_result: Record) -> None:
        client.produce_async(Record("orders", b"2", partition=1), later)
        assert started.wait(PATIENCE)

    client.produce_async(Record("orders", b"1", partition=0), first)
    with told_logs() as logs:
        client.flush(PATIENCE)
    assert started.is_set()
    assert "callbacks_still_running" not in {entry["event"] for entry in logs}
    release.set()


@pytest.mark.parametrize("partition", [3, -1, "1", None, 1.0, True], ids=repr)
def test_a_partitioner_s_bad_answer_is_refused_and_names_it(client: Client, partition: Any) -> None:
    class Astray:
        def partition(self, record: Record, partition_count: int) -> Any:
            return partition

    with pytest.raises((InvalidRecordType, InvalidRecordValue), match="Astray"):
        client.produce(Record("orders", b"v"), partitioner=Astray())
    assert client.status().buffered_bytes == 0


@pytest.mark.parametrize(
    ("options", "text"), [({"producer": "nobody"}, "nobody"), ({"producer": 5}, "int"), ({"partitioner": 5}, "int")]
)
def test_a_producer_or_partitioner_that_is_none_is_refused(client: Client, options: Any, text: str) -> None:
    with pytest.raises((InvalidRecordType, InvalidRecordValue), match=text):
        client.produce(Record("orders", b"v"), **options)


def test_an_unknown_topic_is_waited_for_as_long_as_max_block_ms(impatient: Client) -> None:
    with pytest.raises(UnknownTopic, match="'nowhere'") as caught:
        impatient.produce(Record("nowhere", b"v"))
    assert caught.value.retriable
    assert not caught.value.possibly_persisted


def test_a_topic_made_meanwhile_is_found(cluster: ScriptedCluster) -> None:
    with Client.start(cluster.bootstrap_servers) as patient:
        producing = gevent.spawn(patient.produce, Record("late", b"v"))
        cluster[1].wait_for(MetadataRequest, 3)  # it was asked for, refused, and asked for again
        cluster.create_topic("late", 1)
        assert producing.get(timeout=PATIENCE).get(PATIENCE).offset == 0


def test_the_error_of_a_topic_seen_the_first_time_tells_of_no_other(impatient: Client) -> None:
    with pytest.raises(UnknownTopic) as raised:
        impatient.produce(Record("nope", b"v"))
    assert raised.value.__context__ is None


def test_in_a_batch_an_unknown_topic_fails_alone(impatient: Client) -> None:
    results = impatient.produce_batch([Record("nowhere", b"v"), Record("orders", b"v", partition=1)]).get(PATIENCE)
    assert isinstance(results[0].error, UnknownTopic)
    assert results[1].offset == 0


def test_a_stopped_client_refuses_and_says_so(client: Client) -> None:
    client.stop()
    for call in (
        lambda: client.produce(Record("orders", b"v")),
        lambda: client.produce_async(Record("orders", b"v")),
        lambda: client.produce_batch([Record("orders", b"v")]),
    ):
        with pytest.raises(
            ClientClosed, match=r"'facade' takes no more records: it was stopped\. Nothing was queued; start a new client"
        ):
            call()
    for call in (lambda: client.wait_ready(1), lambda: client.flush(1), lambda: client.partitions("orders")):
        with pytest.raises(ClientClosed, match=r"'facade' takes no more records: it was stopped\. Start a new client"):
            call()


# deliveries


def test_a_delivery_speaks_pykka_s_and_concurrent_futures_verbs(client: Client) -> None:
    delivery = client.produce(Record("orders", b"v", partition=2, key=b"k", headers=[("h", b"1")], timestamp_ms=5))
    assert not delivery.done()
    result = delivery.result(PATIENCE)
    assert delivery.done()
    assert delivery.exception() is None
    assert (result.topic, result.value, result.key, result.partition, result.offset) == ("orders", b"v", b"k", 2, 0)
    assert (tuple(result.headers), result.timestamp_ms, result.error, result.error_code) == ((("h", b"1"),), 5, None, 0)
    seen: list[Any] = []
    delivery.add_done_callback(seen.append)
    client.flush(PATIENCE)
    assert seen == [delivery]


def test_a_wait_that_ends_first_leaves_the_delivery_on_its_way(client: Client, cluster: ScriptedCluster) -> None:
    cluster[1].script(ProduceRequest, silent)
    delivery = client.produce(Record("orders", b"v", partition=0))
    for wait in (delivery.get, delivery.result, delivery.exception):
        with pytest.raises(WaitTimeout):
            wait(0.01)
    cluster[1].cut_all()
    assert delivery.get(PATIENCE).offset == 0


def test_a_batch_s_results_come_in_input_order(client: Client) -> None:
    records = [Record("orders", b"%d" % number, partition=number % 3) for number in range(9)]
    seen: list[Any] = []
    client.produce_batch_async(records, seen.append)
    client.flush(PATIENCE)
    ((results),) = seen
    assert [result.value for result in results] == [record.value for record in records]
    assert [result.offset for result in results] == [number // 3 for number in range(9)]


def test_in_a_batch_a_partition_that_does_not_exist_fails_alone(impatient: Client) -> None:
    placed = (0, 7, 0, 1)
    results = impatient.produce_batch([Record("orders", b"v", partition=partition) for partition in placed]).get(PATIENCE)
    assert [result.offset for result in results] == [0, None, 1, 0]
    assert "partition is 7, but topic 'orders' has 3" in str(results[1].error)


def test_a_partitioner_that_refuses_a_record_of_a_batch_is_asked_once(cluster: ScriptedCluster) -> None:
    asked = []

    class Refusing:
        def partition(self, record: Record, _count: int) -> int:
            asked.append(record.value)
            if record.value == b"bad":
                raise ValueError("not this one")
            return 0

    topics = [{"name": "orders", "default_partitioner": Refusing()}]
    with Client.start(cluster.bootstrap_servers, topics=topics) as client:
        client.partitions("orders")
        results = client.produce_batch([Record("orders", value) for value in (b"0", b"bad", b"1")]).get(PATIENCE)
    assert [result.offset for result in results] == [0, None, 1]
    assert "records[1]: ValueError: not this one" in str(results[1].error)
    assert asked == [b"0", b"bad", b"1"]


def test_each_topic_s_records_of_a_batch_have_the_time_of_the_call_whoever_their_producer_is() -> None:
    with ScriptedCluster(topics={"orders": 3, "clicks": 3}) as cluster:
        options = {"producers": [{"name": "second"}], "topics": [{"name": "clicks", "default_producer": "second"}]}
        with Client.start(cluster.bootstrap_servers, **options) as client:
            for _ in range(2):
                for topic in ("orders", "clicks"):
                    client.produce(Record(topic, b"v")).get(PATIENCE)
                gevent.sleep(0.02)
                begun = time_ns() // 1_000_000
                records = [Record(topic, b"v") for topic in ("orders", "clicks", "clicks", "orders")]
                assert all(result.timestamp_ms >= begun for result in client.produce_batch(records).get(PATIENCE))


def test_the_records_of_a_batch_whose_first_fails_have_the_time_of_the_call(impatient: Client) -> None:
    begun = time_ns() // 1_000_000
    records = [Record("orders", b"v", partition=partition) for partition in (7, 0, 1)]
    assert all(result.timestamp_ms >= begun for result in impatient.produce_batch(records).get(PATIENCE)[1:])


def test_the_records_of_a_batch_have_the_time_of_the_call(client: Client) -> None:
    client.partitions("orders")
    for _ in range(2):
        begun = time_ns() // 1_000_000
        delivery = client.produce_batch([Record("orders", b"v") for _ in range(200)])
        ended = time_ns() // 1_000_000
        assert all(begun <= result.timestamp_ms <= ended for result in delivery.get(PATIENCE))
        gevent.sleep(0.005)


def test_the_user_s_record_is_never_changed(client: Client) -> None:
    record = Record("orders", b"v")
    client.produce(record).get(PATIENCE)
    assert (record.partition, record.offset, record.timestamp_ms, record.error_code) == (None, None, None, None)


def test_one_record_object_may_be_produced_twice(client: Client) -> None:
    record = Record("orders", b"v", partition=0)
    assert [delivery.get(PATIENCE).offset for delivery in (client.produce(record), client.produce(record))] == [0, 1]


# threads


def test_every_call_works_from_another_thread(client: Client, cluster: ScriptedCluster) -> None:
    assert in_thread(lambda: client.produce(Record("orders", b"0", partition=0)).get(PATIENCE)).offset == 0
    seen: list[Any] = []
    in_thread(lambda: client.produce_async(Record("orders", b"1", partition=0), lambda record: seen.append(record.offset)))
    in_thread(lambda: client.flush(PATIENCE))
    assert seen == [1]
    results = in_thread(lambda: client.produce_batch([Record("orders", b"2", partition=0)]).get(PATIENCE))
    assert results[0].offset == 2
    assert len(in_thread(lambda: client.partitions("orders"))) == 3
    in_thread(lambda: client.wait_ready(PATIENCE))
    assert in_thread(client.status).name == "facade"
    assert in_thread(lambda: client.stop(PATIENCE)).delivered == 3


def test_another_thread_hears_of_bad_records_as_the_home_thread_does(client: Client) -> None:
    with pytest.raises(InvalidRecordType):
        in_thread(lambda: client.produce(Record("orders", "text")))  # type: ignore[arg-type]


# looking


def test_partitions_tells_leaders_and_replicas(client: Client) -> None:
    partitions = client.partitions("orders")
    assert [(p.partition, p.leader, p.leader_epoch, p.replicas, p.isr) for p in partitions] == [
        (number, 1, 0, (1,), (1,)) for number in range(3)
    ]


def test_status_counts_what_became_of_records(client: Client) -> None:
    results = client.produce_batch([Record("orders", value, partition=0) for value in (b"0", b"guilty 1", b"2")]).get(PATIENCE)
    assert [result.error_code for result in results] == [0, 87, 0]
    (producer,) = client.status().producers
    assert (producer.delivered, producer.failed, producer.unsettled, producer.producer_id) == (2, 1, 0, 4001)
    assert client.status().buffered_bytes == 0

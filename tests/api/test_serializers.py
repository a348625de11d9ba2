"""`key_serializer` and `value_serializer`: who calls them, once, with what; and that nothing is queued where they fail."""

from __future__ import annotations

import copy
import functools
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import get_hub, getcurrent

from klife import Client, InvalidRecordType, Record, RecordTooLarge, SerializationContext, SerializationError, TopicConfig
from klife.hooks import Hooks
from klife.testing.fake import FakeCluster

PATIENCE = 60.0


class Json:
    """A serializer that notes where it is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, int]] = []

    def __call__(self, value: Any) -> bytes:
        self.calls.append((getcurrent(), threading.get_ident()))
        return json.dumps(value).encode()


class Numbered(Hooks):
    """Notes what it is shown, and counts."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.refused: list[Any] = []

    def on_produce(self, record: Record) -> Record:
        self.shown.append(record.value)
        return Record(record.topic, {**record.value, "n": len(self.shown)}, record.key, [("stamp", b"1")], record.partition)

    def on_refused(self, record: Record, error: Any) -> None:
        self.refused.append((record.value, type(error)))


@pytest.fixture
def kafka() -> Iterator[FakeCluster]:
    with FakeCluster(topics={"orders": 3, "plain": 3}) as kafka:
        yield kafka


@pytest.fixture
def start(kafka: FakeCluster) -> Iterator[Callable[..., Client]]:
    """Starts clients with these serializers for the topic "orders"."""
    clients = []

    def start(value: Any = None, key: Any = None, **options: Any) -> Client:
        topics = [TopicConfig(name="orders", key_serializer=key, value_serializer=value)]
        clients.append(Client.start(kafka.bootstrap_servers, topics=topics, **options))
        return clients[-1]

    yield start
    for client in clients:
        client.stop(1.0)


def order(number: int = 1) -> Record[Any]:
    return Record(topic="orders", value={"number": number}, partition=0)


def values(kafka: FakeCluster, topic: str = "orders") -> list[Any]:
    return [record.value for record in kafka.records(topic)]


# the ways of a record


def produce(client: Client, record: Record[Any]) -> Any:
    return client.produce(record).get(PATIENCE)


def produce_async(client: Client, record: Record[Any]) -> Any:
    told: list[Any] = []
    client.produce_async(record, told.append)
    client.flush(PATIENCE)
    return told[0]


def produce_batch(client: Client, record: Record[Any]) -> Any:
    return client.produce_batch([Record("plain", b"x"), record]).get(PATIENCE)[1]


def produce_with_another(client: Client, record: Record[Any]) -> Any:
    return client.produce(record, partitioner=First(), producer="other").get(PATIENCE)


def in_a_transaction(client: Client, record: Record[Any]) -> Any:
    with client.transaction():
        delivery = client.produce(record)
    return delivery.get(PATIENCE)


def joining_a_transaction(client: Client, record: Record[Any]) -> Any:
    with client.transaction() as transaction:
        delivery = transaction.produce(record)
    return delivery.get(PATIENCE)


def batch_in_a_transaction(client: Client, record: Record[Any]) -> Any:
    return client.produce_batch_txn([record])[0]


class First:
    def partition(self, _record: Record, _count: int) -> int:
        return 0


WAYS = [produce, produce_async, produce_batch, produce_with_another, in_a_transaction, joining_a_transaction, batch_in_a_transaction]
OPTIONS: dict[str, Any] = {"txn_pools": [{"name": "money"}], "producers": [{"name": "other"}]}


@pytest.mark.parametrize("way", WAYS)
def test_a_value_is_serialised_once_where_it_is_produced(kafka: FakeCluster, start: Any, way: Callable[..., Any]) -> None:
    serializer = Json()
    client = start(serializer, **OPTIONS)
    record = order()
    assert way(client, record).value == b'{"number": 1}'  # the first use is in a thread
    serializer.calls.clear()
    result = way(client, record)
    assert (result.value, result.error) == (b'{"number": 1}', None)
    assert serializer.calls == [(getcurrent(), threading.get_ident())]
    assert record.value == {"number": 1}
    assert values(kafka) == [b'{"number": 1}'] * 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("run_in", ["home", "thread"])
def test_from_another_thread_it_is_serialised_there(kafka: FakeCluster, start: Any, way: Callable[..., Any], run_in: str) -> None:
    serializer = Json()
    client = start(serializer, run_in=run_in, **OPTIONS)
    threads = gevent.get_hub().threadpool
    called_in = []

    def work() -> Any:
        called_in.append(threading.get_ident())
        return [way(client, order(number)).value for number in range(3)]

    assert threads.apply(work) == [b'{"number": %d}' % number for number in range(3)]
    assert [thread for _, thread in serializer.calls] == called_in * 3
    assert values(kafka) == [b'{"number": %d}' % number for number in range(3)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_hooks_see_it_before_and_once(kafka: FakeCluster, start: Any, way: Callable[..., Any], elsewhere: bool) -> None:
    serializer, hooks = Json(), Numbered()
    client = start(serializer, hooks=[hooks], **OPTIONS)
    call = functools.partial(way, client, order())
    if way is produce_batch:
        call = lambda: client.produce_batch([order()]).get(PATIENCE)[0]  # noqa: E731
    result = get_hub().threadpool.apply(call) if elsewhere else call()
    assert (result.value, result.headers) == (b'{"number": 1, "n": 1}', (("stamp", b"1"),))
    assert hooks.shown == [{"number": 1}]
    assert len(serializer.calls) == 1
    assert (hooks.refused, len(values(kafka))) == ([], 1)


def test_other_topics_go_as_they_are(kafka: FakeCluster, start: Any) -> None:
    serializer = Json()
    client = start(serializer)
    for _ in range(2):
        assert produce(client, Record("plain", b"as it is")).value == b"as it is"
        with pytest.raises(InvalidRecordType, match="value is a dict"):
            client.produce(Record("plain", {"number": 1}))
    assert serializer.calls == []
    produce(client, order())
    producers = client._append._producers
    assert (list(producers.plain_topics), sorted(producers.topics)) == (["plain"], ["orders", "plain"])


def test_none_stays_none(kafka: FakeCluster, start: Any) -> None:
    client = start(Json(), Json())
    client.produce_batch([Record("orders", None, "7"), Record("orders", {}, None), Record("orders", None)]).get(PATIENCE)
    assert sorted((record.key or b"", record.value or b"") for record in kafka.records("orders")) == [
        (b"", b""),
        (b"", b"{}"),
        (b'"7"', b""),
    ]


def test_a_serialised_key_goes_where_those_bytes_go(start: Any) -> None:
    seen = []

    class Sees:
        def partition(self, record: Record, _count: int) -> int:
            seen.append((record.key, record.value))
            return 2

    client = start(key=lambda key: b"key %d" % key)
    for number in range(20):
        [typed, plain] = client.produce_batch([Record("orders", b"v", number), Record("plain", b"v", b"key %d" % number)]).get(PATIENCE)
        assert typed.partition == plain.partition
    assert client.produce(Record("orders", b"v", 7), partitioner=Sees()).get(PATIENCE).partition == 2
    assert seen == [(b"key 7", b"v")]


def test_sizes_are_those_of_the_bytes(start: Any) -> None:
    client = start(lambda size: bytes(size), max_buffered_bytes=10_000, batch_size_bytes=5_000)
    assert len(produce(client, Record("orders", 9_000)).value) == 9_000
    with pytest.raises(RecordTooLarge):
        client.produce(Record("orders", 10_001))


# what they are called with


def test_a_context_has_topic_field_and_headers_that_may_become_more(kafka: FakeCluster, start: Any) -> None:
    seen: list[Any] = []

    def stamped(value: str, ctx: SerializationContext) -> bytes:
        seen.append((ctx.topic, ctx.field, list(ctx.headers)))
        ctx.headers.append((ctx.field, value.encode()))
        return value.encode()

    client = start(stamped, stamped)
    mine = [("mine", b"1")]
    for headers in (mine, ()):
        produce(client, Record("orders", "v", "k", headers, partition=0))
    assert seen[:2] == [("orders", "key", [("mine", b"1")]), ("orders", "value", [("mine", b"1"), ("key", b"k")])]
    assert [record.headers for record in kafka.records("orders")] == [
        (("mine", b"1"), ("key", b"k"), ("value", b"v")),
        (("key", b"k"), ("value", b"v")),
    ]
    assert mine == [("mine", b"1")]


def without_a_name(value: Any, about: Any) -> bytes:
    return b"%s of %s" % (about.field.encode(), value)


def by_its_name(value: Any, context: Any = None) -> bytes:
    return b"%s of %s" % (context.field.encode(), value)


def with_something_else(value: Any, errors: str = "strict", context: Any = None) -> bytes:
    return b"%s %s" % (errors.encode(), value)


@pytest.mark.parametrize(
    ("serializer", "made"),
    [
        (without_a_name, b"value of x"),
        (by_its_name, b"value of x"),
        (with_something_else, b"strict x"),
        (functools.partial(with_something_else, errors="lenient"), b"lenient x"),
        (lambda *values: b"%d" % len(values), b"1"),
        (bytes.upper, b"X"),
    ],
)
def test_a_context_is_for_who_needs_one_or_names_it(start: Any, serializer: Any, made: bytes) -> None:
    assert produce(start(serializer), Record("orders", b"x")).value == made


def test_wrong_headers_are_told_as_ever(start: Any) -> None:
    client = start(by_its_name)
    for headers in ([("a", "text")], None, {"a": b"b"}):
        with pytest.raises(InvalidRecordType, match="headers"):
            client.produce(Record("orders", b"x", headers=headers))
    with pytest.raises(InvalidRecordType, match=r"a klife\.Record, got a dict"):
        client.produce({"topic": "orders"})
    with pytest.raises(InvalidRecordType, match=r"records\[1\].*got a str"):
        client.produce_batch([Record("orders", b"x"), "orders"])
    with pytest.raises(InvalidRecordType, match="topic is an int"):
        client.produce(Record(7, b"x"))
    assert produce(client, Record("orders", b"x")).error is None


# what goes wrong


def raising(value: Any) -> bytes:
    raise ValueError(f"the secret {value}")


WRONG = [
    (raising, "raised ValueError"),
    (lambda _value: None, "returned None, expected bytes"),
    (json.dumps, "returned a str, expected bytes; encode it first"),
    (bytearray, "returned a bytearray"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hooked", [False, True])
def test_where_one_fails_nothing_is_queued(kafka: FakeCluster, start: Any, way: Callable[..., Any], hooked: bool) -> None:
    hooks = Numbered()
    client = start(raising, hooks=[hooks] if hooked and way is not produce_batch else [], **OPTIONS)
    for _ in range(2):
        with pytest.raises(SerializationError) as told:
            way(client, order(4711))
        error = told.value
        assert (error.topic, error.field, error.possibly_persisted, error.retriable) == ("orders", "value", False, False)
        assert isinstance(error.__cause__, ValueError)
        assert "value_serializer of topic 'orders', given a dict, raised ValueError" in str(error)
        assert "4711" not in str(error)
    client.flush(PATIENCE)
    assert values(kafka) + values(kafka, "plain") == []
    assert client.status().buffered_bytes == 0
    assert hooks.refused == [({"number": 4711, "n": n}, SerializationError) for n in range(1, len(hooks.shown) + 1)]


@pytest.mark.parametrize(("serializer", "says"), WRONG)
@pytest.mark.parametrize("field", ["key", "value"])
def test_the_error_says_which_field_of_what_type_made_what(start: Any, serializer: Any, says: str, field: str) -> None:
    if serializer is bytearray:
        serializer = lambda value: bytearray(value)  # noqa: E731 - a class is refused at the start
    client = start(**{field: serializer})
    given = {"key": b"k", "value": b"v", field: [1, 2, 3]}
    with pytest.raises(SerializationError) as told:
        client.produce(Record("orders", **given))
    assert told.value.field == field
    assert f"the {field}_serializer of topic 'orders', given a list, {says}" in str(told.value)
    for twin in (pickle.loads(pickle.dumps(told.value)), copy.copy(told.value), told.value.copy()):
        assert (type(twin), str(twin), twin.topic, twin.field) == (SerializationError, str(told.value), "orders", field)


def test_of_a_batch_the_error_tells_which_record(kafka: FakeCluster, start: Any) -> None:
    client = start(Json())
    with pytest.raises(SerializationError, match=r"^records\[2\]: the value_serializer of topic 'orders', given a set") as told:
        client.produce_batch([order(), Record("plain", b"x"), Record("orders", {1})])
    assert isinstance(told.value.__cause__, TypeError)
    client.flush(PATIENCE)
    assert values(kafka) + values(kafka, "plain") == []


def test_what_ends_a_greenlet_ends_it(start: Any) -> None:
    def late(value: Any) -> bytes:
        if value == "late":
            raise gevent.Timeout(1.0)
        return b"x"

    client = start(late)
    produce(client, Record("orders", "in time"))
    with pytest.raises(gevent.Timeout):
        client.produce(Record("orders", "late"))

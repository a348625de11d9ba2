"""Bad input is refused where it is given, in words that name the field, what it is and what is expected; and
costs nothing else.

The producer's own checks need no broker; they run here because "nothing else is lost" is a claim about one.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import Any

import pytest

from klife import (
    Client,
    ConfigError,
    InvalidRecordType,
    InvalidRecordValue,
    KlifeError,
    Murmur2Partitioner,
    NotReady,
    Record,
    RecordTooLarge,
    UnknownPartition,
)
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient
from tests.support.waiting import wait_until_known

BAD_RECORDS = [
    ({"value": "text"}, InvalidRecordType, r"Record\.value is a str; expected bytes, or None for a tombstone"),
    ({"value": bytearray(b"v")}, InvalidRecordType, r"Record\.value is a bytearray; expected bytes"),
    ({"value": {"a": 1}}, InvalidRecordType, r"Record\.value is a dict; expected bytes"),
    ({"key": "text"}, InvalidRecordType, r"Record\.key is a str; expected bytes or None"),
    ({"topic": b"orders"}, InvalidRecordType, r"Record\.topic is a bytes; expected the topic's name as a str"),
    ({"topic": None}, InvalidRecordType, r"Record\.topic is a NoneType; expected"),
    ({"topic": ["a"]}, InvalidRecordType, r"Record\.topic is a list; expected"),
    ({"topic": "no/slash"}, InvalidRecordValue, r"Record\.topic is 'no/slash', which Kafka does not allow"),
    ({"topic": ""}, InvalidRecordValue, r"Record\.topic is '', which Kafka does not allow"),
    ({"headers": {"a": b"1"}}, InvalidRecordType, r"Record\.headers is a dict; expected a sequence of \(str, bytes \| None\) pairs"),
    ({"headers": [("a", "1")]}, InvalidRecordType, r"the value of Record\.headers\[0\] is a str; expected bytes or None"),
    ({"headers": [("a", b"1"), (b"b", b"2")]}, InvalidRecordType, r"the name of Record\.headers\[1\] is a bytes; expected a str"),
    ({"headers": [("a",)]}, InvalidRecordType, r"Record\.headers\[0\] is a tuple of 1; expected a \(str, bytes \| None\) pair"),
    ({"headers": None}, InvalidRecordType, r"Record\.headers is a NoneType; expected a sequence"),
    ({"headers": [("\ud800", b"")]}, InvalidRecordValue, r"the name of Record\.headers\[0\] can not be written as UTF-8"),
    ({"partition": -1}, InvalidRecordValue, r"Record\.partition is -1.* expected an int from 0 "),
    ({"partition": 3}, UnknownPartition, r"Record\.partition is 3, but topic '.*' has 3 partitions: expected an int from 0 to 2"),
    ({"partition": "0"}, InvalidRecordType, r"Record\.partition is a str.* expected an int"),
    ({"partition": 1.0}, InvalidRecordType, r"Record\.partition is a float.* expected an int"),
    ({"timestamp_ms": 1.5}, InvalidRecordType, r"Record\.timestamp_ms is a float; expected an int of milliseconds"),
    ({"timestamp_ms": -1}, InvalidRecordValue, r"Record\.timestamp_ms is -1; expected milliseconds since 1970"),
]


@pytest.fixture
def shop(start_client: StartClient, make_topic: MakeTopic) -> tuple[Client, str]:
    topic = make_topic(3)
    client = start_client(max_block_ms=500, topics=[{"name": topic}])  # a partition that is not there is waited for so long
    wait_until_known(client, topic)
    return client, topic


@pytest.mark.parametrize("verb", ["produce", "produce_async", "produce_batch", "produce_batch_async"])
def test_a_bad_record_is_refused_at_the_call_and_its_neighbours_arrive(
    shop: tuple[Client, str], read_back: ReadBack, verb: str
) -> None:
    client, topic = shop
    batch = "batch" in verb
    good = 0
    for known in (False, True):  # the first record of a topic takes another way than the later ones
        for fields, kind, text in BAD_RECORDS:
            bad: Any = Record(**{"topic": topic, "value": b"secret", **fields})
            fine = Record(topic, b"%d" % good, partition=good % 3)
            out_of_range = fields == {"partition": 3}
            if known:
                client.produce_async(fine)
                good += 1
            if batch and out_of_range:
                continue  # see the next test
            with pytest.raises(kind, match=f"^{'records.1.: ' if batch else ''}{text}") as raised:
                getattr(client, verb)([fine, bad] if batch else bad)
            assert isinstance(raised.value, KlifeError)
            assert isinstance(raised.value, TypeError if kind is InvalidRecordType else ValueError)
            assert "secret" not in str(raised.value)
            assert "was not queued" in str(raised.value) or "partition" in str(raised.value)
    client.flush(30)
    assert sorted(int(read.value or b"") for read in read_back(topic)) == list(range(good))


def test_in_a_batch_a_partition_out_of_range_fails_its_own_record(shop: tuple[Client, str], read_back: ReadBack) -> None:
    client, topic = shop
    first, bad, last = client.produce_batch([Record(topic, b"1"), Record(topic, b"2", partition=9), Record(topic, b"3")]).get(30)
    assert "records[1]: Record.partition is 9, but topic" in str(bad.error)
    assert isinstance(bad.error, UnknownPartition)
    assert (bad.error.retriable, bad.error_code) == (True, None)
    assert (first.error, last.error) == (None, None)
    assert sorted(read.value or b"" for read in read_back(topic)) == [b"1", b"3"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda client, record: client.produce({"topic": "a"}), r"expected a klife\.Record, got a dict"),
        (lambda client, record: client.produce("orders"), r"expected a klife\.Record, got a str"),
        (lambda client, record: client.produce_async(None), r"expected a klife\.Record, got a NoneType"),
        (lambda client, record: client.produce_batch(record), r"an iterable of Records, got one Record; use produce"),
        (lambda client, record: client.produce_batch(7), r"an iterable of Records, got an int"),
        (lambda client, record: client.produce_batch([record, b"x"]), r"records\[1\]: expected a klife\.Record, got a bytes"),
        (lambda client, record: client.produce(record, producer=3), r"producer is an int; expected the name of one of"),
        (lambda client, record: client.produce(record, partitioner="murmur2"), r"partitioner is a str; expected an object with"),
        (
            lambda client, record: client.produce(record, partitioner=Murmur2Partitioner),
            r"partitioner is a \w*Meta; expected an object",
        ),
        (lambda client, record: Record.verify_batch([1]), r"one of them is an int"),
    ],
)
def test_something_else_where_a_record_belongs_is_named(shop: tuple[Client, str], call: Any, text: str) -> None:
    client, topic = shop
    with pytest.raises(InvalidRecordType, match=text):
        call(client, Record(topic, b"v"))
    assert client.status().producers[0].unsettled == 0


def test_an_unknown_producer_is_named_with_those_there_are(shop: tuple[Client, str]) -> None:
    client, topic = shop
    with pytest.raises(InvalidRecordValue, match="there is no producer 'fast' in this client; it has 'klife_default_producer'"):
        client.produce(Record(topic, b"v"), producer="fast")


def test_a_record_larger_than_the_buffer_is_refused_with_both_sizes(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    client = start_client(max_buffered_bytes=100_000)
    topic = make_topic(1)
    with pytest.raises(RecordTooLarge, match=rf"{topic}.* more than max_buffered_bytes \(100000\) can ever") as raised:
        client.produce(Record(topic, bytes(200_000)))
    assert (raised.value.limit, raised.value.size > 200_000) == (100_000, True)
    small, large = client.produce_batch([Record(topic, b"v"), Record(topic, bytes(200_000))]).get(30)
    assert small.error is None
    assert isinstance(large.error, RecordTooLarge)
    assert [read.value for read in read_back(topic)] == [b"v"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"liner_ms": 5}, r"liner_ms: .*did you mean.*linger_ms|liner_ms: .*linger_ms"),
        ({"linger_ms": "soon"}, r"linger_ms: .*str.*expected"),
        ({"acks": 2}, r"acks: .*2.*expected"),
        ({"enable_idempotence": "maybe"}, r"enable_idempotence: .*str.*expected"),
        ({"compression_type": "brotli"}, r"compression_type: .*brotli"),
        (
            {"delivery_timeout_ms": 1_000, "linger_ms": 600, "request_timeout_ms": 500},
            r"delivery_timeout_ms: .*1000.*less than.*linger_ms.*request_timeout_ms",
        ),
        ({"max_in_flight_requests": 6}, r"max_in_flight_requests: .*6.*5"),
        ({"bootstrap_servers": ""}, r"bootstrap_servers: "),
        ({"bootstrap_servers": []}, r"bootstrap_servers: "),
        ({"bootstrap_servers": "host:port"}, r"bootstrap_servers\[0\]: .*str.*the port must be a number"),
        ({"bootstrap_servers": 9092}, r"bootstrap_servers: .*int.*expected"),
        ({"producers": [{"name": "a", "acks": "some"}]}, r"producers\[0\]\.acks: "),
    ],
)
def test_a_wrong_option_is_named_with_what_it_is_and_what_is_expected(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Client.start(**{"bootstrap_servers": "localhost:9092", **options})
    assert len(raised.value.problems) == 1
    assert re.search(text, raised.value.problems[0]), raised.value.problems[0]


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        Client.start("localhost:9092", linger_ms=-1, acks="some", nonsense=1)
    assert len(raised.value.problems) == 3


def test_unresolvable_servers_are_listed_each_with_what_happened() -> None:
    began = monotonic()
    with Client.start("no-such-host.invalid:9092,127.0.0.1:1", connect_timeout_ms=2_000) as client:
        with pytest.raises(NotReady, match=r"was not ready within 3 s") as raised:
            client.wait_ready(3.0)
        assert monotonic() - began < 30
    text = str(raised.value)
    assert re.search(r"no-such-host\.invalid:9092 .*(resol|name|Name)", text), text
    assert re.search(r"127\.0\.0\.1:1 .*refused", text), text

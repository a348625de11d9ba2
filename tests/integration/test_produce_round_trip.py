"""What is produced is what another client reads: every field, in every codec, from many greenlets."""

from __future__ import annotations

from time import time
from typing import Any

import gevent
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, StringSerializer

from klife import Client, Record, TopicConfig
from klife.testing.cluster import KafkaCluster
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient
from tests.support.reader import Read, as_read, by_partition, codecs_in

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]  # in the order of their numbers in a batch


def test_three_topics_of_thirty_partitions_from_fifty_greenlets_are_read_back_exactly(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    client = start_client(producers=[{"name": codec, "compression_type": codec} for codec in CODECS], default_producer="none")
    topics = [make_topic(30) for _ in range(3)]
    results: list[Record] = []
    sent: dict[tuple[str, int, int], list[bytes]] = {}  # in order, by topic, partition and greenlet

    def work(worker: int) -> None:
        for turn in range(20):
            records = []
            for topic in topics:
                record = record_of(topic, worker, turn)
                records.append(record)
                sent.setdefault((topic, record.partition or 0, worker), []).append(record.key or b"")
            codec = CODECS[worker % len(CODECS)]
            deliveries = [client.produce(record, producer=codec) for record in records]
            for record, delivery in zip(records, deliveries, strict=True):
                result = delivery.get(30)
                assert same_but_where(result, record)
                results.append(result)

    gevent.joinall([gevent.spawn(work, worker) for worker in range(50)], raise_error=True)
    for topic in topics:
        found = read_back(topic)
        of_topic = sorted((as_read(result) for result in results if result.topic == topic), key=lambda read: read[1:3])
        assert len(found) == 50 * 20
        assert found == of_topic
        for partition, log in by_partition(found).items():
            for worker in range(50):
                keys = [read.key for read in log if (read.key or b"").startswith(b"%d-" % worker)]
                assert keys == sent.get((topic, partition, worker), [])


def test_values_and_keys_by_their_serializers_are_read_back_as_they_were(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    orders, plain = make_topic(3), make_topic(1)
    registry = SchemaRegistryClient.new_client({"url": "mock://round-trip"})
    schema = '{"type": "record", "name": "Order", "fields": [{"name": "number", "type": "int"}, {"name": "what", "type": "string"}]}'
    typed = TopicConfig(name=orders, key_serializer=StringSerializer(), value_serializer=AvroSerializer(registry, schema))
    client = start_client(topics=[typed], txn_pools=[{"name": "money", "checkout_timeout_ms": 60_000}])
    sent = [Record(orders, {"number": number, "what": "c\u00f4t\u00e9 " * number}, f"table {number % 7}") for number in range(60)]

    def work(records: list[Record[Any, Any]]) -> None:
        first, *rest = records
        assert client.produce(first).get(30).key == first.key.encode()
        Record.verify_batch(client.produce_batch([*rest, Record(plain, b"as it is")]).get(30))

    gevent.joinall([gevent.spawn(work, sent[start : start + 10]) for start in range(0, 50, 10)], raise_error=True)
    with client.transaction() as transaction:
        for record in sent[50:]:
            transaction.produce(record)

    deserializer = AvroDeserializer(registry)
    context = SerializationContext(orders, MessageField.VALUE)
    found = [((read.key or b"").decode(), deserializer(read.value, context)) for read in read_back(orders, len(sent))]
    assert sorted(found, key=lambda each: each[1]["number"]) == [(record.key, record.value) for record in sent]
    assert [read.value for read in read_back(plain)] == [b"as it is"] * 5


def record_of(topic: str, worker: int, turn: int) -> Record:
    """A different record for each turn: tombstones, empty values, none to several headers, given and own
    timestamps.
    """
    number = worker * 20 + turn
    return Record(
        topic,
        (None, b"", b"%d" % number, bytes(number % 256 for _ in range(number)))[number % 4],
        key=b"%d-%d" % (worker, turn),
        headers=((), [("a", b"1"), ("b", None), ("a", b"2")], [("ümläut", b"")])[number % 3],
        partition=number % 30,
        timestamp_ms=1_700_000_000_000 + number if number % 2 else None,
    )


def same_but_where(result: Record, record: Record) -> bool:
    """Whether a result is the record it came from, as far as the user filled that in."""
    return (
        (result.topic, result.key, result.value, tuple(result.headers), result.partition)
        == (record.topic, record.key, record.value, tuple(record.headers), record.partition)
        and record.timestamp_ms in (None, result.timestamp_ms)
        and record.offset is None
    )


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_carries_every_kind_of_record(
    kafka_cluster: KafkaCluster, start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack, codec: str
) -> None:
    client = start_client(compression_type=codec)
    topic = make_topic(1)
    records = [
        Record(topic, b"value", key=b"key", headers=[("h", b"1"), ("h", b"2"), ("h", None), ("", b"")], timestamp_ms=0),
        Record(topic, None, key=b"tombstone", timestamp_ms=1),
        Record(topic, b"", key=b"", timestamp_ms=1_700_000_000_000),
        Record(topic, b"no key", timestamp_ms=1_600_000_000_000),  # earlier than its neighbour
        Record(topic, bytes(range(256)) * 800, timestamp_ms=2),
    ]
    results = client.produce_batch(records).get(30)
    assert [result.offset for result in Record.verify_batch(results)] == [0, 1, 2, 3, 4]
    assert read_back(topic) == [
        Read(topic, 0, offset, record.key, record.value, tuple(record.headers), record.timestamp_ms or 0)
        for offset, record in enumerate(records)
    ]
    with kafka_cluster.admin() as admin:
        assert codecs_in(admin, topic) == {CODECS.index(codec)}


def test_a_record_without_a_timestamp_gets_the_time_of_produce(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    client = start_client(linger_ms=300)
    topic = make_topic(1)
    before = int(time() * 1000)
    delivery = client.produce(Record(topic, b"v"))
    after = int(time() * 1000)
    result = delivery.get(30)
    assert before <= (result.timestamp_ms or 0) <= after
    assert read_back(topic) == [as_read(result)]


def test_a_topic_with_log_append_time_tells_the_brokers_time(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    topic = make_topic(1, message_timestamp_type="LogAppendTime")
    result = start_client().produce(Record(topic, b"v", timestamp_ms=1)).get(30)
    assert abs((result.timestamp_ms or 0) - time() * 1000) < 60_000
    assert read_back(topic) == [as_read(result)]


def test_the_records_of_a_user_stay_as_they_are(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client()
    headers = [("a", b"1")]
    record = Record(make_topic(1), b"v", headers=headers)
    results = client.produce_batch([record, record]).get(30)
    assert (record.offset, record.partition, record.timestamp_ms, record.error, record.error_code) == (None,) * 5
    assert [(result.offset, result.error_code) for result in results] == [(0, 0), (1, 0)]
    headers.append(("later", b"2"))
    assert results[0].headers == (("a", b"1"),)


def test_values_up_to_the_topics_limit_arrive_whole(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    client: Client = start_client()
    topic = make_topic(1)
    value = bytes(range(256)) * 4_000  # 1 MB, twice batch_size_bytes and just under max.message.bytes
    client.produce(Record(topic, value)).get(30)
    assert [read.value for read in read_back(topic)] == [value]

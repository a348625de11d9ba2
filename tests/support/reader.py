"""The independent witness: what is in a topic, read by confluent-kafka (librdkafka), which shares no line with klife.

librdkafka waits in C, where no greenlet switches. So it is used in a native thread, and the test's other greenlets go on.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from gevent import get_hub

from klife import Record
from klife.admin import AdminClient
from klife.protocol.apis.fetch import FetchPartition, FetchRequest, FetchTopic
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic
from klife.protocol.record_decode import decode_batches

TIMEOUT_SECONDS = 40.0
CALL_SECONDS = 20.0


class Read(NamedTuple):
    """A record as confluent-kafka found it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int


def read_topic(bootstrap_servers: str, topic: str) -> list[Read]:
    """Everything in the topic, up to the ends of its partitions as they are now; by partition and offset."""
    found: list[Read] = get_hub().threadpool.apply(_read, (bootstrap_servers, topic))
    return found


def by_partition(found: list[Read]) -> dict[int, list[Read]]:
    """What was found, by partition, each in the order of the log."""
    partitions: dict[int, list[Read]] = defaultdict(list)
    for each in found:
        partitions[each.partition].append(each)
    return partitions


def as_read(result: Record) -> Read:
    """What a reader must find where `produce` says that it wrote."""
    assert result.error is None
    assert result.partition is not None
    assert result.offset is not None
    assert result.timestamp_ms is not None
    headers = tuple(result.headers)
    return Read(result.topic, result.partition, result.offset, result.key, result.value, headers, result.timestamp_ms)


def partitions_of_librdkafka(bootstrap_servers: str, topic: str, keys: list[bytes]) -> list[int]:
    """Where librdkafka's own producer, with its default partitioner, puts records of these keys."""
    found: list[int] = get_hub().threadpool.apply(_produce, (bootstrap_servers, topic, keys))
    return found


def codecs_in(admin: AdminClient, topic: str) -> set[int]:
    """The codecs' numbers in the batches of partition 0: librdkafka does not tell, so this one look is by klife's own protocol."""
    address = {broker.node_id: broker.address for broker in admin.brokers()}[admin.describe_topics([topic])[topic][0].leader]
    (described,) = admin.send(MetadataRequest(topics=[MetadataRequestTopic(name=topic)]), address).topics
    wanted = FetchTopic(topic=topic, topic_id=described.topic_id, partitions=[FetchPartition(partition=0, partition_max_bytes=10**6)])
    (fetched,) = admin.send(FetchRequest(topics=[wanted], max_wait_ms=500, min_bytes=1), address).responses
    return {batch.codec for batch in decode_batches(fetched.partitions[0].records)}


def _read(bootstrap_servers: str, topic: str) -> list[Read]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "klife-integration-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "fetch.wait.max.ms": 50,
        }
    )
    try:
        ends: dict[int, int] = {}
        begins: list[TopicPartition] = []
        for partition in consumer.list_topics(topic, timeout=CALL_SECONDS).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=CALL_SECONDS)
            if high > low:
                ends[partition] = high
                begins.append(TopicPartition(topic, partition, low))
        consumer.assign(begins)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        found: list[Read] = []
        seen: dict[object, tuple[tuple[str, bytes | None], ...]] = {}  # a padding that all records have is kept once
        while ends:
            assert time.monotonic() < deadline, f"confluent-kafka did not reach {ends} of {topic}"
            for message in consumer.consume(1000, timeout=0.2):
                if message.error() is not None:
                    raise KafkaException(message.error())
                _, timestamp_ms = message.timestamp()
                partition, offset = message.partition(), message.offset()
                headers = tuple(message.headers() or ())
                headers = seen.setdefault(headers, headers)
                found.append(Read(topic, partition, offset, message.key(), message.value(), headers, timestamp_ms))
                if offset + 1 >= ends.get(partition, 0):
                    ends.pop(partition, None)
        return sorted(found, key=lambda each: (each.partition, each.offset))
    finally:
        consumer.close()


def _produce(bootstrap_servers: str, topic: str, keys: list[bytes]) -> list[int]:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
    partitions: list[int] = [-1] * len(keys)

    def put_down(index: int) -> object:
        def delivered(error: object, message: object) -> None:
            assert error is None
            partitions[index] = message.partition()  # type: ignore[attr-defined]

        return delivered

    for index, key in enumerate(keys):
        producer.produce(topic, value=b"", key=key, on_delivery=put_down(index))
    assert producer.flush(CALL_SECONDS) == 0
    return partitions

"""The independent witness: what is in a topic, read by confluent-kafka (librdkafka), which shares no line
with klife.

librdkafka waits in C, where no greenlet switches. So it is used in a native thread, and the test's other
greenlets go on.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient as ConfluentAdmin
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # documented there, and not in its __all__
from gevent import get_hub

from klife import Record
from klife.admin import AdminClient
from klife.protocol.apis.fetch import FetchPartition, FetchRequest, FetchTopic
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic
from klife.protocol.record_decode import decode_batches

SILENCE_SECONDS = 40.0
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


def read_topic(bootstrap_servers: str, topic: str, at_least: int = 0) -> list[Read]:
    """Everything in the topic, up to the ends of its partitions as they are now; by partition and offset.

    With acks 0 and 1 a reader sees a moment later what was confirmed, and so it does after a change of
    leaders: who knows how many records there must be says so, `at_least`, and they are waited for.
    """
    found: list[Read] = get_hub().threadpool.apply(_read, (bootstrap_servers, topic, at_least))
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
    """The codecs' numbers in the batches of partition 0: librdkafka does not tell, so this one look is by
    klife's own protocol.
    """
    leader = admin.describe_topics([topic])[topic][0].leader
    address = next(broker.address for broker in admin.brokers() if broker.node_id == leader)
    (described,) = admin.send(MetadataRequest(topics=[MetadataRequestTopic(name=topic)]), address).topics
    wanted = FetchTopic(topic=topic, topic_id=described.topic_id, partitions=[FetchPartition(partition=0, partition_max_bytes=10**6)])
    (fetched,) = admin.send(FetchRequest(topics=[wanted], max_wait_ms=500, min_bytes=1), address).responses
    records = fetched.partitions[0].records
    assert isinstance(records, bytes | bytearray | memoryview)
    return {batch.codec for batch in decode_batches(records)}


def messages(bootstrap_servers: str, topic: str, at_least: int = 0) -> Iterator[Any]:
    """librdkafka's messages in the topic, up to the ends of its partitions as they are now; for a native
    thread.

    Waits for ends that make `at_least` so many: a reader may see what acks 0 or 1 confirmed a moment later.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "klife-tests-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )
    try:
        ends, begins = _ends(consumer, topic, at_least)
        consumer.assign(begins)
        heard = time.monotonic()
        while any(each.offset < ends[each.partition] for each in consumer.position(begins)):
            found = consumer.consume(5_000, timeout=0.2)
            if found:
                heard = time.monotonic()
            assert time.monotonic() < heard + SILENCE_SECONDS, f"confluent-kafka did not reach {ends} of {topic}"
            for message in found:
                if message.error() is not None:
                    raise KafkaException(message.error())
                yield message
    finally:
        consumer.close()


def written(bootstrap_servers: str, topic: str) -> int:
    """How many messages the topic's logs hold, by their ends."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "klife-tests-reader"})
    try:
        return sum(high - low for low, high in _watermarks(consumer, topic).values())
    finally:
        consumer.close()


def _watermarks(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    partitions = consumer.list_topics(topic, timeout=CALL_SECONDS).topics[topic].partitions
    return {each: _watermark(consumer, TopicPartition(topic, each)) for each in partitions}


def _watermark(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    deadline = time.monotonic() + CALL_SECONDS
    while True:
        try:
            low, high = consumer.get_watermark_offsets(place, timeout=CALL_SECONDS)
        except KafkaException as error:  # a leader that has just moved, which librdkafka hears of by this
            if not error.args[0].retriable() and error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                raise
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return low, high


def _ends(consumer: Consumer, topic: str, at_least: int) -> tuple[dict[int, int], list[TopicPartition]]:
    """The ends of the partitions that have something, and their begins."""
    deadline = time.monotonic() + SILENCE_SECONDS
    while True:
        filled = {each: (low, high) for each, (low, high) in _watermarks(consumer, topic).items() if high > low}
        count = sum(high - low for low, high in filled.values())
        if count >= at_least:
            ends = {each: high for each, (_, high) in filled.items()}
            return ends, [TopicPartition(topic, each, low) for each, (low, _) in filled.items()]
        assert time.monotonic() < deadline, f"only {count} of {at_least} messages after {SILENCE_SECONDS:g} s"
        time.sleep(0.05)


def _read(bootstrap_servers: str, topic: str, at_least: int) -> list[Read]:
    found: list[Read] = []
    seen: dict[object, tuple[tuple[str, bytes | None], ...]] = {}  # a padding that all records have is kept once
    for message in messages(bootstrap_servers, topic, at_least):
        _, timestamp_ms = message.timestamp()
        headers = tuple(message.headers() or ())
        headers = seen.setdefault(headers, headers)
        found.append(Read(topic, message.partition(), message.offset(), message.key(), message.value(), headers, timestamp_ms))
    return sorted(found, key=lambda each: (each.partition, each.offset))


def _produce(bootstrap_servers: str, topic: str, keys: list[bytes]) -> list[int]:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
    partitions: list[int] = [-1] * len(keys)

    def put_down(index: int) -> Any:
        def delivered(error: object, message: Any) -> None:
            assert error is None
            partitions[index] = message.partition()

        return delivered

    for index, key in enumerate(keys):
        producer.produce(topic, value=b"", key=key, on_delivery=put_down(index))
    assert producer.flush(CALL_SECONDS) == 0
    return partitions


def read_isolated(bootstrap_servers: str, topic: str, *, committed: bool) -> list[bytes]:
    """The values in the topic, sorted, as far as a consumer of that isolation level gets now: with
    `committed`, to the last stable offsets.
    """
    found: list[bytes] = get_hub().threadpool.apply(_read_isolated, (bootstrap_servers, topic, committed))
    return found


def held_up(bootstrap_servers: str, topics: Sequence[str]) -> list[tuple[str, int]]:
    """The partitions in which readers of committed records do not get to the end: a transaction is open there."""
    found: list[tuple[str, int]] = get_hub().threadpool.apply(_held_up, (bootstrap_servers, topics))
    return found


def _held_up(bootstrap_servers: str, topics: Sequence[str]) -> list[tuple[str, int]]:
    admin = ConfluentAdmin({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    known = admin.list_topics(timeout=CALL_SECONDS).topics
    latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(topic, each): latest for topic in topics for each in known[topic].partitions}
    ends, stable = (
        {place: told.result(CALL_SECONDS).offset for place, told in admin.list_offsets(asked, isolation_level=level).items()}
        for level in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED)
    )
    return [(place.topic, place.partition) for place, end in ends.items() if stable[place] < end]


def _read_isolated(bootstrap_servers: str, topic: str, committed: bool) -> list[bytes]:
    return sorted(message.value() or b"" for message in isolated_messages(bootstrap_servers, topic, committed=committed))


def isolated_messages(bootstrap_servers: str, topic: str, *, committed: bool) -> Iterator[Any]:
    """librdkafka's messages in the topic, as far as a consumer of that isolation level gets now; for a native
    thread.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "klife-tests-reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )
    try:
        partitions = [
            TopicPartition(topic, each, 0) for each in consumer.list_topics(topic, timeout=CALL_SECONDS).topics[topic].partitions
        ]
        consumer.assign(partitions)
        left = {each.partition for each in partitions}
        deadline = time.monotonic() + SILENCE_SECONDS
        while left:
            assert time.monotonic() < deadline, f"confluent-kafka did not reach the ends of {topic}: {left} are left"
            message = consumer.poll(0.2)
            if message is None:
                continue
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            else:
                raise KafkaException(error)
    finally:
        consumer.close()

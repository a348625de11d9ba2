"""Another client's eyes: topics read by confluent-kafka."""

from __future__ import annotations

import time
from typing import Any

import confluent_kafka

READ_TIMEOUT_SECONDS = 30


def read_back(bootstrap_servers: str, topic: str, count: int) -> list[Any]:
    """The messages of the topic from its beginning to its end, by partition and offset; waits for at least `count` of them."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "tests-cli",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        return _read(consumer, topic, count)
    finally:
        consumer.close()


def written(bootstrap_servers: str, topic: str) -> int:
    """How many messages the topic's logs hold, by their ends."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "tests-cli"})
    try:
        partitions = consumer.list_topics(topic, READ_TIMEOUT_SECONDS).topics[topic].partitions
        ends = [
            consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, index), READ_TIMEOUT_SECONDS) for index in partitions
        ]
        return sum(high - low for low, high in ends)
    finally:
        consumer.close()


def _read(consumer: Any, topic: str, count: int) -> list[Any]:
    partitions = consumer.list_topics(topic, READ_TIMEOUT_SECONDS).topics[topic].partitions
    consumer.assign([confluent_kafka.TopicPartition(topic, index, confluent_kafka.OFFSET_BEGINNING) for index in partitions])
    found: list[Any] = []
    at_end: set[int] = set()
    deadline = time.monotonic() + READ_TIMEOUT_SECONDS
    while len(at_end) < len(partitions) or len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} messages after {READ_TIMEOUT_SECONDS} s"
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error() is None:
            found.append(message)
            at_end.discard(message.partition())
        elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
            at_end.add(message.partition())
        else:
            raise confluent_kafka.KafkaException(message.error())
    return sorted(found, key=_place)


def _place(message: Any) -> tuple[int, int]:
    return message.partition(), message.offset()

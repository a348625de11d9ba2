"""The independent reader: what is in the topics, by confluent-kafka (librdkafka), which shares no line with klife.

librdkafka waits in C, where no greenlet switches; so it runs in a native thread.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from klife.actors.runtime.thread_pool import call_in_thread
from tests.chaos.check import Found

CALL_SECONDS = 20.0
SILENCE_SECONDS = 30.0


def payload(worker: int, number: int, size: int) -> bytes:
    """The value of a record: its name, and `size` more bytes that no other record has in this order."""
    head = b"%d:%d:" % (worker, number)
    return head + (b"%d." % number * (size // 2 + 1))[:size]


def read_logs(bootstrap_servers: str, topics: Sequence[str]) -> list[Found]:
    """Every record of these topics, up to the ends of their partitions as they are now."""
    found: list[Found] = call_in_thread(lambda: [each for topic in topics for each in _read(bootstrap_servers, topic)])
    return found


def elect_preferred_leaders(bootstrap_servers: str) -> None:
    """Have every partition be led by its preferred replica again (KIP-460), as far as that one is in sync."""
    call_in_thread(_elect, bootstrap_servers)


def _elect(bootstrap_servers: str) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    admin: Any = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    from confluent_kafka import ElectionType

    try:
        admin.elect_leaders(ElectionType.PREFERRED, None).result(CALL_SECONDS)
    except KafkaException:
        return  # some partition had nothing to elect, or no broker was there: then nothing happens this time


def _read(bootstrap_servers: str, topic: str) -> list[Found]:
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "klife-chaos-witness",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "log_level": 0,
        }
    )
    try:
        ends: dict[int, int] = {}
        begins: list[Any] = []
        for partition in consumer.list_topics(topic, timeout=CALL_SECONDS).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=CALL_SECONDS)
            if high > low:
                ends[partition] = high
                begins.append(TopicPartition(topic, partition, low))
        consumer.assign(begins)
        found: list[Found] = []
        heard = time.monotonic()
        while any(position < ends.get(partition, 0) for partition, position in _positions(consumer, begins)):
            messages = consumer.consume(5_000, timeout=0.2)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() > heard + SILENCE_SECONDS:
                raise TimeoutError(f"confluent-kafka read nothing of {topic} for {SILENCE_SECONDS:g} s, short of {ends}")
            for message in messages:
                if message.error() is not None:
                    raise KafkaException(message.error())
                value = message.value() or b""
                worker, number, _ = value.split(b":", 2)
                crc = crc32(value, crc32(message.key() or b""))
                found.append(Found(topic, int(message.partition()), int(message.offset()), int(worker), int(number), crc))  # type: ignore[arg-type]
        return found
    finally:
        consumer.close()


def _positions(consumer: Any, assigned: list[Any]) -> list[tuple[int, int]]:
    return [(each.partition, each.offset) for each in consumer.position(assigned)]

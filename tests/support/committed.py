"""What readers of committed and of all records see of a topic (librdkafka), and whether anything holds them up."""

from __future__ import annotations

import time
import uuid

from confluent_kafka import Consumer, TopicPartition
from gevent import get_hub

SECONDS = 30.0


def committed(servers: str, topic: str) -> list[bytes]:
    """The values that a reader of committed records sees, in order of value."""
    return _in_thread(servers, topic, "read_committed")


def written(servers: str, topic: str) -> list[bytes]:
    """The values that are in the log, aborted ones included."""
    return _in_thread(servers, topic, "read_uncommitted")


def _in_thread(servers: str, topic: str, isolation: str) -> list[bytes]:
    found: list[bytes] = get_hub().threadpool.apply(_read, (servers, topic, isolation))
    return found


def _read(servers: str, topic: str, isolation: str) -> list[bytes]:
    """All there is until the end of each partition; what is held up behind an open transaction ends earlier."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"committed-{uuid.uuid4().hex}",
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        values, ended = [], set()
        deadline = time.monotonic() + SECONDS
        while len(ended) < len(partitions):
            assert time.monotonic() < deadline, "the topic's ends were not reached"
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error() is not None:
                ended.add(message.partition())
            else:
                values.append(message.value())
        return sorted(values)
    finally:
        consumer.close()

"""The independent witness: what is in the topics, by confluent-kafka (librdkafka), which shares no line with
klife.

librdkafka waits in C, where no greenlet switches; so it runs in a native thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

from klife.actors.runtime.thread_pool import call_in_thread
from tests.chaos.check import Found
from tests.chaos.check_transactions import Seen
from tests.support.reader import isolated_messages, messages

CALL_SECONDS = 20.0


def payload(worker: int, number: int, size: int) -> bytes:
    """The value of a record: its name, and `size` more bytes that no other record has in this order."""
    head = b"%d:%d:" % (worker, number)
    return head + (b"%d." % number * (size // 2 + 1))[:size]


def dealt_payload(owner: int, number: int, index: int, size: int) -> bytes:
    """The value of a transaction's record, as `payload` is a record's."""
    return payload(owner, number, 0) + b"%d:" % index + b"." * size


def read_committed(bootstrap_servers: str, topics: Sequence[str]) -> list[Seen]:
    """What a reader of committed records sees of these topics."""
    seen: list[Seen] = call_in_thread(lambda: [each for topic in topics for each in _read_committed(bootstrap_servers, topic)])
    return seen


def held_up(bootstrap_servers: str, topics: Sequence[str], patience: float) -> list[str]:
    """Partitions of which a reader of committed records does not get to the end, after `patience` seconds."""
    held: list[str] = call_in_thread(lambda: _held_up(bootstrap_servers, topics, time.monotonic() + patience))
    return held


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


def _read(bootstrap_servers: str, topic: str) -> Iterator[Found]:
    for message in messages(bootstrap_servers, topic):
        value = message.value() or b""
        worker, number, _ = value.split(b":", 2)
        yield Found(topic, message.partition(), message.offset(), int(worker), int(number), crc32(value, crc32(message.key() or b"")))


def _read_committed(bootstrap_servers: str, topic: str) -> Iterator[Seen]:
    for message in isolated_messages(bootstrap_servers, topic, committed=True):
        value = message.value() or b""
        owner, number, index, _ = value.split(b":", 3)
        yield Seen(topic, message.partition(), message.offset(), int(owner), int(number), int(index), crc32(value))


def _held_up(bootstrap_servers: str, topics: Sequence[str], deadline: float) -> list[str]:
    from confluent_kafka import IsolationLevel, TopicPartition
    from confluent_kafka import admin as admins

    latest: Any = admins.OffsetSpec.latest  # type: ignore[attr-defined]
    admin: Any = admins.AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    described = admin.list_topics(timeout=CALL_SECONDS).topics
    places = [TopicPartition(topic, partition) for topic in topics for partition in described[topic].partitions]

    def ends(level: Any) -> dict[Any, int]:
        asked = admin.list_offsets(dict.fromkeys(places, latest()), isolation_level=level, request_timeout=CALL_SECONDS)
        return {place: answer.result().offset for place, answer in asked.items()}

    while True:
        stable, written = ends(IsolationLevel.READ_COMMITTED), ends(IsolationLevel.READ_UNCOMMITTED)
        held = [f"{p.topic}-{p.partition}: stable to {stable[p]} of {written[p]}" for p in places if stable[p] != written[p]]
        if not held or time.monotonic() > deadline:
            return held
        time.sleep(0.2)

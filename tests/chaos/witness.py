"""The independent witness: what is in the topics, by confluent-kafka (librdkafka), which shares no line with
klife.

librdkafka waits in C, where no greenlet switches; so it runs in a native thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

from klife.actors.runtime.thread_pool import call_in_thread
from tests.chaos.check import Found
from tests.support.reader import messages

CALL_SECONDS = 20.0


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


def _read(bootstrap_servers: str, topic: str) -> Iterator[Found]:
    for message in messages(bootstrap_servers, topic):
        value = message.value() or b""
        worker, number, _ = value.split(b":", 2)
        yield Found(topic, message.partition(), message.offset(), int(worker), int(number), crc32(value, crc32(message.key() or b"")))

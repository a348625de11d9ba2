"""`Topic`: the time that a record gets when nobody looks at the clock for it."""

from __future__ import annotations

from time import time_ns

import gevent
import pytest

from klife import Murmur2Partitioner, UnknownPartition
from klife.actors.producer.batch import Batch
from klife.actors.producer.buffer_pool import BufferPool
from klife.record import Record
from tests.support.producer_parts import Parts, topic_info

TIMESTAMP = 3


def times_of(batch: Batch) -> list[int]:
    return batch.fields[TIMESTAMP::4]


def test_a_record_gets_the_time_of_the_last_look_at_the_clock() -> None:
    route = Parts().route
    route.append(Record("t", b"first"))
    gevent.sleep(0.01)
    batch = route.append(Record("t", b"second"), None, None, looks=False)._batch
    first, second = times_of(batch)
    assert first == second


def test_to_wait_for_room_is_to_look_at_the_clock() -> None:
    parts = Parts()
    pool = parts.producer.pool = BufferPool(1_000, block=True)
    parts.producer.routing.routes.clear()
    route = parts.producer.routing.add_topic(parts.route.info, parts.route.partitioner)
    route.append(Record("t", bytes(900)))
    begun = time_ns() // 1_000_000

    def give() -> None:
        while time_ns() // 1_000_000 == begun:
            gevent.sleep(0.001)
        pool.give(950)

    gevent.spawn(give)
    route.append(Record("t", bytes(900)), None, None, looks=False)
    batch = route.append(Record("t", b"behind it"), None, None, looks=False)._batch
    assert times_of(batch)[-1] > begun


def test_a_topic_without_partitions_has_none_for_a_record_without_key_either() -> None:
    route = Parts().producer.routing.add_topic(topic_info([], "empty"), Murmur2Partitioner())
    with pytest.raises(UnknownPartition, match="has 0 partitions"):
        route.append(Record("empty", b"v"), None, 0.0)

"""`Topic`: the time that a record gets when nobody looks at the clock for it."""

from __future__ import annotations

from time import time_ns
from typing import Any

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
    topic = Parts().topic
    topic.append(Record("t", b"first"))
    gevent.sleep(0.01)
    batch = topic.append(Record("t", b"second"), None, None, looks=False)._batch
    first, second = times_of(batch)
    assert first == second


def test_to_wait_for_room_is_to_look_at_the_clock() -> None:
    parts = Parts()
    pool = parts.producer.pool = BufferPool(1_000, block=True)
    parts.producer.routing.topics.clear()
    topic = parts.producer.routing.add_topic(parts.topic.info, parts.topic.partitioner)
    topic.append(Record("t", bytes(900)))
    begun = time_ns() // 1_000_000

    def give() -> None:
        while time_ns() // 1_000_000 == begun:
            gevent.sleep(0.001)
        pool.give(950)

    gevent.spawn(give)
    topic.append(Record("t", bytes(900)), None, None, looks=False)
    batch = topic.append(Record("t", b"behind it"), None, None, looks=False)._batch
    assert times_of(batch)[-1] > begun


class NotToBeAsked:
    def partition(self, record: Record, partition_count: int) -> int:
        raise AssertionError("there is nothing to choose from")


@pytest.mark.parametrize("partitioner", [None, NotToBeAsked()])
@pytest.mark.parametrize("key", [None, b"k"])
@pytest.mark.parametrize("default", [Murmur2Partitioner(), NotToBeAsked()])
def test_a_topic_without_partitions_refuses_every_record_alike(default: Any, key: bytes | None, partitioner: Any) -> None:
    topic = Parts().producer.routing.add_topic(topic_info([], "empty"), default)
    with pytest.raises(UnknownPartition, match="topic 'empty' has 0 partitions, and no record can go to it; add partitions") as caught:
        topic.append(Record("empty", b"v", key), partitioner, 0.0)
    assert caught.value.partition == 0


def test_a_topic_without_partitions_refuses_a_number_too() -> None:
    topic = Parts().producer.routing.add_topic(topic_info([], "empty"), Murmur2Partitioner())
    with pytest.raises(UnknownPartition, match=r"Record.partition is 0, but topic 'empty' has 0 partitions\. None"):
        topic.append(Record("empty", b"v", partition=0), None, 0.0)


@pytest.mark.parametrize("key", [None, b"k"])
def test_partitions_that_come_while_a_record_waits_for_one_are_chosen_among(key: bytes | None) -> None:
    parts = Parts()
    partitioner = Murmur2Partitioner()
    topic = parts.producer.routing.add_topic(topic_info([], "empty"), partitioner)
    parts.producer.await_partition = lambda topic, *_: topic.follow(topic_info([1] * 50, "empty"))
    record = Record("empty", b"v", key)
    partition = topic.append(record)._batch.partition_id
    assert partition == (partitioner.partition(record, 50) if key is not None else topic.sticky)

"""`Topic`: the time that a record gets when nobody looks at the clock for it."""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import Client, Murmur2Partitioner, UnknownPartition
from klife.actors.producer.batch import Batch
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.topic_partitions import NOWHERE
from klife.protocol.apis.produce import ProduceRequest
from klife.record import Record
from klife.testing.fake import FakeCluster
from tests.support.producer_parts import Parts, topic_info
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, after
from tests.support.waiting import wait_until

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
    parts.added["empty"] = topic_info([1] * 50, "empty")
    record = Record("empty", b"v", key)
    partition = topic.append(record)._batch.partition_id
    assert partition == (partitioner.partition(record, 50) if key is not None else topic.sticky)


def test_keyless_records_go_where_no_request_waits_for_its_answer() -> None:
    parts = Parts([1, 2, 3] * 10, max_in_flight=1)
    topic = parts.producer.routing.add_topic(topic_info([1, 2, 3] * 10, "spread"), Murmur2Partitioner())
    for partition_id in range(30):
        topic.append(Record("spread", b"v", partition=partition_id))  # all are known
        topic.partition(partition_id).close()
    parts.batcher(2).calls.add(object())
    chosen = []
    for _ in range(200):
        partition = topic.partition(topic.append(Record("spread", b"v"))._batch.partition_id)
        chosen.append(partition.partition_id)
        partition.close()
        topic.sticky = NOWHERE
    assert len([partition_id for partition_id in chosen if partition_id % 3 == 1]) <= 1  # of 67, had it been left to chance
    assert len(set(chosen)) > 15


def test_keyless_records_that_wait_for_one_broker_go_elsewhere_once_another_is_free() -> None:
    parts = Parts([1, 2], max_in_flight=1)
    topic = parts.producer.routing.add_topic(topic_info([1, 2], "spread"), Murmur2Partitioner())
    for partition_id in (0, 1):
        topic.append(Record("spread", b"v", partition=partition_id))
        topic.partition(partition_id).close()
        parts.batcher(partition_id + 1).calls.add(object())
    waits = topic.append(Record("spread", b"v"))._batch.partition_id
    assert topic.append(Record("spread", b"v"))._batch.partition_id == waits
    free = 1 - waits
    parts.batcher(free + 1).calls.clear()
    parts.producer.batchers.broker_is_free()
    assert topic.append(Record("spread", b"v"))._batch.partition_id == free


def test_a_broker_that_has_answered_all_gets_keyless_records_that_would_wait_elsewhere(
    start_client: Callable[..., Client],
) -> None:
    with ScriptedCluster(brokers=2, topics={"spread": 2}) as cluster:
        cluster.topics["spread"].partitions[1].leader = 2
        client = start_client(cluster, max_in_flight_requests=1)
        held = {partition_id: Event() for partition_id in (0, 1)}
        for partition_id in held:
            client.produce(Record("spread", b"first", partition=partition_id)).get(PATIENCE)
        for partition_id, answered in held.items():
            cluster[partition_id + 1].requests.clear()
            cluster[partition_id + 1].script(ProduceRequest, after(answered))
        under_way = [client.produce(Record("spread", b"v", partition=partition_id)) for partition_id in held]
        for partition_id in held:
            cluster[partition_id + 1].wait_for(ProduceRequest)
        late = [client.produce(Record("spread", b"late")) for _ in range(2)]
        free = 1 - late[0]._batch.partition_id
        held[free].set()
        under_way[free].get(PATIENCE)
        gevent.idle()
        assert client.produce(Record("spread", b"v")).get(PATIENCE).partition == free
        assert not late[0].done()
        held[1 - free].set()
        for delivery in late:
            delivery.get(PATIENCE)


def test_a_broker_that_hangs_keeps_no_keyless_record_that_comes_after() -> None:
    with FakeCluster(brokers=3, topics={"spread": 6}) as cluster, Client.start(cluster.bootstrap_servers) as client:
        for partition_id in range(6):
            client.produce(Record("spread", b"first", partition=partition_id)).get(10)
        led = next(each.partition for each in client.partitions("spread") if each.leader == 1)
        cluster.pause(1)
        client.produce(Record("spread", b"to the one that hangs", partition=led))
        wait_until(lambda: any(broker.node_id == 1 and broker.in_flight for broker in client.status().brokers))
        for _ in range(50):
            assert client.produce(Record("spread", b"v")).get(10).error is None
        cluster.resume(1)

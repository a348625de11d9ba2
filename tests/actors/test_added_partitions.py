"""Records for partitions that the client does not know of: just added, or not there at all."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import gevent
import pytest

from klife import Client, ClientClosed, InvalidRecordValue, ProduceError, Record, UnknownPartition, UnknownTopic
from klife.protocol.apis.metadata import MetadataRequest
from tests.support.model_cluster import ModelPartition
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.waiting import wait_until_known


def add_partitions(cluster: ScriptedCluster, count: int, topic: str = "orders") -> None:
    cluster.topics[topic].partitions.extend(ModelPartition() for _ in range(count))


def when_asked(cluster: ScriptedCluster, times: int, then: Callable[[], object]) -> None:
    """Call `then` when so many more Metadata requests have come."""
    already = len(cluster[1].got(MetadataRequest))
    gevent.spawn(lambda: (cluster[1].wait_for(MetadataRequest, already + times), then()))


class Chooses:
    def __init__(self, partition: int) -> None:
        self._partition = partition

    def partition(self, record: Record, partition_count: int) -> int:
        return self._partition


@pytest.mark.parametrize("verb", ["produce", "produce_batch", "with a partitioner"])
def test_a_partition_that_was_just_added_is_there(start_client: Any, verb: str) -> None:
    with ScriptedCluster(topics={"orders": 2}) as cluster:
        client: Client = start_client(cluster)
        client.produce(Record("orders", b"v", partition=0)).get(PATIENCE)
        add_partitions(cluster, 2)
        record = Record("orders", b"new", partition=3)
        if verb == "produce":
            result = client.produce(record).get(PATIENCE)
        elif verb == "produce_batch":
            (result,) = client.produce_batch([record]).get(PATIENCE)
        else:
            result = client.produce(Record("orders", b"new"), partitioner=Chooses(3)).get(PATIENCE)
        assert (result.partition, result.offset, result.error) == (3, 0, None)
        assert len(client.partitions("orders")) == 4


def test_a_partition_that_is_added_while_a_record_waits_for_it_is_used(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 1}) as cluster:
        client: Client = start_client(cluster)
        client.produce(Record("orders", b"v")).get(PATIENCE)
        when_asked(cluster, 3, lambda: add_partitions(cluster, 1))
        assert client.produce(Record("orders", b"new", partition=1)).get(PATIENCE).offset == 0


def test_a_partition_that_does_not_come_is_a_retriable_error_that_tells_how_many_there_are(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 2}) as cluster:
        client: Client = start_client(cluster, max_block_ms=300, topics=[{"name": "orders"}])
        wait_until_known(client, "orders")
        client.produce(Record("orders", b"v")).get(PATIENCE)
        began = monotonic()
        with pytest.raises(UnknownPartition, match=r"Record\.partition is 2, but topic 'orders' has 2 partitions") as raised:
            client.produce(Record("orders", b"v", partition=2))
        assert monotonic() - began >= 0.3
        error = raised.value
        assert isinstance(error, (UnknownTopic, ProduceError))
        assert isinstance(error, (InvalidRecordValue, ValueError))
        assert (error.topic, error.partition, error.retriable, error.possibly_persisted) == ("orders", 2, True, False)
        assert "not queued" in str(error)
        assert error.__context__ is None
        assert client.status().buffered_bytes == 0


@pytest.mark.parametrize("partition", [-1, 2**31, 2**80])
def test_a_number_that_no_partition_can_have_is_refused_at_once(start_client: Any, partition: int) -> None:
    with ScriptedCluster(topics={"orders": 2}) as cluster:
        client: Client = start_client(cluster)
        client.produce(Record("orders", b"v")).get(PATIENCE)
        with gevent.Timeout(PATIENCE), pytest.raises(InvalidRecordValue) as raised:
            client.produce(Record("orders", b"v", partition=partition))
        assert not isinstance(raised.value, UnknownPartition)


def test_a_partitioner_that_errs_is_told_after_one_answer(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 2}) as cluster:
        client: Client = start_client(cluster)  # which would wait a minute
        with (
            gevent.Timeout(PATIENCE),
            pytest.raises(InvalidRecordValue, match=r"Chooses\.partition returned is 2, .* has 2 partitions"),
        ):
            client.produce(Record("orders", b"v"), partitioner=Chooses(2))
        results = client.produce_batch([Record("orders", b"v"), Record("orders", b"v", partition=1)], partitioner=Chooses(2))
        bad, good = results.get(PATIENCE)
        assert isinstance(bad.error, UnknownPartition)
        assert good.error is None


def test_in_a_batch_others_do_not_wait_for_a_partition_that_is_not_there_and_order_is_kept(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 2, "others": 1}) as cluster:
        client: Client = start_client(cluster, max_block_ms=60_000)
        client.produce_batch([Record("orders", b"v", partition=0), Record("others", b"v")]).get(PATIENCE)

        def others_are_there() -> bool:
            return cluster.log("orders", 0)[1:] == [b"0", b"4"] and cluster.log("others") == [b"v", b"3"]

        def grow() -> None:
            while not others_are_there():
                gevent.sleep(0.005)
            add_partitions(cluster, 1)
            add_partitions(cluster, 1, "others")

        gevent.spawn(grow)
        records = [
            Record("orders", b"0", partition=0),
            Record("orders", b"1", partition=2),
            Record("others", b"2", partition=1),
            Record("others", b"3", partition=0),
            Record("orders", b"4", partition=0),
            Record("orders", b"5", partition=2),
        ]
        results = client.produce_batch(records).get(PATIENCE)
        assert [result.offset for result in results] == [1, 0, 0, 1, 2, 1]
        assert cluster.log("orders", 2) == [b"1", b"5"]


def test_in_a_batch_each_record_of_a_partition_that_does_not_come_has_the_error(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 2, "grown": 1}) as cluster:
        client: Client = start_client(cluster, max_block_ms=400)
        client.produce_batch([Record("orders", b"v", partition=0), Record("grown", b"v")]).get(PATIENCE)
        add_partitions(cluster, 1, "grown")
        records = [Record(topic, b"v", partition=p) for topic, p in [("orders", 7), ("orders", 0), ("orders", 8), ("grown", 1)]]
        first, fine, second, grown = client.produce_batch(records).get(PATIENCE)
        assert [(type(each.error), each.error_code) for each in (first, second)] == [(UnknownPartition, None)] * 2
        assert "Record.partition is 8, but topic 'orders' has 2 partitions" in str(second.error)
        assert (fine.error, grown.error) == (None, None)  # what is there is found, though the first had all the time


def test_a_stopped_client_lets_nobody_wait_for_a_partition(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client: Client = start_client(cluster)
        client.produce(Record("orders", b"v")).get(PATIENCE)
        waiting = gevent.spawn(client.produce, Record("orders", b"v", partition=1))
        cluster[1].wait_for(MetadataRequest, len(cluster[1].got(MetadataRequest)) + 1)
        client.stop(PATIENCE)
        with pytest.raises(ClientClosed):
            waiting.get(timeout=PATIENCE)

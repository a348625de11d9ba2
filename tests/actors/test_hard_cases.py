"""Cases that reading and random trials turned up: each was wrong once."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import BufferFull, Client, ConfigError, ProduceError, Record
from klife.protocol import connection
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from klife_supervision import Supervisor
from klife_supervision.let_hub_run import let_hub_run
from tests.support.inside_client import node
from tests.support.producer_parts import sent_by_now
from tests.support.scripted_broker import PATIENCE, Exchange, ScriptedCluster, after, good, refuse, silent
from tests.support.waiting import wait_until, wait_until_known


def test_with_acks_0_a_stalled_broker_fills_the_buffer_and_no_more(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        timeouts = {"request_timeout_ms": 60_000, "delivery_timeout_ms": 90_000}  # nothing of them is to be over here
        client = start_client(cluster, acks=0, max_buffered_bytes=2_000_000, max_block_ms=300, topics=[{"name": "orders"}], **timeouts)
        wait_until_known(client, "orders")
        client.produce(Record("orders", b"0")).get(PATIENCE)
        stalled = Event()
        cluster[1].always(ProduceRequest, after(stalled))  # it reads one request and then no more
        accepted = 0

        def flood() -> None:
            nonlocal accepted
            while accepted < 60_000_000:
                client.produce_async(Record("orders", bytes(100_000)))
                accepted += 100_000

        with pytest.raises(BufferFull):
            flood()
        assert accepted < 40_000_000  # the sockets' own buffers take some of it
        stalled.set()


def test_with_acks_0_stopping_hands_everything_to_the_broker(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, acks=0)
        for number in range(2_000):
            client.produce_async(Record("orders", b"%d" % number + bytes(1_000)))
        assert client.stop(10).delivered == 2_000
        wait_until(lambda: len(cluster.log("orders")) >= 2_000, PATIENCE)


def test_a_batcher_that_crashes_while_it_sends_loses_nothing(start_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        encode_request, crashes = connection.encode_request, []

        def crash_once(request: Any, *args: Any) -> Any:
            if request.API_KEY == 0 and not crashes:
                crashes.append(request)
                raise RuntimeError("a bug")
            return encode_request(request, *args)

        monkeypatch.setattr(connection, "encode_request", crash_once)
        assert client.produce(Record("orders", b"1")).get(PATIENCE).offset == 1
        assert client.produce(Record("orders", b"2")).get(PATIENCE).offset == 2
        assert node(client, "batcher 1.0").restarts == 1
        assert cluster.log("orders") == [b"0", b"1", b"2"]


def test_a_batch_whose_fate_stays_unknown_is_not_pushed_out_of_the_broker_s_memory(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, max_in_flight_requests=5)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        held, resent = Event(), Event()

        def written_but_not_answered(exchange: Exchange) -> None:
            exchange.good_answer()
            resent.set()

        too_few_replicas = refuse(20, write=True)
        cluster[1].script(ProduceRequest, after(held, too_few_replicas), good, good, good, good, written_but_not_answered)
        deliveries = []
        for number in range(1, 6):  # five batches, as many as a broker remembers
            deliveries.append(client.produce(Record("orders", b"%d" % number)))
            sent_by_now()
        held.set()
        assert resent.wait(PATIENCE)
        deliveries.append(client.produce(Record("orders", b"6")))
        for _ in range(3):
            let_hub_run()  # room for it to be sent, were it to be
        cluster[1].cut_all()
        assert [delivery.get(PATIENCE).offset for delivery in deliveries] == [1, 2, 3, 4, 5, 6]
        assert cluster.log("orders") == [b"%d" % number for number in range(7)]


def test_a_name_that_no_resolver_takes_is_no_address() -> None:
    with pytest.raises(ConfigError, match="longer than 63 characters"):
        Client.start("x" * 70 + ".test:9092")


def test_other_threads_find_the_client_again_after_a_restart() -> None:
    with ScriptedCluster() as cluster:
        supervisor = Supervisor.start([Client.child_spec(cluster.bootstrap_servers, name="restarted")])
        try:
            client = Client.get("restarted")
            client.wait_ready(PATIENCE)
            before = supervisor.child("restarted")
            before.kill()
            wait_until(lambda: supervisor.child("restarted") not in (None, before), PATIENCE)
            produced = gevent.get_hub().threadpool.spawn(lambda: client.produce(Record("orders", b"v")).get(PATIENCE))
            assert produced.get(timeout=PATIENCE).offset == 0
        finally:
            supervisor.stop()


def test_in_a_batch_a_partitioner_that_raises_fails_its_record_alone(start_client: Any) -> None:
    class Picky:
        def partition(self, record: Record, partition_count: int) -> int:
            return {b"a": 0, b"c": 0}[record.key or b""]

    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        for keys in ([b"a", b"b", b"c"], [b"b", b"a", b"c"]):
            results = client.produce_batch([Record("orders", key, key=key) for key in keys], partitioner=Picky()).get(PATIENCE)
            assert [isinstance(result.error, ProduceError) for result in results] == [key == b"b" for key in keys]
            assert [result.value for result in results] == keys


def test_in_a_batch_an_unknown_topic_keeps_nobody_waiting(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.partitions("orders")
        batch = gevent.spawn(client.produce_batch, [Record("nowhere-yet", b""), Record("orders", b"v")])
        cluster[1].wait_for(ProduceRequest, 1)
        assert not batch.ready()
        cluster.create_topic("nowhere-yet", 1)
        assert [result.error for result in batch.get(timeout=PATIENCE).get(PATIENCE)] == [None, None]


def test_flush_hurries_all_producers_before_it_waits_for_one(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 1, "quick": 1}) as cluster:
        client = start_client(cluster, producers=[{"name": "slow"}, {"name": "lingering", "linger_ms": 20_000}])
        cluster[1].script(ProduceRequest, silent)
        client.produce_async(Record("orders", b"v"), producer="slow")
        client.produce_async(Record("quick", b"v"), producer="lingering")
        cluster[1].wait_for(ProduceRequest, 1)
        client.stop(1)
        assert cluster.log("quick") == [b"v"]


def test_a_callback_may_flush(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        took: list[float] = []

        def flushes(_record: Record) -> None:
            began = time.monotonic()
            client.flush(PATIENCE)
            took.append(time.monotonic() - began)

        client.produce_async(Record("orders", b"v"), flushes)
        wait_until(lambda: took, PATIENCE)


def test_a_topic_that_vanished_is_not_asked_for_again(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 1, "kept": 1}) as cluster:
        client = start_client(cluster, metadata_max_age_ms=50)
        client.produce(Record("orders", b"v")).get(PATIENCE)
        client.produce(Record("kept", b"v")).get(PATIENCE)
        del cluster.topics["orders"]

        def asked() -> set[str | None]:
            return {topic.name for topic in cluster[1].got(MetadataRequest)[-1].request.topics or []}

        wait_until(lambda: asked() == {"kept"}, PATIENCE)
        assert not cluster[1].got(MetadataRequest)[-1].request.allow_auto_topic_creation


def test_the_bootstrap_connection_is_closed_however_busy_it_was(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"v")).get(PATIENCE)
        wait_until(lambda: [broker.state for broker in client.status().brokers if broker.node_id is None] == ["disconnected"], PATIENCE)

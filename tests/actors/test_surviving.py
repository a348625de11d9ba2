"""Killed actors, crashed ones, and stopping in bad times: no record is lost, no order broken, nobody left
waiting.
"""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest
from gevent.event import Event

import klife
from klife import Client, ClientClosed, FlushTimeout, ProduceError, Record
from klife.actors import engines
from klife.actors.runtime import inbox, latch
from klife.protocol.apis.init_producer_id import InitProducerIdRequest
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.produce_wire import BatchesRequest
from klife_supervision import Supervisor
from klife_supervision.life import Life
from tests.support.inside_client import named, node, producer_of
from tests.support.producer_parts import sent_by_now
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, after, cut, good, refuse, silent
from tests.support.waiting import wait_until

ORDER = Record(topic="orders", value=b"v")


EVERYONE = ["broker 1", "metadata", "batcher 1.0", "batchers", "connections", "producer ", "producer", "gate"]


@pytest.mark.parametrize("victim", EVERYONE)
def test_killed_while_a_request_is_in_flight_and_more_is_queued(start_client: Any, victim: str) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        held = Event()
        cluster[1].script(ProduceRequest, after(held))
        deliveries = [client.produce(Record("orders", b"1"))]
        cluster[1].wait_for(ProduceRequest, 2)
        deliveries.append(client.produce(Record("orders", b"2")))
        named(client, victim).kill()
        deliveries.append(client.produce(Record("orders", b"3")))
        held.set()
        assert [delivery.get(PATIENCE).offset for delivery in deliveries] == [1, 2, 3]
        assert cluster.log("orders") == [b"0", b"1", b"2", b"3"]
        assert client.produce(Record("orders", b"4")).get(PATIENCE).offset == 4


@pytest.mark.parametrize("victim", EVERYONE)
def test_killed_again_and_again_while_greenlets_produce(start_client: Any, victim: str) -> None:
    with ScriptedCluster(topics={"orders": 2}) as cluster:
        client = start_client(cluster, max_in_flight_requests=5)
        client.produce(Record("orders", b"0", partition=0)).get(PATIENCE)
        client.produce(Record("orders", b"0", partition=1)).get(PATIENCE)

        def produce(partition: int) -> list[Any]:
            deliveries = []
            for number in range(1, 101):
                deliveries.append(client.produce(Record("orders", b"%d" % number, partition=partition)))
                if number % 10 == 0:
                    gevent.sleep(0)
            return [delivery.get(PATIENCE).offset for delivery in deliveries]

        greenlets = [gevent.spawn(produce, partition) for partition in (0, 1)]
        for _ in range(5):
            named(client, victim).kill()
            gevent.sleep(0)
        gevent.joinall(greenlets, raise_error=True, timeout=PATIENCE)
        for partition, greenlet in enumerate(greenlets):
            assert greenlet.value == list(range(1, 101))
            assert cluster.log("orders", partition) == [b"%d" % number for number in range(101)]


@pytest.mark.parametrize("victim", ["broker 1", "batcher 1.0"])
def test_what_works_for_one_broker_is_killed_and_the_others_do_not_notice(start_client: Any, victim: str) -> None:
    with ScriptedCluster(brokers=2, topics={"orders": 2}) as cluster:
        cluster.move("orders", 0, 1)
        cluster.move("orders", 1, 2)
        client = start_client(cluster, max_in_flight_requests=2)
        for partition in (0, 1):
            client.produce(Record("orders", b"0", partition=partition)).get(PATIENCE)
        held = Event()
        cluster[2].script(ProduceRequest, after(held))
        in_flight = client.produce(Record("orders", b"1", partition=1))
        cluster[2].wait_for(ProduceRequest, 2)
        for _ in range(3):
            node(client, victim).kill()
            assert client.produce(Record("orders", b"v", partition=0)).get(PATIENCE).error is None
        held.set()
        assert in_flight.get(PATIENCE).offset == 1
        assert client.produce(Record("orders", b"2", partition=1)).get(PATIENCE).offset == 2
        connections = [exchange.connection for exchange in cluster[2].got(ProduceRequest)]
        assert connections == connections[:1] * 3, "each was sent once, all over one connection"
        assert cluster.log("orders", 1) == [b"0", b"1", b"2"]
        assert (node(client, "batcher 2.0").restarts, node(client, "broker 2").restarts) == (0, 0)
        assert node(client, victim).restarts == 3


class NextCall:
    """The broker of `batcher`, but that its next call is sent by `send`."""

    def __init__(self, batcher: Any, send: Any) -> None:
        self._batcher, self._broker, self._send = batcher, batcher.broker, send

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def send(self, call: Any, **options: Any) -> None:
        self._batcher.broker = self._broker
        self._send(call, **options)


def test_a_batcher_that_crashes_over_an_answer_loses_nothing(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        batcher = producer_of(client).routing.batchers[1, 0]
        good_broker = batcher.broker

        class Nonsense:
            """Reads what no batcher can make sense of."""

            @staticmethod
            def decode(*_args: Any) -> object:
                return object()

        class Request(BatchesRequest):
            RESPONSE = Nonsense

        def answered_with_what_no_batcher_can_make_sense_of(call: Any, **options: Any) -> None:
            call.request = Request(call.request.acks, call.request.timeout_ms, call.request.topics)
            good_broker.send(call, **options)

        batcher.broker = NextCall(batcher, answered_with_what_no_batcher_can_make_sense_of)  # type: ignore[assignment]
        deliveries = [client.produce(Record("orders", b"%d" % number)) for number in (1, 2, 3)]
        assert [delivery.get(PATIENCE).offset for delivery in deliveries] == [1, 2, 3]
        assert cluster.log("orders") == [b"0", b"1", b"2", b"3"]
        assert node(client, "batcher 1.0").restarts == 1


@pytest.mark.parametrize("is_on_the_wire", [False, True])
def test_a_batcher_interrupted_by_a_signal_while_it_sends_loses_nothing(start_client: Any, is_on_the_wire: bool) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        batcher = producer_of(client).routing.batchers[1, 0]

        good_broker = batcher.broker

        def interrupted(call: Any, **options: Any) -> None:
            if is_on_the_wire:
                good_broker.send(call, **options)
            raise SystemExit  # as a signal's handler would, in whatever greenlet runs

        batcher.broker = NextCall(batcher, interrupted)  # type: ignore[assignment]
        delivery = client.produce(Record("orders", b"1"))
        with pytest.raises(SystemExit):  # which the main greenlet hears of
            delivery.get(PATIENCE)
        assert delivery.get(PATIENCE).offset == 1
        assert cluster.log("orders") == [b"0", b"1"]


def test_a_partitioner_that_raises_raises_to_its_caller_and_nothing_else_happens(start_client: Any) -> None:
    class Broken:
        def partition(self, record: Record, partition_count: int) -> int:
            raise LookupError("no such shard")

    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        with pytest.raises(LookupError, match="no such shard"):
            client.produce(ORDER, partitioner=Broken())
        assert client.produce(ORDER).get(PATIENCE).offset == 0
        assert client.status().buffered_bytes == 0


def test_a_client_that_gives_up_settles_everything(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.wait_ready(PATIENCE)
        cluster[1].always(ProduceRequest, silent)
        in_flight = client.produce(ORDER)
        cluster[1].wait_for(ProduceRequest)
        queued = client.produce(ORDER)
        client.tree().kill()
        for delivery, unknown in ((in_flight, True), (queued, False)):
            with pytest.raises(ProduceError) as caught:
                delivery.get(PATIENCE)
            assert caught.value.possibly_persisted is unknown
        with pytest.raises(ClientClosed):
            client.produce(ORDER)


# stopping


def test_stopping_delivers_what_is_queued(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, linger_ms=1000)
        deliveries = [client.produce(Record("orders", b"%d" % number)) for number in range(5)]
        report = client.stop(timeout=PATIENCE)
        assert (report.delivered, report.failed, report.undelivered) == (5, 0, 0)
        assert [delivery.get(0).offset for delivery in deliveries] == list(range(5))


def test_stopping_follows_a_leader_that_moves_meanwhile(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].always(ProduceRequest, cut)
        deliveries = [client.produce(Record("orders", b"%d" % number)) for number in range(5)]
        stopping = gevent.spawn(client.stop, PATIENCE)
        cluster[1].wait_for(ProduceRequest, 3)
        cluster[1].stop()
        cluster.move("orders", 0, 2)
        assert stopping.get(timeout=PATIENCE).delivered == 6
        assert [delivery.get(0).offset for delivery in deliveries] == [1, 2, 3, 4, 5]


def test_stopping_with_a_silent_broker_returns_in_time_and_reports(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(ProduceRequest, silent)
        client = start_client(cluster)
        client.wait_ready(PATIENCE)
        delivery = client.produce(ORDER)
        cluster[1].wait_for(ProduceRequest)
        began = time.monotonic()
        report = client.stop(timeout=0.1)
        assert time.monotonic() - began < PATIENCE
        assert (report.delivered, report.failed, report.undelivered) == (0, 0, 1)
        with pytest.raises(ProduceError, match="stopped") as caught:
            delivery.get(0)
        assert caught.value.possibly_persisted
        assert client.stop() == report


def test_stopping_without_any_broker_returns_in_time(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].stop()
        client.produce(ORDER)
        began = time.monotonic()
        assert client.stop(timeout=0.05).undelivered == 1
        assert time.monotonic() - began < PATIENCE


def test_a_greenlet_waiting_for_room_hears_of_the_stop(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, max_buffered_bytes=2000)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].always(ProduceRequest, silent)
        client.produce(Record("orders", b"x" * 1500))
        waiting = gevent.spawn(client.produce, Record("orders", b"x" * 1500))
        gevent.sleep(0)
        assert client.status().waiting_for_buffer == 1
        client.stop(timeout=0.01)
        with pytest.raises(ClientClosed):
            waiting.get(timeout=PATIENCE)


def test_a_greenlet_waiting_for_a_topic_hears_of_the_stop(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        waiting = gevent.spawn(client.produce, Record("unheard-of", b"v"))
        cluster[1].wait_for(MetadataRequest, 2)
        began = time.monotonic()
        client.stop(timeout=0.01)
        with pytest.raises(ClientClosed):
            waiting.get(timeout=PATIENCE)
        assert time.monotonic() - began < PATIENCE


def test_a_stopped_client_frees_its_name(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        for _ in range(2):
            client = start_client(cluster, name="again")
            assert client.produce(ORDER).get(PATIENCE).error is None
            client.stop()


def test_flush_says_how_many_are_left(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.wait_ready(PATIENCE)
        cluster[1].script(ProduceRequest, silent)
        client.produce_batch([ORDER, ORDER])
        with pytest.raises(FlushTimeout) as caught:
            client.flush(0.05)
        assert caught.value.undelivered == 2


def test_flush_does_not_wait_for_the_linger(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, linger_ms=30_000)
        delivery = client.produce(ORDER)
        client.flush(PATIENCE)
        assert delivery.done()


def test_a_client_under_a_users_supervisor_is_stopped_without_loss() -> None:
    with ScriptedCluster() as cluster:
        supervisor = Supervisor.start(
            [Client.child_spec(cluster.bootstrap_servers, name="supervised", linger_ms=1000)], strategy="one_for_one"
        )
        delivery = Client.get("supervised").produce(ORDER)
        supervisor.stop()
        assert delivery.get(0).offset == 0


def test_a_facade_finds_its_client_again_after_a_restart() -> None:
    with ScriptedCluster() as cluster:
        supervisor = Supervisor.start([Client.child_spec(cluster.bootstrap_servers, name="restarted")], strategy="one_for_one")
        client = Client.get("restarted")
        client.produce(ORDER).get(PATIENCE)
        first = engines.find("restarted")
        assert first is not None
        client.tree().kill()
        assert first.finished.wait(PATIENCE)
        assert client.produce(ORDER).get(PATIENCE).offset == 1
        supervisor.stop()


# callbacks


def test_a_slow_callback_holds_up_only_its_own_partition(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 2}) as cluster:
        client = start_client(cluster)
        release, slow, quick = Event(), [], Event()
        client.produce_async(Record("orders", b"v", partition=0), lambda record: (release.wait(), slow.append(record.offset)))
        client.produce_async(Record("orders", b"v", partition=1), lambda record: quick.set())
        assert quick.wait(PATIENCE)
        assert client.produce(Record("orders", b"v", partition=0)).get(PATIENCE).offset == 1
        assert slow == []
        release.set()
        client.flush(PATIENCE)
        assert slow == [0]


def test_callbacks_of_a_partition_come_in_order_also_of_failures(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(ProduceRequest, refuse(19), refuse(29))
        seen: list[Any] = []
        for number in range(10):
            client.produce_async(Record("orders", b"%d" % number), lambda record: seen.append((record.value, record.error_code)))
            sent_by_now()
        client.flush(PATIENCE)
        assert [value for value, _ in seen] == [b"%d" % number for number in range(10)]
        assert {code for _, code in seen} == {0, 29}


class Signalled(Exception):
    """What a signal handler raised, in whatever ran."""


@pytest.mark.parametrize("victim", EVERYONE)
def test_an_end_that_a_signal_handler_kept_from_being_told_is_found(
    start_client: Any, victim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("klife_supervision.second_look.LOOK_SECONDS", 0.05)
    told, lost, armed = Life._monitored, [], []

    def interrupted(life: Life, reason: Any) -> None:
        if armed:
            lost.append(armed.pop())
            raise Signalled
        told(life, reason)

    monkeypatch.setattr(Life, "_monitored", interrupted)
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        restarts = named(client, victim).restarts
        armed.append(victim)
        named(client, victim).kill()
        deliveries = [client.produce(Record("orders", b"%d" % number)) for number in (1, 2)]
        assert [delivery.get(PATIENCE).offset for delivery in deliveries] == [1, 2]
        wait_until(lambda: named(client, victim).restarts != restarts, PATIENCE)
        assert client.produce(Record("orders", b"3")).get(PATIENCE).offset == 3
        assert cluster.log("orders") == [b"0", b"1", b"2", b"3"]
        assert lost == [victim]


@pytest.mark.skipif(klife.compiled, reason="no instruction of Python's is where a handler could run")
@pytest.mark.parametrize(("owner", "name"), [(inbox.Inbox, "_switch"), (latch.Wakeups, "_run")])
def test_a_wake_up_that_a_signal_handler_ended_is_made_up_for(
    start_client: Any, owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("klife_supervision.second_look.LOOK_SECONDS", 0.05)
    whole, lost, armed = getattr(owner, name), [], []

    def interrupted(self: Any) -> None:
        if armed:
            lost.append(armed.pop())
            raise Signalled
        whole(self)

    monkeypatch.setattr(owner, name, interrupted)
    with ScriptedCluster() as cluster:
        client = start_client(cluster, linger_ms=20)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        armed.append(name)
        assert client.produce(Record("orders", b"1")).get(PATIENCE).offset == 1
        assert lost == [name]


@pytest.mark.parametrize(("victim", "asked"), [("producer", InitProducerIdRequest), ("metadata", MetadataRequest)])
def test_who_waits_until_the_client_is_ready_is_answered_by_a_successor(start_client: Any, victim: str, asked: type[Any]) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(asked, silent)
        client = start_client(cluster)
        waiting = gevent.spawn(client.wait_ready, PATIENCE)
        cluster[1].wait_for(asked)
        for _ in range(3):
            named(client, victim).kill()
            gevent.sleep(0)
        assert not waiting.ready()
        cluster[1].always(asked, good)
        cluster[1].cut_all()
        waiting.get(timeout=PATIENCE)


def test_who_waits_until_the_client_is_ready_hears_of_its_stop(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(InitProducerIdRequest, silent)
        client = start_client(cluster)
        waiting = gevent.spawn(client.wait_ready, PATIENCE)
        cluster[1].wait_for(InitProducerIdRequest)
        client.stop(0)
        with pytest.raises(ClientClosed, match="it was stopped"):
            waiting.get(timeout=PATIENCE)


def test_a_socket_that_gevent_watches_no_more_after_a_handlers_exception_is_read(
    start_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("klife_supervision.second_look.LOOK_SECONDS", 0.05)
    with ScriptedCluster() as cluster:
        client = start_client(cluster, request_timeout_ms=60_000, connect_timeout_ms=60_000)  # their ends would have it read
        client.produce(Record("orders", b"0")).get(PATIENCE)
        held = Event()
        cluster[1].script(ProduceRequest, after(held))
        delivery = client.produce(Record("orders", b"1"))
        cluster[1].wait_for(ProduceRequest, 2)
        batcher = producer_of(client).routing.batchers[1, 0]
        reader = batcher.broker.transport._reader
        whole, lost = reader.callback, []

        def interrupted() -> None:
            lost.append(reader)
            reader.callback = whole
            raise Signalled

        reader.callback = interrupted
        held.set()
        assert delivery.get(PATIENCE).offset == 1
        assert lost == [reader]
        connections = [exchange.connection for exchange in cluster[1].got(ProduceRequest)]
        assert connections == connections[:1] * 2, "and was not sent again"

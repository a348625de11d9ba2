"""`stop` in a handler of `signal.signal`, which Python runs in whatever greenlet: it works, or says what to
call and closes nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gevent
import pytest
from gevent import get_hub
from gevent.event import AsyncResult, Event

from klife import Client, ClientClosed, ProduceError, Record, StopReport
from klife.actors.drain_on_stop import DrainOnStop
from klife.actors.producer.batcher_actor import BatcherActor
from klife.protocol.apis.produce import ProduceRequest
from tests.support.inside_client import producer_of
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, after

ADVICE = r"gevent\.signal_handler\(signal\.SIGTERM, client\.stop\), or gevent\.spawn\(client\.stop\)"


class Handled:
    """A handler that stops `client`, and what came of it."""

    def __init__(self) -> None:
        self.client: Any = None
        self.outcome: AsyncResult = AsyncResult()

    def __call__(self, *_signal: Any) -> None:
        try:
            self.outcome.set(self.client.stop(PATIENCE))
        except RuntimeError as error:
            self.outcome.set(error)


@pytest.fixture
def handled() -> Iterator[Handled]:
    handler = Handled()
    before = signal.signal(signal.SIGUSR1, handler)
    yield handler
    signal.signal(signal.SIGUSR1, before)


def raise_signal() -> None:
    signal.raise_signal(signal.SIGUSR1)


def assert_whole(client: Client, cluster: ScriptedCluster, outcome: Any) -> None:
    assert isinstance(outcome, RuntimeError)
    with pytest.raises(RuntimeError, match=ADVICE):
        raise outcome
    count = len(cluster.log("orders"))
    assert client.produce(Record("orders", b"after")).get(PATIENCE).offset == count
    assert client.stop().undelivered == 0


def test_in_the_hub_while_the_main_greenlet_waits_for_a_delivery(handled: Handled) -> None:
    with ScriptedCluster() as cluster:
        handled.client = client = Client.start(cluster.bootstrap_servers)
        held = Event()
        cluster[1].script(ProduceRequest, after(held))
        delivery = client.produce(Record("orders", b"0"))
        get_hub().loop.run_callback(raise_signal)
        get_hub().loop.timer(0.01).start(held.set)
        assert delivery.get(PATIENCE).offset == 0
        assert_whole(client, cluster, handled.outcome.get(timeout=PATIENCE))


def test_in_a_users_greenlet_and_in_the_main_one(handled: Handled) -> None:
    for call in (lambda: gevent.spawn(raise_signal).join(PATIENCE), raise_signal):
        handled.outcome = AsyncResult()
        with ScriptedCluster() as cluster:
            handled.client = client = Client.start(cluster.bootstrap_servers)
            client.partitions("orders")
            client.produce_async(Record("orders", b"0"))
            call()
            assert handled.outcome.get(timeout=PATIENCE) == StopReport(delivered=1, failed=0, undelivered=0)
            assert cluster.log("orders") == [b"0"]
            with pytest.raises(ClientClosed):
                client.produce(Record("orders", b"1"))


def test_in_an_actor(handled: Handled) -> None:
    with ScriptedCluster() as cluster:
        handled.client = client = Client.start(cluster.bootstrap_servers)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        batcher = producer_of(client).routing.batchers[1, 0]
        broker = batcher.broker

        class Signalling:
            def __getattr__(self, name: str) -> Any:
                batcher.broker = broker
                raise_signal()
                return getattr(broker, name)

        batcher.broker = Signalling()  # type: ignore[assignment]
        assert client.produce(Record("orders", b"1")).get(PATIENCE).offset == 1
        assert_whole(client, cluster, handled.outcome.get(timeout=PATIENCE))


@pytest.mark.parametrize("killed", ["gate", "batcher 1.0"])
def test_in_a_supervisor_of_klife(handled: Handled, killed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    armed: list[int] = []
    with ScriptedCluster() as cluster:
        handled.client = client = Client.start(cluster.bootstrap_servers)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        for actor in (DrainOnStop, BatcherActor):
            started = actor.start

            def start(*args: Any, _started: Any = started) -> Any:
                if armed:
                    armed.clear()
                    raise_signal()
                return _started(*args)

            monkeypatch.setattr(actor, "start", start)
        armed.append(1)
        find(client.tree(), killed).kill()
        assert_whole(client, cluster, handled.outcome.get(timeout=PATIENCE))


def find(tree: Any, name: str) -> Any:
    return next((found for child in tree.children if (found := child if child.id == name else find(child, name))), None)


def test_while_the_client_is_being_started(handled: Handled, monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        def stop(self, timeout: float) -> StopReport:
            return Client.get("starting").stop(timeout)

    handled.client = Found()
    started = DrainOnStop.start

    def start(*args: Any) -> Any:
        gevent.spawn(raise_signal).join()
        return started(*args)

    monkeypatch.setattr(DrainOnStop, "start", start)
    with ScriptedCluster() as cluster:
        client = Client.start(cluster.bootstrap_servers, name="starting")
        outcome = handled.outcome.get(timeout=PATIENCE)
        assert "is still being started" in str(outcome)
        assert client.produce(Record("orders", b"0")).get(PATIENCE).offset == 0
        client.stop()


def test_in_the_middle_of_produce_nothing_is_taken_or_it_is_settled(handled: Handled) -> None:
    class Signalling:
        def partition(self, _record: Record, _count: int) -> int:
            raise_signal()
            return 0

    with ScriptedCluster() as cluster:
        handled.client = client = Client.start(cluster.bootstrap_servers, delivery_timeout_ms=10_000, request_timeout_ms=5_000)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        taken: list[Any] = []
        with suppress(ClientClosed):
            taken.append(client.produce(Record("orders", b"1"), partitioner=Signalling()))
        assert handled.outcome.get(timeout=PATIENCE).undelivered == 0
        for delivery in taken:
            with pytest.raises(ProduceError):
                delivery.get(PATIENCE)
        assert cluster.log("orders") == [b"0"]


def test_while_a_partitioner_runs_whose_record_is_then_refused(handled: Handled) -> None:
    class Interrupted:
        def partition(self, record: Record, partition_count: int) -> int:
            raise_signal()
            return 0

    with ScriptedCluster() as cluster, Client.start(cluster.bootstrap_servers) as client:
        handled.client = client
        delivery = client.produce(Record("orders", b"before"))
        with pytest.raises(ClientClosed):
            client.produce(Record("orders", b"meanwhile"), partitioner=Interrupted())
        assert delivery.get(0).offset == 0
        assert handled.outcome.get(timeout=0).undelivered == 0
        assert cluster.log("orders") == [b"before"]
        assert client.status().buffered_bytes == 0

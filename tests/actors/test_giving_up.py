"""How much a client's supervisors stand, and what its callers and its user's supervisor learn when it was too
much.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult

from klife import Client, ClientClosed, ProduceError, Record
from klife.actors.metadata.metadata_actor import MetadataActor
from klife.actors.network.connection_actor import ConnectionActor
from klife.actors.producer.batcher_actor import BatcherActor
from klife.actors.producer.producer_actor import ProducerActor
from klife.actors.tree import INTENSITY, PERIOD
from klife.protocol.apis.produce import ProduceRequest
from klife_supervision import ExitReason, Supervisor
from klife_supervision.policy import RestartWindow
from tests.support.inside_client import named
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, silent

ORDER = Record("orders", b"v")
HOURS = 3600.0
ACTORS: dict[str, Any] = {
    "broker 1": ConnectionActor,
    "metadata": MetadataActor,
    "producer": ProducerActor,
    "batcher 1.0": BatcherActor,
}

CALLS: list[Callable[[Client], Any]] = [
    lambda client: client.produce(ORDER),
    lambda client: client.produce_async(ORDER),
    lambda client: client.produce_batch([ORDER]),
    lambda client: client.produce(Record("unheard-of", b"v")),
    lambda client: client.flush(),
    lambda client: client.wait_ready(),
    lambda client: client.partitions("orders"),
]


def a_bug(*_arguments: Any) -> None:
    raise RuntimeError("a bug")


def gives_up(moments: list[float]) -> bool:
    """Whether a supervisor of the client gives up over restarts at these moments."""
    window = RestartWindow(INTENSITY, PERIOD)
    return any(window.add(moment) for moment in moments)


# how much they stand


def test_five_kills_a_second_on_one_supervisor_are_stood_for_a_day() -> None:
    assert not gives_up([0.2 * number for number in range(int(24 * HOURS * 5))])
    chance = random.Random(7)
    moment, at_random = 0.0, []
    while moment < 24 * HOURS:
        moment += chance.expovariate(5)
        at_random.append(moment)
    assert not gives_up(at_random)


def test_one_that_crashes_more_than_ten_times_a_second_is_given_up() -> None:
    assert gives_up([0.095 * number for number in range(120)])


@pytest.mark.parametrize("hook", ["on_start", "on_wake"])
@pytest.mark.parametrize("victim", ACTORS)
def test_a_crash_loop_ends_the_client_and_everyone_learns_why(
    start_client: Any, monkeypatch: pytest.MonkeyPatch, victim: str, hook: str
) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, max_buffered_bytes=10_000, batch_size_bytes=10_000)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].always(ProduceRequest, silent)
        in_flight = client.produce(ORDER)
        cluster[1].wait_for(ProduceRequest, 2)
        queued = client.produce(Record("orders", bytes(9_000)))
        waiting = [
            gevent.spawn(client.produce, Record("orders", bytes(9_000))),
            gevent.spawn(client.produce, Record("unheard-of", b"")),
        ]
        gevent.sleep(0)
        assert client.status().waiting_for_buffer == 1
        monkeypatch.setattr(ACTORS[victim], hook, a_bug)
        named(client, victim).kill()
        what_and_why = (
            f"gave up: more than {INTENSITY} restarts within {PERIOD:g} s; the last was of child '({victim}|batchers)', which ended: "
            r"crashed\(.*RuntimeError: a bug\)"
        )
        for delivery, unknown in ((in_flight, True), (queued, False)):
            with pytest.raises(ProduceError, match=what_and_why) as caught:
                delivery.get(PATIENCE)
            assert caught.value.possibly_persisted is unknown
        for greenlet in waiting:
            with pytest.raises(ClientClosed, match=what_and_why):
                greenlet.get(timeout=PATIENCE)
        for call in CALLS:
            with pytest.raises(ClientClosed, match=what_and_why):
                call(client)
        assert (client.status().state, client.status().buffered_bytes) == ("closed", 0)
        report = client.stop()
        assert (report.delivered, report.failed, report.undelivered) == (1, 0, 2)


# the user's supervisor decides


def test_a_users_supervisor_starts_a_client_anew_that_gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedCluster() as cluster:
        supervisor = Supervisor.start([Client.child_spec(cluster.bootstrap_servers, name="orders")], strategy="one_for_one")
        client = Client.get("orders")
        client.produce(Record("orders", b"0")).get(PATIENCE)
        with monkeypatch.context() as broken:
            broken.setattr(BatcherActor, "on_wake", a_bug)
            lost = client.produce(Record("orders", b"1"))
            with pytest.raises(ProduceError, match="supervisor 'batchers' gave up"):
                lost.get(PATIENCE)
        assert client.produce(Record("orders", b"2")).get(PATIENCE).offset == 1
        assert cluster.log("orders") == [b"0", b"2"]
        assert [child.restarts for child in supervisor.which_children()] == [1]
        supervisor.stop()


def test_a_users_supervisor_that_restarts_nothing_ends_and_its_user_learns_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedCluster() as cluster:
        told: AsyncResult[ExitReason] = AsyncResult()
        Supervisor.start(
            [Client.child_spec(cluster.bootstrap_servers, name="orders", max_block_ms=100)], intensity=0, on_give_up=told.set
        )
        client = Client.get("orders")
        client.produce(ORDER).get(PATIENCE)
        monkeypatch.setattr(MetadataActor, "on_wake", a_bug)
        named(client, "metadata").kill()
        reason = told.get(timeout=PATIENCE)
        assert "child 'metadata', which ended: crashed(RuntimeError: a bug)" in str(reason)
        assert str(reason.exception) == "a bug"
        with pytest.raises(ClientClosed, match="child 'metadata', which ended: crashed"):
            client.produce(ORDER)


def test_who_found_a_client_that_then_could_not_be_started_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedCluster() as cluster:
        Supervisor.start([Client.child_spec(cluster.bootstrap_servers, name="orders")], intensity=1)
        client = Client.get("orders")
        client.produce(ORDER).get(PATIENCE)
        monkeypatch.setattr(MetadataActor, "on_start", a_bug)
        client.tree().kill()

        def produce_until_closed() -> None:
            while True:  # the old client takes records until it is gone; what comes then waits for the new one, and for the topic
                client.produce(ORDER)
                gevent.sleep(0)

        with gevent.Timeout(PATIENCE), pytest.raises(ClientClosed, match=r"could not start its child 'metadata': RuntimeError: a bug"):
            produce_until_closed()

"""`Engine`: its parts are asked, flushed, closed, abandoned and let go of by one protocol; shown with one of
no use.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import ClientClosed, NotReady
from klife.actors import engines
from klife.actors.engine import Engine
from klife.actors.metadata.snapshot import BrokerInfo, ClusterSnapshot
from klife.actors.network.purpose import Purpose
from klife.actors.producer.producers import Producers
from klife.actors.runtime.actor import GeventActor
from klife.actors.runtime.ref import GeventActorRef
from klife.actors.tree import children
from klife.api import after_fork, lifecycle
from klife.api.config import ClientConfig
from klife.api.settings import client_settings
from klife_supervision import ChildSpec, ExitReason, Supervisor
from tests.support.waiting import wait_until

PATIENCE = 30.0


class Worker(GeventActor):
    """The actor of a part of no use."""


class Apart(Enum):
    """A purpose for which a broker may hold on to requests."""

    LONG_POLLS = "long polls"


class Noted:
    """A part that does nothing, and notes what it is called for."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.calls: list[str] = []
        self.needed: set[str] = set()
        self.used: set[int] = set()
        self.in_a_hurry = 0
        self.hurry_at_flush: list[int] = []
        self.oldest_unsettled: float | None = None
        self.left = 0  # records that a flush does not get delivered
        self.delivered = self.failed = 0
        self.calls_back_here = False
        self.worker: GeventActorRef[Worker] | None = None
        self.worked_at_flush: bool | None = None

    @property
    def unsettled(self) -> int:
        return self.left

    def needs(self, topic: str) -> bool:
        return topic in self.needed

    def uses(self, node_id: int) -> bool:
        return node_id in self.used

    def metadata_changed(self) -> None:
        self.calls.append(f"brokers {sorted(self.engine.metadata.snapshot.brokers)}")

    def children(self) -> list[ChildSpec]:
        def start() -> GeventActorRef[Worker]:
            self.worker = Worker.start()
            return self.worker

        return [ChildSpec(id="noted", start=start)]

    def wait_ready(self, deadline: float) -> None:
        self.calls.append("wait_ready")

    def troubles(self) -> list[str]:
        return ["it is of no use"]

    def process_exits(self) -> None:
        self.calls.append("process_exits")

    def close(self, reason: str) -> None:
        self.calls.append(f"close: {reason}")

    def skip_linger(self, by: int) -> None:
        self.in_a_hurry += by

    @property
    def longest_wait(self) -> float:
        return 7.0

    def status(self) -> dict[str, Any]:
        return {}

    def flush(self, deadline: float) -> int:
        self.hurry_at_flush = [part.in_a_hurry for part in self.engine.parts if isinstance(part, Noted)]
        self.calls.append("flush")
        self.worked_at_flush = self.worker is not None and self.worker.is_alive()
        return self.left

    def wait_for_callbacks(self, deadline: float) -> bool:
        self.calls.append("wait_for_callbacks")
        return True

    def abandon(self, why: str, *, lets_hub_run: bool = False) -> int:
        self.calls.append("abandon")
        left, self.left = self.left, 0
        return left

    def orphan(self) -> None:
        self.calls.append("orphan")

    def disown(self, why: str) -> None:
        self.calls.append(f"disown: {why}")


def an_engine(name: str = "engine under test") -> tuple[Engine, Noted]:
    engine = Engine(client_settings(ClientConfig.build("127.0.0.1:1"), name))
    return engine, engine.add(Noted(engine))


def started(engine: Engine) -> Supervisor:
    """The engine's tree, which runs."""
    engines.register(engine)
    supervisor = Supervisor.start(children(engine, PATIENCE), strategy="one_for_one", auto_shutdown="any_significant")
    engine.supervisor = supervisor
    supervisor.monitor(engine.ended)
    return supervisor


def test_a_part_is_found_by_its_kind() -> None:
    engine, noted = an_engine()
    assert engine.part(Noted) is noted
    with pytest.raises(LookupError, match="has no part Producers"):
        engine.part(Producers)
    producers = engine.add(Producers(engine))
    assert (engine.part(Noted), engine.part(Producers)) == (noted, producers)


def test_metadata_asks_every_part_what_it_needs_and_tells_each_of_news() -> None:
    engine, noted = an_engine()
    other = engine.add(Noted(engine))
    noted.needed, other.used = {"orders"}, {7}
    metadata = engine.metadata
    assert [metadata.needs("orders"), metadata.needs("bills"), metadata.uses(7), metadata.uses(8)] == [True, False, True, False]
    metadata.publish(ClusterSnapshot(brokers={1: BrokerInfo(1, "localhost", 9092)}))
    assert noted.calls == other.calls == ["brokers [1]"]


def test_a_part_s_actors_stand_between_what_they_need_and_the_gate() -> None:
    engine, _ = an_engine()
    engine.add(Producers(engine))
    assert [spec.id for spec in children(engine, PATIENCE)] == [
        "connections",
        "metadata",
        "noted",
        "producer klife_default_producer",
        "gate",
    ]


def test_each_purpose_has_an_actor_for_its_connection_to_a_broker() -> None:
    engine, _ = an_engine()
    supervisor = started(engine)
    try:
        brokers = [engine.metadata.broker(7, purpose) for purpose in (Purpose.REQUESTS, Apart.LONG_POLLS)]  # type: ignore[arg-type]
        wait_until(lambda: all(broker.has_actor and broker.inbox is not None for broker in brokers), PATIENCE)
        connections = supervisor.tree().children[0]
        assert [child.id for child in connections.children] == ["bootstrap 127.0.0.1:1", "broker 7", "broker 7 long polls"]
    finally:
        supervisor.stop(timeout=PATIENCE)


def test_a_flush_counts_what_every_part_has_left_and_waits_for_callbacks_only_where_nothing_is() -> None:
    engine, noted = an_engine()
    other = engine.add(Noted(engine))
    noted.left, other.left = 3, 4
    assert engine.flush(monotonic() + PATIENCE) == 7
    assert noted.calls == other.calls == ["flush"]
    noted.left = other.left = 0
    assert engine.flush(monotonic() + PATIENCE) == 0
    assert noted.calls == other.calls == ["flush", "flush", "wait_for_callbacks"]


def test_no_part_lingers_while_another_is_flushed() -> None:
    engine, noted = an_engine()
    other = engine.add(Noted(engine))
    engine.flush(monotonic() + PATIENCE)
    assert noted.hurry_at_flush == other.hurry_at_flush == [1, 1]
    assert [noted.in_a_hurry, other.in_a_hurry] == [0, 0]


def test_a_flush_waits_as_long_as_the_most_patient_part_may_take() -> None:
    engine, _ = an_engine()
    assert engine.longest_wait == 7.0
    producers = engine.add(Producers(engine))
    assert engine.longest_wait == producers.longest_wait == 60.0


def test_who_flushes_in_a_callback_of_any_part_does_not_wait_for_its_own_end() -> None:
    engine, noted = an_engine()
    other = engine.add(Noted(engine))
    other.calls_back_here = True
    engine.flush(monotonic() + PATIENCE)
    other.calls_back_here = False
    flushed: list[int] = []
    engine.call_soon(lambda: flushed.append(engine.flush(monotonic() + PATIENCE)))
    with gevent.Timeout(PATIENCE):
        while not flushed:
            gevent.sleep(0)
    assert noted.calls == ["flush", "flush"]


def test_a_flush_waits_for_what_is_called_soon() -> None:
    engine, _ = an_engine()
    release = Event()
    engine.call_soon(lambda: release.wait(PATIENCE))
    flushing = gevent.spawn(engine.flush, monotonic() + PATIENCE)
    gevent.idle()
    assert not flushing.ready()
    release.set()
    flushing.get(timeout=PATIENCE)


def test_a_stop_closes_flushes_and_abandons_in_this_order_while_the_actors_run() -> None:
    engine, noted = an_engine()
    started(engine)
    noted.left = 2
    engine.stop(PATIENCE)
    assert noted.calls[:3] == ["close: it was stopped", "flush", "abandon"]
    assert noted.worked_at_flush
    assert (engine.undelivered, engine.unsettled, engine.finished.is_set) == (2, 0, True)
    assert engines.find(engine.name) is None
    assert noted.worker is not None
    assert not noted.worker.is_alive()


def test_stopped_by_a_supervisor_a_part_is_flushed_while_its_actors_run() -> None:
    engine, noted = an_engine()
    started(engine).stop()
    assert engine.finished.wait(PATIENCE)
    assert noted.calls[:2] == ["close: it is being stopped", "flush"]
    assert noted.worked_at_flush
    assert noted.calls[-1] == "abandon"


def test_an_engine_whose_tree_is_gone_abandons_once_and_tells_who_asks_why() -> None:
    engine, noted = an_engine()
    told: list[Engine] = []
    engine.on_end.append(told.append)
    noted.left = 5
    for _ in range(2):
        engine.ended(ExitReason.shutdown("its time had come"))
    assert [call.partition(":")[0] for call in noted.calls] == ["close", "abandon"]
    assert told == [engine]
    assert engine.undelivered == 5
    assert "its time had come" in str(engine.closed_error())
    with pytest.raises(ClientClosed, match="its time had come"):
        engine.metadata.topic("orders", monotonic() + PATIENCE, creates=False)


def test_where_the_home_is_gone_a_part_lets_go_of_its_actors_before_it_settles() -> None:
    engine, noted = an_engine()
    engines.register(engine)
    engine.home_ended()
    assert noted.calls[0] == "orphan"
    assert noted.calls[-1] == "abandon"
    assert engines.find(engine.name) is None
    assert engines.inherited(engine.name) is engine
    engines.forget_inherited(engine.name)


def test_at_exit_every_part_hears_of_it_and_knows_who_delivers() -> None:
    engine, noted = an_engine()
    delivered: list[bool] = []
    engine.process_exits(lambda: delivered.append(True))
    assert noted.calls == ["process_exits"]
    assert engine.exiting is not None
    engine.exiting()
    assert delivered == [True]


def in_a_fork(report: Callable[[], object]) -> str:
    """What `report` says in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, repr(report()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(child, 0)
    return told


def test_in_a_forked_child_a_part_forgets_and_the_parent_s_goes_on() -> None:
    engine, noted = an_engine()
    engines.register(engine)
    after_fork.watch()
    try:
        told = in_a_fork(lambda: (noted.calls, engine.inherited, engine.finished.is_set, engines.find(engine.name)))
    finally:
        engine.ended(ExitReason.shutdown("the test is over"))
    assert told == "(['disown: it was started in the process this one was forked from'], True, True, None)"
    assert "disown" not in " ".join(noted.calls)


def test_who_waits_until_a_client_is_ready_waits_for_every_part_and_is_told_their_troubles() -> None:

    engine, noted = an_engine()
    with pytest.raises(NotReady, match="it is of no use"):
        lifecycle.wait_ready(engine, 0.01)
    assert noted.calls == [], "the cluster comes first"
    engine.metadata.publish(ClusterSnapshot(brokers={1: BrokerInfo(1, "localhost", 9092)}))
    other: Any = engine.add(Noted(engine))
    lifecycle.wait_ready(engine, PATIENCE)
    assert [noted.calls[-1], other.calls[-1]] == ["wait_ready", "wait_ready"]

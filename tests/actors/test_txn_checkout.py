"""Callers who wait for a transaction of a pool that has no more: who came first gets the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import Client, ClientClosed, Record, TransactionAborted
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.scripted_coordinator import ScriptedCoordinator
from tests.support.waiting import wait_until

StartClient = Callable[..., Client]
NAMES = ["first", "second", "third", "fourth"]


class Line:
    """Somebody has the pool's only transaction, and four wait in line."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.served: list[str] = []
        self._leave = Event()
        self._holder = gevent.spawn(self._hold)
        wait_until(lambda: self.pool.open == 1, PATIENCE)
        self.waiting: dict[str, Any] = {}
        for number, name in enumerate(NAMES):
            self.waiting[name] = gevent.spawn(self._be_served, name)
            wait_until(lambda number=number: self.pool.waiting == number + 1, PATIENCE)

    @property
    def pool(self) -> Any:
        return self.client.status().txn_pools[0]

    def _hold(self) -> None:
        with self.client.transaction():
            self._leave.wait()

    def _be_served(self, name: str) -> None:
        with self.client.transaction():
            self.served.append(name)
            self.client.produce(Record("orders", name.encode()))

    def move_on(self) -> None:
        self._leave.set()
        gevent.joinall([self._holder, *self.waiting.values()], timeout=PATIENCE, raise_error=True)
        assert (self.pool.open, self.pool.waiting) == (0, 0)


@pytest.fixture
def cluster() -> Iterator[ScriptedCluster]:
    with ScriptedCluster() as cluster:
        ScriptedCoordinator(cluster, is_v2=True)
        yield cluster


@pytest.fixture
def line(cluster: ScriptedCluster, start_client: StartClient) -> Line:
    client = start_client(cluster, txn_pools=[{"name": "money", "pool_size": 1, "checkout_timeout_ms": 60_000}])
    client.produce_batch_txn([Record("orders", b"warm")])
    return Line(client)


def test_who_came_first_is_served_first(line: Line) -> None:
    line.move_on()
    assert line.served == NAMES


def test_who_is_killed_in_the_line_holds_nobody_up(line: Line) -> None:
    line.waiting["second"].kill()
    assert line.pool.waiting == 3
    line.move_on()
    assert line.served == ["first", "third", "fourth"]


def test_the_line_stays_in_order_when_the_pools_actor_is_killed(line: Line) -> None:
    [pool] = [node for node in line.client.tree().children if node.id == "txn pool money"]
    next(node for node in pool.children if node.id == "pool").kill()
    assert line.pool.waiting == 4
    line.move_on()
    assert line.served == NAMES


def test_a_stop_sends_them_away_and_aborts_what_is_open(line: Line, cluster: ScriptedCluster) -> None:
    report = line.client.stop(PATIENCE)
    assert report.undelivered == 0
    for waiter in line.waiting.values():
        with pytest.raises(ClientClosed):
            waiter.get(PATIENCE)
    line._leave.set()
    with pytest.raises(TransactionAborted) as caught:
        line._holder.get(PATIENCE)
    assert "stopped" in str(caught.value)
    assert not caught.value.retriable
    assert line.served == []

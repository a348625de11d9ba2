"""Requests to the coordinator that arrive late: long after their connection was cut, and the same was asked, and
answered, once more. No transaction that came later is touched by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from klife import Client, Record
from klife.actors.transactions import choice
from klife.protocol.apis.end_txn import EndTxnRequest
from tests.support.scripted_broker import PATIENCE, CutOff, Exchange, ScriptedCluster
from tests.support.scripted_coordinator import ScriptedCoordinator

StartClient = Callable[..., Client]


class World:
    """A cluster with a coordinator that has one producer, whose first request of some kind comes later."""

    def __init__(self, cluster: ScriptedCluster, start_client: StartClient, is_v2: bool) -> None:
        self.broker = cluster[1]
        self.coordinator = ScriptedCoordinator(cluster, is_v2=is_v2)
        self.client = start_client(cluster, txn_pools=[{"name": "money", "pool_size": 1}])
        self._late: list[Exchange] = []

    def hold_back(self, request: Any) -> None:
        """The next `request` is on its way until `arrive`, and its connection is cut."""

        def step(exchange: Exchange) -> None:
            self._late.append(exchange)
            raise CutOff

        self.broker.script(request, step)

    def arrive(self) -> None:
        """What was held back reaches the coordinator now."""
        [late] = self._late
        late.good_answer()


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
def world(request: pytest.FixtureRequest, start_client: StartClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(choice, "RESTED", 0.0)  # so that one producer has all transactions
    with ScriptedCluster() as cluster:
        yield World(cluster, start_client, request.param)


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "abort"])
def test_a_late_end_is_not_that_of_a_later_transaction(world: World, commits: bool) -> None:
    world.hold_back(EndTxnRequest)
    with world.client.transaction() as txn:
        world.client.produce(Record("orders", b"first")).get(PATIENCE)
        if not commits:
            txn.abort()
    with world.client.transaction() as txn:
        world.client.produce(Record("orders", b"second")).get(PATIENCE)
        world.arrive()
        if commits:
            txn.abort()
    assert world.coordinator.ended == [commits, not commits]

"""Requests to the coordinator that arrive late: long after their connection was cut, and the same was asked, and
answered, once more. No transaction that came later is committed by them, or in part; and nobody is fenced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from klife import Client, Record, TransactionAborted, TransactionFenced
from klife.actors.transactions import choice, pool
from klife.protocol.apis.add_partitions_to_txn import AddPartitionsToTxnRequest
from klife.protocol.apis.end_txn import EndTxnRequest
from klife.protocol.apis.init_producer_id import InitProducerIdRequest
from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import PATIENCE, CutOff, Exchange, ScriptedCluster, refuse
from tests.support.scripted_coordinator import ScriptedCoordinator

StartClient = Callable[..., Client]


class World:
    """A cluster with a coordinator that has one producer, whose first request of some kind comes later."""

    def __init__(self, cluster: ScriptedCluster, start_client: StartClient, is_v2: bool, base_txn_id: str) -> None:
        self.broker = cluster[1]
        self.coordinator = ScriptedCoordinator(cluster, is_v2=is_v2)
        self.client = start_client(cluster, txn_pools=[{"name": "money", "pool_size": 1, "base_txn_id": base_txn_id}])
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

    def produce(self, value: bytes) -> None:
        """A transaction of one record."""
        self.client.produce_batch_txn([Record("orders", value)])


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
def is_v2(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=["", "shop"], ids=["random id", "given id"])
def world(request: pytest.FixtureRequest, start_client: StartClient, monkeypatch: pytest.MonkeyPatch, is_v2: bool) -> Iterator[World]:
    monkeypatch.setattr(choice, "RESTED", 0.0)  # so that one producer has all transactions
    for module in (choice, pool):
        monkeypatch.setattr(module, "MADE_PER_OPEN", 1)
    with ScriptedCluster() as cluster:
        yield World(cluster, start_client, is_v2, request.param)


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


@pytest.mark.parametrize("is_v2", [False])  # in v2 Produce adds partitions, under an epoch that no other transaction has
def test_partitions_that_are_added_late_fence_nobody(world: World) -> None:
    world.hold_back(AddPartitionsToTxnRequest)
    world.produce(b"first")
    world.arrive()
    assert world.coordinator.is_open
    world.produce(b"second")
    assert [ended for ended in world.coordinator.ended if ended] == [True, True]


def renewed_twice(world: World) -> None:
    """The producer has the next epoch, and a request for that is still on its way."""
    world.produce(b"first")
    world.broker.script(ProduceRequest, refuse(47))
    with pytest.raises(TransactionAborted):
        world.produce(b"refused")
    world.hold_back(InitProducerIdRequest)


def test_a_late_renewal_of_the_id_aborts_what_is_open_and_fences_nobody(world: World) -> None:
    renewed_twice(world)

    def work() -> None:
        world.client.produce(Record("orders", b"second")).get(PATIENCE)
        world.arrive()
        assert not world.coordinator.is_open

    with pytest.raises(TransactionAborted) as caught:
        world.client.transaction(work)
    assert caught.value.retriable
    world.produce(b"third")
    assert [ended for ended in world.coordinator.ended if ended] == [True, True]


def test_who_takes_an_id_of_which_requests_are_late_has_it(world: World) -> None:
    renewed_twice(world)

    def work() -> None:
        world.client.produce(Record("orders", b"second")).get(PATIENCE)
        world.coordinator.take_over(commits=True)

    with pytest.raises(TransactionFenced):
        world.client.transaction(work)
    taken = {name: own.epoch for name, own in world.coordinator.ids.items()}
    with pytest.raises(TransactionFenced):
        world.produce(b"third")
    assert {name: own.epoch for name, own in world.coordinator.ids.items()} == taken


def test_who_is_about_to_take_an_id_of_which_requests_are_late_gets_it(world: World) -> None:
    """They have ended what was open, and ask once more: the first of it looks as if we had done it ourselves."""
    renewed_twice(world)

    def work() -> None:
        world.client.produce(Record("orders", b"second")).get(PATIENCE)
        world.coordinator.time_out()

    with pytest.raises(TransactionAborted):
        world.client.transaction(work)
    world.coordinator.take_over(commits=True)
    taken = {name: own.epoch for name, own in world.coordinator.ids.items()}
    with pytest.raises(TransactionFenced):
        world.produce(b"third")
    assert {name: own.epoch for name, own in world.coordinator.ids.items()} == taken

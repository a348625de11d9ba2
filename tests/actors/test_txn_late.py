"""Requests that arrive late: long after their connection was cut, and the same was asked, and answered, once more,
or the transaction aborted. No transaction that came later is committed by them, or in part, or has more in it;
and nobody is fenced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from klife import Client, Record, TransactionAborted, TransactionFenced
from klife.actors.transactions import choice, pool
from klife.protocol.apis.add_partitions_to_txn import AddPartitionsToTxnRequest
from klife.protocol.apis.end_txn import EndTxnRequest
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import PATIENCE, CutOff, Exchange, ScriptedCluster, answer, cut, done_then_cut, refuse
from tests.support.scripted_coordinator import ScriptedCoordinator
from tests.support.waiting import wait_until

StartClient = Callable[..., Client]


class World:
    """A cluster with a coordinator that has one producer, whose first request of some kind comes later."""

    def __init__(
        self, cluster: ScriptedCluster, start_client: StartClient, is_v2: bool, base_txn_id: str, verifies: bool = True
    ) -> None:
        self.cluster = cluster
        self.broker = cluster[1]
        self.coordinator = ScriptedCoordinator(cluster, is_v2=is_v2, verifies=verifies)
        self.client = start_client(cluster, txn_pools=[{"name": "money", "pool_size": 1, "base_txn_id": base_txn_id}])
        self._late: list[Exchange] = []

    def hold_back(self, request: Any) -> None:
        """The next `request` is on its way until `arrive`, and its connection is cut."""

        def step(exchange: Exchange) -> None:
            self._late.append(exchange)
            raise CutOff

        self.broker.script(request, step)

    @property
    def is_on_its_way(self) -> bool:
        """Whether something is held back."""
        return bool(self._late)

    def arrive(self) -> Any:
        """What was held back reaches the broker now; its answer."""
        [late] = self._late
        return late.good_answer()

    def produce(self, value: bytes) -> None:
        """A transaction of one record."""
        self.client.produce_batch_txn([Record("orders", value)])


def one_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has all transactions."""
    monkeypatch.setattr(choice, "RESTED", 0.0)
    for module in (choice, pool):
        monkeypatch.setattr(module, "MADE_PER_OPEN", 1)


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
def is_v2(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=["", "shop"], ids=["random id", "given id"])
def world(request: pytest.FixtureRequest, start_client: StartClient, monkeypatch: pytest.MonkeyPatch, is_v2: bool) -> Iterator[World]:
    one_producer(monkeypatch)
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


@pytest.fixture(params=["", "shop"], ids=["random id", "given id"])
def old_world(
    request: pytest.FixtureRequest, start_client: StartClient, monkeypatch: pytest.MonkeyPatch, verifies: bool
) -> Iterator[World]:
    one_producer(monkeypatch)
    with ScriptedCluster() as cluster:
        yield World(cluster, start_client, False, request.param, verifies)


@pytest.mark.parametrize("verifies", [True, False], ids=["Kafka 3.6", "before Kafka 3.6"])
@pytest.mark.parametrize("fails", [False, True], ids=["owner aborts", "another record fails"])
def test_a_record_that_arrives_after_the_abort_is_in_no_transaction(old_world: World, verifies: bool, fails: bool) -> None:
    world = old_world
    world.hold_back(ProduceRequest)
    with suppress(TransactionAborted), world.client.transaction() as txn:
        world.client.produce(Record("orders", b"late"))
        wait_until(lambda: world.is_on_its_way)
        if fails:
            world.broker.script(ProduceRequest, refuse(87))
        else:
            txn.abort()
    assert world.coordinator.ended == [False]
    late = world.arrive().responses[0].partition_responses[0]
    assert late.error_code == (120 if verifies else 47)
    world.produce(b"next")
    assert world.coordinator.ended == [False, True]
    assert world.cluster.log("orders") == [b"next"]
    ends = sum(isinstance(each.request, EndTxnRequest) for each in world.broker.requests)
    assert ends == (2 if verifies else 1), "markers of the next epoch are those of a renewal"


@pytest.mark.parametrize("verifies", [False], ids=["before Kafka 3.6"])
def test_a_stop_waits_for_the_abort_that_keeps_it_out(old_world: World) -> None:
    world = old_world
    world.hold_back(ProduceRequest)
    with suppress(TransactionAborted), world.client.transaction():
        world.client.produce(Record("orders", b"late"))
        wait_until(lambda: world.is_on_its_way)
        world.client.stop(PATIENCE)
    assert world.coordinator.ended == [False]
    assert not world.coordinator.is_open
    assert world.arrive().responses[0].partition_responses[0].error_code == 47


@pytest.mark.parametrize("verifies", [False], ids=["before Kafka 3.6"])
@pytest.mark.parametrize("trouble", [*(answer(InitProducerIdResponse(error_code=code)) for code in (15, 16, 51)), cut, done_then_cut])
def test_an_abort_that_keeps_it_out_is_asked_for_until_it_is_done(old_world: World, trouble: Any) -> None:
    world = old_world
    world.produce(b"first")
    world.hold_back(ProduceRequest)
    with world.client.transaction() as txn:
        world.client.produce(Record("orders", b"late"))
        wait_until(lambda: world.is_on_its_way)
        world.broker.script(InitProducerIdRequest, trouble, trouble)
        txn.abort()
    wait_until(lambda: world.coordinator.ended == [True, False], PATIENCE)
    assert world.arrive().responses[0].partition_responses[0].error_code == 47
    world.produce(b"next")
    assert world.cluster.log("orders") == [b"first", b"next"]


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


@pytest.mark.parametrize("base_txn_id", ["shop"])
def test_who_has_taken_an_id_loses_no_open_transaction_to_its_last_owner(
    start_client: StartClient, monkeypatch: pytest.MonkeyPatch, is_v2: bool, base_txn_id: str
) -> None:
    """A coordinator ends what is open before it looks at the epoch of who asks for the next."""
    one_producer(monkeypatch)
    with ScriptedCluster() as cluster:
        world = World(cluster, start_client, is_v2, base_txn_id)
        world.produce(b"first")
        world.broker.script(ProduceRequest, refuse(87))
        with pytest.raises(TransactionAborted):
            world.produce(b"refused")
        for own in world.coordinator.ids.values():
            own.epoch, own.state, own.timeout_ms, own.repeats = own.epoch + 1, "Ongoing", 60_000, None
        with pytest.raises(TransactionFenced):
            world.produce(b"second")
        assert world.coordinator.is_open

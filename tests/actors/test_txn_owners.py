"""Owners that end without leaving the block of their transaction, as a generator does that nobody resumes: it is
aborted, and nothing of it is kept.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from klife import Client, Record, TransactionAborted, TransactionError
from klife.protocol.apis.end_txn import EndTxnRequest
from tests.support.scripted_broker import PATIENCE, Exchange, ScriptedCluster, good
from tests.support.scripted_coordinator import ScriptedCoordinator
from tests.support.waiting import wait_until

StartClient = Callable[..., Client]


class World:
    def __init__(self, cluster: ScriptedCluster, client: Client) -> None:
        self.broker = cluster[1]
        self.coordinator = ScriptedCoordinator(cluster, is_v2=True)
        self.client = client
        for _ in range(2):  # from now on the pool gives a producer out at once, and has nothing else to do
            client.produce_batch_txn([Record("orders", b"warm")])
        wait_until(self.is_idle, PATIENCE)
        self.left: list[Any] = []

    def is_idle(self) -> bool:
        return self.client.status().txn_pools[0].open == 0

    def enter(self) -> None:
        transaction = self.client.transaction()
        transaction.__enter__()
        self.left.append(transaction)
        self.client.produce(Record("orders", b"x")).get(PATIENCE)


@pytest.fixture
def world(start_client: StartClient) -> Iterator[World]:
    with ScriptedCluster() as cluster:
        yield World(cluster, start_client(cluster, txn_pools=[{"name": "money"}]))


def test_a_greenlet_that_never_left_its_block_is_forgotten(world: World) -> None:
    owner = gevent.spawn(world.enter)
    owner.get(PATIENCE)
    wait_until(world.is_idle, PATIENCE)
    assert world.coordinator.ended[-1] is False
    ended = weakref.ref(owner)
    world.left.clear()
    del owner
    gc.collect()
    gevent.idle()
    assert ended() is None


@pytest.mark.parametrize("begun", [True, False])
def test_a_thread_whose_commit_its_home_does_not_get_done_is_told_so(world: World, begun: bool) -> None:
    """By a TransactionError, as ever, which says whether it may have been committed."""
    leaving, held, told = threading.Event(), threading.Event(), threading.Event()
    errors: list[TransactionError] = []

    def work() -> None:
        try:
            with world.client.transaction():
                world.client.produce(Record("orders", b"x")).get(PATIENCE)
                leaving.set()
                assert begun or held.wait(PATIENCE)
        except TransactionError as error:
            errors.append(error)
        told.set()

    def hold(exchange: Exchange) -> None:
        assert told.wait(PATIENCE)  # natively: nothing of the hub runs meanwhile
        good(exchange)

    if begun:
        world.broker.script(EndTxnRequest, hold)
    owner = threading.Thread(target=work)
    owner.start()
    wait_until(leaving.is_set, PATIENCE)
    if not begun:
        held.set()
        assert told.wait(PATIENCE)
    wait_until(lambda: not owner.is_alive(), PATIENCE)
    [error] = errors
    assert isinstance(error, TransactionAborted) is not begun
    assert error.possibly_committed is begun
    wait_until(world.is_idle, PATIENCE)
    assert world.coordinator.ended[-1] is begun


def test_what_a_thread_s_block_raises_passes_though_its_home_stands_still(world: World) -> None:
    in_block, held, told = threading.Event(), threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with world.client.transaction():
                world.client.produce(Record("orders", b"x")).get(PATIENCE)
                in_block.set()
                assert held.wait(PATIENCE)
                raise LookupError
        except BaseException as error:
            errors.append(error)
        told.set()

    owner = threading.Thread(target=work)
    owner.start()
    wait_until(in_block.is_set, PATIENCE)
    held.set()
    assert told.wait(PATIENCE)  # natively: nothing of the hub runs meanwhile
    wait_until(lambda: not owner.is_alive(), PATIENCE)
    assert [type(error) for error in errors] == [LookupError]
    wait_until(world.is_idle, PATIENCE)
    assert world.coordinator.ended[-1] is False


def test_a_thread_that_never_left_its_block_is_noticed_by_an_idle_pool(world: World) -> None:
    owner = threading.Thread(target=world.enter)
    owner.start()
    gevent.get_hub().threadpool.apply(owner.join, (PATIENCE,))
    wait_until(world.is_idle, PATIENCE)
    assert world.coordinator.ended[-1] is False

"""Owners that end without leaving the block of their transaction, as a generator does that nobody resumes: it is
aborted, and nothing of it is kept.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from greenlet import greenlet

from klife import Client, Record, TransactionAborted, TransactionError
from klife.actors.transactions.transaction import Owner
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


def test_the_collector_finds_no_greenlet_of_a_thread_in_what_is_kept_of_its_transaction() -> None:
    """greenlet 3.5 crashes if it finds that in a circle when the thread has ended."""
    owners: list[Owner] = []
    thread = threading.Thread(target=lambda: owners.append(Owner(thread)))
    thread.start()
    thread.join(PATIENCE)
    assert not [each for each in gc.get_referents(owners[0]) if isinstance(each, greenlet)]


def test_a_thread_that_never_left_its_block_is_noticed_by_an_idle_pool(world: World) -> None:
    owner = threading.Thread(target=world.enter)
    owner.start()
    gevent.get_hub().threadpool.apply(owner.join, (PATIENCE,))
    wait_until(world.is_idle, PATIENCE)
    assert world.coordinator.ended[-1] is False


FORKS = """
import os
import gevent
from klife import Client, Record
from klife.actors.transactions import transactions
from klife.testing.fake import FakeCluster

transactions._GRACE = 0.0
with FakeCluster(topics={"orders": 1}) as kafka:
    times = {"request_timeout_ms": 5_000, "delivery_timeout_ms": 5_000, "txn_timeout_ms": 5_000}
    with Client.start(kafka.bootstrap_servers, txn_pools=[{"name": "money", **times}]) as client:
        client.produce_batch_txn([Record("orders", b"warm")])
        kafka.pause()
        owner = gevent.spawn(client.transaction, lambda: client.produce(Record("orders", b"once")), retries=1)
        while not client.status().txn_pools[0].open:
            gevent.sleep(0.005)
        gevent.sleep(0)  # its block is left behind the record: it waits for the delivery
        child = gevent.fork()
        if not child:
            owner.join(60)
            print(type(owner.exception).__name__, flush=True)
            os._exit(0)
        kafka.resume()
        owner.get(60)
        os.waitpid(child, 0)
    print([record.value for record in kafka.records("orders")])
"""


def test_a_commit_that_waits_in_a_forked_child_is_the_parents_and_is_not_run_again_there() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.splitlines() == ["TransactionMisused", "[b'warm', b'once']"], done.stderr

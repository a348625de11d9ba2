"""A signal handler, or a Ctrl-C, raises anywhere in the beginning, the middle and the end of a transaction: of its
records all are visible, or none; it does not stay open, and nothing else ever joins it.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any
from weakref import ref

import gevent
import pytest

import klife
from klife import Client, KlifeError, ProduceError, Record
from klife.testing.fake import FakeCluster
from tests.support.interruptions import KLIFE, Interrupted, at_place

PATIENCE = 30.0
THE_OWNERS = ("api/transaction.py", "api/from_thread.py", "api/append_one.py", "actors/runtime/latch.py", "actors/runtime/post.py")
TRANSACTIONS = f"{KLIFE}/actors/transactions/"


class World:
    """A client, and what readers of committed records see."""

    def __init__(self, kafka: FakeCluster, client: Client, wait: Callable[[float], object]) -> None:
        self.kafka = kafka
        self.client = client
        self._wait = wait
        for _ in range(2):  # from now on a transaction gets a producer at once
            client.produce_batch_txn([Record("orders", b"warm")])

    def there(self) -> set[bytes]:
        return {record.value or b"" for record in self.kafka.records("orders")}

    def wait_until_idle(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while (pool := self.client.status().txn_pools[0]).open or pool.waiting:
            assert time.monotonic() < deadline, pool
            self._wait(0.002)

    def check(self, number: int, told: type[BaseException] | None) -> None:
        """After transaction `number`, whose owner was told of its end by an exception, or by None: committed."""
        self.wait_until_idle()
        self.client.produce(Record("orders", b"%d outside" % number)).get(PATIENCE)
        there = self.there()
        records = {b"%d first" % number, b"%d second" % number}
        assert b"%d outside" % number in there
        assert there >= records or not there & records
        if told is None:
            assert there >= records
        elif told is not Interrupted:
            assert not there & records


def worlds(run_in: str, use: Callable[[World], None]) -> None:
    with FakeCluster(topics={"orders": 2}) as kafka:
        pools = [{"name": "money", "pool_size": 2}]
        with Client.start(kafka.bootstrap_servers, run_in=run_in, txn_pools=pools, on_buffer_full="block") as client:
            use(World(kafka, client, time.sleep if run_in == "thread" else gevent.sleep))


class Regret(Exception):
    pass


def deal(world: World, number: int, *, regrets: bool, leaving: list[None]) -> None:
    with world.client.transaction():
        world.client.produce(Record("orders", b"%d first" % number))
        world.client.produce(Record("orders", b"%d second" % number)).get(PATIENCE)
        if regrets:
            leaving.append(None)
            raise Regret


if not klife.compiled:  # where signal handlers are called in the middle

    @pytest.mark.parametrize("regrets", [False, True])
    @pytest.mark.parametrize("where", ["owner at home", "owner in a thread", "actors"])
    def test_what_is_raised_anywhere_leaves_all_or_nothing(where: str, regrets: bool) -> None:
        within = (TRANSACTIONS,) if where == "actors" else (TRANSACTIONS, *(f"{KLIFE}/{name}" for name in THE_OWNERS))

        def use(world: World) -> None:
            owner, place = gevent.getcurrent(), [""]

            def interrupt() -> None:
                place[0] = "".join(traceback.format_stack()[-4:-2])
                raise Interrupted

            def counts() -> bool:
                return (not regrets or bool(leaving)) and (gevent.getcurrent() is owner) is (where != "actors")

            for number in count():
                told: type[BaseException] | None = None
                leaving: list[None] = []
                with at_place(number, interrupt, within, counts) as ran:
                    try:
                        deal(world, number, regrets=regrets, leaving=leaving)
                    except BaseException as error:
                        told = type(error)
                try:
                    assert told in (Interrupted, Regret if regrets else None)
                    world.check(number, told)
                except BaseException as error:
                    error.add_note(f"raised at place {number}:\n{place[0]}")
                    raise
                if not ran[0]:
                    break
            assert number > 20, "there are places"

        worlds("thread" if where == "owner in a thread" else "home", use)


@pytest.mark.parametrize("run_in", ["home", "thread"])
def test_a_block_that_can_not_be_left_any_more_is_aborted(run_in: str) -> None:
    """As one whose `__exit__` was interrupted before its first line."""

    def use(world: World) -> None:
        transaction = world.client.transaction()
        transaction.__enter__()
        world.client.produce(Record("orders", b"0 first")).get(PATIENCE)
        del transaction
        world.client.produce(Record("orders", b"0 outside")).get(PATIENCE)
        assert b"0 outside" in world.there()
        world.check(0, Regret)

    worlds(run_in, use)


def undelivered(world: World) -> None:
    world.kafka.fail_next(87, topic="orders")
    world.client.produce(Record("orders", b"refused")).get(PATIENCE)


def ended_meanwhile(world: World) -> None:
    with suppress(ProduceError):
        undelivered(world)
    while True:  # its home may have to hear of it first
        world.client.produce(Record("orders", b"joins nothing"))


def misused(world: World) -> None:
    world.client.produce(Record("orders", b"another's"), producer="klife_default_producer")


def begun_twice(world: World) -> None:
    with world.client.transaction():
        pass


@pytest.mark.parametrize("run_in", ["home", "thread"])
@pytest.mark.parametrize("raises", [undelivered, ended_meanwhile, misused, begun_twice])
def test_what_was_raised_in_a_block_and_caught_does_not_keep_it(run_in: str, raises: Callable[[World], None]) -> None:
    """Else a block that can not be left any more would last until Python's collector has found the circle."""

    def use(world: World) -> None:
        blocks: list[Any] = []

        def deal() -> None:
            transaction = world.client.transaction()
            blocks.append(ref(transaction))
            transaction.__enter__()
            raises(world)

        gc.collect()
        gc.disable()
        try:
            with suppress(KlifeError):
                deal()
            assert blocks[0]() is None, gc.get_referrers(blocks[0]())
        finally:
            gc.enable()
        world.check(0, Regret)

    worlds(run_in, use)

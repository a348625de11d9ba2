"""Transactions of a client that runs in a thread of its own: they belong to the OS thread that begins one, or to
its greenlet, and to nobody else.
"""

from __future__ import annotations

import _thread
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from queue import Queue
from types import FrameType
from typing import Any

import gevent
import pytest

from klife import Client, Record, Transaction, TransactionAborted, TransactionMisused
from klife.actors.transactions.transactions import Transactions
from klife.testing.fake import FakeCluster
from tests.support import ROOT
from tests.support.broker_thread import in_thread

PATIENCE = 30.0


@pytest.fixture
def kafka() -> Iterator[FakeCluster]:
    with FakeCluster(topics={"orders": 3}) as cluster:
        yield cluster


@pytest.fixture
def client(kafka: FakeCluster) -> Iterator[Client]:
    pools = [{"name": "money", "pool_size": 2, "checkout_timeout_ms": 20_000}]
    with Client.start(kafka.bootstrap_servers, run_in="thread", txn_pools=pools) as client:
        yield client


def values(kafka: FakeCluster) -> list[bytes]:
    return sorted(record.value or b"" for record in kafka.records("orders"))


def order(value: str) -> Record:
    return Record("orders", value.encode())


def wait_until_idle(client: Client) -> None:
    deadline = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        if client.status().txn_pools[0].open == 0:
            return
        deadline.wait(0.02)
    raise AssertionError(client.status())


def test_a_thread_s_block_takes_all_that_it_produces(kafka: FakeCluster, client: Client) -> None:
    told: Queue[object] = Queue()
    with client.transaction() as txn:
        offset = client.produce(order("sync")).get(PATIENCE).offset
        client.produce_async(order("async"), told.put)
        client.produce_batch([order("batch")])
        client.produce_batch_async([order("batch async")], told.put)
        in_thread(lambda: txn.produce(order("joined")))
        in_thread(lambda: client.produce(order("another's")).get(PATIENCE))
        assert values(kafka) == [b"another's"]
    assert offset is not None
    assert values(kafka) == sorted([b"sync", b"async", b"batch", b"batch async", b"joined", b"another's"])
    assert sorted(isinstance(told.get(timeout=PATIENCE), Record) for _ in range(2)) == [False, True]
    with pytest.raises(KeyError):
        client.transaction(lambda: {}[client.produce(order("regretted")).get(PATIENCE)])
    with client.transaction() as txn:
        client.produce(order("aborted"))
        txn.abort()
    assert len(values(kafka)) == 6
    pool = client.status().txn_pools[0]
    assert (pool.committed, pool.aborted, pool.open) == (1, 2, 0)


def test_a_function_is_run_again_after_an_abort_and_its_value_comes_back(kafka: FakeCluster, client: Client) -> None:
    attempts: list[int] = []

    def work(name: str) -> str:
        attempts.append(threading.get_ident())
        client.produce(order(f"{name} {len(attempts)}"))
        return name

    kafka.fail_next("INVALID_REQUIRED_ACKS")
    with pytest.raises(TransactionAborted):
        client.transaction(work, "never")
    kafka.fail_next("INVALID_REQUIRED_ACKS")
    assert client.transaction(work, "again", retries=1) == "again"
    assert len(attempts) == 3
    assert set(attempts) == {threading.get_ident()}  # in the caller's own thread
    assert [result.error for result in client.produce_batch_txn([order("batch")])] == [None]
    assert values(kafka) == [b"again 3", b"batch"]


@pytest.mark.parametrize("how", ["threads", "greenlets of two threads"])
def test_two_threads_at_once_have_transactions_of_their_own(kafka: FakeCluster, client: Client, how: str) -> None:
    both, failed = threading.Barrier(2, timeout=PATIENCE), []

    def work(name: str) -> None:
        try:
            for number in range(5):
                with client.transaction() as txn:
                    client.produce(order(f"{name} {number}")).get(PATIENCE)
                    both.wait()  # the other has one open, too
                    if number == 3:
                        txn.abort()
        except BaseException as error:
            both.abort()
            failed.append(error)

    wrapped: Callable[[str], None] = work if how == "threads" else lambda name: gevent.spawn(work, name).get()
    threads = [threading.Thread(target=wrapped, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert failed == []
    assert values(kafka) == sorted(f"{name} {number}".encode() for name in "ab" for number in range(5) if number != 3)


def begin_and_leave(client: Client, begun: Queue[Transaction]) -> None:
    txn = client.transaction()
    txn.__enter__()
    client.produce(order("left")).get(PATIENCE)
    begun.put(txn)


def leave_it_to_a_greenlet(work: Callable[[], None]) -> None:
    """Return when the work is done, while the greenlet that did it goes on."""
    done = gevent.event.Event()
    gevent.spawn(lambda: (work(), done.set(), gevent.sleep(600)))
    assert done.wait(PATIENCE)


WAYS: dict[str, Callable[[Callable[[], None]], object]] = {
    "thread": lambda work: threading.Thread(target=work).start(),
    "thread that nobody knows": lambda work: _thread.start_new_thread(work, ()),
    "greenlet that ends": lambda work: threading.Thread(target=lambda: gevent.spawn(work).get()).start(),
    "greenlet that waits": lambda work: threading.Thread(target=leave_it_to_a_greenlet, args=(work,)).start(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_thread_that_ends_in_its_block_takes_the_transaction_along(kafka: FakeCluster, client: Client, way: str) -> None:
    begun: Queue[Transaction] = Queue()
    WAYS[way](lambda: begin_and_leave(client, begun))
    txn = begun.get(timeout=PATIENCE)
    wait_until_idle(client)
    with pytest.raises((TransactionAborted, TransactionMisused)):
        txn.produce(order("late"))
    client.produce_batch_txn([order("next")])
    assert values(kafka) == [b"next"]


def test_what_does_not_fit_is_refused_and_harms_nothing(kafka: FakeCluster, client: Client) -> None:
    with client.transaction() as txn:
        client.produce(order("one"))
        with pytest.raises(TransactionMisused, match="has a transaction open already"), client.transaction():
            pass
        with pytest.raises(TransactionMisused, match="within a transaction"):
            client.produce(order("two"), producer="klife_default_producer")
        with pytest.raises(ValueError, match="no pool 'other'"):
            in_thread(lambda: client.transaction(pool="other").__enter__())
        with pytest.raises(TypeError):
            client.produce(Record("orders", 3))  # type: ignore[arg-type]
    for late in (lambda: txn.produce(order("late")), txn.abort, lambda: in_thread(lambda: txn.produce(order("late")))):
        with pytest.raises(TransactionMisused, match="committed"):
            late()
    with client.transaction() as txn:
        txn.abort()
        with pytest.raises(TransactionMisused, match="aborted"):
            client.produce(order("late"))
    assert values(kafka) == [b"one"]


def test_a_callback_may_have_a_transaction_of_its_own(kafka: FakeCluster, client: Client) -> None:
    told: Queue[object] = Queue()

    def callback(record: Record) -> None:
        told.put(client.transaction(lambda: client.produce(order("of the callback")).get(PATIENCE).error))

    with client.transaction() as txn:
        client.produce_async(order("aborted"), callback)
        assert told.get(timeout=PATIENCE) is None
        txn.abort()
    assert values(kafka) == [b"of the callback"]


class Interrupted(BaseException):
    """As a Ctrl-C at a prompt."""


def interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


@pytest.fixture
def interruptible() -> Iterator[Callable[[float], None]]:
    """Have the main thread interrupted in so many seconds."""
    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds) and None
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_who_is_interrupted_while_it_waits_for_a_producer_has_no_transaction(
    kafka: FakeCluster, client: Client, interruptible: Callable[[float], None]
) -> None:
    go, begun = threading.Event(), Queue[Any]()

    def hold() -> None:
        with client.transaction():
            begun.put(None)
            assert go.wait(PATIENCE)

    holders = [threading.Thread(target=hold) for _ in range(2)]  # all that may be open
    for holder in holders:
        holder.start()
        begun.get(timeout=PATIENCE)
    interruptible(0.3)
    with pytest.raises(Interrupted), client.transaction():
        raise AssertionError("begun")
    go.set()
    for holder in holders:
        holder.join(PATIENCE)
    for number in range(3):
        client.produce_batch_txn([order(f"next {number}")])  # this thread has none open, and the pool has both its places
    wait_until_idle(client)
    assert values(kafka) == [b"next 0", b"next 1", b"next 2"]


def test_who_is_interrupted_in_the_commit_leaves_it_to_end_by_itself(
    kafka: FakeCluster, client: Client, interruptible: Callable[[float], None]
) -> None:
    client.produce_batch_txn([order("before")])

    def work() -> None:
        client.produce(order("open")).get(PATIENCE)
        kafka.pause()
        interruptible(0.3)

    with pytest.raises(Interrupted):
        client.transaction(work)
    kafka.resume()
    wait_until_idle(client)
    for number in range(3):
        client.produce_batch_txn([order(f"next {number}")])
    assert set(values(kafka)) - {b"open"} == {b"before", b"next 0", b"next 1", b"next 2"}


def aborts_when_interrupted_before_its_records_are_delivered(kafka: FakeCluster, client: Client, interrupt: Callable[[], None]) -> None:
    client.produce_batch_txn([order("before")])

    def work() -> None:
        kafka.pause()
        client.produce(order("never"))
        interrupt()  # in the commit, which waits for the record

    with pytest.raises(Interrupted):
        client.transaction(work)
    kafka.resume()
    wait_until_idle(client)
    client.produce_batch_txn([order("next")])
    assert values(kafka) == [b"before", b"next"]
    assert client.status().txn_pools[0].aborted == 1


def test_who_is_interrupted_before_its_records_are_delivered_has_aborted(
    kafka: FakeCluster, client: Client, interruptible: Callable[[float], None]
) -> None:
    aborts_when_interrupted_before_its_records_are_delivered(kafka, client, lambda: interruptible(0.3))


def test_who_is_interrupted_has_aborted_however_late_its_home_hears_of_that(
    kafka: FakeCluster, client: Client, interruptible: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy home may first see that all is delivered, which is what the commit waited for."""
    give_up = Transactions.give_up

    def when_over(self: Transactions, transaction: Any) -> None:
        assert transaction.over.wait(PATIENCE)
        give_up(self, transaction)

    monkeypatch.setattr(Transactions, "give_up", when_over)
    aborts_when_interrupted_before_its_records_are_delivered(kafka, client, lambda: interruptible(0.1))


FORKS = f"""
import os, sys, threading
sys.path.insert(0, {str(ROOT)!r})
from klife import Client, Record, TransactionMisused
from klife.testing.fake import FakeCluster
with FakeCluster(topics={{"orders": 1}}) as kafka:
    def start(**pool):
        return Client.start(kafka.bootstrap_servers, run_in="thread", txn_pools=[{{"name": "money", **pool}}])
    def in_child(work):
        read, write = os.pipe()
        if not os.fork():
            try:
                told = repr(work())
            except BaseException as error:
                told = f"{{type(error).__name__}}: {{error}}"[:50]
            os.write(write, told.encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as told:
            print(told.read(), flush=True)
        os.wait()
    with start() as client:
        with client.transaction() as txn:
            client.produce(Record("orders", b"parent's")).get(30)
            in_child(lambda: client.produce(Record("orders", b"child's")))
            in_child(lambda: txn.produce(Record("orders", b"child's")))
            in_child(lambda: txn.__exit__(None, None, None))
            client.produce(Record("orders", b"parent's too"))
        in_child(lambda: client.produce_batch_txn([Record("orders", b"child's own")])[0].error)
    with start(base_txn_id="shop") as client:
        client.produce_batch_txn([Record("orders", b"stable")])
        in_child(lambda: client.produce_batch_txn([Record("orders", b"child's")]))
    print([record.value.decode() for record in kafka.records("orders")])
"""


def test_in_a_forked_child_the_transaction_is_the_parents() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=100, check=False)
    misused = "TransactionMisused: the transaction was begun in the process"
    assert done.stdout.splitlines() == [
        *[misused[:50]] * 3,
        "None",
        "TransactionMisused: the pool 'money' has a base_txn_id and belongs"[:50],
        '["parent\'s", "parent\'s too", "child\'s own", \'stable\']',
    ], done.stderr
    assert done.returncode == 0

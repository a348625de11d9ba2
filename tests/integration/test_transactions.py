"""Transactions on real clusters: what readers of committed records see is what was reported, whatever happens to
owners, actors and brokers. On 4.3 (transaction version 2), and on 3.9 (version 1).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any

import gevent
import pytest

from klife import (
    AdminError,
    Client,
    PoolExhausted,
    Record,
    RecordTooLarge,
    TransactionAborted,
    TransactionError,
    TransactionFenced,
    TransactionMisused,
)
from klife.actors.transactions import choice
from klife.testing.cluster import KafkaCluster
from tests.support.coordinators import coordinators, move_coordinators
from tests.support.reader import held_up, read_isolated
from tests.support.txn_book import Book, kill_actors
from tests.support.txn_versions import CLUSTERS, parametrize_clusters
from tests.support.waiting import wait_until

MakeClient = Callable[..., Client]
OWNERS, PARTITIONS = 16, 30
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of kafka-python's import


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize_clusters(metafunc, "module")


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> KafkaCluster:
    found: KafkaCluster = request.getfixturevalue(CLUSTERS[request.param])
    return found


@pytest.fixture
def make_client(cluster: KafkaCluster) -> Iterator[MakeClient]:
    """Start a client with a pool of these options. Of new brokers no coordinator serves yet, and the first
    transaction waits for one.
    """
    started: list[Client] = []

    def make(**pool: Any) -> Client:
        client = Client.start(cluster.bootstrap_servers, txn_pools=[{"name": "pool", "checkout_timeout_ms": 60_000, **pool}])
        started.append(client)
        client.wait_ready(30.0)
        return client

    yield make
    for client in started:
        client.stop(10.0)


@pytest.fixture
def topic(cluster: KafkaCluster) -> str:
    name = f"txn-{uuid.uuid4().hex[:12]}"
    cluster.create_topic(name, 3)
    return name


def values(prefix: str, count: int = 3) -> list[bytes]:
    return [f"{prefix}-{n}".encode() for n in range(count)]


def records(topic: str, prefix: str, count: int = 3) -> list[Record]:
    return [Record(topic=topic, value=value, partition=n % 3) for n, value in enumerate(values(prefix, count))]


def committed(cluster: KafkaCluster, topic: str) -> list[bytes]:
    return read_isolated(cluster.bootstrap_servers, topic, committed=True)


def written(cluster: KafkaCluster, topic: str) -> list[bytes]:
    return read_isolated(cluster.bootstrap_servers, topic, committed=False)


def sees(cluster: KafkaCluster, topic: str, expected: list[bytes]) -> None:
    """Readers of committed records see these, once markers are written, and nothing else."""
    wait_until(lambda: len(committed(cluster, topic)) >= len(expected), 30.0)
    assert committed(cluster, topic) == sorted(expected)


def fail_after(client: Client, those: list[Record]) -> None:
    for record in those:
        assert client.produce(record).get().offset is not None
    raise KeyError


def take_over(older: Client, newer: Client, topic: str) -> None:
    with older.transaction():
        older.produce(Record(topic, b"fenced")).get()
        with newer.transaction():
            newer.produce(Record(topic, b"newer"))
        wait_until(lambda: newer.status().txn_pools[0].resting == 2, 60.0)  # it may have had the other id first


def is_idle(client: Client) -> bool:
    return client.status().txn_pools[0].open == 0


def test_what_is_committed_is_seen_and_what_is_aborted_is_not(cluster: KafkaCluster, make_client: MakeClient, topic: str) -> None:
    client = make_client()
    with client.transaction():
        assert [client.produce(record).get().offset for record in records(topic, "first")] == [0, 0, 0]
        assert committed(cluster, topic) == [], "an offset that was told is not committed yet"
    with pytest.raises(KeyError):
        client.transaction(fail_after, client, records(topic, "raised"))
    with client.transaction() as txn:
        for record in records(topic, "aborted"):
            client.produce(record).get()
        txn.abort()
    with client.transaction():
        pass
    results = client.produce_batch_txn(records(topic, "batch"))
    assert [result.error for result in results] == [None] * 3
    assert client.transaction(lambda prefix: client.produce_batch(records(topic, prefix)), "called").get()[0].error is None
    sees(cluster, topic, values("first") + values("batch") + values("called"))
    assert set(written(cluster, topic)) >= {*values("raised"), *values("aborted")}
    pool = client.status().txn_pools[0]
    assert (pool.committed, pool.aborted, pool.open) == (4, 2, 0)
    assert pool.transaction_version == (2 if cluster.version.startswith("4.3") else 1)


def test_whatever_way_records_come_in_they_are_of_the_transaction(cluster: KafkaCluster, make_client: MakeClient, topic: str) -> None:
    client = make_client()
    told: list[Record] = []

    def everything(prefix: str) -> None:
        with client.transaction() as txn:
            client.produce(Record(topic, f"{prefix}-sync".encode()))
            client.produce_async(Record(topic, f"{prefix}-async".encode()), told.append)
            client.produce_batch([Record(topic, f"{prefix}-batch".encode())])
            client.produce_batch_async([Record(topic, f"{prefix}-batch-async".encode())], told.extend)
            gevent.spawn(txn.produce, Record(topic, f"{prefix}-greenlet".encode())).get()
            gevent.get_hub().threadpool.apply(txn.produce, (Record(topic, f"{prefix}-thread".encode()),))
            gevent.spawn(client.produce, Record(topic, f"{prefix}-child".encode())).get()  # joins by `txn` alone: this is of none
            if prefix == "no":
                txn.abort()

    everything("no")
    everything("yes")
    ways = ["sync", "async", "batch", "batch-async", "greenlet", "thread"]
    seen = [b"no-child", b"yes-child", *(f"yes-{way}".encode() for way in ways)]
    sees(cluster, topic, seen)
    wait_until(lambda: len(told) == 4, 20.0)
    outside = client.produce(Record(topic, b"outside"))
    assert outside.get().error is None
    sees(cluster, topic, [b"outside", *seen])


THREADS = """
import sys
if "patched" in sys.argv:
    from gevent import monkey
    monkey.patch_all()
import gevent
from gevent.threadpool import ThreadPool
from klife import Client, Record
home = "thread" if "own-thread" in sys.argv else "home"
client = Client.start(sys.argv[1], txn_pools=[{"name": "pool", "checkout_timeout_ms": 60_000}], run_in=home)

def work(name):
    for n in range(5):
        with client.transaction() as txn:
            client.produce(Record(sys.argv[2], f"{name}-{n}".encode())).get()
            if n == 3:
                txn.abort()

threads = ThreadPool(2)  # of the system, whatever is patched
there = [threads.spawn(work, name) for name in ("a", "b")]
here = [gevent.spawn(work, name) for name in ("c", "d")]
gevent.joinall([*here, *there], raise_error=True)
for each in there:
    each.get()
print(client.stop())
"""


@pytest.mark.parametrize("how", [[], ["patched"], ["own-thread"]], ids=["unpatched", "patched", "own-thread"])
def test_threads_and_greenlets_have_transactions_of_their_own(cluster: KafkaCluster, topic: str, how: list[str]) -> None:
    command = [sys.executable, "-c", THREADS, cluster.bootstrap_servers, topic, *how]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    assert ended.stdout == "StopReport(delivered=20, failed=0, undelivered=0)\n"
    sees(cluster, topic, [f"{name}-{n}".encode() for name in "abcd" for n in range(5) if n != 3])


@pytest.mark.parametrize("how", ["killed", "timeout", "not left"])
def test_an_owner_that_goes_takes_its_transaction_along(cluster: KafkaCluster, make_client: MakeClient, topic: str, how: str) -> None:
    client = make_client(pool_size=1)
    inside = gevent.event.Event()

    def owner() -> None:
        transaction = client.transaction()
        if how == "not left":
            transaction.__enter__()
            client.produce(Record(topic, b"gone")).get()
            return
        with suppress(gevent.Timeout), transaction:
            client.produce(Record(topic, b"gone")).get()
            inside.set()
            with gevent.Timeout(0.2 if how == "timeout" else None):
                gevent.sleep(600.0)

    greenlet = gevent.spawn(owner)
    if how == "killed":
        assert inside.wait(30.0)
        greenlet.kill()
    greenlet.join(30.0)
    assert greenlet.dead
    with client.transaction():  # the pool's only place
        client.produce(Record(topic, b"next"))
    sees(cluster, topic, [b"next"])
    assert b"gone" in written(cluster, topic)


def test_who_waits_for_too_long_is_told_who_has_the_producers(
    make_client: MakeClient, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "RESTED", 0.0)  # no other producer is made, which may take longer
    client = make_client(pool_size=1, checkout_timeout_ms=500)

    def transact() -> bool:
        """False where no producer was ready in so short a time: the client goes on trying."""
        with suppress(TransactionError):
            assert client.produce_batch_txn([Record(topic, b"u")])[0].error is None
            return True
        return False

    wait_until(transact, 60.0)
    wait_until(lambda: client.status().txn_pools[0].resting == 1)
    with client.transaction():
        client.produce(Record(topic, b"v")).get()
        other = gevent.spawn(lambda: client.produce_batch_txn([Record(topic, b"w")]))
        with pytest.raises(PoolExhausted, match="the 1 that the pool 'pool' may have open") as told:
            other.get(timeout=30.0)
        assert len(told.value.ages) == 1
    wait_until(transact, 60.0)


def test_what_does_not_fit_is_refused_and_harms_nothing(cluster: KafkaCluster, make_client: MakeClient, topic: str) -> None:
    client = make_client()
    with client.transaction() as txn:
        client.produce(Record(topic, b"one"))
        with pytest.raises(TransactionMisused, match="has a transaction open already"), client.transaction():
            pass
        with pytest.raises(TransactionMisused, match="producer='klife_default_producer'"):
            client.produce(Record(topic, b"two"), producer="klife_default_producer")
        with pytest.raises(TypeError):
            client.produce(Record(topic, 3))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="no pool 'other'"):
            gevent.spawn(lambda: client.transaction(pool="other").__enter__()).get()
        txn.produce(Record(topic, b"three"))
    with pytest.raises(TransactionMisused, match="committed"):
        txn.produce(Record(topic, b"late"))
    with client.transaction() as txn:
        txn.abort()
        with pytest.raises(TransactionMisused, match="aborted"):
            client.produce(Record(topic, b"late"))
    sees(cluster, topic, [b"one", b"three"])


def test_a_record_that_is_too_large_is_named_and_ends_the_transaction(
    cluster: KafkaCluster, make_client: MakeClient, topic: str
) -> None:
    client = make_client()
    size, limit = 2_000_000, 1_048_588  # the brokers' default
    with pytest.raises(TransactionAborted) as told:
        client.produce_batch_txn([Record(topic, b"small"), Record(topic, bytes(size), partition=2)])
    error, cause = told.value, told.value.__cause__
    assert isinstance(cause, RecordTooLarge)
    assert (cause.topic, cause.partition, cause.limit) == (topic, 2, limit)
    assert size < cause.size < size + 200  # with its batch
    assert [
        word for word in (f"{topic}-2", f"{cause.size} bytes", f"{limit} bytes (max.message.bytes)") if word not in str(error)
    ] == []
    assert not error.retriable
    with client.transaction():
        client.produce(Record(topic, b"next"))
    sees(cluster, topic, [b"next"])


def test_the_newer_of_two_with_the_same_ids_goes_on(cluster: KafkaCluster, make_client: MakeClient, topic: str) -> None:
    base = f"mine-{uuid.uuid4().hex[:8]}"
    older, newer = make_client(base_txn_id=base, pool_size=1), make_client(base_txn_id=base, pool_size=1)
    with pytest.raises(TransactionFenced, match=base):
        take_over(older, newer, topic)
    with pytest.raises(TransactionFenced), older.transaction():
        pass
    for n in range(5):
        with newer.transaction():
            newer.produce(Record(topic, f"newer-{n}".encode()))
    assert older.status().txn_pools[0].fenced
    sees(cluster, topic, [b"newer", *(f"newer-{n}".encode() for n in range(5))])


def test_a_stop_aborts_what_is_open(cluster: KafkaCluster, make_client: MakeClient, topic: str) -> None:
    client = make_client()
    inside, stopped = gevent.event.Event(), gevent.event.Event()

    def owner() -> None:
        with client.transaction():
            client.produce(Record(topic, b"open")).get()
            inside.set()
            stopped.wait()

    greenlet = gevent.spawn(owner)
    assert inside.wait(30.0)
    began = monotonic()
    client.stop()
    assert monotonic() - began < 10.0
    stopped.set()
    with pytest.raises(TransactionAborted):
        greenlet.get(timeout=10.0)
    again = make_client()
    with again.transaction():
        again.produce_batch(records(topic, "after"))
    sees(cluster, topic, values("after"))  # nothing is held up, either


def test_in_a_forked_child_the_transaction_is_the_parents(cluster: KafkaCluster, make_client: MakeClient, topic: str) -> None:
    client = make_client()
    with client.transaction():
        client.produce(Record(topic, b"parents")).get()
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                client.produce(Record(topic, b"childs"))
                told = b"no error"
            except BaseException as error:
                told = f"{type(error).__name__}: {error}".encode()
            os.write(write, told)
            os._exit(0)
        os.close(write)
        told = gevent.get_hub().threadpool.apply(os.read, (read, 1000))
        os.close(read)
        with suppress(ChildProcessError):  # gevent's loop may have waited for it
            gevent.get_hub().threadpool.apply(os.waitpid, (child, 0))
        assert told.startswith(b"TransactionMisused: the transaction was begun in the process")
        client.produce(Record(topic, b"parents too"))
    sees(cluster, topic, [b"parents", b"parents too"])


@pytest.mark.timeout(600)  # it takes half a minute of two cores
def test_what_is_committed_is_what_was_reported_while_owners_and_actors_are_killed_and_coordinators_move(cluster: KafkaCluster) -> None:
    """Sixteen owners, of whose transactions a third regret and a sixth are killed; any actor at any time; and,
    where there is more than one broker, coordinators that move.
    """
    each = 50
    topics = [f"txn-{uuid.uuid4().hex[:12]}" for _ in range(3)]
    for name in topics:
        cluster.create_topic(name, PARTITIONS, 1)  # nobody dies, and brokers are what this waits for
    over = gevent.event.Event()

    leaders = set()

    def mover() -> None:
        while len(cluster.broker_ids) > 1 and len(leaders) < 3 and not over.wait(2.0):
            with suppress(AdminError):  # none is in sync, say, on a busy machine
                move_coordinators(cluster.bootstrap_servers)
                leaders.add(tuple(coordinators(cluster.bootstrap_servers).values()))

    pool = {"name": "pool", "pool_size": 12, "checkout_timeout_ms": 30_000}
    with Client.start(cluster.bootstrap_servers, txn_pools=[pool]) as client:
        client.wait_ready(30.0)
        book = Book(client, topics, PARTITIONS, seed=3)
        chaos = [gevent.spawn(kill_actors, client, random.Random(7), over), gevent.spawn(mover)]
        owners = [gevent.spawn(book.run, owner, range(each)) for owner in range(OWNERS)]
        gevent.joinall(owners, timeout=200.0, raise_error=True)
        book.over = True  # a machine that is busy has come as far as it has
        gevent.joinall(owners, timeout=120.0, raise_error=True)
        over.set()
        gevent.joinall(chaos, raise_error=True)
        assert all(owner.ready() for owner in owners), f"owners still wait\n{client.tree()}\n{client.status()}"
        wait_until(lambda: is_idle(client), 60.0)
    wait_until(lambda: not held_up(cluster.bootstrap_servers, topics), 60.0)
    book.check([committed(cluster, name) for name in topics])
    counts = book.counts
    tried = sum(counts.values())
    assert tried > OWNERS * each / 4
    assert len(leaders) > 1 or len(cluster.broker_ids) == 1
    assert counts["committed"] > tried / 3, counts
    assert {name for name, fate in book.fates.items() if fate == "committed"} <= book.called_back.keys()
    aborted = {name.encode() for name, fate in book.fates.items() if fate == "aborted"}
    assert len(aborted.intersection(written(cluster, topics[0]))) > tried / OWNERS, "readers of all records see aborted ones"


def test_a_kill_during_the_commit_leaves_it_to_end_by_itself(cluster: KafkaCluster, make_client: MakeClient, topic: str) -> None:
    client = make_client(pool_size=4)
    rng = random.Random(11)
    with client.transaction():
        client.produce_batch(records(topic, "warm"))
    through: list[str] = []

    def owner(name: str) -> None:
        with client.transaction():
            client.produce_batch(records(topic, name))
        through.append(name)

    for n in range(40):
        greenlet = gevent.spawn(owner, f"{n:02d}")
        gevent.sleep(rng.uniform(0.0, 0.03))
        greenlet.kill()
    wait_until(lambda: is_idle(client), 30.0)
    with client.transaction():
        client.produce_batch(records(topic, "last"))
    wait_until(lambda: set(values("last")) <= set(committed(cluster, topic)), 30.0)
    seen = committed(cluster, topic)
    whole = {value.rpartition(b"-")[0].decode() for value in seen}
    assert sorted(seen) == sorted(value for name in whole for value in values(name))
    assert whole >= {"warm", "last", *through}


HOLDING = """
import sys
if "patched" in sys.argv:
    from gevent import monkey
    monkey.patch_all()
import gevent
from klife import Client, Record
client = Client.start(sys.argv[1], txn_pools=[{"name": "pool", "base_txn_id": sys.argv[3], "pool_size": 1, "txn_timeout_ms": 60000}])
for n in range(3):
    with client.transaction():
        client.produce(Record(sys.argv[2], b"whole"))
with client.transaction():
    client.produce(Record(sys.argv[2], b"torn", partition=0)).get()
    print("open", flush=True)
    sys.exit() if "exits" in sys.argv else gevent.sleep(120)
"""


@pytest.mark.parametrize("how", [[], ["patched"], ["exits"]], ids=["plain", "patched", "exits"])
def test_what_a_killed_process_left_open_holds_nobody_up_after_the_next_start(
    cluster: KafkaCluster, make_client: MakeClient, topic: str, how: list[str]
) -> None:
    base = f"worker-{uuid.uuid4().hex[:8]}"
    command = [sys.executable, "-c", HOLDING, cluster.bootstrap_servers, topic, base, *how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = gevent.get_hub().threadpool.apply(process.stdout.readline)
        if "exits" not in how:
            process.kill()
        gevent.get_hub().threadpool.apply(process.wait, (30.0,))
    assert told == b"open\n"
    began = monotonic()
    # One that exits has ended its transaction itself; another id takes none over.
    client = make_client(base_txn_id=base + "-another" * ("exits" in how), pool_size=1)
    with client.transaction():
        client.produce(Record(topic, b"next", partition=0))
    wait_until(lambda: not held_up(cluster.bootstrap_servers, [topic]), 30.0)
    assert monotonic() - began < 5.0  # and not the minute after which the brokers would end it
    assert committed(cluster, topic) == [b"next"] + [b"whole"] * 3


def test_in_v2_a_transaction_is_a_produce_for_each_broker_and_one_end(kafka_cluster: KafkaCluster) -> None:
    name = f"txn-{uuid.uuid4().hex[:12]}"
    kafka_cluster.create_topic(name, 6, 3)
    with Client.start(kafka_cluster.bootstrap_servers, txn_pools=[{"name": "pool", "pool_size": 1}]) as client:
        leaders = {partition.leader for partition in client.partitions(name)}
        assert len(leaders) == 3

        def requests() -> int:
            before = sum(broker.requests_sent for broker in client.status().brokers)
            with client.transaction():
                client.produce_batch([Record(name, b"v", partition=partition) for partition in range(6) for _ in range(3)])
            return sum(broker.requests_sent for broker in client.status().brokers) - before

        # The least of some: the metadata may be asked for meanwhile, and the first ones initialise producers.
        wait_until(lambda: requests() == len(leaders) + 1, 60.0)
        assert min(requests() for _ in range(10)) == len(leaders) + 1

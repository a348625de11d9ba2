"""Transactions on real clusters, read back by another client: 4.3, which has KIP-890 (v2), and 3.9, which has
not (v1).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import Client, PoolExhausted, Record, TransactionAborted, TransactionError, TransactionFenced, TransactionMisused
from klife.admin import AdminClient, NewTopic
from klife.admin.transactions import list_transactions
from klife.api.config import checks
from klife.testing.cluster import KafkaCluster
from tests.support.reader import read_isolated
from tests.support.waiting import wait_until

PATIENCE = 60.0
SOON = 10.0  # seconds in which an abandoned transaction is aborted, at a load that slows everything down


@pytest.fixture(autouse=True)
def _pools_are_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "NOT_YET", {})


@pytest.fixture(scope="module")
def cluster_of_v1() -> Iterator[KafkaCluster]:
    with KafkaCluster(brokers=1, version="3.9") as cluster:
        yield cluster


@pytest.fixture(params=["v2", "v1"])
def cluster(request: pytest.FixtureRequest) -> KafkaCluster:
    found: KafkaCluster = request.getfixturevalue("kafka_cluster" if request.param == "v2" else "cluster_of_v1")
    return found


class World:
    """A cluster, with a topic of two partitions and clients that end with their test."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self.cluster = cluster
        self.servers = cluster.bootstrap_servers
        self.topic = self.make_topic()
        self.clients: list[Client] = []

    def make_topic(self) -> str:
        name = f"txn-{uuid.uuid4().hex[:12]}"
        with AdminClient(self.servers) as admin:
            admin.create_topics([NewTopic(name, partitions=2)])
        return name

    def start(self, *, client: dict[str, Any] | None = None, **pool: Any) -> Client:
        started = Client.start(self.servers, txn_pools=[{"name": "money", **pool}], **client or {})
        self.clients.append(started)
        return started

    def record(self, value: bytes, partition: int = 0) -> Record:
        return Record(self.topic, value, partition=partition)

    def committed(self) -> list[bytes]:
        return read_isolated(self.servers, self.topic, committed=True)

    def all(self) -> list[bytes]:
        return read_isolated(self.servers, self.topic, committed=False)

    def until_nothing_is_open(self) -> None:
        """So that a reader of committed records reaches the end."""
        with AdminClient(self.servers) as admin:
            wait_until(lambda: not [each for each in list_transactions(admin) if each.is_open], PATIENCE)


class Regret(Exception):
    """What a block raises in these tests."""


def regret(client: Client, *records: Record) -> None:
    """A transaction that an exception ends, after its records are in the logs."""

    def work() -> None:
        client.produce_batch(records).get(PATIENCE)
        raise Regret

    with pytest.raises(Regret):
        client.transaction(work)


@pytest.fixture
def world(cluster: KafkaCluster) -> Iterator[World]:
    made = World(cluster)
    yield made
    for client in made.clients:
        client.stop(10.0)


def test_a_block_is_seen_whole_or_not_at_all_in_all_its_topics(world: World) -> None:
    client, other = world.start(), world.make_topic()
    with client.transaction():
        client.produce(world.record(b"a0"))
        client.produce(world.record(b"a1", 1))
        client.produce(Record(other, b"a2", partition=0))
    regret(client, world.record(b"b0"), world.record(b"b1", 1), Record(other, b"b2", partition=1))
    with client.transaction():
        client.produce(world.record(b"c0"))
    world.until_nothing_is_open()
    assert world.committed() == [b"a0", b"a1", b"c0"]
    assert world.all() == [b"a0", b"a1", b"b0", b"b1", b"c0"]
    assert read_isolated(world.servers, other, committed=True) == [b"a2"]


def test_every_way_to_produce_joins_and_other_greenlets_join_by_the_transaction(world: World) -> None:
    client = world.start()
    told: list[Any] = []
    with client.transaction() as txn:
        assert client.produce(world.record(b"1")).get(PATIENCE).error is None
        client.produce_async(world.record(b"2"), told.append)
        client.produce_batch([world.record(b"3"), world.record(b"4", 1)])
        client.produce_batch_async([world.record(b"5")], told.append)
        gevent.spawn(txn.produce, world.record(b"6")).get(PATIENCE)
        outside = gevent.spawn(client.produce, world.record(b"7")).get(PATIENCE)
        outside.get(PATIENCE)
        txn.abort()
    world.until_nothing_is_open()
    assert world.committed() == [b"7"]
    with client.transaction() as txn:
        client.produce_async(world.record(b"8"), told.append)
        client.produce_batch([world.record(b"9"), world.record(b"90", 1)])
        client.produce_batch_async([world.record(b"91")], told.append)
        gevent.spawn(txn.produce, world.record(b"92")).get(PATIENCE)
    world.until_nothing_is_open()
    assert world.committed() == sorted([b"7", b"8", b"9", b"90", b"91", b"92"])
    wait_until(lambda: len(told) == 4)


def test_a_function_s_value_comes_back_and_it_is_run_again_only_after_an_abort(world: World) -> None:
    client = world.start()
    calls: list[int] = []

    def work(value: bytes) -> bytes:
        calls.append(1)
        client.produce(world.record(value + b"%d" % len(calls)))
        if len(calls) < 3:
            raise TransactionAborted("once more")
        return value

    assert client.transaction(work, b"x", retries=2) == b"x"
    assert len(calls) == 3
    with pytest.raises(KeyError):
        client.transaction({}.__getitem__, "missing", retries=5)
    results = client.produce_batch_txn([world.record(b"y"), world.record(b"z", 1)])
    assert [result.error for result in results] == [None, None]
    world.until_nothing_is_open()
    assert world.committed() == [b"x3", b"y", b"z"]


def test_empty_transactions_cost_nothing_and_harm_none(world: World) -> None:
    client = world.start(pool_size=1)
    for number in range(5):
        with client.transaction():
            pass
        with client.transaction() as txn:
            txn.abort()
        with client.transaction():
            client.produce(world.record(b"%d" % number))
    world.until_nothing_is_open()
    assert world.committed() == [b"%d" % number for number in range(5)]


def test_misuse_is_refused_at_the_call_and_the_transaction_goes_on(world: World) -> None:
    client = world.start(client={"producers": [{"name": "fast"}]})
    with client.transaction() as txn:
        client.produce(world.record(b"1"))
        with pytest.raises(TransactionMisused, match="within another"), client.transaction():
            pass
        with pytest.raises(TransactionMisused, match="producer='fast'"):
            client.produce(world.record(b"no"), producer="fast")
        client.produce(world.record(b"2"))
    with pytest.raises(TransactionMisused, match="committed"):
        txn.produce(world.record(b"no"))
    with client.transaction() as txn:
        txn.abort()
        with pytest.raises(TransactionMisused, match="aborted"):
            client.produce(world.record(b"no"))
    world.until_nothing_is_open()
    assert world.committed() == [b"1", b"2"]


def test_a_record_too_large_aborts_and_is_named(world: World) -> None:
    client = world.start()
    with pytest.raises(TransactionAborted, match=r"max\.message\.bytes") as caught:
        client.produce_batch_txn([world.record(b"small"), world.record(bytes(2_000_000), 1)])
    assert not caught.value.retriable
    with client.transaction():
        client.produce(world.record(b"next"))
    world.until_nothing_is_open()
    assert world.committed() == [b"next"]


def test_a_timeout_that_the_brokers_do_not_allow_is_said_by_the_first_transaction(world: World) -> None:
    client = world.start(txn_timeout_ms=10_000_000)
    with pytest.raises(TransactionError, match=r"transaction\.max\.timeout\.ms") as caught, client.transaction():
        pass
    assert caught.value.error_code == 50
    assert client.produce(world.record(b"x")).get(PATIENCE).error is None


def test_who_finds_all_open_waits_and_is_told_how_long_they_have_been(world: World) -> None:
    client = world.start(pool_size=1, checkout_timeout_ms=300)
    entered, leave = Event(), Event()

    def hold() -> None:
        with client.transaction():
            client.produce(world.record(b"held"))
            entered.set()
            assert leave.wait(PATIENCE)

    holder = gevent.spawn(hold)
    assert entered.wait(PATIENCE)
    with pytest.raises(PoolExhausted, match="'money'") as caught, client.transaction():
        pass
    assert (caught.value.size, len(caught.value.ages)) == (1, 1)
    leave.set()
    holder.get(PATIENCE)
    with client.transaction():
        client.produce(world.record(b"next"))
    world.until_nothing_is_open()
    assert world.committed() == [b"held", b"next"]


def killed(inside: gevent.Greenlet) -> None:
    inside.kill()


def timed_out_by_gevent(inside: gevent.Greenlet) -> None:
    inside.kill(gevent.Timeout(1))


@pytest.mark.parametrize("end", [killed, timed_out_by_gevent])
def test_a_transaction_whose_owner_is_ended_is_aborted_and_the_next_user_unaffected(
    world: World, end: Callable[[gevent.Greenlet], None]
) -> None:
    client = world.start(pool_size=1)
    entered = Event()

    def work() -> None:
        with client.transaction():
            client.produce(world.record(b"lost")).get()
            entered.set()
            gevent.sleep(PATIENCE)

    owner = gevent.spawn(work)
    assert entered.wait(PATIENCE)
    end(owner)
    with client.transaction():
        client.produce(world.record(b"next"))
    world.until_nothing_is_open()
    assert world.committed() == [b"next"]


def test_a_block_that_is_never_left_is_aborted_when_its_greenlet_has_ended(world: World) -> None:
    client = world.start(pool_size=1, checkout_timeout_ms=int(SOON * 1000))
    kept: list[Any] = []

    def work() -> None:
        txn = client.transaction()
        kept.append(txn)
        txn.__enter__()
        client.produce(world.record(b"lost")).get()

    gevent.spawn(work).get(PATIENCE)
    with client.transaction():
        client.produce(world.record(b"next"))
    world.until_nothing_is_open()
    assert world.committed() == [b"next"]


def test_stop_aborts_what_is_open(world: World) -> None:
    client = world.start()
    entered = Event()

    def work() -> None:
        with client.transaction():
            client.produce(world.record(b"lost")).get()
            entered.set()
            gevent.sleep(PATIENCE)

    owner = gevent.spawn(work)
    assert entered.wait(PATIENCE)
    client.stop(10.0)
    world.until_nothing_is_open()
    assert world.committed() == []
    owner.kill()


def test_of_two_processes_with_one_id_the_older_is_fenced_stays_so_and_the_newer_goes_on(world: World) -> None:
    base = f"shop-{uuid.uuid4().hex[:8]}"
    older, newer = (world.start(base_txn_id=base, pool_size=1) for _ in range(2))
    with older.transaction():
        older.produce(world.record(b"old"))
    for number in range(30):
        with newer.transaction():
            newer.produce(world.record(b"new%02d" % number))
        if number in (0, 1, 7):
            with pytest.raises(TransactionFenced, match=base) as caught, older.transaction():
                older.produce(world.record(b"fenced"))
            assert not caught.value.possibly_committed
        if number == 3:
            regret(newer, world.record(b"aborted"))
    world.until_nothing_is_open()
    assert world.committed() == sorted([b"old", *(b"new%02d" % number for number in range(30))])


def test_an_idle_producer_whose_new_owner_has_aborted_is_fenced_and_has_not_timed_out(world: World) -> None:
    base = f"shop-{uuid.uuid4().hex[:8]}"
    older, newer = (world.start(base_txn_id=base, pool_size=1) for _ in range(2))
    with older.transaction():
        older.produce(world.record(b"old"))
    regret(newer, world.record(b"aborted"))
    world.until_nothing_is_open()
    with pytest.raises(TransactionFenced), older.transaction():
        older.produce(world.record(b"fenced"))
    with newer.transaction():
        newer.produce(world.record(b"new"))


def test_a_transaction_that_is_open_too_long_is_aborted_may_be_run_again_and_is_not_called_fenced(world: World) -> None:
    client = world.start(pool_size=1, txn_timeout_ms=2_000, delivery_timeout_ms=2_000, request_timeout_ms=1_500)

    def work() -> None:
        client.produce(world.record(b"late")).get()
        world.until_nothing_is_open()  # the brokers look for such every ten seconds

    with pytest.raises(TransactionAborted, match="txn_timeout_ms") as caught:
        client.transaction(work)
    assert caught.value.retriable
    for number in range(3):
        with client.transaction():
            client.produce(world.record(b"again%d" % number))
    assert world.committed() == [b"again0", b"again1", b"again2"]

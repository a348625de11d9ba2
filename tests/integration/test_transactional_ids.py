"""Who has a transactional id, and what becomes of what was left open under it; and transactions that are run
again, or have no records. On 4.3, which has KIP-890 (v2), and 3.9, which has not (v1).
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any, Self

import pytest
from confluent_kafka import Producer
from gevent import get_hub

from klife import Client, Record, TransactionAborted, TransactionError, TransactionFenced
from klife.admin import AdminClient, NewTopic
from klife.admin.transactions import Transaction, list_transactions
from klife.testing.cluster import KafkaCluster
from tests.support.reader import read_isolated
from tests.support.txn_versions import CLUSTERS, parametrize_clusters
from tests.support.waiting import wait_until

PATIENCE = 60.0
SOON = 10.0  # seconds in which an abandoned transaction is aborted, at a load that slows everything down


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize_clusters(metafunc)


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> KafkaCluster:
    found: KafkaCluster = request.getfixturevalue(CLUSTERS[request.param])
    return found


class World:
    """A cluster, with a topic of two partitions and clients that end with their test."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self.cluster = cluster
        self.servers = cluster.bootstrap_servers
        self.topics: list[str] = []
        self.topic = self.make_topic()
        self.clients: list[Client] = []

    def make_topic(self, **config: str) -> str:
        name = f"txn-{uuid.uuid4().hex[:12]}"
        self.topics.append(name)
        with AdminClient(self.servers) as admin:
            admin.create_topics([NewTopic(name, partitions=2, config={key.replace("_", "."): value for key, value in config.items()})])
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
            wait_until(lambda: not [each for each in list_transactions(admin) if each.is_open and self.has_part_in(each)], PATIENCE)

    def has_part_in(self, transaction: Transaction) -> bool:
        return any(topic in self.topics for topic, _ in transaction.partitions)


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


def test_a_timeout_that_the_brokers_do_not_allow_is_said_by_the_first_transaction(world: World) -> None:
    client = world.start(txn_timeout_ms=10_000_000)
    with pytest.raises(TransactionError, match=r"transaction\.max\.timeout\.ms") as caught, client.transaction():
        pass
    assert caught.value.error_code == 50
    assert client.produce(world.record(b"x")).get(PATIENCE).error is None


OLDER = """
import sys
from gevent.fileobject import FileObjectThread
from klife import Client, Record, TransactionError
servers, topic, base = sys.argv[1:]
client = Client.start(servers, txn_pools=[{"name": "money", "base_txn_id": base, "pool_size": 1}])
for line in FileObjectThread(sys.stdin):
    try:
        with client.transaction():
            client.produce(Record(topic, line.strip().encode(), partition=0))
        told = "committed"
    except TransactionError as error:
        told = f"{type(error).__name__} {error.transactional_id} {error.possibly_committed}"
    print(told, flush=True)
"""


class Older:
    """Another process, with the same base_txn_id, which has a transaction when it is told to."""

    def __init__(self, world: World, base: str) -> None:
        command = [sys.executable, "-c", OLDER, world.servers, world.topic, base]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, value: str) -> str:
        """What it was told of a transaction with this record."""
        told: str = get_hub().threadpool.apply(self._run, (value,))
        return told

    def _run(self, value: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(value + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._process.kill()
        self._process.communicate()


def test_of_two_processes_with_one_id_the_older_is_fenced_stays_so_and_the_newer_goes_on(world: World) -> None:
    base = f"shop-{uuid.uuid4().hex[:8]}"
    with Older(world, base) as older:
        assert older.run("old") == "committed"
        newer = world.start(base_txn_id=base, pool_size=1)
        for number in range(30):
            with newer.transaction():
                newer.produce(world.record(b"new%02d" % number))
            if number in (0, 1, 7):
                fenced, transactional_id, possibly_committed = older.run("fenced").split()
                assert (fenced, possibly_committed) == ("TransactionFenced", "False")
                assert transactional_id.startswith(base)
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


def test_an_older_owner_that_has_to_renew_its_ids_leaves_what_the_newer_has_open(world: World) -> None:
    """A coordinator ends what is open under an id before it looks at the epoch of who renews it."""
    base, compacted = f"shop-{uuid.uuid4().hex[:8]}", world.make_topic(cleanup_policy="compact")
    older, newer = (world.start(base_txn_id=base, pool_size=1) for _ in range(2))
    for _ in range(2):  # in v1 each of its producers has to be renewed now
        with pytest.raises(TransactionAborted):
            older.produce_batch_txn([world.record(b"aborted"), Record(compacted, b"without a key")])
    with newer.transaction():
        newer.produce(world.record(b"first")).get(PATIENCE)
        wait_until(lambda: newer.status().txn_pools[0].resting == 1, PATIENCE)  # it has taken the other id, too
        with pytest.raises(TransactionFenced), older.transaction():
            older.produce(world.record(b"fenced"))
        newer.produce(world.record(b"second"))
    world.until_nothing_is_open()
    assert world.committed() == [b"first", b"second"]


def test_what_a_dead_process_left_open_under_whatever_number_ends_with_the_first_transaction_of_the_next(world: World) -> None:
    base = f"shop-{uuid.uuid4().hex[:8]}"
    zombie = Producer(
        {"bootstrap.servers": world.servers, "transactional.id": f"{base}-7", "transaction.timeout.ms": 600_000, "log_level": 0}
    )
    zombie.init_transactions(30)
    zombie.begin_transaction()
    zombie.produce(world.topic, b"zombie", partition=1)
    assert zombie.flush(30) == 0
    client = world.start(base_txn_id=base, pool_size=4)
    with client.transaction():
        client.produce(world.record(b"next"))
    world.until_nothing_is_open()
    assert world.committed() == [b"next"]
    assert world.all() == [b"next", b"zombie"]

"""Transactions while owners and brokers are killed: what is committed is what was reported, whole and
once. On a cluster of its own, whose brokers may be killed.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator

import gevent
import pytest
from gevent.event import Event

from klife import Client, Record, TransactionAborted, TransactionError
from klife.testing.cluster import KafkaCluster
from tests.support.own_cluster import own_cluster
from tests.support.reader import read_isolated

OWNERS, EACH = 8, 25
RECORDS = 3  # of a transaction, in two topics
PATIENCE = 100.0


@pytest.fixture(scope="module")
def mortal_cluster() -> Iterator[KafkaCluster]:
    with own_cluster(3) as cluster:
        yield cluster


class Regret(Exception):
    """What a block raises to be aborted."""


class Book:
    """What became of each transaction, as its owner was told."""

    def __init__(self, client: Client, topics: list[str], seed: int) -> None:
        self.client = client
        self.topics = topics
        self.random = random.Random(seed)
        self.fates: dict[str, str] = {}  # "committed", "aborted", "unknown"
        self.errors: Counter[str] = Counter()
        self.not_begun = 0

    def run(self, owner: int) -> None:
        for number in range(EACH):
            self._one(f"{owner}-{number}")

    def _one(self, name: str) -> None:
        phase = ["before"]
        doomed = self.random.random()
        working = gevent.spawn(self._transaction, name, phase, regrets=doomed < 0.3)
        if 0.3 <= doomed < 0.5:
            working.join(self.random.random() * 0.05)
            working.kill()
            if name not in self.fates:  # it had no time to write down what it was told
                self.fates[name] = "unknown" if phase[0] == "commit" else "aborted"
        working.get(PATIENCE)

    def _transaction(self, name: str, phase: list[str], *, regrets: bool) -> None:
        while True:
            phase[0] = "before"
            try:
                with self.client.transaction():
                    phase[0] = "block"
                    self._produce(name)
                    if regrets:
                        raise Regret
                    phase[0] = "commit"
                self.fates[name] = "committed"
            except (TransactionAborted, Regret) as error:
                self.fates[name] = "aborted"
                self.errors[type(error).__name__] += 1
            except TransactionError as error:
                if phase[0] == "before" and error.retriable and not error.possibly_committed:
                    self.not_begun += 1
                    continue
                self.fates[name] = "unknown" if error.possibly_committed else f"? {error!r}"
                self.errors[type(error).__name__] += 1
            return

    def _produce(self, name: str) -> None:
        records = [
            Record(self.topics[number % 2], f"{name}-{number}".encode(), partition=self.random.randrange(4))
            for number in range(RECORDS)
        ]
        self.client.produce(records[0])
        self.client.produce_async(records[1])
        self.client.produce_batch(records[2:])

    def check(self, committed: list[bytes]) -> None:
        found = Counter(value.decode().rpartition("-")[0] for value in committed)
        assert Counter(committed).most_common(1)[0][1] == 1, "a record is there twice"
        wrong = {}
        for name, fate in self.fates.items():
            allowed = {"committed": (RECORDS,), "aborted": (0,), "unknown": (0, RECORDS)}.get(fate, ())
            if found[name] not in allowed:
                wrong[name] = fate, found[name]
        assert wrong == {}
        assert len(self.fates) == OWNERS * EACH


def kill_brokers(cluster: KafkaCluster, over: Event) -> None:
    for node_id in (1, 2, 3):
        if over.wait(1.0):
            return
        cluster.kill(node_id)
        over.wait(1.5)
        cluster.start(node_id)


def fire_at(cluster: KafkaCluster, seed: int) -> Book:
    topics = [f"fire-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    for topic in topics:
        cluster.create_topic(topic, 4, 3)
    pool = {"name": "money", "base_txn_id": f"fire-{uuid.uuid4().hex[:8]}", "pool_size": 6, "txn_timeout_ms": 60_000}
    with Client.start(cluster.bootstrap_servers, txn_pools=[pool]) as client:
        client.wait_ready(30.0)
        book = Book(client, topics, seed)
        over = Event()
        burning = gevent.spawn(kill_brokers, cluster, over)
        owners = [gevent.spawn(book.run, owner) for owner in range(OWNERS)]
        gevent.joinall(owners, timeout=PATIENCE, raise_error=True)
        late = [owner for owner in owners if not owner.ready()]
        over.set()
        assert not late, f"{len(late)} owners still wait\n{client.tree()}\n{client.status()}"
        burning.get(PATIENCE)
    book.check([value for topic in topics for value in read_isolated(cluster.bootstrap_servers, topic, committed=True)])
    return book


def test_what_is_committed_is_what_was_reported_while_brokers_are_killed(mortal_cluster: KafkaCluster) -> None:
    book = fire_at(mortal_cluster, 2)
    fates = Counter(book.fates.values())
    assert fates["committed"] > OWNERS * EACH * 0.3, (fates, book.errors)

"""Transactions while owners are killed, and brokers, so that leaders and coordinators move: what is committed
is what was reported, whole and once. On a cluster of its own, whose brokers may be killed.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator
from itertools import count

import gevent
import pytest

from klife import Client, Record, TransactionAborted, TransactionError
from klife.testing.cluster import KafkaCluster
from tests.support.own_cluster import own_cluster
from tests.support.reader import read_isolated
from tests.support.waiting import wait_until

OWNERS = 16
TOPICS, PARTITIONS = 3, 30
MORE = 40  # transactions that are to commit before, between and after the brokers' deaths
PATIENCE = 60.0  # for each step; a broker takes half a minute to start where the machine is busy
pytestmark = pytest.mark.timeout(400)  # each step has its own, and the cluster's start is one of them


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
        self.over = False

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.fates.values())

    def run(self, owner: int) -> None:
        for number in count():
            if self.over:
                return
            self._one(f"{owner}-{number}")

    def _one(self, name: str) -> None:
        phase = ["before"]
        doomed = self.random.random()
        working = gevent.spawn(self._transaction, name, phase, regrets=doomed < 0.3)
        if 0.3 <= doomed < 0.5:
            working.join(self.random.random() * 0.05)
            working.kill()
            if name not in self.fates:  # it had no time to write down what it was told
                self.fates[name] = "unknown, killed" if phase[0] == "commit" else "aborted"
        working.get()

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
            except (TransactionAborted, Regret):
                self.fates[name] = "aborted"
            except TransactionError as error:
                if phase[0] == "before" and error.retriable and not error.possibly_committed:
                    continue
                self.fates[name] = "unknown" if error.possibly_committed else f"? {error!r}"
            return

    def _produce(self, name: str) -> None:
        records = [Record(topic, name.encode(), partition=self.random.randrange(PARTITIONS)) for topic in self.topics]
        self.client.produce(records[0])
        self.client.produce_async(records[1])
        self.client.produce_batch(records[2:])

    def wait_for_more(self) -> None:
        committed = self.counts["committed"]
        wait_until(lambda: self.counts["committed"] >= committed + MORE, PATIENCE)

    def check(self, committed: list[list[bytes]]) -> None:
        """`committed` has what was found of each topic."""
        found = [Counter(map(bytes.decode, each)) for each in committed]
        wrong = {}
        for name, fate in self.fates.items():
            seen = [each[name] for each in found]
            allowed = {"committed": [1], "aborted": [0], "unknown": [0, 1], "unknown, killed": [0, 1]}.get(fate, [])
            if seen not in [[times] * TOPICS for times in allowed]:
                wrong[name] = fate, seen
        assert wrong == {}
        assert all(each.keys() <= self.fates.keys() for each in found)
        assert self.counts["unknown"] <= 2 * OWNERS


def kill_brokers(cluster: KafkaCluster, book: Book) -> None:
    """Two of three, one after the other; the second stays away."""
    book.wait_for_more()
    cluster.kill(1)
    cluster.start(1)
    cluster.wait_until_in_sync(PATIENCE)
    book.wait_for_more()
    cluster.kill(2)
    book.wait_for_more()


def test_what_is_committed_is_what_was_reported_while_brokers_are_killed(mortal_cluster: KafkaCluster) -> None:
    servers = mortal_cluster.bootstrap_servers
    topics = [f"fire-{uuid.uuid4().hex[:8]}" for _ in range(TOPICS)]
    for topic in topics:
        mortal_cluster.create_topic(topic, PARTITIONS, 3, config={"min.insync.replicas": "2"})
    pool = {"name": "money", "base_txn_id": f"fire-{uuid.uuid4().hex[:8]}", "pool_size": 8}
    with Client.start(servers, txn_pools=[pool]) as client:
        client.wait_ready(30.0)
        book = Book(client, topics, seed=2)
        owners = [gevent.spawn(book.run, owner) for owner in range(OWNERS)]
        kill_brokers(mortal_cluster, book)
        book.over = True
        gevent.joinall(owners, timeout=PATIENCE, raise_error=True)
        assert all(owner.ready() for owner in owners), f"owners still wait\n{client.tree()}\n{client.status()}"
        wait_until(lambda: client.status().txn_pools[0].open == 0, PATIENCE)
        book.fates["last"] = "committed"
        with client.transaction():
            client.produce_batch([Record(topic, b"last", partition=0) for topic in topics])
    book.check([read_isolated(servers, topic, committed=True) for topic in topics])

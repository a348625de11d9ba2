"""Owners of transactions who regret, and are killed, and what became of each transaction as they were told."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

import gevent
from gevent.event import Event

from klife import Client, Delivery, ProduceError, Record, Transaction, TransactionAborted, TransactionError
from klife_supervision import TreeNode
from tests.chaos.check_transactions import MOST_UNKNOWN


class Regret(Exception):
    """What a block raises to be aborted."""


class Book:
    """What became of the transactions of a client: each has a record of the same value in each of three topics,
    and they come in by all ways there are.
    """

    def __init__(self, client: Client, topics: list[str], partitions: int, seed: int, pause: float = 0.0) -> None:
        """An owner rests for `pause` seconds, on average, before its next transaction."""
        assert len(topics) == 3
        self.client = client
        self.topics = topics
        self.partitions = partitions
        self.random = random.Random(seed)
        self.fates: dict[str, str] = {}  # "committed", "aborted", "unknown", "unknown, killed"
        self.called_back: Counter[str] = Counter()
        self.over = False
        self._pause = pause

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.fates.values())

    def run(self, owner: int, numbers: Iterable[int]) -> None:
        """A transaction for each number, one after the other, of which some regret, and some are killed: in the
        block, or in the commit.
        """
        for number in numbers:
            if self.over:
                return
            self._one(f"{owner}-{number}")
            if self._pause:
                gevent.sleep(self.random.uniform(0.0, 2 * self._pause))

    def _one(self, name: str) -> None:
        phase = ["before"]
        doomed = self.random.random()
        working = gevent.spawn(self._transaction, name, phase, regrets=doomed < 0.33)
        if 0.33 <= doomed < 0.5:
            working.join(self.random.random() * 0.05)
            working.kill()
            if name not in self.fates:  # it had no time to write down what it was told
                self.fates[name] = "unknown, killed" if phase[0] == "commit" else "aborted"
        working.get()

    def _transaction(self, name: str, phase: list[str], *, regrets: bool) -> None:
        while True:
            phase[0] = "before"
            try:
                with self.client.transaction() as txn:
                    phase[0] = "block"
                    delivery = self._produce(txn, name)
                    if regrets:
                        if self.random.random() < 0.5:
                            delivery.get()
                        raise Regret
                    phase[0] = "commit"
                self.fates[name] = "committed"
            except (TransactionAborted, ProduceError, Regret):
                self.fates[name] = "aborted"
            except TransactionError as error:
                if phase[0] == "before" and error.retriable and not error.possibly_committed:
                    continue
                self.fates[name] = "unknown" if error.possibly_committed else f"? {error!r}"
            return

    def _produce(self, txn: Transaction, name: str) -> Delivery:
        """Returns the delivery of the first topic's record."""
        value = name.encode()
        one, two, three = (Record(topic, value, partition=self.random.randrange(self.partitions)) for topic in self.topics)
        delivery = self.client.produce(one)
        self.client.produce_async(two, lambda result: self.called_back.update([name] if result.error is None else []))
        if self.random.random() < 0.5:
            self.client.produce_batch([three])
        else:
            gevent.spawn(_join, txn, three).get()
        return delivery

    def check(self, committed: list[list[bytes]]) -> None:
        """`committed` has what readers of committed records found of each topic. No owner was told of more unknown
        commits than it may be; those in which it was killed are its own doing.
        """
        found = [Counter(map(bytes.decode, each)) for each in committed]
        wrong = {}
        for name, fate in self.fates.items():
            seen = [each[name] for each in found]
            allowed = {"committed": [1], "aborted": [0], "unknown": [0, 1], "unknown, killed": [0, 1]}.get(fate, [])
            if seen not in [[times] * len(self.topics) for times in allowed]:
                wrong[name] = fate, seen
        assert wrong == {}
        assert all(each.keys() <= self.fates.keys() for each in found)
        told_unknown = Counter(name.partition("-")[0] for name, fate in self.fates.items() if fate == "unknown")
        assert {owner: count for owner, count in told_unknown.items() if count > MOST_UNKNOWN} == {}, "too many unknown commits"


def kill_actors(client: Client, rng: random.Random, over: Event) -> None:
    """Any but the gate, which ends the client's records, at any time, until `over`."""
    while not over.wait(rng.uniform(0.02, 0.5)):
        rng.choice([node for node in _workers(client.tree()) if node.id != "gate"]).kill()


def _workers(node: TreeNode) -> list[TreeNode]:
    if node.kind == "worker":
        return [node]
    return [worker for child in node.children for worker in _workers(child)]


def _join(txn: Transaction, record: Record) -> None:
    """In another greenlet, whose transaction may be over when its turn comes; the owner, if it lives, is told."""
    with suppress(TransactionError):
        txn.produce_batch_async([record])

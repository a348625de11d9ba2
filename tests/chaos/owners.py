"""Those who own transactions: in each of the ways there are to produce in one, and to end one.

An owner has each transaction done by a greenlet, or a thread, of its own, so that this may be killed, or just
end, wherever it is (`bodies`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count
from time import monotonic
from zlib import crc32

import gevent

from klife import Client, KlifeError, TransactionError, TransactionFenced, TransactionMisused
from klife.api.transaction import Transaction
from klife.record import Record
from tests.chaos.bodies import Body, InGreenlets, When
from tests.chaos.forked import child_is_refused
from tests.chaos.ledger import ABORTED, BROKEN, COMMITTED, FENCED, NOT_BEGUN, UNKNOWN, Dealing, Ledger
from tests.chaos.plan import Plan
from tests.chaos.witness import dealt_payload

SIZES = (20, 100, 1_000, 5_000)
WAYS = ("commit", "commit", "commit", "regret", "abort", "time out", "leave", "kill", "kill", "kill in commit")
FORK_SHARE = 0.02
"""Of the transactions that are to be committed, those in whose block the process is forked: a fork holds all others up."""
FORK_PATIENCE = 20.0


class Regret(Exception):
    """What a block raises to be aborted."""


class Owner:
    """Has one transaction after the other until told to stop, and enters each one's outcome in the ledger."""

    def __init__(
        self, plan: Plan, index: int, client: Client, ledger: Ledger, body: Body | None = None, forks: float = FORK_SHARE
    ) -> None:
        self._rng = random.Random(f"{plan.seed}/owner {index}")
        self._plan = plan
        self._index = index
        self._client = client
        self._ledger = ledger
        self._body = body or InGreenlets()
        self._forks = forks
        self._numbers = count()
        pool = plan.pool
        self._allowed = plan.dealing_time
        self._patience = self._allowed + pool["checkout_timeout_ms"] / 1000 + 6 * plan.max_block

    def run(self, until: float) -> None:
        """Have transactions until `until` (monotonic seconds)."""
        while monotonic() < until:
            way = self._rng.choice(WAYS)
            if way == "commit" and self._rng.random() < self._forks:
                way = "fork"
            dealing = Dealing(self._index, next(self._numbers), way, self._allowed, monotonic())
            self._ledger.begin(dealing)
            interrupt = self._interruption(dealing)
            is_over, error = self._body.run(lambda dealing=dealing: self._deal(dealing), interrupt, self._patience)  # type: ignore[misc]
            if not is_over:
                continue  # the ledger has it without an outcome
            if error is not None:
                dealing.outcome, dealing.error = BROKEN, repr(error)
            elif interrupt is not None and not dealing.outcome:  # else what it was told by then counts
                dealing.outcome, dealing.error = UNKNOWN if dealing.ending else ABORTED, ""
                dealing.ended = monotonic()
            self._ledger.settle(dealing)
            self._body.sleep(max(min(self._rng.expovariate(20.0), until - monotonic()), 0.0))

    def _interruption(self, dealing: Dealing) -> When | None:
        """What to wait for before it is ended from outside, if that is its way."""
        rng, sleep = self._rng, self._body.sleep
        if dealing.way == "kill" or (dealing.way == "time out" and not self._body.has_timeouts):
            seconds = rng.expovariate(20.0)
            return lambda _is_over: sleep(seconds)
        if dealing.way != "kill in commit":
            return None
        later = rng.choice((0.0, rng.uniform(0.0, 0.05)))

        def when_it_commits(is_over: Callable[[], bool]) -> None:
            while not dealing.ending and not is_over():
                sleep(0.002)
            sleep(later)

        return when_it_commits

    def _deal(self, dealing: Dealing) -> None:
        transaction: Transaction = self._client.transaction()
        try:
            if dealing.way == "leave":
                transaction.__enter__()
                dealing.begun = monotonic()
                self._produce(dealing, transaction)
                dealing.outcome = ABORTED
            elif dealing.way == "time out" and self._body.has_timeouts:
                with gevent.Timeout(self._rng.uniform(0.0, 0.1), False):
                    self._in_block(dealing, transaction)
                if not dealing.outcome:
                    dealing.outcome = UNKNOWN if dealing.ending else ABORTED
            else:
                self._in_block(dealing, transaction)
        except Regret:
            dealing.outcome = ABORTED
        except KlifeError as error:
            dealing.error = f"{type(error).__name__}: {error}"
            dealing.outcome = self._outcome_of(dealing, error)
        dealing.ended = monotonic()

    def _in_block(self, dealing: Dealing, transaction: Transaction) -> None:
        with transaction:
            dealing.begun = monotonic()
            self._produce(dealing, transaction)
            if dealing.way == "regret":
                raise Regret
            if dealing.way == "fork":
                wrong = child_is_refused(self._client, transaction, self._record(dealing), self._body.sleep, FORK_PATIENCE)
                dealing.records.pop()
                if wrong:
                    raise AssertionError(wrong)
            if dealing.way == "abort":
                transaction.abort()
            else:
                dealing.ending = monotonic()
        dealing.outcome = COMMITTED if dealing.way != "abort" else ABORTED

    @staticmethod
    def _outcome_of(dealing: Dealing, error: KlifeError) -> str:
        if isinstance(error, TransactionFenced):
            return FENCED
        if isinstance(error, TransactionMisused):
            return BROKEN
        if isinstance(error, TransactionError):
            if error.possibly_committed:
                return UNKNOWN if dealing.ending else BROKEN
            return ABORTED if dealing.begun else NOT_BEGUN
        in_block = dealing.begun and not dealing.ending
        return ABORTED if in_block else BROKEN  # a record that was not taken aborts

    # ways to produce

    def _produce(self, dealing: Dealing, transaction: Transaction) -> None:
        rng, client = self._rng, self._client

        def asynchronously(records: list[Record], _first: int) -> None:
            for record in records:
                client.produce_async(record, lambda _result: None)

        ways: tuple[Callable[[list[Record], int], object], ...] = (
            lambda records, first: self._waited(dealing, records, first),
            asynchronously,
            lambda records, _: client.produce_batch(records),
            lambda records, _: self._body.elsewhere(lambda: [transaction.produce(record) for record in records]),
        )
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            first = len(dealing.records)
            records = [self._record(dealing) for _ in range(rng.choice((1, 1, 3, 8)))]
            rng.choice(ways)(records, first)
            if rng.random() < 0.1:
                self._body.sleep(rng.expovariate(10.0))

    def _waited(self, dealing: Dealing, records: list[Record], first: int) -> None:
        deliveries = [self._client.produce(record) for record in records]
        for index, delivery in enumerate(deliveries, first):
            offset = delivery.get(self._patience).offset
            if offset is not None:
                dealing.offsets[str(index)] = offset

    def _record(self, dealing: Dealing) -> Record:
        rng = self._rng
        topic = rng.choice(self._plan.txn_topics)
        partition = rng.randrange(topic.partitions)
        value = dealt_payload(dealing.owner, dealing.number, len(dealing.records), rng.choice(SIZES))
        dealing.records.append((topic.name, partition, crc32(value)))
        return Record(topic.name, value, partition=partition)

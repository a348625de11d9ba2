"""The greenlets that produce: each with a random mind of its own, drawn from the seed, in each of the ways
there are to produce.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count, takewhile
from time import monotonic
from typing import TypeVar
from zlib import crc32

import gevent

from klife.actors.producer.delivery import Delivery
from klife.actors.runtime.future import WaitTimeout
from klife.api.client import Client
from klife.errors import KlifeError, ProduceError
from klife.record import Record
from tests.chaos.journal import DELIVERED, FAILED, POSSIBLY, Entry, Journal
from tests.chaos.plan import Plan, TopicPlan
from tests.chaos.witness import payload

T = TypeVar("T")

VERBS = ("sync", "pipelined", "batch", "async", "batch async")
SIZES = (0, 20, 100, 100, 500, 1_000, 5_000, 15_000)
WAIT_BEYOND_DEADLINE = 15.0
"""A worker waits that much longer than a delivery may take before it leaves it unresolved and goes on."""


class Worker:
    """Produces until told to stop, and enters each record's outcome in the journal."""

    def __init__(self, plan: Plan, index: int, client: Client, journal: Journal, turns: count[int]) -> None:
        self._rng = random.Random(f"{plan.seed}/{index}")
        self._plan = plan
        self._index = index
        self._client = client
        self._journal = journal
        self._turns = turns
        self._numbers = count()
        self._until = 0.0
        self._patience = plan.delivery_timeout + WAIT_BEYOND_DEADLINE
        verbs: dict[str, Callable[[list[Entry], list[Record]], None]] = {
            "sync": self._sync,
            "pipelined": self._pipelined,
            "batch": self._batch,
            "async": self._async,
            "batch async": self._batch_async,
        }
        self._verbs = verbs

    def run(self, until: float) -> None:
        """Produce until `until` (monotonic seconds), at this worker's share of the plan's rate."""
        self._until = until
        pause = self._plan.workers / self._plan.records_per_second
        while monotonic() < until:
            verb = self._rng.choice(VERBS)
            size = 1 if verb == "sync" else self._rng.choice((1, 3, 10, 40))
            topic = self._rng.choice(self._plan.topics)
            entries, records = [], []
            for _ in range(size):
                record = self._record(topic)
                entries.append(self._entry(verb, topic, record))
                records.append(record)
                if verb.startswith("batch") and self._rng.random() < 0.3:
                    topic = self._rng.choice(self._plan.topics)
            if verb.startswith("batch"):  # its outcome is that of its slowest record
                slowest = max(entry.allowed for entry in entries)
                for entry in entries:
                    entry.allowed = slowest
            self._verbs[verb](entries, records)
            rest = self._rng.expovariate(1.0 / (pause * size))
            gevent.sleep(max(min(rest, until - monotonic()), 0.0))

    def _record(self, topic: TopicPlan) -> Record:
        rng = self._rng
        value = payload(self._index, next(self._numbers), rng.choice(SIZES))
        key = b"%d" % rng.randrange(50) if rng.random() < (0.97 if topic.picky else 0.5) else None
        partition = rng.randrange(topic.partitions) if rng.random() < 0.2 else None
        headers = [("worker", b"%d" % self._index), ("empty", None)] if rng.random() < 0.2 else ()
        return Record(topic.name, value, key=key, headers=headers, partition=partition)

    def _entry(self, verb: str, topic: TopicPlan, record: Record) -> Entry:
        value = record.value or b""
        _, number, _ = value.split(b":", 2)
        crc = crc32(value, crc32(record.key or b""))
        allowed = self._plan.producers[topic.producer]["delivery_timeout_ms"] / 1000
        return Entry(self._index, int(number), record.topic, crc, verb, allowed, monotonic(), 0, partition=record.partition)

    # ways to produce

    def _sync(self, entries: list[Entry], records: list[Record]) -> None:
        delivery = self._begin(entries, lambda: self._client.produce(records[0]))
        if delivery is not None:
            self._wait(entries[0], delivery)

    def _pipelined(self, entries: list[Entry], records: list[Record]) -> None:
        for entry, record in self._in_time(entries, records):
            delivery = self._begin([entry], lambda record=record: self._client.produce(record))  # type: ignore[misc]
            if delivery is not None:
                gevent.spawn(self._wait, entry, delivery)

    def _batch(self, entries: list[Entry], records: list[Record]) -> None:
        delivery = self._begin(entries, lambda: self._client.produce_batch(records))
        if delivery is not None:
            try:
                self._settle_all(entries, delivery.get(self._patience))
            except WaitTimeout:
                return  # the journal has them as unresolved

    def _async(self, entries: list[Entry], records: list[Record]) -> None:
        for entry, record in self._in_time(entries, records):
            self._begin(
                [entry],
                lambda record=record, entry=entry: self._client.produce_async(record, lambda result: self._settle(entry, result)),  # type: ignore[misc]
            )

    def _batch_async(self, entries: list[Entry], records: list[Record]) -> None:
        self._begin(entries, lambda: self._client.produce_batch_async(records, lambda results: self._settle_all(entries, results)))

    def _in_time(self, entries: list[Entry], records: list[Record]) -> Iterator[tuple[Entry, Record]]:
        """Those that are begun before the time is up: with a full buffer each may take `max_block_ms`."""
        return takewhile(lambda _pair: monotonic() < self._until, zip(entries, records, strict=True))

    # outcomes

    def _begin(self, entries: Sequence[Entry], call: Callable[[], T]) -> T | None:
        """Make the call and note its time; None when it raised, which is the outcome of all its records."""
        called, turn = monotonic(), next(self._turns)
        for entry in entries:
            entry.called, entry.call = called, turn
            self._journal.under_way[entry] = None
        try:
            answer = call()
        except KlifeError as error:
            self._returned(entries)
            for entry in entries:
                self._conclude(entry, error)
            return None
        self._returned(entries)
        return answer

    def _returned(self, entries: Sequence[Entry]) -> None:
        returned, back = monotonic(), next(self._turns)
        for entry in entries:
            entry.returned, entry.back = returned, back

    def _wait(self, entry: Entry, delivery: Delivery) -> None:
        try:
            self._settle(entry, delivery.get(self._patience))
        except WaitTimeout:
            return  # the journal has it as unresolved
        except ProduceError as error:
            self._conclude(entry, error)

    def _settle_all(self, entries: list[Entry], results: list[Record]) -> None:
        for entry, result in zip(entries, results, strict=True):
            self._settle(entry, result)

    def _settle(self, entry: Entry, result: Record) -> None:
        entry.partition, entry.offset = result.partition, result.offset
        self._conclude(entry, result.error)

    def _conclude(self, entry: Entry, error: KlifeError | None) -> None:
        entry.settled = monotonic()
        if error is None:
            entry.outcome = DELIVERED
        else:
            entry.outcome = POSSIBLY if getattr(error, "possibly_persisted", False) else FAILED
            entry.error = f"{type(error).__name__}: {error}"
        self._journal.settle(entry)

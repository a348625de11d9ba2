"""What one measurement asks of a contestant, as plain values that travel to its process as JSON."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Literal, NamedTuple

Mode = Literal["sync", "async"]

# Prepared payloads: enough that batches differ, few enough that making them takes no time. Each worker goes round them.
_PREPARED = 1024

# What a client may hold unsent and unacknowledged in the async scenario: Java's `buffer.memory` default, and klife's.
BUFFER_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Workload:
    """The shape of the load.

    Sync: each of `workers` sends one record to every topic, waits until all are acknowledged, and again; that is an iteration.
    Async: each of `workers` sends as fast as the client lets it, with a callback for each record.
    """

    mode: Mode
    workers: int
    topics: int = 3
    partitions: int = 30
    value_bytes: int = 1000
    key_bytes: int = 50

    @property
    def name(self) -> str:
        return f"{self.mode} N={self.workers}"

    @property
    def unit(self) -> str:
        return "iterations" if self.mode == "sync" else "records"


@dataclass(frozen=True)
class Job:
    """One measurement: a workload on a cluster, for `seconds` after a warm-up that is not counted."""

    contestant: str
    workload: Workload
    target: Literal["mock", "cluster"]
    bootstrap_servers: str
    topics: list[str]
    warmup_s: float
    seconds: float

    @property
    def buffered_records(self) -> int:
        """How many records fill `BUFFER_BYTES`, for clients that bound nothing themselves."""
        return BUFFER_BYTES // (self.workload.value_bytes + self.workload.key_bytes)

    def iterations(self, worker: int) -> Iterator[list[Payload]]:
        """Endless iterations, each of one payload to every topic, with a random explicit partition. They differ by worker."""
        shape, source = self.workload, random.Random(worker)

        def payload(topic: str) -> Payload:
            return Payload(
                topic, source.randrange(shape.partitions), source.randbytes(shape.key_bytes), source.randbytes(shape.value_bytes)
            )

        return cycle([[payload(topic) for topic in self.topics] for _ in range(_PREPARED)])

    def payloads(self, worker: int) -> Iterator[Payload]:
        """The payloads of `iterations`, one by one."""
        for iteration in self.iterations(worker):
            yield from iteration


class Payload(NamedTuple):
    topic: str
    partition: int
    key: bytes
    value: bytes

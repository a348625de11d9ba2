"""`Ahead`: batches that wait behind a request in flight are compressed meanwhile, in the hub's thread pool.

A producer that is faster than its brokers' answers has full batches in line. To compress each only when its
turn comes would have the hub do it, or the connection wait for it, while other cores are idle.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from gevent import get_hub

from klife.actors.producer.batch import Batch
from klife.actors.runtime.loop_budget import LoopBudget
from klife.actors.runtime.thread_pool import Started, start_in_thread
from klife.actors.settings import ProducerSettings
from klife.protocol.compression import compress
from klife.protocol.records import encode_payload

if TYPE_CHECKING:
    from klife.actors.producer.batcher import Batcher

WORTH_A_THREAD: Final = 64 * 1024
"""Bytes from which on the way to another thread and back, some 50 µs of the processor, is little beside the rest."""

IN_LINE: Final = 3
"""Batches of a batcher that are ahead, the next in line. What they take beside their records is bounded by it."""

QUICK_JOBS: Final = 8
"""Jobs of the pool beside which others are begun, where each takes a millisecond or two: a thread mostly waits
for the interpreter, up to five milliseconds each time. The pool has ten threads.
"""


class Compressed(NamedTuple):
    payload: bytes
    size_before: int
    seconds: float


class CompressedAhead:
    """The payload of one batch, compressed or being so, with its first and largest timestamp."""

    __slots__ = ("first_timestamp", "max_timestamp", "_started")

    def __init__(self, batch: Batch, settings: ProducerSettings) -> None:
        self.first_timestamp: int
        self.max_timestamp: int
        payload, self.first_timestamp, self.max_timestamp = encode_payload(batch.fields)
        self._started: Started[Compressed] = start_in_thread(_compressed, settings.codec, payload, settings.compression_level)

    def wait(self) -> Compressed:
        """What it is compressed to; other greenlets run until then."""
        return self._started.wait()


class Ahead:
    """Has a producer's batchers compress ahead. `budget` is what they share of a turn of the loop."""

    def __init__(self, settings: ProducerSettings, budget: LoopBudget) -> None:
        self._settings = settings
        self._budget = budget
        self._full = settings.batch_size_bytes * 15 // 16
        self._smallest = min(WORTH_A_THREAD, settings.compress_elsewhere_from)
        self._jobs = QUICK_JOBS if settings.compress_elsewhere_from >= WORTH_A_THREAD else _cores()

    def begin(self, batcher: Batcher) -> None:
        """Begin with what is next in the line of `batcher`, as far as the pool has room."""
        pool = get_hub().threadpool
        for batch in self._next_in_line(batcher):
            if batch.ahead is None and batch.wire is None and batch.size >= self._smallest and not batch.is_set:
                if len(pool) >= self._jobs or self._budget.is_over():
                    return
                batch.ahead = CompressedAhead(batch, self._settings)

    def _next_in_line(self, batcher: Batcher) -> Sequence[Batch]:
        """Closed batches that wait, as its requests will take them: in turn, one of each partition. An open one
        that is as good as full is closed: records without a key are in another partition's by now.
        """
        partitions = list(batcher.ready)[:IN_LINE]
        for partition in partitions:
            growing = partition.open
            if growing is not None and growing.size >= self._full:
                partition.close()
        lines = [partition.pending for partition in partitions]
        return [line[place] for place in range(IN_LINE) for line in lines if place < len(line)][:IN_LINE]


def ahead_of(settings: ProducerSettings, budget: LoopBudget) -> Ahead | None:
    """None where nothing is compressed, or there is no other core that could."""
    return Ahead(settings, budget) if settings.codec and _cores() > 1 else None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _compressed(codec: int, payload: bytes, level: int | None) -> Compressed:
    began = monotonic()
    compressed = compress(codec, payload, level)
    return Compressed(compressed, len(payload), monotonic() - began)

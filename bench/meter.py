"""Counting inside a contestant's process: the same for threads, greenlets and coroutines.

Workers run without a break while the clerk (whoever sleeps in that concurrency model) takes two snapshots: after the warm-up, and
`seconds` later; each waits until something was delivered meanwhile. The sample is the difference, over the time that really passed
between them. CPU time is of the whole process, so a client's own threads count.

Counters are plain attributes. Several threads may add to them: between reading and writing an attribute CPython (3.10 and later)
never switches threads.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.workload import Job


@dataclass(frozen=True)
class Sample:
    """One measurement. `count` is iterations (sync) or acknowledged records (async) in `elapsed_s`; latencies are iterations'."""

    count: int
    elapsed_s: float
    cpu_s: float
    p50_ms: float | None
    p99_ms: float | None
    acked_records: int
    """Records acknowledged over the life of the process, warm-up and drain included: what the logs must have grown by."""


@dataclass(frozen=True)
class _Snapshot:
    clock: float
    cpu: float
    count: int


class Meter:
    """Workers loop while `running`, append to `latencies` (sync) or add to `acked` (async), and hand a failure to `fail`."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._sync = job.workload.mode == "sync"
        self._snapshots: list[_Snapshot] = []
        self._failure: object = None
        self.running = True
        self.latencies: list[float] = []
        self.acked = 0

    def fail(self, error: object) -> None:
        """A record was not delivered, or a worker crashed: the measurement is worth nothing."""
        self._failure = self._failure or error
        self.running = False

    def take(self, sleep: Callable[[float], object] = time.sleep) -> None:
        """Let the workers run, take both snapshots, and tell the workers to stop."""
        for pause in self._pauses():
            sleep(pause)
        self.running = False

    async def take_async(self) -> None:
        """`take` for asyncio."""
        for pause in self._pauses():
            await asyncio.sleep(pause)
        self.running = False

    def _pauses(self) -> Iterator[float]:
        """How long to sleep next, with the snapshots taken in between."""
        for pause in (self._job.warmup_s, self._job.seconds):
            before = self._count()
            yield pause
            # On a busy machine connecting alone may take longer. Whoever started this process limits how long.
            while self.running and self._count() == before:
                yield 0.05
            self._snapshot()

    def sample(self) -> Sample:
        """The result. Call it once every record is settled.

        Raises:
            RuntimeError: a record or a worker failed.
        """
        if self._failure is not None:
            raise RuntimeError(f"a record was not delivered: {self._failure}")
        begin, end = self._snapshots
        latencies = sorted(self.latencies[begin.count : end.count]) if self._sync else []
        return Sample(
            count=end.count - begin.count,
            elapsed_s=end.clock - begin.clock,
            cpu_s=end.cpu - begin.cpu,
            p50_ms=_percentile_ms(latencies, 50),
            p99_ms=_percentile_ms(latencies, 99),
            acked_records=len(self.latencies) * len(self._job.topics) if self._sync else self.acked,
        )

    def _snapshot(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._snapshots.append(_Snapshot(time.perf_counter(), usage.ru_utime + usage.ru_stime, self._count()))

    def _count(self) -> int:
        return len(self.latencies) if self._sync else self.acked


def _percentile_ms(ordered: list[float], percent: int) -> float | None:
    return ordered[(len(ordered) - 1) * percent // 100] * 1000 if ordered else None

"""Counting inside a contestant's process: the same for threads, greenlets and coroutines.

Workers run without a break while the clerk (whoever sleeps in that concurrency model) takes two snapshots:
after the warm-up, which begins with the first record delivered, and `seconds` later, or once something was
delivered meanwhile. The sample is the difference, over the time that really passed between them. CPU time is
of the whole process, so a client's own threads count.

Counters are plain attributes. Several threads may add to them: between reading and writing an attribute
CPython (3.10 and later) never switches threads.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.workload import Job


@dataclass(frozen=True)
class Sample:
    """One measurement. `count` is iterations (sync), transactions, or acknowledged records (else) in `elapsed_s`."""

    count: int
    elapsed_s: float
    cpu_s: float
    p50_ms: float | None
    """Of an iteration (sync), a transaction, or a record (rate)."""
    p99_ms: float | None
    gap_p999_ms: float | None
    """How late a neighbour in the process was woken (ticking)."""
    gap_max_ms: float | None
    acked_records: int
    """Records acknowledged over the life of the process, warm-up and drain included: what the logs must have
    grown by.
    """
    begin: float
    """When it began, by `time.perf_counter`."""
    sockets: int
    """TCP connections of the process at the end, and threads; 0 where there is no /proc to tell."""
    threads: int
    latencies_ms: list[float] | None = None
    """All of them, in order of size, where this is one of several processes."""


@dataclass(frozen=True)
class _Snapshot:
    clock: float
    cpu: float
    count: int
    gaps: int


class Meter:
    """Workers loop while `running`, append to `latencies` (sync, transaction, rate) or add to `acked` (else),
    and hand a failure to `fail`.

    Those that are called back, and so would not notice that they are not, add to `sent` what they hand over.

    A neighbour appends to `gaps` by how many seconds it was woken late.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._timed = job.workload.style in ("sync", "transaction", "rate")
        self._snapshots: list[_Snapshot] = []
        self._footprint = 0, 0
        self._failure: object = None
        self.running = True
        self.latencies: list[float] = []
        self.gaps: list[float] = []
        self.acked = 0
        self.sent = 0

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
        # On a busy machine connecting alone may take longer than a warm-up. Whoever started this process
        # limits how long.
        while self.running and not self._count():
            yield 0.05
        yield self._job.warmup_s
        if self._job.meeting:
            Path(self._job.meeting, str(os.getpid())).touch()
            while self.running and len(os.listdir(self._job.meeting)) < self._job.workload.processes:
                yield 0.02
        self._snapshot()
        before = self._count()
        yield self._job.seconds
        while self.running and self._count() == before:
            yield 0.05
        self._snapshot()
        self._footprint = _tcp_connections(), _threads()

    def sample(self) -> Sample:
        """The result. Call it once every record is settled.

        Raises:
            RuntimeError: a record or a worker failed, or there is no word of a record.
        """
        if self._failure is not None:
            raise RuntimeError(f"a record was not delivered: {self._failure}")
        if self.sent and self.sent != self._acked_records():
            raise RuntimeError(f"{self.sent} records were handed over, and {self._acked_records()} reported")
        begin, end = self._snapshots
        latencies = sorted(self.latencies[begin.count : end.count]) if self._timed else []
        gaps = sorted(self.gaps[begin.gaps : end.gaps])
        return Sample(
            count=end.count - begin.count,
            elapsed_s=end.clock - begin.clock,
            cpu_s=end.cpu - begin.cpu,
            p50_ms=percentile_ms(latencies, 50),
            p99_ms=percentile_ms(latencies, 99),
            gap_p999_ms=percentile_ms(gaps, 99.9),
            gap_max_ms=percentile_ms(gaps, 100),
            acked_records=self._acked_records(),
            begin=begin.clock,
            sockets=self._footprint[0],
            threads=self._footprint[1],
            latencies_ms=[each * 1000 for each in latencies] if self._job.meeting else None,
        )

    def _acked_records(self) -> int:
        if self._job.workload.style in ("sync", "transaction"):
            return len(self.latencies) * len(self._job.topics)
        return self._count()

    def _snapshot(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._snapshots.append(_Snapshot(time.perf_counter(), usage.ru_utime + usage.ru_stime, self._count(), len(self.gaps)))

    def _count(self) -> int:
        return len(self.latencies) if self._timed else self.acked


def percentile_ms(ordered: Sequence[float], percent: float) -> float | None:
    """Of seconds in order of size, in ms; None where there are none."""
    return ordered[int((len(ordered) - 1) * percent / 100)] * 1000 if ordered else None


def _tcp_connections() -> int:
    count = 0
    for name in _listed("fd"):
        try:
            each = socket.socket(fileno=int(name))
        except OSError:  # no socket
            continue
        count += each.family in (socket.AF_INET, socket.AF_INET6)
        each.detach()  # it is not ours to close
    return count


def _threads() -> int:
    return len(_listed("task"))


def _listed(kind: str) -> list[str]:
    folder = f"/proc/self/{kind}"
    return os.listdir(folder) if os.path.isdir(folder) else []

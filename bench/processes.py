"""A measurement by several processes at once, as of a service with several workers: started together, begun
together once all are warm, and told as one.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.meter import percentile_ms
from bench.workload import Job

Sample = dict[str, Any]


def run(job: Job, ask: Callable[[Job], Sample]) -> Sample:
    """The sample of all processes of the job's workload. `ask` starts one, and returns what it measured.

    Raises:
        RuntimeError: one failed.
    """
    with tempfile.TemporaryDirectory() as meeting, ThreadPoolExecutor(job.workload.processes) as pool:
        return together(list(pool.map(ask, _shares(job, meeting))))


def together(samples: Sequence[Sample]) -> Sample:
    """One sample of those that were measured at the same time: sums, percentiles of all, and the time from
    the first's beginning to the last's end; so where some began late the rate is rather told too low.
    `together_s` is how long all of them measured.
    """
    begin = min(sample["begin"] for sample in samples)
    ends = [sample["begin"] + sample["elapsed_s"] for sample in samples]
    latencies = sorted(each / 1000 for sample in samples for each in sample["latencies_ms"])
    sums = {name: sum(sample[name] for sample in samples) for name in ("count", "cpu_s", "acked_records", "sockets", "threads")}
    return {
        **samples[0],
        **sums,
        "begin": begin,
        "elapsed_s": max(ends) - begin,
        "together_s": min(ends) - max(sample["begin"] for sample in samples),
        "p50_ms": percentile_ms(latencies, 50),
        "p99_ms": percentile_ms(latencies, 99),
        "latencies_ms": None,
    }


def _shares(job: Job, meeting: str) -> list[Job]:
    shape = job.workload
    shares = [shape.workers // shape.processes + (number < shape.workers % shape.processes) for number in range(shape.processes)]
    return [dataclasses.replace(job, workload=dataclasses.replace(shape, workers=share), meeting=meeting) for share in shares]

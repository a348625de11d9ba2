"""klife with a thread of its own (`run_in="thread"`): plain threads share a client, as in programs without
gevent.
"""

from __future__ import annotations

from functools import partial

from bench.contestants import klife
from bench.contestants.klife import COMPILED, WORKERS, also
from bench.contestants.threads import run_workers
from bench.meter import Meter, Sample
from bench.workload import Job
from klife import Client

__all__ = ["COMPILED", "DISTRIBUTIONS", "DRIVEN", "SETTINGS", "also", "run"]

DISTRIBUTIONS = klife.DISTRIBUTIONS
DRIVEN = "N threads share one Client, which has a thread of its own; no hub runs in theirs. Else as klife."
SETTINGS = {**klife.SETTINGS, "run_in": "thread"}


def run(job: Job) -> Sample:
    meter = Meter(job)
    options = {
        **SETTINGS,
        **job.security,
        "compression_type": job.workload.compression,
        "compression_level": job.workload.level,
    }
    with Client.start(job.bootstrap_servers, **options) as client:
        run_workers(meter, partial(WORKERS[job.workload.style], client, meter, job), job.workload.workers)
        client.flush(60)
    return meter.sample()

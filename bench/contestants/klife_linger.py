"""klife that waits 5 ms for more records, as librdkafka does by default; else as klife. At a given rate records
that wait share a request, so it stands beside `confluent-defaults`.
"""

from __future__ import annotations

from bench.contestants import klife
from bench.contestants.klife import COMPILED, also
from bench.meter import Sample
from bench.workload import Job

__all__ = ["COMPILED", "DISTRIBUTIONS", "DRIVEN", "SETTINGS", "also", "run"]

DISTRIBUTIONS = klife.DISTRIBUTIONS
DRIVEN = "It waits 5 ms for more records, as librdkafka does by default. Else as klife."
SETTINGS = {**klife.SETTINGS, "linger_ms": 5}


def run(job: Job) -> Sample:
    return klife.run(job, linger_ms=SETTINGS["linger_ms"])

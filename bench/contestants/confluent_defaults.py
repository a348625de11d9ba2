"""confluent-kafka as its maker ships it: librdkafka's defaults, driven as the one with the settings that all
share.

So it waits 5 ms for more records, takes batches of a million bytes, keeps any number of requests in flight
and, as nobody asks it to be idempotent, does not number its batches.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.contestants import confluent
from bench.contestants.confluent import also
from bench.meter import Sample
from bench.workload import Job

__all__ = ["DISTRIBUTIONS", "DRIVEN", "SETTINGS", "also", "run"]

DISTRIBUTIONS = confluent.DISTRIBUTIONS
DRIVEN = (
    "No setting at all: librdkafka's own are `acks=all`, `linger.ms=5`, `batch.size=1000000`, a million requests in flight, and "
    "no idempotence. Driven as confluent-kafka."
)
SETTINGS: Mapping[str, str | int | bool] = {}


def run(job: Job) -> Sample:
    return confluent.run(job, SETTINGS)

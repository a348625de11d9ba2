"""klife with the hooks that feed Prometheus, else as klife: what metrics cost."""

from __future__ import annotations

from bench.contestants import klife
from bench.contestants.klife import COMPILED, also
from bench.meter import Sample
from bench.workload import Job
from klife.metrics.prometheus import PrometheusHooks

__all__ = ["COMPILED", "DISTRIBUTIONS", "DRIVEN", "SETTINGS", "also", "run"]

DISTRIBUTIONS = (*klife.DISTRIBUTIONS, "prometheus-client")
DRIVEN = "With `hooks=[PrometheusHooks()]`. Else as klife."
SETTINGS = klife.SETTINGS


def run(job: Job) -> Sample:
    return klife.run(job, hooks=[PrometheusHooks()])

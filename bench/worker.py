"""A measurement's own process: a job as JSON on standard input, its sample as JSON on standard output.

`python -m bench.worker NAME` instead prints what the contestant is: versions, settings, and how it is driven.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import sys
from importlib.metadata import version

from bench import contestants
from bench.ticking import Control
from bench.workload import Job, Workload


def describe(name: str) -> dict[str, object]:
    contestant = contestants.load(name)
    return {
        "versions": {distribution: version(distribution) for distribution in contestant.DISTRIBUTIONS}
        | getattr(contestant, "also", dict)(),
        "settings": dict(contestant.SETTINGS),
        "driven": contestant.DRIVEN,
        # Only klife comes in two builds; for others it is None.
        "compiled": getattr(contestant, "COMPILED", None),
    }


def run(text: str) -> dict[str, object]:
    fields = json.loads(text)
    job = Job(**{**fields, "workload": Workload(**fields["workload"])})
    contestant = contestants.load(job.contestant)
    # What the imports left is visited by each full collection, for 15 to 30 ms: no client's doing, and
    # services take it out like this.
    gc.collect()
    gc.freeze()
    if not job.workload.ticking:
        return dataclasses.asdict(contestant.run(job))
    with Control() as control:
        sample = contestant.run(job)
    longest = control.longest(sample.begin, sample.begin + sample.elapsed_s)
    return {**dataclasses.asdict(sample), "control_gap_ms": longest * 1000}


if __name__ == "__main__":
    print(json.dumps(describe(sys.argv[1]) if len(sys.argv) > 1 else run(sys.stdin.read())))

"""Results made up for tests."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench import machine
from bench.scenarios import SCENARIOS
from bench.workload import Workload


def workload(scenario: str, case: str) -> Workload:
    (found,) = [each for each in SCENARIOS[scenario].workloads if each.case == case]
    return found


SYNC = workload("sync", "N=16")


def sample(contestant: str, count: int, *, of: Workload = SYNC, target: str = "mock", **fields: Any) -> dict[str, Any]:
    """`count` iterations or records in 2 s, at 1 s of CPU time."""
    return {
        "run": 0,
        "round": 0,
        "target": target,
        "contestant": contestant,
        "workload": asdict(of),
        "count": count,
        "elapsed_s": 2.0,
        "cpu_s": 1.0,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "gap_p999_ms": None,
        "gap_max_ms": None,
        "acked_records": 3 * count,
        "begin": 0.0,
        "sockets": 4,
        "threads": 2,
        **fields,
    }


def result(*samples: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """klife was compiled, klife-pure was not."""
    contestants = {
        entry["contestant"]: {
            "versions": {"some-client": "1.0"},
            "settings": {"acks": "all"},
            "driven": "By threads.",
            "compiled": {"klife": True, "klife-pure": False}.get(entry["contestant"]),
        }
        for entry in samples
    }
    return {
        "runs": [{"taken_at": "2026-01-01T00:00:00Z", "machine": machine.facts(), "rounds": 3, "seconds": 4.0, "warmup_s": 2.0}],
        "contestants": contestants,
        "samples": list(samples),
        "failures": [],
        **fields,
    }

"""Runs the measurements, interleaved: every contestant meets the same minutes of a machine that is never quiet.

A round takes each workload on each target once per contestant, back to back, in an order that rotates from round to round. Each
measurement is a process of its own. After it the logs must have grown by exactly what the contestant counted as acknowledged: a
client that loses, doubles or miscounts records has no figures.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from bench import machine
from bench.targets import Target, TargetName, open_target
from bench.workload import Job, Workload

_ROOT = Path(__file__).resolve().parent.parent
# Beyond warm-up and measurement: importing, connecting, draining.
_GRACE_S = 45


@dataclass(frozen=True)
class Plan:
    """What to measure. `broker_warmup_s` is load on a real cluster before the first measurement: a cold JVM is ten times slower."""

    contestants: Sequence[str]
    targets: Sequence[TargetName]
    workloads: Sequence[Workload]
    rounds: int
    seconds: float
    warmup_s: float
    broker_warmup_s: float


def describe(contestant: str) -> dict[str, Any]:
    """Versions, settings and driving of a contestant. Raises RuntimeError where it cannot be loaded, with what its process said."""
    return _worker([contestant], "", timeout=_GRACE_S)


def run(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Carry out the plan and return the result as written to JSON: the machine, the contestants, every sample and every failure."""
    machine_facts = machine.facts()
    described = {contestant: describe(contestant) for contestant in plan.contestants}
    samples: list[dict[str, Any]] = []
    failures: list[str] = []
    with ExitStack() as stack:
        targets = [stack.enter_context(open_target(name, plan.workloads[0])) for name in plan.targets]
        for target in targets:
            if target.name == "cluster" and plan.broker_warmup_s:
                say(f"warming up the brokers for {plan.broker_warmup_s:g} s")
                _warm_up(target, plan.broker_warmup_s)
        for round_, target, workload in product(range(plan.rounds), targets, plan.workloads):
            for contestant in _rotated(plan.contestants, round_):
                name = f"round {round_ + 1}/{plan.rounds}: {target.name}, {workload.name}, {contestant}"
                try:
                    sample = _measure(plan, target, workload, contestant)
                except RuntimeError as error:
                    # One failure does not throw away what an hour has measured; it is reported with it.
                    failures.append(f"{name}: {error}")
                    say(failures[-1])
                    continue
                samples.append({"round": round_, "target": target.name, "contestant": contestant, **sample})
                say(f"{name}: {sample['count'] / sample['elapsed_s']:,.0f} {workload.unit}/s")
    return {
        "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine_facts,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "warmup_s": plan.warmup_s,
        "contestants": described,
        "samples": samples,
        "failures": failures,
    }


def _measure(plan: Plan, target: Target, workload: Workload, contestant: str) -> dict[str, Any]:
    target.make_room()
    before = target.records_in_logs()
    sample = _run_job(target, contestant, workload, plan.warmup_s, plan.seconds)
    written = target.records_in_logs() - before
    if written != sample["acked_records"]:
        raise RuntimeError(
            f"{contestant}, {workload.name} on the {target.name}: {sample['acked_records']} records were acknowledged, "
            f"and the logs grew by {written}"
        )
    return {"workload": dataclasses.asdict(workload), **sample}


def _run_job(target: Target, contestant: str, workload: Workload, warmup_s: float, seconds: float) -> dict[str, Any]:
    job = Job(contestant, workload, target.name, target.bootstrap_servers, target.topics, warmup_s, seconds)
    return _worker([], json.dumps(dataclasses.asdict(job)), timeout=warmup_s + seconds + _GRACE_S)


def _warm_up(target: Target, seconds: float) -> None:
    for workload in (Workload("async", 4), Workload("sync", 16)):
        _run_job(target, "confluent-kafka", workload, 0, seconds / 2)


def _worker(arguments: list[str], text: str, timeout: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.worker", *arguments]
    try:
        done = subprocess.run(command, cwd=_ROOT, input=text, capture_output=True, text=True, timeout=timeout, check=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip()
        raise RuntimeError(f"{said.splitlines()[-1]}\n{said}\nIts job was {text}") from None
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode().strip()
        raise RuntimeError(f"it did not end within {timeout:g} s\n{said}\nIts job was {text}") from None
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _rotated(contestants: Sequence[str], round_: int) -> list[str]:
    start = round_ % len(contestants)
    return [*contestants[start:], *contestants[:start]]

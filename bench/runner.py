"""Runs the measurements, interleaved: every contestant meets the same minutes of a machine that is never
quiet.

A round takes each case once with each of its contestants, back to back, in an order that rotates from case to
case and from round to round. Each measurement is a process of its own. After it the logs must have grown by
exactly what the contestant counted as acknowledged: a client that loses, doubles or miscounts records has no
figures.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from bench import contestants, machine, process
from bench.contestants import NAMES
from bench.scenarios import SCENARIOS, Case
from bench.targets import Target, Targets
from bench.workload import Job, Workload

# Beyond warm-up and measurement: importing, connecting, draining.
_GRACE_S = 45
_MARKERS_S = 10
# The load that brokers are warmed up with, and its share of the time: as much as they get, then many small
# requests, then single ones.
_WARM_UP = (
    ("confluent-kafka", SCENARIOS["async"].workloads[-1], 0.2),
    ("aiokafka", SCENARIOS["sync"].workloads[4], 0.4),
    ("aiokafka", SCENARIOS["sync"].workloads[0], 0.4),
)

Result = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What to measure. `broker_warmup_s` is load on a real cluster before the first measurement: a cold JVM
    is ten times slower.
    """

    cases: Sequence[Case]
    rounds: int
    seconds: float
    warmup_s: float
    broker_warmup_s: float
    folders: Mapping[str, Path] = field(default_factory=dict)

    @property
    def contestants(self) -> list[str]:
        named = dict.fromkeys(name for case in self.cases for name in case.contestants)
        return sorted(named, key=lambda name: NAMES.index(contestants.of(name)))


def describe(contestant: str, folders: Mapping[str, Path]) -> Result:
    """Versions, settings and driving of a contestant. Raises RuntimeError where it cannot be loaded, with
    what its process said.
    """
    return process.ask(contestant, [contestant], "", _GRACE_S, folders)


def run(plan: Plan, say: Callable[[str], None], save: Callable[[Result], None]) -> Result:
    """Carry out the plan and return the result as written to JSON: the machine, the contestants, every sample
    and every failure.

    `save` gets what there is after each round, so that who ends a long run early has the rounds before.
    """
    result: Result = {
        "runs": [
            {
                "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "machine": machine.facts(),
                "rounds": 0,
                "seconds": plan.seconds,
                "warmup_s": plan.warmup_s,
            }
        ],
        "contestants": {contestant: describe(contestant, plan.folders) for contestant in plan.contestants},
        "samples": [],
        "failures": [],
    }

    def warm_up(target: Target) -> None:
        if plan.broker_warmup_s:
            say(f"warming up the brokers for {plan.broker_warmup_s:g} s")
            for contestant, workload, share in _WARM_UP:
                _run_job(target, contestant, workload, 0, plan.broker_warmup_s * share, {})

    with Targets(warm_up, sorted({"PLAINTEXT", *(case.workload.listener for case in plan.cases)})) as targets:
        for round_, (place, case) in product(range(plan.rounds), enumerate(plan.cases)):
            for contestant in _rotated(case.contestants, round_ + place):
                _take(plan, targets, case, contestant, round_, result, say)
            if case is plan.cases[-1]:
                result["runs"][0]["rounds"] = round_ + 1
                save(result)
    return result


def _take(plan: Plan, targets: Targets, case: Case, contestant: str, round_: int, result: Result, say: Callable[[str], None]) -> None:
    workload = case.workload
    which = {"run": 0, "round": round_, "target": case.target, "contestant": contestant, "workload": dataclasses.asdict(workload)}
    name = f"round {round_ + 1}/{plan.rounds}: {case.target}, {workload.name}, {contestant}"
    try:
        sample = _measure(plan, targets.get(case.target, workload), workload, contestant)
    except Exception as error:  # whatever it is: one failure does not throw away what an hour has measured; it is reported with it
        result["failures"].append({**which, "error": str(error)})
        say(f"{name}: {error}")
        return
    result["samples"].append({**which, **sample})
    say(f"{name}: {sample['count'] / sample['elapsed_s']:,.0f} {workload.unit}/s")


def _measure(plan: Plan, target: Target, workload: Workload, contestant: str) -> Result:
    before = target.records_in_logs()
    sample = _run_job(target, contestant, workload, plan.warmup_s, plan.seconds, plan.folders)
    # A transaction has one record in each of its partitions, and there its marker behind it.
    marked = workload.style == "transaction"
    expected = sample["acked_records"] * (2 if marked else 1)
    written = _grown(target, before, expected if marked else 0)
    target.make_room(written * (workload.value_bytes + workload.key_bytes))
    if written != expected:
        raise RuntimeError(
            f"{contestant}, {workload.name} on the {target.name}: {sample['acked_records']} records were acknowledged, "
            f"and the logs grew by {written}{' with the markers' if marked else ''}"
        )
    return sample


def _grown(target: Target, before: int, at_least: int) -> int:
    """By how much the logs grew. Markers are written after the commit is answered: they are waited for."""
    deadline = time.monotonic() + _MARKERS_S
    while (grown := target.records_in_logs() - before) < at_least and time.monotonic() < deadline:
        time.sleep(0.1)
    return grown


def _run_job(
    target: Target, contestant: str, workload: Workload, warmup_s: float, seconds: float, folders: Mapping[str, Path]
) -> Result:
    where, security = target.bootstrap_servers_for(workload.listener), target.security_for(workload.listener)
    job = Job(contestant, workload, target.name, where, target.topics, target.idle_topics, warmup_s, seconds, security)
    return process.ask(contestant, [], json.dumps(dataclasses.asdict(job)), warmup_s + seconds + _GRACE_S, folders)


def _rotated(contestants: Sequence[str], by: int) -> list[str]:
    start = by % len(contestants)
    return [*contestants[start:], *contestants[:start]]

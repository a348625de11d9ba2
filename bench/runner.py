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
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from bench import machine
from bench.contestants import ENTRIES
from bench.scenarios import SCENARIOS, Case
from bench.targets import Target, Targets
from bench.workload import Job, Workload

_ROOT = Path(__file__).resolve().parent.parent
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

    @property
    def contestants(self) -> list[str]:
        return [name for name in ENTRIES if any(name in case.contestants for case in self.cases)]


def describe(contestant: str) -> Result:
    """Versions, settings and driving of a contestant. Raises RuntimeError where it cannot be loaded, with
    what its process said.
    """
    return _worker(contestant, [contestant], "", timeout=_GRACE_S)


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
        "contestants": {contestant: describe(contestant) for contestant in plan.contestants},
        "samples": [],
        "failures": [],
    }

    def warm_up(target: Target) -> None:
        if plan.broker_warmup_s:
            say(f"warming up the brokers for {plan.broker_warmup_s:g} s")
            for contestant, workload, share in _WARM_UP:
                _run_job(target, contestant, workload, 0, plan.broker_warmup_s * share)

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
    sample = _run_job(target, contestant, workload, plan.warmup_s, plan.seconds)
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


def _run_job(target: Target, contestant: str, workload: Workload, warmup_s: float, seconds: float) -> Result:
    where, security = target.bootstrap_servers_for(workload.listener), target.security_for(workload.listener)
    job = Job(contestant, workload, target.name, where, target.topics, target.idle_topics, warmup_s, seconds, security)
    return _worker(contestant, [], json.dumps(dataclasses.asdict(job)), timeout=warmup_s + seconds + _GRACE_S)


def _worker(contestant: str, arguments: list[str], text: str, timeout: float) -> Result:
    command = [sys.executable, "-m", "bench.worker", *arguments]
    # Which build of klife is measured is the contestant's to say.
    inherited = {name: value for name, value in os.environ.items() if name != "KLIFE_PURE"}
    environment = {**inherited, **ENTRIES[contestant].environment}
    try:
        done = subprocess.run(
            command, cwd=_ROOT, env=environment, input=text, capture_output=True, text=True, timeout=timeout, check=True
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"it ended with exit code {error.returncode}, and said nothing"
        raise RuntimeError(f"{said.splitlines()[-1]}\n{said}\nIts job was {_shortened(text)}") from None
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode().strip()
        raise RuntimeError(f"it did not end within {timeout:g} s\n{said}\nIts job was {_shortened(text)}") from None
    answer: Result = json.loads(done.stdout.splitlines()[-1])
    return answer


def _shortened(text: str) -> str:
    return text if len(text) < 2000 else f"{text[:2000]}…"


def _rotated(contestants: Sequence[str], by: int) -> list[str]:
    start = by % len(contestants)
    return [*contestants[start:], *contestants[:start]]

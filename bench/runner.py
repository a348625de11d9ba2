"""Runs the measurements, interleaved: every contestant meets the same minutes of a machine that is never
quiet.

A round takes each case once (or as often as its scenario says) with each of its contestants, back to back, in
an order that rotates from case to case and from round to round. One cluster has all its rounds before the next
is started, so that none is there beside another. Each measurement is a process of its own. After it the logs must have grown by
exactly what the contestant counted as acknowledged: a client that loses, doubles or miscounts records has no
figures.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from bench import contestants, load, machine, process, processes
from bench.contestants import NAMES
from bench.scenarios import LONGER, SCENARIOS, Case, kinds
from bench.targets import Target, Targets
from bench.workload import Job, Workload

# Beyond warm-up and measurement: importing, connecting, draining.
_GRACE_S = 75
_MARKERS_S = 10
# Warming up by transactions: how long each contestant commits in a pass; by how much a pass's rate must exceed
# that of the best before for the brokers to be still getting warm; and how many passes in a row that do not are
# enough. Java compiles in steps: one pass without a rise is not the end of them.
_PASS_S, _RISE, _LEVEL = 3.0, 1.05, 3
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
    is ten times slower. Where transactions are measured it is transactions as well, until their rate has stopped rising.
    """

    cases: Sequence[Case]
    rounds: int
    seconds: float
    warmup_s: float
    broker_warmup_s: float
    folders: Mapping[str, Path] = field(default_factory=dict)
    most_s: float | None = None
    """No measurement begins later than this after the first; what there is by then is the result."""

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
            _warm_up(plan, target, say)

    began = time.monotonic()
    try:
        for target in dict.fromkeys(case.target for case in plan.cases):
            cases = [case for case in plan.cases if case.target == target]
            with Targets(warm_up, sorted({"PLAINTEXT", *(case.workload.listener for case in cases)})) as targets:
                for round_ in range(plan.rounds):
                    _round(plan, targets, cases, round_, result, say, began)
                    result["runs"][0]["rounds"] = max(result["runs"][0]["rounds"], round_ + 1)
                    save(result)
    except _OutOfTime:
        say("the time is over: what was measured is the result")
        save(result)
    return result


class _OutOfTime(Exception):
    pass


def _warm_up(plan: Plan, target: Target, say: Callable[[str], None]) -> None:
    """Load on a new cluster, of the kinds that will be measured there: what brokers do for a transaction they do
    for nothing else.
    """
    transactions, others = kinds([case for case in plan.cases if case.target == target.name])
    if others:
        say(f"warming up the brokers for {plan.broker_warmup_s:g} s")
        for contestant, workload, share in _WARM_UP:
            _run_job(target, contestant, workload, 0, plan.broker_warmup_s * share, {})
    if transactions:
        say(f"warming up the brokers by transactions, for {plan.broker_warmup_s * LONGER:g} s at most")
        _warm_up_by(plan, target, max(transactions, key=lambda case: case.workload.workers), say)


def _warm_up_by(plan: Plan, target: Target, case: Case, say: Callable[[str], None]) -> None:
    """All contestants, in turn and for the same time each, until their rate has stopped rising."""
    passes = replace(plan, warmup_s=0, seconds=_PASS_S)
    until, best, level = time.monotonic() + plan.broker_warmup_s * LONGER, 0.0, 0
    for number in count():
        samples = [_measure(passes, target, case.workload, each) for each in _rotated(case.contestants, number)]
        rate = sum(sample["count"] for sample in samples) / sum(sample["elapsed_s"] for sample in samples)
        say(f"  {rate:,.0f} {case.workload.unit}/s")
        level = level + 1 if rate < best * _RISE else 0
        best = max(best, rate)
        if level == _LEVEL or time.monotonic() > until:
            return


def _round(
    plan: Plan, targets: Targets, cases: Sequence[Case], round_: int, result: Result, say: Callable[[str], None], began: float
) -> None:
    for place, case in enumerate(cases):
        repeats = SCENARIOS[case.workload.scenario].repeats
        for number in range(round_ * repeats, (round_ + 1) * repeats):
            for contestant in _rotated(case.contestants, number + place):
                if plan.most_s is not None and time.monotonic() - began > plan.most_s:
                    raise _OutOfTime
                _take(plan, targets, case, contestant, number, result, say)


def _take(plan: Plan, targets: Targets, case: Case, contestant: str, round_: int, result: Result, say: Callable[[str], None]) -> None:
    workload = case.workload
    which = {"run": 0, "round": round_, "target": case.target, "contestant": contestant, "workload": dataclasses.asdict(workload)}
    rounds = plan.rounds * SCENARIOS[workload.scenario].repeats
    name = f"round {round_ + 1}/{rounds}: {case.target}, {workload.name}, {contestant}"
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
    found = load.read()
    sample = _run_job(target, contestant, workload, plan.warmup_s, plan.seconds, plan.folders)
    others = load.others(found, load.read())
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
    return {**sample, "load": load.average(), "others": others}


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
    whole = Job(contestant, workload, target.name, where, target.topics, target.idle_topics, warmup_s, seconds, security)

    def ask(job: Job) -> Result:
        return process.ask(contestant, [], json.dumps(dataclasses.asdict(job)), warmup_s + seconds + _GRACE_S, folders)

    return processes.run(whole, ask) if workload.processes > 1 else ask(whole)


def _rotated(contestants: Sequence[str], by: int) -> list[str]:
    start = by % len(contestants)
    return [*contestants[start:], *contestants[:start]]

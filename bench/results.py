"""Results as values: several runs put together, and the samples of a case.

A result has `runs` (when, on what machine, how long), `contestants` (versions, settings, driving), `samples`
and `failures`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.workload import Workload

Result = dict[str, Any]
Place = tuple[str, Workload]
"""A target's name and a workload on it."""

# Of the machine's facts those that must be the same for figures to stand side by side.
_SAME_MACHINE = ("processor", "cores", "system", "python", "kafka", "java")


def combined(results: Sequence[Result]) -> Result:
    """Several partial runs as one result; their samples keep apart which run they are of.

    Raises:
        ValueError: they are of different machines, or of different versions or settings of a contestant.
    """
    whole: Result = {"runs": [], "contestants": {}, "samples": [], "failures": []}
    for result in results:
        for run in result["runs"]:
            for fact in _SAME_MACHINE if whole["runs"] else ():
                first, other = whole["runs"][0]["machine"][fact], run["machine"][fact]
                if first != other:
                    raise ValueError(f"these runs are of different machines: {fact} is {first!r} and {other!r}")
        for name, entry in result["contestants"].items():
            if whole["contestants"].setdefault(name, entry) != entry:
                raise ValueError(f"{name} had other versions or settings in one of these runs: measure it again")
        offset = len(whole["runs"])
        whole["runs"] += result["runs"]
        for kind in ("samples", "failures"):
            whole[kind] += [{**entry, "run": entry["run"] + offset} for entry in result[kind]]
    return whole


def places(result: Result) -> list[Place]:
    """Each target with each workload that was measured there, in order."""
    entries = [*result["samples"], *result["failures"]]
    return list(dict.fromkeys((entry["target"], Workload(**entry["workload"])) for entry in entries))


def samples_of(result: Result, place: Place, contestant: str) -> list[Result]:
    return [sample for sample in result["samples"] if sample["contestant"] == contestant and _is_at(sample, place)]


def failed(result: Result, place: Place, contestant: str) -> bool:
    return any(entry["contestant"] == contestant and _is_at(entry, place) for entry in result["failures"])


def median_of(samples: Iterable[Result], value: Callable[[Result], float]) -> float:
    return median(map(value, samples))


def by_round(result: Result, place: Place, contestant: str, value: Callable[[Result], float]) -> dict[tuple[int, int], float]:
    """A contestant's values by run and round."""
    return {(sample["run"], sample["round"]): value(sample) for sample in samples_of(result, place, contestant)}


def ratio(result: Result, place: Place, value: Callable[[Result], float], of: str, to: str, there: Place | None = None) -> float | None:
    """How many times `to`'s median, at another place if there is one, is in `of`'s, over the runs that measured
    both; None where none did.
    """
    mine, theirs = samples_of(result, place, of), samples_of(result, there or place, to)
    runs = {sample["run"] for sample in mine} & {sample["run"] for sample in theirs}
    if not runs:
        return None
    medians = [median_of((sample for sample in samples if sample["run"] in runs), value) for samples in (mine, theirs)]
    return medians[0] / medians[1] if medians[1] else None


def write(result: Result, path: Path) -> None:
    """As JSON, a line for each sample."""
    lines = {key: ",\n".join(json.dumps(entry) for entry in result[key]) for key in ("runs", "samples", "failures")}
    contestants = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in result["contestants"].items())
    path.write_text(
        f'{{"runs": [\n{lines["runs"]}\n],\n"contestants": {{\n{contestants}\n}},\n'
        f'"samples": [\n{lines["samples"]}\n],\n"failures": [\n{lines["failures"]}\n]}}\n'
    )


def _is_at(entry: Result, place: Place) -> bool:
    return bool(entry["target"] == place[0] and Workload(**entry["workload"]) == place[1])

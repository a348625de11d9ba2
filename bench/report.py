"""Results as Markdown: tables that read as well on a terminal, and the section of README.md that they replace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.page import aligned, replace_figures
from bench.workload import Workload

REFERENCE = "klife"
TARGET_TITLES = {"mock": "librdkafka's mock cluster", "cluster": "three real brokers"}

Result = dict[str, Any]
Figure = Callable[[Result], float]


def rate(sample: Result) -> float:
    """Iterations or records a second."""
    return float(sample["count"] / sample["elapsed_s"])


def cpu_us(sample: Result) -> float:
    """CPU time of the client's process in µs per iteration or record; for records, that is seconds per million."""
    return float(sample["cpu_s"] / sample["count"] * 1e6)


def cases(result: Result) -> list[tuple[str, Workload]]:
    """Each target with each workload, in the order they were measured."""
    return list(dict.fromkeys((sample["target"], Workload(**sample["workload"])) for sample in result["samples"]))


def contestants(result: Result) -> list[str]:
    return list(result["contestants"])


def samples_of(result: Result, target: str, workload: Workload, contestant: str) -> list[Result]:
    return [
        sample
        for sample in result["samples"]
        if (sample["target"], sample["contestant"]) == (target, contestant) and Workload(**sample["workload"]) == workload
    ]


def markdown(result: Result) -> str:
    """The whole report: what it was measured on, a table for each target and mode, and the settings."""
    parts = [_conditions(result)]
    for target, mode in dict.fromkeys((target, workload.mode) for target, workload in cases(result)):
        workloads = [workload for on, workload in cases(result) if on == target and workload.mode == mode]
        parts.append(f"### {TARGET_TITLES[target]}, {mode}\n\n{_table(result, target, workloads)}")
    if result["failures"]:
        parts.append("### Failures\n\n" + "\n".join(f"- {failure.splitlines()[0]}" for failure in result["failures"]))
    parts.append(_settings(result))
    return "\n\n".join(parts) + "\n"


def write_readme(result: Result, readme: Path, plot: str) -> None:
    """Replace the marked section of `readme` with this result and a reference to its plot.

    Raises:
        ValueError: the file has no such section.
    """
    replace_figures(readme, f"![The medians and ranges as a plot]({plot})\n\n{markdown(result)}".rstrip())


def _conditions(result: Result) -> str:
    facts = result["machine"]
    versions = {name: number for entry in result["contestants"].values() for name, number in entry["versions"].items()}
    return (
        f"Taken {result['taken_at']} on {facts['processor']}, {facts['cores']} cores, {facts['memory']}, {facts['system']} "
        f"(load average before: {facts['load_before']}), {facts['python']}; "
        f"{', '.join(f'{name} {number}' for name, number in versions.items())}. Rounds, interleaved: "
        f"{result['rounds']}. Each measurement: {result['seconds']:g} s after {result['warmup_s']:g} s of warm-up. "
        "Medians; ranges in brackets."
    )


def _table(result: Result, target: str, workloads: Sequence[Workload]) -> str:
    mode, unit = workloads[0].mode, workloads[0].unit
    with_ratio = REFERENCE in contestants(result)
    header = ["N", "client", f"{unit}/s"]
    header += [f"{REFERENCE} is ×"] if with_ratio else []
    header += ["p50 ms", "p99 ms", "CPU µs / iteration"] if mode == "sync" else ["CPU s / million records"]
    rows: list[list[str]] = []
    for workload in workloads:
        reference = samples_of(result, target, workload, REFERENCE)
        for contestant in contestants(result):
            samples = samples_of(result, target, workload, contestant)
            if not samples:
                rows.append([str(workload.workers), contestant, "failed", *[""] * (len(header) - 3)])
                continue
            row = [str(workload.workers), contestant, _spread(samples, rate, 0)]
            if with_ratio:
                row.append(
                    "" if contestant == REFERENCE or not reference else f"{_median(reference, rate) / _median(samples, rate):.2f}"
                )
            if mode == "sync":
                row += [_spread(samples, _field("p50_ms"), 2), _spread(samples, _field("p99_ms"), 2)]
            row.append(_spread(samples, cpu_us, 0 if mode == "sync" else 2))
            rows.append(row)
    return aligned([header, *rows], names=2)


def _settings(result: Result) -> str:
    lines = ["### Settings"]
    for contestant, entry in result["contestants"].items():
        settings = ", ".join(f"`{name}={value}`" for name, value in entry["settings"].items())
        lines.append(f"- **{contestant}**: {settings}. {entry['driven']}")
    return lines[0] + "\n\n" + "\n".join(lines[1:])


def _field(name: str) -> Figure:
    return lambda sample: float(sample[name])


def _median(samples: list[Result], figure: Figure) -> float:
    return median(map(figure, samples))


def _spread(samples: list[Result], figure: Figure, digits: int) -> str:
    """The median, and the range where there is more than one sample."""
    values = [figure(sample) for sample in samples]
    text = f"{median(values):,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"

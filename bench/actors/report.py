"""The result as Markdown: what it was measured on, a table by processor time and one by the clock, and how
each was driven.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from bench.actors.measures import BURST, CHILDREN
from bench.page import aligned

Result = dict[str, Any]

# What a column shows of the seconds that one took: heading, measure, figure.
COLUMNS: list[tuple[str, str, Callable[[float], str]]] = [
    ("tell, µs", "tell", lambda seconds: f"{seconds * 1e6:.2f}"),
    ("tell + handle, µs", "tell + handle", lambda seconds: f"{seconds * 1e6:.2f}"),
    ("ask, µs", "ask", lambda seconds: f"{seconds * 1e6:.2f}"),
    (f"start of {CHILDREN:,}, ms", "start a child", lambda seconds: f"{seconds * CHILDREN * 1e3:.1f}"),
    ("a restart, µs", "restart", lambda seconds: f"{seconds * 1e6:.0f}"),
    ("storm, restarts/s", "restart, in a storm", lambda seconds: f"{1 / seconds:,.0f}"),
]


def markdown(result: Result) -> str:
    """The whole report."""
    facts = result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return "\n\n".join(
        [
            f"Taken {result['taken_at']} on {facts['processor']}, {facts['cores']} cores, {facts['system']} (load average before: "
            f"{facts['load_before']}), {facts['python']}; {versions}. Medians of {result['rounds']} interleaved rounds, each in a "
            f"process of its own; ranges in brackets. tell + handle: in bursts of {BURST}.",
            f"### By the processor's time\n\n{_table(result, 'cpu_s')}",
            f"### By the clock\n\n{_table(result, 'wall_s')}",
            "### Driven\n\n" + "\n".join(f"- **{name}**: {driven}." for name, driven in result["contestants"].items()),
        ]
    )


def _table(result: Result, time: str) -> str:
    rows = [["", *(heading for heading, _, _ in COLUMNS)]]
    rows += [[name, *(_cell(result, name, measure, figure, time) for _, measure, figure in COLUMNS)] for name in result["contestants"]]
    return aligned(rows, names=1)


def _cell(result: Result, contestant: str, measure: str, figure: Callable[[float], str], time: str) -> str:
    seconds = sorted(
        sample[time] / sample["count"]
        for sample in result["samples"]
        if (sample["contestant"], sample["measure"]) == (contestant, measure)
    )
    if not seconds:
        return ""
    text = figure(median(seconds))
    if len(seconds) == 1:
        return text
    ends = sorted((figure(seconds[0]), figure(seconds[-1])), key=lambda end: float(end.replace(",", "")))
    return f"{text} ({ends[0]}-{ends[1]})"

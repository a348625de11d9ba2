"""What is shown of a sample: a number with its unit, and which way is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Sample = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """`values` gives what a table's cell shows of a sample; the first of them is the one that is drawn and
    compared.
    """

    title: Callable[[str], str]
    values: Callable[[Sample], tuple[float, ...]]
    digits: int
    more_is_better: bool = False

    def value(self, sample: Sample) -> float:
        return self.values(sample)[0]


def rate(sample: Sample) -> float:
    """Iterations or records a second."""
    return float(sample["count"] / sample["elapsed_s"])


def cpu_us(sample: Sample) -> float:
    """CPU time of the client's process in µs per iteration or record; for records, that is seconds per
    million.
    """
    return float(sample["cpu_s"] / sample["count"] * 1e6)


def p99_ms(sample: Sample) -> float:
    """Of an iteration or a record."""
    return float(sample["p99_ms"])


def longest_gap_ms(sample: Sample) -> float:
    """How late the neighbour was woken at the worst."""
    return float(sample["gap_max_ms"])


def gap_over_control_ms(sample: Sample) -> float:
    """The same, without what a process that does nothing else saw."""
    return float(sample["gap_max_ms"] - sample["control_gap_ms"])


def sockets(sample: Sample) -> float:
    """TCP connections that the client had open."""
    return float(sample["sockets"])


FIGURES: dict[str, Figure] = {
    "rate": Figure(lambda unit: f"{unit} a second", lambda sample: (rate(sample),), 0, more_is_better=True),
    "cpu": Figure(
        lambda unit: "client CPU, s per million records" if unit == "records" else f"client CPU, µs per {unit[:-1]}",
        lambda sample: (cpu_us(sample),),
        2,
    ),
    "latency": Figure(lambda _unit: "latency in ms, p99 [p50]", lambda sample: (p99_ms(sample), sample["p50_ms"]), 2),
    "footprint": Figure(lambda _unit: "TCP connections [threads]", lambda sample: (sockets(sample), sample["threads"]), 0),
    "gap": Figure(
        lambda _unit: "woken late by ms, longest [p99.9; beside it, longest]",
        lambda sample: (longest_gap_ms(sample), sample["gap_p999_ms"], sample["control_gap_ms"]),
        1,
    ),
}

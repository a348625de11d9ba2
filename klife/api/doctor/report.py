"""`DoctorReport`: what was checked, what came of it, and what to do: a frozen value that prints as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_HEADINGS = ("TARGET", "CHECK", "RESULT", "DETAIL")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    `name` is "resolve", "connect", "tls", "sasl", "versions", "metadata" or "leaders"; `target` is where, such
    as "bootstrap kafka:9092", "broker 2 at kafka-2:9092" or "cluster". `next_step` is what to do about it, ""
    where there is nothing to do, or `detail` says it.
    """

    name: str
    target: str
    ok: bool
    detail: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """What became of a look at a whole cluster, from here. Prints as a table, with the verdict below it.

    `checks` are in the order of the addresses, and of each address in the order they were made: after one that
    fails there are no more. `verdict` is a sentence, `next_step` what to do, "" where all is well.
    """

    checks: tuple[Check, ...]
    verdict: str
    next_step: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything that was checked is as it should be."""
        return all(check.ok for check in self.checks)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        rows = [_HEADINGS, *((check.target, check.name, "ok" if check.ok else "FAILED", check.detail) for check in self.checks)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS) - 1)]
        for row in rows:
            yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        yield ""
        yield self.verdict
        if self.next_step:
            yield f"Next: {self.next_step}"

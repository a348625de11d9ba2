"""How busy the machine was, with us and with others: a figure of a busy machine says little.

Others are all processes but this one and what it started, and what the machine beneath a virtual one took.
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
_TICKS = os.sysconf("SC_CLK_TCK")
# Of the first line of /proc/stat, behind its name; what guests take is in the first two already.
_COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_IDLE = ("idle", "iowait")
# Of /proc/PID/stat, behind the command's name: the parent, and processor time with that of ended children.
_PARENT, _TIMES = 1, slice(11, 15)


@dataclass(frozen=True)
class Reading:
    """Processor seconds of the machine, and of ours, since some moment of the past."""

    clock: float
    busy: float
    ours: float


def read() -> Reading | None:
    """Where the machine stands now; None where there is no /proc to tell."""
    if not _STAT.exists():
        return None
    # First ours: what it does after this counts as others' rather than the other way round.
    ours = _ours()
    fields = _STAT.read_text().split("\n", 1)[0].split()[1:]
    busy = sum(int(ticks) for name, ticks in zip(_COLUMNS, fields, strict=False) if name not in _IDLE)
    return Reading(time.perf_counter(), busy / _TICKS, ours)


def others(before: Reading | None, after: Reading | None) -> float | None:
    """How many cores others took between two readings, on average."""
    if before is None or after is None:
        return None
    taken = (after.busy - before.busy) - (after.ours - before.ours)
    return round(max(0.0, taken / (after.clock - before.clock)), 2)


def average() -> float:
    """The load average of the last minute."""
    return round(os.getloadavg()[0], 1)


def _ours() -> float:
    """Of this process, its ended children, and all that descend from it and live."""
    seconds = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        seconds += usage.ru_utime + usage.ru_stime
    parents: dict[int, int] = {}
    times: dict[int, float] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(name)] = int(fields[_PARENT])
        times[int(name)] = sum(map(int, fields[_TIMES])) / _TICKS
    return seconds + sum(time_ for pid, time_ in times.items() if _descends(pid, parents))


def _descends(pid: int, parents: dict[int, int]) -> bool:
    mine = os.getpid()
    while pid in parents:
        pid = parents[pid]
        if pid == mine:
            return True
    return False

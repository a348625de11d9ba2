"""How long a greenlet that only sleeps is kept waiting: in the load, the client's doing and the machine's; in
the control process (`python -m tests.chaos.ticker FILE SECONDS`) the machine's alone.

The kernel tells the two apart: for how long the thread computed, and for how long it was ready to run and
another had the processor (`schedstat`). A gap without the latter is how long the hub was *held*: it computed,
or was in a system call that blocks, or a virtual machine's own processor was away.

The control process works a quarter of its time, in small pieces: from a process that only sleeps, a busy
machine takes less.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import monotonic, thread_time

import gevent

TICK_SECONDS = 0.005
WORK_SECONDS, REST_SECONDS = 0.002, 0.006


class Ticker:
    """Sleeps, and notes how much later than asked for it woke."""

    def __init__(self) -> None:
        self._gaps: list[float] = []
        self._late: list[tuple[float, float, float, float]] = []
        self._held: list[float] = []
        self._computed: list[float] = []
        self._waits: list[tuple[float, float]] = []

    def run(self, until: float) -> None:
        """Tick until `until` (monotonic seconds)."""
        with Path("/proc/thread-self/schedstat").open("rb", buffering=0) as schedstat:

            def waited() -> float:
                schedstat.seek(0)
                return int(schedstat.read().split()[1]) / 1e9

            before, waited_before, computed_before = monotonic(), waited(), thread_time()
            while before < until:
                gevent.sleep(TICK_SECONDS)
                now, waited_now, computed_now = monotonic(), waited(), thread_time()
                self._tick(now, now - before - TICK_SECONDS, waited_now - waited_before, computed_now - computed_before)
                before, waited_before, computed_before = now, waited_now, computed_now

    def _tick(self, now: float, gap: float, kept_waiting: float, computed: float) -> None:
        held = max(gap - kept_waiting, 0.0)
        self._gaps.append(gap)
        self._held.append(held)
        self._computed.append(computed)
        if kept_waiting > 0.02:
            self._waits.append((now, kept_waiting))
        if gap > 0.1 or held > 0.02:
            self._late.append((now, gap, held, computed))

    @property
    def waits(self) -> list[tuple[float, float]]:
        """The longer waits for a processor, in seconds: when they ended, and how long they were."""
        return [(round(ended, 3), round(wait, 3)) for ended, wait in self._waits]

    def summary(self) -> dict[str, object]:
        """Milliseconds: the worst gap, and those that one in a hundred and one in a thousand exceed; what the
        thread computed between two ticks; how long of a gap the hub was held. Of the long gaps, in seconds:
        when they ended, how long they were, for how long the hub was held, and for how much of that it
        computed.
        """

        def at(share: float, of: list[float]) -> float:
            ordered = sorted(of) or [0.0]
            return round(ordered[int(share * (len(ordered) - 1))] * 1000, 1)

        return {
            "p99": at(0.99, self._gaps),
            "p999": at(0.999, self._gaps),
            "max": at(1.0, self._gaps),
            "computed_p999": at(0.999, self._computed),
            "computed_max": at(1.0, self._computed),
            "held_p999": at(0.999, self._held),
            "held_max": at(1.0, self._held),
            "late": [tuple(round(each, 3) for each in late) for late in self._late],
        }


def work(until: float) -> None:
    """Be busy for a quarter of the time."""
    while (now := monotonic()) < until:
        while monotonic() < now + WORK_SECONDS:
            pass
        gevent.sleep(REST_SECONDS)


def main(path: str, seconds: str) -> None:
    ticker = Ticker()
    until = monotonic() + float(seconds)
    worker = gevent.spawn(work, until)
    ticker.run(until)
    worker.join()
    Path(path).write_text(json.dumps(ticker.summary()))


if __name__ == "__main__":
    main(*sys.argv[1:])

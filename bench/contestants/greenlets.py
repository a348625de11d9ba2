"""The neighbour of clients that run in a gevent hub."""

from __future__ import annotations

from time import perf_counter

import gevent

from bench.meter import Meter
from bench.ticking import TICK_S


def tick(meter: Meter) -> None:
    """Ask to be woken every 5 ms while the meter runs, and note how late that was."""
    while meter.running:
        before = perf_counter()
        gevent.sleep(TICK_S)
        meter.gaps.append(perf_counter() - before - TICK_S)

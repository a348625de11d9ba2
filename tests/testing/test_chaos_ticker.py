"""The ticker of a chaos run tells what held the hub."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, thread_time
from typing import Any

import gevent
import pytest
from gevent.monkey import get_original

from tests.chaos.ticker import Ticker

HELD = 0.2


def compute() -> None:
    until = thread_time() + HELD
    while thread_time() < until:
        pass


def block() -> None:
    get_original("time", "sleep")(HELD)


@pytest.mark.parametrize("hold", [compute, block])
def test_a_hub_that_computes_or_is_in_a_blocking_call_is_held(hold: Callable[[], None]) -> None:
    ticker = Ticker()
    holding = gevent.spawn_later(0.05, hold)
    ticker.run(monotonic() + 0.5)
    holding.get()
    summary: dict[str, Any] = ticker.summary()
    assert 0.9 * HELD * 1000 < summary["held_max"] <= summary["max"]
    assert (summary["computed_max"] > 0.9 * HELD * 1000) is (hold is compute)


def test_a_hub_that_is_not_held_says_so() -> None:
    ticker = Ticker()
    ticker.run(monotonic() + 0.5)
    summary: dict[str, Any] = ticker.summary()
    assert summary["held_max"] < HELD * 1000  # however long the machine kept it waiting

"""Waiting for a fact, with a deadline, while other greenlets run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import gevent

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout: float = 30.0) -> T:
    """What `condition` returns, when that is true; an AssertionError after `timeout` seconds."""
    with gevent.Timeout(timeout, AssertionError(f"it did not come to pass within {timeout:g} s")):
        while not (result := condition()):
            gevent.sleep(0.005)
    return result

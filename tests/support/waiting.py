"""Waiting for a fact, with a deadline, while other greenlets run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import gevent

if TYPE_CHECKING:
    from klife import Client

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout: float = 30.0) -> T:
    """What `condition` returns, when that is true; an AssertionError after `timeout` seconds."""
    with gevent.Timeout(timeout, AssertionError(f"it did not come to pass within {timeout:g} s")):
        while not (result := condition()):
            gevent.sleep(0.005)
    return result


def wait_until_known(client: Client, topic: str) -> None:
    """Return when a client has heard of a topic that is among its `topics`: for one with a `max_block_ms` of
    a moment, in which a busy machine might not answer.
    """
    wait_until(lambda: topic in client.status().topics)

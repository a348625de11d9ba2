"""What tests on the cluster share beside their fixtures: the fixtures' types, and waiting."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from reader import Read

from klife import Client

StartClient = Callable[..., Client]
MakeTopic = Callable[..., str]
ReadBack = Callable[[str], list[Read]]


def wait_until(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    """Let other greenlets run until `condition` holds; fail after `timeout` seconds."""
    with gevent.Timeout(timeout):
        while not condition():
            gevent.sleep(0.005)

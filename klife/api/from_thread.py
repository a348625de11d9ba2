"""Calls from other OS threads: carried to the client's home thread, where its greenlets run, and waited for there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from klife.actors.engine import Engine
from klife.actors.runtime.latch import Latch
from klife.errors import KlifeError

_GRACE = 10.0  # seconds a thread waits beyond what the call itself may take


def call_at_home(engine: Engine, function: Callable[[], Any], timeout: float | None = None) -> Any:
    """Call `function` in a greenlet of the home thread; wait, as a thread does, for what it returns or raises.

    `timeout` is what the call itself may take (seconds; None is `max_block_ms`).

    Raises:
        KlifeError: the home thread does not run its hub, so that nothing can happen there.
    """
    if engine.finished.is_set:
        raise engine.closed_error()
    done = Latch(engine.home)
    outcome: list[Any] = [None, None]

    def run() -> None:
        try:
            outcome[0] = function()
        except BaseException as error:  # noqa: BLE001 - it is the caller's, who waits in another thread
            outcome[1] = error
        done.set()

    engine.loop.run_callback_threadsafe(gevent.spawn, run)
    limit = (engine.settings.max_block if timeout is None else timeout) + _GRACE
    if not done.wait(limit):
        raise KlifeError(
            f"the thread that started client {engine.name!r} did not run its gevent hub for {limit:g} s, so the call could not be "
            "carried out (it may still be); keep that thread in gevent: wait with gevent.sleep, Event or joinall, not in a blocking "
            "call such as Thread.join without monkey patching"
        )
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]

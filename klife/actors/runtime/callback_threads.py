"""Threads for what users want called, where the hub has a thread of its own.

A program without a hub blocks where it likes, in callbacks too. In the hub's thread that would hold up all of
the client, so there callbacks run in a pool of threads beside it: those of a partition in order, those of
others meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent.threadpool import ThreadPool

from klife.actors.runtime.home import has_own_thread

_THREADS = 10
"""Partitions whose callbacks may block at once."""

_TO_END = 1.0  # seconds


def callback_threads(hub: Any) -> ThreadPool | None:
    """The pool of `hub`, the calling thread's; None where callbacks run in the hub, as greenlets do."""
    if not has_own_thread(hub):
        return None
    pool: ThreadPool | None = getattr(hub, "klife_callback_threads", None)
    if pool is None:
        pool = hub.klife_callback_threads = ThreadPool(_THREADS, hub=hub)
    return pool


def call_outside_hub(hub: Any, function: Callable[..., object], *arguments: Any) -> None:
    """Call `function`, which raises nothing, where it may block: in the pool, if `hub` has one."""
    pool = callback_threads(hub)
    if pool is None:
        function(*arguments)
    else:
        pool.apply(function, arguments)


def end_callback_threads(hub: Any) -> None:
    """Have those of `hub` end that are idle. One that is held up in a callback is left to that."""
    pool: ThreadPool | None = getattr(hub, "klife_callback_threads", None)
    if pool is not None:
        with gevent.Timeout(_TO_END, False):
            pool.kill()

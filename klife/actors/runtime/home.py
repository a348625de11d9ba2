"""Whose hub a client lives in: a thread of its user's, or one of its own; and who is told when that thread
ends.

The end is noticed by a value of the thread's own, which goes with it: while the thread still has its number,
so that no other thread can have been given it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from gevent.monkey import get_original

_of_thread: Any = get_original("_thread", "_local")()


class _Tenants:
    """What a thread keeps until it ends."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.told: WeakSet[Any] = WeakSet()

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing, getpid: Callable[[], int] = os.getpid) -> None:
        if is_finalizing() or getpid() != self.process:  # a forked child has none of its parent's other threads
            return
        for each in list(self.told):
            each.home_ended()


def give_own_thread(hub: Any, name: str) -> None:
    """The thread of `hub`, called `name`, does nothing but to run it."""
    hub.klife_thread = name


def has_own_thread(hub: Any) -> bool:
    """Whether the thread of `hub` does nothing but to run it."""
    return hasattr(hub, "klife_thread")


def thread_of(hub: Any) -> str:
    """What to call the thread of `hub` in a text."""
    name = getattr(hub, "klife_thread", None) or next(
        (thread.name for thread in threading.enumerate() if thread.ident == hub.thread_ident), None
    )
    return f"thread {hub.thread_ident}" if name is None else f"thread {name!r}"


def tell_of_end(tenant: Any) -> None:
    """Call `tenant.home_ended()` when the calling thread ends, if `tenant` is still known to anybody."""
    tenants = getattr(_of_thread, "tenants", None)
    if tenants is None or tenants.process != os.getpid():
        tenants = _of_thread.tenants = _Tenants()
    tenants.told.add(tenant)

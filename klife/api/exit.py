"""At interpreter exit: a last, bounded try to deliver what nobody flushed, and a loud word about what was lost.

A program that ends without `stop()` has a bug, and its records deserve better than silence. Whatever logging is configured may be
gone by now, so the last word goes to standard error itself.
"""

from __future__ import annotations

import atexit
import os
import sys
from time import monotonic

from klife.actors import engine as engines
from klife.actors.runtime.latch import get_thread_ident
from klife_supervision import ExitReason

_FLUSH_AT_EXIT = 5.0  # seconds for all clients together

_watching = False


def watch() -> None:
    """Have the clients that still run at exit looked after. Idempotent."""
    global _watching
    if not _watching:
        _watching = True
        atexit.register(_flush_all)
        os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    """In a forked child: the parent's clients are not to be used here. They answer so, instead of mixing both processes' bytes."""
    for engine in engines.running():
        engine.forked()


def _flush_all() -> None:
    deadline = monotonic() + _FLUSH_AT_EXIT
    for engine in engines.running():
        if engine.pid != os.getpid():
            continue  # a forked child's copy; its records are the parent's
        unsettled = engine.unsettled
        if not unsettled:
            continue
        engine.close("the interpreter exits")
        if engine.home == get_thread_ident():  # only there can its greenlets still run
            engine.flush(deadline)
        left = engine.unsettled
        engine.ended(ExitReason.shutdown("the interpreter exits"))
        if left:
            sys.stderr.write(
                f"klife: client {engine.name!r} was not stopped before exit; {unsettled} records were undelivered, {unsettled - left} "
                f"could still be delivered within {_FLUSH_AT_EXIT:g} s, {left} are LOST (or possibly persisted, if they were in "
                "flight). Call client.stop() before the program ends.\n"
            )
        else:
            sys.stderr.write(
                f"klife: client {engine.name!r} was not stopped before exit; {unsettled} records were undelivered and have been "
                "delivered now. Call client.stop() before the program ends.\n"
            )
        sys.stderr.flush()

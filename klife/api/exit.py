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
from klife.actors.engine import Engine
from klife.actors.runtime.forked import take_note
from klife.actors.runtime.latch import get_thread_ident
from klife.api import uwsgi
from klife_supervision import ExitReason

_FLUSH_AT_EXIT = 5.0  # seconds for all clients together

_watching: int | None = None  # the process that is looked after


def watch() -> None:
    """Have the clients that still run when this process exits looked after. Idempotent."""
    global _watching
    if _watching == os.getpid():
        return
    _watching = os.getpid()
    atexit.unregister(_flush_all)  # a forked child has its parent's list, unless something cleared it
    atexit.register(_flush_all)
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:  # a process it has forked ends with os._exit, and calls only what is registered here
        multiprocessing.Finalize(None, _flush_all, exitpriority=0)
    uwsgi.call_at_exit(_flush_all)


def _flush_all() -> None:
    take_note()
    deadline = monotonic() + _FLUSH_AT_EXIT
    for engine in engines.running():
        unsettled = engine.unsettled
        if not unsettled:
            continue
        if engine.closing is None:
            how, advice = "not stopped", " Call client.stop() before the program ends."
        else:  # `stop` waited in this very greenlet, and what ended the program ended that wait, too
            how, advice = "still being stopped", ""
        engine.close("the interpreter exits")
        if engine.home == get_thread_ident() and not _flush(engine, deadline):  # only at home can its greenlets still run
            deadline = monotonic()
        left = engine.unsettled
        engine.ended(ExitReason.shutdown("the interpreter exits"))
        what = f"klife: client {engine.name!r} was {how} before exit; {unsettled} records were undelivered"
        if left:
            sys.stderr.write(
                f"{what}, {unsettled - left} could still be delivered within {_FLUSH_AT_EXIT:g} s, {left} are LOST (or possibly "
                f"persisted, if they were in flight).{advice}\n"
            )
        else:
            sys.stderr.write(f"{what} and have been delivered now.{advice}\n")
        sys.stderr.flush()


def _flush(engine: Engine, deadline: float) -> bool:
    """Flush until `deadline`, whoever else wants the program to end; return False if it was Ctrl-C, which cannot wait.

    The exit of a greenlet, as of a signal handler under gevent, is raised in the main one, which waits here. A gunicorn worker gets two
    of them from one Ctrl-C: the terminal's signal and the master's.
    """
    while True:
        try:
            engine.flush(deadline)
        except SystemExit:
            continue
        except KeyboardInterrupt:
            return False
        return True

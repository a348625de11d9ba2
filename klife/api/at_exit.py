"""At interpreter exit: a last, bounded try to deliver what nobody flushed, and a loud word about what was
lost.

A program that ends without `stop()` has a bug, and its records deserve better than silence. Whatever logging
is configured may be gone by now, so the last word goes to standard error itself.

Other functions run at exit too, some later than ours: those that were registered earlier, a logging handler's
`close`. What they produce is sent before `produce` returns, for nobody would do it later. Once the
interpreter is being torn down no greenlet can run any more; what a destructor produces then is refused, which
Python tells. A client with a thread of its own takes records until that thread is ended, which is as late as
it can be: by a function that is registered when klife is imported.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic

from gevent._hub_local import get_hub_if_exists

from klife.actors import engines
from klife.actors.engine import Engine
from klife.actors.runtime.forked import take_note
from klife.api import uwsgi
from klife.api.from_thread import call_at_home
from klife.errors import KlifeError
from klife.words import counted, were
from klife_supervision import ExitReason

_FLUSH_AT_EXIT = 5.0  # seconds for all clients together

_time_left = _FLUSH_AT_EXIT
_watching: int | None = None  # the process that is looked after
_flushed: int | None = None  # the process whose exit has come to `_flush_all`


def watch(engine: Engine) -> None:
    """Have `engine`, and all others that still run when this process exits, looked after."""
    global _watching
    if _flushed == os.getpid():  # started by what runs later: nobody looks after it any more but itself
        engine.process_exits(partial(_deliver_late, engine))
    if _watching == os.getpid():
        return
    # A forked child has its parent's list, in which a `stop` that the program registered comes first; but for children of
    # multiprocessing, which clears it.
    if _watching is None or _is_multiprocessings():
        atexit.unregister(_flush_all)
        atexit.register(_flush_all)
    _watching = os.getpid()
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:  # a process it has forked ends with os._exit, and calls only what is registered here
        multiprocessing.Finalize(None, _flush_all, exitpriority=0)
    uwsgi.call_at_exit(_flush_all)


def _is_multiprocessings() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _flush_all() -> None:
    global _flushed
    take_note()
    _flushed = os.getpid()
    for engine in engines.running():
        _at_home(engine, partial(engine.process_exits, partial(_deliver_late, engine)))
        unsettled = engine.unsettled
        if not unsettled:
            if engine.has_something_to_end and (engine.has_own_thread or engine.hub is get_hub_if_exists()):
                _flush(engine, monotonic() + _time_left)
            continue
        if engine.closing is None:
            how, advice = "not stopped", " Call client.stop() before the program ends."
        else:  # `stop` waited in this very greenlet, and what ended the program ended that wait, too
            how, advice = "still being stopped", ""
        left = _deliver(engine)
        what = f"klife: client {engine.name!r} was {how} before exit; {counted(unsettled, 'record')} {were(unsettled)} undelivered"
        if left:
            _say(f"{what}, {max(unsettled - left, 0)} could still be delivered within {_FLUSH_AT_EXIT:g} s, {_lost(left)}.{advice}")
        else:
            _say(f"{what}, and all is delivered now.{advice}")


def _deliver_late(engine: Engine) -> None:
    """What runs at exit behind `_flush_all` (an `atexit` function that was registered before it,
    `logging.shutdown`) has produced.
    """
    left = _deliver(engine)
    if left:
        _say(f"klife: client {engine.name!r} was used while the program ended; {_lost(left)}.")


def _deliver(engine: Engine) -> int:
    """Flush while there is time, and return how many records are left; then the client has ended."""
    global _time_left
    began = monotonic()
    if engine.has_own_thread or engine.hub is get_hub_if_exists():  # only where a hub still runs can greenlets
        if not _flush(engine, began + _time_left):
            _time_left = 0.0
        _time_left = max(_time_left - (monotonic() - began), 0.0)
    left = engine.unsettled
    if left or engine.closing is not None:
        _at_home(engine, partial(_end, engine))
    return left


def _end(engine: Engine) -> None:
    engine.close("the interpreter exits")
    engine.ended(ExitReason.shutdown("the interpreter exits"))


def _is_elsewhere(engine: Engine) -> bool:
    """Whether it has a thread of its own, which is not this one."""
    return engine.has_own_thread and engine.hub is not get_hub_if_exists()


def _at_home(engine: Engine, function: Callable[[], object]) -> None:
    """Call `function` there, if that is a thread of the client's own; else here, since this is the home, or
    that will not run again.
    """
    if _is_elsewhere(engine):
        with suppress(KlifeError):  # it stands still, or has ended
            call_at_home(engine, function)
            return
    function()


def _lost(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'} LOST (or possibly persisted, where in flight)"


def _say(what: str) -> None:
    sys.stderr.write(what + "\n")
    sys.stderr.flush()


def _flush(engine: Engine, deadline: float) -> bool:
    """Flush until `deadline`, whoever else wants the program to end; return False if it was Ctrl-C, which
    cannot wait.

    The exit of a greenlet, as of a signal handler under gevent, is raised in the main one, which waits here.
    A gunicorn worker gets two of them from one Ctrl-C: the terminal's signal and the master's.
    """
    while True:
        try:
            if _is_elsewhere(engine):
                with suppress(KlifeError):  # it stands still, or has ended
                    call_at_home(engine, partial(engine.flush, deadline), deadline - monotonic())
            else:
                engine.flush(deadline)
        except SystemExit:
            continue
        except KeyboardInterrupt:
            return False
        return True


def _end_own_threads() -> None:
    own_thread = sys.modules.get("klife.api.own_thread")  # imported by the first client that has one
    if own_thread is not None:
        own_thread.end_all()


atexit.register(_end_own_threads)

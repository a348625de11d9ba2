"""A client's own thread (`run_in="thread"`): an OS thread that does nothing but run the hub a client lives in.

For programs without a hub: scripts, prompts, `flask run`, workers of threads. What they produce joins batches
in their own threads (`Append`), and the hub hears of each new batch. The thread ends with the client: stopped,
crashed, or, where nobody stops it, when the interpreter exits, for a thread that still runs Python while that
is taken down takes the process with it.

It is a real thread, also where gevent has patched `threading`, whose threads are greenlets then. What a user
wants called when records are settled runs in further ones (`callback_threads`), and may block.

A fork waits until the hub of each such thread is between two callbacks. In the middle of one it may be importing a
module, and the child would wait for ever for that one's lock, which nobody releases there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

import gevent
from gevent._hub_local import get_hub_if_exists
from gevent.monkey import get_original, is_module_patched

from klife.actors.engine import Engine
from klife.actors.runtime.callback_threads import end_callback_threads
from klife.actors.runtime.forked import call_in_child
from klife.actors.runtime.home import give_own_thread
from klife.actors.runtime.latch import Latch
from klife.errors import KlifeError
from klife_supervision import ExitReason
from klife_supervision.logs import flush as flush_logs

_NO_HUB = object()  # of latches that no greenlet of their home waits for
_PATIENCE = 60.0  # seconds that a thread may take to start on a busy machine
_TO_END = 5.0  # seconds in which calls of other threads return, and the log is written
_TO_REST = 1.0  # seconds that a fork waits for all hubs together
_TO_FORK = 5.0  # seconds that a hub waits for a fork

_new_lock: Any = get_original("_thread", "allocate_lock")
_thread_ident: Any = get_original("_thread", "get_ident")

_running: dict[Engine, OwnThread] = {}


def start_in_own_thread(name: str, start: Callable[[], Engine]) -> Engine:
    """What `start()` returns or raises in a thread that then runs the engine until that ends."""
    return OwnThread(name).start(start)


def wait_for_end(engine: Engine) -> None:
    """Wait until the thread of `engine`, which has ended, is over; return at once where it has none, or this
    is it.
    """
    thread = _running.get(engine)
    if thread is not None:
        thread.over.wait(_TO_END)


def end_all() -> None:
    """The interpreter exits: end the clients that are left, and their threads."""
    for engine, thread in list(_running.items()):
        engine.close("the interpreter exits")
        engine.loop.run_callback_threadsafe(engine.ended, ExitReason.shutdown("the interpreter exits"))
        thread.over.wait(_TO_END)


class OwnThread:
    """The thread of one engine."""

    def __init__(self, name: str) -> None:
        self.name: str = f"klife {name}"
        self.over: Latch = Latch(_NO_HUB)
        self._up = Latch(_NO_HUB)
        self._engine: Engine | None = None
        self._error: BaseException | None = None

    def start(self, start: Callable[[], Engine]) -> Engine:
        if is_module_patched("threading"):
            get_original("_thread", "start_new_thread")(self._run, (start,))
        else:
            threading.Thread(target=self._run, args=(start,), name=self.name, daemon=True).start()
        if not self._up.wait(_PATIENCE):
            raise KlifeError(f"{self.name!r}, the thread a client is to run in, has not started within {_PATIENCE:g} s")
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # it knows this frame
        assert self._engine is not None
        return self._engine

    def _run(self, start: Callable[[], Engine]) -> None:
        hub = gevent.get_hub()
        give_own_thread(hub, self.name)
        engine = None
        try:
            try:
                engine = self._engine = start()
                if engine.hub is hub:  # else another thread was first to start it
                    _running[engine] = self
            except BaseException as error:  # noqa: BLE001 - it is the caller's, who waits for it
                self._error = error
            finally:
                self._up.set()
            if engine is not None and engine.hub is hub:
                self._run_hub(engine)
        finally:
            hub.destroy(destroy_loop=True)
            if engine is not None:
                _running.pop(engine, None)
            self.over.set()

    def _run_hub(self, engine: Engine) -> None:
        while not engine.finished.is_set:
            try:
                engine.finished.wait()
            except BaseException:  # noqa: BLE001 - an exit that a greenlet here raised ends no client
                continue
        deadline = monotonic() + _TO_END
        while engine.calls and monotonic() < deadline:  # among them the one that stops it, which has to return
            gevent.sleep(0.001)
        end_callback_threads(engine.hub)
        flush_logs(_TO_END)


class _Rest:
    """A hub that does nothing while another thread forks."""

    def __init__(self, engine: Engine) -> None:
        self._rests, self._goes_on = _new_lock(), _new_lock()
        self._rests.acquire()
        self._goes_on.acquire()
        engine.loop.run_callback_threadsafe(self._run)

    def _run(self) -> None:
        self._rests.release()
        self._goes_on.acquire(timeout=_TO_FORK)

    def wait(self, timeout: float) -> None:
        """Until it does nothing, at most `timeout` seconds: it may be held up by a hook of the user's."""
        self._rests.acquire(timeout=max(timeout, 0.0))

    def end(self) -> None:
        self._goes_on.release()


_resting: dict[int, list[_Rest]] = {}  # by the thread that forks


def _before_fork() -> None:
    deadline = monotonic() + _TO_REST
    resting = _resting[_thread_ident()] = []
    for engine in list(_running):
        if engine.hub is not get_hub_if_exists():  # else it is this thread
            with suppress(ValueError):  # its loop was destroyed
                resting.append(_Rest(engine))
    for rest in resting:
        rest.wait(deadline - monotonic())


def _after_fork() -> None:
    for rest in _resting.pop(_thread_ident(), ()):
        rest.end()


def _forget() -> None:
    """In a forked child none of them runs."""
    _running.clear()
    _resting.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork)
call_in_child(_forget)

"""What a transaction is done in, so that it may be ended wherever it is: a greenlet, which is killed; a thread of
the system, in which an exception is raised; the main thread of a process without a hub, whose signal handler
raises one.
"""

from __future__ import annotations

import _thread
import ctypes
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent

Work = Callable[[], object]
When = Callable[[Callable[[], bool]], None]


class Interrupted(BaseException):
    """What a signal handler may raise: a KeyboardInterrupt, say."""


class Body(Protocol):
    """Where an owner's transactions are done."""

    has_timeouts: bool  # of gevent's, in the work itself

    def run(self, work: Work, interrupt: When | None, patience: float) -> tuple[bool, BaseException | None]:
        """Do `work`, and end it when `interrupt(is_over)` has returned, if that is given. Whether it is over within
        about `patience` seconds, and the error that it ended with, if it was not this one.
        """

    def elsewhere(self, work: Work) -> None:
        """Do `work` in another greenlet or thread, and wait for it."""

    def sleep(self, seconds: float) -> None: ...


class InGreenlets:
    """In a greenlet of its own, of this thread's hub."""

    has_timeouts = True

    def run(self, work: Work, interrupt: When | None, patience: float) -> tuple[bool, BaseException | None]:
        working = gevent.spawn(work)
        if interrupt is not None:
            interrupt(working.ready)
            working.kill(timeout=patience)
        working.join(patience)
        return bool(working.dead), working.exception

    def elsewhere(self, work: Work) -> None:
        gevent.spawn(work).get()

    def sleep(self, seconds: float) -> None:
        gevent.sleep(seconds)


class InThreads:
    """In a thread of its own."""

    has_timeouts = False

    def run(self, work: Work, interrupt: When | None, patience: float) -> tuple[bool, BaseException | None]:
        ending, errors = _Ending(), list[BaseException]()

        def do() -> None:
            try:
                work()
            except Interrupted:
                pass
            except BaseException as error:
                errors.append(error)
            finally:
                ending.came()

        working = threading.Thread(target=do, daemon=True)
        working.start()
        if interrupt is not None:
            interrupt(lambda: not working.is_alive())
            ending.unless_it_came(lambda: _raise_in(working.ident))
        working.join(patience)
        return not working.is_alive(), errors[0] if errors else None

    def elsewhere(self, work: Work) -> None:
        _in_thread(work)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class InMainThread:
    """In the main thread, which has no hub. Made there, once."""

    has_timeouts = False

    def __init__(self) -> None:
        self._armed = False
        signal.signal(signal.SIGUSR2, self._handle)

    def _handle(self, _number: int, _frame: Any) -> None:
        if self._armed:
            self._armed = False
            raise Interrupted

    def run(self, work: Work, interrupt: When | None, patience: float) -> tuple[bool, BaseException | None]:
        ending, error = _Ending(), None

        def interrupting() -> None:
            assert interrupt is not None
            interrupt(lambda: ending.is_here)
            ending.unless_it_came(lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2))

        interrupter = threading.Thread(target=interrupting, daemon=True)
        if interrupt is not None:
            interrupter.start()
        try:
            self._armed = interrupt is not None
            work()
        except Interrupted:
            pass
        except Exception as raised:
            error = raised
        finally:
            self._armed = False
        ending.came()
        if interrupt is not None:
            interrupter.join(patience)
        return True, error

    def elsewhere(self, work: Work) -> None:
        _in_thread(work)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class _Ending:
    """The end of a piece of work: nobody is interrupted behind it, for the system gives a thread's number to the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_here = False

    def came(self) -> None:
        with self._lock:
            self.is_here = True

    def unless_it_came(self, do: Callable[[], object]) -> None:
        with self._lock:
            if not self.is_here:
                do()


_starting = threading.Lock()
"""Held by a body that starts a thread: until it runs CPython 3.11 takes its state for the body's own, and what is
raised in the body would end it instead, before it has told that it runs, for which the body waits.
"""


def _raise_in(thread: int | None) -> None:
    with _starting:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread or 0), ctypes.py_object(Interrupted))


def _in_thread(work: Work) -> None:
    """In a bare thread, whose end is waited for at a bare lock: who waits may be interrupted, and `threading` is not
    made for that. Between any two of its instructions that leaves a lock held for ever, or releases it twice.
    """
    errors: list[BaseException] = []
    runs, over = _thread.allocate_lock(), _thread.allocate_lock()
    runs.acquire()
    over.acquire()

    def do() -> None:
        runs.release()
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            over.release()

    with _starting:
        _thread.start_new_thread(do, ())
        runs.acquire()
    over.acquire()
    if errors:
        raise errors[0]

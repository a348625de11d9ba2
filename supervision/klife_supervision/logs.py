"""Loggers whose events are queued, and written by a greenlet that nobody waits for.

What writes a log is the user's: a handler may be slow, may hold a lock that the caller's greenlet wants, may
itself produce to Kafka and wait. So a supervisor, an actor or a delivery only notes its event, with the
configuration and the context of that moment. The greenlet that writes is started in the hub of whoever tells
something, and ends when nothing is left. A thread without a hub writes for itself, and so does everybody once
the interpreter exits. `flush` waits for what was told so far.

Memory is bounded: while a log can not be written, what comes is dropped, counted, and the number told when it
can. And what repeats is folded (`log_repeats`).

A handler may use what tells events itself. What it makes told is written too, and what that makes told is
not: an event that leads to itself would never end.

How an event is written says `log_output`. One told before structlog was configured is written as it is
configured by then.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from contextvars import Context, ContextVar, copy_context
from time import monotonic, time
from typing import Any

import gevent
from gevent import GreenletExit, getcurrent
from gevent._hub_local import get_hub_if_exists

from klife_supervision.let_hub_run import LongWork
from klife_supervision.log_output import Event, configuration, is_wanted, write
from klife_supervision.log_repeats import Repeats

QUEUED_AT_MOST = 1000
"""Events that wait to be written; later ones are dropped and counted."""

_FLUSH_AT_EXIT = 2.0  # seconds
_HANDLERS_DEEP = 1  # so often may what is told while an event is written lead to more

fields_here: ContextVar[Mapping[str, Any]] = ContextVar("klife_log_fields", default={})  # noqa: B039 - nobody changes it
"""Fields that each event told in this context has. Greenlets do not inherit contexts: actors and supervisors
set what was there when they were started.
"""


@contextlib.contextmanager
def telling(**fields: Any) -> Iterator[None]:
    """Within the block each event that is told has these fields, too; so have those of the actors and
    supervisors that are made in it.
    """
    token = fields_here.set({**fields_here.get(), **fields})
    try:
        yield
    finally:
        fields_here.reset(token)


_handlers_above: ContextVar[int] = ContextVar("klife_log_handlers_above", default=0)

_queue: deque[Event] = deque()
_writers: dict[Any, Any] = {}  # the greenlets that write, by their hubs
_repeats = Repeats()
_timers: dict[Any, Any] = {}  # for the counts of repeats, by hub
_dropped = 0
_process = os.getpid()
_exiting = False


class Logger:
    """Tells the log, and never waits for it nor raises what it raises."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **fields: Any) -> None:
        _tell("debug", event, self._name, fields)

    def info(self, event: str, **fields: Any) -> None:
        _tell("info", event, self._name, fields)

    def warning(self, event: str, **fields: Any) -> None:
        _tell("warning", event, self._name, fields)

    def error(self, event: str, **fields: Any) -> None:
        _tell("error", event, self._name, fields)

    def critical(self, event: str, **fields: Any) -> None:
        _tell("critical", event, self._name, fields)


def get_logger(name: str) -> Logger:
    """The logger of a part of the library; its events carry `logger_name`."""
    return Logger(name)


def traceback_of(error: BaseException) -> str:
    """The traceback as text, without the values of local variables, which some renderers of `exc_info` would
    show.
    """
    return "".join(traceback.format_exception(error)).rstrip()


def flush(timeout: float) -> bool:
    """Wait, at most `timeout` seconds, until what this thread told the log is written; return whether nothing
    is left.

    Called where nothing may wait, in the hub or by what writes the log itself, it returns at once.
    """
    _forget_after_fork()
    hub = get_hub_if_exists()
    if hub is None or hub.loop is None:
        _write_all()
        return True
    current = getcurrent()
    if current is hub or current in _writers.values():
        return not _queue
    if _queue and hub not in _writers and not _start_writer(hub):
        _write_all()
    writer = _writers.get(hub)
    if writer is not None:
        writer.join(timeout)
    return not _queue and hub not in _writers


def forget_repeats() -> None:
    """Tell everything once more: for tests, of which each has a log of its own. In the hub's thread."""
    _repeats.forget()
    _stop_timer(get_hub_if_exists())


def _tell(level: str, event: str, logger_name: str, fields: dict[str, Any]) -> None:
    wrapper, processors = configuration()
    if wrapper is None and not is_wanted(level, logger_name):
        return
    if _handlers_above.get() > _HANDLERS_DEEP:
        return
    _forget_after_fork()
    now, fields = monotonic(), {**fields_here.get(), **fields}
    hub = get_hub_if_exists()
    if _repeats.folds((level, logger_name, event), fields, now):
        _watch_repeats(hub, now)
        return
    _pass_on(hub, Event(level, event, fields, logger_name, wrapper, processors, copy_context(), now, time()))


def _pass_on(hub: Any, told: Event) -> None:
    """Have it written: by a greenlet of `hub`, the calling thread's, if it has one."""
    if _exiting or hub is None or hub.loop is None:
        _write(told)
    elif _enqueue(told) and hub not in _writers and not _start_writer(hub):
        _write_all()


def _watch_repeats(hub: Any, now: float) -> None:
    """See that counts are told when they are due: by a timer, or here, where a thread has no hub."""
    if hub is None or hub.loop is None:
        _tell_repeats(hub, now)
        return
    for other in [each for each in list(_timers) if each.loop is None]:  # of a thread that has ended
        _timers.pop(other, None)
    due = _repeats.next_due()
    if due is not None and hub not in _timers:
        timer = _timers[hub] = hub.loop.timer(max(due - now, 0.0) + 0.001, ref=False)
        timer.start(_minute_is_over, hub)


def _minute_is_over(hub: Any) -> None:
    """In the hub."""
    _stop_timer(hub)
    _forget_after_fork()
    now = monotonic()
    _tell_repeats(hub, now)
    _watch_repeats(hub, now)


def _stop_timer(hub: Any) -> None:
    timer = _timers.pop(hub, None)
    if timer is not None:
        timer.stop()
        timer.close()


def _tell_repeats(hub: Any, now: float) -> None:
    wrapper, processors = configuration()
    for (level, logger_name, event), fields, latest in _repeats.due(now):
        # Of the time when it was told last: else a trouble that is over would seem to go on. Not in the context of
        # who told it, which would live as long.
        _pass_on(hub, Event(level, event, fields, logger_name, wrapper, processors, Context(), latest, time() - (now - latest)))


def _enqueue(told: Event) -> bool:
    global _dropped
    if len(_queue) >= QUEUED_AT_MOST:
        _dropped += 1
        return False
    _queue.append(told)
    return True


def _start_writer(hub: Any) -> bool:
    """Start the greenlet that writes in `hub`, the calling thread's; False if that takes no more."""
    try:
        _writers[hub] = gevent.spawn(_run, hub)
    except Exception:  # noqa: BLE001 - its loop is being taken down, in whatever way: then its thread writes
        return False
    return True


def _run(hub: Any) -> None:
    try:
        _write_all(lets_hub_run=True)
    finally:
        _writers.pop(hub, None)


def _write_all(*, lets_hub_run: bool = False) -> None:
    global _dropped
    work = LongWork()
    while _queue:
        try:
            event = _queue.popleft()
        except IndexError:  # perhaps it went to another thread
            return
        _write(event)
        if lets_hub_run and work.gives_way():  # a thousand events, of 20 us or more each, may wait
            _forget_after_fork()  # this greenlet may be a copy, in a forked child
        if _dropped and len(_queue) < QUEUED_AT_MOST:
            dropped, _dropped = _dropped, 0
            Logger("klife_supervision").warning("log_events_dropped", count=dropped, queued_at_most=QUEUED_AT_MOST)


def _write(event: Event) -> None:
    try:
        event.context.run(_hand_over, event)
    except (GreenletExit, KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - it goes where errors go that cannot be logged; the next event may fare better
        with contextlib.suppress(OSError, ValueError, AttributeError):
            traceback.print_exc()


def _hand_over(event: Event) -> None:
    _handlers_above.set(_handlers_above.get() + 1)
    write(event)


def _forget_after_fork() -> None:
    """In a forked child, however it was forked: what was told before is the parent's to write."""
    global _process, _dropped
    if _process != os.getpid():
        _process = os.getpid()
        _queue.clear()
        _writers.clear()
        _timers.clear()
        _repeats.forget()
        _dropped = 0
        multiprocessing = sys.modules.get("multiprocessing.util")
        if multiprocessing is not None:  # a process it has forked ends with os._exit, and calls only what is registered here
            multiprocessing.Finalize(None, _write_at_exit, exitpriority=-1)


def _write_at_exit() -> None:
    global _exiting
    flush(_FLUSH_AT_EXIT)
    _exiting = True
    left = len(_queue) + _dropped
    if left:
        _queue.clear()
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"klife: {left} log events were not written: the log took more than {_FLUSH_AT_EXIT:g} s of the exit\n")


atexit.register(_write_at_exit)

"""Loggers whose events are queued, and written by a greenlet that nobody waits for.

What writes a log is the user's: a handler may be slow, may hold a lock that the caller's greenlet wants, may
itself produce to Kafka and wait. So a supervisor, an actor or a delivery only notes its event, with the
configuration and the context of that moment. The greenlet that writes is started in the hub of whoever tells
something, and ends when nothing is left. A thread without a hub writes for itself, and so does everybody once
the interpreter exits. `flush` waits for what was told so far.

The queue is bounded: while a log can not be written, what comes is dropped, counted, and the number told when
it can.

Unconfigured, structlog prints every event to standard output, debug ones included. That suits an application
that is being written, not a library inside of one: here such a logger keeps to warnings and worse. As soon as
`structlog.configure` was called (by the application, or by a test's `capture_logs`), that configuration alone
decides, and every event goes to it. structlog itself is imported with the first event that is written
(`structlog_import`); one told before it was configured is written as it is configured by then.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import traceback
from collections import deque
from contextvars import Context, copy_context
from time import monotonic
from typing import Any, NamedTuple

import gevent
from gevent import GreenletExit, getcurrent
from gevent._hub_local import get_hub_if_exists

from klife_supervision.structlog_import import load, load_beside, loaded

QUEUED_AT_MOST = 1000
"""Events that wait to be written; later ones are dropped and counted."""

_FLUSH_AT_EXIT = 2.0  # seconds
_LATE = 1.0  # seconds after which an event says how late it is written: a processor that stamps it would else be believed

_LOUD = frozenset(("warning", "error", "critical"))


class _Event(NamedTuple):
    level: str
    name: str  # of the event
    fields: dict[str, Any]
    logger_name: str
    wrapper: Any  # as structlog was configured when it was told; None if it was not
    processors: Any
    context: Context
    told_at: float


_queue: deque[_Event] = deque()
_writers: dict[Any, Any] = {}  # the greenlets that write, by their hubs
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


def _tell(level: str, event: str, logger_name: str, fields: dict[str, Any]) -> None:
    global _dropped
    wrapper = processors = None
    structlog = loaded()
    if structlog is not None and structlog.is_configured():
        config = structlog.get_config()
        wrapper, processors = config["wrapper_class"], config["processors"]
    elif level not in _LOUD:
        return
    _forget_after_fork()
    told = _Event(level, event, fields, logger_name, wrapper, processors, copy_context(), monotonic())
    hub = get_hub_if_exists()
    if _exiting or hub is None or hub.loop is None:
        _write_here(told)
    elif _enqueue(told) and hub not in _writers and not _start_writer(hub):
        _write_all()


def _enqueue(told: _Event) -> bool:
    global _dropped
    if len(_queue) >= QUEUED_AT_MOST:
        _dropped += 1
        return False
    _queue.append(told)
    return True


def _write_here(told: _Event) -> None:
    """In a thread without a hub."""
    is_first = loaded() is None
    if not load():
        _enqueue(told)
        return
    _write(told)
    if is_first:
        _write_all()  # what was told in the middle of the import


def _start_writer(hub: Any) -> bool:
    """Start the greenlet that writes in `hub`, the calling thread's; False if that takes no more."""
    try:
        _writers[hub] = gevent.spawn(_run, hub)
    except Exception:  # noqa: BLE001 - its loop is being taken down, in whatever way: then its thread writes
        return False
    return True


def _run(hub: Any) -> None:
    try:
        load_beside(hub)
        _write_all()
    finally:
        _writers.pop(hub, None)


def _write_all() -> None:
    global _dropped
    while _queue and load():
        try:
            event = _queue.popleft()
        except IndexError:  # perhaps it went to another thread
            return
        _write(event)
        if _dropped and len(_queue) < QUEUED_AT_MOST:
            dropped, _dropped = _dropped, 0
            Logger("klife_supervision").warning("log_events_dropped", count=dropped, queued_at_most=QUEUED_AT_MOST)


def _write(event: _Event) -> None:
    try:
        event.context.run(_hand_over, event)
    except (GreenletExit, KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - it goes where errors go that cannot be logged; the next event may fare better
        with contextlib.suppress(OSError, ValueError, AttributeError):
            traceback.print_exc()


def _hand_over(event: _Event) -> None:
    import structlog

    late = monotonic() - event.told_at
    fields = event.fields if late < _LATE else {**event.fields, "seconds_late": round(late, 1)}
    # The logger under it is made here and not when the event was told: a factory like the standard library's
    # takes locks.
    logger: Any = structlog.wrap_logger(
        None,
        processors=event.processors,
        wrapper_class=event.wrapper,
        logger_name=event.logger_name,
    )
    getattr(logger, event.level)(event.name, **fields)


def _forget_after_fork() -> None:
    """In a forked child, however it was forked: what was told before is the parent's to write."""
    global _process, _dropped
    if _process != os.getpid():
        _process = os.getpid()
        _queue.clear()
        _writers.clear()
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

"""How an event is written: by structlog as the application configured it, or else by the standard library's
logging.

Unconfigured, structlog prints every event to standard output, debug ones included, which suits an application
that is being written and not a library inside of one. So here such an event is a record of the logger that is
named like its part of the library, and goes where the application's other records go: its handlers, `caplog`,
or logging's last resort, which is standard error for warnings and worse. The fields are `extra`, and so
attributes of the record; the text has them as structlog's `KeyValueRenderer` writes them. Its `msg` has no
field in it, so that tools which group by that put the same events together.

structlog is imported here by nobody: it takes a tenth of a second and 5 MiB, with rich where that is
installed. What the application has not imported, it has not configured.

Actors only ask whether anybody wants an event (`is_wanted`), and ask without a lock: logging's own questions
take the lock of its module, and who holds that may itself be waiting for an actor.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextvars import Context
from time import monotonic
from typing import Any, NamedTuple

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_USED_OF_STRUCTLOG = ("get_config", "is_configured", "wrap_logger")
_LATE = 1.0  # seconds after which an event says how late it is written: a processor that stamps it would else be believed


class Event(NamedTuple):
    level: str
    name: str  # of the event
    fields: Mapping[str, Any]
    logger_name: str
    wrapper: Any  # as structlog was configured when it was told; None if it was not
    processors: Any
    context: Context
    told_at: float  # monotonic seconds
    told_time: float  # seconds since 1970


def configuration() -> tuple[Any, Any]:
    """structlog's wrapper class and processors as they are configured now; None twice where they are not."""
    structlog = sys.modules.get("structlog")
    # Another thread may be in the middle of importing it.
    if structlog is None or not all(hasattr(structlog, name) for name in _USED_OF_STRUCTLOG) or not structlog.is_configured():
        return None, None
    config = structlog.get_config()
    return config["wrapper_class"], config["processors"]


def is_wanted(level: str, logger_name: str) -> bool:
    """Whether logging takes an event of that level. Takes no lock, and makes no logger."""
    number, manager, name = _LEVELS[level], logging.Logger.manager, logger_name
    if manager.disable >= number:
        return False
    while name:
        logger = manager.loggerDict.get(name)
        if isinstance(logger, logging.Logger):
            return number >= logger.getEffectiveLevel()
        name = name.rpartition(".")[0]
    return number >= logging.root.level


def write(event: Event) -> None:
    """Write `event`, in the context of who told it. Raises what the application's handlers and processors do."""
    wrapper, processors = event.wrapper, event.processors
    if wrapper is None:  # told before structlog was configured, if it is by now
        wrapper, processors = configuration()
    if wrapper is None:
        _write_to_logging(event)
        return
    import structlog

    late = monotonic() - event.told_at
    fields = event.fields if late < _LATE else {**event.fields, "seconds_late": round(late, 1)}
    # The logger under it is made here and not when the event was told: a factory like the standard library's
    # takes locks.
    logger: Any = structlog.wrap_logger(None, processors=processors, wrapper_class=wrapper, logger_name=event.logger_name)
    getattr(logger, event.level)(event.name, **fields)


def _write_to_logging(event: Event) -> None:
    logger = logging.getLogger(event.logger_name)
    text = " ".join(f"{name}={value!r}" for name, value in event.fields.items() if name != "exception")
    record = logger.makeRecord(
        logger.name,
        _LEVELS[event.level],
        __file__,
        0,
        event.name.replace("%", "%%") + "%s",
        (f" {text}" if text else "",),
        None,
        extra={**event.fields, "event": event.name},
    )
    # As if it had been written when it was told.
    record.relativeCreated -= (record.created - event.told_time) * 1000
    record.created = event.told_time
    record.msecs = int(event.told_time % 1 * 1000) + 0.0
    record.exc_text = event.fields.get("exception")  # formatters put it below the line
    logger.handle(record)

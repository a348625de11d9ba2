"""What a supervisor tells the log: each start, exit and restart is one structlog event.

Orderly starts and ends are debug events. Every event about a child has `supervisor`, `child`, `reason` and
`restarts` (how often it was restarted so far). Tracebacks are rendered here by the standard library:
renderers of log events may add the values of local variables, which are nobody's business. A log that cannot
be written does not take a tree down, nor hold it up (`logs.py`).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal

from klife_supervision.errors import StartFailed
from klife_supervision.exit_reason import ExitReason
from klife_supervision.logs import get_logger, traceback_of

log = get_logger("klife_supervision")

Level = Literal["debug", "info", "error", "critical"]


def emit(level: Level, event: str, *, error: BaseException | None = None, **fields: Any) -> None:
    """Tell one event, with the traceback of `error` where there is one."""
    # A supervisor below that could not start its child has logged the traceback itself.
    if error is not None and not isinstance(error, StartFailed):
        fields["exception"] = traceback_of(error)
    getattr(log, level)(event, **fields)


def child_started(supervisor: Hashable, child: Hashable, restarts: int) -> None:
    """A child runs for the first time, or was started by hand."""
    emit("debug", "child started", supervisor=supervisor, child=child, reason="start", restarts=restarts)


def child_restarted(supervisor: Hashable, child: Hashable, because: str, restarts: int) -> None:
    """A child runs again; `because` is why it, or the sibling it was restarted with, had ended."""
    emit("info", "child restarted", supervisor=supervisor, child=child, reason=because, restarts=restarts)


def child_start_failed(supervisor: Hashable, child: Hashable, cause: BaseException, restarts: int) -> None:
    """A start function raised, hung, or returned what cannot be supervised."""
    reason = f"{type(cause).__name__}: {cause}"
    emit("error", "child start failed", supervisor=supervisor, child=child, reason=reason, restarts=restarts, error=cause)


def child_exited(supervisor: Hashable, child: Hashable, reason: ExitReason, restarts: int) -> None:
    """A child ended: an error when that was abnormal."""
    if reason.is_abnormal:
        emit(
            "error",
            "child exited",
            supervisor=supervisor,
            child=child,
            reason=str(reason),
            restarts=restarts,
            error=reason.exception,
        )
    else:
        emit("debug", "child exited", supervisor=supervisor, child=child, reason=str(reason), restarts=restarts)

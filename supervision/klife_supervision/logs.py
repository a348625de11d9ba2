"""Loggers that are quiet until somebody configures structlog.

Unconfigured, structlog prints every event to standard output, debug ones included. That suits an application that is being written,
not a library inside of one: here such a logger keeps to warnings and worse. As soon as `structlog.configure` was called (by the
application, or by a test's `capture_logs`), that configuration alone decides, and every event goes to it.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

import structlog

_quiet = structlog.make_filtering_bound_logger(logging.WARNING)


def _by_configuration(logger: Any, processors: Any, context: Any) -> Any:
    chosen: Any = structlog.get_config()["wrapper_class"] if structlog.is_configured() else _quiet
    return chosen(logger, processors, context)


def get_logger(name: str) -> Any:
    """The logger of a part of the library; its events carry `logger_name`."""
    return structlog.wrap_logger(None, wrapper_class=_by_configuration, logger_name=name)  # type: ignore[arg-type]


def traceback_of(error: BaseException) -> str:
    """The traceback as text, without the values of local variables, which some renderers of `exc_info` would show."""
    return "".join(traceback.format_exception(error)).rstrip()

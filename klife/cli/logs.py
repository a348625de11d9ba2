"""How the command line logs: warnings and worse, to standard error.

Standard output has what a command was asked for, and nothing else. structlog on its own would print every debug event there.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Any

import structlog


def quiet_logs() -> None:
    """Show events from WARNING on, as lines on standard error. Called once, before a command runs."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=_to_standard_error,
    )


@contextlib.contextmanager
def errors_only() -> Iterator[None]:
    """Show events from ERROR on in this block: a command that waits for the brokers says itself what keeps them away, once."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def _to_standard_error(*_names: Any) -> structlog.PrintLogger:
    # Looked up for each logger: a live display puts its own stream in the place of sys.stderr, so that lines go above it.
    return structlog.PrintLogger(sys.stderr)

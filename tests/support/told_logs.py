"""What klife told the log. Its events are written by a greenlet of their own, so who looks waits for that
first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from structlog.testing import capture_logs

from klife_supervision.logs import flush


class ToldLogs:
    """The events captured so far, in order."""

    def __init__(self, entries: list[Any]) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[Any]:
        flush(5)
        return iter(list(self._entries))

    def clear(self) -> None:
        flush(5)
        self._entries.clear()


@contextmanager
def told_logs() -> Iterator[ToldLogs]:
    """As structlog's `capture_logs`, of what is told in the block and no event from before."""
    flush(5)
    with capture_logs() as entries:
        yield ToldLogs(entries)
        flush(5)

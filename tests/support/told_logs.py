"""What klife told the log. Its events are written by a greenlet of their own, so who looks waits for that
first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

from structlog.testing import capture_logs

from klife_supervision.log_repeats import Repeats
from klife_supervision.logs import flush, forget_repeats


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
def told_logs(*, folds: bool = True) -> Iterator[ToldLogs]:
    """As structlog's `capture_logs`, of what is told in the block and no event from before; repeats, too, if
    nothing `folds` them.
    """
    flush(5)
    forget_repeats()
    unfolded = nullcontext() if folds else mock.patch.object(Repeats, "folds", return_value=False)
    with unfolded, capture_logs() as entries:
        yield ToldLogs(entries)
        flush(5)
        forget_repeats()

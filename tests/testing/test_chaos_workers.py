"""The workers of a chaos run: they end when they are told to, and no outcome is missing."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
import pytest

from klife.errors import ClientClosed
from tests.chaos.journal import FAILED, Journal, read_journal
from tests.chaos.plan import plan_for
from tests.chaos.workers import Worker


class ClosedClient:
    """Takes no record, whichever way it is produced."""

    def __getattr__(self, name: str) -> Any:
        def refuse(*_args: object) -> None:
            raise ClientClosed(f"{name}: the client is closed")

        return refuse


@pytest.mark.parametrize("index", range(5))
def test_a_worker_does_not_rest_beyond_its_time(tmp_path: Path, index: int) -> None:
    slow = replace(plan_for(1, 1.0), records_per_second=1, workers=1_000)  # a quarter of an hour for a record
    journal = Journal(tmp_path / "journal.jsonl")
    with gevent.Timeout(10):
        Worker(slow, index, ClosedClient(), journal, count()).run(monotonic() + 0.1)  # type: ignore[arg-type]
    journal.close()
    assert {entry.outcome for entry in read_journal(tmp_path / "journal.jsonl")} == {FAILED}

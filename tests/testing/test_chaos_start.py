"""A run of chaos begins for all its processes at once, and before none is ready."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from time import monotonic

import pytest

from tests.chaos import start
from tests.chaos.start import begin_when_ready, clear_line, wait_at_line


def test_nobody_begins_before_all_are_ready_and_then_all_at_the_same_moment(tmp_path: Path) -> None:
    told: list[float] = []
    clear_line(tmp_path)
    beginning = threading.Thread(target=lambda: told.append(begin_when_ready(tmp_path, ["load", "threads"], time.sleep)))
    first = threading.Thread(target=lambda: told.append(wait_at_line(tmp_path, "load", time.sleep)))
    beginning.start()
    first.start()
    assert not told
    late = monotonic()
    told.append(wait_at_line(tmp_path, "threads", time.sleep))
    first.join()
    beginning.join()
    assert len(told) == 3
    assert len(set(told)) == 1
    assert told[0] >= late
    clear_line(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_that_nobody_begins_is_given_up_and_one_of_which_a_part_does_not_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "READY_SECONDS", 0.0)
    with pytest.raises(TimeoutError):
        wait_at_line(tmp_path, "load", time.sleep)
    assert begin_when_ready(tmp_path, ["load", "threads"], time.sleep) <= monotonic()

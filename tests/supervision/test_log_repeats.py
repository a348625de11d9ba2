"""What repeats is told once, and then as a count a minute."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from klife_supervision import log_repeats, logs
from klife_supervision.log_repeats import INTERVAL, KNOWN_AT_MOST, Repeats
from tests.support.supervision_fakes import DEADLINE

KIND = ("warning", "klife.connection", "connection_failed")
log = logs.get_logger("klife.connection")


def test_the_first_is_told_and_others_are_counted_once_a_minute() -> None:
    repeats = Repeats()
    assert [repeats.folds(KIND, {"broker": 1, "attempt": attempt}, 0.1 * attempt) for attempt in range(5)] == [False] + [True] * 4
    assert repeats.next_due() == INTERVAL
    assert repeats.due(INTERVAL - 1) == []
    assert repeats.due(INTERVAL) == [(KIND, {"broker": 1, "attempt": 4, "repeated": 4}, 0.4)]
    assert repeats.next_due() is None
    assert repeats.folds(KIND, {"broker": 1, "attempt": 5}, INTERVAL + 1)
    assert repeats.due(2 * INTERVAL) == [(KIND, {"broker": 1, "attempt": 5, "repeated": 1}, INTERVAL + 1)]


def test_what_did_not_repeat_for_a_minute_is_told_anew() -> None:
    repeats = Repeats()
    assert not repeats.folds(KIND, {"broker": 1}, 0)
    assert not repeats.folds(KIND, {"broker": 1}, INTERVAL)  # whether or not anybody asked what is due
    assert repeats.folds(KIND, {"broker": 1}, INTERVAL + 1)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (KIND, {"broker": 2, "reason": "refused"}),
        (KIND, {"broker": 1, "reason": "timed out"}),
        (("error", *KIND[1:]), {"broker": 1, "reason": "refused"}),
        ((*KIND[:2], "connection_closed"), {"broker": 1, "reason": "refused"}),
        (KIND, {"broker": 1, "reason": ["has no hash"]}),
    ],
)
def test_what_differs_is_no_repeat(kind: Any, fields: dict[str, Any]) -> None:
    repeats = Repeats()
    assert not repeats.folds(KIND, {"broker": 1, "reason": "refused"}, 0)
    assert not repeats.folds(kind, fields, 0)


def test_ever_different_events_take_no_more_memory() -> None:
    repeats = Repeats()
    for number in range(10 * KNOWN_AT_MOST):
        assert not repeats.folds(KIND, {"broker": number}, 0)
    assert len(repeats._told) == KNOWN_AT_MOST


def test_the_count_is_written_when_its_minute_is_over_though_nothing_else_is_told(events: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gevent.get_hub()  # a thread without one has no timer
    monkeypatch.setattr(log_repeats, "INTERVAL", 0.05)
    for attempt in range(3):
        log.warning("connection_failed", broker=1, attempt=attempt)
    with gevent.Timeout(DEADLINE):
        while not any("repeated" in event for event in events):
            gevent.sleep(0.01)
    first, count = list(events)[:2]
    assert (first["attempt"], count["attempt"], count["repeated"], count["log_level"]) == (0, 2, 2, "warning")

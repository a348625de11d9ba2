"""The decisions, as tables beside the rules of OTP's documentation (Supervisor Behaviour; supervisor(3))."""

from __future__ import annotations

import pytest

from klife_supervision import ExitReason, InvalidChildSpec, RestartDelay
from klife_supervision.policy import RestartPlan, RestartWindow, restart_pause, restart_plan, should_restart, shuts_down

NORMAL = ExitReason.normal()
SHUTDOWN = ExitReason.shutdown()
SHUTDOWN_TERM = ExitReason.shutdown("bye")
KILLED = ExitReason.killed()
CRASHED = ExitReason.crashed(ValueError("x"))

# supervisor(3): "A permanent child process is always restarted. A temporary child process is never restarted.
# A transient child process is restarted only if it terminates abnormally, that is, with another exit reason
# than normal, shutdown, or {shutdown,Term}."
RESTARTED = [
    #  reason         permanent transient temporary
    (NORMAL, True, False, False),
    (SHUTDOWN, True, False, False),
    (SHUTDOWN_TERM, True, False, False),
    (KILLED, True, True, False),
    (CRASHED, True, True, False),
]


@pytest.mark.parametrize(("reason", "permanent", "transient", "temporary"), RESTARTED, ids=lambda value: str(value))
def test_which_exit_restarts_which_child(reason: ExitReason, permanent: bool, transient: bool, temporary: bool) -> None:
    assert should_restart("permanent", reason) is permanent
    assert should_restart("transient", reason) is transient
    assert should_restart("temporary", reason) is temporary


CHILDREN = [("a", "permanent"), ("b", "transient"), ("t", "temporary"), ("c", "permanent")]

PLANS = [
    # strategy, who failed -> who is stopped (reverse start order), who is started (start order), who is
    # forgotten
    ("one_for_one", "a", (), ("a",), ()),
    ("one_for_one", "b", (), ("b",), ()),
    ("one_for_one", "c", (), ("c",), ()),
    ("rest_for_one", "a", ("c", "t", "b"), ("a", "b", "c"), ("t",)),
    ("rest_for_one", "b", ("c", "t"), ("b", "c"), ("t",)),
    ("rest_for_one", "c", (), ("c",), ()),
    ("one_for_all", "a", ("c", "t", "b"), ("a", "b", "c"), ("t",)),
    ("one_for_all", "b", ("c", "t", "a"), ("a", "b", "c"), ("t",)),
    ("one_for_all", "c", ("t", "b", "a"), ("a", "b", "c"), ("t",)),
]


@pytest.mark.parametrize(("strategy", "failed", "stop", "start", "drop"), PLANS)
def test_who_is_stopped_and_started_with_a_failed_child(strategy, failed, stop, start, drop) -> None:  # type: ignore[no-untyped-def]
    assert restart_plan(strategy, CHILDREN, failed) == RestartPlan(stop, start, drop)  # type: ignore[arg-type]


WINDOWS = [
    # intensity, period, times of restarts -> which of them is one too many (index), or None
    (3, 5.0, [0, 1, 2], None),
    (3, 5.0, [0, 1, 2, 3], 3),
    (3, 5.0, [0, 1, 2, 5.0], 3),
    (3, 5.0, [0, 1, 2, 5.1], None),
    (3, 5.0, [0, 1, 2, 5.1, 5.9], 4),
    (3, 5.0, [0, 2, 4, 6, 8, 10, 12], None),
    (1, 5.0, [0, 6, 12, 18], None),
    (1, 5.0, [0, 4], 1),
    (0, 5.0, [0], 0),
]


@pytest.mark.parametrize(("intensity", "period", "times", "too_many"), WINDOWS)
def test_more_than_intensity_restarts_within_the_period_are_too_many(
    intensity: int, period: float, times: list[float], too_many: int | None
) -> None:
    window = RestartWindow(intensity, period)
    verdicts = [window.add(1000.0 + time) for time in times]
    assert verdicts == [index == too_many for index in range(len(times))]


AUTO_SHUTDOWNS = [
    # policy, the child was significant, significant ones left -> the supervisor shuts down
    ("never", True, 0, False),
    ("any_significant", False, 0, False),
    ("any_significant", True, 0, True),
    ("any_significant", True, 2, True),
    ("all_significant", False, 0, False),
    ("all_significant", True, 1, False),
    ("all_significant", True, 0, True),
]


@pytest.mark.parametrize(("policy", "significant", "left", "shuts"), AUTO_SHUTDOWNS)
def test_when_the_end_of_a_significant_child_ends_its_supervisor(policy, significant, left, shuts) -> None:  # type: ignore[no-untyped-def]
    assert shuts_down(policy, significant=significant, significant_left=left) is shuts


def test_the_pause_before_a_restart_doubles_up_to_its_maximum() -> None:
    delay = RestartDelay(0.1, 1.0)
    attempt, pauses = 0, []
    for _ in range(6):
        pause = restart_pause(delay, attempt, lived=0.0)
        attempt = pause.attempt
        pauses.append(pause.seconds)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


@pytest.mark.parametrize(
    ("reset_after", "lived", "seconds"), [(None, 0.9, 0.8), (None, 1.0, 0.1), (3.0, 1.0, 0.8), (3.0, 3.0, 0.1), (0.0, 0.0, 0.1)]
)
def test_a_child_that_lived_long_enough_starts_again_from_the_minimum(reset_after: float | None, lived: float, seconds: float) -> None:
    assert restart_pause(RestartDelay(0.1, 1.0, reset_after), 3, lived).seconds == pytest.approx(seconds)


def test_a_very_long_crash_loop_does_not_overflow_the_pause() -> None:
    assert restart_pause(RestartDelay(0.1, 1.0), 100_000, 0.0) == (1.0, 100_001)


def test_without_a_delay_a_restart_is_at_once() -> None:
    assert restart_pause(None, 7, 0.0) == (0.0, 0)


@pytest.mark.parametrize("wrong", [(0, 1), (-1, 1), (2, 1), ("1", 2), (1, float("inf")), (True, 2), (1, 2, -1), (1, 2, "3")])
def test_a_restart_delay_that_makes_no_sense_is_refused(wrong: tuple[float, ...]) -> None:
    with pytest.raises(InvalidChildSpec, match="RestartDelay"):
        RestartDelay(*wrong)

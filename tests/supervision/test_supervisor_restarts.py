"""What a running supervisor does when a child ends: the rule table, failures on the way, giving up,
escalating.
"""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import pytest
import structlog
from gevent.event import AsyncResult, Event
from gevent.exceptions import LoopExit

from klife_supervision import ChildSpec, ExitReason, RestartDelay, RestartIntensityReached, StartFailed, Supervisor, SupervisorStopped
from klife_supervision.logs import flush
from klife_supervision.policy import RESTARTS, STRATEGIES
from tests.support.supervision_fakes import DEADLINE, Family, ended, forever, settled, states

Supervise = Callable[..., Supervisor]

REASONS = {
    "normal": ExitReason.normal(),
    "shutdown": ExitReason.shutdown("done"),
    "killed": ExitReason.killed(),
    "crashed": ExitReason.crashed(ValueError("x")),
}


@pytest.mark.parametrize(("strategy", "restart", "kind", "who"), list(itertools.product(STRATEGIES, RESTARTS, REASONS, "abc")))
def test_otp_rule_table(family: Family, supervise: Supervise, strategy: str, restart: str, kind: str, who: str) -> None:
    supervisor = supervise([family.spec(each, restart=restart if each == who else "permanent") for each in "abc"], strategy=strategy)
    family.journal.take()
    untouched = {each: supervisor.child(each) for each in "abc"}

    supervisor.child(who).end(REASONS[kind])
    settled(supervisor)

    restarted = restart == "permanent" or (restart == "transient" and kind in ("killed", "crashed"))
    group = {"one_for_one": who, "rest_for_one": "abc"["abc".index(who) :], "one_for_all": "abc"}[strategy] if restarted else ""
    stopped = [each for each in reversed(group) if each != who]
    assert family.journal.take() == [f"shutdown {each}" for each in stopped] + [f"start {each}" for each in group]
    for each in "abc":
        if each in group:
            assert supervisor.child(each) is not untouched[each]
            assert supervisor.child(each).exit_reason is None
        elif each != who:
            assert supervisor.child(each) is untouched[each]
    left = dict.fromkeys("abc", "running")
    if not restarted:
        left[who] = "stopped"
        if restart == "temporary":
            del left[who]
    assert states(supervisor) == left


@pytest.mark.parametrize(
    ("strategy", "who", "stays"), [("one_for_one", "a", True), ("rest_for_one", "a", False), ("one_for_all", "c", False)]
)
def test_a_temporary_sibling_in_the_group_is_stopped_and_forgotten(
    family: Family, supervise: Supervise, strategy: str, who: str, stays: bool
) -> None:
    supervisor = supervise([family.spec("a"), family.spec("t", restart="temporary"), family.spec("c")], strategy=strategy)
    supervisor.child(who).crash()
    settled(supervisor)
    assert ("t" in states(supervisor)) is stays


def test_a_child_that_ended_for_good_is_started_again_with_its_group(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([family.spec("a"), family.spec("b", restart="transient")], strategy="one_for_all")
    supervisor.child("b").end(ExitReason.normal())
    settled(supervisor)
    assert states(supervisor) == {"a": "running", "b": "stopped"}
    supervisor.child("a").crash()
    settled(supervisor)
    assert states(supervisor) == {"a": "running", "b": "running"}


def test_two_ends_of_the_same_group_cost_one_restart(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"), strategy="one_for_all", intensity=1)
    first, second = supervisor.child("a"), supervisor.child("b")
    family.journal.take()
    first.crash()
    second.crash()
    settled(supervisor)
    assert family.journal.take() == ["start a", "start b"]
    assert [node.restarts for node in supervisor.tree().children] == [1, 1]


# Giving up


def test_as_many_restarts_as_the_intensity_are_fine_and_one_more_ends_the_supervisor(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("abc"), intensity=3, period=60.0, name="shop")
    for _ in range(3):
        supervisor.child("b").crash()
        settled(supervisor)
    assert supervisor.exit_reason is None
    family.journal.take()
    supervisor.child("b").crash()
    ended(supervisor)
    assert family.journal.take() == ["shutdown c", "shutdown a"]


def test_the_exit_reason_of_a_supervisor_that_gave_up_tells_which_child_and_why(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"), intensity=0, name="shop")
    supervisor.child("b").crash()
    reason = ended(supervisor)
    assert reason.kind == "shutdown"
    assert isinstance(reason.term, RestartIntensityReached)
    assert (reason.term.supervisor, reason.term.child, reason.term.intensity) == ("shop", "b", 0)
    assert isinstance(reason.exception, ValueError)
    assert "'b'" in str(reason)
    assert "ValueError: b broke" in str(reason)


def test_the_user_is_told_at_the_root_with_the_reason_once_all_children_are_down(family: Family, supervise: Supervise) -> None:
    told: Any = AsyncResult()
    supervisor = supervise(
        family.specs("ab"), intensity=0, on_give_up=lambda reason: told.set((reason, supervisor.count_children().active))
    )
    supervisor.child("a").crash()
    reason, active = told.get(timeout=DEADLINE)
    assert reason is supervisor.exit_reason
    assert active == 0


def test_the_user_is_told_why_it_gave_up_even_if_it_is_killed_on_its_way_down(family: Family, supervise: Supervise) -> None:
    family.stubborn = {"a"}
    told: Any = AsyncResult()
    supervisor = supervise([family.spec("a", shutdown="infinity"), family.spec("b")], intensity=0, on_give_up=told.set)
    supervisor.child("b").crash()
    family.journal.wait_for("shutdown a")
    supervisor.kill()
    assert ended(supervisor) == ExitReason.killed()
    assert told.get(timeout=DEADLINE).term.child == "b"


def test_a_supervisor_that_is_stopped_did_not_give_up(family: Family, supervise: Supervise) -> None:
    told: list[ExitReason] = []
    supervisor = supervise(family.specs("a"), on_give_up=told.append)
    supervisor.stop()
    gevent.idle()
    assert told == []


def test_an_on_give_up_that_raises_is_logged(family: Family, supervise: Supervise, events: list[Any]) -> None:
    def raises(_reason: ExitReason) -> None:
        called.set()
        raise RuntimeError("pager is down")

    called = Event()
    supervisor = supervise(family.specs("a"), intensity=0, on_give_up=raises)
    supervisor.child("a").crash()
    assert called.wait(DEADLINE)
    assert any("pager is down" in event.get("exception", "") for event in events)


# Escalation


def test_a_nested_supervisor_that_gives_up_is_restarted_by_its_parent(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([family.spec("a"), Supervisor.child_spec(id="sub", children=family.specs("xy"), intensity=0)])
    sub = supervisor.child("sub")
    family.journal.take()
    sub.child("y").crash()
    ended(sub)
    settled(supervisor)
    assert family.journal.take() == ["shutdown x", "start x", "start y"]
    assert supervisor.child("sub") is not sub
    assert states(supervisor) == {"a": "running", "sub": "running"}


def test_escalation_reaches_the_root_and_keeps_the_first_exception(family: Family, supervise: Supervise) -> None:
    inner = Supervisor.child_spec(id="inner", children=family.specs("x"), intensity=0)
    middle = Supervisor.child_spec(id="middle", children=[inner], intensity=0)
    root = supervise([family.spec("a"), middle], intensity=0)
    root.child("middle").child("inner").child("x").crash()
    reason = ended(root)
    assert reason.term.child == "middle"
    assert reason.term.reason.term.child == "inner"
    assert str(reason.exception) == "x broke"
    assert family.journal.take() == ["start a", "start x", "shutdown a"]


def test_a_transient_supervisor_that_gives_up_is_not_restarted(family: Family, supervise: Supervise) -> None:
    # OTP: giving up is a shutdown, and a transient child is not restarted after one.
    supervisor = supervise([Supervisor.child_spec(id="sub", children=family.specs("x"), intensity=0, restart="transient")])
    supervisor.child("sub").child("x").crash()
    settled(supervisor.child("sub"))
    settled(supervisor)
    assert states(supervisor) == {"sub": "stopped"}


# Failures during a restart


def test_a_failed_restart_counts_and_is_tried_again(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"), intensity=3)
    family.journal.take()
    family.failing["a"] = 2
    supervisor.child("a").crash()
    family.journal.wait_for("start a")
    while states(supervisor)["a"] != "running":
        settled(supervisor)
    assert family.journal.take() == ["start a"] * 3
    assert supervisor.exit_reason is None
    supervisor.child("a").crash()  # the fourth restart within the period
    ended(supervisor)


def test_a_restart_that_hangs_is_interrupted_and_tried_again(family: Family, supervise: Supervise) -> None:
    def hangs_the_second_time() -> Any:
        starts.append("start")
        if len(starts) == 2:
            forever()
        if len(starts) == 3:
            third.set()
        return family.spec("a").start()

    starts: list[str] = []
    third = Event()
    supervisor = supervise([ChildSpec(id="a", start=hangs_the_second_time, start_timeout=0.01)])
    supervisor.child("a").crash()
    assert third.wait(DEADLINE)
    settled(supervisor)
    assert states(supervisor) == {"a": "running"}
    assert supervisor.which_children()[0].restarts == 1


def test_a_child_that_cannot_be_restarted_makes_the_supervisor_give_up_with_the_cause(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"), intensity=3)
    family.journal.take()
    family.failing["a"] = 100
    supervisor.child("a").crash()
    reason = ended(supervisor)
    assert family.journal.take() == ["start a"] * 3 + ["shutdown b"]
    assert isinstance(reason.exception, OSError)
    assert str(reason.exception) == "a cannot start"


def test_rest_for_one_goes_on_from_the_child_whose_restart_failed(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("abcd"), strategy="rest_for_one")
    family.journal.take()
    family.failing["c"] = 1
    supervisor.child("b").crash()
    family.journal.wait_for("start d")
    assert family.journal.take() == ["shutdown d", "shutdown c", "start b", "start c", "start c", "start d"]


def test_one_for_all_begins_again_when_a_restart_failed(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("abc"), strategy="one_for_all")
    family.journal.take()
    family.failing["b"] = 1
    supervisor.child("c").crash()
    family.journal.wait_for("start c")
    assert family.journal.take() == [
        "shutdown b",
        "shutdown a",
        "start a",
        "start b",
        "shutdown a",
        "start a",
        "start b",
        "start c",
    ]


def test_a_shutdown_is_served_between_failing_restarts(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"), intensity=1_000_000)
    family.failing["a"] = 1_000_000
    supervisor.child("a").crash()
    family.journal.wait_for("start a")
    assert supervisor.stop(timeout=DEADLINE) == ExitReason.shutdown()


def test_terminate_child_ends_the_failing_restarts_of_that_child(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"), intensity=1_000_000)
    family.failing["a"] = 1_000_000
    supervisor.child("a").crash()
    settled(supervisor)
    supervisor.terminate_child("a", timeout=DEADLINE)
    family.journal.take()
    settled(supervisor)
    assert family.journal.take() == []
    assert states(supervisor) == {"a": "stopped", "b": "running"}


# The restart delay


def its_time_has_come(supervisor: Supervisor, child: str) -> None:
    """Do what the timer of a delayed restart does at its end."""
    retry = supervisor._table.rows[child].retry
    assert retry is not None
    supervisor._mailbox.put(retry)
    settled(supervisor)


def test_a_delayed_restart_shows_as_restarting(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([family.spec("a", restart_delay=RestartDelay(3600.0, 3600.0)), family.spec("b")])
    family.journal.take()
    supervisor.child("a").crash()
    settled(supervisor)
    assert states(supervisor) == {"a": "restarting", "b": "running"}
    assert supervisor.child("a") is None
    assert family.journal.take() == []


def test_a_delayed_restart_happens(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([family.spec("a", restart_delay=RestartDelay(0.01, 0.01)), family.spec("b")])
    family.journal.take()
    supervisor.child("a").crash()
    family.journal.wait_for("start a")
    settled(supervisor)
    assert states(supervisor) == {"a": "running", "b": "running"}


def test_siblings_of_a_delayed_restart_are_stopped_at_once_and_started_with_it(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("abc"), strategy="rest_for_one", restart_delay=RestartDelay(3600.0, 3600.0))
    family.journal.take()
    supervisor.child("b").crash()
    settled(supervisor)
    assert family.journal.take() == ["shutdown c"]
    its_time_has_come(supervisor, "b")
    assert family.journal.take() == ["start b", "start c"]


def test_a_shutdown_is_served_during_a_delay(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"), restart_delay=RestartDelay(3600.0, 3600.0))
    supervisor.child("a").crash()
    settled(supervisor)
    family.journal.take()
    supervisor.stop(timeout=DEADLINE)
    assert family.journal.take() == ["shutdown b"]


def test_terminate_child_cancels_a_delayed_restart(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"), restart_delay=RestartDelay(3600.0, 3600.0))
    supervisor.child("a").crash()
    settled(supervisor)
    supervisor.terminate_child("a")
    assert states(supervisor) == {"a": "stopped"}
    supervisor.restart_child("a")
    assert states(supervisor) == {"a": "running"}


def test_the_restart_of_a_group_takes_over_a_delayed_restart_within_it(family: Family, supervise: Supervise) -> None:
    slow = RestartDelay(3600.0, 3600.0)
    supervisor = supervise([family.spec("a"), family.spec("b", restart_delay=slow)], strategy="rest_for_one")
    supervisor.child("b").crash()
    settled(supervisor)
    family.journal.take()
    supervisor.child("a").crash()
    settled(supervisor)
    assert family.journal.take() == ["start a", "start b"]


def test_a_sibling_started_by_hand_during_a_delay_is_restarted_with_its_group(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("abc"), strategy="rest_for_one", restart_delay=RestartDelay(3600.0, 3600.0))
    supervisor.child("b").crash()
    settled(supervisor)
    supervisor.restart_child("c")
    family.journal.take()
    its_time_has_come(supervisor, "b")
    assert family.journal.take() == ["shutdown c", "start b", "start c"]


def test_a_killed_supervisor_leaves_no_delayed_restart_behind(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"), restart_delay=RestartDelay(3600.0, 3600.0))
    supervisor.child("a").crash()
    settled(supervisor)
    supervisor.kill()
    ended(supervisor)
    assert states(supervisor) == {"a": "stopped", "b": "stopped"}
    with pytest.raises(LoopExit):
        # No timer is left that could wake anyone.
        Event().wait()


# The supervisor itself


def test_a_supervisor_nobody_refers_to_lives_on(family: Family) -> None:
    watch = weakref.ref(Supervisor.start(family.specs("a")))
    gc.collect()
    supervisor = watch()
    assert supervisor is not None
    assert family.journal.take() == ["start a"]
    supervisor.stop()


def test_a_supervisor_that_ended_is_not_kept(family: Family) -> None:
    watch = weakref.ref(Supervisor.start(family.specs("a")))
    watch().stop()
    gc.collect()
    assert watch() is None


def test_killing_the_supervisor_kills_its_children_last_first_and_orphans_nothing(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([*family.specs("ab"), Supervisor.child_spec(id="sub", children=family.specs("xy"))])
    told: list[ExitReason] = []
    supervisor.monitor(told.append)
    sub = supervisor.child("sub")
    family.journal.take()
    supervisor.kill()
    assert ended(supervisor) == ExitReason.killed()
    assert sub.exit_reason == ExitReason.killed()
    assert sorted(family.journal.take()) == ["kill a", "kill b", "kill x", "kill y"]
    assert told == [ExitReason.killed()]


def test_killing_the_supervisors_greenlet_is_the_same(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"))
    family.journal.take()
    supervisor._greenlet.kill()
    assert ended(supervisor) == ExitReason.killed()
    assert family.journal.take() == ["kill b", "kill a"]


def test_a_second_kill_does_not_leave_children_behind(supervise: Supervise) -> None:
    def lingers() -> None:
        try:
            forever()
        finally:
            leaving.set()
            may_leave.wait()

    leaving, may_leave = Event(), Event()
    supervisor = supervise([ChildSpec.from_callable(lingers, id="a")])
    gevent.idle()
    child = supervisor.child("a")
    supervisor.kill()
    assert leaving.wait(DEADLINE)
    supervisor.kill()
    gevent.idle()
    assert supervisor.exit_reason is None
    may_leave.set()
    assert ended(supervisor) == ExitReason.killed()
    assert child.exit_reason is not None


def test_a_killed_nested_supervisor_is_restarted_with_its_children(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([Supervisor.child_spec(id="sub", children=family.specs("xy"))])
    family.journal.take()
    supervisor.child("sub").kill()
    ended(supervisor.child("sub"))
    settled(supervisor)
    assert family.journal.take() == ["kill y", "kill x", "start x", "start y"]


def test_an_error_in_the_supervisors_own_loop_is_loud_and_takes_its_children_down(
    family: Family, supervise: Supervise, events: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_child: object) -> None:
        raise ZeroDivisionError("a bug")

    told: Any = AsyncResult()
    supervisor = supervise(family.specs("ab"), on_give_up=told.set)
    monkeypatch.setattr(supervisor, "_restart_plan", broken)
    supervisor.child("a").crash()
    reason = ended(supervisor)
    assert reason.kind == "crashed"
    assert isinstance(reason.exception, ZeroDivisionError)
    assert "kill b" in family.journal.take()
    assert [event["event"] for event in events if event["log_level"] == "critical"] == ["supervisor crashed"]
    assert told.get(timeout=DEADLINE) is reason


def test_a_keyboard_interrupt_in_the_supervisor_takes_its_children_down_and_reaches_the_main_greenlet(
    family: Family, supervise: Supervise
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    def start() -> None:
        with pytest.raises(SupervisorStopped):
            supervisor.start_child(ChildSpec(id="c", start=interrupted))

    supervisor = supervise(family.specs("ab"))
    family.journal.take()
    gevent.spawn(start)
    with pytest.raises(KeyboardInterrupt):
        forever()
    assert ended(supervisor).kind == "crashed"
    assert family.journal.take() == ["kill b", "kill a"]


def test_a_log_that_cannot_be_written_takes_nothing_down(
    family: Family, supervise: Supervise, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_event: object) -> None:
        raise BrokenPipeError("nobody reads this log")

    before = structlog.get_config()
    structlog.configure(processors=[broken])
    supervisor = supervise(family.specs("a"))
    supervisor.child("a").crash()
    settled(supervisor)
    assert states(supervisor) == {"a": "running"}
    assert flush(DEADLINE)
    structlog.configure(**before)
    assert "nobody reads this log" in capfd.readouterr().err


def test_a_nested_supervisor_that_cannot_be_restarted_leaves_nothing_half_started(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([Supervisor.child_spec(id="sub", children=family.specs("xy"))], intensity=1)
    family.failing["y"] = 100
    family.journal.take()
    supervisor.child("sub").kill()
    reason = ended(supervisor)
    assert isinstance(reason.exception, StartFailed)
    assert family.journal.take() == ["kill y", "kill x", "start x", "start y", "shutdown x"]

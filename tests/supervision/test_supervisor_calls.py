"""The calls of a running supervisor: who may call, what answers when, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event
from gevent.threadpool import ThreadPool

from klife_supervision import (
    AlreadyStarted,
    CalledFromSupervisor,
    CallTimeout,
    ChildCounts,
    ChildInfo,
    ChildNotFound,
    ChildSpec,
    ChildStillRunning,
    DynamicSupervisor,
    ExitReason,
    InvalidChild,
    InvalidChildSpec,
    RestartDelay,
    StartFailed,
    StartTimeout,
    Supervisor,
    SupervisorStopped,
    whereis,
)
from tests.support.supervision_fakes import DEADLINE, Family, ended, forever, settled, states

Supervise = Callable[..., Supervisor]


def test_start_child_adds_a_child_at_the_end_and_returns_it(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"))
    child = supervisor.start_child(family.spec("c"))
    assert supervisor.child("c") is child
    family.journal.take()
    supervisor.stop()
    assert family.journal.take() == ["shutdown c", "shutdown b", "shutdown a"]


def test_a_child_whose_start_failed_is_not_added(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"))
    family.failing["b"] = 1
    with pytest.raises(StartFailed, match="child 'b': OSError"):
        supervisor.start_child(family.spec("b"))
    assert states(supervisor) == {"a": "running"}
    supervisor.start_child(family.spec("b"))
    assert states(supervisor) == {"a": "running", "b": "running"}


@pytest.mark.parametrize(("start", "cause"), [(forever, StartTimeout), (object, InvalidChild)])
def test_a_child_whose_start_hangs_or_returns_nonsense_is_not_added(supervise: Supervise, start: Any, cause: type[Exception]) -> None:
    supervisor = supervise()
    with pytest.raises(StartFailed) as raised:
        supervisor.start_child(ChildSpec(id="odd", start=start, start_timeout=0.01, name="odd"))
    assert isinstance(raised.value.cause, cause)
    assert "ChildSpec.from_callable" in str(raised.value), "what was probably meant"
    assert states(supervisor) == {}
    assert whereis("odd") is None


def test_start_child_with_a_known_id_is_refused_whether_it_runs_or_not(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"))
    with pytest.raises(AlreadyStarted, match="'a', which is running"):
        supervisor.start_child(family.spec("a"))
    supervisor.terminate_child("a")
    with pytest.raises(AlreadyStarted, match="'a', which is stopped"):
        supervisor.start_child(family.spec("a"))


def test_start_child_takes_a_spec(supervise: Supervise) -> None:
    with pytest.raises(InvalidChildSpec, match="not function"):
        supervise().start_child(forever)  # type: ignore[arg-type]


def test_terminate_child_stops_it_and_keeps_its_spec(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"))
    family.journal.take()
    supervisor.terminate_child("a")
    assert family.journal.take() == ["shutdown a"]
    assert states(supervisor) == {"a": "stopped", "b": "running"}
    supervisor.terminate_child("a")
    assert family.journal.take() == []


def test_terminate_child_forgets_a_temporary_child(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([family.spec("a", restart="temporary")])
    supervisor.terminate_child("a")
    assert states(supervisor) == {}


def test_restart_child_starts_a_stopped_child_at_its_old_place(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"))
    supervisor.terminate_child("a")
    child = supervisor.restart_child("a")
    assert supervisor.child("a") is child
    assert list(states(supervisor)) == ["a", "b"]
    assert supervisor.tree().children[0].restarts == 0


def test_restart_child_that_fails_leaves_it_stopped(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"))
    supervisor.terminate_child("a")
    family.failing["a"] = 1
    with pytest.raises(StartFailed):
        supervisor.restart_child("a")
    assert states(supervisor) == {"a": "stopped"}


def test_restart_child_and_delete_child_need_a_stopped_child(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"))
    with pytest.raises(ChildStillRunning, match=r"'a'.*is running"):
        supervisor.restart_child("a")
    with pytest.raises(ChildStillRunning):
        supervisor.delete_child("a")
    supervisor.terminate_child("a")
    supervisor.delete_child("a")
    assert states(supervisor) == {}


def test_restart_child_and_delete_child_of_one_that_waits_for_its_restart_are_refused(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"), restart_delay=RestartDelay(3600.0, 3600.0))
    supervisor.child("a").crash()
    settled(supervisor)
    for call in (supervisor.restart_child, supervisor.delete_child):
        with pytest.raises(ChildStillRunning, match=r"'a'.*is restarting"):
            call("a")
    assert states(supervisor) == {"a": "restarting"}


def test_a_deleted_child_can_be_added_anew_and_comes_last(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"))
    supervisor.terminate_child("a")
    supervisor.delete_child("a")
    supervisor.start_child(family.spec("a"))
    assert list(states(supervisor)) == ["b", "a"]


@pytest.mark.parametrize("call", ["terminate_child", "restart_child", "delete_child"])
def test_an_unknown_child_is_named_with_those_there_are(family: Family, supervise: Supervise, call: str) -> None:
    supervisor = supervise(family.specs("ab"), name="shop")
    with pytest.raises(ChildNotFound, match=r"supervisor 'shop' has no child 'z'; it has \['a', 'b'\]"):
        getattr(supervisor, call)("z")


def test_which_children_and_count_children_tell_how_it_stands(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([*family.specs("ab"), Supervisor.child_spec(id="sub"), DynamicSupervisor.child_spec(id="dyn")])
    supervisor.terminate_child("b")
    supervisor.child("a").crash()
    settled(supervisor)
    a, sub, dyn = (supervisor.child(each) for each in ("a", "sub", "dyn"))
    assert supervisor.which_children() == [
        ChildInfo("a", a, "worker", "running", 1),
        ChildInfo("b", None, "worker", "stopped", 0),
        ChildInfo("sub", sub, "supervisor", "running", 0),
        ChildInfo("dyn", dyn, "supervisor", "running", 0),
    ]
    assert supervisor.count_children() == ChildCounts(specs=4, active=3, supervisors=2, workers=2)


def test_child_is_none_for_one_that_does_not_run_or_is_not_known(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"))
    supervisor.terminate_child("a")
    assert supervisor.child("a") is None
    assert supervisor.child("z") is None


def test_a_child_that_ended_is_not_shown_as_running_even_before_the_supervisor_knows(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"))
    supervisor.child("a").crash()
    assert supervisor.child("a") is None
    assert supervisor.which_children()[0].child is None
    assert supervisor.count_children().active == 0


# Who calls


def test_reading_answers_while_a_start_hangs(family: Family, supervise: Supervise) -> None:
    def hangs() -> None:
        in_start.set()
        forever()

    in_start = Event()
    supervisor = supervise(family.specs("a"))
    starter = gevent.spawn(supervisor.start_child, ChildSpec(id="slow", start=hangs))
    in_start.wait(DEADLINE)
    assert states(supervisor) == {"a": "running", "slow": "starting"}
    assert "slow  starting" in str(supervisor.tree())
    assert supervisor.count_children().active == 1
    supervisor.kill()
    with pytest.raises(SupervisorStopped):
        starter.get(timeout=DEADLINE)


def test_a_start_function_may_read_its_own_supervisor(family: Family, supervise: Supervise) -> None:
    seen: list[dict[Any, str]] = []
    supervisor = supervise(family.specs("a"))

    def start() -> Any:
        seen.append(states(supervisor))
        return family.spec("b").start()

    supervisor.start_child(ChildSpec(id="b", start=start))
    assert seen == [{"a": "running", "b": "starting"}]


@pytest.mark.parametrize(
    "call",
    [
        lambda supervisor: supervisor.start_child(ChildSpec(id="x", start=forever)),
        lambda supervisor: supervisor.terminate_child("a"),
        lambda supervisor: supervisor.restart_child("a"),
        lambda supervisor: supervisor.delete_child("a"),
        lambda supervisor: supervisor.stop(),
        lambda supervisor: supervisor.wait(),
    ],
)
def test_a_start_function_that_would_wait_for_its_own_supervisor_gets_an_error(
    family: Family, supervise: Supervise, call: Callable[[Supervisor], object]
) -> None:
    supervisor = supervise(family.specs("a"))
    with pytest.raises(StartFailed) as raised:
        supervisor.start_child(ChildSpec(id="b", start=lambda: call(supervisor)))
    assert isinstance(raised.value.cause, CalledFromSupervisor)
    assert states(supervisor) == {"a": "running"}


def test_a_child_may_add_and_end_children_and_end_itself(family: Family, supervise: Supervise) -> None:
    def works() -> None:
        go.wait()
        supervisor.start_child(family.spec("b"))
        supervisor.terminate_child("a")
        supervisor.terminate_child("self")

    go = Event()
    supervisor = supervise([*family.specs("a"), ChildSpec.from_callable(works, id="self")])
    gone = AsyncResult()
    supervisor.child("self").monitor(gone.set)
    go.set()
    assert gone.get(timeout=DEADLINE) == ExitReason.shutdown()
    settled(supervisor)
    assert states(supervisor) == {"a": "stopped", "self": "stopped", "b": "running"}


def test_a_call_that_gets_no_answer_in_time_is_withdrawn(family: Family, supervise: Supervise) -> None:
    def waits() -> Any:
        in_start.set()
        go.wait()
        return family.spec("slow").start()

    in_start, go = Event(), Event()
    supervisor = supervise()
    busy = gevent.spawn(supervisor.start_child, ChildSpec(id="slow", start=waits))
    in_start.wait(DEADLINE)
    with pytest.raises(CallTimeout, match=r"within 0.01 s; it was withdrawn"):
        supervisor.start_child(family.spec("late"), timeout=0.01)
    go.set()
    busy.get(timeout=DEADLINE)
    settled(supervisor)
    assert states(supervisor) == {"slow": "running"}


def test_a_call_in_progress_at_its_deadline_is_carried_out_and_says_so(family: Family, supervise: Supervise) -> None:
    def waits() -> Any:
        go.wait()
        return family.spec("slow").start()

    go = Event()
    supervisor = supervise()
    with pytest.raises(CallTimeout, match="it is being carried out"):
        supervisor.start_child(ChildSpec(id="slow", start=waits), timeout=0.01)
    go.set()
    settled(supervisor)
    assert states(supervisor) == {"slow": "running"}


def test_the_callers_own_timeout_passes_through_a_call(supervise: Supervise) -> None:
    supervisor = supervise()
    with gevent.Timeout(0.01, False) as mine:
        supervisor.start_child(ChildSpec(id="slow", start=forever, start_timeout=None), timeout=None)
        pytest.fail("the start should have hung")
    assert isinstance(mine, gevent.Timeout)
    supervisor.kill()


def test_calls_to_an_ended_supervisor_say_why_it_ended(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"), name="shop")
    supervisor.stop(reason=ExitReason.shutdown("deploy"))
    for call in (lambda: supervisor.start_child(family.spec("b")), lambda: supervisor.terminate_child("a")):
        with pytest.raises(SupervisorStopped, match=r"'shop' has ended: shutdown\(deploy\)") as raised:
            call()
        assert raised.value.reason is supervisor.exit_reason
    assert states(supervisor) == {"a": "stopped"}


def test_calls_that_wait_when_the_supervisor_ends_are_answered(family: Family, supervise: Supervise) -> None:
    def hangs() -> None:
        in_start.set()
        forever()

    in_start = Event()
    supervisor = supervise()
    callers = [gevent.spawn(supervisor.start_child, ChildSpec(id="slow", start=hangs))]
    in_start.wait(DEADLINE)
    callers.append(gevent.spawn(supervisor.start_child, family.spec("late")))
    gevent.idle()
    supervisor.kill()
    ended(supervisor)
    for caller in callers:
        with pytest.raises(SupervisorStopped):
            caller.get(timeout=DEADLINE)
    assert family.journal.take() == []


@pytest.mark.parametrize("seconds", [-1, -0.5, float("nan")])
def test_a_wait_whose_time_is_over_ends_at_once_in_any_thread(family: Family, supervise: Supervise, seconds: float) -> None:
    supervisor = supervise(family.specs("a"))
    assert supervisor.wait(seconds) is None
    pool = ThreadPool(1)
    assert pool.spawn(supervisor.wait, seconds).get(timeout=DEADLINE) is None
    pool.kill()


def test_a_wait_may_be_as_long_as_it_likes_in_another_thread(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"))
    pool = ThreadPool(1)
    waits = pool.spawn(supervisor.wait, 1e300)
    supervisor.stop()
    assert waits.get(timeout=DEADLINE) is not None
    pool.kill()


def test_calls_work_from_another_thread(family: Family, supervise: Supervise) -> None:
    def elsewhere() -> list[str]:
        assert threading.get_ident() != here
        supervisor.start_child(family.spec("b"))
        supervisor.terminate_child("a")
        kinds = [child.state for child in supervisor.which_children()]
        supervisor.stop()
        return kinds

    here = threading.get_ident()
    supervisor = supervise(family.specs("a"))
    with gevent.Timeout(DEADLINE):
        assert ThreadPool(1).apply(elsewhere) == ["stopped", "running"]
    assert supervisor.exit_reason == ExitReason.shutdown()

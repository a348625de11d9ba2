"""The kinds of children: functions, greenlets, stock pykka actors, and whatever fits the protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pykka
import pytest
from gevent.event import AsyncResult, Event

from klife_supervision import ChildSpec, DynamicSupervisor, ExitReason, RunningChild, Supervisor, link
from tests.support.supervision_fakes import DEADLINE, Family, ended, forever, settled, states
from tests.support.waiting import wait_until

Supervise = Callable[..., Supervisor]


class Reasons:
    """The exit reasons of the successive lives of one child."""

    def __init__(self, supervisor: Supervisor, child: str) -> None:
        self._reason: Any = AsyncResult()
        self._supervisor = supervisor
        self._child = child
        self.watch()

    def watch(self) -> None:
        self._reason = AsyncResult()
        running = next(row.life for name, row in self._supervisor._table.rows.items() if name == self._child)
        assert running is not None
        running.running.monitor(self._reason.set)

    def next(self) -> ExitReason:
        reason: ExitReason = self._reason.get(timeout=DEADLINE)
        settled(self._supervisor)
        return reason


# Functions


def test_a_function_runs_in_a_greenlet_with_its_arguments(supervise: Supervise) -> None:
    def works(*args: int, **kwargs: int) -> None:
        called.set((args, kwargs, gevent.getcurrent()))
        forever()

    called: Any = AsyncResult()
    supervise([ChildSpec.from_callable(works, id="a", args=(1, 2), kwargs={"three": 3})])
    args, kwargs, greenlet = called.get(timeout=DEADLINE)
    assert (args, kwargs) == ((1, 2), {"three": 3})
    assert greenlet is not gevent.getcurrent()


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), gevent.Timeout(1)])
def test_whatever_a_function_raises_crashes_that_child_alone(supervise: Supervise, error: BaseException) -> None:
    def works() -> None:
        go.wait()
        raise error

    go = Event()
    supervisor = supervise([ChildSpec.from_callable(works, id="a", restart="transient"), ChildSpec.from_callable(forever, id="b")])
    reasons = Reasons(supervisor, "a")
    other = supervisor.child("b")
    go.set()
    reason = reasons.next()
    assert (reason.kind, reason.exception) == ("crashed", error)
    assert other.exit_reason is None


def test_a_function_that_returns_ended_normally(supervise: Supervise) -> None:
    supervisor = supervise([ChildSpec.from_callable(lambda: "done", id="a", restart="transient")])
    assert Reasons(supervisor, "a").next() == ExitReason.normal()
    assert states(supervisor) == {"a": "stopped"}


def test_a_function_that_is_shut_down_runs_its_finally(supervise: Supervise) -> None:
    def works() -> None:
        try:
            running.set()
            forever()
        finally:
            gevent.sleep(0)
            cleaned.set()

    running, cleaned = Event(), Event()
    supervisor = supervise([ChildSpec.from_callable(works, id="a")])
    running.wait(DEADLINE)
    reasons = Reasons(supervisor, "a")
    supervisor.terminate_child("a")
    assert cleaned.is_set()
    assert reasons.next() == ExitReason.shutdown()


def test_a_function_shut_down_before_its_first_turn_never_runs() -> None:
    ran, reason = Event(), AsyncResult()
    child = ChildSpec.from_callable(ran.set, id="a").start()
    child.monitor(reason.set)
    child.shutdown(ExitReason.shutdown("never mind"))
    assert reason.get(timeout=DEADLINE) == ExitReason.shutdown("never mind")
    assert not ran.is_set()


def test_a_function_that_swallows_its_shutdown_is_killed_after_its_seconds(supervise: Supervise) -> None:
    def stubborn() -> None:
        try:
            running.set()
            forever()
        except gevent.GreenletExit:
            asked.set()
            forever()

    running, asked = Event(), Event()
    supervisor = supervise([ChildSpec.from_callable(stubborn, id="a", shutdown=0.01)])
    running.wait(DEADLINE)
    reasons = Reasons(supervisor, "a")
    assert supervisor.stop() == ExitReason.shutdown()
    assert asked.is_set()
    assert reasons.next() == ExitReason.killed()


def test_a_crash_leaves_nothing_to_the_cycle_collector(supervise: Supervise) -> None:
    def works() -> None:
        raise ValueError("x")

    supervisor = supervise([ChildSpec.from_callable(works, id="a", restart="transient")], intensity=0)
    exception = ended(supervisor).exception
    assert exception is not None
    assert exception.__traceback__ is not None
    assert exception.__traceback__.tb_frame.f_code is works.__code__


def test_a_keyboard_interrupt_in_a_child_reaches_the_main_greenlet(supervise: Supervise) -> None:
    def works() -> None:
        go.wait()
        raise KeyboardInterrupt

    go = Event()
    supervisor = supervise([ChildSpec.from_callable(works, id="a", restart="temporary")])
    go.set()
    with pytest.raises(KeyboardInterrupt):
        forever()
    wait_until(lambda: states(supervisor) == {})


# Greenlets


@pytest.fixture
def _quiet_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    # gevent prints what a greenlet raises; these tests do that on purpose.
    monkeypatch.setattr(gevent.get_hub(), "print_exception", lambda *_args: None)


@pytest.mark.usefixtures("_quiet_hub")
def test_a_greenlet_is_a_child_and_a_supervisor_knows_why_it_ended(supervise: Supervise) -> None:
    def works() -> None:
        command = commands.get()
        if command is not None:
            raise command

    commands: Any = AsyncResult()
    supervisor = supervise([ChildSpec(id="a", start=lambda: gevent.spawn(works))])
    assert isinstance(supervisor.child("a"), gevent.Greenlet)
    reasons = Reasons(supervisor, "a")
    error = ValueError("x")
    said, commands = commands, AsyncResult()
    said.set(error)
    crashed = reasons.next()
    assert (crashed.kind, crashed.exception) == ("crashed", error)
    gevent.idle()
    reasons.watch()
    supervisor.child("a").kill(block=False)
    assert reasons.next() == ExitReason.killed()
    reasons.watch()
    supervisor.terminate_child("a")
    assert reasons.next() == ExitReason.shutdown()
    supervisor.restart_child("a")
    reasons.watch()
    gevent.idle()
    commands.set(None)
    assert reasons.next() == ExitReason.normal()


# Stock pykka actors


class Task:
    """A message that takes until `may_end`."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()


class Worker(pykka.ThreadingActor):
    """An ordinary actor, on an operating system thread."""

    use_daemon_thread = True

    def __init__(self, log: list[str] | None = None, stopping: threading.Event | None = None) -> None:
        super().__init__()
        self._log = log if log is not None else []
        self._stopping = stopping

    def on_start(self) -> None:
        self._log.append("on_start")

    def on_stop(self) -> None:
        if self._stopping is not None:
            self._stopping.wait()
        self._log.append("on_stop")

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, Task):
            message.begun.set()
            message.may_end.wait()
        return message


@pytest.fixture(autouse=True)
def _no_actor_left() -> Iterator[None]:
    yield
    assert pykka.ActorRegistry.get_all() == []


def test_a_pykka_actor_that_fails_is_restarted_and_the_reason_is_what_it_raised(supervise: Supervise) -> None:
    supervisor = supervise([ChildSpec(id="a", start=Worker.start, restart="transient")])
    first = supervisor.child("a")
    assert isinstance(first, pykka.ActorRef)
    reasons = Reasons(supervisor, "a")
    error = ValueError("x")
    first.tell(error)
    reason = reasons.next()
    assert (reason.kind, reason.exception) == ("crashed", error)
    assert supervisor.child("a").ask("still there?", timeout=DEADLINE) == "still there?"


def test_a_pykka_actor_that_stops_itself_ended_normally(supervise: Supervise) -> None:
    supervisor = supervise([ChildSpec(id="a", start=Worker.start, restart="transient")])
    reasons = Reasons(supervisor, "a")
    supervisor.child("a").stop(block=False)
    assert reasons.next() == ExitReason.normal()
    assert states(supervisor) == {"a": "stopped"}


def test_a_pykka_actor_is_stopped_with_its_on_stop_before_the_next_one(supervise: Supervise) -> None:
    log: list[str] = []
    may_stop = threading.Event()
    supervisor = supervise([ChildSpec(id="a", start=lambda: Worker.start(log, may_stop))])
    reasons = Reasons(supervisor, "a")
    stopper = gevent.spawn(supervisor.stop)
    gevent.idle()
    assert supervisor.exit_reason is None
    may_stop.set()
    stopper.get(timeout=DEADLINE)
    assert log == ["on_start", "on_stop"]
    assert reasons.next() == ExitReason.shutdown()


def test_a_pykka_actor_that_is_stuck_is_given_up_after_its_seconds(supervise: Supervise) -> None:
    may_stop = threading.Event()
    supervisor = supervise([ChildSpec(id="a", start=lambda: Worker.start([], may_stop), shutdown=0.01)])
    ref = supervisor.child("a")
    reasons = Reasons(supervisor, "a")
    assert supervisor.stop() == ExitReason.shutdown()
    assert reasons.next() == ExitReason.killed()
    assert not ref.is_alive()
    may_stop.set()


@pytest.mark.parametrize("busy", [False, True])
def test_a_killed_pykka_actor_is_gone_and_replaced(supervise: Supervise, busy: bool) -> None:
    supervisor = supervise([ChildSpec(id="a", start=Worker.start, restart="transient")])
    first = supervisor.child("a")
    task = Task()
    if busy:
        first.tell(task)
        task.begun.wait(DEADLINE)
    reasons = Reasons(supervisor, "a")
    supervisor.tree().children[0].kill()
    assert reasons.next() == ExitReason.killed()
    assert not first.is_alive()
    assert pykka.ActorRegistry.get_all() == [supervisor.child("a")]
    assert supervisor.child("a").ask("new?", timeout=DEADLINE) == "new?"
    task.may_end.set()


def test_a_pykka_actor_that_had_stopped_before_it_could_be_watched_counts_as_crashed(supervise: Supervise) -> None:
    def start() -> Any:
        ref = Worker.start()
        if not lives:
            ref.stop()
        lives.append(ref)
        return ref

    lives: list[Any] = []
    supervisor = supervise([ChildSpec(id="a", start=start, restart="transient")])
    settled(supervisor)
    assert len(lives) == 2
    assert states(supervisor) == {"a": "running"}


def test_whoever_ends_an_actor_or_a_greenlet_its_supervisor_sees_why(family: Family, supervise: Supervise) -> None:
    for start in (Worker.start, lambda: gevent.spawn(forever)):
        for cause, effect in ((ExitReason.killed(), ExitReason.killed()), (ExitReason.shutdown("bye"), ExitReason.shutdown("bye"))):
            supervisor = supervise([ChildSpec(id="a", start=start, restart="transient")])
            reasons = Reasons(supervisor, "a")
            partner = family.spec("partner").start()
            link(partner, supervisor.child("a"))
            partner.end(cause)
            assert reasons.next() == effect
            assert states(supervisor) == {"a": "running" if effect.is_abnormal else "stopped"}


# The protocol


def test_what_fits_the_protocol_is_a_child(family: Family) -> None:
    with Supervisor.start([family.spec("a"), DynamicSupervisor.child_spec(id="dyn")]) as supervisor:
        assert isinstance(supervisor, RunningChild)
        assert isinstance(supervisor.child("a"), RunningChild)
        assert isinstance(supervisor.child("dyn"), RunningChild)
        assert not isinstance(object(), RunningChild)

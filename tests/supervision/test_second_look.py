"""Ends and wake-ups that the loop did not tell, for an exception that a signal handler raised there: they are
found all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from klife_supervision import ChildSpec, DynamicSupervisor, ExitReason, Supervisor
from klife_supervision.life import Life
from klife_supervision.logs import flush
from klife_supervision.loop import SupervisorLoop
from klife_supervision.mailbox import Mailbox
from klife_supervision.task import Task
from tests.support.supervision_fakes import DEADLINE, FakeChild, Journal
from tests.support.waiting import wait_until


class Signalled(Exception):
    """What the handler raised."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("klife_supervision.second_look.LOOK_SECONDS", 0.02)


class Interruption:
    """Has the next call of a method raise before it has done anything, once it is `armed`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.armed = False
        self.happened = False
        method = getattr(owner, name)

        def raising(*args: Any) -> Any:
            if self.armed:
                self.armed, self.happened = False, True
                raise Signalled
            return method(*args)

        monkeypatch.setattr(owner, name, raising)


Interrupt = Callable[[Any, str], Interruption]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    return lambda owner, name: Interruption(monkeypatch, owner, name)


def napping(started: list[gevent.Greenlet[..., Any]]) -> gevent.Greenlet[..., Any]:
    started.append(gevent.spawn(gevent.sleep, 600))
    return started[-1]


def test_a_child_whose_end_was_not_told_is_restarted(supervise: Callable[..., Supervisor], interrupt: Interrupt) -> None:
    lost = interrupt(Life, "_monitored")
    started: list[gevent.Greenlet[..., Any]] = []
    supervise([ChildSpec(id="napper", start=lambda: napping(started))])
    lost.armed = True
    started[0].kill()
    wait_until(lambda: len(started) == 2)
    assert lost.happened


def test_a_task_whose_link_was_lost_is_restarted_and_its_reason_is_told(
    supervise: Callable[..., Supervisor], interrupt: Interrupt, events: list[Any]
) -> None:
    lost = interrupt(Task, "_ended")
    lost.armed = True
    ran: list[int] = []

    def crash_once() -> None:
        ran.append(1)
        if len(ran) == 1:
            raise LookupError("broke")
        gevent.sleep(600)

    supervise([ChildSpec.from_callable(crash_once, id="task")])
    wait_until(lambda: len(ran) == 2)
    assert lost.happened
    flush(DEADLINE)
    assert any("broke" in str(event.get("reason")) for event in events if event["event"] == "child exited")


def test_a_supervisor_whose_own_end_was_not_told_is_restarted_and_its_waiters_hear_of_it(
    supervise: Callable[..., Supervisor], interrupt: Interrupt
) -> None:
    lost = interrupt(SupervisorLoop, "_finish")
    inner: list[Supervisor] = []

    def start() -> Supervisor:
        inner.append(Supervisor.start())
        return inner[-1]

    supervise([ChildSpec(id="inner", start=start, type="supervisor")])
    lost.armed = True
    inner[0].kill()
    with gevent.Timeout(DEADLINE):
        assert inner[0].wait() == ExitReason.killed()
    wait_until(lambda: len(inner) == 2)
    assert lost.happened


def test_a_message_whose_wake_up_was_lost_is_served(supervise_dynamic: Callable[..., DynamicSupervisor], interrupt: Interrupt) -> None:
    lost = interrupt(Mailbox, "_wake")
    supervisor = supervise_dynamic()
    gevent.sleep(0)  # it is parked
    lost.armed = True
    started: list[gevent.Greenlet[..., Any]] = []
    with gevent.Timeout(DEADLINE):
        supervisor.start_child(ChildSpec(id="napper", start=lambda: napping(started)))
    assert lost.happened


def test_a_stop_that_waits_for_a_child_whose_end_was_not_told_returns(
    supervise: Callable[..., Supervisor], interrupt: Interrupt
) -> None:
    lost = interrupt(Life, "_monitored")
    started: list[gevent.Greenlet[..., Any]] = []
    supervisor = supervise([ChildSpec(id="napper", start=lambda: napping(started), shutdown="infinity")])
    lost.armed = True
    with gevent.Timeout(DEADLINE):
        supervisor.stop()
    assert lost.happened


def test_what_can_not_be_asked_keeps_no_other_from_being_looked_at(supervise: Callable[..., Supervisor], interrupt: Interrupt) -> None:
    class Unasked(FakeChild):
        @property
        def exit_reason(self) -> ExitReason | None:
            if lost.armed or lost.happened:
                raise Signalled
            return None

    lost = interrupt(Life, "_monitored")
    started: list[gevent.Greenlet[..., Any]] = []
    supervise(
        [
            ChildSpec(id="first", start=lambda: Unasked("first", Journal())),
            ChildSpec(id="napper", start=lambda: napping(started)),
        ]
    )
    lost.armed = True
    started[0].kill()
    wait_until(lambda: len(started) == 2)
    assert lost.happened

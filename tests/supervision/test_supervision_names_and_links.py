"""Names, links and monitors."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import pykka
import pytest
from gevent.event import AsyncResult

from klife_supervision import (
    ExitReason,
    InvalidChild,
    Monitors,
    NameTaken,
    StartFailed,
    Supervisor,
    link,
    monitor,
    register,
    registered,
    whereis,
)
from tests.support.supervision_fakes import DEADLINE, FakeChild, Family, ended, forever, settled

Supervise = Callable[..., Supervisor]


# Names


def test_a_childs_name_stands_for_it_while_it_runs_and_for_its_next_life_after_a_restart(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([family.spec("a", name="till")])
    first = whereis("till")
    assert first is supervisor.child("a")
    first.crash()
    assert whereis("till") is None
    settled(supervisor)
    assert whereis("till") is supervisor.child("a")
    assert whereis("till") is not first
    supervisor.terminate_child("a")
    assert whereis("till") is None


def test_a_supervisors_name_stands_for_it_while_it_lives(supervise: Supervise) -> None:
    supervisor = supervise(name="shop")
    assert whereis("shop") is supervisor
    assert supervisor.name == "shop"
    assert registered() == ("shop",)
    supervisor.stop()
    assert whereis("shop") is None


def test_a_taken_name_is_refused_and_what_was_started_is_stopped(family: Family, supervise: Supervise) -> None:
    supervise([family.spec("a", name="till")], name="shop")
    with pytest.raises(NameTaken, match="'shop' is taken by Supervisor"):
        Supervisor.start(name="shop")
    family.journal.take()
    with pytest.raises(StartFailed, match="NameTaken: the name 'till' is taken by FakeChild"):
        Supervisor.start([family.spec("b", name="till")])
    assert family.journal.take() == ["start b", "shutdown b"]
    other = supervise()
    with pytest.raises(StartFailed, match="NameTaken"):
        other.start_child(family.spec("b", name="till"))
    assert family.journal.take() == ["start b", "shutdown b"]


def test_a_nested_supervisor_may_have_a_name(supervise: Supervise) -> None:
    supervisor = supervise([Supervisor.child_spec(id="sub", name="stock")])
    assert whereis("stock") is supervisor.child("sub")
    supervisor.child("sub").kill()
    ended(whereis("stock"))
    settled(supervisor)
    assert whereis("stock") is supervisor.child("sub")


def test_anything_that_can_be_supervised_can_be_registered_and_its_name_is_freed_at_its_end() -> None:
    greenlet = gevent.spawn(forever)
    register("mine", greenlet)
    assert whereis("mine") is greenlet
    with pytest.raises(NameTaken):
        register("mine", gevent.spawn(forever))
    greenlet.kill()
    gevent.idle()
    assert whereis("mine") is None
    with pytest.raises(InvalidChild):
        register("mine", 42)


# Monitors


def test_a_monitor_is_told_once_when_a_child_ends_or_soon_if_it_has(family: Family) -> None:
    told: list[ExitReason] = []
    child = FakeChild("a", family.journal)
    monitor(child, told.append)
    assert told == []
    child.end(ExitReason.normal())
    child.end(ExitReason.killed())
    assert told == [ExitReason.normal()]
    monitor(child, told.append)
    gevent.idle()
    assert told == [ExitReason.normal()] * 2


def test_a_greenlet_can_be_monitored_before_and_after_its_end() -> None:
    greenlet = gevent.spawn(forever)
    for _ in range(2):
        reason: Any = AsyncResult()
        monitor(greenlet, reason.set)
        greenlet.kill()
        assert reason.get(timeout=DEADLINE) == ExitReason.killed()


def test_a_cancelled_monitor_is_not_told(family: Family, supervise: Supervise) -> None:
    told: list[ExitReason] = []
    supervisor = supervise()
    child = FakeChild("a", family.journal)
    greenlet = gevent.spawn(forever)
    for each in (supervisor, child, greenlet):
        cancel = monitor(each, told.append)
        cancel()
        cancel()
    supervisor.stop()
    child.end(ExitReason.normal())
    greenlet.kill()
    gevent.idle()
    assert told == []


def test_a_monitor_that_raises_keeps_nobody_from_being_told(events: list[Any]) -> None:
    def raises(_reason: ExitReason) -> None:
        raise RuntimeError("bad monitor")

    told: list[ExitReason] = []
    monitors = Monitors()
    monitors.add(raises)
    monitors.add(told.append)
    monitors.fire(ExitReason.normal())
    assert told == [ExitReason.normal()]
    assert [event["event"] for event in events] == ["monitor callback raised"]


def test_a_supervisor_tells_its_monitors_once_everything_below_is_down(family: Family, supervise: Supervise) -> None:
    seen: list[tuple[ExitReason, int]] = []
    supervisor = supervise(family.specs("ab"))
    supervisor.monitor(lambda reason: seen.append((reason, supervisor.count_children().active)))
    supervisor.stop()
    assert seen == [(ExitReason.shutdown(), 0)]


# Links


@pytest.mark.parametrize(
    ("reason", "other"),
    [
        (ExitReason.normal(), None),
        (ExitReason.shutdown("deploy"), ExitReason.shutdown("deploy")),
        (ExitReason.killed(), ExitReason.killed()),
        (ExitReason.crashed(ValueError("x")), ExitReason.killed()),
    ],
)
def test_linked_lives_end_together_unless_one_ends_normally(family: Family, reason: ExitReason, other: ExitReason | None) -> None:
    for first, second in ((0, 1), (1, 0)):
        pair = [FakeChild("a", family.journal), FakeChild("b", family.journal)]
        link(*pair)
        pair[first].end(reason)
        assert pair[second].exit_reason == other


def test_unlinked_lives_end_apart(family: Family) -> None:
    one, other = FakeChild("a", family.journal), FakeChild("b", family.journal)
    unlink = link(one, other)
    unlink()
    one.crash()
    assert other.exit_reason is None


def test_a_link_to_one_that_has_ended_is_as_if_it_ended_now(family: Family) -> None:
    crashed, normal = FakeChild("crashed", family.journal), FakeChild("normal", family.journal)
    crashed.crash()
    normal.end(ExitReason.normal())
    greenlet = gevent.spawn(forever)
    greenlet.kill()
    for dead, survives in ((crashed, False), (greenlet, False), (normal, True)):
        for turned in (False, True):
            other = FakeChild("other", family.journal)
            link(*((other, dead) if turned else (dead, other)))
            gevent.idle()
            assert (other.exit_reason is None) is survives


def test_one_that_outlives_its_partners_keeps_nothing_of_them(family: Family) -> None:
    survivor = FakeChild("survivor", family.journal)
    greenlet = gevent.spawn(forever)
    gone = []
    for reason in (ExitReason.normal(), ExitReason.shutdown()):
        for stays in (survivor, greenlet):
            partner = FakeChild("partner", family.journal)
            gone.append(weakref.ref(partner))
            unlink = link(partner, stays)
            if reason.kind == "normal":
                partner.end(reason)
            else:
                unlink()
    del partner, unlink, stays
    gc.collect()
    assert [each() for each in gone] == [None] * 4
    assert (survivor.exit_reason, greenlet.dead) == (None, False)
    greenlet.kill()


def test_a_link_reaches_from_an_actors_thread_into_ours() -> None:
    class Fragile(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message: BaseException) -> None:
            time.sleep(0.05)  # by now our event loop waits, with nothing to wake it
            raise message

    greenlet = gevent.spawn(forever)
    actor: Any = Fragile.start()
    link(actor, greenlet)
    gevent.idle()
    actor.tell(ValueError("x"))
    greenlet.join(DEADLINE)
    assert isinstance(greenlet.value, gevent.GreenletExit)


def test_a_link_between_children_of_two_supervisors_restarts_both(family: Family, supervise: Supervise) -> None:
    left = supervise([family.spec("a", restart="transient")])
    right = supervise([family.spec("b", restart="transient")])
    link(left.child("a"), right.child("b"))
    family.journal.take()
    left.child("a").crash()
    settled(left)
    settled(right)
    assert sorted(family.journal.take()) == ["kill b", "start a", "start b"]

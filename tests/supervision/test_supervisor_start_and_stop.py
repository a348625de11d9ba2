"""Starting in order or not at all, and stopping in reverse order within limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.exceptions import LoopExit

from klife_supervision import (
    ChildSpec,
    ExitReason,
    InvalidChild,
    InvalidChildSpec,
    InvalidSupervisorOption,
    StartFailed,
    StartTimeout,
    Supervisor,
    life,
    whereis,
)
from tests.support.supervision_fakes import DEADLINE, Family, ended, forever, settled, states

Supervise = Callable[..., Supervisor]


# Starting


def test_children_start_in_order_and_stop_in_reverse(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("abc"))
    assert family.journal.take() == ["start a", "start b", "start c"]
    assert supervisor.stop() == ExitReason.shutdown()
    assert family.journal.take() == ["shutdown c", "shutdown b", "shutdown a"]


@pytest.mark.parametrize(("broken", "before"), [("a", ""), ("b", "a"), ("c", "ab")])
def test_a_failed_start_stops_those_before_and_names_the_child_and_the_cause(family: Family, broken: str, before: str) -> None:
    family.failing[broken] = 1
    with pytest.raises(
        StartFailed, match=f"supervisor 'shop' could not start its child '{broken}': OSError: {broken} cannot start"
    ) as raised:
        Supervisor.start(family.specs("abc"), name="shop")
    assert (raised.value.supervisor, raised.value.child) == ("shop", broken)
    assert isinstance(raised.value.__cause__, OSError)
    assert family.journal.take() == [f"start {each}" for each in before + broken] + [f"shutdown {each}" for each in reversed(before)]


def test_a_failed_start_deep_in_the_tree_takes_down_all_and_names_the_path(family: Family) -> None:
    family.failing["y"] = 1
    with pytest.raises(StartFailed, match=r"child 'sub'.*child 'y'.*y cannot start"):
        Supervisor.start([family.spec("a"), Supervisor.child_spec(id="sub", children=family.specs("xyz"))])
    assert family.journal.take() == ["start a", "start x", "start y", "shutdown x", "shutdown a"]


def test_after_a_failed_start_the_name_is_free(family: Family, supervise: Supervise) -> None:
    family.failing["a"] = 1
    with pytest.raises(StartFailed):
        Supervisor.start(family.specs("a"), name="shop")
    assert supervise(family.specs("a"), name="shop").state == "running"


def test_a_start_that_hangs_is_interrupted_and_counts_as_failed(family: Family) -> None:
    def hangs() -> None:
        try:
            forever()
        finally:
            family.journal.write("interrupted")

    with pytest.raises(StartFailed, match=r"child 'slow'.*start_timeout, 0.01 s") as raised:
        Supervisor.start([family.spec("a"), ChildSpec(id="slow", start=hangs, start_timeout=0.01), family.spec("b")])
    assert isinstance(raised.value.cause, StartTimeout)
    assert family.journal.take() == ["start a", "interrupted", "shutdown a"]


def test_a_nested_supervisor_whose_start_hangs_is_taken_down_with_what_it_had_started(family: Family) -> None:
    slow = ChildSpec(id="slow", start=forever, start_timeout=None)
    sub = Supervisor.child_spec(id="sub", children=[family.spec("x"), slow], start_timeout=0.01)
    with pytest.raises(StartFailed, match=r"child 'sub'.*start_timeout"):
        Supervisor.start([family.spec("a"), sub])
    assert family.journal.take() == ["start a", "start x", "kill x", "shutdown a"]


def test_a_starter_that_gives_up_waiting_leaves_nothing_behind(family: Family) -> None:
    slow = ChildSpec(id="slow", start=forever, start_timeout=None)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        Supervisor.start([family.spec("a"), slow], name="shop")
    assert family.journal.take() == ["start a", "kill a"]


@pytest.mark.parametrize("nonsense", [None, 42, "child", object(), Event, Family])
def test_a_start_that_returns_nonsense_is_a_clear_error(family: Family, nonsense: Any) -> None:
    with pytest.raises(StartFailed, match=r"child 'odd'.*which cannot be supervised: expected a gevent.Greenlet") as raised:
        Supervisor.start([family.spec("a"), ChildSpec(id="odd", start=lambda: nonsense)])
    assert isinstance(raised.value.cause, InvalidChild)
    assert f"start returned {type(nonsense).__name__}" in str(raised.value)
    assert family.journal.take() == ["start a", "shutdown a"]


@pytest.mark.parametrize("error", [SystemExit(1), gevent.Timeout(1), ValueError("x")])
def test_whatever_a_start_raises_fails_that_start_alone(family: Family, error: BaseException) -> None:
    def start() -> None:
        raise error

    with pytest.raises(StartFailed) as raised:
        Supervisor.start([family.spec("a"), ChildSpec(id="b", start=start)])
    assert raised.value.cause is error
    assert family.journal.take() == ["start a", "shutdown a"]


def test_a_child_that_ends_while_its_siblings_start_is_restarted_afterwards(family: Family, supervise: Supervise) -> None:
    def dies_early_once() -> Any:
        fake = family.spec("a").start()
        if not lives:
            fake.crash()
        lives.append(fake)
        return fake

    lives: list[Any] = []
    supervisor = supervise([ChildSpec(id="a", start=dies_early_once), family.spec("b")])
    settled(supervisor)
    assert family.journal.take() == ["start a", "start b", "start a"]
    assert states(supervisor) == {"a": "running", "b": "running"}


def test_a_supervisor_without_children_is_fine(supervise: Supervise) -> None:
    supervisor = supervise()
    assert supervisor.which_children() == []
    assert supervisor.stop() == ExitReason.shutdown()


# Bad input


def test_duplicate_ids_are_refused_before_anything_starts(family: Family) -> None:
    with pytest.raises(InvalidChildSpec, match="two children have the id 'a'"):
        Supervisor.start(family.specs("aba"))
    with pytest.raises(InvalidChildSpec, match="two children have the id 'a'"):
        Supervisor.child_spec(id="sub", children=family.specs("aa"))
    assert family.journal.take() == []


@pytest.mark.parametrize(
    ("children", "named"),
    [([42], "int"), (["a"], "str"), ("a", "str"), ([forever], "function"), ([Supervisor], "the class Supervisor")],
)
def test_children_that_are_no_specs_are_refused_with_what_makes_one(children: Any, named: str) -> None:
    with pytest.raises(InvalidChildSpec, match=f"must be a ChildSpec, not {named}; ChildSpec.from_callable makes one"):
        Supervisor.start(children)


@pytest.mark.parametrize("children", [forever, ChildSpec(id="a", start=forever), None])
def test_children_that_are_no_list_are_refused(children: Any) -> None:
    with pytest.raises(InvalidChildSpec, match=f"must be a list of ChildSpecs, not {type(children).__name__}"):
        Supervisor.start(children)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("strategy", "one_for_none"),
        ("strategy", None),
        ("intensity", -1),
        ("intensity", 1.5),
        ("intensity", True),
        ("period", 0),
        ("period", "5"),
        ("period", float("nan")),
        ("auto_shutdown", "always"),
        ("restart_delay", 3),
        ("on_give_up", "page me"),
        ("name", []),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_naming_it_and_its_value(option: str, value: Any) -> None:
    for build in (Supervisor.start, lambda **options: Supervisor.child_spec(id="sub", **options)):
        with pytest.raises(InvalidSupervisorOption, match=f"{option} must be") as raised:
            build(**{option: value})
        assert repr(value) in str(raised.value)


# Stopping


def test_a_child_that_ignores_its_shutdown_is_killed_after_its_seconds(family: Family, supervise: Supervise) -> None:
    family.stubborn = {"b"}
    supervisor = supervise([family.spec("a"), family.spec("b", shutdown=0.01), family.spec("c")])
    child = supervisor.child("b")
    family.journal.take()
    supervisor.stop()
    assert family.journal.take() == ["shutdown c", "shutdown b", "kill b", "shutdown a"]
    assert child.exit_reason == ExitReason.killed()


def test_a_brutal_kill_does_not_ask(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([family.spec("a", shutdown="brutal_kill"), family.spec("b")])
    family.journal.take()
    supervisor.stop()
    assert family.journal.take() == ["shutdown b", "kill a"]


def test_infinity_waits_for_the_child_and_stops_nobody_else_meanwhile(family: Family, supervise: Supervise) -> None:
    family.stubborn = {"b"}
    supervisor = supervise([family.spec("a"), family.spec("b", shutdown="infinity")])
    child = supervisor.child("b")
    family.journal.take()
    supervisor.shutdown()
    family.journal.wait_for("shutdown b")
    gevent.idle()
    assert family.journal.take() == ["shutdown b"]
    assert supervisor.state == "stopping"
    assert states(supervisor) == {"a": "running", "b": "stopping"}
    child.end(ExitReason.normal())
    assert ended(supervisor) == ExitReason.shutdown()
    assert family.journal.take() == ["shutdown a"]


def test_stop_kills_what_is_left_after_its_timeout(family: Family, supervise: Supervise) -> None:
    family.stubborn = {"b"}
    supervisor = supervise([family.spec("a"), family.spec("b", shutdown="infinity"), family.spec("c")])
    family.journal.take()
    assert supervisor.stop(timeout=0.01) == ExitReason.killed()
    assert family.journal.take() == ["shutdown c", "shutdown b", "kill b", "kill a"]


def test_stop_gives_the_reason_it_was_given(family: Family, supervise: Supervise) -> None:
    reason = ExitReason.shutdown("deploy")
    supervisor = supervise(family.specs("a"))
    assert supervisor.stop(reason=reason) is reason
    assert supervisor.exit_reason is reason


def test_stopping_twice_is_fine(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"))
    first = supervisor.stop()
    assert supervisor.stop() is first
    supervisor.kill()
    supervisor.shutdown()
    assert supervisor.wait() is first


def test_two_who_stop_at_once_both_get_the_answer(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("abc"))
    stoppers = [gevent.spawn(supervisor.stop) for _ in range(2)]
    gevent.joinall(stoppers, timeout=DEADLINE)
    assert [stopper.value for stopper in stoppers] == [ExitReason.shutdown()] * 2


def test_leaving_the_with_block_stops_the_supervisor(family: Family) -> None:
    with Supervisor.start(family.specs("a")) as supervisor:
        assert supervisor.state == "running"
    assert supervisor.state == "ended"


def test_wait_returns_none_while_it_lives(supervise: Supervise) -> None:
    assert supervise().wait(0.0) is None


def test_a_child_may_stop_its_own_supervisor(supervise: Supervise) -> None:
    def stops() -> None:
        go.wait()
        supervisor.stop()

    go = Event()
    supervisor = supervise([ChildSpec.from_callable(stops, id="a")])
    go.set()
    assert ended(supervisor) == ExitReason.shutdown()


def test_a_child_that_crashes_while_it_is_stopped_is_not_restarted(supervise: Supervise, events: list[Any]) -> None:
    def breaks_when_stopped() -> None:
        try:
            running.set()
            forever()
        finally:
            raise ValueError("while stopping")

    running = Event()
    supervisor = supervise([ChildSpec.from_callable(breaks_when_stopped, id="a")])
    running.wait()
    assert supervisor.stop() == ExitReason.shutdown()
    exits = [event for event in events if event["event"] == "child exited"]
    assert [event["reason"] for event in exits] == ["crashed(ValueError: while stopping)"]


def test_a_sibling_that_crashes_during_the_shutdown_is_not_restarted(family: Family, supervise: Supervise) -> None:
    family.stubborn = {"b"}
    supervisor = supervise([family.spec("a"), family.spec("b", shutdown="infinity")])
    first, second = supervisor.child("a"), supervisor.child("b")
    family.journal.take()
    supervisor.shutdown()
    family.journal.wait_for("shutdown b")
    first.crash()
    second.end(ExitReason.shutdown())
    ended(supervisor)
    assert family.journal.take() == ["shutdown b"]


def test_a_child_whose_shutdown_raises_is_killed(supervise: Supervise, family: Family) -> None:
    spec = family.spec("a")

    def start() -> Any:
        child = spec.start()
        child.shutdown = lambda _reason: 1 / 0
        return child

    supervisor = supervise([ChildSpec(id="a", start=start, shutdown="infinity")])
    assert supervisor.stop() == ExitReason.shutdown()
    assert family.journal.take() == ["start a", "kill a"]


def test_a_child_that_survives_its_kill_is_abandoned_loudly(
    supervise: Supervise, family: Family, events: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "KILL_GRACE", 0.01)
    spec = family.spec("a")

    def start() -> Any:
        child = spec.start()
        child.kill = lambda: None
        return child

    supervisor = supervise([ChildSpec(id="a", start=start, shutdown="brutal_kill", name="till"), family.spec("b")])
    assert supervisor.stop() == ExitReason.shutdown()
    assert whereis("till") is None
    assert "child survived its kill and is abandoned" in [event["event"] for event in events]


def test_nothing_wakes_a_supervisor_that_has_nothing_to_do(family: Family, supervise: Supervise) -> None:
    supervise(family.specs("abc"))
    with pytest.raises(LoopExit):
        # gevent raises this when no timer, no watcher and no greenlet is left that could ever wake the one
        # who waits.
        Event().wait()

"""What can be seen: the tree as a value, and the events."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from klife_supervision import ChildSpec, DynamicSupervisor, ExitReason, StartFailed, Supervisor, TreeNode
from klife_supervision.logs import flush, forget_repeats
from tests.support.supervision_fakes import DEADLINE, Family, ended, settled

Supervise = Callable[..., Supervisor]


# The tree


def test_a_tree_prints_as_a_drawing(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(
        [
            family.spec("till"),
            Supervisor.child_spec(id="stock", children=family.specs("xy"), strategy="rest_for_one"),
            DynamicSupervisor.child_spec(id="baskets"),
        ],
        name="shop",
    )
    supervisor.child("baskets").start_child(family.spec("basket-1"))
    supervisor.child("baskets").start_child(family.spec("basket-2"))
    supervisor.child("till").crash()
    settled(supervisor)
    for _ in range(2):
        supervisor.child("stock").child("x").crash()
        settled(supervisor.child("stock"))
    supervisor.child("stock").terminate_child("y")
    assert str(supervisor.tree()).splitlines() == [
        "shop  (supervisor)  running",
        "├─ till  running  1 restart",
        "├─ stock  (supervisor)  running",
        "│  ├─ x  running  2 restarts",
        "│  └─ y  stopped  2 restarts",
        "└─ baskets  (supervisor)  running",
        "   ├─ basket-1  running",
        "   └─ basket-2  running",
    ]


def test_a_node_tells_id_kind_state_restarts_and_children(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([Supervisor.child_spec(id="sub", children=family.specs("x"))], name="shop")
    root = supervisor.tree()
    assert (root.id, root.kind, root.state, root.restarts) == ("shop", "supervisor", "running", 0)
    (sub,) = root.children
    assert sub == TreeNode("sub", "supervisor", "running", 0, (TreeNode("x", "worker", "running", 0),))


def test_a_worker_may_show_a_state_of_its_own(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("ab"))
    supervisor.child("a").state = "draining"
    supervisor.child("b").state = 42
    assert [node.state for node in supervisor.tree().children] == ["draining", "running"]


def test_a_worker_whose_state_raises_is_shown_as_that(family: Family, supervise: Supervise) -> None:
    spec = family.spec("a")

    def start() -> Any:
        child = spec.start()
        child.__class__ = type("Sick", (child.__class__,), {"state": property(lambda _self: 1 / 0)})
        return child

    supervisor = supervise([ChildSpec(id="a", start=start)])
    assert supervisor.tree().children[0].state == "running, raised ZeroDivisionError when looked at"


def test_killing_a_node_is_a_crash_to_its_supervisor(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([Supervisor.child_spec(id="sub", children=family.specs("xy", restart="transient"))])
    sub = supervisor.child("sub")
    family.journal.take()
    supervisor.tree().children[0].children[1].kill()
    settled(sub)
    assert family.journal.take() == ["kill y", "start y"]
    supervisor.tree().children[0].kill()
    assert ended(sub) == ExitReason.killed()
    settled(supervisor)
    assert family.journal.take() == ["kill y", "kill x", "start x", "start y"]


def test_a_node_kills_what_ran_when_the_tree_was_taken_and_not_its_successor(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"))
    (node,) = supervisor.tree().children
    supervisor.child("a").crash()
    settled(supervisor)
    node.kill()
    settled(supervisor)
    assert supervisor.tree().children[0].restarts == 1


def test_killing_a_node_that_does_not_run_does_nothing(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"))
    supervisor.terminate_child("a")
    supervisor.tree().children[0].kill()
    assert supervisor.tree().children[0].state == "stopped"


def test_killing_the_root_ends_the_tree(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(family.specs("a"))
    supervisor.tree().kill()
    assert ended(supervisor) == ExitReason.killed()
    assert str(supervisor.tree()).splitlines() == ["Supervisor  (supervisor)  ended", "└─ a  stopped"]


# Events


def about_children(events: list[Any]) -> list[tuple[Any, ...]]:
    fields = ("event", "supervisor", "child", "reason", "restarts")
    return [tuple(event[field] for field in fields) for event in events if "child" in event]


def test_each_start_exit_and_restart_is_one_event(family: Family, supervise: Supervise, events: list[Any]) -> None:
    supervisor = supervise([*family.specs("ab"), Supervisor.child_spec(id="sub", children=family.specs("x"))], name="shop")
    supervisor.child("a").crash()
    settled(supervisor)
    supervisor.stop()
    assert about_children(events) == [
        ("child started", "shop", "a", "start", 0),
        ("child started", "shop", "b", "start", 0),
        ("child started", "sub", "x", "start", 0),
        ("child started", "shop", "sub", "start", 0),
        ("child exited", "shop", "a", "crashed(ValueError: a broke)", 0),
        ("child restarted", "shop", "a", "crashed(ValueError: a broke)", 1),
        ("child exited", "sub", "x", "shutdown", 0),
        ("child exited", "shop", "sub", "shutdown", 0),
        ("child exited", "shop", "b", "shutdown", 0),
        ("child exited", "shop", "a", "shutdown", 1),
    ]
    assert [event["event"] for event in events if "child" not in event] == ["supervisor started", "supervisor exited"]


def test_abnormal_ends_are_errors_with_a_traceback_and_others_are_not(family: Family, supervise: Supervise, events: list[Any]) -> None:
    supervisor = supervise(family.specs("ab", restart="temporary"))
    supervisor.child("a").crash()
    supervisor.child("b").end(ExitReason.normal())
    settled(supervisor)
    crashed, normal = (event for event in events if event["event"] == "child exited")
    assert (crashed["log_level"], normal["log_level"]) == ("error", "debug")
    assert crashed["exception"].endswith("ValueError: a broke")
    assert "exception" not in normal


def test_siblings_restarted_with_a_child_say_so(family: Family, supervise: Supervise, events: list[Any]) -> None:
    supervisor = supervise(family.specs("ab"), strategy="one_for_all")
    supervisor.child("b").crash()
    settled(supervisor)
    restarts = [event for event in about_children(events) if event[0] == "child restarted"]
    assert restarts == [
        ("child restarted", "Supervisor", "a", "restarted with 'b'", 1),
        ("child restarted", "Supervisor", "b", "crashed(ValueError: b broke)", 1),
    ]


def test_a_failed_start_and_giving_up_are_events(family: Family, events: list[Any]) -> None:
    family.failing["a"] = 1
    with pytest.raises(StartFailed):
        Supervisor.start(family.specs("a"), name="shop")
    (failed,) = about_children(events)
    assert failed == ("child start failed", "shop", "a", "OSError: a cannot start", 0)
    events.clear()
    with Supervisor.start(family.specs("b"), name="shop", intensity=0) as supervisor:
        supervisor.child("b").crash()
        ended(supervisor)
    assert ("supervisor gave up", "shop", "b", "crashed(ValueError: b broke)", 0) in about_children(events)
    (gave_up,) = (event for event in events if event["event"] == "supervisor gave up")
    assert (gave_up["log_level"], gave_up["intensity"], gave_up["period"]) == ("error", 0, 5.0)


def test_a_crash_is_logged_without_the_values_of_local_variables(supervise: Supervise, capsys: pytest.CaptureFixture[str]) -> None:
    def works() -> None:
        password = "hunter2".upper()
        raise ValueError(len(password))

    for renderer in (structlog.dev.ConsoleRenderer(), structlog.processors.JSONRenderer()):
        structlog.configure(processors=[structlog.processors.add_log_level, renderer])
        forget_repeats()
        try:
            supervisor = supervise([ChildSpec.from_callable(works, id="a")], intensity=0)
            ended(supervisor)
            assert flush(DEADLINE)
        finally:
            structlog.reset_defaults()
        written = capsys.readouterr().out
        assert "ValueError: 7" in written
        assert "HUNTER2" not in written
    crash = next(json.loads(line) for line in written.splitlines() if "child exited" in line)
    assert crash["child"] == "a"
    assert crash["exception"].startswith("Traceback")

"""Significant children and auto_shutdown: a supervisor that ends when its work is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from klife_supervision import AutoShutdown, ExitReason, InvalidChildSpec, Supervisor
from tests.support.supervision_fakes import Family, ended, settled, states

Supervise = Callable[..., Supervisor]


def test_any_significant_child_that_ends_by_itself_ends_the_supervisor(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(
        [family.spec("a"), *family.specs("xy", restart="transient", significant=True)], auto_shutdown="any_significant"
    )
    family.journal.take()
    supervisor.child("x").end(ExitReason.normal())
    reason = ended(supervisor)
    assert (reason.kind, reason.is_abnormal) == ("shutdown", False)
    assert isinstance(reason.term, AutoShutdown)
    assert reason.term.child == "x"
    assert family.journal.take() == ["shutdown y", "shutdown a"]


def test_the_last_significant_child_ends_the_supervisor(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(
        [family.spec("a"), *family.specs("xy", restart="transient", significant=True)], auto_shutdown="all_significant"
    )
    supervisor.child("x").end(ExitReason.normal())
    settled(supervisor)
    assert states(supervisor) == {"a": "running", "x": "stopped", "y": "running"}
    supervisor.child("y").end(ExitReason.shutdown())
    assert ended(supervisor).term.child == "y"


def test_a_significant_temporary_child_ends_the_supervisor_even_by_a_crash(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([family.spec("x", restart="temporary", significant=True)], auto_shutdown="any_significant")
    supervisor.child("x").crash()
    assert str(ended(supervisor).exception) == "x broke"


def test_a_significant_child_that_crashes_and_is_restarted_ends_nothing(family: Family, supervise: Supervise) -> None:
    supervisor = supervise([family.spec("x", restart="transient", significant=True)], auto_shutdown="any_significant")
    supervisor.child("x").crash()
    settled(supervisor)
    assert states(supervisor) == {"x": "running"}


def test_other_children_may_end(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(
        [family.spec("a", restart="temporary"), family.spec("x", restart="transient", significant=True)],
        auto_shutdown="all_significant",
    )
    supervisor.child("a").end(ExitReason.normal())
    settled(supervisor)
    assert states(supervisor) == {"x": "running"}


def test_terminate_child_is_no_reason_to_shut_down(family: Family, supervise: Supervise) -> None:
    # supervisor(3): only children that terminate by themselves count.
    supervisor = supervise([family.spec("x", restart="transient", significant=True)], auto_shutdown="any_significant")
    supervisor.terminate_child("x")
    settled(supervisor)
    assert supervisor.exit_reason is None


def test_neither_is_being_stopped_with_a_sibling(family: Family, supervise: Supervise) -> None:
    supervisor = supervise(
        [family.spec("a"), family.spec("x", restart="temporary", significant=True)],
        strategy="one_for_all",
        auto_shutdown="any_significant",
    )
    supervisor.child("a").crash()
    settled(supervisor)
    assert states(supervisor) == {"a": "running"}


def test_an_auto_shutdown_is_no_failure_for_a_transient_supervisor(family: Family, supervise: Supervise) -> None:
    sub = Supervisor.child_spec(
        id="sub",
        children=family.specs("x", restart="transient", significant=True),
        auto_shutdown="any_significant",
        restart="transient",
        significant=True,
    )
    root = supervise([sub], auto_shutdown="any_significant")
    root.child("sub").child("x").end(ExitReason.normal())
    assert ended(root).term.child == "sub"


def test_a_permanent_child_cannot_be_significant(family: Family) -> None:
    with pytest.raises(InvalidChildSpec, match="significant child must be transient or temporary"):
        family.spec("a", significant=True)


def test_a_significant_child_needs_a_supervisor_that_heeds_it(family: Family, supervise: Supervise) -> None:
    spec = family.spec("x", restart="transient", significant=True)
    with pytest.raises(InvalidChildSpec, match="auto_shutdown='never'"):
        Supervisor.start([spec])
    with pytest.raises(InvalidChildSpec, match="auto_shutdown='never'"):
        Supervisor.child_spec(id="sub", children=[spec])
    with pytest.raises(InvalidChildSpec, match="auto_shutdown='never'"):
        supervise().start_child(spec)

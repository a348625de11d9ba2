"""Exit reasons and child specs: values that print well and are valid when built."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from klife_supervision import ChildSpec, DynamicSupervisor, ExitReason, InvalidChildSpec, RestartDelay, SupervisionError, Supervisor
from tests.support.supervision_fakes import forever

ERROR = ValueError("x")


@pytest.mark.parametrize(
    ("reason", "kind", "abnormal", "text"),
    [
        (ExitReason.normal(), "normal", False, "normal"),
        (ExitReason.shutdown(), "shutdown", False, "shutdown"),
        (ExitReason.shutdown("deploy"), "shutdown", False, "shutdown(deploy)"),
        (ExitReason.killed(), "killed", True, "killed"),
        (ExitReason.crashed(ERROR), "crashed", True, "crashed(ValueError: x)"),
        (ExitReason.crashed(ValueError()), "crashed", True, "crashed(ValueError)"),
    ],
)
def test_an_exit_reason_has_a_kind_and_prints_well(reason: ExitReason, kind: str, abnormal: bool, text: str) -> None:
    assert (reason.kind, reason.is_abnormal, str(reason)) == (kind, abnormal, text)


def test_exit_reasons_are_frozen_values() -> None:
    assert ExitReason.shutdown("a") == ExitReason.shutdown("a")
    assert ExitReason.crashed(ERROR) == ExitReason.crashed(ERROR)
    assert ExitReason.crashed(ERROR) != ExitReason.crashed(ValueError("x"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExitReason.normal().kind = "killed"  # type: ignore[misc]


def test_a_crash_needs_an_exception() -> None:
    with pytest.raises(TypeError, match="not str"):
        ExitReason.crashed("boom")  # type: ignore[arg-type]


def test_the_defaults_of_a_spec_are_otps() -> None:
    worker = ChildSpec(id="a", start=forever)
    assert (worker.restart, worker.shutdown, worker.type, worker.significant) == ("permanent", 5.0, "worker", False)
    supervisor = ChildSpec(id="a", start=forever, type="supervisor")
    assert (supervisor.shutdown, supervisor.start_timeout) == ("infinity", None)
    for nested in (Supervisor.child_spec(id="a"), DynamicSupervisor.child_spec(id="a")):
        assert (nested.type, nested.shutdown, nested.restart) == ("supervisor", "infinity", "permanent")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("id", None, "hashable value other than None"),
        ("id", [], "hashable value other than None"),
        ("start", "forever", "callable"),
        ("restart", "always", '"permanent", "transient", "temporary"'),
        ("restart", None, '"permanent"'),
        ("restart", [], '"permanent"'),
        ("type", "actor", '"worker", "supervisor"'),
        ("shutdown", "soon", '"brutal_kill", "infinity" or a number of seconds'),
        ("shutdown", -1, "a number of seconds"),
        ("shutdown", float("inf"), "a number of seconds"),
        ("shutdown", None, "a number of seconds"),
        ("shutdown", True, "a number of seconds"),
        ("start_timeout", 0, "positive number of seconds"),
        ("start_timeout", "1", "positive number of seconds"),
        ("significant", 1, "True or False"),
        ("restart_delay", (1, 2), "RestartDelay"),
        ("name", {}, "hashable"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_naming_it_its_value_and_what_is_expected(field: str, value: Any, expected: str) -> None:
    fields: dict[str, Any] = {"id": "a", "start": forever, field: value}
    with pytest.raises(InvalidChildSpec) as raised:
        ChildSpec(**fields)
    text = str(raised.value)
    assert f"{field} must be" in text
    assert repr(value) in text
    assert expected in text
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, SupervisionError)


def test_a_spec_of_a_function_checks_it_now() -> None:
    with pytest.raises(InvalidChildSpec, match="function must be callable, not int"):
        ChildSpec.from_callable(42, id="a")  # type: ignore[arg-type]


def test_a_spec_can_be_varied() -> None:
    spec = dataclasses.replace(Supervisor.child_spec(id="a"), restart_delay=RestartDelay(1, 2))
    assert (spec.id, spec.shutdown, spec.restart_delay) == ("a", "infinity", RestartDelay(1, 2))

"""The options of a supervisor, as a value that is valid or was never built."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from klife_supervision.child_spec import ChildSpec
from klife_supervision.errors import InvalidChildSpec, InvalidSupervisorOption
from klife_supervision.monitors import MonitorCallback
from klife_supervision.policy import AUTO_SHUTDOWNS, STRATEGIES, AutoShutdownPolicy, RestartDelay, Strategy, is_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorOptions:
    """See `Supervisor.start` and `DynamicSupervisor.start`.

    `label` stands for the supervisor in events, trees and errors. A `nested` one leaves telling its start and
    end to its parent.
    """

    label: Hashable
    nested: bool = False
    name: Hashable = None
    strategy: Strategy = "one_for_one"
    intensity: int = 3
    period: float = 5.0
    auto_shutdown: AutoShutdownPolicy = "never"
    restart_delay: RestartDelay | None = None
    on_give_up: MonitorCallback | None = None
    max_children: int | None = None

    def __post_init__(self) -> None:
        self._require("name", isinstance(self.name, Hashable), "a hashable value, or None for no name")
        self._require("strategy", self.strategy in STRATEGIES, _one_of(STRATEGIES))
        self._require("intensity", _is_count(self.intensity), "an int, 0 or more")
        self._require("period", is_seconds(self.period) and self.period > 0, "a positive number of seconds")
        self._require("auto_shutdown", self.auto_shutdown in AUTO_SHUTDOWNS, _one_of(AUTO_SHUTDOWNS))
        self._require("restart_delay", isinstance(self.restart_delay, RestartDelay | None), "a RestartDelay or None")
        self._require(
            "on_give_up", self.on_give_up is None or callable(self.on_give_up), "a callable that takes an ExitReason, or None"
        )
        self._require(
            "max_children", self.max_children is None or _is_count(self.max_children), "an int, 0 or more, or None for no limit"
        )

    def _require(self, option: str, holds: bool, expected: str) -> None:
        if not holds:
            value = getattr(self, option)
            raise InvalidSupervisorOption(
                f"supervisor {self.label!r}: {option} must be {expected}, not {value!r} ({type(value).__name__})"
            )


def checked_children(supervisor: Hashable, children: Iterable[ChildSpec]) -> tuple[ChildSpec, ...]:
    """`children` as a tuple of specs with distinct ids; InvalidChildSpec if they are not."""
    if not isinstance(children, Iterable):
        raise InvalidChildSpec(f"supervisor {supervisor!r}: children must be a list of ChildSpecs, not {_name_of(children)}")
    specs = tuple(children)
    ids = set()
    for spec in specs:
        require_spec(f"supervisor {supervisor!r}: each child", spec)
        if spec.id in ids:
            raise InvalidChildSpec(f"supervisor {supervisor!r}: two children have the id {spec.id!r}; ids must differ")
        ids.add(spec.id)
    return specs


def require_spec(what: str, value: Any) -> None:
    """Raise InvalidChildSpec, beginning with `what`, unless `value` is a spec."""
    if not isinstance(value, ChildSpec):
        raise InvalidChildSpec(
            f"{what} must be a ChildSpec, not {_name_of(value)}; ChildSpec.from_callable makes one of a function, "
            "and Supervisor.child_spec or DynamicSupervisor.child_spec one of a supervisor"
        )


def _name_of(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _one_of(values: tuple[str, ...]) -> str:
    return "one of " + ", ".join(f'"{value}"' for value in values)

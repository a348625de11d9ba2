"""The supervisor of a known set of children in an order: OTP's `supervisor`."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Self

from klife_supervision.call import CALL_TIMEOUT
from klife_supervision.child_spec import ChildSpec, Shutdown
from klife_supervision.errors import AlreadyStarted, AutoShutdown, ChildNotFound, ChildStillRunning, InvalidChildSpec, StartFailed
from klife_supervision.exit_reason import ExitReason
from klife_supervision.handle import SupervisorHandle
from klife_supervision.life import Child
from klife_supervision.monitors import MonitorCallback
from klife_supervision.options import SupervisorOptions, checked_children
from klife_supervision.policy import AutoShutdownPolicy, Restart, RestartDelay, RestartPlan, Strategy, restart_plan, shuts_down


class Supervisor(SupervisorHandle):
    """Starts its children in order, restarts those that end as strategy and specs say, stops them in reverse
    order.
    """

    @classmethod
    def start(
        cls,
        children: Iterable[ChildSpec] = (),
        *,
        strategy: Strategy = "one_for_one",
        intensity: int = 3,
        period: float = 5.0,
        name: Hashable = None,
        auto_shutdown: AutoShutdownPolicy = "never",
        restart_delay: RestartDelay | None = None,
        on_give_up: MonitorCallback | None = None,
    ) -> Self:
        """Start a supervisor and its children, in order; returns once all are up.

        - `strategy`: who is restarted with a child: itself ("one_for_one"), it and those started after it
          ("rest_for_one"), all ("one_for_all").
        - `intensity`, `period`: more than so many restarts within so many seconds, and it stops all children
          and ends.
        - `name`: registered while it lives (`whereis`); also its name in events, trees and errors.
        - `auto_shutdown`: ends it when "any_significant" or "all_significant" children ended by themselves,
          or "never".
        - `restart_delay`: a pause before restarts, for children that have none of their own; None restarts at
          once.
        - `on_give_up`: called with its exit reason, in a greenlet of its own, after it gave up or failed
          itself.

        Raises StartFailed, naming the child and the cause, after stopping those already started;
        InvalidChildSpec (duplicate ids, for one), InvalidSupervisorOption, NameTaken.
        """
        options = SupervisorOptions(
            label=cls.__name__ if name is None else name,
            name=name,
            strategy=strategy,
            intensity=intensity,
            period=period,
            auto_shutdown=auto_shutdown,
            restart_delay=restart_delay,
            on_give_up=on_give_up,
        )
        return cls._start(options, _checked(options, children))

    @classmethod
    def child_spec(
        cls,
        *,
        id: Hashable,  # noqa: A002 - OTP's word
        children: Iterable[ChildSpec] = (),
        strategy: Strategy = "one_for_one",
        intensity: int = 3,
        period: float = 5.0,
        name: Hashable = None,
        auto_shutdown: AutoShutdownPolicy = "never",
        restart_delay: RestartDelay | None = None,
        on_give_up: MonitorCallback | None = None,
        restart: Restart = "permanent",
        shutdown: Shutdown = "infinity",
        significant: bool = False,
        start_timeout: float | None = None,
    ) -> ChildSpec:
        """A supervisor as a child of another; the options of `start`, and those of its own `ChildSpec`.

        `restart_delay` is its children's, as in `start`. Raises what is wrong with options and children now,
        not at the start.
        """
        options = SupervisorOptions(
            label=id if name is None else name,
            nested=True,
            name=name,
            strategy=strategy,
            intensity=intensity,
            period=period,
            auto_shutdown=auto_shutdown,
            restart_delay=restart_delay,
            on_give_up=on_give_up,
        )
        specs = _checked(options, children)

        def start() -> Supervisor:
            return cls._start(options, specs)

        return ChildSpec(
            id=id,
            start=start,
            restart=restart,
            shutdown=shutdown,
            type="supervisor",
            significant=significant,
            start_timeout=start_timeout,
        )

    @property
    def strategy(self) -> Strategy:
        """Who is restarted with a child."""
        return self._options.strategy

    def restart_child(self, id: Hashable, *, timeout: float | None = CALL_TIMEOUT) -> Any:  # noqa: A002
        """Start a stopped child again; returns what its start function returned.

        Raises ChildNotFound, ChildStillRunning, StartFailed (the child stays stopped), SupervisorStopped,
        CallTimeout.
        """

        def restart() -> Any:
            child = self._stopped_child(id)
            return self._start_or_raise(child)

        return self._ask(restart, timeout)

    def delete_child(self, id: Hashable, *, timeout: float | None = CALL_TIMEOUT) -> None:  # noqa: A002
        """Forget a stopped child. Raises ChildNotFound, ChildStillRunning, SupervisorStopped, CallTimeout."""

        def delete() -> None:
            child = self._stopped_child(id)
            del self._table.rows[child.spec.id]

        self._ask(delete, timeout)

    def _stopped_child(self, id: Hashable) -> Child:  # noqa: A002
        child = self._found(id)
        if child.state != "stopped":
            raise ChildStillRunning(f"child {id!r} of supervisor {self._label!r} is {child.state}; terminate_child it first")
        return child

    def _found(self, id: Hashable) -> Child:  # noqa: A002
        child = self._table.rows.get(id)
        if child is None:
            raise ChildNotFound(f"supervisor {self._label!r} has no child {id!r}; it has {list(self._table.rows)!r}")
        return child

    def _start_or_raise(self, child: Child) -> Any:
        cause = self._table.start(child)
        if cause is not None:
            raise StartFailed(self._label, child.spec.id, cause)
        return child.life.handle if child.life is not None else None

    def _check_spec(self, spec: ChildSpec) -> None:
        _checked(self._options, [spec])

    def _add(self, spec: ChildSpec) -> Any:
        known = self._table.rows.get(spec.id)
        if known is not None:
            raise AlreadyStarted(f"supervisor {self._label!r} has a child {spec.id!r}, which is {known.state}")
        child = self._table.rows[spec.id] = Child(spec)
        try:
            return self._start_or_raise(child)
        except BaseException:
            del self._table.rows[spec.id]
            raise

    def _terminate_child(self, id: Any) -> None:  # noqa: A002
        child = self._found(id)
        self._table.stop(child)
        if child.spec.restart == "temporary":
            del self._table.rows[id]

    def _restart_plan(self, child: Child) -> RestartPlan:
        order = [(id, row.spec.restart) for id, row in self._table.rows.items()]  # noqa: A001
        return restart_plan(self._options.strategy, order, child.spec.id)

    def _ended_for_good(self, child: Child, reason: ExitReason) -> None:
        if child.spec.restart == "temporary":
            del self._table.rows[child.spec.id]
        others = (row for row in self._table.rows.values() if row is not child)
        left = sum(row.spec.significant and row.state != "stopped" for row in others)
        if shuts_down(self._options.auto_shutdown, significant=child.spec.significant, significant_left=left):
            self._verdict = ExitReason.shutdown(AutoShutdown(self._label, child.spec.id, reason), reason.exception)

    def _terminate_all(self) -> None:
        for child in reversed(list(self._table.rows.values())):
            self._table.stop(child)


def _checked(options: SupervisorOptions, children: Iterable[ChildSpec]) -> tuple[ChildSpec, ...]:
    specs = checked_children(options.label, children)
    for spec in specs:
        if spec.significant and options.auto_shutdown == "never":
            raise InvalidChildSpec(
                f"supervisor {options.label!r}: child {spec.id!r} is significant, which means nothing with auto_shutdown='never'; "
                "give the supervisor 'any_significant' or 'all_significant', or the child significant=False"
            )
    return specs

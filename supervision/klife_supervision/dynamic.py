"""The supervisor of children that come and go: Elixir's `DynamicSupervisor`, OTP's `simple_one_for_one` with
differing specs.

It begins without children, restarts each alone, forgets those that ended for good, and stops all at once:
they have no order.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Self

from klife_supervision.child_spec import ChildSpec, Shutdown
from klife_supervision.errors import AlreadyStarted, ChildNotFound, InvalidChildSpec, MaxChildrenReached, StartFailed
from klife_supervision.exit_reason import ExitReason
from klife_supervision.handle import SupervisorHandle
from klife_supervision.life import Child
from klife_supervision.monitors import MonitorCallback
from klife_supervision.options import SupervisorOptions
from klife_supervision.policy import Restart, RestartDelay, RestartPlan


class DynamicSupervisor(SupervisorHandle):
    """Children are added by `start_child(spec)` and forgotten when they ended for good, or by
    `terminate_child`.
    """

    @classmethod
    def start(
        cls,
        *,
        intensity: int = 3,
        period: float = 5.0,
        name: Hashable = None,
        max_children: int | None = None,
        restart_delay: RestartDelay | None = None,
        on_give_up: MonitorCallback | None = None,
    ) -> Self:
        """Start one without children. At most `max_children` (None: no limit) at a time; the rest as for
        `Supervisor.start`.
        """
        options = SupervisorOptions(
            label=cls.__name__ if name is None else name,
            name=name,
            intensity=intensity,
            period=period,
            max_children=max_children,
            restart_delay=restart_delay,
            on_give_up=on_give_up,
        )
        return cls._start(options, ())

    @classmethod
    def child_spec(
        cls,
        *,
        id: Hashable,  # noqa: A002 - OTP's word
        intensity: int = 3,
        period: float = 5.0,
        name: Hashable = None,
        max_children: int | None = None,
        restart_delay: RestartDelay | None = None,
        on_give_up: MonitorCallback | None = None,
        restart: Restart = "permanent",
        shutdown: Shutdown = "infinity",
        significant: bool = False,
    ) -> ChildSpec:
        """A dynamic supervisor as a child of another: the options of `start`, and those of its own
        `ChildSpec`.

        After a restart it is empty, as after a start: whoever added children adds them again.
        """
        options = SupervisorOptions(
            label=id if name is None else name,
            nested=True,
            name=name,
            intensity=intensity,
            period=period,
            max_children=max_children,
            restart_delay=restart_delay,
            on_give_up=on_give_up,
        )

        def start() -> DynamicSupervisor:
            return cls._start(options, ())

        return ChildSpec(id=id, start=start, restart=restart, shutdown=shutdown, type="supervisor", significant=significant)

    def _check_spec(self, spec: ChildSpec) -> None:
        if spec.significant:
            raise InvalidChildSpec(
                f"dynamic supervisor {self._label!r}: child {spec.id!r} cannot be significant; it has no auto_shutdown"
            )

    def _add(self, spec: ChildSpec) -> Any:
        known = self._table.rows.get(spec.id)
        if known is not None:
            raise AlreadyStarted(f"supervisor {self._label!r} has a child {spec.id!r}, which is {known.state}")
        limit = self._options.max_children
        if limit is not None and len(self._table.rows) >= limit:
            raise MaxChildrenReached(f"supervisor {self._label!r} has {len(self._table.rows)} children, its max_children")
        child = self._table.rows[spec.id] = Child(spec)
        cause = self._table.start(child)
        if cause is not None:
            del self._table.rows[spec.id]
            raise StartFailed(self._label, spec.id, cause)
        return child.life.handle if child.life is not None else None

    def _terminate_child(self, child: Any) -> None:
        row = self._find(child)
        if row is None:
            raise ChildNotFound(
                f"supervisor {self._label!r} has no child {child!r}; give the id of its spec, or what start_child returned"
            )
        self._table.stop(row)
        del self._table.rows[row.spec.id]

    def _find(self, child: Any) -> Child | None:
        if isinstance(child, Hashable) and child in self._table.rows:
            return self._table.rows[child]
        return next((row for row in self._table.rows.values() if row.life is not None and row.life.handle is child), None)

    def _restart_plan(self, child: Child) -> RestartPlan:
        return RestartPlan(stop=(), start=(child.spec.id,), drop=())

    def _ended_for_good(self, child: Child, _reason: ExitReason) -> None:
        del self._table.rows[child.spec.id]

    def _terminate_all(self) -> None:
        self._table.stop_together(list(self._table.rows.values()))

"""`DynamicChildren`: the actors of plain values that come and go, under a dynamic supervisor.

A dynamic supervisor forgets its children when it is restarted itself, so its start function adds them again
from the values.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from klife_supervision import AlreadyStarted, ChildSpec, DynamicSupervisor, SupervisionError, Supervisor

INTENSITY = 100
PERIOD = 10.0


def owner_spec(supervisor_id: str, owner: ChildSpec, children: ChildSpec, *, significant: bool = True) -> ChildSpec:
    """The supervisor of an actor, `owner`, and of those it gives work to: if it crashes, they are started anew
    with it.
    """
    return Supervisor.child_spec(
        id=supervisor_id,
        strategy="rest_for_one",
        intensity=INTENSITY,
        period=PERIOD,
        auto_shutdown="any_significant",
        restart="transient",
        significant=significant,
        children=[owner, children],
    )


class DynamicChildren:
    """The children of a dynamic supervisor: one for each plain value (broker, batcher) that wants an actor."""

    def __init__(self, values: dict[Any, Any], spec_of: Callable[[Any], ChildSpec]) -> None:
        self._values = values
        self._spec_of = spec_of
        self._supervisor: Any = None

    def spec(self, supervisor_id: str) -> ChildSpec:
        """The supervisor's own spec; started again, it starts its children again."""
        spec = DynamicSupervisor.child_spec(id=supervisor_id, intensity=INTENSITY, period=PERIOD, restart="transient", significant=True)

        def start() -> Any:
            supervisor = spec.start()
            try:
                for value in list(self._values.values()):
                    supervisor.start_child(self._spec_of(value))
                    value.has_actor = True
            except BaseException:
                supervisor.kill()
                raise
            self._supervisor = supervisor
            return supervisor

        return replace(spec, start=start)

    def start_child(self, value: Any) -> None:
        """Start the actor of a new value.

        Raises:
            SupervisionError: the supervisor is not there just now, or the actor could not be started.
        """
        if self._supervisor is None:
            raise SupervisionError("the supervisor has not been started yet")
        with suppress(AlreadyStarted):  # by a caller that was killed before it could note it
            self._supervisor.start_child(self._spec_of(value))
        value.has_actor = True

    def stop_child(self, value: Any) -> None:
        """Stop the actor of a value that is about to go, or that gets another one if it does not."""
        value.has_actor = False
        if self._supervisor is not None:
            with suppress(SupervisionError):  # it has no such child, or is not there: then there is nothing to stop
                self._supervisor.terminate_child(self._spec_of(value).id)

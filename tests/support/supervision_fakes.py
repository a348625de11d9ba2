"""A child the tests hold in their hands, and the journal of what a supervisor did with it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import gevent
from gevent.event import Event

from klife_supervision import ChildSpec, DynamicSupervisor, ExitReason, Monitors, Supervisor, SupervisorStopped

DEADLINE = 10.0
"""Seconds after which a test that waits for a fact fails; never how long it takes."""


class Journal:
    """What happened, in order, as short sentences: "start a", "shutdown a", "kill a"."""

    def __init__(self) -> None:
        self._entries: list[str] = []
        self._changed = Event()

    def write(self, entry: str) -> None:
        self._entries.append(entry)
        self._changed.set()

    def __len__(self) -> int:
        return len(self._entries)

    def take(self) -> list[str]:
        """All entries since the last take."""
        entries, self._entries = self._entries, []
        return entries

    def wait_for(self, *entries: str) -> None:
        """Wait until all of these have been written since the last take."""
        with gevent.Timeout(DEADLINE, AssertionError(f"waited for {entries}, have {self._entries}")):
            while not set(entries) <= set(self._entries):
                self._changed.clear()
                self._changed.wait()


class FakeChild:
    """A running child that ends when told: by the supervisor unless it is `stubborn`, or by the test with
    `end`.
    """

    def __init__(self, name: Hashable, journal: Journal, *, stubborn: bool = False) -> None:
        self.name = name
        self.stubborn = stubborn
        self._journal = journal
        self._monitors = Monitors()

    @property
    def exit_reason(self) -> ExitReason | None:
        return self._monitors.reason

    def monitor(self, callback: Callable[[ExitReason], None]) -> Callable[[], None]:
        return self._monitors.add(callback)

    def shutdown(self, reason: ExitReason | None = None) -> None:
        self._journal.write(f"shutdown {self.name}")
        if not self.stubborn:
            self.end(reason or ExitReason.shutdown())

    def kill(self) -> None:
        self._journal.write(f"kill {self.name}")
        self.end(ExitReason.killed())

    def end(self, reason: ExitReason) -> None:
        self._monitors.fire(reason)

    def crash(self) -> None:
        self.end(ExitReason.crashed(ValueError(f"{self.name} broke")))


class Family:
    """Specs of fake children, all writing into one journal; `failing[name]` makes the next starts of that
    child raise.
    """

    def __init__(self) -> None:
        self.journal = Journal()
        self.failing: dict[Hashable, int] = {}
        self.stubborn: set[Hashable] = set()

    def spec(self, name: Hashable, /, **options: Any) -> ChildSpec:
        def start() -> FakeChild:
            self.journal.write(f"start {name}")
            if self.failing.get(name, 0):
                self.failing[name] -= 1
                raise OSError(f"{name} cannot start")
            return FakeChild(name, self.journal, stubborn=name in self.stubborn)

        return ChildSpec(id=name, start=start, **options)

    def specs(self, names: str, **options: Any) -> list[ChildSpec]:
        return [self.spec(name, **options) for name in names]


def settled(supervisor: Supervisor | DynamicSupervisor) -> None:
    """Wait until the supervisor has served what is in its mailbox now, or has ended."""
    try:
        supervisor._ask(lambda: None, DEADLINE)
    except SupervisorStopped:
        supervisor.wait(DEADLINE)


def states(supervisor: Supervisor | DynamicSupervisor) -> dict[Hashable, str]:
    return {child.id: child.state for child in supervisor.which_children()}


def ended(supervisor: Supervisor | DynamicSupervisor) -> ExitReason:
    """Wait for its end, and why."""
    reason = supervisor.wait(DEADLINE)
    assert reason is not None, f"{supervisor!r} should have ended"
    return reason


def forever() -> None:
    """Run until killed."""
    Event().wait()

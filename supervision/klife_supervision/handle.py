"""What others call on a supervisor. Reading answers from its table; changing is a call to its loop, with a
deadline.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, Self, TypeVar

import gevent

from klife_supervision.call import CALL_TIMEOUT, Call
from klife_supervision.child_spec import ChildSpec
from klife_supervision.errors import CalledFromSupervisor, SupervisorStopped
from klife_supervision.exit_reason import ExitReason
from klife_supervision.info import ChildCounts, ChildInfo, counts_of, info_of, tree_of
from klife_supervision.loop import ShutdownAsked, SupervisorLoop
from klife_supervision.monitors import Cancel, MonitorCallback
from klife_supervision.options import require_spec
from klife_supervision.tree import TreeNode

Answer = TypeVar("Answer")


class SupervisorHandle(SupervisorLoop):
    """What `start` returns. It is a `RunningChild` itself, so that supervisors nest."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._label!r} {self.exit_reason or self._state}>"

    @property
    def name(self) -> Hashable:
        """The name it is registered under, or None."""
        return self._options.name

    @property
    def state(self) -> str:
        """ "starting", "running", "stopping" or "ended"."""
        return self._state

    @property
    def exit_reason(self) -> ExitReason | None:
        """Why it ended; None while it lives.

        A supervisor that gave up ended with a `shutdown` whose `term` is a `RestartIntensityReached` and
        whose `exception` is the last exception of the child that was restarted too often, if it raised one.
        """
        return self._monitors.reason

    def which_children(self) -> list[ChildInfo]:
        """All children, in start order. Never waits."""
        return [info_of(child) for child in list(self._table.rows.values())]

    def count_children(self) -> ChildCounts:
        """How many children there are, run, and of which type. Never waits."""
        return counts_of(list(self._table.rows.values()))

    def child(self, id: Hashable) -> Any:  # noqa: A002 - OTP's word
        """What the start function of the child returned, or None when no such child runs. Never waits."""
        child = self._table.rows.get(id)
        life = child.life if child is not None else None
        return life.handle if life is not None and life.reason is None else None

    def tree(self) -> TreeNode:
        """This supervisor and all below it, as a value that prints as a drawn tree. Never waits."""
        nodes = tuple(tree_of(child) for child in list(self._table.rows.values()))
        return TreeNode(self._label, "supervisor", self._state, 0, nodes, self.kill)

    def start_child(self, spec: ChildSpec, *, timeout: float | None = CALL_TIMEOUT) -> Any:
        """Add a child and start it; returns what its start function returned.

        Raises AlreadyStarted for an id in use, StartFailed (nothing is added then), InvalidChildSpec for a
        spec that does not fit this supervisor, SupervisorStopped, and CallTimeout after `timeout` seconds.
        """
        require_spec("what start_child is given", spec)
        self._check_spec(spec)
        return self._ask(lambda: self._add(spec), timeout)

    def terminate_child(self, child: Any, *, timeout: float | None = None) -> None:
        """Stop a child, as its spec's `shutdown` says; nothing if it does not run. A restart to come is
        cancelled.

        Raises ChildNotFound, SupervisorStopped, and CallTimeout after `timeout` seconds (default: no limit of
        its own).
        """
        self._ask(lambda: self._terminate_child(child), timeout)

    def monitor(self, callback: MonitorCallback) -> Cancel:
        """Call `callback` with the exit reason, once, when this supervisor ended; soon if it has. Returns a
        cancel function.

        The callback runs in the hub and must not wait.
        """
        return self._monitors.add(callback)

    def shutdown(self, reason: ExitReason | None = None) -> None:
        """Ask it to stop its children and end. Returns at once."""
        self._mailbox.put(ShutdownAsked(reason or ExitReason.shutdown()))

    def kill(self) -> None:
        """End it and all its children brutally. Returns at once."""
        self._home.soon(self._kill_greenlet)

    def stop(self, timeout: float | None = None, reason: ExitReason | None = None) -> ExitReason:
        """Stop the children, each as its spec says, end, and return why it ended: `reason`, by default a
        shutdown.

        After `timeout` seconds what is left is killed (None leaves it to the specs). From one of its own
        children: that child is ended while it waits here.
        """
        self._not_from_loop("stop")
        self.shutdown(reason)
        ended = self.wait(timeout)
        if ended is None:
            self.kill()
            ended = self.wait(None)
        assert ended is not None
        return ended

    def wait(self, timeout: float | None = None) -> ExitReason | None:
        """Wait until it has ended and return why; None if it has not within `timeout` seconds."""
        self._not_from_loop("wait")
        self._ended.wait(timeout)
        return self.exit_reason

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    # What differs between the two kinds.

    @abstractmethod
    def _check_spec(self, spec: ChildSpec) -> None:
        """Raise InvalidChildSpec if the spec does not fit this supervisor."""

    @abstractmethod
    def _add(self, spec: ChildSpec) -> Any:
        """Carry out start_child."""

    @abstractmethod
    def _terminate_child(self, child: Any) -> None:
        """Carry out terminate_child."""

    def _ask(self, what: Callable[[], Answer], timeout: float | None) -> Answer:
        """Have the loop do `what`, and wait for its answer."""
        self._not_from_loop("this call")
        call = Call(what, self._home)
        self._mailbox.put(call)
        if self.exit_reason is not None:
            # It ended before the put: nobody will take the call out of the mailbox.
            raise SupervisorStopped(self._label, self.exit_reason)
        return call.wait(timeout)

    def is_calling(self) -> bool:
        """Whether the caller runs in the greenlet of this supervisor, or of one below it: as its start
        functions do.
        """
        below = [row.life.handle for row in list(self._table.rows.values()) if row.life is not None]
        return gevent.getcurrent() is self._greenlet or any(isinstance(each, SupervisorHandle) and each.is_calling() for each in below)

    def _not_from_loop(self, what: str) -> None:
        if gevent.getcurrent() is self._greenlet:
            raise CalledFromSupervisor(
                f"{what} waits for supervisor {self._label!r}, which is waiting for the start function that calls it; "
                "call it from a greenlet, or once the child runs"
            )

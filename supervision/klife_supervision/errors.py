"""Every error a user of this library can meet, in one tree under `SupervisionError`."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from klife_supervision.exit_reason import ExitReason


class SupervisionError(Exception):
    """Root of all errors raised by this library. All can be copied and pickled, as they stand (without
    `__cause__` and traceback).
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception's own way calls the class with `args`, which are the text; some constructors here take
        # something else.
        return _as_it_stood, (type(self), self.args), self.__dict__ or None


def _as_it_stood(cls: type[SupervisionError], args: tuple[Any, ...]) -> SupervisionError:
    error = cls.__new__(cls, *args)
    error.args = args  # a TimeoutError leaves that to the constructor
    return error


class InvalidChildSpec(SupervisionError, ValueError):
    """A child spec is wrong; the text names the field, the offending value and what is expected."""


class InvalidSupervisorOption(SupervisionError, ValueError):
    """An option of a supervisor is wrong; the text names the option, the offending value and what is
    expected.
    """


class InvalidChild(SupervisionError, TypeError):
    """A start function returned something that cannot be supervised."""


class StartFailed(SupervisionError):
    """A child could not be started. `supervisor` and `child` name it; `__cause__` and `cause` are why."""

    def __init__(self, supervisor: Hashable, child: Hashable, cause: BaseException) -> None:
        self.supervisor = supervisor
        self.child = child
        self.cause = cause
        super().__init__(f"supervisor {supervisor!r} could not start its child {child!r}: {type(cause).__name__}: {cause}")
        self.__cause__ = cause


class StartTimeout(SupervisionError, TimeoutError):
    """A start function did not return within the child's `start_timeout`; what it was doing was interrupted."""


class AlreadyStarted(SupervisionError):
    """A child of that id exists: it runs, is being restarted, or is stopped (then `restart_child` or
    `delete_child` it).
    """


class ChildNotFound(SupervisionError, LookupError):
    """The supervisor has no such child."""


class ChildStillRunning(SupervisionError):
    """The operation needs a stopped child; call `terminate_child` first."""


class MaxChildrenReached(SupervisionError):
    """A DynamicSupervisor has `max_children` children already."""


class SupervisorStopped(SupervisionError, RuntimeError):
    """The supervisor has ended; `reason` says why."""

    def __init__(self, name: Hashable, reason: ExitReason) -> None:
        self.reason = reason
        super().__init__(f"supervisor {name!r} has ended: {reason}")


class CallTimeout(SupervisionError, TimeoutError):
    """A supervisor did not answer in time. A call it had not begun is withdrawn; one in progress is carried
    out.
    """


class CalledFromSupervisor(SupervisionError, RuntimeError):
    """A start function called, and would wait for, the supervisor that is waiting for it to return."""


class NameTaken(SupervisionError):
    """The name is registered for something that lives."""


class RestartIntensityReached(SupervisionError):
    """A supervisor gave up: its children needed more than `intensity` restarts within `period` seconds.

    It is the `term` of the exit reason of the supervisor, not something raised. `child` is the child that
    needed the restart that was too many and `reason` is why that child ended, or its start failed.
    """

    def __init__(self, supervisor: Hashable, child: Hashable, reason: ExitReason, intensity: int, period: float) -> None:
        self.supervisor = supervisor
        self.child = child
        self.reason = reason
        self.intensity = intensity
        self.period = period
        super().__init__(
            f"supervisor {supervisor!r} gave up: more than {intensity} restarts within {period:g} s; "
            f"the last was of child {child!r}, which ended: {reason}"
        )


class AutoShutdown(SupervisionError):
    """A supervisor ended because its significant children did (`auto_shutdown`); the `term` of its exit
    reason, not raised.
    """

    def __init__(self, supervisor: Hashable, child: Hashable, reason: ExitReason) -> None:
        self.supervisor = supervisor
        self.child = child
        self.reason = reason
        super().__init__(f"supervisor {supervisor!r} shut down: its significant child {child!r} ended: {reason}")

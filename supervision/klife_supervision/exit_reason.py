"""Why something ended: OTP's four ways, as one frozen value.

| kind | meaning | OTP's word |
|---|---|---|
| `normal` | it had nothing left to do | `normal` |
| `shutdown` | it was asked to end, or a supervisor gave up; `term` says more | `shutdown`, `{shutdown, Term}` |
| `killed` | it was ended brutally, without being asked | `killed` |
| `crashed` | it raised; `exception` is what it raised | any other term |

`killed` and `crashed` are abnormal: a transient child is restarted after them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["normal", "shutdown", "killed", "crashed"]


@dataclass(frozen=True, slots=True)
class ExitReason:
    """Why a child, or a supervisor, ended. Build it with `normal()`, `shutdown()`, `killed()` or `crashed()`.

    `term` is what the one who ended it wanted to say (only for `shutdown`). `exception` is what was raised
    (`crashed`); the `shutdown` of a supervisor that gave up carries the last exception of the child that made
    it give up.
    """

    kind: Kind
    term: Any = None
    exception: BaseException | None = None

    @classmethod
    def normal(cls) -> ExitReason:
        """It ended by itself, with nothing left to do."""
        return _NORMAL

    @classmethod
    def shutdown(cls, term: Any = None, exception: BaseException | None = None) -> ExitReason:
        """It was asked to end; `term` says why, `exception` what lies behind it, where there is something."""
        return _SHUTDOWN if term is None and exception is None else cls("shutdown", term, exception)

    @classmethod
    def killed(cls) -> ExitReason:
        """It was ended brutally."""
        return _KILLED

    @classmethod
    def crashed(cls, exception: BaseException) -> ExitReason:
        """It raised `exception`. Raises TypeError for anything but an exception."""
        if not isinstance(exception, BaseException):
            raise TypeError(f"ExitReason.crashed() takes the exception that was raised, not {type(exception).__name__}")
        return cls("crashed", None, exception)

    @property
    def is_abnormal(self) -> bool:
        """Whether a transient child that ended so is restarted: true for `killed` and `crashed`."""
        return self.kind in ("killed", "crashed")

    def __str__(self) -> str:
        if self.kind == "crashed":
            return f"crashed({_describe(self.exception)})"
        if self.kind == "shutdown" and self.term is not None:
            return f"shutdown({self.term})"
        return self.kind


def _describe(exception: BaseException | None) -> str:
    text = str(exception)
    name = type(exception).__name__
    return f"{name}: {text}" if text else name


_NORMAL = ExitReason("normal")
_SHUTDOWN = ExitReason("shutdown")
_KILLED = ExitReason("killed")

"""How a child is started, restarted and stopped: OTP's child specification, validated when built.

A spec lives best with the class it describes (`Sender.child_spec(...)`), so that a tree is a list of names.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from klife_supervision.errors import InvalidChildSpec
from klife_supervision.policy import RESTARTS, Restart, RestartDelay, is_seconds
from klife_supervision.task import Task

Shutdown = float | Literal["brutal_kill", "infinity"]
ChildType = Literal["worker", "supervisor"]


class _ByType:
    """A default that depends on `type`: OTP gives a supervisor all the time it needs to stop its children."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


_SHUTDOWN_BY_TYPE: Any = _ByType("5.0 for a worker, 'infinity' for a supervisor")
_START_TIMEOUT_BY_TYPE: Any = _ByType("30.0 for a worker, None for a supervisor")


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child of a supervisor.

    - `id`: its name among its siblings; any hashable value but None.
    - `start`: called without arguments in the supervisor's greenlet; returns the running child: a
      `gevent.Greenlet`, a pykka `ActorRef`, a supervisor, or anything with the four members of
      `RunningChild`. It must return soon: the supervisor does nothing else meanwhile.
    - `restart`: "permanent" (always restarted), "transient" (when it ended abnormally), "temporary" (never).
    - `shutdown`: how it is stopped. Seconds: it is asked, and killed after so long. "infinity": it is asked
      and waited for. "brutal_kill": it is killed. Default 5.0, for a supervisor "infinity".
    - `significant`: its end may end the supervisor (`auto_shutdown`); not for a permanent child, which never
      ends for good.
    - `start_timeout`: seconds `start` may take before it is interrupted and counts as failed; None is no
      limit. Default 30.0, for a supervisor None (each of its children has its own).
    - `restart_delay`: a pause before its restarts; None takes the supervisor's.
    - `name`: registered while it runs (`whereis`).

    Raises InvalidChildSpec (a ValueError) naming the field, the value and what is expected.
    """

    id: Hashable
    start: Callable[[], Any]
    restart: Restart = "permanent"
    shutdown: Shutdown = _SHUTDOWN_BY_TYPE
    type: ChildType = "worker"
    significant: bool = False
    start_timeout: float | None = _START_TIMEOUT_BY_TYPE
    restart_delay: RestartDelay | None = None
    name: Hashable = None

    def __post_init__(self) -> None:
        if self.id is None or not isinstance(self.id, Hashable):
            raise InvalidChildSpec(f"child spec id must be a hashable value other than None, not {self.id!r}")
        self._require(callable(self.start), "start", "a callable without arguments that returns the running child")
        self._require(self.restart in RESTARTS, "restart", f"one of {_options(RESTARTS)}")
        self._require(self.type in get_args(ChildType), "type", f"one of {_options(get_args(ChildType))}")
        is_supervisor = self.type == "supervisor"
        if self.shutdown is _SHUTDOWN_BY_TYPE:
            object.__setattr__(self, "shutdown", "infinity" if is_supervisor else 5.0)
        if self.start_timeout is _START_TIMEOUT_BY_TYPE:
            object.__setattr__(self, "start_timeout", None if is_supervisor else 30.0)
        self._require(
            self.shutdown in ("brutal_kill", "infinity") or is_seconds(self.shutdown),
            "shutdown",
            '"brutal_kill", "infinity" or a number of seconds',
        )
        self._require(
            self.start_timeout is None or (is_seconds(self.start_timeout) and self.start_timeout > 0),
            "start_timeout",
            "a positive number of seconds, or None for no limit",
        )
        self._require(isinstance(self.significant, bool), "significant", "True or False")
        self._require(self.restart_delay is None or isinstance(self.restart_delay, RestartDelay), "restart_delay", "a RestartDelay")
        self._require(isinstance(self.name, Hashable), "name", "a hashable value, or None for no name")
        if self.significant and self.restart == "permanent":
            raise InvalidChildSpec(
                f"child spec {self.id!r}: a significant child must be transient or temporary, because a permanent one never ends "
                "for good; give restart='transient' or significant=False"
            )

    def _require(self, holds: bool, field: str, expected: str) -> None:
        if not holds:
            value = getattr(self, field)
            raise InvalidChildSpec(f"child spec {self.id!r}: {field} must be {expected}, not {value!r} ({type(value).__name__})")

    @classmethod
    def from_callable(
        cls,
        function: Callable[..., Any],
        *,
        id: Hashable,  # noqa: A002 - OTP's word, as the field's
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        restart: Restart = "permanent",
        shutdown: Shutdown = 5.0,
        significant: bool = False,
        restart_delay: RestartDelay | None = None,
        name: Hashable = None,
    ) -> ChildSpec:
        """A child that runs `function(*args, **kwargs)` in a greenlet of its own.

        Returning ends it normally, raising crashes it. A shutdown raises `GreenletExit` where it waits, so
        that its `finally` blocks run, within `shutdown` seconds.
        """
        if not callable(function):
            raise InvalidChildSpec(f"child spec {id!r}: function must be callable, not {type(function).__name__}")
        keywords = dict(kwargs or {})

        def start() -> Task:
            return Task(function, args, keywords)

        return cls(
            id=id,
            start=start,
            restart=restart,
            shutdown=shutdown,
            significant=significant,
            restart_delay=restart_delay,
            name=name,
        )


def _options(values: tuple[str, ...]) -> str:
    return ", ".join(f'"{value}"' for value in values)

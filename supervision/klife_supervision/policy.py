"""A supervisor's decisions, as pure functions: which children, in what order, how often, how soon.

No clock is read and nothing is started or stopped here; the loop carries out the answers. The rules are those
of OTP's `supervisor` behaviour ("Supervisor Behaviour" in OTP Design Principles, and the reference manual of
`supervisor(3)`); only `restart_pause` is beyond OTP.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from klife_supervision.errors import InvalidChildSpec
from klife_supervision.exit_reason import ExitReason

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
Restart = Literal["permanent", "transient", "temporary"]
AutoShutdownPolicy = Literal["never", "any_significant", "all_significant"]

STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")
RESTARTS: tuple[Restart, ...] = ("permanent", "transient", "temporary")
AUTO_SHUTDOWNS: tuple[AutoShutdownPolicy, ...] = ("never", "any_significant", "all_significant")


def should_restart(restart: Restart, reason: ExitReason) -> bool:
    """Whether a child that ended by itself is started again.

    A permanent child always, a temporary one never, a transient one only when it ended abnormally: OTP's
    "with another exit reason than `normal`, `shutdown`, or `{shutdown,Term}`".
    """
    if restart == "permanent":
        return True
    return restart == "transient" and reason.is_abnormal


class RestartPlan(NamedTuple):
    """Ids in the order in which to `stop` those still running, then `start`; `drop` are temporary: stopped
    and forgotten.
    """

    stop: tuple[Hashable, ...]
    start: tuple[Hashable, ...]
    drop: tuple[Hashable, ...]


def restart_plan(strategy: Strategy, children: Sequence[tuple[Hashable, Restart]], failed: Hashable) -> RestartPlan:
    """What the restart of `failed` means for `children`, given in start order.

    one_for_one: that child alone. rest_for_one: it and those started after it. one_for_all: everyone. Others
    are stopped in reverse start order and started in start order. Temporary siblings are stopped and not
    started again.
    """
    ids = [child_id for child_id, _ in children]
    if strategy == "one_for_one":
        affected = [(child_id, restart) for child_id, restart in children if child_id == failed]
    elif strategy == "rest_for_one":
        affected = list(children[ids.index(failed) :])
    else:
        affected = list(children)
    return RestartPlan(
        stop=tuple(child_id for child_id, _ in reversed(affected) if child_id != failed),
        start=tuple(child_id for child_id, restart in affected if restart != "temporary"),
        drop=tuple(child_id for child_id, restart in affected if restart == "temporary"),
    )


def shuts_down(policy: AutoShutdownPolicy, *, significant: bool, significant_left: int) -> bool:
    """Whether a supervisor ends after a child that ended by itself and is not restarted.

    `significant_left` counts the other significant children that still live (running or being restarted).
    """
    if not significant or policy == "never":
        return False
    return policy == "any_significant" or significant_left == 0


class RestartWindow:
    """Counts restarts: more than `intensity` of them within `period` seconds are too many."""

    def __init__(self, intensity: int, period: float) -> None:
        self._intensity = intensity
        self._period = period
        self._times: deque[float] = deque()

    def add(self, now: float) -> bool:
        """Note a restart at `now` (seconds of a monotonic clock); true when it is one too many."""
        times = self._times
        times.append(now)
        while times[0] < now - self._period:
            times.popleft()
        return len(times) > self._intensity


@dataclass(frozen=True, slots=True)
class RestartDelay:
    """How long to wait before a restart: `minimum` seconds, doubling with each restart up to `maximum`.

    A child that then lived for `reset_after` seconds (default: `maximum`) starts again from `minimum`.
    """

    minimum: float
    maximum: float
    reset_after: float | None = None

    def __post_init__(self) -> None:
        for field in ("minimum", "maximum"):
            value = getattr(self, field)
            if not is_seconds(value) or value == 0:
                raise InvalidChildSpec(f"RestartDelay {field} must be a positive number of seconds, not {value!r}")
        if self.maximum < self.minimum:
            raise InvalidChildSpec(f"RestartDelay maximum {self.maximum!r} is below its minimum {self.minimum!r}")
        if self.reset_after is not None and not is_seconds(self.reset_after):
            raise InvalidChildSpec(f"RestartDelay reset_after must be a number of seconds or None, not {self.reset_after!r}")


class Pause(NamedTuple):
    """How many `seconds` to wait before this restart, and the `attempt` number to remember for the next."""

    seconds: float
    attempt: int


def restart_pause(delay: RestartDelay | None, attempt: int, lived: float) -> Pause:
    """The pause before a restart, given how many restarts in a row came before and how long the child `lived`
    (seconds).

    A start that failed lived 0 seconds. Without a delay the restart is at once, as in OTP.
    """
    if delay is None:
        return Pause(0.0, 0)
    stable = delay.maximum if delay.reset_after is None else delay.reset_after
    if lived >= stable:
        attempt = 0
    # The exponent is bounded because 2.0 ** 1024 overflows, and a crash loop may get there.
    return Pause(min(delay.maximum, delay.minimum * 2.0 ** min(attempt, 64)), attempt + 1)


def is_seconds(value: Any) -> bool:
    """Whether `value` is a finite, non-negative number (and not a bool)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0

"""Links and monitors between things that can be supervised, outside of any supervisor."""

from __future__ import annotations

from typing import Any

from klife_supervision.child import RunningChild, as_running_child
from klife_supervision.exit_reason import ExitReason
from klife_supervision.monitors import Cancel, MonitorCallback


def monitor(child: Any, callback: MonitorCallback) -> Cancel:
    """Call `callback` with the exit reason, once, when `child` ended; soon if it has. Returns a function that
    cancels this.

    `child` is whatever a start function may return. The callback must not wait. Raises InvalidChild.
    """
    return as_running_child(child).monitor(callback)


def link(one: Any, other: Any) -> Cancel:
    """Tie two lives together, as OTP's `link`: when either ends abnormally, the other is killed, so that its
    supervisor sees an abnormal end too; when either is shut down, the other is asked to shut down. A normal
    end concerns nobody.

    Returns a function that takes the link back. Raises InvalidChild.
    """
    first, second = as_running_child(one), as_running_child(other)
    cancels: list[Cancel] = []
    over = False

    def unlink() -> None:
        nonlocal over
        over = True
        for cancel in cancels:
            cancel()

    def ender(of: RunningChild) -> MonitorCallback:
        def end(reason: ExitReason) -> None:
            unlink()  # so that one who outlives a thousand partners keeps nothing of them
            _pass_on(reason, of)

        return end

    cancels.append(first.monitor(ender(second)))
    cancels.append(second.monitor(ender(first)))
    if over:  # one of them had ended
        unlink()
    return unlink


def _pass_on(reason: ExitReason, other: RunningChild) -> None:
    if other.exit_reason is not None:
        return
    if reason.is_abnormal:
        other.kill()
    elif reason.kind == "shutdown":
        other.shutdown(reason)

"""Links and monitors between things that can be supervised, outside of any supervisor."""

from __future__ import annotations

from typing import Any

from klife_supervision.child import RunningChild, as_running_child
from klife_supervision.exit_reason import ExitReason
from klife_supervision.monitors import Cancel, MonitorCallback


def monitor(child: Any, callback: MonitorCallback) -> Cancel:
    """Call `callback` with the exit reason, once, when `child` ended; soon if it has. Returns a function that cancels this.

    `child` is whatever a start function may return. The callback must not wait. Raises InvalidChild.
    """
    return as_running_child(child).monitor(callback)


def link(one: Any, other: Any) -> Cancel:
    """Tie two lives together, as OTP's `link`: when either ends abnormally, the other is killed, so that its supervisor sees an
    abnormal end too; when either is shut down, the other is asked to shut down. A normal end concerns nobody.

    Returns a function that takes the link back. Raises InvalidChild.
    """
    first, second = as_running_child(one), as_running_child(other)
    cancel_first = first.monitor(_ender(second))
    cancel_second = second.monitor(_ender(first))

    def unlink() -> None:
        cancel_first()
        cancel_second()

    return unlink


def _ender(other: RunningChild) -> MonitorCallback:
    def end(reason: ExitReason) -> None:
        if other.exit_reason is not None:
            return
        if reason.is_abnormal:
            other.kill()
        elif reason.kind == "shutdown":
            other.shutdown(reason)

    return end

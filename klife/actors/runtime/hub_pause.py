"""When a thread's hub did not run: at a Python prompt, in a blocking call, in a long computation.

Timers fire late then, all together, and before anybody has looked at a socket. What they say is true of the
thread and not of the broker, and whoever tells of a timeout tells of the pause.
"""

from __future__ import annotations

WORTH_TELLING = 1.0  # seconds; less is what a busy machine or a large garbage collection takes


def pause_told(seconds: float) -> str:
    """What to add to an error about a timeout that was noticed `seconds` too late; "" if that is not worth
    telling.
    """
    if seconds < WORTH_TELLING:
        return ""
    return (
        f"the gevent hub of this thread did not run for {seconds:.0f} s or longer, and klife could do nothing meanwhile: something "
        "held it up, such as a prompt that waits for input, a blocking call without monkey patching, or a long computation"
    )


HUB_IS_NEEDED = (
    "and without it nothing is sent or read; keep that thread in gevent (gevent.sleep, Event, joinall), also at a prompt, and out of "
    "blocking calls"
)
"""What is told of a hub that has not run since some seconds ago."""

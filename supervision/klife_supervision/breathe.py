"""`let_hub_run`: one full turn of the event loop for everybody else, sockets and timers included.

`gevent.sleep(0)` is not that: it queues a callback, and the loop runs up to a thousand callbacks before it looks at a socket or a
timer again. A greenlet that works in slices of five milliseconds would keep them waiting for seconds. A timer, on the other hand,
costs a millisecond of doing nothing, the least that epoll waits. An idle watcher makes the loop poll without waiting; at the highest
priority it is called in each turn, however busy the sockets are.
"""

from __future__ import annotations

from gevent import get_hub


def let_hub_run() -> None:
    """Let all that is ready run: callbacks, sockets, timers. Takes no time when nothing is."""
    hub = get_hub()
    watcher = hub.loop.idle(priority=hub.loop.MAXPRI)
    try:
        hub.wait(watcher)
    finally:
        watcher.stop()
        watcher.close()

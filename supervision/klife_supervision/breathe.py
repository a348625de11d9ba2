"""`let_hub_run`: one full turn of the event loop for everybody else, sockets and timers included.

`gevent.sleep(0)` is not that: it queues a callback, and the loop runs up to a thousand callbacks before it looks at a socket or a
timer again. A greenlet that works in slices of five milliseconds would keep them waiting for seconds. A timer, on the other hand,
costs a millisecond of doing nothing, the least that epoll waits. An idle watcher makes the loop poll without waiting; at the highest
priority it is called in each turn, however busy the sockets are. It
is called first, and so the caller goes on only in the next turn: what this one found, timers that are due among it, comes before.
"""

from __future__ import annotations

from gevent import get_hub
from gevent.hub import Waiter


def let_hub_run() -> None:
    """Let all that is ready run: callbacks, sockets, timers. Takes no time when nothing is."""
    hub = get_hub()
    watcher = hub.loop.idle(priority=hub.loop.MAXPRI)
    waiter = Waiter(hub)
    try:
        watcher.start(hub.loop.run_callback, waiter.switch, None)
        waiter.get()
    finally:
        watcher.stop()
        watcher.close()

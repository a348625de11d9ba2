"""`OwnThreads`: threads of one user's own, for calls of code that nobody here knows.

Such a call may never return, and must not take a thread from the hub's pool, where names are looked up and files
read. And it may keep what is of its thread: in a patched program a connection that is left open for the next call
belongs to a hub, and that to the thread. So one thread serves all calls, until one of them does not return.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gevent.threadpool import ThreadPool

T = TypeVar("T")


class OwnThreads:
    """At most so many, made when they are needed, in the home thread of who uses them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pool: ThreadPool | None = None

    def call(self, call: Callable[[], T]) -> T:
        """What `call` returns, in a thread, while other greenlets run. It must not raise."""
        if self._pool is None:
            self._pool = ThreadPool(self._most)
        returned: T = self._pool.apply(call)
        return returned

    def close(self) -> None:
        """Let them end: idle ones now, the others if their call returns. Waits for nobody."""
        pool, self._pool = self._pool, None
        if pool is not None:
            queue: Any = pool.task_queue
            for _ in range(pool.size):
                queue.put(None)  # so gevent has a thread end
            watcher: Any = pool.fork_watcher
            watcher.close()

"""`looked_up`: the addresses of a name, and no more threads for them than a resolver that hangs may have.

A look-up can not be called off. It has a thread of the hub's pool until the resolver gives up, which may be
minutes after the caller did, and in that pool the program looks up its other names, and klife compresses and
authenticates. So an attempt joins the look-up of its name that is under way, and all names together have half
of the pool.

For the same reason an answer that comes when nobody waits for it is kept a while: where the first of two name
servers is dead, each look-up may take longer than an attempt.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from gevent import get_hub, socket
from gevent.event import Event
from gevent.lock import Semaphore

from klife.actors.runtime.latch import never_waits

_KEPT_SECONDS = 30.0


def looked_up(host: str, port: int, patience: float) -> list[Any] | None:
    """What `getaddrinfo` answers; None if it has not within `patience` seconds. It raises what that raises."""
    return _look_ups_of_hub().answer(host, port, patience)


class _LookUp:
    """Of one name and port."""

    def __init__(self) -> None:
        self.ended = Event()
        self.ended_at = 0.0
        self.waiting = 0
        self.answer: list[Any] = []
        self.error: Exception | None = None


class _LookUps:
    """Of one hub, in one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._turns = Semaphore(max(1, get_hub().threadpool.maxsize // 2))
        self._by_name: dict[tuple[str, int], _LookUp] = {}

    def answer(self, host: str, port: int, patience: float) -> list[Any] | None:
        name = (host, port)
        look_up = self._by_name.get(name)
        if look_up is None or (look_up.ended.is_set() and monotonic() - look_up.ended_at > _KEPT_SECONDS):
            look_up = self._by_name[name] = _LookUp()
            never_waits(gevent.spawn(self._run, name, look_up))
        look_up.waiting += 1
        try:
            if not look_up.ended.wait(patience):
                return None
        finally:
            look_up.waiting -= 1
        self._forget(name, look_up)
        if look_up.error is None:
            return look_up.answer
        try:
            raise look_up.error.with_traceback(None)
        finally:
            del look_up  # the error knows this frame

    def _run(self, name: tuple[str, int], look_up: _LookUp) -> None:
        try:
            if _is_address(name[0]):  # which takes no time, and must not wait for names that do
                look_up.answer = socket.getaddrinfo(*name, 0, socket.SOCK_STREAM)
            else:
                with self._turns:
                    look_up.answer = socket.getaddrinfo(*name, 0, socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 - its callers' to judge
            look_up.error = error.with_traceback(None)
        except BaseException as error:
            look_up.error = OSError(f"the look-up was ended by {type(error).__name__}")
            raise
        finally:
            look_up.ended_at = monotonic()
            look_up.ended.set()
            if look_up.waiting or look_up.error is not None:
                self._forget(name, look_up)

    def _forget(self, name: tuple[str, int], look_up: _LookUp) -> None:
        if self._by_name.get(name) is look_up:
            del self._by_name[name]


_of_hubs: WeakKeyDictionary[Any, _LookUps] = WeakKeyDictionary()


def _look_ups_of_hub() -> _LookUps:
    """Those of a forked child are its own: the threads of its parent's are not there."""
    hub = get_hub()
    look_ups = _of_hubs.get(hub)
    if look_ups is None or look_ups.pid != os.getpid():
        look_ups = _of_hubs[hub] = _LookUps()
    return look_ups


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

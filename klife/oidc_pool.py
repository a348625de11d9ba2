"""A connection pool of urllib3 for one exchange, which ends in time.

urllib3's timeout is for each wait: a server that sends a character of its headers now and then has for ever. So
at the deadline the connection is cut, in whatever step it is: TLS, the headers or the body.

Imports urllib3, and thereby ssl: to be imported by who is about to use it.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import urllib3
from gevent.monkey import get_original
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    import ssl

_plain_socket: Any = get_original("socket", "socket")
_SHUT_RDWR = 2


class TimedPool:
    """`manager` is the pool, for the `with` block; `is_over` whether its time has passed."""

    def __init__(self, seconds: float, context: ssl.SSLContext | None) -> None:
        self.is_over: bool = False
        self._sockets: list[Any] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self.manager: urllib3.PoolManager = urllib3.PoolManager(num_pools=1, ssl_context=context)
        self.manager.pool_classes_by_scheme = {
            "http": _pool_class(HTTPConnectionPool, self),
            "https": _pool_class(HTTPSConnectionPool, self),
        }

    def __enter__(self) -> TimedPool:
        self._timer.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._timer.cancel()
        self.manager.clear()
        while self._sockets:
            self._sockets.pop().close()

    def opened(self, sock: Any) -> None:
        """A connection of the pool was made. `sock` is handed on to TLS, and then to the response; so here is another
        of the same.
        """
        self._sockets.append(_plain_socket(fileno=os.dup(sock.fileno())))
        if self.is_over:
            self._cut()

    def _cut(self) -> None:
        self.is_over = True
        for sock in list(self._sockets):
            with suppress(OSError):  # the server was quicker
                sock.shutdown(_SHUT_RDWR)


def _pool_class(base: type[HTTPConnectionPool], timed: TimedPool) -> type[HTTPConnectionPool]:
    kind: Any = HTTPSConnection if base is HTTPSConnectionPool else HTTPConnection

    class Connection(kind):  # type: ignore[misc]
        def _new_conn(self) -> Any:
            sock = super()._new_conn()
            timed.opened(sock)
            return sock

    class Pool(base):  # type: ignore[misc, valid-type]
        ConnectionCls = Connection

    return Pool

"""`Proxy`: a TCP proxy before one broker, that can do to connections what networks do.

Brokers advertise the proxies' addresses on a listener of its own (`KafkaCluster(proxies=...)`), so a client
that came in by a proxy stays behind the proxies, without anybody rewriting what brokers say.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

import gevent
from gevent.event import Event
from gevent.server import StreamServer

CHUNK_BYTES = 65_536
SLOW_CHUNK_BYTES = 4_096
SLOW_SECONDS = 0.02
CONNECT_SECONDS = 5.0


class Proxy:
    """Forwards between clients and the broker at `target`, which is told once it is known; until then
    connections are closed.
    """

    def __init__(self) -> None:
        self.target: tuple[str, int] | None = None
        self._server = StreamServer(("127.0.0.1", 0), self._accepted)
        self._server.start()
        self._links: set[Link] = set()
        self._flowing = Event()
        self._flowing.set()
        self._slow = False
        self._answers_lost = False
        self._cut_after: int | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.stop()
        self.cut()

    def cut(self) -> None:
        """Reset every connection."""
        for link in list(self._links):
            link.reset()

    def strike(self, kind: str, seconds: float, target: int) -> None:
        """Do `kind` to all connections for `seconds`, or until the greenlet is killed; `target` varies what
        is left open.
        """
        if kind == "cut":
            self.cut()
        elif kind == "cut inside an answer":
            self._cut_after = target % 200
        elif kind == "lose answers":
            self._answers_lost = True
            try:
                gevent.sleep(seconds)
            finally:
                self._answers_lost = False
                self.cut()  # answers are missing in these streams: nothing can follow them
        elif kind == "slow":
            self._slow = True
            try:
                gevent.sleep(seconds)
            finally:
                self._slow = False
        elif kind == "black hole":
            self._flowing.clear()
            try:
                gevent.sleep(seconds)
            finally:
                self._flowing.set()
        else:
            raise ValueError(f"there is no network fault {kind!r}")

    def _accepted(self, client: Any, _address: object) -> None:
        try:
            if self.target is None:
                raise ConnectionError("no broker yet")
            broker = gevent.socket.create_connection(self.target, CONNECT_SECONDS)
        except OSError:
            client.close()
            return
        link = Link(client, broker)
        self._links.add(link)
        try:
            pumps = [gevent.spawn(self._pump, link, client, broker, False), gevent.spawn(self._pump, link, broker, client, True)]
            gevent.joinall(pumps)
        finally:
            self._links.discard(link)
            link.close()

    def _pump(self, link: Link, source: Any, sink: Any, answers: bool) -> None:
        """Copy one direction until either side closes; then the other side is closed, too."""
        with contextlib.suppress(OSError):
            while data := source.recv(SLOW_CHUNK_BYTES if self._slow else CHUNK_BYTES):
                self._flowing.wait()
                if self._slow:
                    gevent.sleep(SLOW_SECONDS)
                if answers and self._answers_lost:
                    continue
                if answers and self._cut_after is not None:
                    after, self._cut_after = self._cut_after, None
                    sink.sendall(data[:after])
                    link.reset()
                    return
                sink.sendall(data)
        link.shut()


class Link:
    """The two sockets of one connection."""

    def __init__(self, client: Any, broker: Any) -> None:
        self._sockets = (client, broker)

    def reset(self) -> None:
        """End the connection at once, and tell both sides by an RST; what was on its way is lost."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def shut(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()

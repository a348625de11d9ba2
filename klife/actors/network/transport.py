"""`Transport`: an open connection as bytes in and bytes out, without a wait and without a word of Kafka.

It owns what carries the bytes: what a would-block, a partial write and a ready socket mean is known here and
nowhere else. `write` keeps what is not taken, and `read` says by `readable` whether there may be more. What
makes it readable or writable sets that and calls `wake`; whoever was woken reads, or goes on writing
(`write_more`).

`PlainTransport` is the one over a TCP socket and nothing else. That socket is the standard library's, also
where the program is patched: gevent's would look for greenlets that wait, at each call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from gevent import get_hub
from gevent.monkey import get_original

_READ_BYTES = 65_536  # as much as the allocator keeps at hand; larger buffers are mapped and unmapped for each read
_MAX_PARTS = 512  # the kernel takes 1024 (IOV_MAX) in one call
_close: Callable[[int], None] = get_original("os", "close")
_plain_socket: Any = get_original("socket", "socket")


class NoTransport(OSError):
    """There is none to this broker, or none any more, for what it wants of us or we of it. The text is whole,
    and for users.
    """


class Transport(Protocol):
    """What a `Broker` and its actor use."""

    readable: bool
    """There may be something to read."""

    writable: bool
    """Some of what was not taken is taken now."""

    def watch(self, wake: Callable[[], object]) -> None:
        """Call `wake`, in the hub of the caller, each time the transport has become readable or writable."""

    def watch_again(self) -> None:
        """Go on watching: gevent stops a watcher whose callback raised, as a signal handler may in it. Wakes
        nobody.
        """

    def read(self) -> bytes | None:
        """What has arrived, or a part of it; None where nothing has, b"" when the other side has closed.
        `readable` is then whether to read again.

        Raises:
            OSError: the connection is broken.
        """

    def write(self, buffers: list[Any]) -> bool:
        """Write `buffers` (not empty ones), now as far as they are taken, the rest in `write_more`; return
        whether all of them were. They must not change until then.

        Raises:
            OSError: the connection is broken.
        """

    def write_more(self) -> bool:
        """Go on with what was not taken; return whether now everything is. Raises as `write`."""

    def close(self) -> None:
        """Close it, whatever was not written, and send nothing: in a forked child the connection is its
        parent's, who goes on with it. Also where the hub that watched it is gone.
        """


class PlainTransport:
    """The transport of a connected TCP socket, which it takes over. Promises as `Transport` says."""

    def __init__(self, sock: Any) -> None:
        self._sock = _plain_socket(fileno=sock.detach())
        self._sock.setblocking(False)
        self.readable: bool = False
        self.writable: bool = False
        self._outgoing: deque[memoryview] = deque()
        self._wake: Callable[[], object] | None = None
        self._reader: Any = None
        self._writer: Any = None

    @property
    def has_unwritten(self) -> bool:
        """Whether something waits for the socket to take it."""
        return bool(self._outgoing)

    def watch(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        loop = get_hub().loop
        self._reader, self._writer = loop.io(self._sock.fileno(), 1), loop.io(self._sock.fileno(), 2)
        self._reader.start(self._can_read)

    def _can_read(self) -> None:
        self.readable = True
        assert self._wake is not None
        self._wake()

    def _can_write(self) -> None:
        self.writable = True
        self._writer.stop()
        assert self._wake is not None
        self._wake()

    def watch_again(self) -> None:
        if self._reader is not None and not self._reader.active:
            self.readable = True
            self._reader.start(self._can_read)
        if self._outgoing and not self._writer.active:
            self.writable = True  # whoever writes the rest starts it

    def read(self) -> bytes | None:
        self.readable = False
        try:
            data: bytes = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return None
        self.readable = len(data) == _READ_BYTES
        return data

    def write(self, buffers: list[Any]) -> bool:
        if self._outgoing:
            self._outgoing.extend([memoryview(buffer) for buffer in buffers])
            return False
        total = sum(map(len, buffers))
        try:
            sent = self._sock.send(buffers[0]) if len(buffers) == 1 else self._sock.sendmsg(buffers[:_MAX_PARTS])
        except BlockingIOError:
            sent = 0
        if sent == total:
            return True
        for buffer in buffers:
            if sent >= len(buffer):
                sent -= len(buffer)
                continue
            self._outgoing.append(memoryview(buffer)[sent:])
            sent = 0
        self._writer.start(self._can_write)
        return False

    def write_more(self) -> bool:
        self.writable = False
        if not self._outgoing:
            return True
        rest = list(self._outgoing)
        self._outgoing.clear()
        return self.write(rest)

    def close(self) -> None:
        self._outgoing.clear()
        self.readable = self.writable = False
        for watcher in (self._reader, self._writer):
            if watcher is not None:
                with suppress(ValueError):  # its loop was destroyed
                    watcher.stop()
                    watcher.close()
        self._reader = self._writer = None
        self._sock.close()


def close_at_once(sock: Any) -> None:
    """Close a gevent socket's descriptor now: gevent's own `close`, of sockets as of `os`, may leave it to
    the loop.
    """
    descriptor = sock.detach()
    if descriptor >= 0:
        _close(descriptor)

"""The sockets of a `FakeCluster`: a thread that listens for its brokers, and hands each request to whoever
answers it.

A thread of the system's own, and none of gevent's functions: so it goes on while the test's thread blocks,
with monkey patching or not, and serves clients that run in an event loop or in C.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from select import POLLIN, POLLOUT
from socket import IPPROTO_TCP, SHUT_RDWR, SO_REUSEADDR, SOL_SOCKET, TCP_NODELAY
from struct import Struct
from time import monotonic
from typing import Any

from gevent.monkey import get_original

_new_thread = get_original("_thread", "start_new_thread")
_new_lock = get_original("_thread", "allocate_lock")
_Socket: Any = get_original("socket", "socket")
_new_poll: Any = get_original("select", "poll")
_SIZE = Struct(">i")
_LARGEST = 128 * 1024 * 1024
_READ = 256 * 1024
_HOST = "127.0.0.1"
_STOPS_WITHIN = 10.0  # seconds


class Cut(Exception):
    """Raised by who answers: the connection is closed instead."""


@dataclass
class NotYet:
    """Returned by who answers: ask once more when there is news, or at `due` (monotonic seconds)."""

    due: float


class Connection:
    """One connection to a broker."""

    def __init__(self, sock: Any, node_id: int) -> None:
        self.sock = sock
        self.node_id = node_id
        self.received: bytearray = bytearray()
        self.to_answer: deque[bytes] = deque()
        self.began: float | None = None  # when the first of those was first asked about
        self.answers: deque[tuple[float, bytes]] = deque()  # and when each may leave
        self.to_send: bytearray = bytearray()


Answer = Callable[[int, bytes, float], bytes | NotYet | None]
"""Of a broker's id, a request, and when it was first asked about; None where no answer is wanted."""


class Server:
    """Listeners and connections, and the thread that serves them. `answer` is called in it, with `lock`."""

    def __init__(self, answer: Answer, ports: dict[int, int]) -> None:
        self.lock: Any = _new_lock()
        self.latency: float = 0.0  # seconds
        self.paused: set[int] = set()
        self._ports = ports  # by broker; filled in here
        self._answer = answer
        self._listeners: dict[int, Any] = {}
        self._kept: dict[int, Any] = {}  # sockets that keep the ports of closed brokers
        self._connections: dict[int, Connection] = {}
        self._wakes, self._wake_end = os.pipe()
        os.set_blocking(self._wakes, False)
        os.set_blocking(self._wake_end, False)
        self._stopping = self._closed = False
        self._stopped = _new_lock()
        self._stopped.acquire()
        _new_thread(self._run, ())

    def listen(self, node_id: int) -> None:
        """Take connections for a broker, on the port it had before."""
        if self._stopping:
            raise RuntimeError("the cluster was closed; make another one")
        listener = _bound(self._ports.get(node_id, 0))
        listener.listen(128)
        listener.setblocking(False)
        self._ports[node_id] = listener.getsockname()[1]
        with self.lock:
            self._listeners[node_id] = listener
            self._let_go(node_id)
        self.wake()

    def close(self, node_id: int) -> None:
        """Refuse connections to a broker, and end those there are. Its port stays its own: somebody's outgoing
        connection might be given it else, one to this very port even.
        """
        with self.lock:
            listener = self._listeners.pop(node_id, None)
            gone = [each for each in self._connections.values() if each.node_id == node_id]
            for connection in gone:
                self._drop(connection)
            if listener is not None:
                with suppress(OSError):  # the thread's poll would keep it listening for a moment; only Linux has this
                    listener.shutdown(SHUT_RDWR)
                listener.close()
                with suppress(OSError):  # somebody was quicker
                    self._kept[node_id] = _bound(self._ports[node_id])
        self.wake()

    def _let_go(self, node_id: int) -> None:
        kept = self._kept.pop(node_id, None)
        if kept is not None:
            kept.close()

    def wake(self) -> None:
        """There is news: what was not answered yet is asked about again."""
        with self.lock, suppress(BlockingIOError):
            if not self._closed:  # else the number may be another file's
                os.write(self._wake_end, b"!")

    def stop(self) -> None:
        """Close everything; returns when the thread has ended."""
        self._stopping = True
        self.wake()
        if self._stopped.acquire(True, _STOPS_WITHIN):
            self._stopped.release()

    # the thread

    def _run(self) -> None:
        try:
            while not self._stopping:
                with self.lock:
                    due = self._work(monotonic())
                    sources = self._sources()
                ready = self._wait(sources, due)
                with self.lock:
                    self._read_and_write(ready)
        finally:
            with self.lock:
                for listener in [*self._listeners.values(), *self._kept.values()]:
                    listener.close()
                for connection in list(self._connections.values()):
                    self._drop(connection)
                self._closed = True
                os.close(self._wakes)
                os.close(self._wake_end)
            self._stopped.release()

    def _sources(self) -> dict[int, int]:
        sources = {self._wakes: POLLIN}
        sources |= {listener.fileno(): POLLIN for listener in self._listeners.values()}
        for number, connection in self._connections.items():
            sources[number] = POLLIN | (POLLOUT if connection.to_send else 0)
        return sources

    def _wait(self, sources: dict[int, int], due: float | None) -> list[tuple[int, int]]:
        poll = _new_poll()
        for number, events in sources.items():
            poll.register(number, events)
        wait_ms = None if due is None else max(0.0, (due - monotonic()) * 1000)
        ready: list[tuple[int, int]] = poll.poll(wait_ms)
        return ready

    def _read_and_write(self, ready: list[tuple[int, int]]) -> None:
        listeners = {listener.fileno(): node_id for node_id, listener in self._listeners.items()}
        for number, events in ready:
            if number == self._wakes:
                with suppress(BlockingIOError):
                    os.read(self._wakes, 4096)
            elif number in listeners:
                self._accept(listeners[number])
            elif (connection := self._connections.get(number)) is not None:
                try:
                    if events & ~POLLOUT:
                        self._read(connection)
                    self._send(connection)
                except OSError:
                    self._drop(connection)

    def _accept(self, node_id: int) -> None:
        with suppress(OSError):
            while True:
                sock, _address = self._listeners[node_id].accept()
                sock.setblocking(False)
                sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
                self._connections[sock.fileno()] = Connection(sock, node_id)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(_READ)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionResetError
        received = connection.received
        received += data
        while len(received) >= _SIZE.size:
            (size,) = _SIZE.unpack_from(received)
            if not 0 < size <= _LARGEST:
                raise ConnectionResetError
            if len(received) < _SIZE.size + size:
                break
            connection.to_answer.append(bytes(received[_SIZE.size : _SIZE.size + size]))
            del received[: _SIZE.size + size]

    def _work(self, now: float) -> float | None:
        """Answer what can be answered; when to look again, or None."""
        due: list[float] = []
        for connection in list(self._connections.values()):
            if connection.node_id in self.paused:
                continue
            try:
                due += self._answer_all(connection, now)
                self._send(connection)
            except (Cut, OSError):
                self._drop(connection)
        return min(due, default=None)

    def _answer_all(self, connection: Connection, now: float) -> list[float]:
        due = []
        while connection.to_answer:
            connection.began = now if connection.began is None else connection.began
            answer = self._answer(connection.node_id, connection.to_answer[0], connection.began)
            if isinstance(answer, NotYet):
                due.append(answer.due)
                break
            connection.to_answer.popleft()
            connection.began = None
            if answer is not None:
                connection.answers.append((now + self.latency, _SIZE.pack(len(answer)) + answer))
        while connection.answers and connection.answers[0][0] <= now:
            connection.to_send += connection.answers.popleft()[1]
        if connection.answers:
            due.append(connection.answers[0][0])
        return due

    def _send(self, connection: Connection) -> None:
        with suppress(BlockingIOError):
            while connection.to_send:
                del connection.to_send[: connection.sock.send(connection.to_send)]

    def _drop(self, connection: Connection) -> None:
        self._connections.pop(connection.sock.fileno(), None)
        connection.sock.close()


def _bound(port: int) -> Any:
    sock = _Socket()
    try:
        sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        sock.bind((_HOST, port))
    except BaseException:
        sock.close()
        raise
    return sock

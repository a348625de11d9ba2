"""`TlsTransport`: TLS between Kafka's bytes and a plain socket.

OpenSSL works on memory here (`SSLContext.wrap_bio`): bytes in, bytes out, no socket. That is the same whether
the program is patched or not, and with a context that its user made before patching.

Imported late, by whoever opens a connection with TLS: a program that monkey-patches after importing klife
must not find `ssl` loaded by us.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from gevent import get_hub

from klife.actors.network.tls_trouble import why
from klife.actors.network.transport import NoTransport, PlainTransport
from klife.actors.settings import TlsSettings
from klife_supervision.let_hub_run import let_hub_run

_RECORD_BYTES = 16_384  # the most that OpenSSL gives at once: a record of TLS
_READ_BYTES = 65_536
_PIECE_BYTES = 65_536  # as much as the allocator keeps at hand; a few records of TLS
_BYTES_WITHOUT_DATA = 131_072  # in a row: two reads; a record of data has 16 KiB, and what else there is some hundred bytes
_ANSWER_BYTES = 65_536  # of OpenSSL's own, of a connection: to two thousand new keys, each good for hundreds of gigabytes
_READS_WITHOUT_DATA = 4  # after so many the loop has its turn: tickets and key updates are no data


def server_name(host: str) -> str:
    """What `host` is called in TLS: brokers refuse the dot at the end, and a zone is no part of an address."""
    name = host.rstrip(".")
    return name.partition("%")[0] if ":" in name else name


class TlsHandshake:
    """A handshake over a connected socket of gevent's, in a greenlet that waits for the socket. One that was
    interrupted goes on where it was.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        """The name is asked for, also where nobody checks it, and never an address (OpenSSL tells them
        apart).
        """
        self.incoming: ssl.MemoryBIO = ssl.MemoryBIO()
        self.outgoing: ssl.MemoryBIO = ssl.MemoryBIO()
        self.tls: ssl.SSLObject = context.wrap_bio(self.incoming, self.outgoing, server_side=False, server_hostname=server_name(host))
        self._unsent = b""

    def run(self, sock: Any, may_go_on: Callable[[], bool]) -> None:
        """Return when it is through; what is left in `outgoing` then has to be sent.

        Raises:
            ssl.SSLError, OSError: there is no TLS on this connection.
        """
        while True:
            let_hub_run()  # a step takes up to a millisecond, and others may be taking theirs in this turn
            try:
                self.tls.do_handshake()
                wants_more = False
            except ssl.SSLWantReadError:
                wants_more = True
            except ssl.SSLError:
                if may_go_on():
                    self._tell_why(sock)
                raise
            self._send(sock, may_go_on)
            if not wants_more:
                return
            arrived = sock.recv(_READ_BYTES)
            if arrived:
                self.incoming.write(arrived)
            else:
                self.incoming.write_eof()

    def _send(self, sock: Any, may_go_on: Callable[[], bool]) -> None:
        while self._unsent or self.outgoing.pending:
            if not self._unsent:
                self._unsent = self.outgoing.read()
            if not may_go_on():  # a forked child
                raise OSError("not in a forked child")
            self._unsent = self._unsent[sock.send(self._unsent) :]

    def _tell_why(self, sock: Any) -> None:
        """An alert, for the broker's log, if the socket takes it at once."""
        with suppress(OSError):
            sock.send(self.outgoing.read(), 0, timeout=0.0)


class TlsTransport:
    """A transport over another one. Promises as `Transport` says.

    What was encrypted has its place in the stream, so ciphertext is never given up once it is made. A piece of
    a request is encrypted when the socket has taken the one before: so memory holds a request once, and the
    allocator has all that is needed at hand. A turn of the loop encrypts one of the requests that wait.
    """

    def __init__(self, plain: PlainTransport, handshake: TlsHandshake, settings: TlsSettings) -> None:
        self._plain = plain
        self._tls = handshake.tls
        self._incoming = handshake.incoming
        self._outgoing = handshake.outgoing
        self._settings = settings
        self._requests: deque[Iterator[Any]] = deque()  # what is not encrypted yet, in pieces
        self._piece: Any = None  # the first of them, if it was tried
        self._wants_read = False  # OpenSSL has to read before it writes on
        self._has_ended = False  # with or without a close_notify
        self._without_data = 0  # bytes that have come since the last data
        self._answer_bytes = 0
        self._has_read = False  # the broker's first answer is there: it takes us as we are
        self._wake: Callable[[], object] | None = None
        self._loop: Any = None
        self.readable: bool = True  # what came behind the handshake is in memory already
        self.writable: bool = False

    @property
    def session(self) -> ssl.SSLObject:
        """What the handshake settled: the version, and the broker's certificate."""
        return self._tls

    def watch(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._loop = get_hub().loop
        self._plain.watch(self._woken)

    def _woken(self) -> None:
        self.readable = self.readable or self._plain.readable
        self.writable = self.writable or self._plain.writable
        if self._wake is not None:
            self._wake()

    def _wake_soon(self) -> None:
        """Where no socket will: in the loop's next turn."""
        if self._loop is not None:
            self._loop.run_callback(self._woken)

    def watch_again(self) -> None:
        self._plain.watch_again()
        self.readable = True  # a wake-up of our own may be lost as well
        self.writable = self._plain.writable or bool(self._requests and not self._plain.has_unwritten)

    # reading

    def read(self) -> bytes | None:
        if self._has_ended:
            return b""
        try:
            data = self._decrypted()
            if self._outgoing.pending:  # OpenSSL's own answer, to a new key
                self._answer_bytes += self._outgoing.pending
                if self._answer_bytes > _ANSWER_BYTES:
                    raise NoTransport("the broker changes the keys of TLS again and again; is this your broker?")
                self._plain.write([self._outgoing.read()])
        except ssl.SSLZeroReturnError:
            data = b""
        except OSError as error:
            raise self._told(error) from None
        if data:
            self._has_read = True
        elif data is not None:
            self._has_ended = True
        return data

    def _decrypted(self) -> bytes | None:
        """As `read`. What is in memory makes no socket ready, so there may be more as long as there is any."""
        plain, incoming, tls = self._plain, self._incoming, self._tls
        has_some = incoming.pending or tls.pending()
        for _ in range(_READS_WITHOUT_DATA):
            if not has_some:
                arrived = plain.read()
                if not arrived:
                    self.readable = False
                    return arrived
                incoming.write(arrived)
                self._without_data += len(arrived)
                if self._without_data > _BYTES_WITHOUT_DATA:
                    raise NoTransport("the broker sends TLS, and no data in it; is this your broker?")
                if self._wants_read:
                    self._wants_read, self.writable = False, True
                    self._wake_soon()
            try:
                data: bytes = tls.read(_RECORD_BYTES)
            except ssl.SSLWantReadError:
                has_some = 0
                continue
            self._without_data = 0
            self.readable = bool(data) and bool(plain.readable or incoming.pending or tls.pending())
            return data
        self.readable = True
        self._wake_soon()
        return None

    # writing

    def write(self, buffers: list[Any]) -> bool:
        self._requests.append(_pieces(buffers))
        if len(self._requests) > 1 or self._plain.has_unwritten:
            return False
        return self._write_one()

    def write_more(self) -> bool:
        self.writable = False
        try:
            if not self._plain.write_more():
                return False
        except OSError as error:
            raise self._told(error) from None
        return self._write_one()

    def _write_one(self) -> bool:
        """Go on with the first request that waits, as far as the socket takes it; return whether nothing is
        left.
        """
        if self._requests:
            try:
                if not self._encrypt(self._requests[0]):
                    return False
            except OSError as error:
                raise self._told(error) from None
            self._requests.popleft()
            if self._requests:
                self.writable = True
                self._wake_soon()
        return not self._requests

    def _encrypt(self, pieces: Iterator[Any]) -> bool:
        """Return whether all of it is on its way."""
        while True:
            if self._piece is None:
                self._piece = next(pieces, None)
                if self._piece is None:
                    return True
            try:
                self._tls.write(self._piece)  # all of it: what OpenSSL writes to is memory
                self._piece = None
            except ssl.SSLWantReadError:  # it is asked with the same bytes again, as it demands
                self._wants_read = True
            if self._outgoing.pending and not self._plain.write([self._outgoing.read()]):
                return False
            if self._wants_read:
                return False

    def _told(self, error: OSError) -> OSError:
        """What to tell of `error`. In TLS 1.3 a broker refuses a client's certificate, or that there is none,
        after the handshake: with its first answer.
        """
        if isinstance(error, NoTransport):
            return error
        if not self._has_read and not isinstance(error, ssl.SSLError):
            error = self._alert() or error  # it closed before it read our bytes, and has said why
        return NoTransport(why(error, self._settings, refuses_us=not self._has_read))

    def _alert(self) -> ssl.SSLError | None:
        try:
            self._decrypted()
        except ssl.SSLError as alert:
            return alert
        except OSError:
            pass
        return None

    def close(self) -> None:
        """No close_notify: brokers do without, and in a forked child the connection is its parent's."""
        self._wake = None
        self._requests.clear()
        self.readable = self.writable = False
        self._plain.close()


def _pieces(buffers: list[Any]) -> Iterator[Any]:
    """The same bytes in few pieces: each costs a record of TLS at least."""
    if sum(map(len, buffers)) <= _PIECE_BYTES:
        return iter((buffers[0] if len(buffers) == 1 else b"".join(buffers),))
    return _cut(buffers)


def _cut(buffers: list[Any]) -> Iterator[Any]:
    gathered: list[Any] = []
    left = _PIECE_BYTES
    for buffer in buffers:
        rest = memoryview(buffer)
        while rest:
            part, rest = rest[:left], rest[left:]
            gathered.append(part)
            left -= len(part)
            if not left:
                yield part if len(gathered) == 1 else b"".join(gathered)
                gathered, left = [], _PIECE_BYTES
    if gathered:
        yield b"".join(gathered)

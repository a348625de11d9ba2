"""`TlsTransport` over a pair of sockets, and OpenSSL at the other end: what is in memory, what a socket does not
take, and keys that change.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from klife.actors.network.tls import TlsHandshake, TlsTransport, server_name
from klife.actors.network.transport import NoTransport, PlainTransport
from klife.actors.settings import TlsSettings
from tests.support.scripted_broker import PATIENCE
from tests.support.secured import broker_context, made_in

LARGE = bytes(range(256)) * 4096  # 1 MiB, more than sockets take at once


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return made_in(tmp_path_factory.mktemp("tls"))


class Peers:
    """A transport, and the other end as OpenSSL in memory over a plain socket."""

    def __init__(self, certificates: Any, version: ssl.TLSVersion) -> None:
        ours, self.sock = socket.socketpair()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.other = broker_context(certificates, tls=version).wrap_bio(self._in, self._out, server_side=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(certificates.ca_file)
        handshake = TlsHandshake(context, "localhost")
        shaking = gevent.spawn(self._until, self.other.do_handshake)
        handshake.run(ours, lambda: True)
        shaking.get(timeout=PATIENCE)
        self.transport = TlsTransport(PlainTransport(ours), handshake, TlsSettings())
        self.woken = Event()
        self.transport.watch(self.woken.set)

    def _until(self, act: Any) -> Any:
        """What `act` returns, when the other end has read enough for it."""
        while True:
            try:
                done = act()
            except ssl.SSLWantReadError:
                self.flush()
                self._in.write(self.sock.recv(1 << 16))
                continue
            self.flush()
            return done

    def flush(self) -> None:
        if self._out.pending:
            self.sock.sendall(self._out.read())

    def say(self, data: bytes) -> None:
        while data:
            data = data[self.other.write(data) :]
            self.flush()

    def hear(self, size: int) -> bytes:
        heard = bytearray()
        while len(heard) < size:
            heard += self._until(lambda: self.other.read(1 << 16))
        return bytes(heard)

    def wait(self) -> None:
        assert self.woken.wait(PATIENCE)
        self.woken.clear()

    def read(self, size: int) -> bytes:
        """As the actor does."""
        data = self._readable()
        while len(data) < size:
            self.wait()
            data += self._readable()
        return data

    def _readable(self) -> bytes:
        data = b""
        while self.transport.readable:
            data += self.transport.read() or b""
        return data

    def write_all(self, *requests: list[Any]) -> bytes:
        hearing = gevent.spawn(self.hear, sum(len(part) for request in requests for part in request))
        for request in requests:
            done = self.transport.write(request)
        while not done:
            self.wait()
            if self.transport.writable:
                done = self.transport.write_more()
            if self.transport.readable:
                self.transport.read()
        heard: bytes = hearing.get(timeout=PATIENCE)
        return heard


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def peers(request: pytest.FixtureRequest, certificates: Any) -> Iterator[Peers]:
    peers = Peers(certificates, request.param)
    yield peers
    peers.transport.close()
    peers.sock.close()


def test_what_came_behind_the_handshake_is_read_without_a_socket_that_is_ready(certificates: Any) -> None:
    peers = Peers(certificates, ssl.TLSVersion.TLSv1_3)  # tickets, and then the answer to nothing
    assert peers.transport.readable
    assert peers.transport.read() is None
    assert not peers.transport.readable
    peers.transport.close()


def test_of_many_records_in_one_piece_none_is_left_in_memory(peers: Peers) -> None:
    data = LARGE[:60_000]
    saying = gevent.spawn(peers.say, data)
    assert peers.read(len(data)) == data
    saying.get(timeout=PATIENCE)
    assert not peers.transport.readable
    saying = gevent.spawn(peers.say, LARGE)
    assert peers.read(len(LARGE)) == LARGE
    saying.get(timeout=PATIENCE)


@pytest.mark.parametrize(
    "requests",
    [([b"one part"],), ([b"one", b", two", b" parts"],), ([LARGE],), ([LARGE], [b"and"], [memoryview(LARGE), bytearray(b"more")])],
    ids=["small", "parts", "large", "several"],
)
def test_what_is_written_arrives_in_order(peers: Peers, requests: Any) -> None:
    assert peers.write_all(*requests) == b"".join(bytes(part) for request in requests for part in request)


def test_requests_wait_as_they_are_while_the_socket_takes_none(peers: Peers) -> None:
    assert not peers.transport.write([LARGE])
    for _ in range(3):
        assert not peers.transport.write([LARGE])
    assert len(peers.transport._requests) == 4
    hearing = gevent.spawn(peers.hear, 4 * len(LARGE))
    encrypted = []
    done = False
    while not done:
        peers.wait()
        if peers.transport.writable:
            before = len(peers.transport._requests)
            done = peers.transport.write_more()
            encrypted.append(before - len(peers.transport._requests))
    assert max(encrypted) == 1  # a turn
    assert hearing.get(timeout=PATIENCE) == 4 * LARGE


def test_a_write_that_has_to_read_first_goes_on_when_it_has(peers: Peers) -> None:
    """OpenSSL's word for it, for which no peer of today has a reason (a handshake in TLS 1.2 that begins anew)."""

    class Wanting:
        def __init__(self, real: Any) -> None:
            self.real, self.wants = real, True

        def write(self, data: Any) -> int:
            if self.wants:
                raise ssl.SSLWantReadError
            return self.real.write(data)  # type: ignore[no-any-return]

        def read(self, size: int) -> bytes:
            data: bytes = self.real.read(size)
            self.wants = False
            return data

        def pending(self) -> int:
            return self.real.pending()  # type: ignore[no-any-return]

    peers.transport.read()
    peers.transport._tls = Wanting(peers.transport._tls)  # type: ignore[assignment]
    assert not peers.transport.write([b"first"])
    assert not peers.transport.write([b"second"])
    peers.say(b"what it wants")
    hearing = gevent.spawn(peers.hear, 11)
    with gevent.Timeout(PATIENCE):
        while not hearing.ready():
            if peers.transport.writable:
                peers.transport.write_more()
            if peers.transport.readable:
                peers.transport.read()
            gevent.sleep(0.001)
    assert hearing.get() == b"firstsecond"


def test_the_end_is_told_with_and_without_a_word(peers: Peers) -> None:
    peers.say(b"last")
    with pytest.raises(ssl.SSLWantReadError):  # close_notify is sent, and one back is waited for
        peers.other.unwrap()
    peers.flush()
    assert peers.read(4) == b"last"
    while (data := peers.transport.read()) is None:
        peers.wait()
    assert data == b""


def test_closing_sends_nothing(peers: Peers) -> None:
    peers.transport.read()
    peers.transport.close()
    while data := peers.sock.recv(1 << 16):
        raise AssertionError(data)


def test_garbage_is_told_in_words(peers: Peers) -> None:
    peers.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    peers.wait()
    with pytest.raises(NoTransport, match=r"does not speak TLS|the connection broke"):
        peers.read(1)


@pytest.mark.parametrize(("answers", "told"), [(True, "changes the keys of TLS again and again"), (False, "no data in it")])
def test_tls_without_data_and_without_end_is_given_up(peers: Peers, answers: bool, told: str) -> None:
    """Key updates, one after the other; with an answer to each if it is wanted, which the broker may not read."""
    transport = peers.transport

    class Updating:
        taken = 0

        def read(self, _size: int) -> bytes:
            while update := transport._incoming.read(27):
                self.taken += len(update)
                if answers:
                    transport._outgoing.write(27 * b"k")
            raise ssl.SSLWantReadError

        def pending(self) -> int:
            return transport._incoming.pending

    transport.read()
    transport._tls = updating = Updating()  # type: ignore[assignment]
    flooding = gevent.spawn(lambda: [peers.sock.sendall(1000 * b"u") for _ in range(1000)])
    with pytest.raises(NoTransport, match=told):
        peers.read(1)
    flooding.kill()
    assert updating.taken <= 200_000


@pytest.mark.parametrize(
    ("host", "name"),
    [("kafka.example.org.", "kafka.example.org"), ("kafka", "kafka"), ("10.0.0.1", "10.0.0.1"), ("fe80::1%eth0", "fe80::1")],
)
def test_the_name_that_is_asked_for(host: str, name: str) -> None:
    assert server_name(host) == name

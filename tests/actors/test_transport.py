"""`PlainTransport` over a pair of sockets: partial writes, nothing to read, a peer that is gone, and the end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from klife.actors.network.transport import PlainTransport
from tests.support.scripted_broker import PATIENCE

LARGE = bytes(range(256)) * 16_384  # 4 MiB, more than a socket takes at once


class Peers:
    """A transport and the plain end of its connection; `woken` is set each time the transport wakes."""

    def __init__(self) -> None:
        ours, self.other = socket.socketpair()
        self.transport = PlainTransport(ours)
        self.woken = Event()
        self.transport.watch(self.woken.set)

    def wait(self) -> None:
        assert self.woken.wait(PATIENCE)
        self.woken.clear()

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            self.wait()
            while self.transport.readable:
                data += self.transport.read() or b""
        return data

    def write_all(self, buffers: list[Any]) -> bytes:
        """Write, while the other side reads as long as it comes; return what it has read."""
        total = sum(map(len, buffers))
        reading = gevent.spawn(self._read_other, total)
        done = self.transport.write(buffers)
        while not done:
            self.wait()
            if self.transport.writable:
                done = self.transport.write_more()
        data: bytes = reading.get(timeout=PATIENCE)
        return data

    def _read_other(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self.other.recv(1 << 20)
        return data


@pytest.fixture
def peers() -> Iterator[Peers]:
    peers = Peers()
    yield peers
    peers.transport.close()
    peers.other.close()


def test_what_arrives_wakes_and_is_read_until_nothing_is_left(peers: Peers) -> None:
    assert (peers.transport.readable, peers.transport.read()) == (False, None)
    peers.other.sendall(b"hello")
    peers.wait()
    assert peers.transport.readable
    assert (peers.transport.read(), peers.transport.readable) == (b"hello", False)
    assert peers.transport.read() is None


def test_more_than_one_read_takes_is_announced(peers: Peers) -> None:
    writing = gevent.spawn(peers.other.sendall, LARGE)
    assert peers.read(len(LARGE)) == LARGE
    writing.get(timeout=PATIENCE)


def test_what_the_socket_takes_at_once_is_written_at_once(peers: Peers) -> None:
    assert peers.transport.write([b"one part"])
    assert peers.transport.write([b", two", b" parts"])
    assert peers.transport.write_more()
    assert peers.other.recv(100) == b"one part, two parts"


@pytest.mark.parametrize(
    "buffers",
    [[LARGE], [LARGE, b"and", LARGE], [b"%04d" % number for number in range(5000)], [memoryview(LARGE), bytearray(LARGE)]],
    ids=["one", "three", "more than one call takes", "other kinds"],
)
def test_what_the_socket_does_not_take_follows_in_order_once_it_does(peers: Peers, buffers: list[Any]) -> None:
    assert peers.write_all(buffers) == b"".join(buffers)


def test_what_is_written_behind_what_waits_stays_behind_it(peers: Peers) -> None:
    assert not peers.transport.write([LARGE])
    assert not peers.transport.write([b"behind"])
    reading = gevent.spawn(peers._read_other, len(LARGE) + 6)
    while not peers.transport.write_more():
        peers.wait()
    assert reading.get(timeout=PATIENCE) == LARGE + b"behind"


def test_a_peer_that_has_closed_is_told_by_an_empty_read(peers: Peers) -> None:
    peers.other.sendall(b"last")
    peers.other.close()
    peers.wait()
    assert peers.transport.read() == b"last"
    assert peers.transport.read() == b""


def test_writing_to_a_peer_that_is_gone_raises(peers: Peers) -> None:
    assert not peers.transport.write([LARGE])
    peers.other.close()
    with pytest.raises(OSError, match=r"[Bb]roken pipe|reset"):
        peers.transport.write_more()


def test_closed_with_something_unwritten_it_is_over_and_wakes_nobody(peers: Peers) -> None:
    assert not peers.transport.write([LARGE])
    peers.transport.close()
    peers.transport.close()
    assert not peers.transport.readable
    assert not peers.transport.writable
    got = b""
    while data := peers.other.recv(1 << 20):
        got += data
    assert LARGE.startswith(got)
    gevent.sleep(0)
    assert not peers.woken.is_set()


@pytest.mark.parametrize("direction", ["_reader", "_writer"])
def test_a_watcher_that_gevent_stopped_is_made_up_for(peers: Peers, direction: str) -> None:
    if direction == "_writer":
        assert not peers.transport.write([LARGE])
    getattr(peers.transport, direction).stop()  # as after an exception of a signal handler
    peers.transport.watch_again()
    if direction == "_writer":
        assert peers.transport.writable
        assert peers.other.recv(1000)
        assert not peers.transport.write_more()
        assert peers.transport._writer.active
    else:
        assert peers.transport.readable
        assert peers.transport.read() is None
        peers.other.sendall(b"hello")
        peers.wait()
        assert peers.transport.read() == b"hello"


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"], ids=["as it is", "patched"])
def test_its_socket_is_the_standard_librarys_and_never_blocks(patch: str) -> None:
    program = f"""
        {patch}
        import gevent.socket
        from klife.actors.network.transport import PlainTransport
        ours, other = gevent.socket.socketpair()
        descriptor = ours.fileno()
        transport = PlainTransport(ours)
        assert type(transport._sock).__module__ == "socket" and not isinstance(transport._sock, gevent.socket.socket)
        assert (transport._sock.fileno(), ours.fileno(), transport._sock.gettimeout()) == (descriptor, -1, 0.0)
        assert transport.read() is None
        other.sendall(b"hello")
        assert transport.read() == b"hello"
        transport.close()
        assert other.recv(1) == b""
        print("as it should be")
    """
    ended = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, check=False)
    assert ended.stdout == "as it should be\n", ended.stderr

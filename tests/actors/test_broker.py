"""`Broker` by itself: what becomes of its connection, and of the calls in it, when writing fails. No actor,
no socket.
"""

from __future__ import annotations

from typing import Any

import pytest

from klife.actors.network.broker import Broker
from klife.actors.network.call import Call, CallFailed
from klife.api.config import ClientConfig
from klife.api.settings import client_settings
from klife.host_name import address_of
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.connection import State


class Wire:
    """A transport without a socket: takes so many bytes of a write, and then raises what is set."""

    readable = writable = False

    def __init__(self) -> None:
        self.taken = b""
        self.takes = 1 << 20
        self.then: BaseException | None = None

    def watch(self, wake: Any) -> None: ...

    def watch_again(self) -> None: ...

    def read(self) -> bytes | None:
        return None

    def write(self, buffers: list[Any]) -> bool:
        data = b"".join(buffers)
        self.taken += data[: self.takes]
        if self.then is not None:
            raise self.then
        return len(data) <= self.takes

    def write_more(self) -> bool:
        return True

    def close(self) -> None:
        self.takes = 0


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def broker(wire: Wire) -> Broker:
    """One that is connected."""
    broker = Broker(1, "here", 9092, client_settings(ClientConfig.build("here:9092"), "c").connection, "c")
    broker.connection.state = State.READY
    broker.connection.ranges = {MetadataRequest.API_KEY: (0, 13)}
    broker.attach(wire)
    return broker


def asked(broker: Broker) -> Call:
    return broker.call(MetadataRequest(topics=[]), lambda _call: None, timeout=30.0, client_id="c")


def sent_without_reply(broker: Broker) -> Call:
    call = Call(MetadataRequest(topics=[]))
    broker.send(call, timeout=30.0, client_id="c", expect_reply=False)
    return call


def test_nothing_follows_a_request_that_was_interrupted_half_way(broker: Broker, wire: Wire) -> None:
    wire.takes, wire.then = 5, KeyboardInterrupt("a signal handler's")
    with pytest.raises(KeyboardInterrupt):
        asked(broker)
    wire.then = None
    late = asked(broker)
    assert len(wire.taken) == 5
    assert isinstance(late.error, CallFailed)
    assert not late.error.sent
    assert broker.failure == "a request could not be sent: KeyboardInterrupt: a signal handler's"


def test_who_closes_it_is_given_the_interrupted_request_too(broker: Broker, wire: Wire) -> None:
    first = asked(broker)
    wire.then = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        asked(broker)
    calls = broker.close()
    assert calls[0] is first
    assert len(calls) == 2
    assert (broker.calls, broker.connection.state) == ([], State.DISCONNECTED)


def test_an_oserror_of_the_write_is_the_connection_s_and_not_the_caller_s(broker: Broker, wire: Wire) -> None:
    wire.then = ConnectionResetError("gone")
    call = asked(broker)
    assert not call.is_done
    assert broker.failure == "writing failed: gone"
    assert broker.close() == [call]


def test_calls_without_a_reply_are_done_once_all_is_written_and_returned_by_close_before(broker: Broker, wire: Wire) -> None:
    done = sent_without_reply(broker)
    wire.takes = 3
    stuck, unanswered = sent_without_reply(broker), asked(broker)
    assert (done.is_done, stuck.is_done) == (True, False)
    assert broker.close() == [stuck, unanswered]


def test_what_was_stuck_is_done_once_the_rest_is_written(broker: Broker, wire: Wire) -> None:
    wire.takes = 3
    call = sent_without_reply(broker)
    broker.write_more()
    assert call.is_done
    assert broker.calls == []


def test_an_address_of_ipv6_is_told_as_users_write_it(broker: Broker) -> None:
    assert address_of("::1", 9092) == "[::1]:9092"
    assert address_of("kafka.example.org", 9092) == "kafka.example.org:9092"
    broker.host = "fe80::1%lo"
    assert broker.describe().startswith("[fe80::1%lo]:9092 ")

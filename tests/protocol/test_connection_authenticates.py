"""A connection that authenticates, and renews its session, with requests on their way."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klife.protocol.apis.api_versions import ApiVersion, ApiVersionsResponse
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.metadata import MetadataRequest, MetadataResponse, MetadataResponseTopic
from klife.protocol.apis.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from klife.protocol.apis.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from klife.protocol.connection import ConnectionMisused, KafkaConnection, State
from klife.protocol.errors import AuthenticationFailed, DecodeError
from klife.protocol.handshake import Compute, TokenWanted
from klife.protocol.in_flight import InFlight
from klife.protocol.sasl.authenticate import AskMechanisms, authenticating
from klife.protocol.sasl.mechanism import Says
from klife.protocol.sasl.plain import Plain
from tests.protocol.broker_side import Server

MOST = 1 << 16
PLAIN = Plain("alice", "alice-secret-0123")


class Slow:
    """Three rounds: what is said first has to be computed, the next needs a token."""

    name = "SLOW"

    def exchange(self, host: str) -> Slow:
        return self

    def start(self) -> Says:
        return Compute(lambda: b"computed", "the first message")

    def answered(self, challenge: bytes) -> Says | None:
        return TokenWanted() if challenge == b"who?" else None

    def done(self, result: Any) -> Says | None:
        return bytes(result)


@pytest.fixture
def server() -> Server:
    return Server()


def opened(server: Server, mechanism: Any = PLAIN, *, max_response_bytes: int = 50 * MOST) -> KafkaConnection:
    """A connection whose broker was just asked for its versions."""
    connection = KafkaConnection("me", max_response_bytes, [authenticating(mechanism, "broker.example")])
    connection.connect()
    server.take(connection.opened())
    return connection


def answer(connection: KafkaConnection, server: Server, response: Any = None) -> Any:
    """Answer the oldest question; take what is written then."""
    data = server.answer(0, response)
    del server.asked[0]
    answered = connection.receive(data)
    server.take(connection.take_handshake())
    return answered


def ready(server: Server, mechanism: Any = PLAIN, lifetime_ms: int = 3000) -> KafkaConnection:
    connection = opened(server, mechanism)
    while connection.state is not State.READY:
        if connection.wish is not None:
            server.take(connection.done(b"done"))
        else:
            last = isinstance(server.asked[0][0], SaslAuthenticateRequest)
            answer(connection, server, SaslAuthenticateResponse(session_lifetime_ms=lifetime_ms) if last else None)
    return connection


def sent(connection: KafkaConnection, server: Server, count: int = 3) -> list[InFlight]:
    calls = [InFlight(MetadataRequest(topics=[])) for _ in range(count)]
    for call in calls:
        server.take(connection.send(call, client_id="me"))
    return calls


def asked(server: Server) -> list[tuple[type[Any], int]]:
    return [(type(request), version) for request, version, *_ in server.asked]


# the first time


def test_versions_then_handshake_then_rounds_then_ready(server: Server) -> None:
    connection = opened(server)
    states = [connection.state]
    answer(connection, server)
    states.append(connection.state)
    assert asked(server) == [(SaslHandshakeRequest, 1)]
    assert server.asked[0][0].mechanism == "PLAIN"
    answer(connection, server)
    states.append(connection.state)
    assert asked(server) == [(SaslAuthenticateRequest, 2)]
    assert server.asked[0][0].auth_bytes == b"\0alice\0alice-secret-0123"
    answer(connection, server, SaslAuthenticateResponse(session_lifetime_ms=3_600_000))
    assert [*states, connection.state] == [State.NEGOTIATING, State.AUTHENTICATING, State.AUTHENTICATING, State.READY]
    assert (connection.session_lifetime_ms, connection.wish, connection.in_flight) == (3_600_000, None, [])


def test_an_older_broker_is_authenticated_at_in_its_version_and_has_no_session(server: Server) -> None:
    connection = opened(server)
    versions = [ApiVersion(api_key=key, min_version=0, max_version=newest) for key, newest in ((3, 9), (17, 1), (36, 0))]
    answer(connection, server, ApiVersionsResponse(api_keys=versions))
    answer(connection, server)
    assert asked(server) == [(SaslAuthenticateRequest, 0)]
    answer(connection, server)
    assert (connection.state, connection.session_lifetime_ms) == (State.READY, 0)


@pytest.mark.parametrize(("newest", "told"), [((17, 0), "before 1.0"), ((99, 1), "does not serve SaslHandshake")])
def test_a_broker_too_old_for_it_is_refused_in_words(server: Server, newest: tuple[int, int], told: str) -> None:
    connection = opened(server)
    with pytest.raises(AuthenticationFailed, match=told) as failed:
        answer(connection, server, ApiVersionsResponse(api_keys=[ApiVersion(api_key=newest[0], max_version=newest[1])]))
    assert failed.value.mechanism == "PLAIN"
    assert connection.state is State.AUTHENTICATING
    assert connection.closed() == []


def test_what_takes_a_while_is_wished_for_and_nothing_is_written_meanwhile(server: Server) -> None:
    connection = opened(server, Slow())
    answer(connection, server)
    answer(connection, server)
    assert server.asked == []
    assert isinstance(connection.wish, Compute)
    assert connection.wish.what == "the first message"
    server.take(connection.done(connection.wish.run()))
    assert connection.wish is None
    assert server.asked[0][0].auth_bytes == b"computed"
    answer(connection, server, SaslAuthenticateResponse(auth_bytes=b"who?", session_lifetime_ms=7))
    assert isinstance(connection.wish, TokenWanted)
    server.take(connection.done(b"token"))
    answer(connection, server, SaslAuthenticateResponse(auth_bytes=b"fine", session_lifetime_ms=9))
    assert (connection.state, connection.wish, connection.session_lifetime_ms) == (State.READY, None, 9)


@pytest.mark.parametrize("state", list(State))
def test_nothing_is_done_that_was_not_wished_for(state: State) -> None:
    connection = KafkaConnection("me", 1000)
    connection.state = state
    with pytest.raises(ConnectionMisused, match="no wish"):
        connection.done(b"something")
    assert connection.state is state


def test_what_was_done_for_a_connection_that_closed_meanwhile_is_refused(server: Server) -> None:
    connection = opened(server, Slow())
    answer(connection, server)
    answer(connection, server)
    connection.closed()
    assert connection.wish is None
    with pytest.raises(ConnectionMisused):
        connection.done(b"late")
    connection.connect()
    server.take(connection.opened())
    with pytest.raises(ConnectionMisused):
        connection.done(b"late")
    assert connection.state is State.NEGOTIATING


@pytest.mark.parametrize("size", [MOST + 1, 2**31 - 1, -1])
@pytest.mark.parametrize("answers", [1, 2])
def test_until_it_is_through_a_frame_has_at_most_a_mebibyte(server: Server, answers: int, size: int) -> None:
    connection = opened(server)
    for _ in range(answers):
        answer(connection, server)
    assert connection.state is State.AUTHENTICATING
    with pytest.raises(DecodeError, match=r"limit is 65536 \(until the handshake is through\)"):
        connection.receive((size & 0xFFFFFFFF).to_bytes(4, "big"))


def test_a_refusal_is_told_and_the_next_attempt_begins_anew(server: Server) -> None:
    connection = ready(server)
    connection.closed()
    connection.connect()
    server.take(connection.opened())
    assert connection.session_lifetime_ms == 0
    answer(connection, server)
    answer(connection, server)
    with pytest.raises(AuthenticationFailed, match="nobody") as failed:
        answer(connection, server, SaslAuthenticateResponse(error_code=58, error_message="nobody by that name"))
    assert failed.value.error_code == 58
    assert (connection.state, connection.closed()) == (State.AUTHENTICATING, [])
    connection.connect()
    server.take(connection.opened())
    for _ in range(3):
        answer(connection, server)
    assert connection.state is State.READY


def test_a_mechanism_can_be_asked_for_without_having_one(server: Server) -> None:
    ask = AskMechanisms()
    connection = KafkaConnection("me", MOST, [ask])
    connection.connect()
    server.take(connection.opened())
    answer(connection, server)
    assert ask.offered is None
    answer(connection, server, SaslHandshakeResponse(error_code=33, mechanisms=["SCRAM-SHA-512", "OAUTHBEARER"]))
    assert ask.offered == ("OAUTHBEARER", "SCRAM-SHA-512")


# again


def test_a_session_is_renewed_while_earlier_requests_are_answered_in_order(server: Server) -> None:
    connection = ready(server)
    calls = sent(connection, server)
    server.take(connection.renew())
    assert asked(server) == [(MetadataRequest, 13)] * 3 + [(SaslHandshakeRequest, 1)]
    assert (connection.state, connection.in_flight) == (State.REAUTHENTICATING, calls)
    with pytest.raises(ConnectionMisused, match="reauthenticating"):
        connection.send(InFlight(MetadataRequest()), client_id="me")
    with pytest.raises(ConnectionMisused):
        connection.renew()
    for call in calls:
        answered = answer(connection, server)
        assert answered.popleft() is call
        assert call.response.controller_id == 7
    assert connection.in_flight == []
    answer(connection, server)
    assert connection.state is State.REAUTHENTICATING
    answer(connection, server, SaslAuthenticateResponse(session_lifetime_ms=5000))
    assert (connection.state, connection.session_lifetime_ms) == (State.READY, 5000)
    (last,) = sent(connection, server, 1)
    assert list(answer(connection, server)) == [last]


def test_an_earlier_request_s_answer_is_its_own_business_throttled_or_refused(server: Server) -> None:
    connection = ready(server)
    throttled, refused = InFlight(MetadataRequest()), InFlight(InitProducerIdRequest())
    for call in (throttled, refused):
        server.take(connection.send(call, client_id="me"))
    server.take(connection.renew())
    answer(connection, server, MetadataResponse(throttle_time_ms=800))
    assert list(answer(connection, server, InitProducerIdResponse(error_code=51))) == [throttled, refused]
    assert (throttled.response.throttle_time_ms, refused.response.error_code) == (800, 51)
    assert connection.state is State.REAUTHENTICATING
    answer(connection, server)
    answer(connection, server)
    assert connection.state is State.READY


def test_a_wish_waits_while_nothing_else_goes_on(server: Server) -> None:
    connection = ready(server, Slow())
    server.take(connection.renew())
    answer(connection, server)
    assert isinstance(connection.wish, Compute)
    with pytest.raises(DecodeError, match="no request is waiting"):
        connection.receive(server_frame(b"\0\0\0\x63"))
    assert connection.wish is not None
    connection.closed()
    assert (connection.wish, connection.state) == (None, State.DISCONNECTED)


def server_frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def large() -> MetadataResponse:
    return MetadataResponse(topics=[MetadataResponseTopic(name=f"{number:05}" + "t" * 200) for number in range(8000)])


def test_an_earlier_answer_may_be_as_large_as_the_user_allows(server: Server) -> None:
    connection = ready(server)
    first, second = sent(connection, server, 2)
    server.take(connection.renew())
    data = server.answer(0, large()) + server.answer(1, large())
    del server.asked[:2]
    assert len(data) > 2 * MOST
    assert list(connection.receive(data)) == [first, second]
    answer(connection, server)
    answer(connection, server)
    assert connection.state is State.READY
    (last,) = sent(connection, server, 1)
    assert last in answer(connection, server, large())


@pytest.mark.parametrize("in_flight", [0, 2])
@pytest.mark.parametrize("rounds", [0, 1])
def test_but_none_of_the_renewal_s_own(server: Server, in_flight: int, rounds: int) -> None:
    connection = ready(server)
    sent(connection, server, in_flight)
    server.take(connection.renew())
    for _ in range(in_flight + rounds):
        answer(connection, server).clear()
    with pytest.raises(DecodeError, match=r"limit is 65536 \(until the handshake is through\)"):
        connection.receive((MOST + 1).to_bytes(4, "big"))


def test_nor_where_it_comes_together_with_an_earlier_one(server: Server) -> None:
    connection = ready(server)
    (call,) = sent(connection, server, 1)
    server.take(connection.renew())
    offered = SaslHandshakeResponse(mechanisms=["M" * 1000] * 2000)
    with pytest.raises(DecodeError, match="the limit is 65536"):
        connection.receive(server.answer(0) + server.answer(1, offered))
    assert connection.closed() == [call]
    assert call.response is not None


def test_what_was_answered_right_before_the_refusal_has_its_response(server: Server) -> None:
    connection = ready(server)
    (answered,) = sent(connection, server, 1)
    server.take(connection.renew())
    with pytest.raises(AuthenticationFailed, match="does not offer it"):
        connection.receive(server.answer(0) + server.answer(1, SaslHandshakeResponse(error_code=33, mechanisms=["GSSAPI"])))
    assert connection.closed() == [answered]
    assert answered.response.controller_id == 7


def test_a_renewal_that_changes_who_we_are_is_told_with_what_to_do(server: Server) -> None:
    connection = ready(server)
    server.take(connection.renew())
    answer(connection, server)
    words = "Cannot change principals during re-authentication from User.alice: User.bob"
    with pytest.raises(AuthenticationFailed, match=f"^re-authentication .* same principal only: .*{words}.*AWS_ROLE_SESSION_NAME"):
        answer(connection, server, SaslAuthenticateResponse(error_code=58, error_message=words))
    assert connection.state is State.REAUTHENTICATING


@pytest.mark.parametrize("again", [False, True])
def test_a_listener_without_sasl_is_not_one_where_a_session_was_renewed_too_soon(server: Server, again: bool) -> None:
    connection = ready(server) if again else opened(server)
    server.take(connection.renew()) if again else answer(connection, server)
    with pytest.raises(AuthenticationFailed, match="once a second" if again else "speaks no SASL"):
        answer(connection, server, SaslHandshakeResponse(error_code=34))


BREAKS: dict[str, Callable[[Server], bytes]] = {
    "an answer out of order": lambda server: server.answer(1),
    "one that can not be decoded": lambda server: server.answer(0, body=b"\0\x01"),
    "one that nobody asked for": lambda server: server.answer(0, number=4711),
    "a size that can not be": lambda server: b"\xff\xff\xff\xff",
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_breaks_the_protocol_while_a_session_is_renewed_loses_no_request(server: Server, what: str) -> None:
    connection = ready(server)
    calls = sent(connection, server)
    server.take(connection.renew())
    assert answer(connection, server).popleft() is calls[0]
    with pytest.raises(DecodeError):
        connection.receive(BREAKS[what](server))
    assert connection.closed() == calls[1:]
    assert (connection.state, connection.wish, connection.take_handshake()) == (State.DISCONNECTED, None, [])


def test_a_connection_closed_while_it_renews_starts_clean(server: Server) -> None:
    connection = ready(server)
    calls = sent(connection, server)
    server.take(connection.renew())
    assert connection.closed() == calls
    server.asked.clear()
    connection.connect()
    server.take(connection.opened())
    for _ in range(3):
        answer(connection, server)
    assert connection.state is State.READY


@given(cuts=st.lists(st.integers(0, 2000), max_size=12), requests=st.integers(0, 4))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int], requests: int) -> None:
    server = Server()
    connection = ready(server)
    calls = sent(connection, server, requests)
    server.take(connection.renew())
    got: list[InFlight] = []
    while connection.state is not State.READY:
        stream = b"".join(server.answer(index) for index in range(len(server.asked)))
        server.asked.clear()
        edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
        for start, end in pairwise(edges):
            answered = connection.receive(stream[start:end])
            got += answered
            answered.clear()
            server.take(connection.take_handshake())
    assert got == calls

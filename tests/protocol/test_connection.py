"""The connection machine against a server made of the same codec, back to back: no sockets, every step exact."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klife.protocol.apis.api_versions import ApiVersionsRequest, ApiVersionsResponse
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.connection import TRANSITIONS, ConnectionMisused, Event, KafkaConnection, State
from klife.protocol.errors import DecodeError, EncodeError, UnsupportedVersion
from klife.protocol.handshake import Question
from klife.protocol.in_flight import InFlight
from tests.protocol.broker_side import Server


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def connection(server: Server) -> KafkaConnection:
    """A connection whose transport has just been opened."""
    connection = KafkaConnection("me", 1_000_000)
    connection.connect()
    server.take(connection.opened())
    return connection


@pytest.fixture
def ready(connection: KafkaConnection, server: Server) -> KafkaConnection:
    assert not connection.receive(server.answer(0))
    assert connection.state is State.READY
    server.asked.clear()
    return connection


def metadata() -> InFlight:
    return InFlight(MetadataRequest(topics=[]))


def sent(connection: KafkaConnection, server: Server, *calls: InFlight) -> list[InFlight]:
    """`calls`, or three Metadata requests, once the server has them."""
    for call in calls or (calls := (metadata(), metadata(), metadata())):
        server.take(connection.send(call, client_id="me"))
    return list(calls)


def in_state(state: State) -> KafkaConnection:
    connection = KafkaConnection("me", 1000)
    connection.state = state
    return connection


# the table


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)), ids=lambda value: value.name)
def test_every_event_moves_as_the_table_says_or_is_refused_and_changes_nothing(state: State, event: Event) -> None:
    connection = in_state(state)
    if (state, event) in TRANSITIONS:
        connection._move(event)
        assert connection.state is TRANSITIONS[state, event]
    else:
        with pytest.raises(ConnectionMisused, match=state.value):
            connection._move(event)
        assert connection.state is state


@pytest.mark.parametrize("state", [state for state in State if state is not State.READY])
def test_only_a_ready_connection_takes_requests(state: State) -> None:
    connection = in_state(state)
    with pytest.raises(ConnectionMisused, match=state.value):
        connection.send(metadata(), client_id="me")
    assert (connection.state, connection.in_flight) == (state, [])


def test_every_state_can_be_reached_and_left() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State)
    assert set(TRANSITIONS.values()) == set(State)


# the handshake


def test_an_open_connection_asks_for_versions_and_says_who_it_is(connection: KafkaConnection, server: Server) -> None:
    ((request, version, _, client_id),) = server.asked
    assert isinstance(request, ApiVersionsRequest)
    assert (version, client_id, request.client_software_name) == (3, "me", "klife")
    assert connection.state is State.NEGOTIATING


def test_the_answer_makes_it_ready_and_is_no_reply(connection: KafkaConnection, server: Server) -> None:
    assert not connection.receive(server.answer(0))
    assert connection.take_handshake() == []
    assert connection.state is State.READY
    assert connection.ranges[MetadataRequest.API_KEY] == (0, 13)


@pytest.mark.parametrize("rest", [b"", b"\0", b"\xff" * 40, ApiVersionsResponse(error_code=35, api_keys=[]).encode(0)[2:]])
def test_unsupported_version_in_whatever_layout_is_asked_again_with_v0(
    connection: KafkaConnection, server: Server, rest: bytes
) -> None:
    connection.receive(server.answer(0, body=(35).to_bytes(2, "big") + rest))
    assert connection.state is State.NEGOTIATING
    server.take(connection.take_handshake())
    assert connection.take_handshake() == []
    assert server.asked[1][1] == 0
    connection.receive(server.answer(1))
    assert connection.state is State.READY


def test_a_broker_that_refuses_v0_too_is_given_up(connection: KafkaConnection, server: Server) -> None:
    connection.receive(server.answer(0, body=(35).to_bytes(2, "big")))
    server.take(connection.take_handshake())
    with pytest.raises(DecodeError, match="refused ApiVersions v0 with error code 35"):
        connection.receive(server.answer(1, ApiVersionsResponse(error_code=35, api_keys=[])))
    assert connection.state is State.NEGOTIATING


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0", b"\0\0\x7f"])
def test_an_answer_that_is_no_answer_is_a_decode_error(connection: KafkaConnection, server: Server, body: bytes) -> None:
    with pytest.raises(DecodeError):
        connection.receive(server.answer(0, body=body))
    assert connection.state is State.NEGOTIATING


# steps after the versions


class Twice:
    """Two questions, one after the other, as of a mechanism with a challenge."""

    session_lifetime_ms = 5000

    def __init__(self, name: str, ranges: Mapping[int, tuple[int, int]], again: bool) -> None:
        self.name = name
        self.version = ranges[InitProducerIdRequest.API_KEY][1]
        self.answers: list[int] = []

    def start(self) -> Question:
        return Question(InitProducerIdRequest(transactional_id=self.name, transaction_timeout_ms=1), self.version)

    def answered(self, response: InitProducerIdResponse) -> Question | None:
        if response.error_code:
            raise DecodeError(f"{self.name} was refused")
        self.answers.append(response.producer_id)
        return self.start() if len(self.answers) < 2 else None

    def done(self, result: Any) -> None:
        raise AssertionError("nothing was wished for")


def with_steps(server: Server, *names: str) -> KafkaConnection:
    """A connection whose handshake has these steps; the broker has just been asked for its versions."""
    connection = KafkaConnection("me", 1_000_000, [partial(Twice, name) for name in names])
    connection.connect()
    server.take(connection.opened())
    return connection


def answer_all(connection: KafkaConnection, server: Server) -> list[Any]:
    """Answer all that is asked, and that follows from it; return the calls that were answered."""
    done: list[Any] = []
    while server.asked:
        answers = b"".join(server.answer(index) for index in range(len(server.asked)))
        server.asked.clear()
        answered = connection.receive(answers)
        done += answered
        answered.clear()
        server.take(connection.take_handshake())
    return done


def test_steps_follow_the_versions_one_after_the_other_and_know_them(server: Server) -> None:
    connection = with_steps(server, "first", "second")
    seen: list[Any] = []
    while connection.state is not State.READY:
        (asked,) = server.asked
        seen.append((getattr(asked[0], "transactional_id", None), asked[1]))
        answer = server.answer(0)
        server.asked.clear()
        assert not connection.receive(answer)
        server.take(connection.take_handshake())
    newest = InitProducerIdRequest.MAX_VERSION
    assert seen == [(None, 3), ("first", newest), ("first", newest), ("second", newest), ("second", newest)]
    assert (connection.state, server.asked, connection.in_flight) == (State.READY, [], [])


def test_a_step_that_is_refused_ends_the_handshake_and_the_next_connection_starts_over(server: Server) -> None:
    connection = with_steps(server, "sasl")
    connection.receive(server.answer(0))
    server.take(connection.take_handshake())
    with pytest.raises(DecodeError, match="sasl was refused"):
        connection.receive(server.answer(1, InitProducerIdResponse(error_code=58)))
    assert connection.closed() == []
    server.asked.clear()
    connection.connect()
    server.take(connection.opened())
    answer_all(connection, server)
    assert connection.state is State.READY


def test_renewed_it_takes_its_steps_again_while_earlier_requests_are_answered_in_order(server: Server) -> None:
    connection = with_steps(server, "sasl")
    answer_all(connection, server)
    calls = sent(connection, server)
    server.take(connection.renew())
    assert (connection.state, connection.in_flight) == (State.REAUTHENTICATING, calls)
    with pytest.raises(ConnectionMisused, match="reauthenticating"):
        connection.send(metadata(), client_id="me")
    assert [type(request) for request, *_ in server.asked] == [MetadataRequest] * 3 + [InitProducerIdRequest]
    assert answer_all(connection, server) == calls
    assert connection.state is State.READY
    sent(connection, server, metadata())


def test_renewed_without_steps_it_is_ready_at_once(ready: KafkaConnection) -> None:
    assert ready.renew() == []
    assert ready.state is State.READY


# requests and responses


def test_calls_come_back_with_their_responses_in_order(ready: KafkaConnection, server: Server) -> None:
    calls = [metadata(), InFlight(InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=1)), metadata()]
    for call, client_id in zip(calls, "abc", strict=True):
        server.take(ready.send(call, client_id=client_id))
    assert ready.in_flight == calls
    assert [client_id for *_, client_id in server.asked] == ["a", "b", "c"]
    assert [(version, number) for _, version, number, _ in server.asked] == [(call.version, call.correlation_id) for call in calls]
    assert len({number for _, _, number, _ in server.asked}) == 3
    assert list(ready.receive(server.answer(0) + server.answer(1) + server.answer(2))) == calls
    assert calls[1].response.producer_id == 11


def test_what_is_answered_is_in_flight_until_it_is_taken(ready: KafkaConnection, server: Server) -> None:
    first, second, third = sent(ready, server)
    answered = ready.receive(server.answer(0) + server.answer(1))
    assert answered.popleft() is first
    assert ready.in_flight == [second, third]
    assert list(ready.receive(server.answer(2))) == [second, third]
    assert ready.closed() == [second, third]
    assert not answered


@given(cuts=st.lists(st.integers(0, 400), max_size=20))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int]) -> None:
    server, connection = Server(), KafkaConnection("me", 1_000_000)
    connection.connect()
    server.take(connection.opened())
    connection.receive(server.answer(0))
    server.asked.clear()
    calls = sent(connection, server, metadata(), metadata(), metadata(), metadata())
    stream = b"".join(server.answer(index) for index in range(4))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    answered: list[InFlight] = []
    for start, end in pairwise(edges):
        received = connection.receive(stream[start:end])
        answered += received
        received.clear()
    assert answered == calls
    assert [call.response.controller_id for call in answered] == [7] * 4


def test_a_request_goes_in_the_highest_common_version(ready: KafkaConnection, server: Server) -> None:
    ready.ranges = {**ready.ranges, MetadataRequest.API_KEY: (2, 9)}
    server.take(ready.send(metadata(), client_id="me"))
    server.take(ready.send(metadata(), client_id="me", max_version=4))
    assert [version for _, version, _, _ in server.asked] == [9, 4]


def test_a_request_without_common_version_leaves_the_connection_usable(ready: KafkaConnection, server: Server) -> None:
    ready.ranges = {**ready.ranges, ProduceRequest.API_KEY: (90, 99)}
    with pytest.raises(UnsupportedVersion, match="90 to 99"):
        ready.send(InFlight(ProduceRequest(acks=1, timeout_ms=1, topic_data=[])), client_id="me")
    assert ready.in_flight == []
    calls = sent(ready, server, metadata())
    assert list(ready.receive(server.answer(0))) == calls


def test_a_request_that_can_not_be_written_leaves_the_connection_usable(ready: KafkaConnection, server: Server) -> None:
    with pytest.raises(EncodeError):
        ready.send(InFlight(ProduceRequest(acks=1, timeout_ms=2**40, topic_data=[])), client_id="me")
    assert ready.in_flight == []
    calls = sent(ready, server, metadata())
    assert list(ready.receive(server.answer(0))) == calls


def test_a_request_that_expects_no_reply_is_not_waited_for(ready: KafkaConnection, server: Server) -> None:
    server.take(ready.send(InFlight(ProduceRequest(acks=0, timeout_ms=1, topic_data=[])), client_id="me", expect_reply=False))
    calls = sent(ready, server, metadata())
    assert ready.in_flight == calls
    assert list(ready.receive(server.answer(1))) == calls


def test_correlation_ids_wrap_where_kafka_s_int32_ends(ready: KafkaConnection, server: Server) -> None:
    ready._next_correlation_id = 2**31 - 1
    calls = sent(ready, server, metadata(), metadata())
    assert [number for _, _, number, _ in server.asked] == [2**31 - 1, 0]
    assert list(ready.receive(server.answer(0) + server.answer(1))) == calls


# the peer's mistakes


def test_an_answer_out_of_order_is_refused_and_names_both_numbers(ready: KafkaConnection, server: Server) -> None:
    calls = sent(ready, server, metadata(), metadata())
    first, second = (number for _, _, number, _ in server.asked)
    with pytest.raises(DecodeError, match=rf"correlation id {second} where {first} was due"):
        ready.receive(server.answer(1))
    assert ready.closed() == calls


def test_an_answer_nobody_asked_for_is_refused(ready: KafkaConnection, server: Server) -> None:
    sent(ready, server, metadata())
    with pytest.raises(DecodeError, match="no request is waiting"):
        ready.receive(server.answer(0) + server.answer(0))


def test_a_malformed_answer_is_refused_and_its_request_counts_as_unanswered(ready: KafkaConnection, server: Server) -> None:
    calls = sent(ready, server, metadata(), metadata())
    with pytest.raises(DecodeError):
        ready.receive(server.answer(0, body=b"\0\x01"))
    assert ready.closed() == calls


@pytest.mark.parametrize("size", [1_000_001, 2**31 - 1, -1, int.from_bytes(b"HTTP", "big"), int.from_bytes(b"\x15\x03\x01\x00", "big")])
def test_a_frame_larger_than_allowed_is_refused_by_its_size_alone(ready: KafkaConnection, size: int) -> None:
    with pytest.raises(DecodeError, match="max_response_bytes"):
        ready.receive((size & 0xFFFFFFFF).to_bytes(4, "big"))


@pytest.mark.parametrize("size", [2**16 + 1, 10_000_000])
def test_before_the_handshake_is_through_a_frame_has_at_most_a_mebibyte(size: int) -> None:
    server, connection = Server(), KafkaConnection("me", 100_000_000)
    connection.connect()
    server.take(connection.opened())
    with pytest.raises(DecodeError, match=rf"claims {size} bytes, the limit is 65536 \(until the handshake is through\)"):
        connection.receive(size.to_bytes(4, "big"))


def test_once_it_is_through_the_limit_is_the_users_also_on_the_next_connection() -> None:
    server, connection = Server(), KafkaConnection("me", 100_000_000)
    for _ in range(2):
        connection.connect()
        server.take(connection.opened())
        connection.receive(server.answer(-1))
        connection.receive((90_000_000).to_bytes(4, "big"))
        assert connection._reader.pending_bytes == 4  # it waits for the frame
        connection.closed()


# the end


def test_closing_returns_the_calls_that_will_not_be_answered(ready: KafkaConnection, server: Server) -> None:
    calls = sent(ready, server)
    ready.receive(server.answer(0)).popleft()
    assert ready.closed() == calls[1:]
    assert (ready.state, ready.in_flight, ready.closed()) == (State.DISCONNECTED, [], [])


def test_a_connection_closed_in_the_middle_of_a_frame_starts_clean(ready: KafkaConnection, server: Server) -> None:
    sent(ready, server, metadata())
    ready.receive(server.answer(0)[:9])
    ready.closed()
    server.asked.clear()
    ready.connect()
    server.take(ready.opened())
    assert not ready.receive(server.answer(0))
    assert ready.state is State.READY


def test_a_handshake_that_was_cut_off_leaves_nothing_to_write(connection: KafkaConnection, server: Server) -> None:
    connection.receive(server.answer(0, body=(35).to_bytes(2, "big")))
    assert connection.closed() == []
    connection.connect()
    connection.opened()
    assert connection.take_handshake() == []

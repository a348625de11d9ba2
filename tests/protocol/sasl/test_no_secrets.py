"""No secret is in anything that could be logged: reprs, texts, and errors with all that hangs on them."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from klife.protocol.apis.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from klife.protocol.apis.sasl_handshake import SaslHandshakeResponse
from klife.protocol.connection import KafkaConnection
from klife.protocol.errors import AuthenticationFailed, DecodeError
from klife.protocol.handshake import Compute
from klife.protocol.in_flight import InFlight
from klife.protocol.sasl.authenticate import authenticating
from klife.protocol.sasl.oauthbearer import OAuthBearer
from klife.protocol.sasl.plain import Plain
from klife.protocol.sasl.scram import Scram
from klife.protocol.sasl.token import Token
from tests.protocol.sasl.scram_server import ScramServer

SECRET = "a-secret-nobody-may-see-0123456789"
VALUE = "an-extension-nobody-may-see"
MECHANISMS = [Plain("alice", SECRET), Scram("SCRAM-SHA-256", "alice", SECRET), Scram("SCRAM-SHA-512", "alice", SECRET), OAuthBearer()]
TOKEN = Token(SECRET, 5.0, {"pool": VALUE})
every_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda mechanism: mechanism.name)


def told(value: Any) -> str:
    return "\n".join((repr(value), str(value), f"{value}", repr([value]), repr({"value": value}), repr((value,))))


def objects_of(mechanism: Any) -> Iterator[Any]:
    """All that there is during an authentication, the messages included."""
    yield mechanism
    step = authenticating(mechanism, "h")
    exchange = step({17: (0, 1), 36: (0, 2)}, False)
    inner = mechanism.exchange("h")
    yield from (step, exchange, inner, exchange.start())
    wish: Any = exchange.answered(SaslHandshakeResponse())
    server = ScramServer("sha512" if mechanism.name.endswith("512") else "sha256", "alice", SECRET.encode())
    for _ in range(4):
        yield wish
        match wish:
            case None:
                break
            case Compute():
                wish = exchange.done(wish.run())
            case _ if hasattr(wish, "request"):
                yield InFlight(wish.request)
                says = wish.request.auth_bytes
                answers = {b"n,,n=": server.first, b"c=biw": server.final}
                answer = next((made(says) for start, made in answers.items() if says.startswith(start)), b"")
                response = SaslAuthenticateResponse(auth_bytes=answer)
                yield response
                wish = exchange.answered(response)
            case _:
                wish = exchange.done(TOKEN)
    yield exchange
    yield vars(exchange)


@every_mechanism
def test_no_repr_has_one(mechanism: Any) -> None:
    for value in objects_of(mechanism):
        assert SECRET not in told(value), type(value)
        assert VALUE not in told(value), type(value)


def test_a_token_shows_when_it_ends_and_nothing_else() -> None:
    assert repr(TOKEN) == "Token(expires_at=5.0)"


def test_messages_show_sizes() -> None:
    assert repr(SaslAuthenticateRequest(auth_bytes=SECRET.encode())) == f"SaslAuthenticateRequest(auth_bytes=<{len(SECRET)} bytes>)"


def everything_about(error: BaseException) -> str:
    copies = [error, copy.copy(error), pickle.loads(pickle.dumps(error))]
    return "\n".join([*map(told, copies), *(repr(vars(each)) for each in copies), "".join(traceback.format_exception(error))])


@pytest.mark.parametrize(
    ("mechanism", "words"),
    [
        (MECHANISMS[0], f"user alice has password {SECRET}"),
        (MECHANISMS[0], f"not {SECRET[:20]}..."),
        (MECHANISMS[3], f"bad token {SECRET}"),
        (MECHANISMS[3], f"bad token {SECRET[:20]}..."),
        (MECHANISMS[3], f"the pool {VALUE} does not exist"),
        (MECHANISMS[3], " " * 480 + SECRET),
    ],
)
def test_no_refusal_has_one_though_the_broker_repeats_it(mechanism: Any, words: str) -> None:
    exchange = authenticating(mechanism, "h")({17: (0, 1), 36: (0, 2)}, False)
    exchange.start()
    exchange.answered(SaslHandshakeResponse())
    if isinstance(mechanism, OAuthBearer):
        exchange.done(TOKEN)
    with pytest.raises(AuthenticationFailed) as failed:
        exchange.answered(SaslAuthenticateResponse(error_code=58, error_message=words))
    for part in (SECRET, SECRET[:20], VALUE):
        assert part not in everything_about(failed.value)


HOSTILE = [SaslAuthenticateResponse(auth_bytes=b"r=x"), SaslAuthenticateResponse(auth_bytes=b"e=" + SECRET[:9].encode()), object()]


@pytest.mark.parametrize("answer", HOSTILE, ids=["garbage", "an error", "no response"])
@pytest.mark.parametrize("mechanism", [*MECHANISMS[1:]], ids=lambda mechanism: mechanism.name)
def test_no_other_error_has_one(mechanism: Any, answer: Any) -> None:
    """An answer that breaks the exchange right after the secret was, or was not, said."""
    exchange = authenticating(mechanism, "h")({17: (0, 1), 36: (0, 2)}, False)
    exchange.start()
    exchange.answered(SaslHandshakeResponse())
    if isinstance(mechanism, OAuthBearer):
        exchange.done(TOKEN)
        if answer is not HOSTILE[2]:
            exchange.answered(answer)  # a broker that refuses; and goes on
    with pytest.raises((AuthenticationFailed, AttributeError)) as failed:
        exchange.answered(answer)
    assert SECRET not in told(failed.value) + "".join(traceback.format_exception(failed.value))


def test_a_connection_that_breaks_off_shows_none() -> None:
    connection = KafkaConnection("me", 1000, [authenticating(Plain("alice", SECRET), "h")])
    connection.connect()
    connection.opened()
    with pytest.raises(DecodeError) as broken:
        connection.receive(b"\xff" * 8)
    for value in (connection, broken.value, connection._steps, connection._exchange):
        assert SECRET not in told(value)

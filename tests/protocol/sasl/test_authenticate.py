"""The step that authenticates: what is asked, what is told when it is refused, and users' own mechanisms."""

from __future__ import annotations

from typing import Any

import pytest

from klife.protocol.apis.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from klife.protocol.apis.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from klife.protocol.errors import AuthenticationFailed
from klife.protocol.handshake import Compute, Exchange, Question, TokenWanted
from klife.protocol.sasl.authenticate import AskMechanisms, authenticating
from klife.protocol.sasl.oauthbearer import OAuthBearer
from klife.protocol.sasl.plain import Plain
from klife.protocol.sasl.scram import Scram
from klife.protocol.sasl.token import Token
from tests.protocol.sasl.scram_server import ScramServer

RANGES = {17: (0, 1), 36: (0, 2)}
PASSWORD = "alice-secret-0123"


def begun(mechanism: Any, ranges: Any = RANGES) -> Exchange:
    """An exchange whose SaslHandshake was just answered."""
    exchange = authenticating(mechanism, "broker.example")(ranges, False)
    assert exchange.start() == Question(SaslHandshakeRequest(mechanism=mechanism.name), 1)
    return exchange


def refusal(mechanism: Any, *answers: Any) -> AuthenticationFailed:
    exchange = begun(mechanism)
    for answer in answers[:-1]:
        if isinstance(answer, Token):
            exchange.done(answer)
        else:
            exchange.answered(answer)
    with pytest.raises(AuthenticationFailed) as failed:
        exchange.answered(answers[-1])
    assert str(failed.value).startswith(f"authentication by SASL {mechanism.name} failed: ")
    assert failed.value.mechanism == mechanism.name
    return failed.value


OFFERED = SaslHandshakeResponse(mechanisms=["PLAIN", "SCRAM-SHA-256"])


# mechanisms


def test_plain_says_user_and_password_at_once() -> None:
    exchange = begun(Plain("o,d=d", "pa,ss=ﬁ"))
    says = exchange.answered(OFFERED)
    assert says == Question(SaslAuthenticateRequest(auth_bytes="\0o,d=d\0pa,ss=ﬁ".encode()), 2)
    assert exchange.answered(SaslAuthenticateResponse(session_lifetime_ms=60_000)) is None
    assert exchange.session_lifetime_ms == 60_000


@pytest.mark.parametrize(
    ("username", "password", "told"),
    [
        ("", "p", "username is empty"),
        ("u", "", "password is empty"),
        ("u\0v", "p", "username holds"),
        ("u", PASSWORD + "\0", "password h"),
    ],
)
def test_plain_refuses_what_its_message_has_no_place_for(username: str, password: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        Plain(username, password)
    assert PASSWORD not in str(refused.value)


def test_scram_goes_its_rounds_and_the_last_tells_how_long_the_session_is() -> None:
    exchange = begun(Scram("SCRAM-SHA-256", "alice", PASSWORD), {17: (0, 1), 36: (0, 1)})
    server = ScramServer("sha256", "alice", PASSWORD.encode())
    first = exchange.answered(OFFERED)
    assert isinstance(first, Question)
    assert first.version == 1
    compute = exchange.answered(SaslAuthenticateResponse(auth_bytes=server.first(first.request.auth_bytes)))
    assert isinstance(compute, Compute)
    proof = exchange.done(compute.run())
    assert isinstance(proof, Question)
    final = server.final(proof.request.auth_bytes)
    assert exchange.answered(SaslAuthenticateResponse(auth_bytes=final, session_lifetime_ms=5)) is None
    assert exchange.session_lifetime_ms == 5


def test_a_broker_that_took_the_password_s_proof_without_its_own_is_refused() -> None:
    exchange = begun(Scram("SCRAM-SHA-256", "alice", PASSWORD))
    first: Any = exchange.answered(OFFERED)
    server = ScramServer("sha256", "alice", PASSWORD.encode())
    compute: Any = exchange.answered(SaslAuthenticateResponse(auth_bytes=server.first(first.request.auth_bytes)))
    exchange.done(compute.run())
    with pytest.raises(AuthenticationFailed, match="none of its own"):
        exchange.answered(SaslAuthenticateResponse())


def test_a_token_is_wanted_once_the_mechanism_is_taken() -> None:
    exchange = begun(OAuthBearer())
    assert exchange.answered(OFFERED) == TokenWanted()
    says = exchange.done(Token("abc"))
    assert isinstance(says, Question)
    assert says.request.auth_bytes.startswith(b"n,,\x01auth=Bearer abc")
    assert exchange.answered(SaslAuthenticateResponse()) is None


# refusals, in words


def test_a_wrong_password_is_told_with_mechanism_user_the_broker_s_words_and_what_to_do() -> None:
    words = "Authentication failed: Invalid username or password"
    error = refusal(Plain("alice", PASSWORD), OFFERED, SaslAuthenticateResponse(error_code=58, error_message=words))
    assert f"PLAIN failed: the broker refused user 'alice': \"{words}\"; check username and password" in str(error)
    assert error.error_code == 58


def test_without_words_the_code_is_told() -> None:
    error = refusal(Plain("alice", PASSWORD), OFFERED, SaslAuthenticateResponse(error_code=58, error_message=None))
    assert "SASL_AUTHENTICATION_FAILED (58): the credentials were refused" in str(error)


def test_another_code_is_told_as_it_is() -> None:
    error = refusal(Plain("alice", PASSWORD), OFFERED, SaslAuthenticateResponse(error_code=34, error_message="not now"))
    assert "ILLEGAL_SASL_STATE (34)" in str(error)
    assert '"not now"' in str(error)


def test_a_mechanism_that_is_not_offered_is_told_with_those_that_are() -> None:
    offered = SaslHandshakeResponse(error_code=33, mechanisms=["SCRAM-SHA-512", "OAUTHBEARER"])
    error = refusal(Plain("alice", PASSWORD), offered)
    assert "the broker does not offer it on this listener; name one of those it offers: OAUTHBEARER, SCRAM-SHA-512" in str(error)
    assert error.error_code == 33


def test_a_broker_s_list_is_bounded_when_it_is_told() -> None:
    error = refusal(Plain("alice", PASSWORD), SaslHandshakeResponse(error_code=33, mechanisms=["M\n" * 40, *["N" * 30] * 5000]))
    assert len(str(error)) < 1000
    assert str(error).isprintable()


def test_a_listener_without_sasl_is_told() -> None:
    error = refusal(Plain("alice", PASSWORD), SaslHandshakeResponse(error_code=34))
    assert "this listener speaks no SASL; leave out sasl, or connect to the listener that wants it" in str(error)
    assert error.error_code == 34


@pytest.mark.parametrize("code", [-1, 35, 42, 4711])
def test_any_other_refusal_of_the_handshake_is_told_with_its_code(code: int) -> None:
    assert f"({code})" in str(refusal(Plain("alice", PASSWORD), SaslHandshakeResponse(error_code=code)))


KAFKAS_REFUSAL = b'{"status":"invalid_token"}'


@pytest.mark.parametrize("message", [KAFKAS_REFUSAL.decode(), None])
def test_a_refused_token_is_told_with_the_broker_s_words_wherever_they_came(message: str | None) -> None:
    error = refusal(
        OAuthBearer(),
        OFFERED,
        Token("abc"),
        SaslAuthenticateResponse(auth_bytes=KAFKAS_REFUSAL),
        SaslAuthenticateResponse(error_code=58, error_message=message),
    )
    assert 'the broker refused the token: "{"status":"invalid_token"}"; check that it has not expired' in str(error)


def test_who_sends_a_role_of_another_name_is_told_how_it_stays_the_same() -> None:
    words = "Cannot change principals during re-authentication from User.a: User.b"
    error = refusal(OAuthBearer(), OFFERED, Token("abc"), SaslAuthenticateResponse(error_code=58, error_message=words))
    assert words in str(error)
    assert "AWS_ROLE_SESSION_NAME" in str(error)


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ({}, "does not serve SaslHandshake"),
        ({17: (0, 0)}, "as Kafka did before 1.0"),
        ({17: (0, 1)}, "does not serve SaslAuthenticate"),
        ({17: (2, 3), 36: (0, 2)}, "no common version of SaslHandshake"),
        ({17: (0, 1), 36: (3, 4)}, "no common version of SaslAuthenticate"),
    ],
)
def test_a_broker_that_speaks_another_sasl_is_told(ranges: dict[int, tuple[int, int]], told: str) -> None:
    with pytest.raises(AuthenticationFailed, match=told) as failed:
        authenticating(Plain("alice", PASSWORD), "h")(ranges, False)
    assert failed.value.mechanism == "PLAIN"


# what a hostile broker says of itself


def test_a_session_of_negative_length_is_one_without_end() -> None:
    exchange = begun(Plain("alice", PASSWORD))
    exchange.answered(OFFERED)
    exchange.answered(SaslAuthenticateResponse(session_lifetime_ms=-5))
    assert exchange.session_lifetime_ms == 0


def test_a_broker_s_words_are_one_short_line() -> None:
    words = "first\r\n\x1b[31msecond\0" + "x" * 100_000
    text = str(refusal(Plain("alice", PASSWORD), OFFERED, SaslAuthenticateResponse(error_code=58, error_message=words)))
    assert text.isprintable()
    assert len(text) < 1000


# users' own mechanisms


class Own:
    """A mechanism that does what it is told."""

    name = "OWN"

    def __init__(self, start: Any, answered: Any = None) -> None:
        self._does = {"start": start, "answered": answered}
        self.host = ""

    def exchange(self, host: str) -> Own:
        self.host = host
        return self

    def start(self) -> Any:
        return self._do("start")

    def answered(self, challenge: bytes) -> Any:
        return self._do("answered")

    def done(self, result: Any) -> Any:
        return result

    def _do(self, what: str) -> Any:
        if isinstance(self._does[what], Exception):
            raise self._does[what]
        return self._does[what]


def test_a_mechanism_of_a_user_s_is_told_the_host_and_may_compute() -> None:
    mechanism = Own(Compute(lambda: b"x", "x"))
    exchange = begun(mechanism)
    assert isinstance(exchange.answered(OFFERED), Compute)
    assert mechanism.host == "broker.example"
    assert exchange.done(bytearray(b"ticket")) == Question(SaslAuthenticateRequest(auth_bytes=b"ticket"), 2)
    assert exchange.answered(SaslAuthenticateResponse()) is None


def test_it_may_say_nothing_which_is_a_message_too() -> None:
    assert begun(Own(b"")).answered(OFFERED) == Question(SaslAuthenticateRequest(auth_bytes=b""), 2)


@pytest.mark.parametrize("when", ["start", "answered"])
def test_what_it_refuses_by_itself_is_told_as_it_says(when: str) -> None:
    refused = AuthenticationFailed("no ticket; run kinit")
    error = refusal_of(Own(refused)) if when == "start" else refusal_of(Own(b"x", refused), SaslAuthenticateResponse())
    assert str(error) == "no ticket; run kinit"
    assert error.mechanism == "OWN"


@pytest.mark.parametrize("when", ["start", "answered"])
def test_where_it_fails_only_the_type_is_told(when: str) -> None:
    bug = KeyError(PASSWORD)
    error = refusal_of(Own(bug)) if when == "start" else refusal_of(Own(b"x", bug), SaslAuthenticateResponse())
    assert "the mechanism failed with KeyError, which is a bug in it" in str(error)
    assert PASSWORD not in str(error)
    assert error.__cause__ is bug


@pytest.mark.parametrize(("says", "told"), [("text", "a str"), (5, "an int")])
def test_what_is_no_bytes_is_a_bug_of_it(says: Any, told: str) -> None:
    assert told in str(refusal_of(Own(says)))


def test_who_is_through_before_anything_was_said_is_not_authenticated() -> None:
    assert "through before it said anything" in str(refusal_of(Own(None)))
    exchange = begun(Own(Compute(lambda: None, "nothing")))
    exchange.answered(OFFERED)
    with pytest.raises(AuthenticationFailed, match="through before it said anything"):
        exchange.done(None)


def test_it_may_look_at_the_last_answer_in_a_thread() -> None:
    exchange = begun(Own(b"x", Compute(lambda: None, "the broker's signature")))
    exchange.answered(OFFERED)
    assert isinstance(exchange.answered(SaslAuthenticateResponse(session_lifetime_ms=7)), Compute)
    assert exchange.done(None) is None
    assert exchange.session_lifetime_ms == 7


def refusal_of(mechanism: Own, *answers: Any) -> AuthenticationFailed:
    exchange = begun(mechanism)
    *before, last = (OFFERED, *answers)
    for answer in before:
        exchange.answered(answer)
    with pytest.raises(AuthenticationFailed) as failed:
        exchange.answered(last)
    return failed.value


# asking which there are


@pytest.mark.parametrize(("ranges", "version"), [(RANGES, 1), ({17: (0, 0)}, 0), ({17: (0, 5)}, 1), ({}, 0)])
def test_mechanisms_are_asked_for_in_a_version_that_the_broker_has(ranges: Any, version: int) -> None:
    question = AskMechanisms()(ranges, False).start()
    assert question.version == version
    assert question.request.mechanism not in ("", "PLAIN", "GSSAPI")


@pytest.mark.parametrize(("code", "offered"), [(33, ("OAUTHBEARER", "PLAIN")), (34, ())])
def test_and_the_refusal_is_the_answer(code: int, offered: tuple[str, ...]) -> None:
    ask = AskMechanisms()
    assert ask.offered is None
    ask(RANGES, False).answered(SaslHandshakeResponse(error_code=code, mechanisms=[*reversed(offered), "no\nname", "x" * 50]))
    assert ask.offered == offered

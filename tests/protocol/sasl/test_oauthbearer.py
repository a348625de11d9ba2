"""OAUTHBEARER: what is said, and what a broker that refuses a token says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klife.protocol.errors import AuthenticationFailed
from klife.protocol.handshake import TokenWanted
from klife.protocol.sasl.oauthbearer import OAuthBearer
from klife.protocol.sasl.token import Token

TOKEN = Token("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", extensions={"logicalCluster": "lkc-1", "identityPoolId": "pool 7"})
KAFKAS = re.compile(r"n,(a=[^=,]+)?,\x01(([A-Za-z]+)=([\x21-\x7E \t\r\n]+)\x01)*\x01")  # what its server takes


def test_a_token_is_wanted_and_said_with_its_extensions() -> None:
    exchange = OAuthBearer().exchange("h")
    assert exchange.start() == TokenWanted()
    assert exchange.done(TOKEN) == (
        b"n,,\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01logicalCluster=lkc-1\x01identityPoolId=pool 7\x01\x01"
    )
    assert exchange.answered(b"") is None


def test_without_extensions_it_is_the_rfc_s_message() -> None:
    assert OAuthBearer().exchange("h").done(Token("abc.def")) == b"n,,\x01auth=Bearer abc.def\x01\x01"


@given(
    value=st.from_regex(r"\A[A-Za-z0-9._~+/-]+=*\Z"),
    extensions=st.dictionaries(st.from_regex(r"\A[A-Za-z]+\Z").filter(lambda name: name != "auth"), st.from_regex(r"\A[ -~\t\r\n]+\Z")),
)
def test_whatever_a_token_holds_kafka_can_read_it(value: str, extensions: dict[str, str]) -> None:
    says = OAuthBearer().exchange("h").done(Token(value, extensions=extensions)).decode()
    assert KAFKAS.fullmatch(says)
    fields = dict(part.split("=", 1) for part in says[4:-2].split("\x01"))
    assert fields == {"auth": f"Bearer {value}", **extensions}


def test_a_refusal_is_acknowledged_and_its_words_are_kept_for_the_error() -> None:
    exchange = OAuthBearer().exchange("h")
    exchange.done(TOKEN)
    assert exchange.answered(b'{"status":"invalid_token"}') == b"\x01"
    assert exchange.words == '{"status":"invalid_token"}'


def test_a_broker_that_goes_on_after_it_is_told_off_with_these_words() -> None:
    exchange = OAuthBearer().exchange("h")
    exchange.done(TOKEN)
    exchange.answered(b'{"status":"invalid_token"}')
    for challenge in (b"", b"{}"):
        with pytest.raises(AuthenticationFailed, match=r'refused the token: "{"status":"invalid_token"}"; check'):
            exchange.answered(challenge)


@pytest.mark.parametrize("challenge", [b"\xff\xfe", b"x" * 1_000_000, b"{" * 100_000, b"\r\n\x1b[2J"])
def test_a_challenge_that_is_no_json_is_told_as_far_as_it_can_be(challenge: bytes) -> None:
    exchange = OAuthBearer().exchange("h")
    exchange.done(TOKEN)
    assert exchange.answered(challenge) == b"\x01"
    with pytest.raises(AuthenticationFailed) as failed:
        exchange.answered(b"")
    assert len(str(failed.value)) < 800
    assert str(failed.value).isprintable()


@pytest.mark.parametrize("shown", [TOKEN.value, TOKEN.value[:20] + "...", TOKEN.value[5:]])
def test_a_broker_that_repeats_the_token_is_not_quoted_with_it(shown: str) -> None:
    exchange = OAuthBearer().exchange("h")
    exchange.done(TOKEN)
    exchange.answered(f"can not verify {shown} for you".encode())
    with pytest.raises(AuthenticationFailed, match=r"can not verify \*\*\*(\.\.\.)? for you"):
        exchange.answered(b"")

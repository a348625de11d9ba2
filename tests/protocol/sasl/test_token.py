"""What a provider may return, and what it is told when it returns something else."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klife.protocol.sasl.token import Token, jwt_expiry, token_from

NOW = 1_800_000_000.0
OPAQUE = "opaque-0123456789-secret"


def jwt(claims: Any) -> str:
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "RS256"}, claims))
    return f"{head}.{body}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("answer", "expires_at", "extensions"),
    [
        (OPAQUE, None, {}),
        ((OPAQUE,), None, {}),
        ((OPAQUE, NOW + 60), NOW + 60, {}),
        ((OPAQUE, int(NOW) + 60, {"logicalCluster": "lkc-1"}), NOW + 60, {"logicalCluster": "lkc-1"}),
        ((OPAQUE, None, None), None, {}),
        (jwt({"exp": NOW + 90}), NOW + 90, {}),
        ((jwt({"exp": NOW + 90}), None, {"a": "b"}), NOW + 90, {"a": "b"}),
        ((jwt({"exp": NOW + 90}), NOW + 30), NOW + 30, {}),
        (jwt({"sub": "x"}), None, {}),
        (jwt({"exp": NOW + 0.5}), NOW + 0.5, {}),
    ],
)
def test_token_alone_or_with_expiry_or_with_extensions(answer: Any, expires_at: float | None, extensions: dict[str, str]) -> None:
    token = token_from(answer, NOW)
    assert (token.expires_at, token.extensions) == (expires_at, extensions)
    assert token.value == (answer if isinstance(answer, str) else answer[0])


REFUSED: dict[str, tuple[Any, str]] = {
    "nothing": (None, "the token is a NoneType"),
    "bytes": (OPAQUE.encode(), "the token is a bytes"),
    "a list": ([OPAQUE, NOW + 60], "the token is a list"),
    "an empty tuple": ((), "a tuple of 0"),
    "four": ((OPAQUE, NOW + 60, {}, 1), "a tuple of 4"),
    "an empty token": ("", "is empty or holds"),
    "a line end": (OPAQUE + "\n", "white space"),
    "a scheme": ("Bearer " + OPAQUE, "'Bearer '"),
    "another field": (OPAQUE + "\x01auth=Bearer other", "no bearer token has"),
    "a huge token": ("x" * 300_000, "has 300000 characters"),
    "expired": ((OPAQUE, NOW - 12), "expired 12 s ago"),
    "just expired": ((OPAQUE, NOW), "expired 0 s ago"),
    "an expired JWT": (jwt({"exp": NOW - 3600}), "expired 3600 s ago"),
    "milliseconds": ((OPAQUE, NOW * 1000), "in milliseconds; divide it by 1000"),
    "for ever": ((OPAQUE, float("inf")), "expiry"),
    "no number": ((OPAQUE, float("nan")), "no number of seconds"),
    "a datetime": ((OPAQUE, datetime.now(UTC)), "expiry is a datetime; .* seconds since 1970"),
    "a text": ((OPAQUE, str(NOW)), "expiry is a str"),
    "True": ((OPAQUE, True), "expiry is a bool"),
    "extensions as pairs": ((OPAQUE, None, [("a", "b")]), "extensions are a list"),
    "the reserved one": ((OPAQUE, None, {"auth": "x"}), "not 'auth'"),
    "a name with a digit": ((OPAQUE, None, {"a1": "x"}), "ASCII letters only"),
    "a name that is none": ((OPAQUE, None, {5: "x"}), "ASCII letters only"),
    "an empty name": ((OPAQUE, None, {"": "x"}), "ASCII letters only"),
    "an empty value": ((OPAQUE, None, {"a": ""}), "value of SASL extension 'a'"),
    "a value with a separator": ((OPAQUE, None, {"a": "x\x01b=c"}), "value of SASL extension 'a'"),
    "a value of another type": ((OPAQUE, None, {"a": 5}), "value of SASL extension 'a'"),
    "huge extensions": ((OPAQUE, None, {"a": "x" * 300_000}), "more than"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_token_is_refused_in_words_without_it(what: str) -> None:
    answer, told = REFUSED[what]
    with pytest.raises(ValueError, match=told) as refused:
        token_from(answer, NOW)
    assert OPAQUE not in str(refused.value)


NOT_READ = {
    "no JWT": OPAQUE,
    "two parts": jwt({"exp": NOW}).rpartition(".")[0],
    "no base64": "a.!.c",
    "no JSON": "a.eHh4.c",
    "no object": jwt([1]),
    "no number": jwt({"exp": "tomorrow"}),
    "no finite number": jwt({"exp": float("nan")}),
    "milliseconds": jwt({"exp": NOW * 1000}),
    "a depth": "a." + base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".c",
    "digits": "a." + base64.urlsafe_b64encode(b'{"exp": ' + b"9" * 50_000 + b"}").decode() + ".c",
    "a time before all times": "a." + base64.urlsafe_b64encode(b'{"exp": -1' + b"0" * 400 + b"}").decode() + ".c",
    "too long": "a." + "x" * 300_000 + ".c",
}


@pytest.mark.parametrize("what", NOT_READ)
def test_a_token_that_does_not_say_when_it_ends_is_no_mistake(what: str) -> None:
    assert jwt_expiry(NOT_READ[what]) is None


@given(token=st.text(max_size=60) | st.binary(max_size=60).map(lambda data: f"a.{base64.urlsafe_b64encode(data).decode()}.c"))
def test_reading_an_expiry_never_fails(token: str) -> None:
    expiry = jwt_expiry(token)
    assert expiry is None or isinstance(expiry, float)


def test_a_token_can_not_be_made_that_could_not_be_sent() -> None:
    with pytest.raises(ValueError, match="no bearer token has"):
        Token("a\x01b")


def test_who_changes_the_extensions_afterwards_changes_no_token() -> None:
    extensions = {"a": "b"}
    token = token_from((OPAQUE, None, extensions), NOW)
    extensions["c"] = "\x01"
    assert token.extensions == {"a": "b"}

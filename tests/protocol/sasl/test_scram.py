"""SCRAM: the RFCs' own examples, a server written from the RFC, and servers that are none."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klife.protocol.errors import AuthenticationFailed
from klife.protocol.handshake import Compute
from klife.protocol.sasl.scram import HASHES, MAX_ITERATIONS, Scram, ScramExchange
from tests.protocol.sasl.scram_server import ScramServer

NONCE = "rOprNGfwEbeRWgbNEkqO"
PASSWORD = "a password, that = nobody says ﬁrst"
SALT = base64.b64encode(b"salt of some").decode()


SCRAM = Scram("SCRAM-SHA-256", "alice", PASSWORD)
SERVER = ScramServer("sha256", "alice", PASSWORD.encode())


def computed(says: Any) -> bytes:
    assert isinstance(says, Compute)
    return says.run()


def authenticated(exchange: ScramExchange, server: ScramServer) -> bool:
    """The whole exchange; whether the server took it. The client raises if it does not take the server."""
    says = exchange.answered(server.first(exchange.start()))
    if isinstance(says, Compute):
        says = exchange.done(says.run())
    assert isinstance(says, bytes)
    final = server.final(says)
    assert exchange.answered(final) is None
    return final.startswith(b"v=")


# the RFCs' examples

EXAMPLES = {
    "sha1": (  # RFC 5802, 5; Kafka has no SCRAM-SHA-1, but the exchange is the same
        "fyko+d2lbbFgONRv9qkxdawL",
        "fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
        "QSXCR+Q6sek8bf92",
        "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "sha256": (  # RFC 7677, 3
        NONCE,
        NONCE + "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


@pytest.mark.parametrize("hash_name", EXAMPLES)
def test_the_rfc_s_example(hash_name: str) -> None:
    nonce, full_nonce, salt, proof, signature = EXAMPLES[hash_name]
    scram = Scram("SCRAM-SHA-256", "user", "pencil")
    scram.hash = hash_name
    exchange = ScramExchange(scram, nonce=nonce)
    assert exchange.start() == f"n,,n=user,r={nonce}".encode()
    says = exchange.answered(f"r={full_nonce},s={salt},i=4096".encode())
    assert exchange.done(computed(says)) == f"c=biws,r={full_nonce},p={proof}".encode()
    assert exchange.answered(f"v={signature}".encode()) is None


# against a server


@pytest.mark.parametrize("name", HASHES)
def test_client_and_server_accept_each_other(name: str) -> None:
    scram = Scram(name, "alice", PASSWORD)
    assert authenticated(scram.exchange("broker.example"), ScramServer(HASHES[name], "alice", PASSWORD.encode(), iterations=8192))


@given(username=st.text("abc,=", min_size=1, max_size=12), password=st.text(st.characters(exclude_characters="\0"), min_size=1))
@settings(max_examples=25, deadline=None)
def test_whatever_the_name_and_the_password_hold(username: str, password: str) -> None:
    """Names are quoted; passwords go byte for byte, as Kafka compares them, without SASLprep."""
    try:
        as_bytes = password.encode()
    except UnicodeEncodeError:
        return
    assert authenticated(Scram("SCRAM-SHA-256", username, password).exchange("h"), ScramServer("sha256", username, as_bytes))


def test_a_wrong_password_is_refused_with_user_and_mechanism_and_the_broker_s_word() -> None:
    exchange = Scram("SCRAM-SHA-512", "alice", "not " + PASSWORD).exchange("h")
    with pytest.raises(AuthenticationFailed) as failed:
        authenticated(exchange, ScramServer("sha512", "alice", PASSWORD.encode()))
    assert all(part in str(failed.value) for part in ("SCRAM-SHA-512", "'alice'", '"invalid-proof"', "password"))
    assert failed.value.mechanism == "SCRAM-SHA-512"


def test_a_server_that_does_not_know_the_password_is_an_impostor() -> None:
    exchange = ScramExchange(Scram("SCRAM-SHA-256", "alice", PASSWORD), nonce=NONCE)
    impostor = ScramServer("sha256", "alice", b"a guess")
    exchange.done(computed(exchange.answered(impostor.first(exchange.start()))))
    with pytest.raises(AuthenticationFailed, match=r"does not know the password of user 'alice'.*impostor"):
        exchange.answered(b"v=" + base64.b64encode(bytes(32)))


def test_each_exchange_has_a_nonce_of_its_own() -> None:
    scram = Scram("SCRAM-SHA-256", "alice", PASSWORD)
    firsts = {scram.exchange("h").start() for _ in range(50)}
    assert len(firsts) == 50
    assert all(len(first) > len("n,,n=alice,r=") + 24 for first in firsts)


# what takes long is done once


def test_the_salted_password_is_kept_for_its_salt_and_iterations() -> None:
    scram = Scram("SCRAM-SHA-256", "alice", PASSWORD)
    server = ScramServer("sha256", "alice", PASSWORD.encode())
    assert authenticated(scram.exchange("h"), server)
    again = scram.exchange("h")
    assert isinstance(again.answered(server.first(again.start())), bytes)
    for other in ({"salt": b"another"}, {"iterations": 5000}):
        exchange = scram.exchange("h")
        changed = ScramServer("sha256", "alice", PASSWORD.encode(), **other)  # type: ignore[arg-type]
        assert isinstance(exchange.answered(changed.first(exchange.start())), Compute)
        assert authenticated(scram.exchange("h"), changed)


def test_a_server_with_a_new_salt_each_time_takes_no_memory() -> None:
    scram = Scram("SCRAM-SHA-256", "alice", PASSWORD)
    for number in range(50):
        scram.keep(str(number).encode(), 4096, bytes(32))
    kept = [number for number in range(50) if scram.salted_password(str(number).encode(), 4096) is not None]
    assert kept == [46, 47, 48, 49]


# servers that are none

FIRSTS = {
    "nothing": ("", "lacks nonce"),
    "garbage": ("\x01\x02", "lacks nonce"),
    "no salt": (f"r={NONCE}x,i=4096", "lacks"),
    "no iterations": (f"r={NONCE}x,s={SALT}", "lacks"),
    "another order": (f"s={SALT},r={NONCE}x,i=4096", "lacks"),
    "a server-final": (f"v={SALT}", "lacks"),
    "another nonce": (f"r=x{NONCE},s={SALT},i=4096", "nonce does not go on"),
    "our nonce alone": (f"r={NONCE},s={SALT},i=4096", "nonce does not go on"),
    "an empty nonce": (f"r=,s={SALT},i=4096", "nonce does not go on"),
    "a nonce of our first half": (f"r={NONCE[:10]}x,s={SALT},i=4096", "nonce does not go on"),
    "a nonce with a blank": (f"r={NONCE} x,s={SALT},i=4096", "nonce does not go on"),
    "a nonce that is no ASCII": (f"r={NONCE}é,s={SALT},i=4096", "nonce does not go on"),
    "1 iteration": (f"r={NONCE}x,s={SALT},i=1", '"1" iterations'),
    "4095": (f"r={NONCE}x,s={SALT},i=4095", '"4095" iterations'),
    "2**31": (f"r={NONCE}x,s={SALT},i={2**31}", '"2147483648" iterations'),
    "a million and one": (f"r={NONCE}x,s={SALT},i={MAX_ITERATIONS + 1}", '"1000001" iterations'),
    "a number of many digits": (f"r={NONCE}x,s={SALT},i={'9' * 6000}", '"9{20}" iterations'),
    "a negative number": (f"r={NONCE}x,s={SALT},i=-4096", "iterations"),
    "a sign": (f"r={NONCE}x,s={SALT},i=+4096", "iterations"),
    "zeros": (f"r={NONCE}x,s={SALT},i=04096", "iterations"),
    "other digits": (f"r={NONCE}x,s={SALT},i=٤٠٩٦", "iterations"),
    "underscores": (f"r={NONCE}x,s={SALT},i=4_096", "iterations"),
    "an empty salt": (f"r={NONCE}x,s=,i=4096", "salt has 0 bytes"),
    "a huge salt": (f"r={NONCE}x,s={base64.b64encode(bytes(2000)).decode()},i=4096", "salt has 2000 bytes"),
    "no base64": (f"r={NONCE}x,s=!!!!,i=4096", "salt is not base64"),
    "base64 with something after it": (f"r={NONCE}x,s={SALT}=x,i=4096", "salt is not base64"),
    "base64 with a blank": (f"r={NONCE}x,s={SALT[:4]} {SALT[4:]},i=4096", "salt is not base64"),
    "base64 that ends too early": (f"r={NONCE}x,s={SALT[:-3]},i=4096", "salt is not base64"),
    "a mandatory extension": (f"m=must,r={NONCE}x,s={SALT},i=4096", "extension of SCRAM"),
    "one at the end": (f"r={NONCE}x,s={SALT},i=4096,m=must", "extension of SCRAM"),
    "something after": (f"r={NONCE}x,s={SALT},i=4096,", "no extension"),
    "a megabyte": ("r=" + "x" * 1_000_000, "has 1000002 bytes"),
    "an error": ("e=unknown-user", '"unknown-user"'),
}


@pytest.mark.parametrize("what", FIRSTS)
def test_a_first_answer_that_can_not_be_right_is_refused_in_words(what: str) -> None:
    message, told = FIRSTS[what]
    exchange = ScramExchange(Scram("SCRAM-SHA-256", "alice", PASSWORD), nonce=NONCE)
    exchange.start()
    with pytest.raises(AuthenticationFailed, match=told) as failed:
        exchange.answered(message.encode())
    assert "SCRAM-SHA-256" in str(failed.value)
    assert PASSWORD not in str(failed.value)
    assert len(str(failed.value)) < 500


def test_bytes_that_are_no_text_are_refused() -> None:
    exchange = Scram("SCRAM-SHA-256", "alice", PASSWORD).exchange("h")
    exchange.start()
    with pytest.raises(AuthenticationFailed, match="is no text"):
        exchange.answered(b"r=\xff\xfe")


def test_extensions_that_need_not_be_understood_are_passed_over_and_proved() -> None:
    scram = Scram("SCRAM-SHA-256", "user", "pencil")
    exchange = ScramExchange(scram, nonce=NONCE)
    server = ScramServer("sha256", "user", b"pencil")
    server._server_first = server.first(exchange.start()).decode() + ",x=new,Z=é"
    says = exchange.answered(server._server_first.encode())
    assert exchange.answered(server.final(exchange.done(computed(says))) + b",x=more") is None


FINALS = {
    "nothing": (b"", "none of its own"),
    "garbage": (b"\x00\x01", "none of its own"),
    "no text": (b"v=\xff", "is no text"),
    "the first again": (f"r={NONCE}x,s={SALT},i=4096".encode(), "none of its own"),
    "no signature": (b"v=", "does not know the password"),
    "a short one": (b"v=AAAA", "does not know the password"),
    "another": (b"v=" + base64.b64encode(bytes(32)), "does not know the password"),
    "no base64": (b"v=????", "signature is not base64"),
    "a mandatory extension": (b"v=AAAA,m=x", "extension of SCRAM"),
    "something after": (b"v=AAAA,,", "no extension"),
    "an error": (b"e=other-error\r\nand more", '"other-error  and more"'),
    "a long error": (b"e=" + b"x" * 8000, r'"x{500}\.\.\."'),
    "a megabyte": (b"v=" + b"A" * 1_000_000, "has 1000002 bytes"),
}


@pytest.mark.parametrize("what", FINALS)
def test_a_last_answer_that_can_not_be_right_is_refused_in_words(what: str) -> None:
    message, told = FINALS[what]
    exchange = ScramExchange(Scram("SCRAM-SHA-256", "alice", PASSWORD), nonce=NONCE)
    exchange.start()
    exchange.done(computed(exchange.answered(f"r={NONCE}x,s={SALT},i=4096".encode())))
    with pytest.raises(AuthenticationFailed, match=told) as failed:
        exchange.answered(message)
    assert PASSWORD not in str(failed.value)


@given(message=st.one_of(st.binary(max_size=200), st.text("rsiemv=,xX9+/ \0" + NONCE, max_size=120).map(str.encode)))
@settings(max_examples=300, deadline=None)
def test_whatever_a_server_says_first_it_is_an_answer_or_refused(message: bytes) -> None:
    exchange = ScramExchange(Scram("SCRAM-SHA-256", "alice", PASSWORD), nonce=NONCE)
    exchange.start()
    try:
        says = exchange.answered(message)
    except AuthenticationFailed:
        return
    assert isinstance(says, Compute)


@given(at=st.integers(0, 200), byte=st.integers(0, 255), which=st.sampled_from(["first", "final"]))
@settings(max_examples=150, deadline=None)
def test_what_was_changed_on_the_way_is_never_taken(at: int, byte: int, which: str) -> None:
    def changed(message: bytes) -> bytes:
        place = at % len(message)
        return message[:place] + bytes([byte]) + message[place + 1 :]

    exchange = ScramExchange(SCRAM, nonce=NONCE)
    first, final = SERVER.first(exchange.start()), b""
    try:
        says = exchange.answered(changed(first) if which == "first" else first)
        final = SERVER.final(exchange.done(says.run()) if isinstance(says, Compute) else says or b"")
        exchange.answered(changed(final) if which == "final" else final)
    except (AuthenticationFailed, AssertionError):  # the client's, or the server's, which sees another nonce
        return
    sent = changed(first) if which == "first" else changed(final)
    assert sent in (first, final) or base64.b64decode(sent[2:]) == base64.b64decode(final[2:])  # its last bits may be anything


# what can not be used is refused before any broker is asked


@pytest.mark.parametrize(
    ("username", "password", "told"),
    [
        ("", "p", "the username is empty"),
        ("u", "", "the password is empty"),
        ("u\0", "p", "username holds a NUL"),
        ("u", "p\0x", "password holds a NUL"),
        ("u", "topsecret\ud800", "password holds half"),
    ],
)
def test_credentials_that_can_not_be_sent_are_refused_without_being_told(username: str, password: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        Scram("SCRAM-SHA-256", username, password)
    assert "topsecret" not in repr(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_mechanism_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="SCRAM-SHA-256 and SCRAM-SHA-512"):
        Scram("SCRAM-SHA-1", "u", "p")

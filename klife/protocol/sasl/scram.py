"""SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677): each side proves that it knows the password, and neither
says it.

Kafka departs from the RFC in one thing: it compares passwords byte for byte, without SASLprep. So nothing is
prepared here; whoever prepared `ﬁ` would be refused.

A broker may be anybody until it has proved itself, and what it says is taken with bounds. With too few
iterations the proof would tell the password to who can guess, with 2**31 a thread would be busy for a quarter
of an hour.
"""

from __future__ import annotations

import hmac
import re
import secrets
from binascii import a2b_base64, b2a_base64
from functools import partial
from hashlib import new as new_hash
from hashlib import pbkdf2_hmac
from typing import Any, NamedTuple

from klife.protocol.errors import AuthenticationFailed
from klife.protocol.handshake import Compute
from klife.protocol.sasl.credentials import utf8
from klife.protocol.sasl.words import failed, not_right, quoted
from klife.words import counted

HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
MIN_ITERATIONS, MAX_ITERATIONS = 4096, 1_000_000

_HEADER = "n,,"  # no channel binding, which Kafka has not, and nobody else's name
_NONCE_BYTES = 24
_MAX_MESSAGE_BYTES = 8192
_MAX_SALT_BYTES = 1024
_KEYS_KEPT = 4  # one, but for a while after a password was set anew

_NONCE = re.compile(r"[!-+\--~]+")  # printable ASCII without the comma
_EXTENSION = re.compile(r"[A-Za-ln-z]=[^\0,]+")  # one letter, as RFC 5802 has it; `m` is for what must be understood
_ITERATIONS = re.compile(r"[1-9][0-9]{0,9}")


class Scram:
    """Authenticates by user and password. Keeps the salted password, which is what takes long, for the
    exchanges to come.

    Raises:
        ValueError: there is no such mechanism, or user or password are empty or can not be sent.
    """

    advice = "check username and password, and that the user has credentials for this mechanism"

    def __init__(self, name: str, username: str, password: str) -> None:
        if name not in HASHES:
            raise ValueError(f"there is no mechanism {name!r}; SCRAM's are {' and '.join(HASHES)}")
        self.name = name
        self.who: str = f"user {username!r}"
        self.hash: str = HASHES[name]
        self.password: bytes = utf8(password, "password")
        utf8(username, "username")
        self.saslname: str = username.replace("=", "=3D").replace(",", "=2C")
        self._salted: dict[tuple[bytes, int], bytes] = {}

    def exchange(self, host: str) -> ScramExchange:
        return ScramExchange(self)

    def salted_password(self, salt: bytes, iterations: int) -> bytes | None:
        """What was kept for these."""
        return self._salted.get((salt, iterations))

    def keep(self, salt: bytes, iterations: int, salted_password: bytes) -> None:
        """Remember it, and forget what was kept before the last few."""
        self._salted[salt, iterations] = salted_password
        while len(self._salted) > _KEYS_KEPT:
            del self._salted[next(iter(self._salted))]


class _ServerFirst(NamedTuple):
    nonce: str
    salt: bytes
    iterations: int


class ScramExchange:
    """One authentication. `nonce` is given where it has to be a known one."""

    def __init__(self, scram: Scram, *, nonce: str | None = None) -> None:
        self._scram = scram
        self._nonce = nonce or secrets.token_urlsafe(_NONCE_BYTES)
        self._bare = f"n={scram.saslname},r={self._nonce}"
        self._server_first = ""
        self._parts: _ServerFirst | None = None
        self._signature: bytes | None = None  # what only who knows the password can answer

    def start(self) -> bytes:
        return (_HEADER + self._bare).encode()

    def answered(self, challenge: bytes) -> bytes | Compute | None:
        attributes = self._attributes(challenge)
        if self._signature is not None:
            self._verify(attributes)
            return None
        self._server_first = ",".join(attributes)
        self._parts = parts = self._server_said(attributes)
        salted = self._scram.salted_password(parts.salt, parts.iterations)
        if salted is not None:
            return self._proof(salted)
        return Compute(
            partial(pbkdf2_hmac, self._scram.hash, self._scram.password, parts.salt, parts.iterations),
            f"the salted password of {parts.iterations} iterations",
        )

    def done(self, result: Any) -> bytes:
        assert self._parts is not None
        self._scram.keep(self._parts.salt, self._parts.iterations, result)
        return self._proof(result)

    def _proof(self, salted_password: bytes) -> bytes:
        assert self._parts is not None
        without_proof = f"c={_base64(_HEADER.encode())},r={self._parts.nonce}"
        message = f"{self._bare},{self._server_first},{without_proof}".encode()
        client_key = self._hmac(salted_password, b"Client Key")
        stored_key = new_hash(self._scram.hash, client_key).digest()
        proof = bytes(a ^ b for a, b in zip(client_key, self._hmac(stored_key, message), strict=True))
        self._signature = self._hmac(self._hmac(salted_password, b"Server Key"), message)
        return f"{without_proof},p={_base64(proof)}".encode()

    def _hmac(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, self._scram.hash)

    # what the broker says

    def _attributes(self, challenge: bytes) -> list[str]:
        if len(challenge) > _MAX_MESSAGE_BYTES:
            raise self._not_right(f"the broker's message has {counted(len(challenge), 'byte')}")
        try:
            attributes = challenge.decode().split(",")
        except UnicodeDecodeError:
            raise self._not_right("the broker's message is no text") from None
        if attributes[0].startswith("e="):
            told = quoted(attributes[0][2:])
            raise failed(self._scram.name, f"the broker refused {self._scram.who}: {told}; {self._scram.advice}")
        if any(attribute.startswith("m=") for attribute in attributes):
            raise self._not_right("the broker wants an extension of SCRAM (m=) that klife does not have")
        return attributes

    def _server_said(self, attributes: list[str]) -> _ServerFirst:
        """Nonce, salt and iterations, if they can be right."""
        named = dict(zip("rsi", attributes, strict=False))
        if any(not named.get(name, "").startswith(f"{name}=") for name in "rsi"):
            raise self._not_right("the broker's message lacks nonce, salt or iterations")
        nonce, salt, count = (named[name][2:] for name in "rsi")
        self._only_extensions(attributes[3:])
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce) or not _NONCE.fullmatch(nonce):
            raise self._not_right("the broker's nonce does not go on from ours")
        if not _ITERATIONS.fullmatch(count) or not MIN_ITERATIONS <= int(count) <= MAX_ITERATIONS:
            shown = quoted(count[:20])
            raise self._not_right(f"the broker wants {shown} iterations, and klife does {MIN_ITERATIONS} to {MAX_ITERATIONS}")
        salted = self._bytes(salt, "salt")
        if not 0 < len(salted) <= _MAX_SALT_BYTES:
            raise self._not_right(f"the broker's salt has {counted(len(salted), 'byte')}")
        return _ServerFirst(nonce, salted, int(count))

    def _verify(self, attributes: list[str]) -> None:
        """The broker has to know what only follows from the password."""
        if not attributes[0].startswith("v="):
            raise self._not_right("the broker took our proof and gave none of its own")
        self._only_extensions(attributes[1:])
        assert self._signature is not None
        if not hmac.compare_digest(self._bytes(attributes[0][2:], "signature"), self._signature):
            raise failed(
                self._scram.name,
                f"the broker does not know the password of {self._scram.who}: its signature is wrong. It may be an impostor; "
                "check the address, and use TLS",
            )

    def _only_extensions(self, attributes: list[str]) -> None:
        """What follows may be passed over."""
        if not all(_EXTENSION.fullmatch(attribute) for attribute in attributes):
            raise self._not_right("the broker's message holds something that is no extension")

    def _bytes(self, text: str, what: str) -> bytes:
        try:
            return a2b_base64(text.encode("ascii"), strict_mode=True)
        except ValueError:
            raise self._not_right(f"the broker's {what} is not base64") from None

    def _not_right(self, why: str) -> AuthenticationFailed:
        return not_right(self._scram.name, why)


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()

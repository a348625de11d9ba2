"""SCRAM's server, written from RFC 5802 and apart from klife's client: no code is shared but the standard
library's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac


class ScramServer:
    """Knows one user, as a server does: by salt, iterations, StoredKey and ServerKey. Records what it was
    asked, and says whether the proof was right.
    """

    def __init__(
        self, hash_name: str, username: str, password: bytes, *, salt: bytes = b"salt of some", iterations: int = 4096
    ) -> None:
        self.hash_name = hash_name
        self.username = username
        self.salt, self.iterations = salt, iterations
        salted = hashlib.pbkdf2_hmac(hash_name, password, salt, iterations)
        self._stored_key = hashlib.new(hash_name, self._hmac(salted, b"Client Key")).digest()
        self._server_key = self._hmac(salted, b"Server Key")
        self.nonce = ""
        self._client_first_bare = self._server_first = ""

    def _hmac(self, key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, self.hash_name).digest()

    def first(self, message: bytes, *, nonce: str = "server's") -> bytes:
        """The answer to client-first-message."""
        header, self._client_first_bare = message.decode()[:3], message.decode()[3:]
        assert header == "n,,"
        name, client_nonce = self._client_first_bare.split(",")
        assert name[:2] == "n="
        assert name[2:].replace("=2C", ",").replace("=3D", "=") == self.username
        assert client_nonce[:2] == "r="
        self.nonce = client_nonce[2:] + nonce
        salt = base64.b64encode(self.salt).decode()
        self._server_first = f"r={self.nonce},s={salt},i={self.iterations}"
        return self._server_first.encode()

    def final(self, message: bytes) -> bytes:
        """The answer to client-final-message."""
        without_proof, _, proof = message.decode().rpartition(",p=")
        assert without_proof == f"c={base64.b64encode(b'n,,').decode()},r={self.nonce}"
        auth_message = ",".join((self._client_first_bare, self._server_first, without_proof)).encode()
        signature = self._hmac(self._stored_key, auth_message)
        client_key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
        if hashlib.new(self.hash_name, client_key).digest() != self._stored_key:
            return b"e=invalid-proof"
        return b"v=" + base64.b64encode(self._hmac(self._server_key, auth_message))

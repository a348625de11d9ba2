"""SaslAuthenticate: one round of a SASL mechanism, whose own bytes it carries.

From version 1 on the answer to the last round says how long the session may last (KIP-368); version 2 has
tags and nothing else that is new.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import bytes_, int16, int64, string


class SaslAuthenticateResponse(Response, key=36, versions="0-2", flexible="2+"):
    """SASL_AUTHENTICATION_FAILED (58) with the broker's words, or the mechanism's next challenge."""

    error_code: int = int16("0+")
    error_message: str | None = string("0+", nullable="0+")
    auth_bytes: bytes = bytes_("0+")
    session_lifetime_ms: int = int64("1+", ignorable=True)  # 0: no limit


class SaslAuthenticateRequest(Request[SaslAuthenticateResponse], key=36, versions="0-2", flexible="2+"):
    """What the mechanism says: a secret, mostly."""

    auth_bytes: bytes = bytes_("0+")

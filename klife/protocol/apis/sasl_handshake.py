"""SaslHandshake: how the client wants to authenticate, and which mechanisms the listener offers.

With version 1 the mechanism's messages travel in SaslAuthenticate; after version 0 they were bare bytes with
a length, no Kafka messages, and klife does not speak that (brokers before Kafka 1.0). A listener without SASL
answers ILLEGAL_SASL_STATE (34) and offers nothing. Neither version has tags.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import array, int16, string


class SaslHandshakeResponse(Response, key=17, versions="0-1"):
    """UNSUPPORTED_SASL_MECHANISM (33): `mechanisms` are those offered. Filled also where all is well."""

    error_code: int = int16("0+")
    mechanisms: list[str] = array(string, "0+")


class SaslHandshakeRequest(Request[SaslHandshakeResponse], key=17, versions="0-1"):
    """Names the mechanism."""

    mechanism: str = string("0+")

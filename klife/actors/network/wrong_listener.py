"""How a listener that klife can not use shows itself, and what to tell its user.

What Kafka 4.3 does (tried): a listener with SASL answers ApiVersions and closes the connection without a word
at the next request; one with TLS answers what is no TLS with an alert of seven bytes, and closes; a KRaft
controller answers ApiVersions, and serves neither Metadata nor Produce.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from klife.protocol.api_keys import ApiKey
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.errors import UnsupportedVersion
from klife.protocol.versions import negotiate

_TLS_ALERT = b"\x15\x03"  # its record type, and the first byte of all versions

TLS = "the listener speaks TLS, which klife does not yet; name a listener without it"
CLOSED_AT_ONCE = "; a listener that wants TLS does that, and klife has none yet: name a listener without it"
CLOSED_AT_FIRST_REQUEST = "; a listener that wants SASL does that, and klife has none yet: name a listener without authentication"


def is_tls(data: Any) -> bool:
    """Whether the first bytes of a connection are TLS's."""
    return bytes(data[:2]) == _TLS_ALERT


def why_of_no_use(ranges: Mapping[int, tuple[int, int]]) -> str | None:
    """Why a broker that serves these APIs is of no use to a client; None if it is."""
    try:
        negotiate(MetadataRequest, ranges)
    except UnsupportedVersion as error:
        if ApiKey.BROKER_REGISTRATION in ranges:
            return "this is a KRaft controller's listener, which serves no clients; name a broker's listener instead"
        return str(error)
    return None

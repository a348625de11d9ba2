"""How a listener that a client can not use, as it is set up, shows itself, and what to tell its user.

What Kafka 4.3 does (tried): a listener with SASL answers ApiVersions and closes the connection without a word
at the next request; one with TLS answers what is no TLS with an alert of seven bytes, and closes; a KRaft
controller answers ApiVersions, and serves neither Metadata nor Produce. So a client without SASL that was
closed on asks, on a new connection, which mechanisms there are (`wants_sasl`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from klife.actors.network.broker import Broker
from klife.actors.network.client_certificate import may_want_certificate
from klife.actors.network.transport import Transport
from klife.actors.settings import ConnectionSettings
from klife.protocol.api_keys import ApiKey
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.connection import KafkaConnection, State
from klife.protocol.errors import UnsupportedVersion
from klife.protocol.sasl.authenticate import AskMechanisms
from klife.protocol.versions import negotiate

_TLS_ALERT = b"\x15\x03"  # its record type, and the first byte of all versions

TLS = "the listener speaks TLS: set tls, or name a listener without it"
_CLOSED_AT_ONCE = "; a listener that wants TLS does that: set tls, or name a listener without it"
CLOSED_AT_FIRST_REQUEST = "; a listener that wants SASL does that: set sasl, or name a listener without authentication"


def closed_at_once(settings: ConnectionSettings) -> str:
    """What to add where the broker closed the connection before it answered anything."""
    if settings.tls is None:
        return _CLOSED_AT_ONCE
    return f"; {may_want_certificate(settings.tls)}"


def ended_in_handshake(broker: Broker) -> str | None:
    """What to add to the reason where the broker closed the connection before it was ready; None if it was."""
    state = broker.connection.state
    if state is State.NEGOTIATING:
        return closed_at_once(broker.settings)
    if state is State.AUTHENTICATING:
        return f" before it had said whether it takes us (SASL {broker.security.mechanism.name})"
    if state is State.REAUTHENTICATING:
        return f" while the session was renewed (SASL {broker.security.mechanism.name})"
    return None


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


def wants_sasl(transport: Transport, wait: Callable[[], object]) -> str | None:
    """Ask a broker that closed a connection without SASL whether that is what it misses, over a new
    connection, which is of no use after it. `wait()` returns when `transport` may be read. What to tell, or None
    if it is something else.

    Raises:
        OSError, DecodeError: it does not answer.
    """
    ask = AskMechanisms()
    connection = KafkaConnection("klife", 1 << 20, [ask])
    connection.connect()
    buffers = connection.opened()
    while ask.offered is None and connection.state is not State.READY:
        if buffers:
            transport.write(buffers)
        while (data := transport.read()) is None:
            wait()
        if not data:
            return None
        connection.receive(data)
        buffers = connection.take_handshake()
    if not ask.offered:
        return None
    return f"the listener wants SASL (it offers {', '.join(ask.offered)}): set sasl, or name a listener without authentication"

"""`Probe`: one address of a cluster, step by step, as a client would go: name, connection, TLS, SASL, versions,
metadata. Each step is a check; the first that fails is the last.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import gevent
from gevent import socket
from gevent.event import Event

from klife.actors.network.addresses import Address, interleaved
from klife.actors.network.security import Security
from klife.actors.network.tokens import TokenFailed
from klife.actors.network.transport import NoTransport, PlainTransport, Transport
from klife.actors.network.wrong_listener import CLOSED_AT_FIRST_REQUEST, wants_sasl, why_of_no_use
from klife.actors.runtime.thread_pool import call_in_thread
from klife.actors.settings import ConnectionSettings
from klife.api.doctor.certificate import certificate_told
from klife.api.doctor.conversation import Closed, Conversation
from klife.api.doctor.report import Check
from klife.api.doctor.verdict import Finding
from klife.protocol.api_keys import ApiKey
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from klife.protocol.connection import State
from klife.protocol.error_codes import ErrorCode
from klife.protocol.errors import AuthenticationFailed, DecodeError, UnsupportedVersion
from klife.protocol.metadata_wire import MetadataQuery, Undecoded

_MOST_ADDRESSES = 16  # of one name
_ASK_SASL_SECONDS = 3.0

_NAME_STEP = "correct the name, or look at this machine's DNS: whoever runs klife must be able to resolve it"
_REFUSED_STEP = "look whether a broker runs there, and listens on that port"
_SILENT_STEP = "look at firewalls and security groups between here and there: what is sent there is dropped"
_TLS_STEP = "mend the settings of tls, or the broker's certificate, as the check of tls says; docs/security.md tells more"
_NO_TLS_STEP = "set tls (security.protocol is SSL or SASL_SSL), or name the port of a listener without TLS"
_SASL_STEP = "set sasl (security.protocol is SASL_SSL or SASL_PLAINTEXT), or name the port of a listener without authentication"
_LOGIN_STEP = "mend the settings of sasl, as the check of sasl says; docs/security.md tells more"
_LOGIN_STEPS: dict[int, str] = {
    ErrorCode.SASL_AUTHENTICATION_FAILED: "correct the credentials in the option sasl, or give the user some at the brokers",
    ErrorCode.UNSUPPORTED_SASL_MECHANISM: "give one of the mechanisms that the broker offers in the option sasl",
    ErrorCode.ILLEGAL_SASL_STATE: "leave out sasl, or name the port of the listener that wants it",
}
_TOKEN_STEP = "make the token_provider work; call it by itself, to see what it does"
_NO_KAFKA_STEP = "look whether this is the port of a Kafka broker"


class _Failed(Exception):
    """The step can not be taken."""

    def __init__(self, name: str, detail: str, next_step: str = "") -> None:
        super().__init__(detail)
        self.name, self.next_step = name, next_step


class Probe:
    """Fills `finding`. A step that waits for the other side gives up after `patience` seconds."""

    def __init__(self, finding: Finding, settings: ConnectionSettings, security: Security, patience: float) -> None:
        self.finding = finding
        self.doing = "resolve"
        self._settings = settings
        self._security = security
        self._patience = patience
        self._conversation: Conversation | None = None

    def run(self) -> MetadataResponse | None:
        """Take the steps; return what the broker says of the cluster, if it came to that."""
        try:
            conversation = self._conversation = self._converse(self._connect(self._resolve()))
            return self._look_at_cluster(conversation)
        except _Failed as failed:
            self.failed(failed.name, str(failed), failed.next_step)
        return None

    def topics(self, names: Sequence[str] | None) -> MetadataResponse:
        """What the broker says of these topics, or of all; after `run`.

        Raises:
            OSError, DecodeError, Closed: it does not say.
        """
        assert self._conversation is not None
        return self._metadata(self._conversation, None if names is None else [MetadataRequestTopic(name=name) for name in names])

    def close(self) -> None:
        """Let go of the connection."""
        if self._conversation is not None:
            self._conversation.close()

    def failed(self, name: str, detail: str, next_step: str = "") -> None:
        """Note the step that is the last."""
        self.finding.checks.append(Check(name, self.finding.target, False, detail, next_step))

    def _done(self, name: str, detail: str) -> None:
        self.finding.checks.append(Check(name, self.finding.target, True, detail))

    # name and connection

    def _resolve(self) -> list[Address]:
        self.doing = "resolve"
        host, port = self.finding.host, self.finding.port
        try:
            with gevent.Timeout(self._patience, False):
                addresses = interleaved([(*found[:3], found[4]) for found in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)])
                if [_text(address) for address in addresses] != [host]:
                    self._done("resolve", ", ".join(_text(address) for address in addresses))
                return addresses
        except (OSError, UnicodeError) as error:
            raise _Failed(
                "resolve", f"the name {host!r} leads nowhere: {getattr(error, 'strerror', None) or error}", _NAME_STEP
            ) from None
        raise _Failed("resolve", f"the name {host!r} was not looked up within {self._patience:g} s", _NAME_STEP)

    def _connect(self, addresses: list[Address]) -> tuple[Any, Address]:
        """A socket to the first of the addresses that takes a connection; all are tried, at once."""
        self.doing = "connect"
        began = monotonic()
        tried = addresses[:_MOST_ADDRESSES]
        attempts = [gevent.spawn(_opened, address, self._patience) for address in tried]
        taken: Any = None
        try:
            gevent.joinall(attempts)
            outcomes = [attempt.value for attempt in attempts]
            taken = next((outcome for outcome in outcomes if not isinstance(outcome, str)), None)
        finally:
            for attempt in attempts:
                attempt.kill(block=False)
                if attempt.value is not None and not isinstance(attempt.value, str) and attempt.value is not taken:
                    attempt.value.close()
        refused = [f"{_text(address)} {why}" for address, why in zip(tried, outcomes, strict=True) if isinstance(why, str)]
        if taken is None:
            step = _SILENT_STEP if all(text.endswith(_SILENT) for text in refused) else _REFUSED_STEP
            raise _Failed("connect", "; ".join(refused), step)
        address = tried[outcomes.index(taken)]
        also = f"; not at {'; '.join(refused)}" if refused else ""
        self._done("connect", f"{_text(address)} in {1000 * (monotonic() - began):.0f} ms{also}")
        return taken, address

    def _transport(self, sock: Any, address: Address) -> Transport:
        """What Kafka's bytes go over."""
        tls = self._security.tls
        if tls is None:
            return PlainTransport(sock)
        try:
            return tls.secured(sock, self.finding.host, self._patience, lambda: True, lambda: _connected(address, self._patience))
        finally:
            sock.close()  # of what a transport took over, nothing is left

    # TLS, SASL, versions

    def _converse(self, connected: tuple[Any, Address]) -> Conversation:
        self.doing = "tls" if self._security.tls is not None else "versions"
        sock, address = connected
        try:
            transport = self._transport(sock, address)
        except NoTransport as error:
            raise _Failed("tls", str(error), _TLS_STEP) from None
        self._conversation = conversation = Conversation(transport, self.finding.host, self._settings, self._security)
        self._shake_hands(conversation)
        self._tell_tls(conversation)
        if self._settings.sasl is not None:
            self._done("sasl", self._login_told(conversation))
        useless = why_of_no_use(conversation.connection.ranges)
        if useless is not None:
            raise _Failed("versions", useless)
        ranges = conversation.connection.ranges
        newest = ", ".join(f"{key.name.title()} up to {ranges[key][1]}" for key in (ApiKey.PRODUCE, ApiKey.METADATA) if key in ranges)
        self._done("versions", newest)
        return conversation

    def _shake_hands(self, conversation: Conversation) -> None:
        """Agree on versions, and log in; or the check that it fails."""
        login_step = _LOGIN_STEP
        try:
            with gevent.Timeout(self._patience, False):
                conversation.shake_hands()
                return
            who = "the token provider has not returned" if conversation.waits_for_token else "there was no answer"
            detail = f"{who} within {self._patience:g} s"
        except NoTransport as error:  # of TLS, also where there is none and the listener wants it
            raise _Failed("tls", str(error), _TLS_STEP if self._security.tls is not None else _NO_TLS_STEP) from None
        except AuthenticationFailed as error:
            detail, login_step = str(error), _LOGIN_STEPS.get(error.error_code or 0, _LOGIN_STEP)
        except TokenFailed as error:
            detail, login_step = str(error), _TOKEN_STEP
        except (Closed, OSError, DecodeError, UnsupportedVersion) as error:
            detail = str(error)
        if conversation.connection.state is State.AUTHENTICATING:
            self._tell_tls(conversation)
            raise _Failed("sasl", detail, login_step)
        if self._security.tls is not None and not conversation.has_answered:
            raise _Failed("tls", detail, _TLS_STEP)
        raise _Failed("versions", detail, _NO_KAFKA_STEP)

    def _tell_tls(self, conversation: Conversation) -> None:
        """That TLS works: known with the broker's first answer, because it may refuse our certificate in it."""
        session = getattr(conversation.transport, "session", None)
        if session is not None:
            self._done("tls", certificate_told(session))

    def _login_told(self, conversation: Conversation) -> str:
        sasl = self._settings.sasl
        assert sasl is not None
        lifetime = conversation.connection.session_lifetime_ms
        who = f" as {sasl.username!r}" if sasl.username is not None else ""
        return f"{self._security.mechanism.name}{who}" + (f", for {lifetime / 1000:g} s at a time" if lifetime else "")

    # the cluster

    def _look_at_cluster(self, conversation: Conversation) -> MetadataResponse:
        self.doing = "metadata"
        try:
            metadata = self._metadata(conversation, [])
        except Closed:
            raise self._why_closed() from None
        except (OSError, DecodeError) as error:
            raise _Failed("metadata", str(error)) from None
        self.finding.cluster = metadata.cluster_id or ""
        brokers = sorted(metadata.brokers, key=lambda broker: broker.node_id)
        listed = ", ".join(f"{broker.node_id} at {broker.host}:{broker.port}" for broker in brokers[:_MOST_ADDRESSES])
        self._done("metadata", f"cluster {metadata.cluster_id or 'without an id'}, brokers {listed or 'none'}")
        return metadata

    def _metadata(self, conversation: Conversation, topics: list[MetadataRequestTopic] | None) -> MetadataResponse:
        request = MetadataQuery(MetadataRequest(topics=topics, allow_auto_topic_creation=False))
        with gevent.Timeout(self._patience, TimeoutError(f"there was no answer within {self._patience:g} s")):
            answer = conversation.ask(request)
            found: MetadataResponse = call_in_thread(answer.decode) if isinstance(answer, Undecoded) else answer
            return found

    def _why_closed(self) -> _Failed:
        """A listener that wants SASL closes the connection at the first request: ask it."""
        if self._settings.sasl is not None:
            return _Failed("metadata", "the broker closed the connection at the first request")
        told = None
        with gevent.Timeout(_ASK_SASL_SECONDS, False), suppress(OSError, DecodeError, _Failed):
            told = self._asked_for_sasl()
        return _Failed("sasl", told or f"the broker closed the connection{CLOSED_AT_FIRST_REQUEST}", _SASL_STEP)

    def _asked_for_sasl(self) -> str | None:
        host, port = self.finding.host, self.finding.port
        [first, *_] = interleaved([(*found[:3], found[4]) for found in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)])
        transport = self._transport(_connected(first, self._patience), first)
        woken = Event()
        transport.watch(woken.set)

        def wait() -> None:
            woken.wait()
            woken.clear()

        try:
            return wants_sasl(transport, wait)
        finally:
            transport.close()


_SILENT = "does not answer"


def _opened(address: Address, patience: float) -> Any:
    """A connected socket, or why there is none."""
    try:
        return _connected(address, patience)
    except TimeoutError:
        return f"within {patience:g} s {_SILENT}"
    except OSError as error:
        return f"does not take a connection: {os.strerror(error.errno) if error.errno else error}"


def _connected(address: Address, patience: float) -> Any:
    family, kind, protocol, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        with gevent.Timeout(patience, TimeoutError("no connection")):
            sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _text(address: Address) -> str:
    return str(address[3][0])

"""`Probe`: one address of a cluster, step by step, as a client would go: name, connection, TLS, SASL, versions,
metadata. Each step is a check; the first that fails is the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import gevent
from gevent.event import Event

from klife.actors.network.addresses import Address
from klife.actors.network.security import Security
from klife.actors.network.tokens import TokenFailed
from klife.actors.network.transport import NoTransport, PlainTransport, Transport
from klife.actors.network.wrong_listener import CLOSED_AT_FIRST_REQUEST, wants_sasl, why_of_no_use
from klife.actors.runtime.thread_pool import call_in_thread
from klife.actors.settings import ConnectionSettings
from klife.api.doctor import advice
from klife.api.doctor.advice import StepFailed
from klife.api.doctor.certificate import certificate_told
from klife.api.doctor.conversation import Closed, Conversation
from klife.api.doctor.reach import connect, look_up, open_socket, text_of
from klife.api.doctor.report import Check
from klife.api.doctor.verdict import Finding
from klife.host_name import address_of
from klife.protocol.api_keys import ApiKey
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from klife.protocol.connection import State
from klife.protocol.errors import AuthenticationFailed, DecodeError, UnsupportedVersion
from klife.protocol.metadata_wire import MetadataQuery, Undecoded

_MOST_BROKERS = 16  # that are listed
_ASK_SASL_SECONDS = 3.0


class Probe:
    """Fills `finding`. A step that waits for the other side gives up after `patience` seconds."""

    def __init__(self, finding: Finding, settings: ConnectionSettings, security: Security, patience: float) -> None:
        self.finding = finding
        self.doing: str = "resolve"
        self._settings = settings
        self._security = security
        self._patience = patience
        self._address: Address | None = None  # the one that takes connections
        self._conversation: Conversation | None = None

    def run(self) -> MetadataResponse | None:
        """Take the steps; return what the broker says of the cluster, if it came to that."""
        try:
            conversation = self._conversation = self._converse(self._reach())
            return self._look_at_cluster(conversation)
        except StepFailed as failed:
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

    def _reach(self) -> Any:
        """A connected socket."""
        addresses = look_up(self.finding.host, self.finding.port, self._patience)
        if [text_of(address) for address in addresses] != [self.finding.host]:
            self._done("resolve", ", ".join(map(text_of, addresses)))
        self.doing = "connect"
        began = monotonic()
        sock, self._address, refused = connect(addresses, self._settings, self._patience)
        also = f"; not at {'; '.join(refused)}" if refused else ""
        self._done("connect", f"{text_of(self._address)} in {1000 * (monotonic() - began):.0f} ms{also}")
        return sock

    def _connect_again(self) -> Any:
        assert self._address is not None
        return open_socket(self._address, self._settings, self._patience)

    def _transport(self, sock: Any) -> Transport:
        """What Kafka's bytes go over."""
        tls = self._security.tls
        if tls is None:
            return PlainTransport(sock)
        try:
            return tls.secured(sock, self.finding.host, monotonic(), lambda: True, self._connect_again, timeout=self._patience)
        finally:
            sock.close()  # of what a transport took over, nothing is left

    # TLS, SASL, versions

    def _converse(self, sock: Any) -> Conversation:
        self.doing = "tls" if self._security.tls is not None else "versions"
        try:
            transport = self._transport(sock)
        except NoTransport as error:
            raise StepFailed("tls", str(error), advice.TLS) from None
        self._conversation = conversation = Conversation(transport, self.finding.host, self._settings, self._security)
        self._shake_hands(conversation)
        self._tell_tls(conversation)
        if self._settings.sasl is not None:
            self._done("sasl", self._login_told(conversation))
        useless = why_of_no_use(conversation.connection.ranges)
        if useless is not None:
            raise StepFailed("versions", useless)
        ranges = conversation.connection.ranges
        newest = ", ".join(f"{key.name.title()} up to {ranges[key][1]}" for key in (ApiKey.PRODUCE, ApiKey.METADATA) if key in ranges)
        self._done("versions", newest)
        return conversation

    def _shake_hands(self, conversation: Conversation) -> None:
        """Agree on versions, and log in; or the check that it fails."""
        login_step = advice.LOGIN
        try:
            with gevent.Timeout(self._patience, False):
                conversation.shake_hands()
                return
            who = "there was no answer"
            if conversation.waits_for_token:
                who, login_step = "the token provider has not returned", advice.TOKEN
            detail = f"{who} within {self._patience:g} s"
        except NoTransport as error:  # of TLS, also where there is none and the listener wants it
            raise StepFailed("tls", str(error), advice.TLS if self._security.tls is not None else advice.NO_TLS) from None
        except AuthenticationFailed as error:
            detail, login_step = str(error), advice.LOGIN_BY_CODE.get(error.error_code or 0, advice.LOGIN)
        except TokenFailed as error:
            detail, login_step = str(error), advice.TOKEN
        except (Closed, OSError, DecodeError, UnsupportedVersion) as error:
            detail = str(error)
        if conversation.connection.state is State.AUTHENTICATING:
            self._tell_tls(conversation)
            raise StepFailed("sasl", detail, login_step)
        if self._security.tls is not None and not conversation.has_answered:
            raise StepFailed("tls", detail, advice.TLS)
        raise StepFailed("versions", detail, advice.NO_KAFKA)

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
            raise StepFailed("metadata", str(error)) from None
        self.finding.cluster = metadata.cluster_id or ""
        brokers = sorted(metadata.brokers, key=lambda broker: broker.node_id)
        listed = ", ".join(f"{broker.node_id} at {address_of(broker.host, broker.port)}" for broker in brokers[:_MOST_BROKERS])
        what = f"cluster {metadata.cluster_id or 'without an id'}, brokers {listed or 'none'}"
        if not brokers:
            raise StepFailed("metadata", what, advice.NO_BROKERS)
        self._done("metadata", what)
        return metadata

    def _metadata(self, conversation: Conversation, topics: list[MetadataRequestTopic] | None) -> MetadataResponse:
        request = MetadataQuery(MetadataRequest(topics=topics, allow_auto_topic_creation=False))
        with gevent.Timeout(self._patience, TimeoutError(f"there was no answer within {self._patience:g} s")):
            answer = conversation.ask(request)
            found: MetadataResponse = call_in_thread(answer.decode) if isinstance(answer, Undecoded) else answer
            return found

    def _why_closed(self) -> StepFailed:
        """A listener that wants SASL closes the connection at the first request: ask it."""
        if self._settings.sasl is not None:
            return StepFailed("metadata", "the broker closed the connection at the first request")
        told = None
        with gevent.Timeout(_ASK_SASL_SECONDS, False), suppress(OSError, DecodeError, StepFailed):
            told = self._asked_for_sasl()
        return StepFailed("sasl", told or f"the broker closed the connection{CLOSED_AT_FIRST_REQUEST}", advice.SASL)

    def _asked_for_sasl(self) -> str | None:
        transport = self._transport(self._connect_again())
        woken = Event()
        transport.watch(woken.set)

        def wait() -> None:
            woken.wait()
            woken.clear()

        try:
            return wants_sasl(transport, wait)
        finally:
            transport.close()

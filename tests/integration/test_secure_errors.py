"""Everything that may be wrong with the settings of tls and sasl, on a real cluster: the reason is told, and long
before anything has timed out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent import socket

from klife import Client, NotReady, ProduceError, Record, UnknownTopic
from klife.testing.cluster import KafkaCluster
from klife.testing.cluster_users import unsecured_tokens
from tests.support.secure import MECHANISMS, client_options
from tests.support.waiting import wait_until

FIRST_DEADLINE_SECONDS = 10.0  # connect_timeout_ms, of those that there are the first to pass
ELSEWHERE = "kafka.example"  # a name for this machine that is in no certificate
NEVER_SAID = ("timed out", "within 10 s", "Traceback")
SECRET = "not-the-password"


class Kerberos:
    name = "GSSAPI"

    def exchange(self, _host: str) -> Any:
        raise AssertionError("the broker does not offer it")


def failing_provider() -> str:
    raise ConnectionError("no route to the identity provider")


def told_wrong(cluster: KafkaCluster) -> dict[str, tuple[dict[str, Any], str]]:
    """Options, and what is told of them."""
    ssl, sasl_ssl, sasl = (client_options(cluster, listener) for listener in ("SSL", "SASL_SSL", "SASL_PLAINTEXT"))
    plain = {"bootstrap_servers": cluster.bootstrap_servers}
    other = cluster.certificates.another_authority()
    without = {"cert_file": None, "key_file": None}

    def password(mechanism: str) -> dict[str, Any]:
        return {**sasl_ssl, "sasl": {**cluster.sasl_for(mechanism), "password": SECRET}}

    def token(provider: Callable[[], Any]) -> dict[str, Any]:
        return {**sasl_ssl, "sasl": {"mechanism": "OAUTHBEARER", "token_provider": provider}}

    def tls(**changes: Any) -> dict[str, Any]:
        return {**ssl, "tls": cluster.tls_for("SSL", **changes)}

    elsewhere = {**sasl_ssl, "bootstrap_servers": sasl_ssl["bootstrap_servers"].replace("127.0.0.1", ELSEWHERE)}
    offers = "OAUTHBEARER, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
    refused = "SASL {} failed: the broker refused user 'klife': \"Authentication failed"
    passwords = {f"a wrong password, {each}": (password(each), refused.format(each)) for each in MECHANISMS if each != "OAUTHBEARER"}
    return {
        **passwords,
        "a mechanism that is not offered": ({**sasl_ssl, "sasl": {"mechanism": Kerberos()}}, f"name one of those it offers: {offers}"),
        "no SASL": ({"bootstrap_servers": sasl["bootstrap_servers"]}, f"wants SASL (it offers {offers}): set sasl"),
        "no SASL, over TLS": ({**sasl_ssl, "sasl": None}, f"wants SASL (it offers {offers}): set sasl"),
        "SASL that is not wanted": ({**plain, "sasl": sasl["sasl"]}, "this listener speaks no SASL; leave out sasl"),
        "SASL that is not wanted, over TLS": ({**ssl, "sasl": sasl["sasl"]}, "this listener speaks no SASL; leave out sasl"),
        "plaintext to TLS": ({"bootstrap_servers": ssl["bootstrap_servers"]}, "the listener speaks TLS: set tls"),
        "TLS to plaintext": ({**plain, "tls": {"ca_file": other.ca_file}}, "a listener without TLS does that: name one with TLS"),
        "a wrong authority": (tls(ca_file=other.ca_file), f"is not signed by an authority in ca_file {other.ca_file!r}"),
        "the system's authorities": (
            {**sasl_ssl, "tls": True},
            "that this system trusts: name the one that signed it in ca_file",
        ),
        "a name that is in no certificate": (elsewhere, f"certificate is for localhost, 127.0.0.1, and not for {ELSEWHERE!r}"),
        "no certificate": (tls(**without), "wants a certificate of the client, and there is none: set cert_file"),
        "an expired certificate": (tls(**cluster.certificates.client(expired=True)), "refuses the client's certificate (cert_file "),
        "another authority's certificate": (tls(**other.client()), "refuses the client's certificate (cert_file "),
        "a token that is none": (token(lambda: "not-a-jwt"), 'SASL OAUTHBEARER failed: the broker refused the token: "'),
        "an expired token": (token(unsecured_tokens("klife", -60.0)), "token provider failed: ValueError: the token expired 60 s ago"),
        "no token": (token(failing_provider), "token provider failed: ConnectionError: no route to the identity provider"),
    }


def everywhere(options: dict[str, Any], reason: str) -> str:
    """Start a client, and return what is missing; "" if the reason is told everywhere, and before any deadline."""
    began = time.monotonic()
    with Client.start(**options, max_block_ms=100) as client:
        try:
            wait_until(lambda: all(reason in str(broker.last_error) for broker in client.status().brokers))
        except AssertionError:
            return f"status() says {client.status().brokers}"
        if (seconds := time.monotonic() - began) > FIRST_DEADLINE_SECONDS:
            return f"it took {seconds:.1f} s"
        told = [str(client.status())]
        for act in (lambda: client.wait_ready(0.1), lambda: client.produce(Record("orders", b"v"))):
            with pytest.raises((NotReady, UnknownTopic, ProduceError)) as raised:
                act()
            told.append(f"{raised.value} {raised.value!r}")
            if reason not in told[-1]:
                return f"{told[-1]}"
    return "; ".join(word for word in (*NEVER_SAID, SECRET) for each in told if word in each)


def test_every_reason_is_told_in_words_before_any_deadline(secure_cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more: look_up("127.0.0.1" if host == ELSEWHERE else host, *more))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    wrong = told_wrong(secure_cluster)
    running = {what: gevent.spawn(everywhere, *each) for what, each in wrong.items()}
    missing = {what: greenlet.get() for what, greenlet in running.items()}
    assert {what: missed for what, missed in missing.items() if missed} == {}

"""Real clusters with secure listeners, and the ways into them."""

from __future__ import annotations

import itertools
import json
from typing import Any

from klife.testing.cluster import KafkaCluster
from tests.support import importing_tests

LISTENERS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
USERS = ("klife", "o,d=d")
SESSION_MS = 3000
CONFIG = {"listener.name.ssl.ssl.client.auth": "required", "connections.max.reauth.ms": SESSION_MS}


def secure_kafka(version: str, brokers: int) -> KafkaCluster:
    """One with all listeners. Clients of SSL need a certificate, and sessions are short."""
    return KafkaCluster(brokers, version, LISTENERS, config=CONFIG, backend="jars")


def client_options(cluster: KafkaCluster, listener: str, mechanism: str = "SCRAM-SHA-512", user: str = "klife") -> dict[str, Any]:
    """Options of a client of this listener."""
    options: dict[str, Any] = {"bootstrap_servers": cluster.bootstrap_servers_for(listener)}
    if listener.endswith("SSL"):
        options["tls"] = cluster.tls_for(listener)
    if mechanism == "OAUTHBEARER":
        options["sasl"] = {"token_of": user}  # a program makes its own
    elif listener.startswith("SASL_"):
        options["sasl"] = cluster.sasl_for(mechanism, user=user)
    return options


def with_options(cluster: KafkaCluster, options: dict[str, Any]) -> dict[str, str]:
    """The environment of a program that starts a client with `options`, or trusts what its system does."""
    return {**importing_tests(), "CLIENT_OPTIONS": json.dumps(options), "SSL_CERT_FILE": cluster.certificates.ca_file}


def every_way(cluster: KafkaCluster) -> dict[str, dict[str, Any]]:
    """What `secure_ways.py` takes: each listener and mechanism as each user, and what else TLS may be given.

    All brokers' certificates are an intermediate's, and clients trust its root.
    """
    encrypted = cluster.certificates.client(key_password="a key's")
    ways = {
        "a certificate": client_options(cluster, "SSL"),
        "an encrypted key": {**client_options(cluster, "SSL"), "tls": cluster.tls_for("SSL", **encrypted)},
        "a context": {**client_options(cluster, "SSL"), "tls": None, "context": cluster.tls_for("SSL", **encrypted)},
        "the system's store": {**client_options(cluster, "SASL_SSL"), "tls": True},
    }
    for listener, mechanism, user in itertools.product(LISTENERS[1:], MECHANISMS, USERS):
        way = client_options(cluster, listener, mechanism, user)
        ways[f"{listener} {mechanism} {user}"] = way
    return ways

"""Scripted brokers behind TLS, and clients that speak it: certificates, and the settings of both sides."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from gevent.ssl import SSLContext

from klife.testing.certificates import Certificates


def broker_context(certificates: Certificates, *, wants_client: bool = False, tls: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """What brokers show, and want to see; `tls` is the one version they speak."""
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)  # gevent's: brokers run beside the client
    context.load_cert_chain(certificates.key_store(1))
    if wants_client:
        context.load_verify_locations(certificates.trust_store)
        context.verify_mode = ssl.CERT_REQUIRED
    if tls is not None:
        context.minimum_version = context.maximum_version = tls
    return context


def made_in(folder: Path, **server: Any) -> Certificates:
    """Certificates, with one for broker 1, which is for localhost and 127.0.0.1 unless told otherwise."""
    certificates = Certificates(folder / "certificates")
    certificates.renew_server(1, **server)
    return certificates

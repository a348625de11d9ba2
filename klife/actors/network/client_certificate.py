"""What to tell of a client's certificate: a broker that wants one says little, or nothing, where there is none."""

from __future__ import annotations

from klife.actors.settings import TlsSettings


def may_want_certificate(settings: TlsSettings) -> str:
    """Where the broker closed the connection without a word: a clause."""
    if settings.context is not None:
        return "it may want a certificate of the client: load one into the SSLContext (load_cert_chain)"
    if settings.cert_file is None:
        return "it may want a certificate of the client: set cert_file"
    return f"it may not take the client's certificate (cert_file {settings.cert_file!r})"


def refused_certificate(settings: TlsSettings) -> str:
    """Where it said that it is the certificate."""
    if settings.context is not None:
        return "the broker wants a certificate of the client that it trusts: load one into the SSLContext (load_cert_chain)"
    if settings.cert_file is None:
        return "the broker wants a certificate of the client, and there is none: set cert_file (and key_file)"
    return (
        f"the broker refuses the client's certificate (cert_file {settings.cert_file!r}): it may have expired, or not be "
        "signed by an authority that the broker trusts"
    )

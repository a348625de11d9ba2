"""What is wrong with TLS, in words that say what to do: an error of OpenSSL's, and a second look at what the
broker shows.

OpenSSL names the name it was asked for, and not those in the certificate; it says that a certificate has
expired, and not since when. So after a refusal that a look can explain, a second connection checks the
authority and nothing else, reads the certificate, and ends. Nothing is sent over it.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any

from klife.actors.network.client_certificate import may_want_certificate, refused_certificate
from klife.actors.settings import TlsSettings

_NO_TIME_CHECK = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which ssl does not name

# What OpenSSL's verification answers (X509_V_ERR_...).
_NOT_YET_VALID = 9
_EXPIRED = 10
_SELF_SIGNED = 18
_NAME_MISMATCH = 62
_ADDRESS_MISMATCH = 64
_UNKNOWN_AUTHORITY = frozenset((2, _SELF_SIGNED, 19, 20, 21))
_OTHER_NAME = frozenset((_NAME_MISMATCH, _ADDRESS_MISMATCH))

# Alerts about the client's certificate. `handshake_failure` is what TLS 1.2 says where there is none.
_OF_OUR_CERTIFICATE = (
    "BAD_CERTIFICATE",
    "CERTIFICATE_REQUIRED",
    "CERTIFICATE_UNKNOWN",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "UNSUPPORTED_CERTIFICATE",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
)
_NO_TLS = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "RECORD_LAYER_FAILURE")
_TOO_OLD = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW")


def in_handshake(error: OSError, settings: TlsSettings, host: str, certificate: Mapping[str, Any] | None) -> str:
    """Why the handshake failed. `certificate` is what a second look has found, if there was one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _unverified(error, settings, host, certificate or {})
    # Python 3.11 before its fourth patch release has OpenSSL call this an end in order.
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionError):
        return (
            "the broker closed the connection in the TLS handshake; a listener without TLS does that: "
            "name one with TLS, or leave out tls"
        )
    return why(error, settings, refuses_us=True)


def why(error: OSError, settings: TlsSettings, *, refuses_us: bool) -> str:
    """What `error` of a connection with TLS means. With `refuses_us` the broker has answered nothing yet."""
    reason = str(getattr(error, "reason", None) or "")
    if not refuses_us or not isinstance(error, ssl.SSLError):
        told = reason.replace("_", " ").lower() if reason else str(error)
        return f"the connection broke: {told}" + (f"; {may_want_certificate(settings)}" if refuses_us else "")
    if any(part in reason for part in _NO_TLS):
        return "what answered does not speak TLS: name a listener with TLS, or leave out tls"
    if any(part in reason for part in _TOO_OLD):
        return "the broker speaks no TLS that klife does, which is 1.2 and newer (ssl.enabled.protocols of the broker)"
    alert = reason.partition("ALERT_")[2].replace("_", " ").lower()
    if any(part in reason for part in _OF_OUR_CERTIFICATE):
        return f"{refused_certificate(settings)} (its alert: {alert or reason})"
    if "HANDSHAKE_FAILURE" in reason:
        want = may_want_certificate(settings)
        return f"the broker ended the TLS handshake (its alert: {alert}): no common cipher, or {want}"
    if alert:
        return f"the broker ended the TLS connection (its alert: {alert})"
    return f"TLS failed: {reason.replace('_', ' ').lower() or error}"


def _unverified(error: ssl.SSLCertVerificationError, settings: TlsSettings, host: str, certificate: Mapping[str, Any]) -> str:
    code = error.verify_code
    if code in _OTHER_NAME:
        names = [f"{name}" for _kind, name in certificate.get("subjectAltName", ())]
        whose = f"is for {', '.join(names)}" if names else "is for another name"
        return (
            f"the broker's certificate {whose}, and not for {host!r}, which was connected to: use a name that it is for in "
            "bootstrap_servers and the brokers' advertised.listeners"
        )
    if code in (_EXPIRED, _NOT_YET_VALID):
        return _out_of_date(code, certificate)
    if code in _UNKNOWN_AUTHORITY:
        return f"the broker's certificate is not signed by {_trusted(settings)} ({error.verify_message})"
    return f"the broker's certificate is not valid: {error.verify_message}"


def _trusted(settings: TlsSettings) -> str:
    if settings.context is not None:
        return "an authority that the SSLContext trusts: load the one that signed it (load_verify_locations)"
    if settings.ca_file is None:
        return "an authority that this system trusts: name the one that signed it in ca_file"
    return f"an authority in ca_file {settings.ca_file!r}: put the one that signed it there"


def _out_of_date(code: int, certificate: Mapping[str, Any]) -> str:
    expired = code == _EXPIRED
    date = certificate.get("notAfter" if expired else "notBefore")
    told = "has expired" if expired else "is not valid yet"
    if date is None:
        return f"the broker's certificate {told}"
    seconds = ssl.cert_time_to_seconds(date)
    if expired and seconds > time.time():
        return "the certificate of an authority that signed the broker's has expired"
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    if expired:
        return f"the broker's certificate {told}: it was valid until {when}; renew it at the broker (or this machine's clock is wrong)"
    return f"the broker's certificate {told}: it is valid from {when} (or this machine's clock is wrong)"


def second_look_explains(error: OSError) -> bool:
    """Whether the broker's certificate says more about `error` than the error does."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in (_OTHER_NAME | {_EXPIRED, _NOT_YET_VALID})


def looking_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """One that trusts the authorities of `context`, which it leaves alone, and checks neither name nor time."""
    looking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looking.check_hostname = False
    looking.verify_flags = ssl.VerifyFlags(looking.verify_flags | _NO_TIME_CHECK)
    authorities = b"".join(context.get_ca_certs(binary_form=True))
    if authorities:
        looking.load_verify_locations(cadata=authorities)
    else:  # those of a folder are read when they are needed, and not listed
        looking.load_default_certs()
    return looking

"""What is wrong with the files of TLS, in words that name the option and the file.

OpenSSL does not say which of them it could not read, nor what for: a password that is wrong, one that is
missing and half a file are all "PEM lib" to it.
"""

from __future__ import annotations

import re
from typing import Any

from klife.actors.network.subject import subject_of
from klife.actors.settings import TlsSettings

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_CERTIFICATE = re.compile(_BEGIN + rb"[^-]*-----END CERTIFICATE-----")
_WITH_TRUST = b"-----BEGIN TRUSTED CERTIFICATE-----"  # OpenSSL's own form, which is not looked into here


def load_authorities(context: Any, path: str) -> None:
    """Have `context` trust the authorities in `path`, which is `ca_file`."""
    import ssl

    option = f"ca_file: {path!r}"
    _certificates(option, _read(option, path))
    try:
        context.load_verify_locations(path)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"{option} can not be read as certificates in PEM: {_words(error)}") from None


def load_own_certificate(context: Any, settings: TlsSettings) -> None:
    """Have `context` show the certificate of `settings`, if there is one."""
    import ssl

    if settings.cert_file is None:
        if settings.key_file is not None:
            raise ValueError(f"key_file: {settings.key_file!r} is of no use without cert_file: set it, too")
        return
    cert = f"cert_file: {settings.cert_file!r}"
    shown = f"cert_file {settings.cert_file!r}"
    certificate = _read(cert, settings.cert_file)
    _certificates(cert, certificate)
    if settings.key_file is None:
        key, private = cert, certificate
    else:
        key = f"key_file: {settings.key_file!r}"
        private = _read(key, settings.key_file)
    if b"PRIVATE KEY-----" not in private:
        so = "; name the file of the key in key_file" if settings.key_file is None else ""
        raise ValueError(f"{key} holds no private key in PEM{so}")
    is_encrypted = b"BEGIN ENCRYPTED PRIVATE KEY" in private or b"Proc-Type: 4,ENCRYPTED" in private
    if is_encrypted and settings.key_password is None:
        raise ValueError(f"{key} holds an encrypted private key, and there is no key_password: set it")
    password = settings.key_password.get_secret_value() if settings.key_password is not None else ""
    try:
        # The password is always given: without one OpenSSL asks for it on the terminal.
        context.load_cert_chain(settings.cert_file, settings.key_file, password=lambda: password)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = str(getattr(error, "reason", ""))
        if "KEY_VALUES_MISMATCH" in reason or "KEY_TYPE_MISMATCH" in reason:
            raise ValueError(f"{key} holds the private key of another certificate than {shown}") from None
        if is_encrypted:
            raise ValueError(f"key_password: it does not open the private key in {settings.key_file or settings.cert_file!r}") from None
        raise ValueError(f"{key} can not be read as the private key of {shown}: {_words(error)}") from None


def own_subject(settings: TlsSettings) -> str | None:
    """Whose certificate is in `cert_file`."""
    return None if settings.cert_file is None else subject_of(_read("cert_file", settings.cert_file))


def _read(option: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"{option} can not be read: {error.strerror or error}") from None


def _certificates(option: str, data: bytes) -> None:
    """Look whether `data` holds certificates, and whole ones."""
    import ssl

    found = _CERTIFICATE.findall(data)
    if data.count(_BEGIN) > len(found):
        raise ValueError(f"{option} ends in the middle of a certificate, or holds a damaged one")
    if not found and _WITH_TRUST not in data:
        raise ValueError(f"{option} holds no certificate in PEM ({_BEGIN.decode()})")
    for number, certificate in enumerate(found, 1):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate.decode("ascii", "replace"))
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"{option} holds something that is no certificate, {number} of {len(found)}: {_words(error)}") from None


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(error)

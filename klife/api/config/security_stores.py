"""Java's trust and key stores among the properties: PEM ones are files that klife takes, of the others it is
told how to make such files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TRUST, _KEY = "ssl.truststore", "ssl.keystore"
_INLINE = {
    "ssl.truststore.certificates": "ssl.ca.location",
    "ssl.ca.pem": "ssl.ca.location",
    "ssl.keystore.certificate.chain": "ssl.certificate.location",
    "ssl.certificate.pem": "ssl.certificate.location",
    "ssl.keystore.key": "ssl.key.location",
    "ssl.key.pem": "ssl.key.location",
}

STORE_NAMES = (*(f"{store}.{what}" for store in (_TRUST, _KEY) for what in ("location", "type", "password")), *_INLINE)


def read_stores(given: Mapping[str, Any], problems: list[str]) -> dict[str, tuple[Any, str]]:
    """For each setting of TLS that a PEM store is: its file, and the property that names it. What can not be
    taken is added to `problems`.
    """
    found: dict[str, tuple[Any, str]] = {}
    for store, setting in ((_TRUST, "ca_file"), (_KEY, "cert_file")):
        kind, path = _text(given, f"{store}.type").upper(), _text(given, f"{store}.location")
        names = [name for name in (f"{store}.location", f"{store}.type", f"{store}.password") if given.get(name) not in (None, "")]
        if kind == "PEM" and f"{store}.password" in names:
            problems.append(f"{store}.password: a PEM file has none; leave it out (a key's own is ssl.key.password)")
        if kind == "PEM" and path:
            found[setting] = path, f"{store}.location"
        elif path:
            problems.append(f"{store}.location: {_how_to_convert(store, kind, path)}")
        elif names and kind != "PEM":
            problems.append(f"{names[0]}: given without {store}.location; leave it out")
    for name, instead in _INLINE.items():
        if given.get(name) not in (None, ""):
            problems.append(f"{name}: certificates and keys are read from files; write it into one, and give that as {instead}")
    return found


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    return "" if value is None else str(value).strip()


def _how_to_convert(store: str, kind: str, path: str) -> str:
    what = f"a {kind} store" if kind else "a JKS or PKCS12 store, as there is no type"
    pkcs12 = kind in ("PKCS12", "P12") or (not kind and path.endswith((".p12", ".pfx")))
    if store == _TRUST:
        command = f"openssl pkcs12 -in {path} -nokeys -out ca.pem" if pkcs12 else f"keytool -list -rfc -keystore {path} > ca.pem"
        then = "ssl.ca.location=ca.pem"
    else:
        convert = "" if pkcs12 else f"keytool -importkeystore -srckeystore {path} -destkeystore client.p12 -deststoretype PKCS12, then "
        command = f"{convert}openssl pkcs12 -in {path if pkcs12 else 'client.p12'} -out client.pem"
        then = "ssl.certificate.location=client.pem, with the password it asks for as ssl.key.password"
    return f"is {what}, and klife reads PEM; make it by `{command}`, and give {then}. If it is PEM, say so: {store}.type=PEM"

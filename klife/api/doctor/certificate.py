"""What a broker shows in TLS, in one line: version, names, issuer, until when."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

_SOON_DAYS = 30
_MOST_NAMES = 5


def certificate_told(session: Any) -> str:
    """`session` is an `ssl.SSLObject` whose handshake is through."""
    certificate: Mapping[str, Any] = session.getpeercert() or {}
    version = str(session.version()).replace("v", " ")
    if not certificate:
        return f"{version}; the certificate is not verified, as the SSLContext wants it"
    names = [name for _, name in certificate.get("subjectAltName", ())]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    whose = ", ".join(names[:_MOST_NAMES]) + more if names else _common_name(certificate.get("subject", ())) or "no name"
    return f"{version}, for {whose}, by {_common_name(certificate.get('issuer', ())) or 'no name'}, {_validity(certificate)}"


def _validity(certificate: Mapping[str, Any]) -> str:
    import ssl

    end = ssl.cert_time_to_seconds(certificate["notAfter"])
    days = int((end - time.time()) // 86_400)
    date = time.strftime("%Y-%m-%d", time.gmtime(end))
    return f"until {date}" + (f" (in {days} days)" if days < _SOON_DAYS else "")


def _common_name(name: Any) -> str:
    parts = {key: value for group in name for key, value in group}
    return str(parts.get("commonName") or parts.get("organizationName") or "")

"""The subject of a certificate, as Kafka's default principal builder writes it: what X500Principal.getName of Java
says, which is RFC 2253 (`CN=orders,O=Shop`).

Python's ssl tells it of a broker's certificate, and not of the client's own.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Iterator

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----")

# Tags of DER.
_VERSION = 0xA0
_TEXTS = frozenset((0x0C, 0x13, 0x14, 0x16, 0x1B, 0x1C, 0x1E))

_KEYWORDS = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
}
_ESCAPED = re.compile(r'[,=+<>#;"\\]|^ +| +$')

_Element = tuple[int, bytes, bytes]  # tag, content, and both with the length


def subject_of(pem: bytes) -> str | None:
    """The subject of the first certificate in `pem`; None if there is none that can be read."""
    found = _PEM.search(pem)
    if found is None:
        return None
    try:
        ((_, certificate, _),) = _elements(a2b_base64(found[1]))
        _, to_be_signed, _ = next(_elements(certificate))
        # A version, which may be missing; then serial number, algorithm, issuer, validity, subject.
        fields = [field for field in _elements(to_be_signed) if field[0] != _VERSION]
        return _name(fields[4][1])
    except (ValueError, IndexError, StopIteration):
        return None


def _elements(data: bytes) -> Iterator[_Element]:
    """The elements of DER in `data`. Raises ValueError where it breaks off."""
    at = 0
    while at < len(data):
        began, tag, size = at, data[at], data[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + size > len(data):
            raise ValueError("it ends in the middle of an element")
        yield tag, data[at : at + size], data[began : at + size]
        at += size


def _name(data: bytes) -> str:
    """The most specific part first, which is the last."""
    parts = ["+".join(map(_attribute, (content for _, content, _ in _elements(part)))) for _, part, _ in _elements(data)]
    return ",".join(reversed(parts))


def _attribute(data: bytes) -> str:
    (_, oid, _), (tag, value, whole) = _elements(data)
    kind = _dotted(oid)
    keyword = _KEYWORDS.get(kind)
    if keyword is None or tag not in _TEXTS:
        return f"{keyword or kind}=#{whole.hex()}"
    return f"{keyword}={_ESCAPED.sub(_escape, value.decode(errors='replace'))}"


def _escape(found: re.Match[str]) -> str:
    return "".join(f"\\{character}" for character in found[0])


def _dotted(oid: bytes) -> str:
    numbers, number = [], 0
    for byte in oid:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))

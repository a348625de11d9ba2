"""A record in pieces that only have to be joined: varints from tables, and the general way to write any
record.

A record in the payload of a batch is

    length varint · attributes 1 · timestamp delta varlong · offset delta varint · key · value · header count
    varint · headers

where the attributes are 0, and key, value and header values are a zigzag varint length (-1: null) and the
bytes. Source: KIP-98; headers: KIP-82.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Headers = Sequence[tuple[str, bytes | None]]


def encode_varint(value: int) -> bytes:
    """`value` (32 or 64 bits, signed) as Kafka's varint or varlong: zigzag, then seven bits a byte, lowest
    first.
    """
    rest = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


# Nearly every length, offset delta and timestamp delta is below this, so its varint is a list look-up instead
# of a loop.
TABLE_SIZE: Final = 16384
VARINT: Final = [encode_varint(value) for value in range(TABLE_SIZE)]
NULL: Final = encode_varint(-1)
ZERO: Final = VARINT[0]


def varint(value: int) -> bytes:
    """`encode_varint`, from the table where it can be."""
    return VARINT[value] if 0 <= value < TABLE_SIZE else encode_varint(value)


def record_parts(
    key: bytes | None, value: bytes | None, headers: Headers, delta: bytes, offset: bytes, names: dict[str, bytes]
) -> list[bytes]:
    """Any record, in the general way: with headers, a tombstone, or large. `names` keeps a batch's encoded
    header names.
    """
    parts = [b"", ZERO, delta, offset]
    append = parts.append
    if key is None:
        append(NULL)
    else:
        parts += (varint(len(key)), key)
    if value is None:
        append(NULL)
    else:
        parts += (varint(len(value)), value)
    append(varint(len(headers)))
    for name, content in headers:
        encoded = names.get(name)
        if encoded is None:
            utf8 = name.encode()
            encoded = names[name] = varint(len(utf8)) + utf8
        if content is None:
            parts += (encoded, NULL)
        else:
            parts += (encoded, varint(len(content)), content)
    parts[0] = varint(sum(map(len, parts)))
    return parts

"""Records in pieces that only have to be joined: the general way to write any record, and the quick way that
pure Python takes, from tables.

A record in the payload of a batch is

    length varint · attributes 1 · timestamp delta varlong · offset delta varint · key · value · header count
    varint · headers

where the attributes are 0, and key, value and header values are a zigzag varint length (-1: null) and the
bytes. Source: KIP-98; headers: KIP-82.

`joined_payload` runs once per record ever produced without the compiled core, so it is written for speed and
each trick is named where it is used: on CPython 3.11 a record of 100 bytes without a key takes 0.12 µs (0.60
in the general way, which headers and tombstones take), one of 1000 bytes with a key of 50 takes 0.20 µs
(0.68). Compiled, `record_write` does the same in less, as C does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from klife.protocol.record_layout import CHECKED

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
_THREE_BYTES: Final = 1 << 20  # from here on a varint has four, as of the sizes of large values
NULL: Final = encode_varint(-1)
ZERO: Final = encode_varint(0)
ZEROS: Final = ZERO * 3

# The tables are made when they are needed first, because that takes some milliseconds: the compiled core needs
# the first, for headers, and none of the others.
VARINT: Final[list[bytes]] = []
# Whole prefixes, so that one part does the work of two: a record's length with its attributes, a null key
# with the value's length.
RECORD_START: Final[list[bytes]] = []
NO_KEY: Final[list[bytes]] = []
# The bytes a field takes together with its own length.
SIZED: Final[list[int]] = []

# Offset deltas by the size of their varint (and by the end of the table): inside a run, the fixed part of a
# record has one size.
OFFSET_RUNS: Final = (
    (0, 1 << 6, 1),
    (1 << 6, 1 << 13, 2),
    (1 << 13, TABLE_SIZE, 3),
    (TABLE_SIZE, 1 << 20, 3),
    (1 << 20, 1 << 27, 4),
    (1 << 27, 1 << 31, 5),
)


def make_varints() -> None:
    """Fill `VARINT`, unless it is. (Two threads may be here at once.)"""
    if not VARINT:
        low, rest = range(128, 256, 2), range(128, 256)  # bytes that another follows; the lowest bit is the sign
        one = [bytes((only,)) for only in range(0, 128, 2)]
        two = [bytes((first, last)) for last in range(1, 128) for first in low]
        VARINT[:] = one + two + [bytes((first, second, 1)) for second in rest for first in low]


def make_tables() -> None:
    """Fill all tables. `SIZED` is the last: where it is full, all are."""
    make_varints()
    RECORD_START[:] = [varint + b"\0" for varint in VARINT]
    NO_KEY[:] = [b"\1" + varint for varint in VARINT]
    SIZED[:] = [value + len(varint) for value, varint in enumerate(VARINT)]


def varint(value: int) -> bytes:
    """`encode_varint`, from the table where it can be, and without a loop where it has three bytes."""
    if 0 <= value < TABLE_SIZE:
        return VARINT[value]
    if TABLE_SIZE <= value < _THREE_BYTES:
        return bytes((value << 1 & 0x7F | 0x80, value >> 6 & 0x7F | 0x80, value >> 13))
    return encode_varint(value)


def record_parts(
    key: bytes | None, value: bytes | None, headers: Headers, delta: bytes, offset: bytes, names: dict[str, bytes]
) -> list[bytes]:
    """Any record, in the general way: with headers, a tombstone, or large. `names` keeps a batch's encoded
    header names. Whoever calls has seen to `make_varints`.
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


def joined_payload(fields: Sequence[Any], count: int) -> tuple[bytes, int, int]:
    """`records.encode_payload`, as it is best in pure Python."""
    first_timestamp = max_timestamp = timestamp_now = fields[3]
    if not SIZED:
        make_tables()
    delta = ZERO
    parts: list[bytes] = []
    extend = parts.extend
    names: dict[str, bytes] = {}
    # One iterator for all runs, asked four times for each record: `zip` asks the offsets first, so the end of
    # a run takes none with it.
    rest = iter(fields)
    for start, end, offset_size in OFFSET_RUNS:
        if start >= count:
            break
        offsets: Iterable[bytes] = VARINT[start : min(end, count)] if start < TABLE_SIZE else map(encode_varint, range(start, end))
        # Attributes, timestamp delta, offset delta, header count.
        fixed = 2 + len(delta) + offset_size
        for offset, key, value, headers, timestamp in zip(offsets, rest, rest, rest, rest, strict=False):
            # Neighbours mostly share their millisecond: the delta is encoded when it changes.
            if timestamp != timestamp_now:
                timestamp_now = timestamp
                max_timestamp = max(timestamp, max_timestamp)
                delta = varint(timestamp - first_timestamp)
                fixed = 2 + len(delta) + offset_size
            if headers or value is None:
                parts += record_parts(key, value, headers, delta, offset, names)
                continue
            # One `extend` of ready pieces, joined once at the end. Too large for the tables is an exception,
            # since a `try` is free.
            try:
                size = len(value)
                if key is None:
                    extend((RECORD_START[fixed + 1 + SIZED[size]], delta, offset, NO_KEY[size], value, ZERO))
                else:
                    key_size = len(key)
                    body = fixed + SIZED[key_size] + SIZED[size]
                    extend((RECORD_START[body], delta, offset, VARINT[key_size], key, VARINT[size], value, ZERO))
            except IndexError:
                parts += record_parts(key, value, headers, delta, offset, names)
    return b"".join(parts), first_timestamp, max_timestamp


def joined_single(fields: Sequence[Any], producer_id: int, producer_epoch: int, base_sequence: int, attributes: int) -> bytes:
    """What the CRC covers of a batch of one record: no loop to set up, and the record is copied once, not
    thrice.
    """
    key, value, headers, timestamp = fields
    header = CHECKED.pack(attributes, 0, timestamp, timestamp, producer_id, producer_epoch, base_sequence, 1)
    try:
        # Attributes, timestamp delta, offset delta and header count are a zero byte each.
        if headers or value is None:
            return b"".join([header, *record_parts(key, value, headers, ZERO, ZERO, {})])
        if key is None:
            size = len(value)
            return b"".join((header, VARINT[5 + SIZED[size]], ZEROS, NO_KEY[size], value, ZERO))
        size, key_size = len(value), len(key)
        body = VARINT[4 + SIZED[key_size] + SIZED[size]]
        return b"".join((header, body, ZEROS, VARINT[key_size], key, VARINT[size], value, ZERO))
    except IndexError:  # too large for the tables, or they are not made yet
        if not SIZED:
            make_tables()
        return b"".join([header, *record_parts(key, value, headers, ZERO, ZERO, {})])

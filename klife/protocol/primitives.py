"""The building bytes below Kafka's messages: varints, array bodies, and what counts as a buffer.

Only what generated code (see `compiler`) calls at run time lives here. Fixed-size numbers need no function:
runs of them go through one `struct.Struct`.

Source: "Protocol Primitive Types" in Kafka's protocol guide; unsigned varints are those of KIP-482.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from struct import Struct as Layout
from typing import Any, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes that are written without being looked at."""

Records: TypeAlias = Buffer | Sequence[Buffer] | None
"""What a `records` field takes: record batches in one buffer, or in several that follow each other."""

ZERO_UUID = bytes(16)
"""A `uuid` is its 16 raw bytes (a `uuid.UUID` costs ten times as much to make); this one means "no id"."""

SPLIT_BYTES = 4096
"""Record buffers larger than this are handed on as parts of their own; joining smaller ones is cheaper than
one more `iovec`.
"""

INT32_MAX = 0x7FFFFFFF
"""Kafka's sizes, counts, sequences and partitions are signed numbers of 32 bits."""

MAX_STRING_BYTES = 0x7FFF
"""Kafka limits strings to this many bytes of UTF-8 in every version, flexible ones included."""


class Malformed(ValueError):
    """Why input cannot be decoded. Generated decoders turn it into a `DecodeError` that also names message
    and position.
    """


class Unencodable(ValueError):
    """A value the fast path refuses. `encode` turns it into an `EncodeError` that also names the field."""


SHORT_UVARINTS = tuple(bytes((n,)) for n in range(128))


def uvarint(n: int) -> bytes:
    """The unsigned varint of `n` (0 to 2**32 - 1)."""
    if n < 0x80:
        return SHORT_UVARINTS[n]
    if n < 0x4000:
        return bytes((n & 0x7F | 0x80, n >> 7))
    if n < 0x200000:
        return bytes((n & 0x7F | 0x80, n >> 7 & 0x7F | 0x80, n >> 14))
    if n < 0x10000000:
        return bytes((n & 0x7F | 0x80, n >> 7 & 0x7F | 0x80, n >> 14 & 0x7F | 0x80, n >> 21))
    return bytes((n & 0x7F | 0x80, n >> 7 & 0x7F | 0x80, n >> 14 & 0x7F | 0x80, n >> 21 & 0x7F | 0x80, n >> 28))


def uvarint_rest(data: Buffer, pos: int, first: int) -> tuple[int, int]:
    """The varint whose first byte, with its continuation bit set, was already read; and the position after
    it.

    Most varints are one byte, which a decoder reads together with the numbers before it; this is the rest of
    the others.
    """
    value = first & 0x7F
    for shift in (7, 14, 21, 28):
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > 0xFFFFFFFF:
                break
            return value, pos
    raise Malformed("a varint is longer than 32 bits")


@cache
def _few(code: str, count: int) -> Callable[[Any, int], tuple[Any, ...]]:
    return Layout(f">{count}{code}").unpack_from


def numbers(data: Buffer, pos: int, code: str, count: int) -> list[Any]:
    """`count` numbers of one `struct` code, as a list. The caller has checked that the bytes are there."""
    # Replica lists have a handful of entries: a layout for each such length is kept. Longer ones are not
    # worth their memory.
    layout = _few(code, count) if count <= 32 else Layout(f">{count}{code}").unpack_from
    return list(layout(data, pos))


def pack_numbers(code: str, values: Sequence[Any]) -> bytes:
    """An array body of numbers."""
    return Layout(f">{len(values)}{code}").pack(*values)


def records_size(value: Any) -> int:
    """The size in bytes of what a `records` field holds; raises TypeError for what is no buffer."""
    if isinstance(value, (bytes, bytearray)):
        return len(value)
    if isinstance(value, memoryview):
        return value.nbytes
    if isinstance(value, (list, tuple)):
        return sum(map(records_size, value))
    raise TypeError("not a buffer")


def append_records(value: Any, size: int, small: list[Any], parts: list[Any]) -> None:
    """Write record bytes after the `small` pieces collected so far: large buffers become parts of their own,
    uncopied.
    """
    if isinstance(value, (list, tuple)):
        for buffer in value:
            append_records(buffer, records_size(buffer), small, parts)
    elif size <= SPLIT_BYTES:
        small.append(value)
    else:
        if small:
            parts.append(b"".join(small))
            small.clear()
        parts.append(value)


def skip_tags(data: Buffer, pos: int, count: int) -> int:
    """The position after `count` tagged fields, none of which this client knows."""
    for _ in range(count):
        for part in ("tag", "size"):
            value = data[pos]
            pos += 1
            if value > 127:
                value, pos = uvarint_rest(data, pos, value)
            if part == "size":
                pos += value
    return pos

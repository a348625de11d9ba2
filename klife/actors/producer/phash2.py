"""Erlang's `erlang:phash2` of a binary, so that records stay with the partitions that Klife 0.x (Elixir)
services gave them.

Erlang promises that the hash never changes between releases or machines. For a binary it is Bob Jenkins' 1997
hash ("A Hash Function for Hash Table Lookup", Dr. Dobb's Journal) started from a constant of Erlang's own; an
empty binary is not mixed at all. `phash2/1` keeps 27 bits of it; `phash2/2` takes all 32 modulo the range, so
the one is not the other modulo the range.
"""

from __future__ import annotations

from struct import iter_unpack

_GOLDEN_RATIO = 0x9E3779B9
# Erlang starts each kind of term from its own multiple of the golden ratio; 13 is a binary's.
_BINARY = 13 * _GOLDEN_RATIO & 0xFFFFFFFF
_MASK = 0xFFFFFFFF


def phash2(data: bytes) -> int:
    """Return `erlang:phash2(Data)` of a binary: an integer from 0 to 2**27 - 1."""
    return phash2_32(data) & 0x7FFFFFF


def phash2_32(data: bytes) -> int:
    """Return all 32 bits of the hash. `erlang:phash2(Data, Range)` is this modulo Range."""
    size = len(data)
    if not size:
        return _BINARY
    whole = size - size % 12
    a = b = _GOLDEN_RATIO
    c = _BINARY
    for first, second, third in iter_unpack("<III", data[:whole]):
        a, b, c = _mix(a + first, b + second, c + third)
    rest = data[whole:]
    a += int.from_bytes(rest[:4], "little")
    b += int.from_bytes(rest[4:8], "little")
    # The length takes the lowest byte of c, so the last three bytes begin at the second.
    c += size + (int.from_bytes(rest[8:], "little") << 8)
    return _mix(a, b, c)[2]


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    """Jenkins' mixing of three 32-bit integers. Takes sums that overflow; only what shifts right must be
    masked before.
    """
    c &= _MASK
    a = (a - b - c ^ c >> 13) & _MASK
    b = (b - c - a ^ a << 8) & _MASK
    c = (c - a - b ^ b >> 13) & _MASK
    a = (a - b - c ^ c >> 12) & _MASK
    b = (b - c - a ^ a << 16) & _MASK
    c = (c - a - b ^ b >> 5) & _MASK
    a = (a - b - c ^ c >> 3) & _MASK
    b = (b - c - a ^ a << 10) & _MASK
    c = (c - a - b ^ b >> 15) & _MASK
    return a, b, c

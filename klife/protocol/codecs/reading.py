"""What reading any container needs: blocks that lie within the data, and errors that say what is wrong with it."""

from __future__ import annotations

from struct import Struct

from klife.protocol.errors import DecodeError
from klife.words import counted


def too_large(codec: str, max_bytes: int) -> DecodeError:
    return DecodeError(f"a batch's {codec} data is larger than the {max_bytes} bytes allowed once decompressed")


def damaged(codec: str, why: object) -> DecodeError:
    return DecodeError(f"a batch's {codec} data is damaged: {why}")


def block_size(view: memoryview, at: int, number: Struct, codec: str) -> tuple[int, int]:
    """The length that stands before a block, and where the block begins."""
    start = at + number.size
    if start > len(view):
        raise damaged(codec, "it ends too early")
    return int(number.unpack_from(view, at)[0]), start


def block_at(view: memoryview, at: int, size: int, codec: str) -> memoryview:
    if size > len(view) - at:
        raise damaged(codec, f"a block of {counted(size, 'byte')} where {len(view) - at} are left")
    return view[at : at + size]

"""From declarations to functions, once for each message and version in use.

The generated source is plain Python and meant to be read: `print(compiler.decoder_source(ProduceResponse,
9))`. For a metadata response it decodes more than twice as fast as closures over the fields would, and
hundreds of versions that are never spoken cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klife.protocol.decoding import Decoder
from klife.protocol.encoding import Encoder
from klife.protocol.schema import Struct


def compile_encoder(cls: type[Struct], version: int) -> Callable[[Any, list[Any]], None]:
    """`encode(message, parts)`: appends the message's bytes. Raises whatever its `struct` calls raise (see
    `diagnosis`).
    """
    encoder = _encoder(cls, version)
    return encoder.source.compile(f"encode {encoder.title}")


def compile_decoder(cls: type[Struct], version: int) -> Callable[[Any, int], Any]:
    """`decode(buf, pos)`: the message that fills `buf` from `pos` on, or DecodeError."""
    decoder = _decoder(cls, version)
    return decoder.source.compile(f"decode {decoder.title}")


def encoder_source(cls: type[Struct], version: int) -> str:
    """What `compile_encoder` compiles."""
    return _encoder(cls, version).source.text()


def decoder_source(cls: type[Struct], version: int) -> str:
    """What `compile_decoder` compiles."""
    return _decoder(cls, version).source.text()


def _encoder(cls: type[Struct], version: int) -> Encoder:
    return Encoder(cls, version, flexible=version >= cls.FLEXIBLE_FROM)


def _decoder(cls: type[Struct], version: int) -> Decoder:
    return Decoder(cls, version, flexible=version >= cls.FLEXIBLE_FROM)

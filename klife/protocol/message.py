"""Requests and responses: structs that know their API, their versions, and how to become bytes.

    class HeartbeatRequest(Request[HeartbeatResponse], key=12, versions="0-4", flexible="4+"):
        group_id: str = string("0+")

The version is an argument of `encode` and `decode`; what it means for the layout is decided once per message
and version, by `compiler`, when that pair is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import error as LayoutError  # noqa: N812  the exception is lower-case in the standard library
from typing import Any, ClassVar, Generic, TypeVar, get_args

from klife.protocol.errors import EncodeError, UnsupportedVersion
from klife.protocol.primitives import Buffer
from klife.protocol.schema import NEVER, Struct, Versions

M = TypeVar("M", bound="Message")
R = TypeVar("R", bound="Response")


class Message(Struct):
    """What requests and responses share. `versions` are those Kafka serves as stable; `flexible` (KIP-482)
    where tags begin.
    """

    API_KEY: ClassVar[int]
    MIN_VERSION: ClassVar[int]
    MAX_VERSION: ClassVar[int]
    FLEXIBLE_FROM: ClassVar[int]
    _encoders: ClassVar[dict[int, Callable[[Any, list[Any]], None]]]
    _decoders: ClassVar[dict[int, Callable[[Buffer, int], Any]]]

    def __init_subclass__(cls, *, key: int = -1, versions: str | None = None, flexible: str = "none") -> None:
        super().__init_subclass__()
        if versions is not None:
            cls.API_KEY = key
            cls.MIN_VERSION, cls.MAX_VERSION = Versions.parse(versions)
            cls.FLEXIBLE_FROM = min(Versions.parse(flexible).first, NEVER)
            cls._encoders, cls._decoders = {}, {}

    def encode_parts(self, version: int) -> list[Buffer]:
        """The body as parts to be sent one after another, without header.

        Record buffers of more than a few KiB are parts of their own, not copied: do not change them until
        they are sent.

        Raises:
            EncodeError: a field has the wrong type, is out of range, None where that cannot be said, or set
                although `version` lacks it.
            UnsupportedVersion: the message has no such version.
        """
        encoder = self._encoders.get(version) or self._compile(version, "encoder")
        parts: list[Buffer] = []
        try:
            encoder(self, parts)
        except (LayoutError, TypeError, AttributeError, ValueError, OverflowError) as error:
            from klife.protocol.diagnosis import explain

            raise EncodeError(explain(self, version, error)) from None
        return parts

    def encode(self, version: int) -> bytes:
        """The body in one piece; see `encode_parts`."""
        return b"".join(self.encode_parts(version))

    @classmethod
    def decode(cls: type[M], data: Buffer, version: int, offset: int = 0) -> M:
        """The message that fills `data` from `offset` to its end.

        `records` fields are views of `data`, which must then stay as it is (a memoryview is copied first,
        once). Unknown tagged fields are skipped.

        Raises:
            DecodeError: the bytes are truncated, corrupt, or longer than the message.
            UnsupportedVersion: the message has no such version.
        """
        decoder = cls._decoders.get(version) or cls._compile(version, "decoder")
        message: M = decoder(data if isinstance(data, (bytes, bytearray)) else bytes(data), offset)
        return message

    @classmethod
    def _compile(cls, version: int, what: str) -> Callable[..., Any]:
        if not cls.MIN_VERSION <= version <= cls.MAX_VERSION:
            raise UnsupportedVersion(f"{cls.__name__} has versions {cls.MIN_VERSION} to {cls.MAX_VERSION}, not {version!r}")
        from klife.protocol import compiler

        function: Callable[..., Any]
        if what == "encoder":
            function = cls._encoders[version] = compiler.compile_encoder(cls, version)
        else:
            function = cls._decoders[version] = compiler.compile_decoder(cls, version)
        return function


class Response(Message):
    """What a broker answers."""


class Request(Message, Generic[R]):
    """What a client asks. The parameter is its response, also found as `RESPONSE`."""

    RESPONSE: ClassVar[type[Any]]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        (cls.RESPONSE,) = get_args(cls.__dict__["__orig_bases__"][0])

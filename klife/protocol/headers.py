"""The headers before every request and response.

Sources: RequestHeader.json and ResponseHeader.json in Kafka; `ApiKeys.requestHeaderVersion` and
`responseHeaderVersion`. The two oddities: the client id is never a compact string, even in flexible headers,
and an ApiVersions response never has a tagged header, because both must be readable before versions were
agreed upon.
"""

from __future__ import annotations

from struct import Struct as Layout
from struct import error as LayoutError  # noqa: N812  the exception is lower-case in the standard library
from typing import Any

from klife import cython_shim as cython
from klife.protocol.api_keys import api_name
from klife.protocol.errors import DecodeError, EncodeError
from klife.protocol.message import Request
from klife.protocol.primitives import MAX_STRING_BYTES, Buffer, Malformed, skip_tags, uvarint_rest
from klife.words import counted

if cython.compiled:
    import cython

_REQUEST = Layout(">hhih")
_CORRELATION_ID = Layout(">i")
_API_VERSIONS = 18


@cython.locals(name=bytes, head=bytes, flexible=cython.bint)
def encode_request_header(api_key: int, version: int, correlation_id: int, client_id: str | None, flexible: bool) -> bytes:
    """Header version 2 if `flexible`, else 1.

    Raises:
        EncodeError: a number is out of range, or the client id is no text of at most 32767 bytes.
    """
    try:
        name = b"" if client_id is None else client_id.encode()
        if len(name) > MAX_STRING_BYTES:
            raise EncodeError(f"client_id has {len(name)} bytes of UTF-8; Kafka's limit for strings is {MAX_STRING_BYTES}")
        head = _REQUEST.pack(api_key, version, correlation_id, -1 if client_id is None else len(name))
    except (LayoutError, AttributeError, UnicodeEncodeError):
        raise EncodeError(
            f"a request header takes int16 api_key, int16 version, int32 correlation_id and a str or None as client_id, not "
            f"{api_key!r}, {version!r}, {correlation_id!r} and a value of type {type(client_id).__name__}"
        ) from None
    return head + name + b"\0" if flexible else head + name


@cython.locals(pos=cython.Py_ssize_t)
def decode_response_header(frame: Buffer, request: type[Request[Any]], version: int) -> tuple[int, int]:
    """The correlation id of the response to `request` in `version`, and the offset at which its body begins.

    Raises:
        DecodeError: the frame is truncated or its tags are corrupt.
    """
    pos = 4
    try:
        (correlation_id,) = _CORRELATION_ID.unpack_from(frame)
        if version >= request.FLEXIBLE_FROM and request.API_KEY != _API_VERSIONS:
            tags = frame[4]
            pos = 5
            if tags > 127:
                tags, pos = uvarint_rest(frame, pos, tags)
            if tags:
                pos = skip_tags(frame, pos, tags)
    except (IndexError, Malformed, LayoutError):
        pos = len(frame) + 1
    if pos > len(frame):
        name = api_name(request.API_KEY)
        raise DecodeError(f"the header of a response to {name} v{version} is truncated or corrupt ({counted(len(frame), 'byte')})")
    return correlation_id, pos

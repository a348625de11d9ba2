"""Finds why a message could not be encoded.

Encoders do not check values one by one; when one of their calls refuses, this walks the message along its
declaration, at leisure, and says which field it was. Numbers are quoted in the answer; strings and bytes are
not, they may be secrets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from klife.protocol.primitives import MAX_STRING_BYTES, records_size
from klife.protocol.schema import NEVER, ArrayOf, Field, FieldType, Scalar, Struct, StructOf, Versions
from klife.words import with_article

_RANGES = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "float64": (int, float),
    "uuid": (bytes,),
    "string": (str,),
    "bytes": (bytes, bytearray, memoryview),
}


def explain(message: Struct, version: int, error: Exception) -> str:
    """One sentence on the first field of `message` that cannot be written in `version`; `error` is what the
    encoder met.
    """
    where = f"{type(message).__name__} v{version} cannot be encoded: "
    for problem in _struct(message, "", version):
        return where + problem
    return where + f"{type(error).__name__}: {error}"


def _struct(value: Struct, path: str, version: int) -> Iterator[str]:
    for field in value.FIELDS:
        name = path + field.name
        if not hasattr(value, field.name):
            yield f"{name} was never set"
            continue
        content = getattr(value, field.name)
        if field.versions.covers(version):
            yield from _value(field.type, content, name, version, nullable=field.nullable.covers(version))
        elif not field.ignorable and _is_set(field, content):
            yield f"{name} (a value of type {type(content).__name__}) is set, but only {_text(field.versions)} can say it"


def _is_set(field: Field, content: Any) -> bool:
    if isinstance(field.type, ArrayOf) and content is not None and field.default is not None:
        return not hasattr(content, "__len__") or len(content) > 0
    return bool(content != field.new_default())


def _value(kind: FieldType, value: Any, name: str, version: int, *, nullable: bool) -> Iterator[str]:
    if value is None:
        if not nullable:
            yield f"{name} is None, which this version has no way to say; it takes {_expected(kind)}"
    elif isinstance(kind, StructOf):
        if not isinstance(value, kind.cls):
            yield f"{name} takes {_expected(kind)}, not a value of type {type(value).__name__}"
        else:
            yield from _struct(value, f"{name}.", version)
    elif isinstance(kind, ArrayOf):
        if not isinstance(value, (list, tuple)):
            yield f"{name} takes {_expected(kind)}, not a value of type {type(value).__name__}"
            return
        for index, element in enumerate(value):
            yield from _value(kind.element, element, f"{name}[{index}]", version, nullable=False)
    else:
        yield from _scalar(kind, value, name)


def _scalar(kind: Scalar[Any], value: Any, name: str) -> Iterator[str]:
    refusal = f"{name} takes {_expected(kind)}, not a value of type {type(value).__name__}"
    if kind.name in _RANGES:
        low, high = _RANGES[kind.name]
        if not isinstance(value, int):
            yield refusal
        elif not low <= value <= high:
            yield f"{name} is {value}, outside {kind.name} ({low} to {high})"
    elif kind.name == "records":
        try:
            records_size(value)
        except TypeError:
            yield refusal
    elif not isinstance(value, _PYTHON_TYPES[kind.name]):
        yield refusal
    elif isinstance(value, bytes) and kind.name == "uuid" and len(value) != 16:
        yield f"{name} takes the 16 raw bytes of a uuid, not {len(value)}"
    elif isinstance(value, str):
        yield from _string(value, name)


def _string(value: str, name: str) -> Iterator[str]:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        yield f"{name} (a str) has lone surrogates, which UTF-8 cannot say"
        return
    if size > MAX_STRING_BYTES:
        yield f"{name} (a str) has {size} bytes of UTF-8; Kafka's limit for strings is {MAX_STRING_BYTES}"


def _expected(kind: FieldType) -> str:
    if isinstance(kind, StructOf):
        return with_article(kind.cls.__name__)
    if isinstance(kind, ArrayOf):
        element = kind.element
        return f"a list of {element.cls.__name__ if isinstance(element, StructOf) else element.name}"
    if kind.name == "records":
        return "bytes, bytearray, memoryview, or a list of these"
    return {"string": "a str", "bool": "True or False", "uuid": "16 bytes"}.get(kind.name, kind.name)


def _text(versions: Versions) -> str:
    if versions.last >= NEVER - 1:
        return f"version {versions.first} and later"
    return f"versions {versions.first} to {versions.last}"

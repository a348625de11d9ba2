"""The corners of what a message can hold, for any declaration: where codecs disagree if they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from klife.protocol.schema import ArrayOf, FieldType, Scalar, Struct, StructOf, bool_, bytes_, float64, records_, string, uuid

S = TypeVar("S", bound=Struct)


def default(cls: type[S], _version: int) -> S:
    """Nothing said."""
    return cls()


def least(cls: type[S], version: int) -> S:
    """Lowest numbers, None wherever it can be said, else empty text and arrays of one such element. Tagged
    structs are there.
    """
    return _filled(cls, version, lambda kind, nullable: None if nullable else _least(kind, version))


def empty(cls: type[S], version: int) -> S:
    """Nothing is None and everything is empty."""
    return _filled(cls, version, lambda kind, _nullable: _empty(kind, version))


def greatest(cls: type[S], version: int) -> S:
    """Highest numbers, every tagged field, and lengths that need a varint of two bytes or, for records, a
    part of their own.
    """
    return _filled(cls, version, lambda kind, _nullable: _greatest(kind, version))


CORNERS = (default, least, empty, greatest)


def _filled(cls: type[S], version: int, value: Callable[[FieldType, bool], Any]) -> S:
    fields = [field for field in cls.FIELDS if field.versions.covers(version)]
    return cls(**{field.name: value(field.type, field.nullable.covers(version)) for field in fields})


def _bounds(kind: Scalar[Any]) -> tuple[int, int]:
    bits = 8 * kind.size
    return (0, 2**bits - 1) if kind.code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _least(kind: FieldType, version: int) -> Any:
    if isinstance(kind, StructOf):
        return least(kind.cls, version)
    if isinstance(kind, ArrayOf):
        return [_least(kind.element, version)]
    if kind in (bool_, float64, uuid, string, bytes_, records_):
        return _empty(kind, version)
    return _bounds(kind)[0]


def _empty(kind: FieldType, version: int) -> Any:
    if isinstance(kind, StructOf):
        return empty(kind.cls, version)
    if isinstance(kind, ArrayOf):
        return []
    return b"" if kind is records_ else kind.default


def _greatest(kind: FieldType, version: int) -> Any:
    if isinstance(kind, StructOf):
        return greatest(kind.cls, version)
    if isinstance(kind, ArrayOf):
        several = 2 if isinstance(kind.element, StructOf) else 130
        return [_greatest(kind.element, version) for _ in range(several)]
    if kind is string:
        return "größe 鍵 😀\t\n\0" * 10
    if kind in (bytes_, records_):
        return bytes(range(256)) * 20
    if kind is uuid:
        return b"\xff" * 16
    if kind is float64:
        return 1.7976931348623157e308
    return True if kind is bool_ else _bounds(kind)[1]

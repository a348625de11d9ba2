"""Messages as the JSON that Kafka's generated converters read and print, straight from their declarations."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from typing import Any

from klife.protocol.schema import ArrayOf, FieldType, Struct, StructOf, records_, uuid


def as_kafka_takes_it(value: Struct, version: int) -> dict[str, Any]:
    """Every field that the version has."""
    fields = [field for field in value.FIELDS if field.versions.covers(version)]
    return {_camel_case(field.name): _json(field.type, getattr(value, field.name), version, printed=False) for field in fields}


def as_kafka_prints_it(value: Struct, version: int) -> dict[str, Any]:
    """The same without tagged fields that have their default, and with all records empty: Kafka does not
    print them.
    """
    return {
        _camel_case(field.name): _json(field.type, getattr(value, field.name), version, printed=True)
        for field in value.FIELDS
        if field.versions.covers(version) and not (field.tagged.covers(version) and getattr(value, field.name) == field.new_default())
    }


def _json(kind: FieldType, value: Any, version: int, *, printed: bool) -> Any:
    if value is None:
        return None
    if isinstance(kind, ArrayOf):
        return [_json(kind.element, element, version, printed=printed) for element in value]
    if isinstance(kind, StructOf):
        return as_kafka_prints_it(value, version) if printed else as_kafka_takes_it(value, version)
    if kind is records_ and printed:
        return ""
    if kind is uuid:
        return urlsafe_b64encode(value).decode().rstrip("=")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return b64encode(value).decode()
    return value


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
